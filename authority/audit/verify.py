"""What `authority audit verify` checks: the log against itself, and the chain against the log.

Nothing that the store says about a leaf is believed; everything is computed again from the leaves' bytes. Checked:
- the tree: every leaf's hash, the root, and every checkpoint ever signed, its signature and root;
- readings: strict signatures, network, keys that an approval in the log put to use before, sequences without a gap,
  previous hashes, and verdicts that agree with their codes;
- acts: canonical JSON, and releases and voids of held readings, once each; a void one may be released after all;
- books: price, fills, payments and fees by the auction's rule, and that one follows from another;
- recoveries: what a log that was restored says of the leaves that it lost, or of a chain that went back; what it
  names, and nothing else, is then no finding, and the audit says how much that is;
- the chain: every EpochCheckpoint's root and book hash, without a gap; that each meter's key was approved in the log
  and its last reading on the chain is one that the log let pass; conservation; readings that never reached the chain;
- the chain's history: every accepted reading, every span and every mint, done again (authority.audit.replay);
- every bill that was issued, done again (authority.audit.bills).

The log is passed over once, in step with the history; what is kept meanwhile does not grow with the log, but for a few
bytes an epoch. One long file: each kind of leaf is judged by what all others have said before.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from solders.signature import Signature
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority import heap
from authority.audit import rows
from authority.audit.bills import BillAudit
from authority.audit.books import Book
from authority.audit.chain_state import ChainState
from authority.audit.conservation import conservation_of
from authority.audit.events import Events, Taken
from authority.audit.examine import SIGNED, WELL_FORMED, Examined, examined
from authority.audit.history import Landed
from authority.audit.reading import Reading
from authority.audit.replay import Replay
from authority.billing.recompute import Recomputation
from authority.chain import programs
from authority.chain.accounts import EpochCheckpoint, Meter, MeterState
from authority.chain.errors import ChainError
from authority.chain.idl import Idl
from authority.chain.layout import LayoutError
from authority.errors import AuthorityError
from authority.log import log, merkle
from authority.log.log import LEAF_ACT, LEAF_BOOK, LEAF_READING, Leaf, SignedCheckpoint
from authority.log.note import Cosignature, NoteError, VerifierKey
from authority.log.reading_leaf import FRAME_AT, HEAD, READING_SIZE, RECORD_END, TOLD
from authority.log.restoration import (
    ACT_RECOVERED,
    CHAIN_WENT_BACK,
    KEY_RECOVERED,
    LEAF_LOST,
    LOG_REFILLED,
    LOG_RESTORED,
    READINGS_LOST,
    Restorations,
)
from authority.log.tiles import TILE_HEIGHT, TILE_WIDTH
from authority.log.tree import Growth, TileReader
from authority.market.book_leaf import BookLeafError, book_of_leaf
from authority.store.log import Checkpoint, KeptCosignature, PublishedCheckpoint
from authority.store.metering import Frame
from edge_agent.wire.canonical import NotCanonicalError, canonical_json
from edge_agent.wire.checkpoint import note_text, origin
from edge_agent.wire.reading import (
    CODES,
    TRUNCATED_HASH_SIZE,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    ZERO_HASH,
    ReadingError,
    Record,
)

BATCH = 1_000
MOST_FRESH = 1 << 16
"""Leaves after which the tree is computed, though nothing was signed or pinned."""
SHOWN = 8
"""How many of a meter's readings are listed."""
NO_BOOK = bytes(32)
CHECKPOINTED = hashlib.sha256(b"event:Checkpointed").digest()[:8]
"""What the oracle's event of a checkpoint begins with."""


class LogSource(Protocol):
    """A log to be audited, from a store or a bundle."""

    def size(self) -> int:
        """How many leaves it says that it has."""
        ...

    def root(self) -> bytes:
        """The root that it says that it has."""
        ...

    def leaves(self) -> Iterator[Leaf]:
        """The leaves, in order."""
        ...

    def checkpoints(self) -> Iterator[SignedCheckpoint]:
        """The signed checkpoints, by size."""
        ...


@dataclass(frozen=True)
class StoreLog:
    """The log in the authority's store: its leaves when `length` was read, and the checkpoints signed before that."""

    session: Session
    length: int
    last_signed: int
    frontier: tuple[bytes, ...]

    @classmethod
    def of(cls, session: Session) -> StoreLog:
        """The log as it stands now."""
        last_signed = session.scalar(select(func.max(Checkpoint.size))) or 0  # first: the log only grows meanwhile
        length, frontier = log.edge(session)
        return cls(session, length, last_signed, tuple(frontier))

    def size(self) -> int:
        """How many leaves it says that it has."""
        return self.length

    def root(self) -> bytes:
        """The root of its stored tree."""
        return log.root(self.session, self.length)

    def leaves(self) -> Iterator[Leaf]:
        """The leaves, in order."""
        return self.leaves_from(0)

    def leaves_from(self, start: int) -> Iterator[Leaf]:
        """The leaves from one on, a batch at a time, and what the rows beside them say otherwise."""
        owners: dict[bytes, int] = {}
        for first in range(start, self.length, BATCH):
            end = min(first + BATCH, self.length)
            said = rows.said(self.session, first, end, owners)
            for leaf in log.leaves(self.session, first, end):
                fault = leaf.fault or rows.fault(leaf.data, said.get(leaf.log_index))
                yield leaf._replace(fault=fault) if fault else leaf

    def root_at(self, size: int) -> bytes:
        """The root of its first leaves, as the store's tree has it."""
        return log.root(self.session, size)

    def dispositions(self) -> Iterator[tuple[int, str]]:
        """What the store says became of the readings that were not accepted at once, or so it says: by log index."""
        query = select(Frame.log_index, Frame.disposition).where(
            (Frame.verdict != "accepted") | (Frame.disposition != "accepted"), Frame.log_index < self.length
        )
        for row in self.session.execute(query.execution_options(yield_per=BATCH)):
            yield row.log_index, row.disposition

    def cosignatures(self) -> Iterator[tuple[int, str, bool]]:
        """The witnesses' signatures that are kept: size, witness, and whether each holds for that size's root."""
        name = origin(log.network_id(self.session))
        query = select(KeptCosignature).order_by(KeptCosignature.size)
        for row in self.session.scalars(query.execution_options(yield_per=BATCH)):
            checkpoint = self.session.get(Checkpoint, row.size)
            try:
                key = VerifierKey.parse(row.witness)
                text = b"" if checkpoint is None else note_text(name, row.size, checkpoint.root)
                holds = Cosignature(row.time, row.signature).verify(key, text)
            except (NoteError, ValueError):
                holds = False
            yield row.size, row.witness, holds

    def published_otherwise(self, key: bytes) -> Iterator[int]:
        """Sizes of the checkpoints that were given out under another key, or never signed."""
        query = select(PublishedCheckpoint.size, PublishedCheckpoint.public_key, Checkpoint.size).outerjoin(
            Checkpoint, Checkpoint.size == PublishedCheckpoint.size
        )
        for size, public_key, signed in self.session.execute(query.execution_options(yield_per=BATCH)):
            if public_key != key or signed is None:
                yield size

    def checkpoints(self) -> Iterator[SignedCheckpoint]:
        """The signed checkpoints, by size."""
        network_id = log.network_id(self.session)
        query = select(Checkpoint).where(Checkpoint.size <= self.last_signed).order_by(Checkpoint.size)
        for row in self.session.scalars(query.execution_options(yield_per=BATCH)):
            yield log.checkpoint_of(row, network_id)

    def node(self, tile_level: int, position: int) -> bytes:
        """The root of a perfect subtree of 256^tile_level leaves, as the store's tiles have it; empty: they do not."""
        reader = TileReader(self.session)
        n, at = divmod(position, TILE_WIDTH)
        return reader.tile(tile_level, n)[at * merkle.HASH_SIZE : (at + 1) * merkle.HASH_SIZE]


@runtime_checkable
class HasTiles(Protocol):
    """A source that keeps the tree's inner nodes, which are to be its leaves'."""

    def node(self, tile_level: int, position: int) -> bytes:
        """The root of a perfect subtree of 256^tile_level leaves; empty where it is not there."""
        ...

    def root_at(self, size: int) -> bytes:
        """The root of its first leaves."""
        ...

    def leaves_from(self, start: int) -> Iterator[Leaf]:
        """The leaves from one on, in order."""
        ...


@dataclass(frozen=True)
class ChainSource:
    """A chain to be compared with: its accounts at one moment, and what its programs logged until then."""

    state: ChainState
    history: Iterable[Landed]
    idls: Mapping[str, Idl]
    whole: bool = True
    """Whether the history has the transactions of the market's seats beside those of governance's Config."""
    newest: tuple[str | None, ...] = ()
    """The last transactions that the history goes up to, where it was read from a validator."""


@dataclass(frozen=True)
class Finding:
    """Something that does not hold: a code, where (a leaf's index, an epoch, a meter), and what was found."""

    code: str
    where: str
    message: str


@dataclass
class _Key:
    meter_id: bytes
    next_sequence: int
    previous: bytes = ZERO_HASH


@dataclass(frozen=True)
class Verified:
    """A checkpoint that an earlier audit found to hold: what was signed before it is not verified again."""

    size: int
    root: bytes


@dataclass
class Progress:
    """How far an audit has come, and what it carries over from leaf to leaf: kept between two runs (audit.state)."""

    readings: int = 0
    acts: int = 0
    books: int = 0
    checkpoints: int = 0
    size: int = 0
    frontier: list[bytes] = field(default_factory=list)
    last_signed: int = -1
    landed: int = 0
    """Transactions of the chain's history that were replayed."""
    newest: tuple[str | None, ...] = ()
    keys: dict[bytes, _Key] = field(default_factory=dict)
    held: dict[int, tuple[bytes, Reading]] = field(default_factory=dict)
    """Meter id and reading, by log index."""
    decided: dict[int, str] = field(default_factory=dict)
    """What became of held readings, by log index: the act's kind."""
    pinned: dict[int, bytes] = field(default_factory=dict)
    """SHA-256 of the account of each EpochCheckpoint that was compared with the log, by epoch."""
    unpinned: dict[int, bytes] = field(default_factory=dict)
    """SHA-256 of the books in the log whose epochs have no checkpoint yet, by epoch."""
    last_book: int | None = None
    """The last book's epoch."""
    reference: int | None = None
    replay: Replay | None = None
    bills: Recomputation | None = None
    restorations: Restorations = field(default_factory=Restorations)
    recovered_acts: int = 0
    """Acts that were lost, and are logged again as the chain tells of them."""


@dataclass
class Audit:
    """The state of one pass over a log, and over a chain beside it. jobs: processes that verify signatures."""

    network_id: bytes
    receipt_key: bytes
    jobs: int = 1
    since: Verified | None = None
    progress: Progress = field(default_factory=Progress)
    findings: list[Finding] = field(default_factory=list)
    chain_checkpoints: int = 0
    chain_meters: int = 0
    root: bytes = merkle.EMPTY_ROOT
    bills: BillAudit = field(init=False)
    kept: bytes | None = None
    """What `keep` made of the progress before it was compared with the accounts; None where nothing is to be kept."""
    keep: Callable[[Progress], bytes] | None = None
    _fresh: list[bytes] = field(default_factory=list)
    """Leaf hashes that are not in the frontier yet; the tree is computed where somebody signed or pinned it."""
    _stop: int = 0
    _standing: dict[bytes, bytes] = field(default_factory=dict)
    _pins: dict[int, list[EpochCheckpoint]] = field(default_factory=dict)
    _pin_sizes: deque[int] = field(default_factory=deque)
    _pinned: dict[int, bytes] = field(default_factory=dict)
    _unlogged: dict[int, bytes] = field(default_factory=dict)
    _last_pin: int = -1
    _astray: dict[int, tuple[EpochCheckpoint, Finding]] = field(default_factory=dict)
    """Checkpoints on the chain, by epoch, whose roots the log has not: a finding where no restoration gave them up."""
    _other_books: list[tuple[int, int, Finding]] = field(default_factory=list)
    """Books of the log (leaf, epoch) that the chain does not pin: a finding where the chain did not go back."""
    _awaited: dict[int, bytes] = field(default_factory=dict)
    """SHA-256 of pinned books of whose epochs the log had another so far."""
    _met: dict[int, bytes] = field(default_factory=dict)
    """SHA-256 of the pinned books that the log has, by epoch."""
    _again: dict[int, bytes] = field(default_factory=dict)
    """Those of epochs to which the chain went back since: the same book follows once more, if the epoch came to it."""
    lost_books: int = 0
    """Books whose hashes are pinned, and which were lost with the log's leaves."""
    given_up: int = 0
    """Checkpoints on the chain that a restoration of the log gave up."""
    _signed: Iterator[SignedCheckpoint] = field(default_factory=lambda: iter(()))
    _next_signed: SignedCheckpoint | None = None
    _tiles: HasTiles | None = None

    @property
    def size(self) -> int:
        """How many leaves the log has, as far as it was read."""
        return self.progress.size

    @property
    def readings(self) -> int:
        """How many of them are readings."""
        return self.progress.readings

    @property
    def acts(self) -> int:
        """How many are acts."""
        return self.progress.acts

    @property
    def books(self) -> int:
        """How many are books."""
        return self.progress.books

    @property
    def checkpoints(self) -> int:
        """How many signed checkpoints were checked."""
        return self.progress.checkpoints

    @property
    def replay(self) -> Replay | None:
        """The chain's metering, done again; None where the chain was not asked."""
        return self.progress.replay

    def __post_init__(self) -> None:
        if self.progress.bills is None:
            self.progress.bills = Recomputation(self.network_id)
        self.bills = BillAudit(self.progress.bills, self.find)

    @property
    def minted_wh(self) -> int | None:
        """What the signed readings entitle the members to, by the rule; None where the chain was not asked."""
        return None if self.replay is None else self.replay.minted_wh

    def recoveries(self) -> dict[str, Any]:
        """What the log tells of recoveries, and how much is known by the chain's word alone since."""
        told, replay = self.progress.restorations, self.replay
        return {
            "log_restored": [
                {
                    "leaf": each.index,
                    "after": each.after,
                    "until": each.until,
                    "first_epoch": each.first_epoch,
                    "last_epoch": each.last_epoch,
                    "refilled": each.refilled,
                }
                for each in told.restored
            ],
            "chain_went_back": [
                {
                    "leaf": each.index,
                    "last_epoch": each.last_epoch if each.last_epoch >= 0 else None,
                    "undone": each.told.get("undone", 0),
                }
                for each in told.went_back
            ],
            "given_up_checkpoints": self.given_up,
            "lost_readings": 0 if replay is None else replay.lost,
            "recovered_acts": self.progress.recovered_acts,
            "lost_books": self.lost_books,
            "seats_given": replay is not None and replay.money.seats_given,
        }

    def find(self, code: str, where: object, message: str) -> None:
        """Note something that does not hold."""
        self.findings.append(Finding(code, str(where), message))

    def run(self, source: LogSource, chain: ChainSource | None = None) -> None:
        """Pass over the whole log, and over the chain's history in step with it: from where the progress stands."""
        with heap.seldom_searched():
            self._run(source, chain)

    def _run(self, source: LogSource, chain: ChainSource | None) -> None:
        progress, resumed = self.progress, self.progress.size
        self._tiles = source if isinstance(source, HasTiles) else None
        if chain is None:
            progress.replay = None
        else:
            self._expect(chain.state)
            if progress.replay is None:
                progress.replay = Replay(self.find, chain.idls, chain.state)
            else:
                progress.replay.resume_with(self.find, chain.idls, chain.state)
        self._signed = source.checkpoints()
        self._advance_signed()
        self._at_size()
        verified = 0 if self.since is None else self.since.size
        unread = self._tiles.leaves_from(resumed) if self._tiles else islice(source.leaves(), resumed, None)
        leaves = examined(
            unread, self.network_id, jobs=self.jobs, size=source.size() - resumed, verified=verified - resumed
        )
        if chain is not None and progress.replay is not None:
            self._in_step(leaves, chain, progress.replay)
        self._take(leaves, None)
        self._end_of_log(source)
        if chain is not None and progress.replay is not None:
            progress.newest, progress.pinned = chain.newest, self._pinned
            if self.keep is not None:
                self.kept = self.keep(progress)
            self.bills.finish()
            for address, message in chain.state.malformed():
                self.find("account_malformed", str(address), message)
            self._end_of_chain(chain, progress.replay)
        elif self.keep is not None:
            self.kept = self.keep(progress)

    def _in_step(self, leaves: Iterator[Examined[Leaf]], chain: ChainSource, replay: Replay) -> None:
        """Replay each epoch's transactions once the leaves are taken that its checkpoint pins."""
        waiting: list[Landed] = []
        begun, events = replay.begun, Events(chain.idls)
        for landed in chain.history:
            if not begun:
                replay.begin(landed)
                begun = True
            self.progress.landed += 1
            waiting.append(landed)
            if not _checkpoints(landed):
                continue
            pinned = next(event.data for event in landed.decoded(chain.idls) if event.name == "Checkpointed")
            self._take(leaves, pinned["log_size"])
            if self._waits_for_recovery(pinned["epoch"], pinned["log_size"]):
                continue
            self._apply(waiting, events, replay)
            waiting.clear()
        if not begun:
            replay.begin(None)
        self._take(leaves, None)
        self._apply(waiting, events, replay)

    def _waits_for_recovery(self, epoch: int, size: int) -> bool:
        """Whether the log by which an epoch's transactions are judged was lost, and is not refilled yet.

        What the chain did then is judged by the log as it stands once it is refilled.
        """
        return epoch in self._astray or self.size < size or self.progress.restorations.open is not None

    def _apply(self, transactions: Iterable[Landed], read: Events, replay: Replay) -> None:
        for each in transactions:
            events: list[Taken] = []
            try:
                events.extend(read.of(each))
            except (KeyError, ChainError) as error:
                where = f"transaction {Signature.from_bytes(each.signature)}"
                self.find("event_not_understood", where, f"an event cannot be read: {error!r}")
            replay.apply(each, events)
            self.bills.apply(each, events)
        self.bills.step()

    # The log

    def _take(self, leaves: Iterator[Examined[Leaf]], until: int | None) -> None:
        """Take leaves until there are so many; all of them where until is None."""
        progress = self.progress
        while until is None or progress.size < until:
            row = next(leaves, None)
            if row is None:
                return
            (index, data, hashed, fault), digest, record_digest, marks = row
            if index != progress.size:
                self.find("leaf_missing", progress.size, f"the next leaf in the store is {index}")
                for _ in leaves:
                    pass
                return
            if hashed != digest:
                self.find("leaf_hash", index, "the tree's hash is not its data's")
            if fault:
                self.find("row_differs", index, fault)
            if marks == SIGNED | WELL_FORMED:
                self._reading(index, data, record_digest)
            else:
                self._leaf(index, data, record_digest, marks)
            self._fresh.append(digest)
            progress.size += 1
            if progress.size >= self._stop:
                self._at_size()

    def _grow(self) -> None:
        """Take the fresh leaves into the frontier, and hold what the source keeps of the tree against it."""
        if not self._fresh:
            return
        progress = self.progress
        growth = Growth(progress.size - len(self._fresh), progress.frontier, self._fresh)
        progress.frontier, self._fresh = growth.frontier, []
        if self._tiles is None:
            return
        for tile_level in range(1, (len(growth.rows) - 1) // TILE_HEIGHT + 1):
            at, row = growth.rows[tile_level * TILE_HEIGHT]
            for position, value in enumerate(row, at):
                if self._tiles.node(tile_level, position) != value:
                    where = f"tile/{tile_level}/{position >> TILE_HEIGHT}"
                    message = f"its hash {position % TILE_WIDTH} is not that of the leaves below it"
                    self.find("tile_differs", where, message)

    def _root(self) -> bytes:
        self._grow()
        return merkle.frontier_root(self.progress.frontier) if self.size else merkle.EMPTY_ROOT

    def _at_size(self) -> None:
        """Check what was signed or pinned of the tree as it stands now, and see where that is the case next."""
        size = self.size
        pins = self._pins.pop(size, ())
        signed = self._next_signed is not None and self._next_signed.size <= size
        known = self.since is not None and self.since.size == size
        root = self._root() if pins or signed or known or len(self._fresh) >= MOST_FRESH else b""
        for pin in pins:
            if pin.log_root != root:
                self._stray(pin, "log_rewritten", "pins another root: leaves before it were changed")
        while self._next_signed is not None and self._next_signed.size <= size:
            if self._next_signed.size != size or self._next_signed.root != root:
                where = f"checkpoint {self._next_signed.size}"
                self.find("log_rewritten", where, "was signed with another root: leaves before it were changed")
            self._advance_signed()
        if self.since is not None and known and self.since.root != root:
            self.find("log_rewritten", f"checkpoint {size}", "was verified with another root: leaves were changed")
        while self._pin_sizes and self._pin_sizes[0] <= size:
            self._pin_sizes.popleft()
        stops = [size + MOST_FRESH, *islice(self._pin_sizes, 1)]
        if self._next_signed is not None:
            stops.append(self._next_signed.size)
        if self.since is not None and self.since.size > size:
            stops.append(self.since.size)
        self._stop = min(stops)

    def _stray(self, pin: EpochCheckpoint, code: str, message: str) -> None:
        """A checkpoint on the chain is not of this log; whether that is a finding, its restorations say at the end."""
        self._astray[pin.epoch] = (pin, Finding(code, f"epoch {pin.epoch}", message))

    def _advance_signed(self) -> None:
        """Read the next signed checkpoint, and check its signature."""
        self._next_signed = None
        for checkpoint in self._signed:
            if checkpoint.size <= self.progress.last_signed:
                continue
            self.progress.last_signed = checkpoint.size
            self.progress.checkpoints += 1
            if checkpoint.network_id != self.network_id or not checkpoint.verify(self.receipt_key):
                where = f"checkpoint {checkpoint.size}"
                message = "is not signed by this authority's receipt key for its network"
                self.find("checkpoint_signature", where, message)
            self._next_signed = checkpoint
            return

    def _end_of_log(self, source: LogSource) -> None:
        total = source.size()
        if self.size != total:
            self.find("leaf_missing", self.size, f"the store says the log has {total} leaves")
        self.root = self._root()
        try:
            stored = source.root().hex()
        except AuthorityError as error:
            stored = f"that cannot be computed ({error})"
        if stored != self.root.hex():
            self.find("root_differs", self.size, f"the store's tree has root {stored}, its leaves {self.root.hex()}")
        while self._next_signed is not None:
            where = f"checkpoint {self._next_signed.size}"
            self.find("log_shortened", where, f"was signed, and the log has only {self.size} leaves")
            self._advance_signed()

        if self.since is not None and self.since.size > self.size:
            where = f"checkpoint {self.since.size}"
            self.find("log_shortened", where, f"was verified, and the log has only {self.size} leaves")
        if isinstance(source, StoreLog):
            if list(source.frontier) != self.progress.frontier:
                self.find("root_differs", self.size, "the right edge that the store goes on from is not the leaves'")
            for size in source.published_otherwise(self.receipt_key):
                self.find("checkpoint_signature", f"checkpoint {size}", "was given out under another key")
            for size, witness, holds in source.cosignatures():
                if not holds:
                    message = f"the cosignature of {witness} does not hold for the root of this size"
                    self.find("cosignature_differs", f"checkpoint {size}", message)
            for index, disposition in source.dispositions():
                self._disposed(index, disposition)

    def _disposed(self, index: int, disposition: str) -> None:
        """What the store says became of a held reading."""
        progress = self.progress
        kind = progress.decided.get(index, "" if index in progress.held else "reading_accepted")
        expected = {"reading_released": "released", "reading_voided": "void", "": "held"}.get(kind, "accepted")
        if disposition != expected:
            self.find("row_differs", index, f"its row says {disposition}, the log {expected}")

    def _leaf(self, index: int, data: bytes, digest: bytes, marks: int) -> None:
        """A leaf that is no reading, or a reading that is not as it should be."""
        kind = data[0] if data else None
        if kind == LEAF_READING:
            self._faulty(index, data, digest, marks)
            return
        if kind == LEAF_ACT:
            self._act(index, data)
        elif kind == LEAF_BOOK:
            self._book(index, data)
        elif kind == LEAF_LOST and self.progress.restorations.stands_for_lost(index, data):
            pass  # it keeps the place of a leaf that was lost
        else:
            self.find("leaf_unknown", index, f"no leaf of this version has type {kind}")
        self.bills.leaf(index, data)

    def _faulty(self, index: int, data: bytes, digest: bytes, marks: int) -> None:
        """Name what is wrong with a reading's leaf by itself, and take the reading all the same where it is one."""
        if len(data) != READING_SIZE:
            self.progress.readings += 1
            self.find("reading_malformed", index, f"the leaf of a reading has {READING_SIZE} bytes, not {len(data)}")
            return
        _, verdict, code, _ = HEAD.unpack_from(data)
        try:
            record = Record.from_bytes(data[FRAME_AT:RECORD_END])
        except ReadingError as error:
            self.progress.readings += 1
            self.find("reading_malformed", index, str(error))
            self.bills.leaf(index, data)
            return
        if not marks & SIGNED:
            self.find("reading_signature", index, "its meter did not sign it")
        if record.network_id != self.network_id:
            self.find("reading_network", index, f"is of network {record.network_id.hex()}")
        if verdict != (VERDICT_ACCEPTED if CODES.get(code) == "ok" else VERDICT_HELD):
            self.find("reading_verdict", index, f"verdict {verdict} does not go with code {code}")
        self._reading(index, data, digest)

    def _reading(self, index: int, data: bytes, digest: bytes) -> None:
        """Follow a meter's readings, and take one more."""
        progress = self.progress
        progress.readings += 1
        verdict, sequence, end, g, c, i, o, register_epoch, flags, previous, public_key = TOLD.unpack_from(data)
        self.bills.reading(index, public_key, end, verdict)
        key = progress.keys.get(public_key)
        if key is None:
            self.find("key_not_approved", index, f"no approval before it put key {public_key.hex()} to use")
            key = progress.keys[public_key] = _Key(b"", sequence, previous)
        if sequence != key.next_sequence:
            self.find("reading_sequence", index, f"has sequence {sequence}, {key.next_sequence} was next")
        if previous != key.previous:
            self.find("reading_history", index, "does not follow the reading before it")
        key.next_sequence, key.previous = sequence + 1, digest[:TRUNCATED_HASH_SIZE]
        reading = Reading(sequence, end, (g, c, i, o), register_epoch, flags, digest, index)
        if verdict == VERDICT_ACCEPTED:
            self._pass(key.meter_id, reading)
        else:
            progress.held[index] = key.meter_id, reading

    def _pass(self, meter_id: bytes, reading: Reading) -> None:
        if self._standing.get(meter_id) == reading.digest[:TRUNCATED_HASH_SIZE]:
            del self._standing[meter_id]
        if self.progress.replay is not None:
            self.progress.replay.passed(meter_id, reading)

    def _act(self, index: int, data: bytes) -> None:
        self.progress.acts += 1
        try:
            act = log.act_of(data)
            canonical = canonical_json(act) == data[1:]
        except (log.LeafMalformedError, NotCanonicalError):
            canonical = False
        if not canonical:
            self.find("act_malformed", index, "is not the canonical JSON of an act")
            return
        try:
            if self.replay is not None and self.replay.complete:
                self.replay.acts.logged(index, act["kind"], act["data"])
            if act["kind"] in RECOVERIES:
                self._recovery(index, act["kind"], act["data"])
            elif act["kind"] in ("gateway_approved", KEY_RECOVERED):
                self._approval(act["data"])
            elif act["kind"] in ("reading_released", "reading_voided"):
                self._decision(index, act["kind"], act["data"])
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            self.find("act_malformed", index, f"{act['kind']} lacks what it should say: {error!r}")

    def _recovery(self, index: int, kind: str, data: Mapping[str, Any]) -> None:
        """What the log says of leaves that it lost, or of a chain that went back."""
        progress = self.progress
        progress.restorations.logged(index, kind, data)
        progress.recovered_acts += kind == ACT_RECOVERED
        if kind == READINGS_LOST:
            key = progress.keys[bytes.fromhex(data["key"])]
            first, following = int(data["first_sequence"]), int(data["next_sequence"])
            if first != key.next_sequence or following <= first:
                raise ValueError("the log has what it says was lost")
            key.next_sequence, key.previous = following, bytes.fromhex(data["previous"])
            if self.replay is not None:
                self.replay.lose(key.meter_id, first, following)
        elif kind in (LOG_RESTORED, CHAIN_WENT_BACK):
            progress.last_book = progress.reference = None  # the books before it were lost, or undone
            if kind == CHAIN_WENT_BACK:
                undone = progress.restorations.went_back[-1]
                later = [epoch for epoch in self._met if epoch > undone.last_epoch]
                self._again |= {epoch: self._met.pop(epoch) for epoch in later}
                if self.replay is not None:
                    self.replay.went_back(undone.last_epoch, undone.from_leaf, index)

    def _approval(self, data: Mapping[str, Any]) -> None:
        for meter in data["meters"]:
            key = bytes.fromhex(meter["key"])
            self.progress.keys.setdefault(key, _Key(bytes.fromhex(meter["meter_id"]), int(meter["first_sequence"])))

    def _decision(self, index: int, kind: str, data: Mapping[str, Any]) -> None:
        number = int(data["log_index"])
        held, again = self.progress.held.get(number), self.progress.decided.get(number) == kind
        if held is not None:
            self.progress.decided[number] = kind
            if kind == "reading_released":
                del self.progress.held[number]  # a void one is kept: it may be released after all
        if held is None or again or held[1].digest.hex() != data["record"]:
            self.find("decision_without_hold", index, f"{kind} names reading {data['log_index']}, which is not held")
        elif kind == "reading_released":
            self._pass(*held)

    def _book(self, index: int, data: bytes) -> None:
        self.progress.books += 1
        try:
            raw = book_of_leaf(data)
            book = Book.from_bytes(raw)
        except (BookLeafError, LayoutError) as error:
            self.find("book_malformed", index, str(error))
            return
        head = book.head
        where = f"book of epoch {head.epoch}, leaf {index}"
        for fault in book.faults():
            self.find("book_differs", where, fault)
        before = self.progress.last_book
        if before is not None and head.previous != before:
            message = f"follows the book of epoch {head.previous}, and the log's last was {before}"
            self.find("book_gap", where, message)
        if not book.was_refunded:
            known = self.progress.reference
            if known not in (None, head.reference_price):
                message = f"says reference price {head.reference_price}, by the books before it is {known}"
                self.find("book_differs", where, message)
            self.progress.reference = book.reference_after
        self.progress.last_book = head.epoch
        places = (self._unlogged, self._awaited, self._again)
        pinned = next((found for place in places if (found := place.pop(head.epoch, None)) is not None), None)
        if pinned is None and head.epoch <= self._last_pin:
            message = "is of an epoch whose checkpoint on the chain pins none, or a second"
            self._other_books.append((index, head.epoch, Finding("book_not_pinned", where, message)))
        elif pinned is not None and pinned != hashlib.sha256(raw).digest():
            message = f"is not the one that the chain pins ({pinned.hex()[:16]}…)"
            self._other_books.append((index, head.epoch, Finding("book_differs", where, message)))
            self._awaited[head.epoch] = pinned  # another of this epoch may follow
        elif pinned is None:
            self.progress.unpinned[head.epoch] = hashlib.sha256(raw).digest()
        else:
            self._met[head.epoch] = pinned
        if self.replay is not None:
            self.replay.book(book)

    # The chain

    def _expect(self, state: ChainState) -> None:
        """Note what the log must have for this chain."""
        pins = sorted((pin for _, pin in state.all(EpochCheckpoint)), key=lambda pin: pin.epoch)
        self.chain_checkpoints = len(pins)
        self._know(state)
        for before, pin in zip([None, *pins], pins, strict=False):
            if pin.epoch not in self.progress.pinned:
                self._expect_pin(pin)
            if before is not None and pin.epoch != before.epoch + 1:
                where = f"epoch {before.epoch + 1}"
                self.find("checkpoint_gap", where, f"has no checkpoint on the chain, nor any up to {pin.epoch - 1}")
            if before is not None and pin.log_size < before.log_size:
                message = f"pins {pin.log_size} leaves, the epoch before {before.log_size}"
                self.find("log_shortened", f"epoch {pin.epoch}", message)
            self._last_pin = pin.epoch
        self._pin_sizes.extend(sorted(self._pins))
        hashes = {each.meter: each.hash for _, each in state.all(MeterState) if each.interval_end}
        for address, meter in state.all(Meter):
            if address in hashes:
                self._standing[meter.meter_id] = hashes[address]

    def _know(self, state: ChainState) -> None:
        """Checkpoints that an earlier run compared with the log must be as they were."""
        for address, pin in state.all(EpochCheckpoint):
            self._pinned[pin.epoch] = hashlib.sha256(state.accounts[address][1]).digest()
            if address != programs.checkpoint_address(pin.epoch):
                message = "the chain's account of it is not at the address of that epoch"
                self.find("account_differs", f"epoch {pin.epoch}", message)
        for epoch, digest in self.progress.pinned.items():
            if self._pinned.get(epoch) != digest:
                message = "the chain's account is not the one that an earlier audit saw"
                self.find("account_differs", f"epoch {epoch}", message)

    def _expect_pin(self, pin: EpochCheckpoint) -> None:
        if pin.log_size >= self.size:
            self._pins.setdefault(pin.log_size, []).append(pin)
        elif self._tiles is None or self._tiles.root_at(pin.log_size) != pin.log_root:
            message = f"pins another root of {pin.log_size} leaves than the log that an earlier audit saw"
            self.find("log_rewritten", f"epoch {pin.epoch}", message)
        logged = self.progress.unpinned.pop(pin.epoch, None)
        if logged is not None and logged != pin.book_hash:
            self.find("book_differs", f"book of epoch {pin.epoch}", "is not the one that the chain pins")
        elif logged is None and pin.book_hash != NO_BOOK:
            self._unlogged[pin.epoch] = pin.book_hash

    def _end_of_recoveries(self, replay: Replay) -> None:
        """Say what of the chain is not in the log, and was not given up by a restoration that the log tells of."""
        for size, pins in sorted(self._pins.items()):
            for pin in pins:
                self._stray(pin, "log_shortened", f"pins {size} leaves, and the log has only {self.size}")
        restorations = self.progress.restorations
        given_up = restorations.given_up(pin_of(pin) for pin, _ in self._astray.values())
        self.given_up = len(given_up)
        for epoch, (_, finding) in sorted(self._astray.items()):
            if epoch not in given_up:
                self.findings.append(finding)
        for index, epoch, finding in self._other_books:
            if not restorations.book_undone(index, epoch):
                self.findings.append(finding)
            elif epoch in self._awaited:
                self._unlogged[epoch] = self._awaited.pop(epoch)
        lost = {epoch for epoch in self._unlogged if epoch in given_up}
        for epoch in lost:
            del self._unlogged[epoch]
        self.lost_books = len(lost)
        replay.money.lose_books(lost)
        if restorations.open is not None:
            message = "the log was restored, and has not got everything back that it can: authority recover run"
            self.find("restoration_open", f"leaf {restorations.open.index}", message)

    def _end_of_chain(self, chain: ChainSource, replay: Replay) -> None:
        state = chain.state
        self._end_of_recoveries(replay)
        for epoch, book in self._unlogged.items():
            message = f"pins a final book ({book.hex()[:16]}…) that is not in the log"
            self.find("book_not_logged", f"epoch {epoch}", message)
        approved = {(key.meter_id, public_key) for public_key, key in self.progress.keys.items()}
        for _, meter in state.all(Meter):
            self.chain_meters += 1
            if (meter.meter_id, meter.key) not in approved:
                message = "has a key on the chain that no approval in the log put to use"
                self.find("key_not_approved", _name(meter.meter_id), message)
        for meter_id, standing in self._standing.items():
            if replay.complete and replay.stands_at(meter_id) in (standing, None):
                continue  # it passed in an earlier run, or the log says that it was lost
            message = "has on the chain a last reading that the log did not let pass"
            self.find("reading_not_logged", _name(meter_id), message)
        replay.finish(whole=chain.whole)
        for meter_id, late in replay.behind():
            leaves = ", ".join(str(each.log_index) for each in late[:SHOWN]) + (", …" if len(late) > SHOWN else "")
            oldest = late[0].interval_end
            message = (
                f"{len(late)} readings passed and are not on the chain, though their time is over: leaves {leaves}; "
                f"the oldest ended at {oldest} (Unix seconds), {state.now - oldest} s ago"
            )
            self.find("readings_not_on_chain", _name(meter_id), message)
        totals = conservation_of(state)
        if not totals.ok or totals.energy.retired < replay.money.retired_wh:
            message = f"tokens are missing or too many: {json.dumps(totals.as_json(), sort_keys=True)}"
            self.find("not_conserved", "chain", message)


RECOVERIES = frozenset({LOG_RESTORED, LOG_REFILLED, READINGS_LOST, ACT_RECOVERED, CHAIN_WENT_BACK})
"""Acts by which the log tells of a recovery."""


def _checkpoints(landed: Landed) -> bool:
    """Whether an epoch was checkpointed in a transaction."""
    for program, data in landed.events:  # noqa: SIM110 - twice as fast as any(), for each transaction of a history
        if data[:8] == CHECKPOINTED and program == "oracle":
            return True
    return False


def pin_of(pin: EpochCheckpoint) -> tuple[int, int, bytes]:
    """What a checkpoint on the chain pins, as restorations name it: its epoch, the log's size, its root."""
    return pin.epoch, pin.log_size, pin.log_root


def _name(meter_id: bytes) -> str:
    return f"meter {meter_id.hex()[:16]}…"
