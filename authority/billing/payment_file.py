"""The file by which the department's bank pays: ISO 20022 pain.001.001.09, or CSV for banks that take none. Pure.

pain.001 is written as the European Payments Council's implementation guidelines for SEPA credit transfers (EPC132-08)
ask: one payment instruction, its totals stated and to be checked by the bank, charges shared, Latin letters alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from xml.etree import ElementTree

from authority.billing import spreadsheet
from authority.billing.money import Currency
from authority.figures import utc

PAIN_001, CSV = "pain.001", "csv"
FORMATS = (PAIN_001, CSV)
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
COLUMNS = ("reference", "holder", "account", "bank", "amount", "currency", "purpose", "date")
_LETTERS = {"Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Æ": "Ae", "æ": "ae",
            "Ø": "O", "ø": "o", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "&": "+"}  # fmt: skip
NAMELESS = "Member"
"""Who has no letter that SEPA takes; a bank goes by the IBAN."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer: micro-credits above 0, to an account (an IBAN, or a number with the bank's code)."""

    reference: str
    holder: str
    number: str
    bank: str
    amount: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Order:
    """What the department's bank is asked: `id` tells it from every other order, made_at is Unix seconds."""

    id: str
    made_at: int
    on: date
    debtor: str
    iban: str
    bic: str
    currency: Currency
    transfers: Sequence[Transfer]


def latin(text: str, most: int) -> str:
    """A text in the letters that every SEPA bank takes (EPC217-08); what it has no letter for is left out."""
    said = unicodedata.normalize("NFC", text)
    plain = unicodedata.normalize("NFKD", "".join(_LETTERS.get(each, each) for each in said))
    kept = " ".join(re.sub(r"[^A-Za-z0-9/?:().,'+ -]", "", plain).split())
    return re.sub(r"^[/ ]+|/{2,}|[/ ]+$", "", kept)[:most].strip(" /")


def pain_001(order: Order) -> bytes:
    """The order as pain.001.001.09."""
    ElementTree.register_namespace("", NAMESPACE)
    count = str(len(order.transfers))
    total = order.currency.plain(sum(each.amount for each in order.transfers))
    name = latin(order.debtor, 70) or NAMELESS
    root = ElementTree.Element(f"{{{NAMESPACE}}}Document")
    initiation = _in(root, "CstmrCdtTrfInitn")
    header = _in(initiation, "GrpHdr")
    _in(header, "MsgId", order.id)
    _in(header, "CreDtTm", utc(order.made_at))
    _in(header, "NbOfTxs", count)
    _in(header, "CtrlSum", total)
    _in(header, "InitgPty/Nm", name)
    payment = _in(initiation, "PmtInf")
    _in(payment, "PmtInfId", order.id)
    _in(payment, "PmtMtd", "TRF")
    _in(payment, "NbOfTxs", count)
    _in(payment, "CtrlSum", total)
    _in(payment, "PmtTpInf/SvcLvl/Cd", "SEPA")
    _in(payment, "ReqdExctnDt/Dt", order.on.isoformat())
    _in(payment, "Dbtr/Nm", name)
    _in(payment, "DbtrAcct/Id/IBAN", order.iban)
    agent = _in(payment, "DbtrAgt/FinInstnId")
    _in(agent, "BICFI", order.bic) if order.bic else _in(agent, "Othr/Id", "NOTPROVIDED")
    _in(payment, "ChrgBr", "SLEV")
    for each in order.transfers:
        transfer = _in(payment, "CdtTrfTxInf")
        _in(transfer, "PmtId/EndToEndId", each.reference)
        _in(transfer, "Amt/InstdAmt", order.currency.plain(each.amount)).set("Ccy", order.currency.code)
        if each.bank:
            _in(transfer, "CdtrAgt/FinInstnId/BICFI", each.bank)
        _in(transfer, "Cdtr/Nm", latin(each.holder, 70) or NAMELESS)
        _in(transfer, "CdtrAcct/Id/IBAN", each.number)
        _in(transfer, "RmtInf/Ustrd", latin(each.purpose, 140))
    ElementTree.indent(root)
    made: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return made


def _in(parent: ElementTree.Element, path: str, text: str | None = None) -> ElementTree.Element:
    """A new element below another, with those on the way to it."""
    for name in path.split("/"):
        parent = ElementTree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    parent.text = text
    return parent


def as_csv(order: Order) -> bytes:
    """The order as CSV (RFC 4180) in UTF-8, a row for each transfer; amounts with a decimal point."""
    plain, code, on = order.currency.plain, order.currency.code, order.on.isoformat()
    rows = (
        (each.reference, each.holder, each.number, each.bank, plain(each.amount), code, each.purpose, on)
        for each in order.transfers
    )
    return spreadsheet.table(COLUMNS, rows).encode()
