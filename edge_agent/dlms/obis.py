"""OBIS codes (IEC 62056-61): six bytes A to F, written `A-B:C.D.E.F`."""

from __future__ import annotations

import sys

from edge_agent.dlms.errors import DecodeError

CLOCK = b"\x00\x00\x01\x00\x00\xff"
LOGICAL_DEVICE_NAME = b"\x00\x00\x2a\x00\x00\xff"
CURRENT_ASSOCIATION = b"\x00\x00\x28\x00\x00\xff"
LOAD_PROFILE = b"\x01\x00\x63\x01\x00\xff"
SAP_ASSIGNMENT = b"\x00\x00\x29\x00\x00\xff"
INVOCATION_COUNTER = b"\x00\x00\x2b\x01\x00\xff"

_TEXTS: dict[bytes, str] = {}
_KEPT = 0 if sys.implementation.name == "micropython" else 1024
"""Codes whose text is remembered: a meter sends the same ones with each telegram."""


def obis_text(code: bytes) -> str:
    """`b"\\x01\\x00\\x01\\x08\\x00\\xff"` as `1-0:1.8.0.255`."""
    text = _TEXTS.get(code)
    if text is None:
        if len(code) != 6:
            raise DecodeError("bad_obis", f"an OBIS code has 6 bytes, this one {len(code)}")
        text = "%d-%d:%d.%d.%d.%d" % tuple(code)  # noqa: UP031 - a third faster
        if len(_TEXTS) < _KEPT:
            _TEXTS[code] = text
    return text


def obis_bytes(text: str) -> bytes:
    """`1-0:1.8.0.255`, `1.0.1.8.0.255`, or `1-0:1.8.0` (F is then 255) as six bytes; DecodeError `bad_obis`."""
    parts = text.strip().replace("-", ".").replace(":", ".").replace("*", ".").split(".")
    if len(parts) == 5:
        parts.append("255")
    try:
        numbers = [int(part) for part in parts]
        if len(numbers) != 6:
            raise ValueError(text)
        return bytes(numbers)
    except ValueError as error:
        raise DecodeError("bad_obis", f"{text!r} is not an OBIS code such as 1-0:1.8.0.255") from error
