"""The authority's append-only log, durable in the store (docs/PROTOCOL.md, "The log").

Every function takes the caller's session: a leaf is durable exactly when the transaction that appended it is, together
with whatever else that transaction wrote. Appending locks the log's state row, so one transaction appends at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from authority.errors import AuthorityError
from authority.log import merkle
from authority.store.log import Act, Checkpoint, LogLeaf, LogNode, LogState
from edge_agent.wire.canonical import canonical_json
from edge_agent.wire.reading import FRAME_SIZE, Frame

LEAF_READING = 1
LEAF_ACT = 2
LEAF_BOOK = 3

CHECKPOINT_MAGIC = b"AML1"
CHECKPOINT_SIZE = 124
_CHECKPOINT = struct.Struct("<4s8sQ32sq")
_READING = struct.Struct("<BBHq")


class LogError(AuthorityError):
    """log_missing, leaf_malformed, out_of_range or checkpoint_malformed."""


# Leaves


@dataclass(frozen=True)
class ReadingLeaf:
    """A reading as it was logged: verdict and code (numbers), when it was taken (Unix seconds), and the frame."""

    verdict: int
    code: int
    time: int
    frame: Frame

    def to_bytes(self) -> bytes:
        """Type 1, verdict u8, code u16, time i64 (all little-endian), frame: 204 bytes."""
        return _READING.pack(LEAF_READING, self.verdict, self.code, self.time) + self.frame.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> ReadingLeaf:
        """Read a reading's leaf; LogError `leaf_malformed`."""
        if len(data) != _READING.size + FRAME_SIZE or data[0] != LEAF_READING:
            raise LogError("leaf_malformed", "these bytes are not the leaf of a reading")
        _, verdict, code, time = _READING.unpack(data[: _READING.size])
        return cls(verdict, code, time, Frame.from_bytes(data[_READING.size :]))


# Appending


def _state(session: Session, *, lock: bool) -> LogState:
    query = select(LogState).where(LogState.id == 1)
    state = session.scalar(query.with_for_update().execution_options(populate_existing=True) if lock else query)
    if state is None:
        raise LogError("log_missing", "the store has no log yet; open it with authority.app.App")
    return state


def lock(session: Session) -> int:
    """Take the log for this transaction, so that nothing else appends until it ends; the log's size."""
    return _state(session, lock=True).size


def append_all(session: Session, leaves: Sequence[bytes]) -> int:
    """Append leaves (type byte and payload each) in order; the first one's index. Durable when the session commits."""
    state = _state(session, lock=True)
    first = state.size
    frontier = [state.frontier[at : at + merkle.HASH_SIZE] for at in range(0, len(state.frontier), merkle.HASH_SIZE)]
    rows: list[dict[str, object]] = []
    nodes: list[dict[str, object]] = []
    for index, data in enumerate(leaves, first):
        leaf = merkle.leaf_hash(data)
        frontier, completed = merkle.extend(index, frontier, leaf)
        rows.append({"log_index": index, "data": data, "hash": leaf})
        nodes += [{"level": level, "position": position, "hash": value} for level, position, value in completed]
    if rows:
        session.execute(insert(LogLeaf), rows)
    if nodes:
        session.execute(insert(LogNode), nodes)
    state.size = first + len(rows)
    state.frontier = b"".join(frontier)
    session.flush()
    return first


def append(session: Session, leaf: bytes) -> int:
    """Append one leaf; its index."""
    return append_all(session, [leaf])


def record_act(session: Session, kind: str, actor: str, time: int, data: Mapping[str, object]) -> int:
    """Log an act of the authority: type 2 and the canonical JSON of {"actor", "data", "kind", "time"}; its index.

    data may hold what JSON holds except floats; amounts are integers, keys and hashes hex.
    """
    leaf = bytes([LEAF_ACT]) + canonical_json({"actor": actor, "data": dict(data), "kind": kind, "time": time})
    index = append(session, leaf)
    session.add(Act(log_index=index, kind=kind, actor=actor, time=time, data=dict(data)))
    return index


# Reading


def size(session: Session) -> int:
    """How many leaves the log has."""
    return _state(session, lock=False).size


def leaf(session: Session, index: int) -> bytes:
    """A leaf's type byte and payload; LogError `out_of_range`."""
    data = session.scalar(select(LogLeaf.data).where(LogLeaf.log_index == index))
    if data is None:
        raise LogError("out_of_range", f"the log has no leaf {index}")
    return data


def nodes(session: Session) -> merkle.Node:
    """The tree's nodes as the store has them; LogError `out_of_range` for one that is not complete yet."""

    def node(level: int, position: int) -> bytes:
        query = (
            select(LogNode.hash).where(LogNode.level == level, LogNode.position == position)
            if level
            else select(LogLeaf.hash).where(LogLeaf.log_index == position)
        )
        value = session.scalar(query)
        if value is None:
            raise LogError("out_of_range", f"the log has no node {position} at level {level}")
        return value

    return node


def root(session: Session, size: int | None = None) -> bytes:
    """The root of the first `size` leaves, or of all; LogError `out_of_range` for more than there are."""
    state = _state(session, lock=False)
    size = state.size if size is None else size
    if not 0 <= size <= state.size:
        raise LogError("out_of_range", f"the log has {state.size} leaves, not {size}")
    return merkle.root(size, nodes(session))


def inclusion_proof(session: Session, index: int, size: int) -> list[bytes]:
    """That leaf `index` is in the tree of the first `size` leaves; LogError or ProofError `out_of_range`."""
    return merkle.inclusion_proof(index, size, nodes(session))


def consistency_proof(session: Session, first: int, second: int) -> list[bytes]:
    """That the tree of `second` leaves extends that of `first`; LogError or ProofError `out_of_range`."""
    return merkle.consistency_proof(first, second, nodes(session))


# Checkpoints


@dataclass(frozen=True)
class SignedCheckpoint:
    """`AML1`: what the authority states about its log at a time (Unix seconds), signed by the receipt key."""

    network_id: bytes
    size: int
    root: bytes
    time: int
    signature: bytes

    def body(self) -> bytes:
        """Magic, network id (8), size u64, root (32), time i64: the 60 bytes that are signed."""
        return _CHECKPOINT.pack(CHECKPOINT_MAGIC, self.network_id, self.size, self.root, self.time)

    def to_bytes(self) -> bytes:
        """Body (60) and signature (64)."""
        return self.body() + self.signature

    @classmethod
    def from_bytes(cls, data: bytes) -> SignedCheckpoint:
        """Read 124 bytes, not yet verified; LogError `checkpoint_malformed`."""
        if len(data) != CHECKPOINT_SIZE or data[:4] != CHECKPOINT_MAGIC:
            raise LogError("checkpoint_malformed", f"a checkpoint is {CHECKPOINT_SIZE} bytes and starts with AML1")
        _, network_id, size, root, time = _CHECKPOINT.unpack(data[: _CHECKPOINT.size])
        return cls(network_id, size, root, time, data[_CHECKPOINT.size :])

    def verify(self, key: bytes) -> bool:
        """Whether the signature is the receipt key's (32 bytes), by the validator's strict rules."""
        return Signature(self.signature).verify(Pubkey(key), self.body())


def checkpoint(session: Session, network_id: bytes, key: Keypair, time: int) -> SignedCheckpoint:
    """Sign the log as it stands, and keep the checkpoint; the one already signed where the log has not grown."""
    state = _state(session, lock=True)
    kept = session.get(Checkpoint, state.size)
    if kept is not None:
        return SignedCheckpoint.from_bytes(kept.checkpoint)
    frontier = [state.frontier[at : at + merkle.HASH_SIZE] for at in range(0, len(state.frontier), merkle.HASH_SIZE)]
    unsigned = SignedCheckpoint(network_id, state.size, merkle.frontier_root(frontier), time, bytes(64))
    signed = SignedCheckpoint(network_id, unsigned.size, unsigned.root, time, bytes(key.sign_message(unsigned.body())))
    session.add(Checkpoint(size=signed.size, root=signed.root, time=time, checkpoint=signed.to_bytes()))
    session.flush()
    return signed


def leaves(session: Session, start: int, end: int) -> Iterable[LogLeaf]:
    """The leaves [start, end), in order."""
    return session.scalars(
        select(LogLeaf).where(LogLeaf.log_index >= start, LogLeaf.log_index < end).order_by(LogLeaf.log_index)
    )
