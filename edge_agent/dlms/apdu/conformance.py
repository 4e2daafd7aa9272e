"""The conformance block (Green Book 9.4.6.1): which services a peer proposes or grants, 24 bits."""

from __future__ import annotations

from edge_agent.dlms.axdr import Reader

GENERAL_PROTECTION = 0x400000
GENERAL_BLOCK_TRANSFER = 0x200000
ATTRIBUTE0_SET = 0x008000
PRIORITY = 0x004000
ATTRIBUTE0_GET = 0x002000
BLOCK_GET = 0x001000
BLOCK_SET = 0x000800
BLOCK_ACTION = 0x000400
MULTIPLE_REFERENCES = 0x000200
DATA_NOTIFICATION = 0x000080
ACCESS = 0x000040
GET = 0x000010
SET = 0x000008
SELECTIVE_ACCESS = 0x000004
EVENT_NOTIFICATION = 0x000002
ACTION = 0x000001

DEFAULT = BLOCK_GET | BLOCK_SET | BLOCK_ACTION | MULTIPLE_REFERENCES | GET | SET | SELECTIVE_ACCESS | ACTION
"""What every peer is asked for with logical names; general-block-transfer is understood without being asked for."""


def write_conformance(bits: int) -> bytes:
    """5F 1F 04 00 and 24 bits."""
    return b"\x5f\x1f\x04\x00" + bits.to_bytes(3, "big")


def read_conformance(reader: Reader) -> int:
    """The 24 bits; the tag in its long (5F 1F) or its short (5F) form, which old meters send."""
    reader.expect(0x5F, "a conformance block")
    if reader.data[reader.position : reader.position + 1] == b"\x1f":
        reader.u8()
    reader.expect(0x04, "the length of a conformance block")
    reader.u8()  # unused bits
    return int.from_bytes(reader.take(3), "big")
