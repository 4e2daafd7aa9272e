"""What the store keeps of a reading beside its leaf, for its own use. It says the same.

A leaf is made of a reading's frame, verdict, code and time, and of an act's row, so a change of these is seen in the
tree. A reading's other columns are copies by which rows are found; a changed copy would lead the authority astray, and
is told here.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.log.log import LEAF_READING
from authority.log.reading_leaf import FRAME_AT, KEY_END, RECORD_END
from authority.store.metering import Frame, MeterKey

_SEQUENCE_AT, _END_AT = 4, 16
_U32, _I64 = struct.Struct("<I"), struct.Struct("<q")
_FRAMES = (
    Frame.log_index, Frame.meter_pk, Frame.public_key, Frame.sequence, Frame.interval_end, Frame.record_hash,
    Frame.frame,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """The copies beside a reading, and the meter (its row) to which the store says that the key belongs."""

    meter_pk: int
    public_key: bytes
    sequence: int
    interval_end: int
    record_hash: bytes
    frame: bytes
    owner: int | None


def said(session: Session, start: int, end: int, owners: dict[bytes, int]) -> dict[int, ReadingRow]:
    """The rows beside the leaves [start, end), by log index; owners of keys are remembered there."""
    found: dict[int, ReadingRow] = {}
    frames = select(*_FRAMES).where(Frame.log_index >= start, Frame.log_index < end)
    for index, meter_pk, key, sequence, interval_end, record_hash, frame in session.execute(frames):
        if key not in owners:
            owner = session.scalar(select(MeterKey.meter_pk).where(MeterKey.public_key == key))
            if owner is not None:
                owners[key] = owner
        found[index] = ReadingRow(meter_pk, key, sequence, interval_end, record_hash, frame, owners.get(key))
    return found


def fault(leaf: bytes, row: ReadingRow | None) -> str:
    """What a reading's row says otherwise than its leaf, in words; empty where nothing."""
    if row is None or leaf[:1] != bytes([LEAF_READING]):
        return ""
    record = leaf[FRAME_AT:RECORD_END]
    for name, value, expected in (
        ("frame", row.frame, leaf[FRAME_AT:]),
        ("public_key", row.public_key, leaf[RECORD_END:KEY_END]),
        ("sequence", row.sequence, _U32.unpack_from(record, _SEQUENCE_AT)[0]),
        ("interval_end", row.interval_end, _I64.unpack_from(record, _END_AT)[0]),
        ("record_hash", row.record_hash, hashlib.sha256(record).digest()),
        ("meter_pk", row.meter_pk, row.meter_pk if row.owner is None else row.owner),
    ):
        if value != expected:
            now, then = (each.hex() if isinstance(each, bytes) else each for each in (value, expected))
            return f"its row says {name} {now}, the frame {then}"
    return ""
