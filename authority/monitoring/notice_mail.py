"""Sending people what has changed for them: one mail for all of it, at most once a day, with the way to fewer."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from zoneinfo import ZoneInfo

from authority.app import App
from authority.figures import credits, kilowatt_hours
from authority.language.reading import current, gettext, reading
from authority.market.transfers import CREDIT
from authority.monitoring.delivery import Mail, UndeliveredError, headed
from authority.people import notices
from authority.people.notices import Change, Claimed
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)


def letter(app: App, claimed: Claimed) -> EmailMessage:
    """The mail of what changed, in the language that the person chose, else the site's."""
    with reading(claimed.language or app.home.settings.site.language):
        return _letter(app, claimed)


def _letter(app: App, claimed: Claimed) -> EmailMessage:
    settings = app.home.settings
    organisation, origin = settings.network.organisation, settings.web.origin
    subject = gettext("%(organisation)s: what has changed for you", organisation=organisation)
    if all(change.kind == notices.ANNOUNCEMENT for change in claimed.changes):
        subject = f"{organisation}: {claimed.changes[0].data['title']}"
    id = f"notices-{claimed.person_id}.{claimed.asked_at}"
    mail = headed(settings.alerts, claimed.address, subject, app.clock(), id)
    zone = ZoneInfo(settings.site.zone)
    lines = [f"{claimed.name},", ""]
    lines += [f"- {sentence(change, zone)}" for change in claimed.changes]
    lines += ["", gettext("More of it is on your pages:"), f"{origin}/me"]
    lines += ["", gettext("Which mails you get, you choose here:"), f"{origin}/account/mails", "", organisation, ""]
    mail.set_content("\n".join(lines))
    return mail


def sentence(change: Change, zone: ZoneInfo) -> str:
    """What a change is, in the language in which is read."""
    data, over = change.data, change.is_over
    if change.kind == notices.ORDER_PAUSED:
        return (
            gettext("Your standing order goes on.")
            if over
            else gettext("Your standing order rests: it neither buys nor sells until you let it go on.")
        )
    if change.kind == notices.ORDER_REFUSED:
        return (
            gettext("Your standing order is placed again.")
            if over
            else gettext(
                "Your standing order cannot be placed: the market refuses it (%(why)s). The department knows of it.",
                why=data["why"],
            )
        )
    if change.kind == notices.METER_SILENT:
        meter = data["meter"]
        if over:
            return gettext("The meter %(meter)s is heard again.", meter=meter)
        last = datetime.fromtimestamp(int(data["last"]), zone)
        return gettext(
            "The meter %(meter)s has sent no reading since %(last)s (%(zone)s). What it measures is not lost as long "
            "as it runs, but neither sold nor billed before it comes.",
            meter=meter,
            last=current().dates.written(last, "%-d %B %Y, %H:%M"),
            zone=zone,
        )
    if change.kind == notices.DISPUTE_ANSWERED:
        if data["closed"]:
            return gettext("Your dispute %(ticket)s was closed. Its page says how.", ticket=data["ticket"])
        return gettext("The department answered your dispute %(ticket)s.", ticket=data["ticket"])
    if change.kind == notices.GIFT_RECEIVED:
        if data["asset"] == CREDIT:
            return gettext(
                "You were given %(credits)s credits. My wallet says by whom.", credits=credits(data["amount"])
            )
        return gettext("You were given %(energy)s. My wallet says by whom.", energy=kilowatt_hours(data["amount"]))
    if change.kind == notices.REQUEST_DECIDED:
        return _decision(str(data["about"]), refused=bool(data["refused"]))
    if change.kind == notices.ANNOUNCEMENT:
        ends = datetime.fromtimestamp(int(data["ends_at"]), zone)
        told = gettext(
            "The department announces, until %(ends)s (%(zone)s): %(title)s",
            ends=current().dates.written(ends, "%-d %B %Y, %H:%M"),
            zone=zone,
            title=data["title"],
        )
        return "\n".join([told, *(f"  {line}" for line in data["text"].split("\n"))])
    least = credits(int(data["least"]))
    if over:
        return gettext("You have %(least)s credits or more in the market again.", least=least)
    return gettext(
        "You have %(credit)s credits left in the market, less than %(least)s: when they are used up, your standing "
        "order buys nothing.",
        credit=credits(int(data["credit"])),
        least=least,
    )


def _decision(about: str, *, refused: bool) -> str:
    """What the department decided on what a person had asked for."""
    if about == "wallet":
        if refused:
            return gettext("The wallet that you asked for was refused. My wallet says why.")
        return gettext("The wallet that you asked for was approved. My wallet says when it takes over.")
    if refused:
        return gettext("Your wish to leave was refused. Its page, under Account, says why.")
    return gettext("Your wish to leave was approved. Its page, under Account, says what happens next.")


def send_due(app: App, mail: Mail) -> int:
    """Send what is due, until the relay takes nothing; how many it took."""
    sent = 0
    while (claimed := notices.claim(app)) is not None:
        try:
            mail.send(letter(app, claimed))
        except UndeliveredError as error:
            notices.failed(app, claimed, str(error), refused=error.refused)
            LOG.warning("a person was not mailed what has changed", reason=str(error))
            if not error.refused:
                break
        else:
            notices.delivered(app, claimed)
            sent += 1
    return sent
