"""What `authority audit verify` checks: the log against itself, and the chain's checkpoints and meters against the log.

Nothing that the store says about a leaf is believed; everything is computed anew from the leaves' bytes. Checked:
- the tree: every leaf's hash, the root, and every checkpoint ever signed, its signature and root;
- readings: strict signatures, network, keys that an approval in the log put to use before, sequences without a gap,
  previous hashes, and verdicts that agree with their codes;
- acts: canonical JSON, and releases and voids of held readings, once each;
- the chain: every EpochCheckpoint's root and book hash, and that each meter's key was approved in the log and its last
  reading on the chain is a logged one that was accepted or released.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.chain.accounts import EpochCheckpoint, Meter, MeterState
from authority.chain.client import ChainClient
from authority.log import log, merkle
from authority.log.log import LEAF_ACT, LEAF_BOOK, LEAF_READING, LogError, ReadingLeaf, SignedCheckpoint
from authority.settlement.journal import JournalError, book_of_leaf
from authority.store.log import Checkpoint, LogLeaf
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


@dataclass(frozen=True)
class Finding:
    """Something that does not hold: a code, where (a leaf's index, an epoch, a meter), and what was found."""

    code: str
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Pin:
    """What a checkpoint on the chain says of its epoch: the log's size and root, and the final book's hash."""

    epoch: int
    log_size: int
    log_root: bytes
    book_hash: bytes = NO_BOOK


@dataclass(frozen=True, slots=True)
class StandingMeter:
    """A meter on the chain: id, key, and the truncated hash of the last record accepted (zero before the first)."""

    meter_id: bytes
    key: bytes
    hash: bytes


@dataclass
class _Key:
    meter_id: bytes
    next_sequence: int
    previous: bytes = ZERO_HASH


@dataclass
class Audit:
    """The state of one pass over a log."""

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
    _keys: dict[bytes, _Key] = field(default_factory=dict)
    _held: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    _passed: dict[bytes, set[bytes]] = field(default_factory=dict)
    _book_hashes: set[bytes] = field(default_factory=set)
    _roots: dict[int, bytes] = field(default_factory=dict)

    def _find(self, code: str, where: object, message: str) -> None:
        self.findings.append(Finding(code, str(where), message))

    # The log

    def log(self, session: Session, *, sizes: Iterable[int] = ()) -> None:
        """Pass over the whole log; roots at `sizes` are kept for the chain's checkpoints."""
        signed = session.scalars(select(Checkpoint).order_by(Checkpoint.size)).all()
        wanted = {*sizes, *(row.size for row in signed)}
        self._roots[0] = merkle.EMPTY_ROOT
        frontier: list[bytes] = []
        total = log.size(session)
        for start in range(0, total, BATCH):
            for row in log.leaves(session, start, min(start + BATCH, total)):
                if row.log_index != self.size:
                    self._find("leaf_missing", self.size, f"the next leaf in the store is {row.log_index}")
                    return
                frontier, _ = merkle.extend(self.size, frontier, self._leaf(row))
                self.size += 1
                if self.size in wanted:
                    self._roots[self.size] = merkle.frontier_root(frontier)
        if self.size != total:
            self._find("leaf_missing", self.size, f"the store says the log has {total} leaves")
        self.root = self._roots[self.size] = merkle.frontier_root(frontier)
        stored = log.root(session)
        if stored != self.root:
            self._find(
                "root_differs", self.size, f"the store's tree has root {stored.hex()}, its leaves {self.root.hex()}"
            )
        for kept in signed:
            self._checkpoint(kept)

    def _checkpoint(self, row: Checkpoint) -> None:
        self.checkpoints += 1
        where = f"checkpoint {row.size}"
        try:
            checkpoint = SignedCheckpoint.from_bytes(row.checkpoint)
        except LogError as error:
            self._find("checkpoint_malformed", where, str(error))
            return
        if checkpoint.network_id != self.network_id or not checkpoint.verify(self.receipt_key):
            self._find("checkpoint_signature", where, "is not signed by this authority's receipt key for its network")
        if checkpoint.size > self.size:
            self._find("log_shortened", where, f"was signed, and the log has only {self.size} leaves")
        elif checkpoint.root != self._roots.get(checkpoint.size):
            self._find("log_rewritten", where, "was signed with another root: leaves before it were changed")

    def _leaf(self, row: LogLeaf) -> bytes:
        digest = merkle.leaf_hash(row.data)
        if row.hash != digest:
            self._find("leaf_hash", row.log_index, "the stored hash is not its data's")
        kind = row.data[0] if row.data else None
        if kind == LEAF_READING:
            self._reading(row.log_index, row.data)
        elif kind == LEAF_ACT:
            self._act(row.log_index, row.data)
        elif kind == LEAF_BOOK:
            self._book(row.log_index, row.data)
        else:
            self._find("leaf_unknown", row.log_index, f"no leaf of this version has type {kind}")
        return digest

    def _reading(self, index: int, data: bytes) -> None:
        self.readings += 1
        try:
            leaf = ReadingLeaf.from_bytes(data)
            record = leaf.frame.record
        except (LogError, ReadingError) as error:
            self._find("reading_malformed", index, str(error))
            return
        frame = leaf.frame
        digest = record_hash(frame.record_bytes)
        if not Signature(frame.signature).verify(Pubkey(frame.public_key), frame.record_bytes):
            self._find("reading_signature", index, "its meter did not sign it")
        if record.network_id != self.network_id:
            self._find("reading_network", index, f"is of network {record.network_id.hex()}")
        accepted = leaf.code in CODES and CODES[leaf.code] == "ok"
        if leaf.verdict != (VERDICT_ACCEPTED if accepted else VERDICT_HELD):
            self._find("reading_verdict", index, f"verdict {leaf.verdict} does not go with code {leaf.code}")
        key = self._keys.get(frame.public_key)
        if key is None:
            self._find("key_not_approved", index, f"no approval before it put key {frame.public_key.hex()} to use")
            key = self._keys[frame.public_key] = _Key(b"", record.sequence, record.previous_hash)
        if record.sequence != key.next_sequence:
            self._find("reading_sequence", index, f"has sequence {record.sequence}, {key.next_sequence} was next")
        if record.previous_hash != key.previous:
            self._find("reading_history", index, "does not follow the reading before it")
        key.next_sequence, key.previous = record.sequence + 1, digest[:TRUNCATED_HASH_SIZE]
        if leaf.verdict == VERDICT_ACCEPTED:
            self._pass(key.meter_id, digest)
        else:
            self._held[index] = (key.meter_id, digest)

    def _pass(self, meter_id: bytes, digest: bytes) -> None:
        self._passed.setdefault(meter_id, set()).add(digest[:TRUNCATED_HASH_SIZE])

    def _act(self, index: int, data: bytes) -> None:
        self.acts += 1
        try:
            act = json.loads(data[1:])
            canonical = canonical_json(act) == data[1:] and set(act) == {"actor", "data", "kind", "time"}
        except (ValueError, RecursionError, TypeError):
            canonical = False
        if not canonical:
            self._find("act_malformed", index, "is not the canonical JSON of an act")
            return
        try:
            if act["kind"] == "gateway_approved":
                self._approval(act["data"])
            elif act["kind"] in ("reading_released", "reading_voided"):
                self._decision(index, act["kind"], act["data"])
        except (KeyError, TypeError, ValueError) as error:
            self._find("act_malformed", index, f"{act['kind']} lacks what it should say: {error!r}")

    def _approval(self, data: Mapping[str, Any]) -> None:
        for meter in data["meters"]:
            key = bytes.fromhex(meter["key"])
            self._keys.setdefault(key, _Key(bytes.fromhex(meter["meter_id"]), int(meter["first_sequence"])))

    def _decision(self, index: int, kind: str, data: Mapping[str, Any]) -> None:
        held = self._held.pop(int(data["log_index"]), None)
        if held is None or held[1].hex() != data["record"]:
            self._find("decision_without_hold", index, f"{kind} names reading {data['log_index']}, which is not held")
        elif kind == "reading_released":
            self._pass(*held)

    def _book(self, index: int, data: bytes) -> None:
        self.books += 1
        try:
            self._book_hashes.add(hashlib.sha256(book_of_leaf(data)).digest())
        except JournalError as error:
            self._find("book_malformed", index, str(error))

    # The chain

    def chain(self, checkpoints: Iterable[Pin], meters: Iterable[StandingMeter]) -> None:
        """Compare what the chain's EpochCheckpoints pin, and where its meters stand, with the log."""
        for checkpoint in checkpoints:
            self.chain_checkpoints += 1
            where = f"epoch {checkpoint.epoch}"
            size, root = checkpoint.log_size, checkpoint.log_root
            if size > self.size:
                self._find("log_shortened", where, f"pins {size} leaves, and the log has only {self.size}")
            elif root != self._roots.get(size):
                self._find("log_rewritten", where, "pins another root: leaves before it were changed")
            book = checkpoint.book_hash
            if book not in (NO_BOOK, *self._book_hashes):
                self._find("book_not_logged", where, f"pins a final book ({book.hex()[:16]}…) that is not in the log")
        approved = {(key.meter_id, public_key) for public_key, key in self._keys.items()}
        for meter in meters:
            self.chain_meters += 1
            where = f"meter {meter.meter_id.hex()[:16]}…"
            if (meter.meter_id, meter.key) not in approved:
                self._find("key_not_approved", where, "has a key on the chain that no approval in the log put to use")
            if meter.hash != ZERO_HASH and meter.hash not in self._passed.get(meter.meter_id, set()):
                self._find(
                    "reading_not_logged", where, "stands on the chain at a reading that the log did not let pass"
                )


def read_chain(client: ChainClient) -> tuple[list[Pin], list[StandingMeter]]:
    """What the chain's checkpoints pin, by epoch, and where its meters stand."""
    checkpoints = sorted((account for _, account in client.accounts(EpochCheckpoint)), key=lambda item: item.epoch)
    hashes = {state.meter: state.hash for _, state in client.accounts(MeterState)}
    meters = [
        StandingMeter(meter.meter_id, meter.key, hashes.get(address, ZERO_HASH))
        for address, meter in client.accounts(Meter)
    ]
    return [Pin(each.epoch, each.log_size, each.log_root, each.book_hash) for each in checkpoints], meters
