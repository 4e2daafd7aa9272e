"""What the five programs logged, transaction by transaction, from the deployment's first on.

Every instruction of the authority and of the oracle names governance's Config, and whatever moves tokens into seats
and out of them names the market's Seats: so the transactions that name one of the two are the whole story, in the
chain's order (within a slot, those of the seats alone come last).

In a bundle each is: time i64, signature (64 bytes), how many events u16, then each event: program u8 (its place in
PROGRAM_NAMES), length u16, the bytes as logged (all little-endian).
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import groupby, tee
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple, Protocol

from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.audit.chain_state import followed
from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient
from authority.chain.idl import Event, Idl, logged_data
from authority.errors import AuthorityError

PAGE = 1_000
CHUNK = 1 << 18
_LANDED = struct.Struct("<q64sH")
_EVENT = struct.Struct("<BH")
_SPOOLED = struct.Struct("<Q64s")


class HistoryError(AuthorityError):
    """The history of the chain cannot be used."""


class HistoryMalformedError(HistoryError):
    """Bytes that are not a history of the chain."""

    code = "history_malformed"


class TransactionMissingError(HistoryError):
    """The validator lists a transaction and does not have it."""

    code = "transaction_missing"


class Landed(NamedTuple):
    """A transaction that succeeded: its time (Unix seconds), its signature, and what each program logged, in order."""

    time: int
    signature: bytes
    events: tuple[tuple[str, bytes], ...]

    def to_bytes(self) -> bytes:
        """As a bundle keeps it."""
        parts = [_LANDED.pack(self.time, self.signature, len(self.events))]
        for program, data in self.events:
            parts.append(_EVENT.pack(PROGRAM_NAMES.index(program), len(data)) + data)
        return b"".join(parts)

    def decoded(self, idls: Mapping[str, Idl]) -> Iterator[Event]:
        """The events with their fields; IdlError where one is damaged."""
        for program, data in self.events:
            event = idls[program].decode_event(data)
            if event is not None:
                yield event


class Readable(Protocol):
    """Whatever gives bytes in order."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, fewer only at the end."""
        ...


def read_landed(stream: Readable) -> Iterator[Landed]:
    """The transactions that a stream holds, in order; HistoryError."""
    data, at = b"", 0
    while True:
        at = yield from _whole(data, at)
        more = stream.read(CHUNK)
        if not more:
            break
        data, at = data[at:] + more, 0
    if at < len(data):
        raise HistoryMalformedError("the history cannot be read: it is cut short")


def _whole(data: bytes, start: int) -> Generator[Landed, None, int]:
    """The transactions that lie whole in the data; where the one begins that does not. HistoryMalformedError."""
    end = len(data)
    while start + _LANDED.size <= end:
        time, signature, count = _LANDED.unpack_from(data, start)
        at, events = start + _LANDED.size, []
        for _ in range(count):
            begins = at + _EVENT.size
            if begins > end:
                return start
            program, size = _EVENT.unpack_from(data, at)
            at = begins + size
            if program >= len(PROGRAM_NAMES):
                raise HistoryMalformedError(f"the history cannot be read: there is no program {program}")
            events.append((PROGRAM_NAMES[program], data[begins:at]))
        if at > end:
            return start
        start = at
        yield Landed(time, signature, tuple(events))
    return start


def read_history(
    client: ChainClient, newest: Sequence[str | None], after: Sequence[str | None] = (None, None)
) -> Iterator[Landed]:
    """The transactions that the validator still has, oldest first: up to `newest` (base58) of each followed account.

    Those up to `after` were read before, and are left out.

    The validator lists the newest first, so their slots and signatures go through temporary files, 72 bytes each.
    HistoryError, ChainErrors.
    """
    names = {str(programs.PROGRAM_IDS[name]): name for name in PROGRAM_NAMES}
    with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as second:
        lists = [
            _oldest_first(kept, 0 if last in (None, known) else _spool(client, address, last, known, kept))
            for address, last, known, kept in zip(followed(), newest, after, (first, second), strict=True)
        ]
        wanted, asked = tee(_merged(*lists))
        for raw, record in zip(wanted, client.transactions(map(Signature.from_bytes, asked)), strict=True):
            if record is None:
                signature = Signature.from_bytes(raw)
                raise TransactionMissingError(f"the validator lists {signature}, and does not have it")
            logged = logged_data(record.logs)
            events = tuple((names[program], data) for program, data in logged if program in names)
            if events:
                yield Landed(record.time or 0, raw, events)


def _merged(main: Iterator[tuple[int, bytes]], other: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
    """Signatures of both lists in the order of their slots, each once; within a slot the first list's come first."""
    slots = groupby(other, key=itemgetter(0))
    waiting = next(slots, None)
    for slot, transactions in groupby(main, key=itemgetter(0)):
        while waiting is not None and waiting[0] < slot:
            yield from (signature for _, signature in waiting[1])
            waiting = next(slots, None)
        there = [signature for _, signature in transactions]
        yield from there
        if waiting is not None and waiting[0] == slot:
            known = set(there)
            yield from (signature for _, signature in waiting[1] if signature not in known)
            waiting = next(slots, None)
    while waiting is not None:
        yield from (signature for _, signature in waiting[1])
        waiting = next(slots, None)


def _oldest_first(kept: BinaryIO, count: int) -> Iterator[tuple[int, bytes]]:
    """Slots and signatures as `_spool` wrote them, from the last to the first."""
    for place in range(count - 1, -1, -1):
        kept.seek(place * _SPOOLED.size)
        yield _SPOOLED.unpack(kept.read(_SPOOLED.size))


def _spool(client: ChainClient, address: Pubkey, newest: str | None, known: str | None, kept: BinaryIO) -> int:
    """Write slots and signatures of the transactions that succeeded, from `newest` back to a known one; how many."""
    count = 0
    before: str | None = None
    begun = False
    while True:
        config: dict[str, Any] = {"commitment": "confirmed", "limit": PAGE}
        if before is not None:
            config["before"] = before
        if known is not None:
            config["until"] = known
        answer = client.call("getSignaturesForAddress", str(address), config)
        for item in answer:
            begun = begun or item["signature"] == newest
            if begun and item["err"] is None:
                kept.write(_SPOOLED.pack(item["slot"], bytes(Signature.from_string(item["signature"]))))
                count += 1
        if len(answer) < PAGE:
            return count
        before = answer[-1]["signature"]
