"""Meters that push values without saying what they are: one JSON file for each, which this package finds by itself.

More files may lie in a folder of one's own, which `add_folder` names; they come first.

{"meter": "what it is", "source": "where the layout is published",
 "first": "KFM_001",                     what tells it by its first value:
                                         "KFM_001"  this text            "ISK*"  a text that starts so
                                         "#"        a text of digits     "0-6:25.9.0.255"  this code as six bytes
                                         "@"        a date-time          null              nothing does
 "lists": [[                             each list that the meter sends, told apart by its length and types:
    ["1-0:1.7.0.255", 0, "W", "uint32"], OBIS code, power of ten, unit (or null), A-XDR type (may be left out)
    [null, 0, null, "uint16"],           a value that has no OBIS code
    null                                 the same, of any type
 ]],
 "codes": {                              of lists that name their values, and state no scaler and unit; those of `lists`
    "1-0:1.7.0.255": [0, "W"],           count here as well. Without A and B (`1.7.0.255`) a code is of any channel
    "31.7.0.255": [-2, "A", 35],         in lists of at most 35 items
    "32.7.0.255": [0, "V", null, 1000]   up to a value of 1000; a greater one counts in another unit, nobody says which
 }}

Where nothing in a list tells the meter by name, give the types of all its values: they are then its only mark. What is
unknown about a value (which unit?) is left out: then nobody takes it for something else.
"""

from __future__ import annotations

import json
import os

from edge_agent.dlms.axdr import (
    ARRAY,
    BOOLEAN,
    ENUM,
    FLOAT32,
    FLOAT64,
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
from edge_agent.errors import EdgeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_agent.dlms.axdr import Data

    Column = tuple[str, int, str | None]
    Scales = dict[str, tuple[int, str | None, int, int]]

TYPES = {
    "array": ARRAY,
    "boolean": BOOLEAN,
    "enum": ENUM,
    "float32": FLOAT32,
    "float64": FLOAT64,
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
_ANY = 1 << 64


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


class LayoutError(EdgeError):
    """A file that describes no layout; the message names it and what is wrong."""

    code = "layout_invalid"


class Described:
    """What the files say: every list by its length, and scalers and units by the mark of the meters that send codes."""

    def __init__(self) -> None:
        self.lists: dict[int, list[Layout]] = {}
        self.scales: dict[bytes, Scales] = {}

    def read(self, folder: str) -> None:
        """Take every file of a folder; LayoutError for one that is not a description."""
        for name in sorted(os.listdir(folder)):
            if name.endswith(".json"):
                path = folder + "/" + name
                try:
                    with open(path, encoding="utf-8") as file:
                        self._take(json.load(file))
                except (ValueError, KeyError, TypeError, IndexError, AttributeError, OSError) as error:
                    raise LayoutError("the layout file %s cannot be used: %r" % (path, error)) from error  # noqa: UP031

    def _take(self, description: Any) -> None:
        first = description["first"]
        scales: Scales = {}
        for columns in description.get("lists", ()):
            layout = _layout(first, columns)
            self.lists.setdefault(len(columns), []).append(layout)
            for column in layout.columns:
                if column is not None and column[2] is not None:
                    scales[column[0]] = (column[1], column[2], _ANY, _ANY)
        for code, scale in description.get("codes", {}).items():
            longest, most = (list(scale[2:]) + [None, None])[:2]
            scales[code] = (int(scale[0]), scale[1], longest or _ANY, most or _ANY)
        # Only a text is a mark that tells a meter which names its values.
        if scales and first is not None and first[:1] not in ("#", "@") and ":" not in first and first[-1:] != "*":
            self.scales.setdefault(first.encode(), {}).update(scales)


_OWN_FOLDER = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
_ADDED: list[str] = []
_described: list[Described] = []


def add_folder(folder: str) -> None:
    """Look for layouts in this folder as well, where it exists, before those that come with the program.

    LayoutError for a file in it that cannot be used.
    """
    if folder in _ADDED:
        return
    try:
        os.listdir(folder)
    except OSError:
        return
    Described().read(folder)
    _ADDED.append(folder)
    _described.clear()


def _all() -> Described:
    if not _described:
        found = Described()
        for folder in _ADDED + [_OWN_FOLDER]:
            found.read(folder)
        _described.append(found)
    return _described[0]


def load() -> Described:
    """What the files of this package say."""
    found = Described()
    found.read(_OWN_FOLDER)
    return found


def find_layout(body: Data) -> Layout | None:
    """The layout of a pushed Data, or None where it names its values itself or is not described."""
    if body[0] != STRUCTURE or not body[1]:
        return None
    items = body[1]
    for layout in _all().lists.get(len(items), ()):
        if layout.fits(items):
            return layout
    return None


def coded_scales(items: list[Data]) -> Scales:
    """Scaler and unit, the longest list and the greatest value for which they hold, by code, of a list that names its
    values, by the mark among its first ones; none where it has no mark that a file names."""
    scales = _all().scales
    for tag, value in items[:3]:
        if tag == STRUCTURE and len(value) == 2:
            tag, value = value[1]  # noqa: PLW2901
        if tag in (OCTET_STRING, VISIBLE_STRING) and value in scales:
            return scales[value]
    return {}
