"""A bill on paper: a tagged PDF (PDF/UA-1, ISO 14289-1), whose every figure is that of the bill's document.

It is set by Typst from bill.typ, in the language in which is read. The same bill in the same language gives the same
bytes on a machine with the same fonts. The bill itself is its document, which no language changes.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import typst

from authority.billing import views
from authority.billing.money import Currency, reference_in, spaced
from authority.billing.payment_qr import PaymentCode, payment_code
from authority.figures import credits, credits_per_kwh, kilowatt_hours
from authority.home.settings import BillingSettings
from authority.language.reading import FONTS, current, gettext
from authority.store.billing import IssuedBill

_TEMPLATE = Path(__file__).with_name("bill.typ")
_NO_GLYPH = re.compile(r'the text (?:contains the disallowed codepoint )?`"(.*)"`', re.DOTALL)
MISSING = "?"
"""What stands for a character that no font of this machine has."""


def bill_pdf(bill: IssuedBill, name: str, organisation: str, zone: ZoneInfo, billing: BillingSettings) -> bytes:
    """An issued bill as PDF: name is the member's, organisation who issues it, times are those of the zone.

    billing says in which currency it is paid, and to which account.

    BillingError `bill_changed` where the bill is not as it was issued.
    """
    return pdf(_TEMPLATE, _said(bill, views.document_of(bill), name, organisation, zone, billing), bill.issued_at)


def pdf(template: Path, said: Mapping[str, Any], at: int) -> bytes:
    """Texts set by a Typst template, which has them as JSON in `sys.inputs.said`; at is the PDF's moment."""
    missing: set[str] = set()
    while True:
        try:
            return _compiled(template, json.dumps(_without(said, missing)), at)
        except typst.TypstError as error:
            found = _NO_GLYPH.search(error.message)
            more = set(_characters(found[1])) - missing if found else set()
            if not more:
                raise
            missing |= more


def _characters(quoted: str) -> str:
    """The characters that Typst names, some of them as \\u{1f600}."""
    return re.sub(r"\\u\{([0-9a-f]+)\}", lambda code: chr(int(code[1], 16)), quoted)


def _without(value: Any, missing: set[str]) -> Any:
    """The same texts, without characters that cannot be shown."""
    if isinstance(value, str):
        return "".join(MISSING if each in missing else each for each in value)
    if isinstance(value, dict):
        return {key: _without(each, missing) for key, each in value.items()}
    return [_without(each, missing) for each in value]


def _compiled(template: Path, text: str, at: int) -> bytes:
    made: bytes = typst.compile(
        template.read_bytes(),
        format="pdf",
        font_paths=_fonts(),
        sys_inputs={"said": text},
        pdf_standards=["ua-1"],
        timestamp=at,
    )
    return made


@functools.cache
def _fonts() -> typst.Fonts:
    """Typst's own fonts, ours for Thai, and the machine's for scripts that those lack."""
    return typst.Fonts(font_paths=[FONTS])


def _said(
    bill: IssuedBill,
    document: Mapping[str, Any],
    name: str,
    organisation: str,
    zone: ZoneInfo,
    billing: BillingSettings,
) -> dict[str, Any]:
    """What stands on the paper: texts alone."""
    seconds, total = document["epoch_seconds"], views.sum_of(document)
    starts, ends = (moment(document[edge] * seconds, zone) for edge in ("first_epoch", "end_epoch"))
    due, currency = document["due"], Currency.of(billing)
    payable, reference = currency.payable(due), reference_in(document)
    moved = gettext(
        "%(credits)s credits moved already, in the market or on the chain, and are not in it.",
        credits=credits(total.moved),
    )
    return {
        "language": current().code,
        "title": gettext("Bill %(number)s", number=bill.number),
        "description": gettext(
            "Bill %(number)s for campus energy, billing period %(period)s", number=bill.number, period=bill.period
        ),
        "organisation": organisation,
        "member": name,
        "facts": [
            [gettext("Member"), name],
            [
                gettext("Billing period"),
                gettext(
                    "%(period)s: %(starts)s to %(ends)s (%(zone)s)",
                    period=bill.period,
                    starts=starts,
                    ends=ends,
                    zone=zone,
                ),
            ],
            [gettext("Issued"), moment(bill.issued_at, zone)],
            [gettext("Account"), bill.wallet],
            [gettext("Payment reference"), spaced(reference)],
        ],
        "due": due_of(due),
        "money": _money(currency, payable, spaced(reference)),
        "code": _code(payment_code(billing, organisation, payable, reference)),
        "moved": moved if total.moved else "",
        "lines": [_line(line) for line in document["lines"]],
        "total": credits(due),
        "notes": [
            gettext("Amounts are campus credits: positive where the member pays, negative where it is paid."),
            gettext("What is wrong with a line is corrected by a line of the next bill; this bill stays as it is."),
        ],
        "proof": gettext(
            "The document of this bill is entry %(log_index)s of the department's log, network %(network)s, by its "
            "SHA-256:",
            log_index=bill.log_index,
            network=document["network"],
        ),
        "sha256": bill.sha256.hex(),
        "words": {
            "page": gettext("page"),
            "of": gettext("of"),
            "lines": gettext("Lines"),
            "columns": [
                gettext("Line"), gettext("For"), gettext("Energy"), gettext("Credits per kWh"), gettext("Credits"),
            ],
            "due": gettext("Due"),
            "check": gettext("How to check this bill"),
        },
    }  # fmt: skip


def due_of(due: int) -> str:
    """What is due in one sentence: micro-credits, positive where the member pays."""
    if due < 0:
        return gettext("%(credits)s credits are paid to you", credits=credits(-due))
    return gettext("%(credits)s credits to pay", credits=credits(due))


def _money(currency: Currency, payable: int, reference: str) -> str:
    """What is paid by bank, and how; empty where nothing is, or the site has no currency."""
    if not currency.code or not payable:
        return ""
    if payable < 0:
        return gettext("By bank you get %(amount)s.", amount=currency.text(-payable))
    return gettext(
        "By bank please pay %(amount)s, with the reference %(reference)s.",
        amount=currency.text(payable),
        reference=reference,
    )


def _code(code: PaymentCode | None) -> dict[str, str]:
    """The code to scan, and in words what it says; empty where there is none."""
    if code is None:
        return {}
    to = f"{code.holder}, {spaced(code.account) if code.kind == 'SEPA' else code.account}"
    return {
        "drawing": code.svg(),
        "words": gettext(
            "A banking app that scans this %(kind)s code has it all filled in: to %(to)s.", kind=code.kind, to=to
        ),
        "instead": gettext(
            "%(kind)s code of this payment: to %(to)s. The amount and the reference stand beside it.",
            kind=code.kind,
            to=to,
        ),
    }


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    words = views.words_of(line)
    notes = [line["reason"]] if line["reason"] else []
    if line["paid"] and line["amount"]:
        notes.append(gettext("moved already"))
    return {
        "number": str(line["line"]),
        "words": words[0].upper() + words[1:],
        "notes": notes,
        "energy": kilowatt_hours(line["wh"]) if line["wh"] else "",
        "price": credits_per_kwh(line["price"]) if line["price"] is not None else "",
        "amount": credits(line["amount"]) if line["amount"] else "",
    }


def moment(seconds: int, zone: ZoneInfo) -> str:
    """A moment on paper, in the language in which is read."""
    return current().dates.written(datetime.fromtimestamp(seconds, zone), "%-d %B %Y, %H:%M")
