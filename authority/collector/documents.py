"""JSON that comes from outside, no wider than what every store takes.

json.loads takes NaN, Infinity and 1e999, which PostgreSQL's json refuses; and text with a NUL or half a surrogate pair,
which no text column takes. What one database keeps and another does not is refused here, before it is anybody's.
"""

from __future__ import annotations

import json
import math
from typing import NoReturn

from authority.refusals import MalformedError


def read_json(data: bytes) -> object:
    """A document's value; RefusalError `malformed`."""
    try:
        value: object = json.loads(data, parse_constant=_no_number)
        _check(value)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the body is not JSON that can be kept: {error}") from error
    return value


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _check(value: object) -> None:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left += item.keys()
            left += item.values()
        elif isinstance(item, list):
            left += item
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError("a number in it is too large")
        elif isinstance(item, str) and ("\0" in item or not _encodable(item)):
            raise ValueError("a text in it has a NUL, or half a character")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
