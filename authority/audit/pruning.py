"""What the embedded validator's ledger need not keep: transactions that a bundle holds, whose audit holds.

A transaction goes only if a sealed bundle (`audit export --bundle`) has its events, and nobody asks for it any more.
Nobody asks for what is old, what billing has taken in, what no audit's state goes on from, what is not on its way, and
what lies before the last checkpoints, which settlement looks at where a chain went back. Accounts are never touched,
nor is anything in the store: log, proofs, bills and readings stay whole.

The log names the bundle first (`ledger_pruned`), then the transactions go, oldest first, some at a time, each time in
one commit. So whenever it is killed, the ledger has all that is newer than what is gone, and the bundle the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from solders.signature import Signature
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.audit.bundle import Bundle, Manner, audit_bundle
from authority.audit.earlier import BundleOtherError
from authority.audit.history import Landed
from authority.audit.state import StateError, load
from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.idl import logged_data
from authority.errors import AuthorityError
from authority.log import log
from authority.log.restoration import LEDGER_PRUNED
from authority.store.billing import CreditEntry, HistoryCursor
from authority.store.log import Act
from authority.store.market import PendingTransaction
from authority.store.metering import CarriedFrame
from authority.store.settlement import SettlementEpoch
from authority.validator.ledger import LEDGER_NAME, Ledger
from authority.validator.slots import MAX_BLOCKHASH_AGE
from edge_agent.wire.files import sha256_of

DAY = 86_400
KEPT_CHECKPOINTS = 3
"""From how many checkpoints back acts are kept: settlement asks for those since the last but one."""
AT_ONCE = 50_000
"""How many transactions go in one commit."""


class PruningError(AuthorityError):
    """The ledger cannot be pruned so."""


class NoLedgerError(PruningError):
    """The home has no embedded validator's ledger."""

    code = "no_ledger"


class BundleUnsoundError(PruningError):
    """A bundle whose own audit does not hold, so nothing may be given up for it."""

    code = "bundle_unsound"


@dataclass(frozen=True)
class Pruned:
    """What goes, or would: how many transactions, and of when the last is (None: none goes); how many stay."""

    dropped: int
    until: int | None
    kept: int


def prune(
    app: App, bundle: Path, keep_days: int, *, actor: str, state: Path | None = None, dry_run: bool = False
) -> Pruned:
    """Drop what the bundle holds and nobody asks for any more, and is older than keep_days before the last block.

    state is the file of an audit that is to go on from where it stands. NoLedgerError, BundleUnsoundError,
    BundleOtherError, BundleError, StateError; LedgerError `ledger_in_use` while a validator runs.
    """
    if not app.home.settings.validator.embedded or not (app.home.validator_directory / LEDGER_NAME).is_file():
        raise NoLedgerError(
            "this home has no embedded validator's ledger: an Agave validator prunes by itself (--limit-ledger-size)"
        )
    ledger = Ledger(app.home.validator_directory)
    try:
        held = _require_sound(app, bundle)
        with app.store.read() as session:
            first = _first_needed(app, ledger, session, keep_days, state)
        count, last = _compare(ledger, held, first, bundle)
        found = Pruned(count, None if last is None else last.time, ledger.transactions() - count)
        if last is None or dry_run:
            return found
        _tell(app, bundle, last, actor)
        _drop(ledger, held, first)
    finally:
        ledger.close()
    return found


def _require_sound(app: App, path: Path) -> Bundle:
    """The bundle, once its seal, its audit and its place in this log are found to hold."""
    bundle = Bundle(path)
    if bundle.chain() is None:
        raise BundleOtherError(f"{path} holds the log alone: export one with the chain, without --log-only")
    audit = audit_bundle(path, key=bytes(app.home.receipt_key.pubkey()), manner=Manner(jobs=os.cpu_count() or 1))
    if audit.findings:
        worst = audit.findings[0]
        raise BundleUnsoundError(
            f"{path} does not hold, so nothing is dropped: {len(audit.findings)} findings, such as {worst.where}: "
            f"{worst.message} [{worst.code}]; export it anew, after an earlier pruning with --before its bundle"
        )
    with app.store.read() as session:
        size = log.size(session)
        if (
            bundle.network_id != app.home.network_id
            or bundle.size() > size
            or (log.root(session, bundle.size()) != bundle.root())
        ):
            raise BundleOtherError(f"{path} is of another log, or of one that was restored since: export it anew")
    return bundle


def _first_needed(app: App, ledger: Ledger, session: Session, keep_days: int, state: Path | None) -> int:
    """The number of the first transaction that somebody may still ask for."""
    slot, now = ledger.last_block()
    first = min(ledger.first_since(now - keep_days * DAY), ledger.first_from_slot(slot - 2 * MAX_BLOCKHASH_AGE))
    if state is not None:
        progress = load(state, app.home.network_id, bytes(app.home.receipt_key.pubkey()))
        newest = () if progress is None else tuple(each for each in progress.newest if each is not None)
        places = [ledger.status(bytes(Signature.from_string(each))) for each in newest]
        if not places or None in places:
            raise StateError(f"{state} is no state of an audit of this chain: authority audit verify --state {state}")
        first = min(first, *(place.number for place in places if place is not None))
    for signature in _asked_for(session):
        if (status := ledger.status(signature)) is not None:
            first = min(first, status.number)
    return first


def _asked_for(session: Session) -> Iterator[bytes]:
    """Signatures of what the authority's own processes may still ask the validator for."""
    cursor = session.get(HistoryCursor, 1)
    if cursor is not None:
        yield cursor.signature
    for query in (
        select(PendingTransaction.signature),
        select(CreditEntry.signature).where(CreditEntry.state.in_(("sent", "returning"))),
        select(CarriedFrame.signature),
    ):
        yield from (bytes(Signature.from_string(text)) for text in session.scalars(query) if text)
    since = session.scalar(
        select(SettlementEpoch.log_size)
        .where(SettlementEpoch.log_size.is_not(None), SettlementEpoch.checkpointed_ms.is_not(None))
        .order_by(SettlementEpoch.epoch.desc())
        .offset(KEPT_CHECKPOINTS - 1)
        .limit(1)
    )
    for data in session.scalars(select(Act.data).where(Act.log_index >= (since or 0))):
        if isinstance(text := data.get("signature"), str):
            yield bytes(Signature.from_string(text))


def _history(bundle: Bundle) -> Iterator[Landed]:
    chain = bundle.chain()
    return iter(()) if chain is None else iter(chain.history)


def _gone(ledger: Ledger, bundle: Bundle, first: int) -> Iterator[tuple[int, Landed]]:
    """The bundle's transactions that the ledger has below `first`, oldest first, with their numbers there."""
    for landed in _history(bundle):
        status = ledger.status(landed.signature)
        if status is not None:
            if status.number >= first:
                return
            yield status.number, landed


def _compare(ledger: Ledger, bundle: Bundle, first: int, path: Path) -> tuple[int, Landed | None]:
    """How many would go, and the last: each must be in the bundle as it is in the ledger. BundleOtherError."""
    names = {str(programs.PROGRAM_IDS[name]): name for name in PROGRAM_NAMES}
    count, last = 0, None
    for _, landed in _gone(ledger, bundle, first):
        kept = ledger.landed(landed.signature)
        logs = [] if kept is None else kept.meta.get("logMessages") or []
        events = tuple((names[program], data) for program, data in logged_data(logs) if program in names)
        if events != landed.events:
            signature = Signature.from_bytes(landed.signature)
            raise BundleOtherError(f"{path} does not have transaction {signature} as the ledger has it")
        count, last = count + 1, landed
    return count, last


def _tell(app: App, path: Path, last: Landed, actor: str) -> None:
    """The act names the bundle, before anything goes; once, however often it is tried."""
    data = {"bundle": sha256_of(path), "last_dropped": str(Signature.from_bytes(last.signature))}
    with app.store.write() as session:
        if data not in list(session.scalars(select(Act.data).where(Act.kind == LEDGER_PRUNED))):
            log.record_act(session, LEDGER_PRUNED, actor, app.clock(), data)


def _drop(ledger: Ledger, bundle: Bundle, first: int) -> None:
    numbers: list[int] = []
    for number, _ in _gone(ledger, bundle, first):
        numbers.append(number)
        if len(numbers) == AT_ONCE:
            ledger.drop(numbers)
            numbers = []
    if numbers:
        ledger.drop(numbers)
