# ruff: noqa: PT017 - MicroPython has no pytest
"""The signed reading's bytes: exact layouts, and what is refused. These tests run under MicroPython too."""

from __future__ import annotations

import hashlib
import struct

from edge_agent.wire import reading
from edge_agent.wire.reading import Frame, ReadingError, Receipt, Record


def refused(function, *arguments) -> str:
    """The message with which a call is refused."""
    try:
        found = function(*arguments)
    except ReadingError as error:
        assert error.code == "malformed"
        return str(error)
    raise AssertionError(f"a refusal was due, {found!r} came")


def example() -> Record:
    return Record(
        sequence=7,
        network_id=bytes(range(8)),
        interval_end=1_767_225_600,
        generation=1,
        consumption=2,
        charge=3,
        discharge=4,
        interval_seconds=900,
        source=reading.SOURCE_WIND,
        register_epoch=5,
        clock_deviation=-6,
        flags=reading.FLAG_BACK_FILLED,
        previous_hash=b"p" * 16,
        evidence=b"e" * 16,
    )


def test_record_layout_is_the_documented_one() -> None:
    data = example().to_bytes()
    assert len(data) == 96
    assert data[0:4] == b"AMR1"
    assert struct.unpack_from("<I", data, 4) == (7,)
    assert data[8:16] == bytes(range(8))
    assert struct.unpack_from("<q", data, 16) == (1_767_225_600,)
    assert struct.unpack_from("<4Q", data, 24) == (1, 2, 3, 4)
    assert struct.unpack_from("<H", data, 56) == (900,)
    assert (data[58], data[59]) == (2, 5)
    assert struct.unpack_from("<hH", data, 60) == (-6, 2)
    assert data[64:80] == b"p" * 16
    assert data[80:96] == b"e" * 16


def test_record_round_trip() -> None:
    again = Record.from_bytes(example().to_bytes())
    assert again == example()
    assert hash(again) == hash(example())
    assert again.registers == (1, 2, 3, 4)


def test_record_refuses_what_it_is_not() -> None:
    data = example().to_bytes()
    for changed, words in (
        (data[:95], "95"),
        (data + b"\0", "97"),
        (b"AMK1" + data[4:], "AMK1"),
        (data[:58] + b"\x05" + data[59:], "source 5"),
        (data[:62] + b"\x00\x02" + data[64:], "0x0200"),
    ):
        assert words in refused(Record.from_bytes, changed)


def test_record_refuses_a_value_that_does_not_fit() -> None:
    for field, value in (
        ("sequence", -1),
        ("sequence", 2**32),
        ("generation", -1),
        ("generation", 2**64),
        ("generation", 2**70),
        ("interval_end", 2**63),
        ("interval_seconds", 65536),
        ("source", 256),
        ("clock_deviation", 2**15),
        ("clock_deviation", -(2**15) - 1),
        ("flags", 65536),
        ("generation", "7"),
        ("evidence", b""),
        ("evidence", bytes(17)),
        ("network_id", bytes(7)),
    ):
        record = example()
        setattr(record, field, value)
        assert refused(record.to_bytes), field


def test_frames_concatenate_and_split() -> None:
    frames = [Frame(example().to_bytes(), bytes([n]) * 32, bytes([n]) * 64) for n in range(3)]
    data = b"".join(frame.to_bytes() for frame in frames)
    assert len(data) == 3 * 192
    assert reading.split_frames(data) == frames
    for cut in (0, 1, 191, 193, len(data) - 1):
        refused(reading.split_frames, data[:cut])


def test_receipt_layout_and_round_trip() -> None:
    receipt = Receipt(
        verdict=reading.VERDICT_HELD,
        code=reading.CODE_NUMBERS["exceeds_nameplate"],
        network_id=b"n" * 8,
        meter_key=b"k" * 32,
        record_hash=b"h" * 32,
        sequence=9,
        next_expected=10,
        log_index=11,
        time=12,
        signature=b"s" * 64,
    )
    data = receipt.to_bytes()
    assert len(data) == 168
    assert data[:8] == b"AMC1\x02\x00\x16\x00"
    assert struct.unpack_from("<IIQq", data, 80) == (9, 10, 11, 12)
    assert Receipt.from_bytes(data).to_bytes() == data
    for bad in (data[:-1], b"AMR1" + data[4:], data[:4] + b"\x09" + data[5:], data[:5] + b"\x01" + data[6:]):
        refused(Receipt.from_bytes, bad)
        refused(reading.split_receipts, bad)


def test_possession_and_hashes() -> None:
    message = reading.possession_message(first_sequence=1, network_id=b"n" * 8, meter_id=b"m" * 32, map_hash=b"h" * 32)
    assert message == b"AMK1" + b"\x01\0\0\0" + b"n" * 8 + b"m" * 32 + b"h" * 32
    data = example().to_bytes()
    assert reading.record_hash(data) == hashlib.sha256(data).digest()
    assert reading.previous_hash(data) == hashlib.sha256(data).digest()[:16]
    assert reading.meter_id(b"s" * 16, "KFM100") == hashlib.sha256(b"s" * 16 + b"KFM100").digest()
    refused(reading.meter_id, b"s", "KFM100")
