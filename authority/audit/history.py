"""What the five programs logged, transaction by transaction, from the deployment's first on.

Every instruction that the audit replays names governance's Config, so the transactions that name it are the whole
story, in the chain's order. In a bundle each is: time i64, signature (64 bytes), how many events u16, then each event:
program u8 (its place in PROGRAM_NAMES), length u16, the bytes as logged (all little-endian).
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from solders.signature import Signature

from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient
from authority.chain.idl import Event, Idl, logged_data
from authority.errors import AuthorityError

PAGE = 1_000
_LANDED = struct.Struct("<q64sH")
_EVENT = struct.Struct("<BH")


class HistoryError(AuthorityError):
    """The history of the chain cannot be used."""


class HistoryMalformedError(HistoryError):
    """Bytes that are not a history of the chain."""

    code = "history_malformed"


class TransactionMissingError(HistoryError):
    """The validator lists a transaction and does not have it."""

    code = "transaction_missing"


@dataclass(frozen=True, slots=True)
class Landed:
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
    while head := stream.read(_LANDED.size):
        try:
            time, signature, count = _LANDED.unpack(head)
            events = []
            for _ in range(count):
                program, size = _EVENT.unpack(stream.read(_EVENT.size))
                data = stream.read(size)
                if len(data) != size:
                    raise ValueError("cut short")
                events.append((PROGRAM_NAMES[program], data))
        except (struct.error, ValueError, IndexError) as error:
            raise HistoryMalformedError(f"the history cannot be read: {error}") from error
        yield Landed(time, signature, tuple(events))


def read_history(client: ChainClient, newest: str | None) -> Iterator[Landed]:
    """The transactions that the validator still has up to `newest` (base58), oldest first. HistoryError, ChainErrors.

    The validator lists the newest first, so their signatures go through a temporary file, 64 bytes each.
    """
    names = {str(programs.PROGRAM_IDS[name]): name for name in PROGRAM_NAMES}
    with tempfile.TemporaryFile() as kept:
        count = 0 if newest is None else _spool(client, newest, kept)
        for place in range(count - 1, -1, -1):
            kept.seek(place * 64)
            signature = Signature.from_bytes(kept.read(64))
            record = client.transaction(signature)
            if record is None:
                raise TransactionMissingError(f"the validator lists {signature}, and does not have it")
            logged = logged_data(record.logs)
            events = tuple((names[program], data) for program, data in logged if program in names)
            if events:
                yield Landed(record.time or 0, bytes(signature), events)


def _spool(client: ChainClient, newest: str, kept: BinaryIO) -> int:
    """Write the signatures of the transactions that succeeded, from `newest` back; how many."""
    count = 0
    before: str | None = None
    begun = False
    while True:
        config: dict[str, Any] = {"commitment": "confirmed", "limit": PAGE}
        if before is not None:
            config["before"] = before
        answer = client.call("getSignaturesForAddress", str(programs.config_address()), config)
        for item in answer:
            begun = begun or item["signature"] == newest
            if begun and item["err"] is None:
                kept.write(bytes(Signature.from_string(item["signature"])))
                count += 1
        if len(answer) < PAGE:
            return count
        before = answer[-1]["signature"]
