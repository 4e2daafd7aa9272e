"""Where things lie in a reading's leaf: for whoever passes over millions of them and needs two fields of each.

Type u8, verdict u8, code u16, time i64 (edge_agent.wire.reading.reading_leaf), then the frame: record, key, signature.
"""

from __future__ import annotations

import struct

from edge_agent.wire.reading import FRAME_SIZE, PUBLIC_KEY_SIZE, RECORD_SIZE

HEAD = struct.Struct("<BBHq")
"""All before the frame."""
FORM = struct.Struct("<BBH8x4s4x8s8x32x2xB3xH")
"""Type, verdict, code, the record's magic, network id, source, flags: by which a leaf is judged for itself."""
TOLD = struct.Struct("<xB2x8x4xI8xq4Q3xB2xH16s16x32s")
"""Verdict, sequence, interval end, four registers (Wh), register epoch, flags, previous hash (16 bytes), key."""
FRAME_AT = HEAD.size
RECORD_END = FRAME_AT + RECORD_SIZE
KEY_END = RECORD_END + PUBLIC_KEY_SIZE
READING_SIZE = FRAME_AT + FRAME_SIZE
_INTERVAL_END, _INTERVAL_END_AT = struct.Struct("<q"), FRAME_AT + 16


def interval_end(leaf: bytes) -> int:
    """When the interval ended that a reading's leaf (READING_SIZE bytes) tells of, Unix seconds."""
    (end,) = _INTERVAL_END.unpack_from(leaf, _INTERVAL_END_AT)
    return int(end)
