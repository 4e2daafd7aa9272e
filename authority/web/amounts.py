"""Amounts as people type them, with a point or a comma: to whole base units, without floats."""

from __future__ import annotations

import re

from authority.errors import AuthorityError

_NUMBER = re.compile(r"(\d{1,12})(?:[.,](\d{1,9}))?")


class AmountInvalidError(AuthorityError):
    """A text that is no amount, or one with more decimals than there are."""

    code = "amount_text_invalid"


def parse(text: str, decimals: int, what: str) -> int | None:
    """A typed amount in its base unit (10^-decimals); None for an empty field. AmountInvalidError."""
    text = "".join(text.split())
    if not text:
        return None
    found = _NUMBER.fullmatch(text)
    rest = (found[2] or "").rstrip("0") if found else ""
    if found is None or len(rest) > decimals:
        raise AmountInvalidError(f"{what}: write a number such as 0.25, with {decimals} decimals at most")
    return int(found[1] + rest.ljust(decimals, "0"))


def written(value: int | None, decimals: int) -> str:
    """A base unit's number as it is typed again; empty for None."""
    if value is None:
        return ""
    whole, rest = divmod(value, 10**decimals)
    text = f"{rest:0{decimals}d}".rstrip("0")
    return f"{whole}.{text}" if text else str(whole)
