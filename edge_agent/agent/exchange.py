"""A meter was exchanged: its entry in gateway.toml gets the new device's serial, name and offsets, and nothing else
changes.

The file is a person's, with comments and an order of its own, so lines of one [[meter]] are replaced and the rest stays
byte for byte. What comes out is parsed and compared with what should have come out before anything is written.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from edge_agent.config import ConfigError, parse_config
from edge_agent.errors import EdgeError
from edge_agent.wire.toml import read_text, value_text

_HEADER = re.compile(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(#.*)?")


class EditError(EdgeError):
    """gateway.toml is written in a way in which one entry cannot be changed by itself."""

    code = "file_not_edited"


def exchanged(path: Path, text: str, meter: str, serial: str, device: str, offsets: Mapping[str, int]) -> str:
    """The file's new text; ConfigError where it is no good before or after, EditError where it has to be done by
    hand.

    device is the new meter's own name for itself, offsets are those that `authority meters exchange` printed, in Wh.
    """
    before = read_text(text, partial(ConfigError, path))
    parse_config(path, before).meter(meter)
    wanted = _wanted(before, meter, serial, device, offsets)
    parse_config(path, wanted)
    lines = text.splitlines(keepends=True)
    first, last = _block(lines, meter)
    block = lines[first:last]
    block = _set(block, "meter", "serial", value_text(serial))
    block = _set(block, "meter.map", "logical_device_name", value_text(device))
    block = _without_offsets(block)
    if offsets:
        inline = "{ " + ", ".join(f"{name} = {wh}" for name, wh in offsets.items()) + " }"
        at = _index(block, "meter.map", "logical_device_name") + 1
        indent = re.match(r"\s*", block[at - 1])
        block.insert(at, f"{indent[0] if indent else ''}offset_wh = {inline}\n")
    changed = "".join([*lines[:first], *block, *lines[last:]])
    try:
        made = tomllib.loads(changed)
    except tomllib.TOMLDecodeError:
        made = {}
    if made != wanted:
        raise _by_hand(meter)
    return changed


def _by_hand(meter: str) -> EditError:
    return EditError(
        f"the entry of {meter} is written in a way that this command does not change: write serial, "
        "logical_device_name and offset_wh into it by hand, then `edge-agent check`"
    )


def _wanted(before: Mapping[str, Any], meter: str, serial: str, device: str, offsets: Mapping[str, int]) -> Any:
    meters = []
    for entry in before["meter"]:
        if entry["name"] != meter:
            meters.append(entry)
            continue
        described = {key: value for key, value in entry["map"].items() if key != "offset_wh"}
        described["logical_device_name"] = device
        if offsets:
            described["offset_wh"] = dict(offsets)
        meters.append({**entry, "serial": serial, "map": described})
    return {**before, "meter": meters}


def _table_of(line: str) -> str | None:
    match = _HEADER.fullmatch(line.rstrip("\n"))
    return match[1].replace(" ", "") if match else None


def _block(lines: list[str], meter: str) -> tuple[int, int]:
    """The lines of one [[meter]], from its header to the next table that is not its own."""
    starts = [at for at, line in enumerate(lines) if _table_of(line) == "meter"]
    ends = [at for at, line in enumerate(lines) if (table := _table_of(line)) and not table.startswith("meter.")]
    for first in starts:
        last = next((at for at in ends if at > first), len(lines))
        named = tomllib.loads("".join(lines[first:last]))["meter"][0].get("name")
        if named == meter:
            return first, last
    raise _by_hand(meter)


def _index(block: list[str], table: str, key: str) -> int:
    """The line of a key within a table of the block; -1 where there is none."""
    inside = None
    for at, line in enumerate(block):
        inside = _table_of(line) or inside
        if inside == table and re.match(rf"\s*{key}\s*=", line):
            return at
    return -1


def _set(block: list[str], table: str, key: str, value: str) -> list[str]:
    at = _index(block, table, key)
    if at < 0:
        return block
    changed = re.sub(rf'(\s*{key}\s*=\s*)("[^"]*"|\'[^\']*\')', lambda match: match[1] + value, block[at], count=1)
    return [*block[:at], changed, *block[at + 1 :]]


def _without_offsets(block: list[str]) -> list[str]:
    """Without the offsets of an exchange before: a line of the map, or a table of its own."""
    kept, inside = [], None
    for line in block:
        inside = _table_of(line) or inside
        own_line = inside == "meter.map" and re.match(r"\s*offset_wh\s*=\s*\{", line)
        if inside != "meter.map.offset_wh" and not own_line:
            kept.append(line)
    return kept
