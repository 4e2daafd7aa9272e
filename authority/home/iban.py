"""Numbers of bank accounts (IBAN, ISO 13616) and banks (BIC, ISO 9362), and the check digits that IBANs have.

Check digits are those of ISO 7064, MOD 97-10, which payment references (ISO 11649) have too.
"""

from __future__ import annotations

import re

SEPA_LENGTHS = {
    "AD": 24, "AL": 28, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15,
    "PL": 28, "PT": 25, "RO": 24, "RS": 22, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "VA": 22,
}  # fmt: skip
"""How long an IBAN is, by country, where SEPA's credit transfers reach (IBAN registry; EPC409-09)."""


def remainder(text: str) -> int:
    """The remainder by 97 of a text of digits and capitals, a capital read as 10 to 35."""
    return int("".join(str(int(each, 36)) for each in text)) % 97


def compact(text: str) -> str:
    """A number without spaces and dashes, in capitals."""
    return re.sub(r"[\s-]", "", text).upper()


def is_iban(number: str) -> bool:
    """Whether a compact number is an IBAN: its form, its length where that is known, and its check digits."""
    if re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", number) is None:
        return False
    return len(number) == SEPA_LENGTHS.get(number[:2], len(number)) and remainder(number[4:] + number[:4]) == 1


def is_sepa(number: str) -> bool:
    """Whether it is an IBAN that SEPA's credit transfers reach."""
    return is_iban(number) and number[:2] in SEPA_LENGTHS


def is_bic(code: str) -> bool:
    """Whether it has the form of a bank's BIC (ISO 9362)."""
    return re.fullmatch(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?", code) is not None
