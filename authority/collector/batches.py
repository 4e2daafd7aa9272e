"""What verifiers and sequencer say to each other (authority.collector.channel), as bytes. Integers are little-endian.

A batch is what gateways sent, with what a verifier has found:

    calls u16, of each: over u8 (place in OVER)   certificate u8 (0 none was looked at, 1 none was shown, 2 its hash)
      hash (32, where 2)   gateway u16 + text   meter u16 + text (empty: any)   frames u16
      genuine u8 a frame (1 its signature verifies)   frames (192 each)

An answer has one outcome for each call, in order:

    number u64 (of the batch)   calls u16, of each: kind u8
      0 taken: receipts u16, later u32, gaps u16, each receipt u16 + bytes, each gap u16 + meter, sequence u32
      1 refused: code u16 + text, message u16 + text
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from authority.collector.channel import BatchMalformedError
from authority.collector.frames import Batch, Checked, Gap, Ingested, Sent
from authority.collector.standing import Shown
from authority.refusals import (
    BusyError,
    MalformedError,
    NotAuthenticatedError,
    RefusalError,
    TooManyError,
    UnavailableError,
    WrongGatewayError,
)
from edge_agent.wire.reading import FRAME_SIZE, MAX_FRAMES, RECORD_SIZE, Frame, ReadingError, Record, record_hash

OVER = ("https", "mqtt")
_NOT_LOOKED_AT, _NONE_SHOWN, _SHOWN = range(3)
_HASH_SIZE = 32
_TAKEN, _REFUSED = range(2)
_REFUSALS: dict[str, type[RefusalError]] = {
    cls.code: cls
    for cls in (BusyError, MalformedError, NotAuthenticatedError, TooManyError, UnavailableError, WrongGatewayError)
}


class _Reader:
    """Takes what is laid out one after another; BatchMalformedError where there is less than it should be."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, layout: str) -> int:
        return int.from_bytes(self.take(struct.calcsize("<" + layout)), "little")

    def take(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if len(found) != size:
            raise BatchMalformedError(f"a batch ends {size - len(found)} bytes too early")
        self._at += size
        return found

    def text(self) -> str:
        try:
            return self.take(self.number("H")).decode()
        except UnicodeDecodeError as error:
            raise BatchMalformedError("a name in a batch is not text") from error

    def done(self) -> None:
        if self._at != len(self._data):
            raise BatchMalformedError(f"{len(self._data) - self._at} bytes come after a batch's end")


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<H", len(data)) + data


def pack_batch(batches: Sequence[Batch]) -> bytes:
    """What gateways sent, verified."""
    parts = [struct.pack("<H", len(batches))]
    for batch in batches:
        sent = batch.sent
        if sent.shown is None:
            shown = bytes([_NOT_LOOKED_AT])
        else:
            hash_ = sent.shown.certificate_hash
            shown = bytes([_NONE_SHOWN]) if hash_ is None else bytes([_SHOWN]) + hash_
        parts += [
            bytes([OVER.index(sent.over)]),
            shown,
            _text(sent.gateway),
            _text(sent.meter or ""),
            struct.pack("<H", len(batch.frames)),
            bytes(checked.genuine for checked in batch.frames),
            sent.data,
        ]
    return b"".join(parts)


def read_batch(data: bytes) -> list[Batch]:
    """A batch, as far as the sequencer must know it: that a signature verifies is the verifier's word."""
    reader = _Reader(data)
    batches = [_read_call(reader) for _ in range(reader.number("H"))]
    reader.done()
    if not batches:
        raise BatchMalformedError("a batch has nothing in it")
    return batches


def _read_call(reader: _Reader) -> Batch:
    over = reader.number("B")
    if over >= len(OVER):
        raise BatchMalformedError(f"frames come over {' or '.join(OVER)}, not over {over}")
    kind = reader.number("B")
    if kind > _SHOWN:
        raise BatchMalformedError(f"a certificate is looked at in one of three ways, not {kind}")
    shown = None if kind == _NOT_LOOKED_AT else Shown(reader.take(_HASH_SIZE) if kind == _SHOWN else None)
    gateway, meter = reader.text(), reader.text()
    count = reader.number("H")
    if not 0 < count <= MAX_FRAMES:
        raise BatchMalformedError(f"a gateway's frames are 1 to {MAX_FRAMES}, not {count}")
    genuine = reader.take(count)
    if genuine.strip(b"\0\1"):
        raise BatchMalformedError("a signature verifies or does not")
    frames = reader.take(count * FRAME_SIZE)
    checked = [
        _checked(frames[at : at + FRAME_SIZE], bool(verifies))
        for at, verifies in zip(range(0, len(frames), FRAME_SIZE), genuine, strict=True)
    ]
    return Batch(checked, Sent(frames, gateway, meter or None, OVER[over], shown))


def _checked(data: bytes, genuine: bool) -> Checked:
    frame = Frame.from_bytes(data)
    hash_ = record_hash(data[:RECORD_SIZE])
    try:
        return Checked(frame, Record.from_bytes(frame.record_bytes), hash_, genuine)
    except ReadingError:
        return Checked(frame, None, hash_, False)


def pack_answer(number: int, outcomes: Sequence[Ingested | RefusalError]) -> bytes:
    """What became of a batch's calls."""
    parts = [struct.pack("<QH", number, len(outcomes))]
    for outcome in outcomes:
        if isinstance(outcome, RefusalError):
            message = str(outcome).encode()[:1_000].decode(errors="ignore")
            parts += [bytes([_REFUSED]), _text(outcome.code), _text(message)]
            continue
        counts = len(outcome.receipts), len(outcome.later), len(outcome.gaps)
        parts.append(struct.pack("<BHIH", _TAKEN, *counts))
        for receipt in (*outcome.receipts, *outcome.later):
            parts += [struct.pack("<H", len(receipt)), receipt]
        for gap in outcome.gaps:
            parts += [_text(gap.meter), struct.pack("<I", gap.sequence)]
    return b"".join(parts)


def read_answer(data: bytes) -> tuple[int, list[Ingested | RefusalError]]:
    """A batch's number, and its calls' outcomes in order."""
    reader = _Reader(data)
    number = reader.number("Q")
    outcomes = [_read_outcome(reader) for _ in range(reader.number("H"))]
    reader.done()
    return number, outcomes


def _read_outcome(reader: _Reader) -> Ingested | RefusalError:
    kind = reader.number("B")
    if kind == _REFUSED:
        code, message = reader.text(), reader.text()
        if code not in _REFUSALS:
            raise BatchMalformedError(f"a batch is not refused as {code}")
        return _REFUSALS[code](message)
    if kind != _TAKEN:
        raise BatchMalformedError(f"a batch is taken or refused, not {kind}")
    receipts, later, gaps = reader.number("H"), reader.number("I"), reader.number("H")
    return Ingested(
        [reader.take(reader.number("H")) for _ in range(receipts)],
        [reader.take(reader.number("H")) for _ in range(later)],
        [Gap(reader.text(), reader.number("I")) for _ in range(gaps)],
    )
