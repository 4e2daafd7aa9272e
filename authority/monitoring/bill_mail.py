"""Sending the bills that the treasurer has asked to be mailed: each to one person, with the bill as PDF."""

from __future__ import annotations

from email.message import EmailMessage
from zoneinfo import ZoneInfo

from authority.app import App
from authority.billing import mailing, paper, views
from authority.billing.errors import BillChangedError
from authority.billing.mailing import Claimed
from authority.figures import credits
from authority.language.reading import gettext, reading
from authority.monitoring.delivery import Mail, UndeliveredError, headed
from authority.store.billing import IssuedBill
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)


def letter(app: App, claimed: Claimed) -> EmailMessage:
    """The mail of a bill, in its reader's language; BillingError `bill_changed`."""
    with reading(claimed.language or app.home.settings.site.language):
        return _letter(app, claimed)


def _letter(app: App, claimed: Claimed) -> EmailMessage:
    settings, bill = app.home.settings, claimed.bill
    organisation, origin = settings.network.organisation, settings.web.origin
    id = f"bill-{bill.number}.{claimed.id}.{claimed.asked_at}"  # a repetition has the same
    values = {"organisation": organisation, "number": bill.number, "member": claimed.member}
    subject = gettext("%(organisation)s: energy bill %(number)s", **values)
    mail = headed(settings.alerts, claimed.address, subject, app.clock(), id)
    attached = gettext(
        "the energy bill %(number)s of %(member)s is attached: %(due)s.", due=paper.due_of(bill.due), **values
    )
    lines = [f"{claimed.name},", "", attached]
    for words in _corrections(app, bill):
        lines += ["", words]
    if origin:
        lines += ["", gettext("On the pages each line of it is explained:"), f"{origin}/me/bills/{bill.number}"]
        lines += ["", gettext("Which mails you get, you choose here:"), f"{origin}/account/mails"]
    mail.set_content("\n".join((*lines, "", organisation, "")))
    data = paper.bill_pdf(bill, claimed.member, organisation, ZoneInfo(settings.site.zone), settings.billing)
    mail.add_attachment(data, maintype="application", subtype="pdf", filename=f"bill-{bill.number}.pdf")
    return mail


def _corrections(app: App, bill: IssuedBill) -> list[str]:
    """What was corrected since it was issued, which the bill itself does not say: for a mail that is sent again."""
    with app.store.read() as session:
        found = views.corrections_of(session, bill)
    said = []
    for each in found:
        values = {"line": each.line, "amount": credits(abs(each.amount)), "reason": each.reason}
        if each.amount < 0:
            words = gettext(
                "Line %(line)s of it is corrected: you pay %(amount)s credits less. The reason: %(reason)s", **values
            )
        else:
            words = gettext(
                "Line %(line)s of it is corrected: you pay %(amount)s credits more. The reason: %(reason)s", **values
            )
        if each.on_bill is None:
            where = gettext("The correction is on your next bill.")
        else:
            where = gettext("The correction is on bill %(bill)s.", bill=each.on_bill)
        said.append(f"{words}\n{where}")
    return said


def send_due(app: App, mail: Mail) -> int:
    """Send what is due, until the relay takes nothing; how many it took."""
    sent = 0
    while (claimed := mailing.claim(app)) is not None:
        try:
            mail.send(letter(app, claimed))
        except (UndeliveredError, BillChangedError) as error:
            refused = not isinstance(error, UndeliveredError) or error.refused
            mailing.failed(app, claimed.id, str(error), refused=refused)
            LOG.warning("a bill was not mailed", bill=claimed.bill.number, reason=str(error))
            if not refused:
                break
        else:
            mailing.delivered(app, claimed.id)
            sent += 1
    return sent
