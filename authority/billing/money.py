"""Money outside the chain: the site's currency, what of a bill is paid in it, and the reference that a payment names.

One credit is one unit of the currency. Amounts are micro-credits here as everywhere; a bank moves whole minor units
(cents), so what is due is rounded to one, always to the member's favour.

The reference is a creditor reference by ISO 11649: `RF`, two check digits, four hex digits of the network's id and
eight of the bill's number, so bills of another deployment are not mistaken for this one's. It follows from the bill's
document alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authority.billing.errors import CurrencyUnsetError
from authority.figures import MINUS, credits, grouped
from authority.home.iban import remainder
from authority.home.settings import BillingSettings

MICRO_DIGITS = 6
_DIGITS = {
    0: ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"),
    3: ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"),
}
"""The currencies that have not two decimals (ISO 4217), by how many they have."""
_NETWORK_DIGITS, _NUMBER_DIGITS = 4, 8


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency by its ISO 4217 code; the empty code stands for none, and its amounts are credits."""

    code: str = ""

    @classmethod
    def of(cls, settings: BillingSettings) -> Currency:
        """The site's currency; of the empty code where none is set."""
        return cls(settings.currency)

    @classmethod
    def required(cls, settings: BillingSettings) -> Currency:
        """The site's currency; BillingError `currency_unset`."""
        if not settings.currency:
            raise CurrencyUnsetError('say in which currency members pay: currency = "EUR" under [billing]')
        return cls(settings.currency)

    @property
    def digits(self) -> int:
        """How many decimals an amount of it has."""
        if not self.code:
            return MICRO_DIGITS
        return next((digits for digits, codes in _DIGITS.items() if self.code in codes), 2)

    @property
    def unit(self) -> int:
        """Its smallest amount, micro-credits."""
        scale: int = 10 ** (MICRO_DIGITS - self.digits)
        return scale

    def payable(self, due: int) -> int:
        """What is paid of an amount that is due: whole minor units, to the member's favour. Both in micro-credits."""
        return due // self.unit * self.unit

    def plain(self, amount: int) -> str:
        """An amount of whole minor units as files have it: -12.30."""
        units, rest = divmod(abs(amount) // self.unit, 10**self.digits)
        return f"{'-' if amount < 0 else ''}{units}" + (f".{rest:0{self.digits}d}" if self.digits else "")

    def text(self, amount: int) -> str:
        """An amount as people read it: 1 234.50 EUR; in credits where there is no currency."""
        if not self.code:
            return f"{credits(amount)} credits"
        units, rest = divmod(abs(amount) // self.unit, 10**self.digits)
        sign = MINUS if amount < 0 else ""
        return f"{sign}{grouped(units)}" + (f".{rest:0{self.digits}d}" if self.digits else "") + f" {self.code}"


def check_digits(text: str) -> str:
    """The two digits by ISO 7064 MOD 97-10 that make `text` (digits and capitals) right when they follow it."""
    return f"{98 - remainder(text + '00'):02d}"


def reference_of(network_id: bytes, number: int) -> str:
    """The reference that a payment of this bill names, as computers write it: sixteen letters and digits."""
    tail = f"{_prefix(network_id)}{number:0{_NUMBER_DIGITS}d}"
    return f"RF{check_digits(tail + 'RF')}{tail}"


def reference_in(document: Mapping[str, Any]) -> str:
    """The reference of a bill by its document."""
    return reference_of(bytes.fromhex(document["network"]), document["number"])


def spaced(reference: str) -> str:
    """A reference, or an account's number, as people read it: in groups of four."""
    return " ".join(reference[at : at + 4] for at in range(0, len(reference), 4))


@dataclass(frozen=True, slots=True)
class Named:
    """The bills that a payment's text names, each once and in order, and whether a reference has a wrong digit."""

    bills: tuple[int, ...]
    mistyped: bool = False


def named_in(text: str, network_id: bytes) -> Named:
    """The bills whose references stand in a text, however they are spaced and in whichever case."""
    compact = re.sub(r"[^A-Z0-9]", "", text.upper())
    pattern = rf"(?=RF(\d\d)({_prefix(network_id)}(\d{{{_NUMBER_DIGITS}}})))"
    found = list(re.finditer(pattern, compact))
    right = [match for match in found if remainder(f"{match[2]}RF{match[1]}") == 1]
    return Named(tuple(dict.fromkeys(int(match[3]) for match in right)), len(right) < len(found))


def _prefix(network_id: bytes) -> str:
    return network_id.hex()[:_NETWORK_DIGITS].upper()
