"""The programs' events as the audit takes them: those of every reading and every span as tuples, others by their IDL.

A year of 1,000 meters has 70 million events, and nearly all are of these two kinds. They are read at one stroke, with
one object for each address; where an IDL has them in another form, they are read as all others are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from solders.pubkey import Pubkey

from authority.audit.history import Landed
from authority.chain.idl import Columns, Idl

ORACLE = "oracle"
READING_ACCEPTED, SURPLUS_SETTLED = "ReadingAccepted", "SurplusSettled"
_DISCRIMINATOR_SIZE = 8


class Accepted(NamedTuple):
    """ReadingAccepted: registers in Wh, the interval's end in Unix seconds."""

    meter: Pubkey
    interval_end: int
    registers: tuple[int, ...]
    sequence: int
    flags: int


class Settled(NamedTuple):
    """SurplusSettled: a member's span from one boundary (Unix seconds; 0: none before) to another, in Wh."""

    wallet: Pubkey
    began: int
    to: int
    generated: int
    consumed: int
    charged: int
    discharged: int
    bank: int
    minted: int
    withdrawn: int
    period: int
    kind: int


Taken = tuple[str, Any]
"""An event's name, and its fields: Accepted, Settled, or a dict."""
_ACCEPTED_FIELDS = ("meter", "interval_end", "registers", "sequence", "flags")
_ACCEPTED_VALUES = len(_ACCEPTED_FIELDS) + 3
"""Four of them are the registers."""
_SETTLED_FIELDS = ("wallet", "from", *Settled._fields[2:])


class Events:
    """Reads the events of transactions, by the IDLs of the five programs."""

    def __init__(self, idls: Mapping[str, Idl]) -> None:
        self._idls = idls
        self._addresses: dict[bytes, Pubkey] = {}
        self._rows: dict[bytes, Callable[[bytes], Taken | None]] = {}
        oracle = idls.get(ORACLE)
        if oracle is not None:
            self._read(oracle.event_columns(READING_ACCEPTED, _ACCEPTED_FIELDS), _ACCEPTED_VALUES, self._accepted)
            self._read(oracle.event_columns(SURPLUS_SETTLED, _SETTLED_FIELDS), len(_SETTLED_FIELDS), self._settled)

    def _read(
        self, columns: Columns | None, values: int, row: Callable[[Columns], Callable[[bytes], Taken | None]]
    ) -> None:
        if columns is None or len(columns.discriminator) != _DISCRIMINATOR_SIZE:
            return
        if len(columns.layout.unpack(bytes(columns.layout.size))) == values:
            self._rows[columns.discriminator] = row(columns)

    def of(self, landed: Landed) -> Iterator[Taken]:
        """A transaction's events, in order. IdlError where one is damaged, KeyError where it lacks a field."""
        for program, data in landed.events:
            row = self._rows.get(data[:_DISCRIMINATOR_SIZE]) if program == ORACLE else None
            found = None if row is None else row(data)
            if found is None:
                event = self._idls[program].decode_event(data)
                if event is None:
                    continue
                found = _taken(event.name, event.data)
            yield found

    def _accepted(self, columns: Columns) -> Callable[[bytes], Taken | None]:
        size, unpack, addresses = columns.layout.size, columns.layout.unpack, self._addresses

        def row(data: bytes) -> Taken | None:
            if len(data) != size:
                return None
            meter, end, g, c, i, o, sequence, flags = unpack(data)
            address = addresses.get(meter) or addresses.setdefault(meter, Pubkey(meter))
            return READING_ACCEPTED, Accepted(address, end, (g, c, i, o), sequence, flags)

        return row

    def _settled(self, columns: Columns) -> Callable[[bytes], Taken | None]:
        size, unpack, addresses = columns.layout.size, columns.layout.unpack, self._addresses
        kinds = columns.codes.get("kind", 0)

        def row(data: bytes) -> Taken | None:
            if len(data) != size:
                return None
            wallet, *figures = unpack(data)
            if figures[-1] >= kinds:
                return None
            address = addresses.get(wallet) or addresses.setdefault(wallet, Pubkey(wallet))
            return SURPLUS_SETTLED, Settled(address, *figures)

        return row


def _taken(name: str, data: Mapping[str, Any]) -> Taken:
    if name == READING_ACCEPTED:
        meter, end, registers, sequence, flags = (data[field] for field in _ACCEPTED_FIELDS)
        return name, Accepted(meter, end, tuple(registers), sequence, flags)
    if name == SURPLUS_SETTLED:
        return name, Settled(*(data[field] for field in _SETTLED_FIELDS))
    return name, data
