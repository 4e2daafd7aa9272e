"""Meters that push values by position: one JSON file for each, which this package finds by itself.

{"meter": "what it is", "source": "where the layout is published",
 "first": "KFM_001",                 the text of the first value, or null where there is none to tell it by
 "lists": [[                         each list that the meter sends, told apart by its length:
    ["1-0:1.7.0.255", 0, "W"],       OBIS code, power of ten, unit (or null)
    null                             a value that has no OBIS code
 ]]}
"""

from __future__ import annotations

import json
import os

from edge_agent.dlms.axdr import OCTET_STRING, STRUCTURE, VISIBLE_STRING, is_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_agent.dlms.axdr import Data


class Layout:
    """The columns of one list: (OBIS code, power of ten, unit), or None for a value without a code."""

    __slots__ = ("columns",)

    def __init__(self, columns: list[tuple[str, int, str | None] | None]) -> None:
        self.columns = columns


def _load() -> dict[tuple[bytes | None, int], Layout]:
    folder = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
    layouts = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json"):
            with open(folder + "/" + name, encoding="utf-8") as file:
                description: Any = json.load(file)
            first = description["first"]
            key = None if first is None else first.encode("utf-8")
            for columns in description["lists"]:
                parsed = [None if column is None else (column[0], column[1], column[2]) for column in columns]
                layouts[(key, len(columns))] = Layout(parsed)
    return layouts


_LAYOUTS: dict[tuple[bytes | None, int], Layout] = {}


def find_layout(body: Data) -> Layout | None:
    """The layout of a pushed Data, or None where it names its values itself."""
    if body[0] != STRUCTURE or not body[1]:
        return None
    first = body[1][0]
    if first[0] in (OCTET_STRING, VISIBLE_STRING):
        key: bytes | None = bytes(first[1])
    elif is_integer(first) and len(body[1]) == 1:
        key = None
    else:
        return None
    if not _LAYOUTS:
        _LAYOUTS.update(_load())
    return _LAYOUTS.get((key, len(body[1])))
