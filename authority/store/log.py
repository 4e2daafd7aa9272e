"""The tables under the append-only log (authority.log.log), and the acts of the authority that are leaves of it."""

from __future__ import annotations

from sqlalchemy import Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authority.store.base import Base, BigInt, CanonicalJson, Hash, LogIndex, Name, Seconds


class LogState(Base):
    """One row, id 1: the network this store belongs to, the log's size, and its right edge.

    frontier holds the roots of the perfect subtrees that make up the log, largest first, 32 bytes each: as many as size
    has one bits. Whoever appends locks this row.
    """

    __tablename__ = "log_state"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    network_id: Mapped[bytes] = mapped_column(LargeBinary(8))
    size: Mapped[BigInt]
    frontier: Mapped[bytes]


class LogLeaf(Base):
    """A leaf that has no row of its own (a book): type byte and payload.

    A reading's leaf is made of its frame's row, an act's of the act's.
    """

    __tablename__ = "log_leaves"

    log_index: Mapped[LogIndex] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes]


class LogTile(Base):
    """Up to 256 hashes of one level of the tree, in order, as C2SP tlog-tiles has them.

    At level L the roots of perfect subtrees of 256^L leaves, from the 256 n-th on; at level 0 the leaf hashes. A tile
    grows until it is full, and is never changed otherwise.
    """

    __tablename__ = "log_tiles"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    hashes: Mapped[bytes]


class Checkpoint(Base):
    """A signed statement of the log's size and root: one for each commit of readings, and each that was published.

    The signature is over the checkpoint's note (docs/PROTOCOL.md); where time (Unix seconds) stands, over an `AML1`,
    which earlier releases signed.
    """

    __tablename__ = "log_checkpoints"

    size: Mapped[LogIndex] = mapped_column(primary_key=True, autoincrement=False)
    root: Mapped[Hash]
    signature: Mapped[bytes] = mapped_column(LargeBinary(64))
    time: Mapped[Seconds | None]


class PublishedCheckpoint(Base):
    """A checkpoint that was given out: the one of an epoch, whose root is pinned on the chain, for all to read.

    public_key is the receipt key's, by which the note's signature is known.
    """

    __tablename__ = "log_published"

    size: Mapped[LogIndex] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[BigInt]
    public_key: Mapped[Hash]


class KeptCosignature(Base):
    """A witness's signature of a checkpoint, verified when it came: the last of each witness, and of each checkpoint.

    witness is its verifier key as the settings have it; time is the witness's, Unix seconds.
    """

    __tablename__ = "log_cosignatures"

    size: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    witness: Mapped[str] = mapped_column(String(255), primary_key=True)
    time: Mapped[Seconds]
    signature: Mapped[bytes] = mapped_column(LargeBinary(64))


class Act(Base):
    """An act of the authority: kind (such as "enrolment_approved"), who, when, and its data.

    The row is what the log's leaf is made of, byte for byte, so it is never changed.
    """

    __tablename__ = "acts"
    __table_args__ = (Index("ix_acts_kind_log_index", "kind", "log_index"),)

    log_index: Mapped[LogIndex] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[Name]
    actor: Mapped[str] = mapped_column(String(64))
    time: Mapped[Seconds]
    data: Mapped[dict[str, object]] = mapped_column(CanonicalJson())


class LogName(Base):
    """Whom or what a pseudonym in the log stands for: kind is "gateway" or "operator" (who acts at the machine itself).

    Made when it is first needed; the log forgets the name with the row.
    """

    __tablename__ = "log_names"
    __table_args__ = (UniqueConstraint("kind", "name"),)

    pseudonym: Mapped[Name] = mapped_column(primary_key=True)
    kind: Mapped[Name]
    name: Mapped[str] = mapped_column(String(255))


class ActWords(Base):
    """The words of an act, such as its reason: the log has the SHA-256 of salt and words alone.

    The log forgets the words with the row.
    """

    __tablename__ = "act_words"

    log_index: Mapped[LogIndex] = mapped_column(primary_key=True, autoincrement=False)
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))
    words: Mapped[str] = mapped_column(Text())
