"""The tables under the append-only log (authority.log.log), and the acts of the authority that are leaves of it."""

from __future__ import annotations

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from authority.store.base import Base, BigInt, Hash, Json, Name, Seconds


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
    """A leaf: data is its type byte and payload; hash is RFC 6962's leaf hash of data."""

    __tablename__ = "log_leaves"

    log_index: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes]
    hash: Mapped[Hash]


class LogNode(Base):
    """The root of a perfect subtree of 2^level leaves, the position-th of its level; level 1 and up."""

    __tablename__ = "log_nodes"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[Hash]


class Checkpoint(Base):
    """A signed statement of the log's size and root (docs/PROTOCOL.md, "Checkpoint AML1"), as it was published."""

    __tablename__ = "log_checkpoints"

    size: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    root: Mapped[Hash]
    time: Mapped[Seconds]
    checkpoint: Mapped[bytes] = mapped_column(LargeBinary(124))


class Act(Base):
    """An act of the authority, a leaf of the log: kind (such as "enrolment_approved"), who, when, and its data."""

    __tablename__ = "acts"

    log_index: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[Name] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(64))
    time: Mapped[Seconds]
    data: Mapped[Json]
