"""What a bank's app scans of a bill: the payee's account, the amount and the bill's reference, in one code. Pure.

In euros it is the European Payments Council's code for a SEPA credit transfer (EPC069-12, version 002, "BCD"), in baht
a Thai QR of the bill payment kind (EMVCo's merchant-presented form, the Bank of Thailand's template 30). There is none
in other currencies, for there is none that their banks share.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import segno

from authority.billing.money import Currency
from authority.billing.payment_file import latin
from authority.home.iban import compact, is_sepa
from authority.home.settings import BillingSettings

EURO, BAHT = "EUR", "THB"
MOST_CENTS = 99_999_999_999
"""Of one SEPA credit transfer."""
MOST_BYTES, LARGEST_VERSION = 331, 13
"""What EPC069-12 allows of a code: its bytes, and the size of the symbol that holds them at level M."""
OUTSIDE_THE_EEA = ("AD", "AL", "CH", "GB", "GI", "MC", "MD", "ME", "MK", "RS", "SM", "VA")
"""Countries of SEPA where an IBAN does not go without the bank's BIC."""
BILL_PAYMENT = "A000000677010112"
_BAHT_NUMBER = "764"


@dataclass(frozen=True, slots=True)
class PaymentCode:
    """A code to scan: what it is called, what it says, and where the money goes, as people read it."""

    kind: str
    text: str
    holder: str
    account: str

    def svg(self) -> str:
        """The code as a drawing of its own, for paper."""
        out = io.BytesIO()
        self._symbol().save(out, kind="svg", scale=4, border=4, dark="#000", light="#fff", xmldecl=False)
        return out.getvalue().decode()

    def inline(self) -> str:
        """The code as a drawing inside a page."""
        drawn: str = self._symbol().svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=True)
        return drawn

    def _symbol(self) -> segno.QRCode:
        return segno.make(self.text, error="m", micro=False, encoding="utf-8", boost_error=False)


def payment_code(billing: BillingSettings, payee: str, amount: int, reference: str) -> PaymentCode | None:
    """The code for an amount (micro-credits, whole minor units of money); None where there is nothing to scan.

    payee is who is paid, by name. None: nothing is to be paid, the currency has no such code, or authority.toml does
    not say to which account.
    """
    currency = Currency.of(billing)
    if amount <= 0:
        return None
    if currency.code == EURO and is_sepa(compact(billing.iban)):
        return _sepa(billing, payee, amount, reference)
    if currency.code == BAHT and billing.promptpay:
        return _promptpay(billing.promptpay, payee, currency.plain(amount), reference)
    return None


def _sepa(billing: BillingSettings, payee: str, amount: int, reference: str) -> PaymentCode | None:
    iban, name, currency = compact(billing.iban), latin(payee, 70), Currency(EURO)
    if amount // currency.unit > MOST_CENTS or not name or (iban[:2] in OUTSIDE_THE_EEA and not billing.bic):
        return None
    lines = ("BCD", "002", "1", "SCT", billing.bic, name, iban, f"{EURO}{currency.plain(amount)}", "", reference)
    return PaymentCode("SEPA", "\n".join(lines), name, iban)


def _promptpay(biller: str, payee: str, amount: str, reference: str) -> PaymentCode:
    account = _fields((("00", BILL_PAYMENT), ("01", biller), ("02", reference)))
    said = _fields((("00", "01"), ("01", "12"), ("30", account), ("53", _BAHT_NUMBER), ("54", amount), ("58", "TH")))
    said += "6304"  # the checksum's own field is part of what it checks
    return PaymentCode("PromptPay", f"{said}{checksum(said):04X}", payee, biller)


def _fields(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{name}{len(value):02d}{value}" for name, value in pairs)


def checksum(text: str) -> int:
    """CRC-16/CCITT-FALSE (ISO/IEC 13239: polynomial 0x1021, initial 0xFFFF), as EMVCo's codes end with."""
    value = 0xFFFF
    for byte in text.encode():
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value
