"""Sending the invitations that an operator has asked to be mailed: each with a link that is made as the mail leaves."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from zoneinfo import ZoneInfo

from authority.app import App
from authority.language.reading import current, gettext, reading
from authority.monitoring.delivery import Mail, UndeliveredError, headed
from authority.people import invitation_mails, secrets
from authority.people.desk import address
from authority.people.invitation_mails import Claimed
from authority.people.invitations import INVITATION_SECONDS
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)


def letter(app: App, claimed: Claimed, secret: str, now: int) -> EmailMessage:
    """The mail of an invitation; now (Unix seconds) is when its link was made.

    It is in the language that the person chose before, else in the site's.
    """
    with reading(claimed.language or app.home.settings.site.language):
        return _letter(app, claimed, secret, now)


def _letter(app: App, claimed: Claimed, secret: str, now: int) -> EmailMessage:
    settings = app.home.settings
    organisation, zone = settings.network.organisation, ZoneInfo(settings.site.zone)
    ends = datetime.fromtimestamp(now + INVITATION_SECONDS, zone)
    id = f"invitation-{claimed.person_id}.{claimed.asked_at}.{claimed.tries}.{now}"
    subject = gettext("%(organisation)s: your invitation to the energy pages", organisation=organisation)
    mail = headed(settings.alerts, claimed.address, subject, now, id)
    lines = (
        f"{claimed.name},",
        "",
        gettext(
            "%(organisation)s invites you to its energy pages. Open this link, and choose how you will sign in:",
            organisation=organisation,
        ),
        "",
        f"{address(app.home)}/invite/{secret}",
        "",
        gettext(
            "The link is good once, until %(ends)s (%(zone)s). An earlier link is void.",
            ends=current().dates.written(ends, "%-d %B %Y, %H:%M"),
            zone=zone,
        ),
        gettext("Whoever has the link can use it: pass it on to nobody."),
        *_named(claimed),
        "",
        organisation,
        "",
    )
    mail.set_content("\n".join(lines))
    return mail


def send_due(app: App, mail: Mail) -> int:
    """Send what is due, until the relay takes nothing; how many it took."""
    sent = 0
    while (claimed := invitation_mails.claim(app)) is not None:
        secret, now = secrets.make()[0], app.clock()
        try:
            mail.send(letter(app, claimed, secret, now))
        except UndeliveredError as error:
            invitation_mails.failed(app, claimed, str(error), refused=error.refused)
            LOG.warning("an invitation was not mailed", reason=str(error))
            if not error.refused:
                break
        else:
            invitation_mails.delivered(app, claimed, secret, now)
            sent += 1
    return sent


def _named(claimed: Claimed) -> list[str]:
    """What a delegate is told of who named it: nobody is to wonder why a university writes."""
    if claimed.acts_for is None:
        return []
    words = gettext(
        "%(member)s, a member there, named this address to act for it. If you know nothing of that, do nothing.",
        member=claimed.acts_for,
    )
    return ["", words]
