"""A log that lost its newest leaves: what the chain pins and the log no longer has, and how it is refilled.

The store was restored from a backup older than the chain. `begin` writes the act that names the lost range, and fills
the range, so that no place in the log is used twice; `refill` takes back what can be had: the acts that the chain
tells of, the final books that still lie in the market's ring, the keys of meters, and what became of readings that
the gateways sent again. When nothing is waited for, it ends the restoration. Each step may be done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.audit.acts import Acts
from authority.audit.chain_state import ChainState
from authority.audit.history import Landed
from authority.audit.tell import Handler
from authority.audit.verify import ChainSource, pin_of
from authority.chain import programs
from authority.chain.accounts import BookStatus, EpochBook, EpochCheckpoint, MeterState
from authority.chain.accounts import Meter as RegistryMeter
from authority.collector import held
from authority.errors import AuthorityError
from authority.log import log
from authority.log.restoration import (
    ACT_RECOVERED,
    KEY_RECOVERED,
    LOG_REFILLED,
    LOG_RESTORED,
    READINGS_LOST,
    Restored,
    hash_of_pins,
    lost_leaf,
    restorations,
)
from authority.market.book_leaf import book_leaf
from authority.refusals import RefusalError
from authority.settlement.journal import set_frames
from authority.settlement.views import book_view
from authority.store.log import Act
from authority.store.metering import (
    CHAIN_CONFIRMED,
    DISPOSITION_HELD,
    METER_ACTIVE,
    Frame,
    Meter,
    MeterKey,
    ParkedFrame,
)
from authority.store.settlement import SettlementAct, act_key
from edge_agent.wire.reading import RECORD_SIZE, SIGNATURE_SIZE, TRUNCATED_HASH_SIZE, Record

FILLED_AT_ONCE = 10_000
ROWS_AT_ONCE = 256
FEWEST_SPARE = 64
RATES = 16
"""Checkpoints by whose growth the leaves after the last one are estimated."""


class NotWaitedForError(AuthorityError):
    """No reading of this meter is waited for, so none can be given up."""

    code = "not_waited_for"


@dataclass(frozen=True)
class Waiting:
    """A meter of which the chain has readings that the log lost: sequences first to last."""

    meter_pk: int
    name: str
    key: bytes
    first: int
    last: int
    previous: bytes

    @property
    def text(self) -> str:
        """For a person."""
        return f"{self.name}: readings {self.first} to {self.last} are on the chain and not in the log"


@dataclass
class Refilled:
    """What a restoration has taken back, or would; complete where nothing is waited for."""

    begun: bool = False
    restoration: int | None = None
    after: int | None = None
    until: int | None = None
    epochs: int = 0
    acts: int = 0
    books: int = 0
    keys: int = 0
    released: int = 0
    readings: int = 0
    waiting: list[Waiting] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    ended: bool = False

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**vars(self), "waiting": [each.text for each in self.waiting]}


def lost_pins(session: Session, pins: Sequence[EpochCheckpoint]) -> tuple[list[EpochCheckpoint], int]:
    """Of the chain's checkpoints, by epoch, those that the log has not and has not given up; the last common size."""
    size = log.size(session)
    astray: list[EpochCheckpoint] = []
    after = 0

    @cache
    def root(of_size: int) -> bytes:
        return log.root(session, of_size)

    for pin in pins:
        if pin.log_size > size or root(pin.log_size) != pin.log_root:
            astray.append(pin)
        elif not astray:
            after = max(after, pin.log_size)
    given_up = restorations(session).given_up(map(pin_of, astray))
    return [pin for pin in astray if pin.epoch not in given_up], after


def begin(
    app: App,
    chain: ChainSource,
    *,
    actor: str,
    reason: str = "",
    seen: Sequence[Mapping[str, Any]] = (),
    dry_run: bool = False,
) -> Refilled:
    """Say in the log what it lost, and fill the lost places; does nothing where nothing is lost.

    seen are checkpoints that others keep of the lost log: size, root (hex), and the cosignatures' lines.
    """
    told = Refilled()
    every = sorted((pin for _, pin in chain.state.all(EpochCheckpoint)), key=lambda each: each.epoch)
    with app.store.write() as session:
        index = log.lock(session).size
        pins, after = lost_pins(session, every)
        if not pins:
            return told
        until = max(_end(every, chain.state.now, app.home.settings.epoch.seconds), *(each["size"] for each in seen), 0)
        told.begun, told.restoration, told.after, told.epochs = True, index, after, len(pins)
        told.until = max(until, index + 1)
        if dry_run:
            return told
        data = {
            "after": after,
            "checkpoints": list(seen),
            "epochs": [pins[0].epoch, pins[-1].epoch],
            "last_root": pins[-1].log_root.hex(),
            "last_size": pins[-1].log_size,
            "pins": hash_of_pins(map(pin_of, pins)),
            "reason": reason,
            "until": told.until,
        }
        log.record_act(session, LOG_RESTORED, actor, app.clock(), data)
        leaf = lost_leaf(index)
        missing = max(0, told.until - index - 1)
        for start in range(0, missing, FILLED_AT_ONCE):
            log.append_all(session, [leaf] * min(FILLED_AT_ONCE, missing - start))
    return told


def _end(pins: Sequence[EpochCheckpoint], now: int, epoch_seconds: int) -> int:
    """A place in the log that was probably never used: beyond the last checkpoint, by more than it can have grown.

    Between a checkpoint and the loss there were leaves, and receipts for them, of which the chain knows nothing. So it
    is an estimate: the fastest growth of late for each epoch since, as far as RATES epochs reach.
    """
    last = pins[-1]
    recent = pins[-RATES:]
    growth = max((after.log_size - before.log_size for before, after in pairwise(recent)), default=0)
    epochs = max(0, now // epoch_seconds - last.epoch) + 1
    return last.log_size + max(FEWEST_SPARE, growth * min(epochs, RATES))


def refill(app: App, chain: ChainSource, *, actor: str, dry_run: bool = False) -> Refilled:
    """Take back what can be had now, and end the restoration where nothing is waited for."""
    told = Refilled()
    with app.store.read() as session:
        open_one = restorations(session).open
    if open_one is None:
        return told
    told.restoration, told.after, told.until = open_one.index, open_one.after, open_one.until
    history = list(chain.history)
    accepted = _accepted(history, chain)
    with app.store.write() as session:
        log.lock(session)
        told.keys = _keys(app, session, chain, history, told, actor, dry_run=dry_run)
        told.books = _books(session, chain.state, open_one, dry_run=dry_run)
        landed = _landed(session, accepted, open_one)
        told.released = _releases(app, session, landed, actor, dry_run=dry_run)
        told.readings = _confirm(session, landed, dry_run=dry_run)
        told.waiting = waiting(session, chain.state)
        told.acts = _acts(app, session, chain, history, actor, dry_run=dry_run)
        if not told.waiting and not dry_run:
            data = {
                "acts": told.acts,
                "books": told.books,
                "readings": told.readings,
                "restoration": open_one.index,
            }
            log.record_act(session, LOG_REFILLED, actor, app.clock(), data)
            told.ended = True
    return told


def waiting(session: Session, state: ChainState) -> list[Waiting]:
    """The meters of which the chain has a later reading than the log."""
    found = []
    standing = {each.meter: each for _, each in state.all(MeterState) if each.interval_end}
    for address, meter in state.all(RegistryMeter):
        at = standing.get(address)
        key = session.get(MeterKey, meter.key)
        if at is None or key is None or at.sequence < key.next_sequence:
            continue
        row = session.get_one(Meter, key.meter_pk)
        name = f"{row.gateway_name}/{row.name}"
        found.append(Waiting(row.id, name, meter.key, key.next_sequence, at.sequence, at.hash))
    return sorted(found, key=lambda each: each.name)


def give_up(app: App, state: ChainState, name: str, *, actor: str, dry_run: bool = False) -> Waiting:
    """Say in the log that a meter's readings are lost, as nobody has them any more, and let it go on behind them.

    Where a later frame is parked already, the meter goes on with that one, and else after the chain's last.
    NotWaitedForError.
    """
    with app.store.write() as session:
        log.lock(session)
        one = next((each for each in waiting(session, state) if each.name == name), None)
        if one is None:
            raise NotWaitedForError(f"no reading of {name} is waited for: authority recover show")
        following, previous = one.last + 1, one.previous
        parked = session.scalar(
            select(ParkedFrame)
            .where(ParkedFrame.public_key == one.key, ParkedFrame.sequence > one.last)
            .order_by(ParkedFrame.sequence)
            .limit(1)
        )
        if parked is not None and parked.sequence > following:
            record = Record.from_bytes(parked.frame[:RECORD_SIZE])
            following, previous = record.sequence, record.previous_hash
        if dry_run:
            return one
        data = {
            "first_sequence": one.first,
            "key": one.key.hex(),
            "next_sequence": following,
            "previous": previous[:TRUNCATED_HASH_SIZE].hex(),
        }
        log.record_act(session, READINGS_LOST, actor, app.clock(), data)
        key = session.get_one(MeterKey, one.key)
        key.next_sequence = following
        key.head_hash = previous[:TRUNCATED_HASH_SIZE].ljust(32, b"\0")
        key.head_log_index = None
    return one


# What is taken back


def _accepted(history: Sequence[Landed], chain: ChainSource) -> set[tuple[Pubkey, int, int]]:
    """Meter, sequence and interval's end of every reading that the chain took."""
    found = set()
    for landed in history:
        for event in landed.decoded(chain.idls):
            if event.name in ("ReadingAccepted", "MeterRebased"):
                found.add((event.data["meter"], event.data["sequence"], event.data["interval_end"]))
    return found


def _keys(
    app: App,
    session: Session,
    chain: ChainSource,
    history: Sequence[Landed],
    told: Refilled,
    actor: str,
    *,
    dry_run: bool,
) -> int:
    """Keys that the chain has of meters of the plan, and whose approval was lost."""
    first: dict[bytes, int] = {}
    for landed in history:
        for event in landed.decoded(chain.idls):
            if event.name == "MeterRegistered":
                first[bytes(event.data["key"])] = event.data["first_sequence"]
            elif event.name == "MeterKeyReplaced":
                first[bytes(event.data["after"])] = event.data["first_sequence"]
    approved = []
    for _, meter in chain.state.all(RegistryMeter):
        if session.get(MeterKey, meter.key) is not None:
            continue
        row = session.scalar(select(Meter).where(Meter.meter_id == meter.meter_id))
        if row is None or meter.key not in first:
            told.unknown.append(
                f"meter {meter.meter_id.hex()[:16]}…: load the campus plan again, and enrol its gateway"
            )
            continue
        approved.append(
            {
                "first_sequence": first[meter.key],
                "key": meter.key.hex(),
                "map_hash": meter.map_hash.hex(),
                "meter_id": meter.meter_id.hex(),
            }
        )
        told.unknown.append(f"{row.gateway_name}: its certificate was lost: authority enrol claim {row.gateway_name}")
        if not dry_run:
            now = app.clock()
            for old in session.scalars(select(MeterKey).where(MeterKey.meter_pk == row.id)):
                old.retired_at = old.retired_at or now
            session.add(
                MeterKey(
                    public_key=meter.key, meter_pk=row.id, first_sequence=first[meter.key],
                    next_sequence=first[meter.key], possession=bytes(SIGNATURE_SIZE), approved_at=meter.since,
                )
            )  # fmt: skip
            row.public_key, row.map_hash, row.state, row.registered_at = meter.key, meter.map_hash, METER_ACTIVE, now
    if approved and not dry_run:
        log.record_act(session, KEY_RECOVERED, actor, app.clock(), {"meters": approved})
    return len(approved)


def _books(session: Session, state: ChainState, restored: Restored, *, dry_run: bool) -> int:
    """Final books that still lie in the ring, of epochs whose checkpoints were given up."""
    count = 0
    ring = sorted((head.epoch, address) for address, head in state.all(EpochBook) if head.status is BookStatus.FINAL)
    for epoch, address in ring:
        key = act_key(f"book:{epoch}")
        if not restored.first_epoch <= epoch <= restored.last_epoch or session.get(SettlementAct, key) is not None:
            continue
        book = book_view(state.accounts[address][1])
        if book is None:
            continue
        count += 1
        if not dry_run:
            index = log.append(session, book_leaf(book.data))
            session.add(SettlementAct(key=key, log_index=index))
    return count


def _landed(session: Session, accepted: set[tuple[Pubkey, int, int]], restored: Restored) -> list[Frame]:
    """The readings that were logged since the restoration, and that the chain has."""
    query = select(Frame, Meter.meter_id).join(Meter, Meter.id == Frame.meter_pk)
    return [
        frame
        for frame, meter_id in session.execute(query.where(Frame.log_index > restored.after))
        if (programs.meter_address(meter_id), frame.sequence, frame.interval_end) in accepted
    ]


def _releases(app: App, session: Session, landed: Sequence[Frame], actor: str, *, dry_run: bool) -> int:
    """Release what is held again though the chain has it: its release was lost."""
    reason = "the chain has it: its release was lost, and is logged again"
    count = 0
    for frame in landed:
        if frame.disposition != DISPOSITION_HELD:
            continue
        if not dry_run:
            try:
                held.release(session, frame.log_index, actor=actor, reason=reason, now=app.clock())
            except RefusalError:
                continue
        count += 1
    return count


def _confirm(session: Session, landed: Sequence[Frame], *, dry_run: bool) -> int:
    """Note of the readings that were sent again that the chain has them; how many."""
    if not dry_run:
        for start in range(0, len(landed), ROWS_AT_ONCE):
            indexes = [frame.log_index for frame in landed[start : start + ROWS_AT_ONCE]]
            set_frames(session, indexes, chain_status=CHAIN_CONFIRMED, chain_error=None)
    return len(landed)


def _acts(
    app: App, session: Session, chain: ChainSource, history: Sequence[Landed], actor: str, *, dry_run: bool
) -> int:
    """Acts that the chain tells of, and the log no longer does: each is logged again, as the chain tells it."""
    missing: list[str] = []

    def find(code: str, where: object, _: str) -> None:
        if code == "act_not_logged":
            missing.append(str(where).removeprefix("transaction "))

    acts = Acts(find, chain.state)
    for index, kind, data in session.execute(select(Act.log_index, Act.kind, Act.data).order_by(Act.log_index)):
        acts.logged(index, kind, data)
    handlers: dict[str, Handler] = acts.handlers()
    events: dict[str, list[str]] = {}
    for landed in history:
        for event in landed.decoded(chain.idls):
            if event.name in handlers:
                handlers[event.name](event.data, landed)
                events.setdefault(str(Signature.from_bytes(landed.signature)), []).append(event.name)
    acts.finish()
    lost = list(dict.fromkeys(missing))
    if not dry_run:
        log.record_acts(
            session,
            [(ACT_RECOVERED, {"events": sorted(set(events[each])), "signature": each}) for each in lost],
            actor,
            app.clock(),
        )
    return len(lost)
