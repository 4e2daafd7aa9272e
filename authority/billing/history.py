"""The chain's events that bills go by, kept in the store: validators forget, and a period is billed a month later.

Each transaction is looked at once. Its events are kept as they were logged, until they are folded into facts
(authority.billing.folding): program u8 (its place in PROGRAM_NAMES), length u16 (little-endian), the bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress

from solders.signature import Signature
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.billing.errors import HistoryIncompleteError, HistoryLostError
from authority.billing.facts import RELEVANT
from authority.billing.folding import FOLD_AT, KeptFacts, fold
from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient, TransactionRecord
from authority.chain.idl import Event, Idl, logged_data
from authority.store import Store
from authority.store.billing import ChainEvents, HistoryCursor

TRANSACTIONS_PER_COMMIT = 500
ALL = 1 << 40
_EVENT = struct.Struct("<BH")
_WANTED = {
    program: tuple(hashlib.sha256(f"event:{name}".encode()).digest()[:8] for name in names)
    for program, names in RELEVANT.items()
}
_NAMES = {str(programs.PROGRAM_IDS[name]): name for name in PROGRAM_NAMES}


def catch_up(store: Store, client: ChainClient) -> int:
    """Take in what the chain has done since the last time; how many transactions were looked at.

    BillingError `history_lost` where the validator no longer knows the last one looked at; ChainErrors.
    """
    with store.read() as session:
        cursor = _cursor(session)
    if cursor is not None and client.transaction(cursor) is None:
        raise HistoryLostError(
            f"the validator does not know transaction {cursor}, up to which its history was taken in: name one in "
            "[validator] url that has its history from there on",
        )
    newest_first = client.signatures(programs.config_address(), until=cursor, limit=ALL)
    signatures = newest_first[::-1]
    for start in range(0, len(signatures), TRANSACTIONS_PER_COMMIT):
        some = signatures[start : start + TRANSACTIONS_PER_COMMIT]
        records = client.transactions(some)
        rows = [_row(signature, record) for signature, record in zip(some, records, strict=True)]
        with store.write() as session:
            if _cursor(session) != cursor:
                break  # another process is doing the same
            session.add_all(row for row in rows if row is not None)
            session.merge(HistoryCursor(id=1, signature=bytes(some[-1])))
        cursor = some[-1]
    _fold(store, client)
    return len(signatures)


def _fold(store: Store, client: ChainClient) -> None:
    """Fold what waits, where it is enough to be worth a row for each member."""
    with store.read() as session:
        first, last = session.execute(select(func.min(ChainEvents.n), func.max(ChainEvents.n))).one()
    if last is not None and last - first >= FOLD_AT:
        idls = {name: client.idl(name) for name in PROGRAM_NAMES}
        with suppress(HistoryIncompleteError), store.write() as session:  # whoever wants a bill is told
            fold(store, session, lambda events: events_of(events, idls))


def _cursor(session: Session) -> Signature | None:
    row = session.get(HistoryCursor, 1, with_for_update=True)
    return None if row is None else Signature.from_bytes(row.signature)


def _row(signature: Signature, record: TransactionRecord | None) -> ChainEvents | None:
    if record is None:
        raise HistoryLostError(f"the validator lists transaction {signature}, and does not have it")
    if record.error is not None:
        return None
    logged = ((_NAMES[program], data) for program, data in logged_data(record.logs) if program in _NAMES)
    kept = [(program, data) for program, data in logged if data[:8] in _WANTED[program]]
    if not kept:
        return None
    events = b"".join(_EVENT.pack(PROGRAM_NAMES.index(program), len(data)) + data for program, data in kept)
    return ChainEvents(signature=bytes(signature), time=record.time or 0, events=events)


def events_of(data: bytes, idls: Mapping[str, Idl]) -> Iterator[Event]:
    """The events of a row, with their fields."""
    at = 0
    while at < len(data):
        program, size = _EVENT.unpack_from(data, at)
        at += _EVENT.size + size
        event = idls[PROGRAM_NAMES[program]].decode_event(data[at - size : at])
        if event is not None:
            yield event


def facts_of(store: Store, idls: Mapping[str, Idl], only: int | None = None) -> KeptFacts:
    """The facts, folded and not; BillingError `history_incomplete`.

    Of what is not folded yet, those of one period, where `only` says which.
    """
    with store.read() as session:
        facts = KeptFacts(store, session, only)
        facts.catch_up(session, lambda events: events_of(events, idls))
    if not facts.epoch_seconds:
        raise HistoryIncompleteError("governance is not on the chain yet: authority deploy")
    return facts
