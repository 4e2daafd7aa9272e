"""The authority's append-only log, durable in the store (docs/PROTOCOL.md, "The log").

Every function takes the caller's session: a leaf is durable exactly when the transaction that appended it is, together
with whatever else that transaction wrote. Appending locks the log's state row, so one transaction appends at a time.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import Text, bindparam, insert, select, type_coerce, update
from sqlalchemy.orm import Session

from authority.errors import AuthorityError, OutOfRangeError
from authority.log import gate, merkle, note, tree
from authority.log.note import NoteError
from authority.log.reading_leaf import FRAME_AT, HEAD, READING_SIZE
from authority.log.tiles import TILE_WIDTH
from authority.log.tree import Growth, TileReader
from authority.store.base import table_of
from authority.store.log import Act, ActWords, Checkpoint, LogLeaf, LogState
from authority.store.metering import Frame as LoggedFrame
from authority.store.rows import Writes, execute, insert_rows, rows_among
from edge_agent.wire.canonical import canonical_json
from edge_agent.wire.checkpoint import note_text, origin
from edge_agent.wire.reading import CODE_NUMBERS, LEAF_READING, VERDICTS, Frame, reading_leaf

__all__ = ["LEAF_ACT", "LEAF_BOOK", "LEAF_READING"]

LEAF_ACT = 2
LEAF_BOOK = 3

CHECKPOINT_MAGIC = b"AML1"
CHECKPOINT_SIZE = 124
_CHECKPOINT = struct.Struct("<4s8sQ32sq")
_ACT_COLUMNS = ("log_index", "kind", "actor", "time", "data")
_whole = table_of(LogLeaf)
_WHOLE = select(_whole.c.log_index, _whole.c.data)
_ACT = (Act.log_index, Act.kind, Act.actor, Act.time, type_coerce(Act.data, Text))
"""An act's row, its data as the text that is kept."""
_VERDICT_NUMBERS = {name: number for number, name in enumerate(VERDICTS)}


class LogError(AuthorityError):
    """The log, or a checkpoint of it, cannot be used."""


class CheckpointForeignError(LogError):
    """A checkpoint of another log, or signed by another key."""

    code = "checkpoint_foreign"


class CheckpointMalformedError(LogError):
    """Text that is not a checkpoint."""

    code = "checkpoint_malformed"


class LeafMalformedError(LogError):
    """Bytes that are not a leaf."""

    code = "leaf_malformed"


class LogMissingError(LogError):
    """The store has no log yet."""

    code = "log_missing"


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
        return reading_leaf(self.verdict, self.code, self.time, self.frame.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> ReadingLeaf:
        """Read a reading's leaf; LeafMalformedError."""
        if len(data) != READING_SIZE or data[0] != LEAF_READING:
            raise LeafMalformedError("these bytes are not the leaf of a reading")
        _, verdict, code, time = HEAD.unpack_from(data)
        return cls(verdict, code, time, Frame.from_bytes(data[FRAME_AT:]))


# Appending


_state_table = table_of(LogState)
_STATE = select(_state_table.c.size, _state_table.c.frontier).where(_state_table.c.id == 1)
LOCKED_STATE = _STATE.with_for_update()
"""What `lock` asks, for who asks more with it."""
_GROW = (
    update(_state_table)
    .where(_state_table.c.id == 1)
    .values(size=bindparam("new_size"), frontier=bindparam("new_frontier"))
)


@dataclass(frozen=True, slots=True)
class State:
    """The log's size, and its frontier (authority.store.log.LogState)."""

    size: int
    frontier: bytes


def _state(session: Session, *, lock: bool) -> State:
    return state_of(execute(session, LOCKED_STATE if lock else _STATE).all())


def state_of(rows: Sequence[Sequence[Any]]) -> State:
    """The log as LOCKED_STATE's rows say; LogMissingError where there are none."""
    for size, frontier in rows:
        return State(size, frontier)
    raise LogMissingError("the store has no log yet; open it with authority.app.App")


def lock(session: Session) -> State:
    """Take the log for this transaction, so that nothing else appends until it ends; the log as it stands."""
    return _state(session, lock=True)


def append_all(session: Session, leaves: Sequence[bytes]) -> int:
    """Append leaves (type byte and payload each) in order; the first one's index. Durable when the session commits."""
    growth = _grow(session, leaves, lock(session))
    if leaves:
        insert_rows(session, table_of(LogLeaf), ("log_index", "data"), list(enumerate(leaves, growth.first)))
    return growth.first


def append_readings(session: Session, leaves: Sequence[bytes], state: State, writes: Writes | None = None) -> Growth:
    """Append leaves of readings, whose frames' rows the caller writes at the indexes that the growth has for them.

    state is what `lock` said; nothing was appended since. What is to be written is added to writes, where given.
    """
    return _grow(session, leaves, state, writes)


def _grow(session: Session, leaves: Sequence[bytes], state: State, writes: Writes | None = None) -> Growth:
    growth = Growth(state.size, tree.split_hashes(state.frontier), [merkle.leaf_hash(data) for data in leaves])
    if leaves:
        its = writes or Writes(session)
        tree.write(its, growth, TileReader(session).tile)
        its.add(_GROW, {"new_size": growth.size, "new_frontier": b"".join(growth.frontier)})
        if writes is None:
            its.send()
    return growth


def append(session: Session, leaf: bytes) -> int:
    """Append one leaf; its index."""
    return append_all(session, [leaf])


def record_act(session: Session, kind: str, actor: str, time: int, data: Mapping[str, object]) -> int:
    """Log an act of the authority: type 2 and the canonical JSON of {"actor", "data", "kind", "time"}; its index.

    data may hold what JSON holds except floats; amounts are integers, keys and hashes hex. It goes through the gate
    (authority.log.gate): a reason stays in the store, and text that could name somebody is refused.
    """
    return record_acts(session, [(kind, data)], actor, time)[0]


def record_acts(session: Session, acts: Sequence[tuple[str, Mapping[str, object]]], actor: str, time: int) -> list[int]:
    """Log several acts (kind and data each) as `record_act` does, at once; their indexes."""
    if not acts:
        return []
    state, who = lock(session), gate.actor_of(session, actor)
    through = [gate.passed(session, kind, data) for kind, data in acts]
    texts = [(kind, canonical_json(dict(one.data)).decode()) for (kind, _), one in zip(acts, through, strict=True)]
    first = _grow(session, [act_leaf(kind, who, time, text) for kind, text in texts], state).first
    rows = [(first + place, kind, who, time, text) for place, (kind, text) in enumerate(texts)]
    insert_rows(session, table_of(Act), _ACT_COLUMNS, rows)
    words = [(first + place, one.salt, one.words) for place, one in enumerate(through) if one.words]
    if words:
        insert_rows(session, table_of(ActWords), ("log_index", "salt", "words"), words)
    return [first + place for place in range(len(acts))]


def act_leaf(kind: str, actor: str, time: int, data: str) -> bytes:
    """The leaf of an act, made of its row; data is its canonical text."""
    who, what = _quoted(actor), _quoted(kind)
    return bytes([LEAF_ACT]) + f'{{"actor":{who},"data":{data},"kind":{what},"time":{time}}}'.encode()


def act_of(leaf: bytes) -> dict[str, Any]:
    """What an act's leaf says: actor and kind (text), data (a dictionary), time. LeafMalformedError.

    Whether it is spelled canonically is not looked at.
    """
    try:
        said = json.loads(leaf[1:])
    except (ValueError, RecursionError) as error:
        raise LeafMalformedError("this leaf of an act is not JSON") from error
    if not isinstance(said, dict) or {name: type(value) for name, value in said.items()} != _ACT_FIELDS:
        raise LeafMalformedError("this leaf of an act does not have an actor, a kind, a time and its data")
    return said


_ACT_FIELDS = {"actor": str, "data": dict, "kind": str, "time": int}


@lru_cache(maxsize=1_024)
def _quoted(text: str) -> str:
    return canonical_json(text).decode()


# Reading


def size(session: Session) -> int:
    """How many leaves the log has."""
    return _state(session, lock=False).size


def edge(session: Session) -> tuple[int, list[bytes]]:
    """The log's size, and the roots of its perfect subtrees, largest first, from which it goes on."""
    state = _state(session, lock=False)
    return state.size, tree.split_hashes(state.frontier)


def network_id(session: Session) -> bytes:
    """The network whose log this is."""
    value = session.scalar(select(LogState.network_id).where(LogState.id == 1))
    if value is None:
        raise LogMissingError("the store has no log yet; open it with authority.app.App")
    return value


def leaf(session: Session, index: int) -> bytes:
    """A leaf's type byte and payload; OutOfRangeError."""
    return leaves_at(session, [index])[index]


def leaves_at(session: Session, indexes: Sequence[int]) -> Mapping[int, bytes]:
    """The type bytes and payloads of the leaves at these places, without their hashes; OutOfRangeError.

    Those that are kept as they are, such as books, are read together; keep the places few, since all are in memory.
    """
    kept = rows_among(session, _WHOLE, _whole.c.log_index, indexes).all() if indexes else ()
    found: dict[int, bytes] = dict(map(tuple, kept))
    for index in indexes:
        if index not in found:
            for each in leaves(session, index, index + 1):
                found[index] = each.data
                break
            else:
                raise OutOfRangeError(f"the log has no leaf {index}")
    return found


def root(session: Session, size: int | None = None) -> bytes:
    """The root of the first `size` leaves, or of all; OutOfRangeError for more than there are."""
    state = _state(session, lock=False)
    size = state.size if size is None else size
    if not 0 <= size <= state.size:
        raise OutOfRangeError(f"the log has {state.size} leaves, not {size}")
    return merkle.root(size, nodes(session))


def inclusion_proof(session: Session, index: int, size: int) -> list[bytes]:
    """That leaf `index` is in the tree of the first `size` leaves; LogError or ProofRangeError."""
    return merkle.inclusion_proof(index, size, nodes(session))


def consistency_proof(session: Session, first: int, second: int) -> list[bytes]:
    """That the tree of `second` leaves extends that of `first`; LogError or ProofRangeError."""
    return merkle.consistency_proof(first, second, nodes(session))


def nodes(session: Session) -> merkle.Node:
    """The tree's nodes as the store has them; OutOfRangeError for one that is not complete yet."""
    reader = TileReader(session)

    def node(level: int, position: int) -> bytes:
        return reader.node(level, position)

    return node


class Leaf(NamedTuple):
    """A leaf as the store has it: its bytes (of a reading or an act made of its row), and the tree's hash of it.

    A tuple, because millions are made of them. fault is what an audit found that the rows beside it say otherwise, or
    empty.
    """

    log_index: int
    data: bytes
    hash: bytes
    fault: str = ""


def leaves(session: Session, start: int, end: int) -> Iterator[Leaf]:
    """The leaves [start, end) that there are, in order."""
    columns = (LoggedFrame.log_index, LoggedFrame.verdict, LoggedFrame.code, LoggedFrame.received_at, LoggedFrame.frame)
    readings = session.execute(
        select(*columns).where(LoggedFrame.log_index >= start, LoggedFrame.log_index < end)
    ).all()
    acts = session.execute(select(*_ACT).where(Act.log_index >= start, Act.log_index < end)).all()
    kept = session.execute(
        select(LogLeaf.log_index, LogLeaf.data).where(LogLeaf.log_index >= start, LogLeaf.log_index < end)
    ).all()
    found = {
        index: reading_leaf(_VERDICT_NUMBERS.get(verdict, 0), CODE_NUMBERS.get(code, 0xFFFF), time, frame)
        for index, verdict, code, time, frame in readings
    }
    made = {index: act_leaf(kind, actor, time, data) for index, kind, actor, time, data in acts}
    found |= made
    faults = {}
    for index, data in kept:
        if made.get(index, data) != data:
            faults[index] = "the act's row says another"
        found[index] = data
    reader, width = TileReader(session), TILE_WIDTH
    for index in sorted(found):
        n, at = divmod(index, width)
        hashed = reader.tile(0, n)[at * merkle.HASH_SIZE : (at + 1) * merkle.HASH_SIZE]
        yield Leaf(index, found[index], hashed, faults.get(index, ""))


# Checkpoints


@dataclass(frozen=True)
class SignedCheckpoint:
    """What the authority states about its log, signed by the receipt key.

    A signed note (authority.log.note); where time (Unix seconds) stands, an `AML1` of an earlier release.
    """

    network_id: bytes
    size: int
    root: bytes
    signature: bytes
    time: int | None = None

    def body(self) -> bytes:
        """What is signed: the note's text, or `AML1`'s magic, network id (8), size u64, root (32), time i64."""
        if self.time is None:
            return note_text(origin(self.network_id), self.size, self.root)
        return _CHECKPOINT.pack(CHECKPOINT_MAGIC, self.network_id, self.size, self.root, self.time)

    def to_bytes(self, key: bytes) -> bytes:
        """The signed note of the receipt key (32 bytes); of an `AML1` its body (60) and signature (64)."""
        if self.time is None:
            line = note.signature_line(note.VerifierKey(origin(self.network_id), key), self.signature)
            return self.body() + b"\n" + line.encode()
        return self.body() + self.signature

    def verify(self, key: bytes) -> bool:
        """Whether the signature is the receipt key's (32 bytes), by the validator's strict rules."""
        return Signature(self.signature).verify(Pubkey(key), self.body())


def open_checkpoint(data: bytes, network_id: bytes, key: bytes) -> tuple[int, bytes]:
    """Size and root of a checkpoint of either kind that this network's receipt key signed.

    CheckpointMalformedError for other bytes, `checkpoint_foreign` for one of another log or key.
    """
    foreign = CheckpointForeignError("this is not a checkpoint that this authority signed")
    if data[:4] == CHECKPOINT_MAGIC:
        if len(data) != CHECKPOINT_SIZE:
            raise CheckpointMalformedError(f"a checkpoint AML1 is {CHECKPOINT_SIZE} bytes, not {len(data)}")
        _, network, size, root, time = _CHECKPOINT.unpack(data[: _CHECKPOINT.size])
        read = SignedCheckpoint(network, size, root, data[_CHECKPOINT.size :], time)
        if network != network_id or not read.verify(key):
            raise foreign
        return size, root
    name = origin(network_id)
    try:
        opened = note.open_note(data, note.VerifierKey(name, key))
    except NoteError as error:
        if error.code == "note_malformed":
            raise CheckpointMalformedError(str(error)) from error
        raise foreign from error
    if opened.origin != name:
        raise foreign
    return opened.size, opened.root


def checkpoint_of(row: Checkpoint, network_id: bytes) -> SignedCheckpoint:
    """A checkpoint that the store keeps."""
    return SignedCheckpoint(network_id, row.size, row.root, row.signature, row.time)


def checkpoint(session: Session, network_id: bytes, key: Keypair) -> SignedCheckpoint:
    """Sign the log as it stands, and keep the checkpoint; the one already signed where the log has not grown."""
    state = _state(session, lock=True)
    for kept in execute(session, _KEPT_AT, {"at": state.size}):
        return checkpoint_of(kept, network_id)
    return sign(session, network_id, key, state.size, merkle.frontier_root(tree.split_hashes(state.frontier)))


def sign(
    session: Session, network_id: bytes, key: Keypair, size: int, root: bytes, writes: Writes | None = None
) -> SignedCheckpoint:
    """Sign a size that the log has reached in this transaction, and keep the checkpoint: in writes, where given."""
    signature = bytes(key.sign_message(note_text(origin(network_id), size, root)))
    its = writes or Writes(session)
    its.add(_KEEP, {"size": size, "root": root, "signature": signature, "time": None})
    if writes is None:
        its.send()
    return SignedCheckpoint(network_id, size, root, signature)


_kept = table_of(Checkpoint)
_KEPT_AT = select(_kept).where(_kept.c.size == bindparam("at"))
_KEEP = insert(_kept).values({name: bindparam(name) for name in ("size", "root", "signature", "time")})


def checkpoint_after(session: Session, index: int, network_id: bytes) -> SignedCheckpoint | None:
    """The first checkpoint that covers a leaf; None where none was signed since."""
    row = session.scalar(select(Checkpoint).where(Checkpoint.size > index).order_by(Checkpoint.size).limit(1))
    return None if row is None else checkpoint_of(row, network_id)
