"""What `authority audit verify` checks: the log against itself, and the chain against the log.

Nothing that the store says about a leaf is believed; everything is computed again from the leaves' bytes. Checked:
- the tree: every leaf's hash, the root, and every checkpoint ever signed, its signature and root;
- readings: strict signatures, network, keys that an approval in the log put to use before, sequences without a gap,
  previous hashes, and verdicts that agree with their codes;
- acts: canonical JSON, and releases and voids of held readings, once each;
- books: price, fills, payments and fees by the auction's rule, and that one follows from another;
- the chain: every EpochCheckpoint's root and book hash, without a gap; that each meter's key was approved in the log
  and its last reading on the chain is one that the log let pass; conservation; readings that never reached the chain;
- the chain's history: every accepted reading, every span and every mint, done again (authority.audit.replay);
- every bill that was issued, done again (authority.audit.bills).

The log is passed over once, in step with the history; what is kept meanwhile does not grow with the log, but for a few
bytes an epoch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.audit.bills import BillAudit
from authority.audit.books import Book
from authority.audit.chain_state import ChainState
from authority.audit.conservation import conservation_of
from authority.audit.history import Landed
from authority.audit.replay import Replay
from authority.chain.accounts import EpochCheckpoint, Meter, MeterState
from authority.chain.idl import Idl
from authority.chain.layout import LayoutError
from authority.log import log, merkle
from authority.log.log import LEAF_ACT, LEAF_BOOK, LEAF_READING, Leaf, LogError, ReadingLeaf, SignedCheckpoint
from authority.market.book_leaf import BookLeafError, book_of_leaf
from authority.store.log import Checkpoint
from edge_agent.wire.canonical import canonical_json
from edge_agent.wire.reading import (
    CODES,
    TRUNCATED_HASH_SIZE,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    ZERO_HASH,
    ReadingError,
    record_hash,
)

BATCH = 1_000
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

    @classmethod
    def of(cls, session: Session) -> StoreLog:
        """The log as it stands now."""
        last_signed = session.scalar(select(func.max(Checkpoint.size))) or 0  # first: the log only grows meanwhile
        return cls(session, log.size(session), last_signed)

    def size(self) -> int:
        """How many leaves it says that it has."""
        return self.length

    def root(self) -> bytes:
        """The root of its stored tree."""
        return log.root(self.session, self.length)

    def leaves(self) -> Iterator[Leaf]:
        """The leaves, in order, a batch at a time."""
        for start in range(0, self.length, BATCH):
            yield from log.leaves(self.session, start, min(start + BATCH, self.length))

    def checkpoints(self) -> Iterator[SignedCheckpoint]:
        """The signed checkpoints, by size."""
        network_id = log.network_id(self.session)
        query = select(Checkpoint).where(Checkpoint.size <= self.last_signed).order_by(Checkpoint.size)
        for row in self.session.scalars(query.execution_options(yield_per=BATCH)):
            yield log.checkpoint_of(row, network_id)


@dataclass(frozen=True)
class ChainSource:
    """A chain to be compared with: its accounts at one moment, and what its programs logged until then."""

    state: ChainState
    history: Iterable[Landed]
    idls: Mapping[str, Idl]


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


@dataclass
class Audit:
    """The state of one pass over a log, and over a chain beside it."""

    network_id: bytes
    receipt_key: bytes
    findings: list[Finding] = field(default_factory=list)
    readings: int = 0
    acts: int = 0
    books: int = 0
    checkpoints: int = 0
    chain_checkpoints: int = 0
    chain_meters: int = 0
    size: int = 0
    root: bytes = merkle.EMPTY_ROOT
    replay: Replay | None = None
    bills: BillAudit = field(init=False)
    _frontier: list[bytes] = field(default_factory=list)
    _keys: dict[bytes, _Key] = field(default_factory=dict)
    _held: dict[int, tuple[bytes, ReadingLeaf, bytes]] = field(default_factory=dict)
    _standing: dict[bytes, bytes] = field(default_factory=dict)
    _pins: dict[int, list[EpochCheckpoint]] = field(default_factory=dict)
    _unlogged: dict[int, bytes] = field(default_factory=dict)
    _last_pin: int = -1
    _last_book: Book | None = None
    _reference: int | None = None
    _signed: Iterator[SignedCheckpoint] = field(default_factory=lambda: iter(()))
    _next_signed: SignedCheckpoint | None = None

    def __post_init__(self) -> None:
        self.bills = BillAudit(self.network_id, self.find)

    @property
    def minted_wh(self) -> int | None:
        """What the signed readings entitle the members to, by the rule; None where the chain was not asked."""
        return None if self.replay is None else self.replay.minted_wh

    def find(self, code: str, where: object, message: str) -> None:
        """Note something that does not hold."""
        self.findings.append(Finding(code, str(where), message))

    def run(self, source: LogSource, chain: ChainSource | None = None) -> None:
        """Pass over the whole log, and over the chain's history in step with it."""
        if chain is not None:
            self._expect(chain.state)
            self.replay = Replay(self.find, chain.idls, chain.state)
        self._signed = source.checkpoints()
        self._advance_signed()
        self._at_size()
        leaves = source.leaves()
        if chain is not None and self.replay is not None:
            self._in_step(leaves, chain, self.replay)
        self._take(leaves, None)
        self._end_of_log(source)
        if chain is not None and self.replay is not None:
            self._end_of_chain(chain.state, self.replay)

    def _in_step(self, leaves: Iterator[Leaf], chain: ChainSource, replay: Replay) -> None:
        """Replay each epoch's transactions once the leaves are taken that its checkpoint pins."""
        waiting: list[Landed] = []
        begun = False
        for landed in chain.history:
            if not begun:
                replay.begin(landed)
                begun = True
            waiting.append(landed)
            if not any(program == "oracle" and data.startswith(CHECKPOINTED) for program, data in landed.events):
                continue
            pinned = next(event.data for event in landed.decoded(chain.idls) if event.name == "Checkpointed")
            self._take(leaves, pinned["log_size"])
            self._apply(waiting, chain, replay)
            waiting.clear()
        if not begun:
            replay.begin(None)
        self._take(leaves, None)
        self._apply(waiting, chain, replay)
        self.bills.finish()

    def _apply(self, transactions: Iterable[Landed], chain: ChainSource, replay: Replay) -> None:
        for each in transactions:
            replay.apply(each)
            self.bills.apply(each, chain.idls)
        self.bills.step()

    # The log

    def _take(self, leaves: Iterator[Leaf], until: int | None) -> None:
        """Take leaves until there are so many; all of them where until is None."""
        while until is None or self.size < until:
            row = next(leaves, None)
            if row is None:
                return
            if row.log_index != self.size:
                self.find("leaf_missing", self.size, f"the next leaf in the store is {row.log_index}")
                for _ in leaves:
                    pass
                return
            self._frontier, _ = merkle.extend(self.size, self._frontier, self._leaf(row))
            self.bills.leaf(row.log_index, row.data)
            self.size += 1
            self._at_size()

    def _at_size(self) -> None:
        """Check what was signed or pinned for the tree as it stands now."""
        pins = self._pins.pop(self.size, ())
        signed = self._next_signed is not None and self._next_signed.size <= self.size
        if not pins and not signed:
            return
        root = merkle.frontier_root(self._frontier) if self.size else merkle.EMPTY_ROOT
        for pin in pins:
            if pin.log_root != root:
                where = f"epoch {pin.epoch}"
                self.find("log_rewritten", where, "pins another root: leaves before it were changed")
        while self._next_signed is not None and self._next_signed.size <= self.size:
            if self._next_signed.size != self.size or self._next_signed.root != root:
                where = f"checkpoint {self._next_signed.size}"
                self.find("log_rewritten", where, "was signed with another root: leaves before it were changed")
            self._advance_signed()

    def _advance_signed(self) -> None:
        """Read the next signed checkpoint, and check its signature."""
        self._next_signed = None
        for checkpoint in self._signed:
            self.checkpoints += 1
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
        self.root = merkle.frontier_root(self._frontier) if self.size else merkle.EMPTY_ROOT
        stored = source.root()
        if stored != self.root:
            self.find(
                "root_differs", self.size, f"the store's tree has root {stored.hex()}, its leaves {self.root.hex()}"
            )
        while self._next_signed is not None:
            where = f"checkpoint {self._next_signed.size}"
            self.find("log_shortened", where, f"was signed, and the log has only {self.size} leaves")
            self._advance_signed()

    def _leaf(self, row: Leaf) -> bytes:
        digest = merkle.leaf_hash(row.data)
        if row.hash != digest:
            self.find("leaf_hash", row.log_index, "the tree's hash is not its data's")
        kind = row.data[0] if row.data else None
        if kind == LEAF_READING:
            self._reading(row.log_index, row.data)
        elif kind == LEAF_ACT:
            self._act(row.log_index, row.data)
        elif kind == LEAF_BOOK:
            self._book(row.log_index, row.data)
        else:
            self.find("leaf_unknown", row.log_index, f"no leaf of this version has type {kind}")
        return digest

    def _reading(self, index: int, data: bytes) -> None:
        self.readings += 1
        try:
            leaf = ReadingLeaf.from_bytes(data)
            record = leaf.frame.record
        except (LogError, ReadingError) as error:
            self.find("reading_malformed", index, str(error))
            return
        frame = leaf.frame
        digest = record_hash(frame.record_bytes)
        if not Signature(frame.signature).verify(Pubkey(frame.public_key), frame.record_bytes):
            self.find("reading_signature", index, "its meter did not sign it")
        if record.network_id != self.network_id:
            self.find("reading_network", index, f"is of network {record.network_id.hex()}")
        accepted = leaf.code in CODES and CODES[leaf.code] == "ok"
        if leaf.verdict != (VERDICT_ACCEPTED if accepted else VERDICT_HELD):
            self.find("reading_verdict", index, f"verdict {leaf.verdict} does not go with code {leaf.code}")
        key = self._keys.get(frame.public_key)
        if key is None:
            self.find("key_not_approved", index, f"no approval before it put key {frame.public_key.hex()} to use")
            key = self._keys[frame.public_key] = _Key(b"", record.sequence, record.previous_hash)
        if record.sequence != key.next_sequence:
            self.find("reading_sequence", index, f"has sequence {record.sequence}, {key.next_sequence} was next")
        if record.previous_hash != key.previous:
            self.find("reading_history", index, "does not follow the reading before it")
        key.next_sequence, key.previous = record.sequence + 1, digest[:TRUNCATED_HASH_SIZE]
        if leaf.verdict == VERDICT_ACCEPTED:
            self._pass(key.meter_id, leaf, digest)
        else:
            self._held[index] = (key.meter_id, leaf, digest)

    def _pass(self, meter_id: bytes, leaf: ReadingLeaf, digest: bytes) -> None:
        if self._standing.get(meter_id) == digest[:TRUNCATED_HASH_SIZE]:
            del self._standing[meter_id]
        if self.replay is not None:
            self.replay.passed(meter_id, leaf.frame.record, digest)

    def _act(self, index: int, data: bytes) -> None:
        self.acts += 1
        try:
            act = json.loads(data[1:])
            canonical = canonical_json(act) == data[1:] and set(act) == {"actor", "data", "kind", "time"}
        except (ValueError, RecursionError, TypeError):
            canonical = False
        if not canonical:
            self.find("act_malformed", index, "is not the canonical JSON of an act")
            return
        try:
            if act["kind"] == "gateway_approved":
                self._approval(act["data"])
            elif act["kind"] in ("reading_released", "reading_voided"):
                self._decision(index, act["kind"], act["data"])
        except (KeyError, TypeError, ValueError) as error:
            self.find("act_malformed", index, f"{act['kind']} lacks what it should say: {error!r}")

    def _approval(self, data: Mapping[str, Any]) -> None:
        for meter in data["meters"]:
            key = bytes.fromhex(meter["key"])
            self._keys.setdefault(key, _Key(bytes.fromhex(meter["meter_id"]), int(meter["first_sequence"])))

    def _decision(self, index: int, kind: str, data: Mapping[str, Any]) -> None:
        held = self._held.pop(int(data["log_index"]), None)
        if held is None or held[2].hex() != data["record"]:
            self.find("decision_without_hold", index, f"{kind} names reading {data['log_index']}, which is not held")
        elif kind == "reading_released":
            self._pass(*held)

    def _book(self, index: int, data: bytes) -> None:
        self.books += 1
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
        before = self._last_book
        if before is not None and head.previous != before.head.epoch:
            message = f"follows the book of epoch {head.previous}, and the log's last was {before.head.epoch}"
            self.find("book_gap", where, message)
        if not book.was_refunded:
            if self._reference not in (None, head.reference_price):
                message = f"says reference price {head.reference_price}, by the books before it is {self._reference}"
                self.find("book_differs", where, message)
            self._reference = book.reference_after
        self._last_book = book
        pinned = self._unlogged.pop(head.epoch, None)
        if pinned is None and head.epoch <= self._last_pin:
            self.find("book_not_pinned", where, "is of an epoch whose checkpoint on the chain pins none, or a second")
        elif pinned is not None and pinned != hashlib.sha256(raw).digest():
            self.find("book_differs", where, f"is not the one that the chain pins ({pinned.hex()[:16]}…)")
        if self.replay is not None and not book.was_refunded:
            self.replay.book(head)

    # The chain

    def _expect(self, state: ChainState) -> None:
        """Note what the log must have for this chain."""
        pins = sorted((pin for _, pin in state.all(EpochCheckpoint)), key=lambda pin: pin.epoch)
        self.chain_checkpoints = len(pins)
        for before, pin in zip([None, *pins], pins, strict=False):
            self._pins.setdefault(pin.log_size, []).append(pin)
            if pin.book_hash != NO_BOOK:
                self._unlogged[pin.epoch] = pin.book_hash
            if before is not None and pin.epoch != before.epoch + 1:
                where = f"epoch {before.epoch + 1}"
                self.find("checkpoint_gap", where, f"has no checkpoint on the chain, nor any up to {pin.epoch - 1}")
            if before is not None and pin.log_size < before.log_size:
                message = f"pins {pin.log_size} leaves, the epoch before {before.log_size}"
                self.find("log_shortened", f"epoch {pin.epoch}", message)
            self._last_pin = pin.epoch
        hashes = {each.meter: each.hash for _, each in state.all(MeterState) if each.interval_end}
        for address, meter in state.all(Meter):
            if address in hashes:
                self._standing[meter.meter_id] = hashes[address]

    def _end_of_chain(self, state: ChainState, replay: Replay) -> None:
        for size, pins in sorted(self._pins.items()):
            for pin in pins:
                message = f"pins {size} leaves, and the log has only {self.size}"
                self.find("log_shortened", f"epoch {pin.epoch}", message)
        for epoch, book in self._unlogged.items():
            message = f"pins a final book ({book.hex()[:16]}…) that is not in the log"
            self.find("book_not_logged", f"epoch {epoch}", message)
        approved = {(key.meter_id, public_key) for public_key, key in self._keys.items()}
        for _, meter in state.all(Meter):
            self.chain_meters += 1
            if (meter.meter_id, meter.key) not in approved:
                message = "has a key on the chain that no approval in the log put to use"
                self.find("key_not_approved", _name(meter.meter_id), message)
        for meter_id in self._standing:
            message = "stands on the chain at a reading that the log did not let pass"
            self.find("reading_not_logged", _name(meter_id), message)
        replay.finish()
        for meter_id, count, oldest in replay.behind():
            message = f"{count} readings passed and are not on the chain, though their time is over; the oldest ended"
            self.find("readings_not_on_chain", _name(meter_id), f"{message} at {oldest} (Unix seconds)")
        totals = conservation_of(state)
        if not totals.ok or totals.energy.retired < replay.retired_wh:
            message = f"tokens are missing or too many: {json.dumps(totals.as_json(), sort_keys=True)}"
            self.find("not_conserved", "chain", message)


def _name(meter_id: bytes) -> str:
    return f"meter {meter_id.hex()[:16]}…"
