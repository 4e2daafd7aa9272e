"""Meters that push values by position: one JSON file for each, which this package finds by itself.

{"meter": "what it is", "source": "where the layout is published",
 "first": "KFM_001",                     what tells it by its first value:
                                         "KFM_001"  this text            "ISK*"  a text that starts so
                                         "#"        a text of digits     "0-6:25.9.0.255"  this code as six bytes
                                         "@"        a date-time          null              nothing does
 "lists": [[                             each list that the meter sends, told apart by its length and types:
    ["1-0:1.7.0.255", 0, "W", "uint32"], OBIS code, power of ten, unit (or null), A-XDR type (may be left out)
    [null, 0, null, "uint16"],           a value that has no OBIS code
    null                                 the same, of any type
 ]]}

Where nothing in a list tells the meter by name, give the types of all its values: they are then its only mark.
"""

from __future__ import annotations

import json
import os

from edge_agent.dlms.axdr import (
    ARRAY,
    BOOLEAN,
    ENUM,
    INT8,
    INT16,
    INT32,
    INT64,
    OCTET_STRING,
    STRUCTURE,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    VISIBLE_STRING,
)
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.obis import obis_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_agent.dlms.axdr import Data

    Column = tuple[str, int, str | None]

TYPES = {
    "array": ARRAY,
    "boolean": BOOLEAN,
    "enum": ENUM,
    "int8": INT8,
    "int16": INT16,
    "int32": INT32,
    "int64": INT64,
    "octet-string": OCTET_STRING,
    "uint8": UINT8,
    "uint16": UINT16,
    "uint32": UINT32,
    "uint64": UINT64,
    "visible-string": VISIBLE_STRING,
}
_DIGITS = b"0123456789"


class Layout:
    """The columns of one list: (OBIS code, power of ten, unit), or None for a value without a code.

    `types` are the values' A-XDR tags, None where any will do; `first` is what the description says of the first value.
    """

    __slots__ = ("columns", "first", "types")

    def __init__(self, columns: list[Column | None], types: list[int | None], first: str | None) -> None:
        self.columns = columns
        self.types = types
        self.first = first

    def fits(self, items: list[Data]) -> bool:
        """Whether a pushed list, of as many values as there are columns, is this one."""
        for kind, item in zip(self.types, items):  # noqa: B905 - MicroPython
            if kind is not None and item[0] != kind:
                return False
        if self.first is None:
            return True
        tag, value = items[0]
        if tag not in (OCTET_STRING, VISIBLE_STRING):
            return False
        if self.first == "#":
            return len(value) > 0 and all(byte in _DIGITS for byte in value)
        if self.first == "@":
            return len(value) == 12 and _is_time(value)
        if ":" in self.first:
            return bool(value == obis_bytes(self.first))
        if self.first.endswith("*"):
            return bool(value.startswith(self.first[:-1].encode()))
        return bool(value == self.first.encode())


def _is_time(value: bytes) -> bool:
    try:
        return ClockTime.from_bytes(value).iso() is not None
    except DecodeError:
        return False


def _layout(first: str | None, description: list[Any]) -> Layout:
    columns: list[Column | None] = []
    types: list[int | None] = []
    for column in description:
        types.append(TYPES[column[3]] if column is not None and len(column) > 3 else None)
        columns.append(None if column is None or column[0] is None else (column[0], column[1], column[2]))
    return Layout(columns, types, first)


def load() -> dict[int, list[Layout]]:
    """Every described list, by its length."""
    folder = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
    layouts: dict[int, list[Layout]] = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json"):
            with open(folder + "/" + name, encoding="utf-8") as file:
                description: Any = json.load(file)
            for columns in description["lists"]:
                layouts.setdefault(len(columns), []).append(_layout(description["first"], columns))
    return layouts


_LAYOUTS: dict[int, list[Layout]] = {}


def find_layout(body: Data) -> Layout | None:
    """The layout of a pushed Data, or None where it names its values itself or is not described."""
    if body[0] != STRUCTURE or not body[1]:
        return None
    if not _LAYOUTS:
        _LAYOUTS.update(load())
    items = body[1]
    for layout in _LAYOUTS.get(len(items), ()):
        if layout.fits(items):
            return layout
    return None
