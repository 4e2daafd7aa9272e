"""The little of BER (X.690) that ACSE needs: tag, length in its definite forms, contents."""

from __future__ import annotations

from edge_agent.dlms.axdr import read_length, write_length
from edge_agent.dlms.errors import DecodeError


def element(tag: int, contents: bytes) -> bytes:
    """Tag, length, contents."""
    return bytes((tag,)) + write_length(len(contents)) + contents


def read_element(data: bytes, position: int) -> tuple[int, bytes, int]:
    """Tag, contents and the position after the element at `position`; DecodeError `cut_short`."""
    if position >= len(data):
        raise DecodeError("cut_short", "an element is cut short", position)
    tag = data[position]
    length, start = read_length(data, position + 1)
    end = start + length
    if end > len(data):
        raise DecodeError("cut_short", f"an element of {length} bytes is cut short", start)
    return tag, data[start:end], end


def read_elements(data: bytes) -> dict[int, bytes]:
    """All elements of a constructed one, by tag; the last of a doubled tag counts."""
    found = {}
    position = 0
    while position < len(data):
        tag, contents, position = read_element(data, position)
        found[tag] = contents
    return found


def unwrap(data: bytes, tag: int, what: str) -> bytes:
    """The contents of the one element `data` is, which must have `tag`; DecodeError `unexpected_tag`."""
    found, contents, _ = read_element(data, 0)
    if found != tag:
        raise DecodeError("unexpected_tag", f"{what} has tag 0x{tag:02x}, found 0x{found:02x}", 0)
    return contents
