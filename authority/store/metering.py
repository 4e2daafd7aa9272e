"""Gateways, meters, their keys, and the frames they signed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, LargeBinary, String, UniqueConstraint, and_, bindparam, text
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.sql.elements import BindParameter

from authority.store.base import Base, BigInt, Hash, Json, LogIndex, Name, Seconds
from authority.store.people import Installation, User
from edge_agent.wire.reading import FRAME_SIZE, RECORD_SIZE, ROLES, SOURCES, Record

GATEWAY_EXPECTED, GATEWAY_ENROLLED, GATEWAY_REVOKED = "expected", "enrolled", "revoked"

METER_EXPECTED, METER_APPROVED, METER_ACTIVE, METER_SUSPENDED, METER_RETIRED = (
    "expected",
    "approved",
    "active",
    "suspended",
    "retired",
)
"""A meter of the plan; one with an approved key that the chain refuses as yet; one that takes part; one whose readings
an operator holds; one that was taken out for good."""

DISPOSITION_ACCEPTED, DISPOSITION_HELD, DISPOSITION_RELEASED, DISPOSITION_VOID = "accepted", "held", "released", "void"
"""What becomes of a logged frame: accepted and released frames go to the chain, held ones wait, void ones never do."""

PASSED = (DISPOSITION_ACCEPTED, DISPOSITION_RELEASED)
"""Of frames that policy or an operator let pass: those that count."""

CHAIN_PENDING, CHAIN_SUBMITTED, CHAIN_CONFIRMED, CHAIN_SKIPPED = "pending", "submitted", "confirmed", "skipped"
"""Where a frame is on its way to the chain; skipped: a later reading went first and carries its energy."""


class Gateway(Base):
    """A gateway of the campus plan. certificate_hash is the SHA-256 of the one certificate (DER) that it may use.

    status is the last status message it sent (JSON); online follows its MQTT will; seen_at is when it last spoke.
    """

    __tablename__ = "gateways"

    name: Mapped[Name] = mapped_column(primary_key=True)
    state: Mapped[Name] = mapped_column(default=GATEWAY_EXPECTED)
    certificate: Mapped[str | None]
    certificate_hash: Mapped[Hash | None] = mapped_column(unique=True)
    status: Mapped[Json | None]
    online: Mapped[bool] = mapped_column(default=False)
    seen_at: Mapped[Seconds | None]
    meters: Mapped[list[Meter]] = relationship(back_populates="gateway", order_by="Meter.name")


class Meter(Base):
    """A meter of the plan: name is its name at its gateway, serial the manufacturer's, meter_id its name on the chain.

    role and source are words of edge_agent.wire.reading.ROLES and SOURCES. map is the approved meter map as it came,
    map_hash the SHA-256 of its canonical JSON. public_key is the key in use (its history is MeterKey). registered_at is
    when the meter and its state account were put on the chain.
    """

    __tablename__ = "meters"
    __table_args__ = (UniqueConstraint("gateway_name", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name]
    gateway_name: Mapped[Name] = mapped_column(ForeignKey("gateways.name"))
    serial: Mapped[str] = mapped_column(String(64), unique=True)
    meter_id: Mapped[Hash] = mapped_column(unique=True)
    role: Mapped[Name]
    source: Mapped[Name]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    installation_n: Mapped[int] = mapped_column(ForeignKey("installations.n"))
    state: Mapped[Name] = mapped_column(default=METER_EXPECTED)
    map: Mapped[Json | None]
    map_hash: Mapped[Hash | None]
    public_key: Mapped[Hash | None] = mapped_column(unique=True)
    registered_at: Mapped[Seconds | None]
    gateway: Mapped[Gateway] = relationship(back_populates="meters")
    user: Mapped[User] = relationship()
    installation: Mapped[Installation] = relationship()

    @property
    def role_code(self) -> int:
        """The role's number on the chain."""
        return ROLES.index(self.role)

    @property
    def source_code(self) -> int:
        """The source's number in records and on the chain."""
        return SOURCES.index(self.source)


class MeterTenure(Base):
    """Whose readings a meter's are that was given to another member: a change of tenant. Others have none of these.

    Those from the boundary since_end (None: from the first) to the boundary until_end (None: until now), both Unix
    seconds and both included: at the boundary of the change one member's span ends and the next one's begins.
    """

    __tablename__ = "meter_tenures"

    id: Mapped[int] = mapped_column(primary_key=True)
    meter_pk: Mapped[int] = mapped_column(ForeignKey("meters.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    since_end: Mapped[Seconds | None]
    until_end: Mapped[Seconds | None]


class MeterKey(Base):
    """A meter's key and where its chain of records stands. A key belongs to one meter forever.

    next_sequence is what the collector takes next; head_hash is the record hash (32 bytes) of the last logged record
    and head_log_index its place in the log, None before the first. passed_record is the last record (96 bytes) under
    this key that policy or an operator let pass, passed_log_index its place: the next step is measured from it, and
    nobody has to look for it among the frames. possession is the AMK1 signature that proved the key. retired_at: a
    newer key took over.
    """

    __tablename__ = "meter_keys"

    public_key: Mapped[Hash] = mapped_column(primary_key=True)
    meter_pk: Mapped[int] = mapped_column(ForeignKey("meters.id"), index=True)
    first_sequence: Mapped[BigInt]
    next_sequence: Mapped[BigInt]
    head_hash: Mapped[Hash | None]
    head_log_index: Mapped[BigInt | None]
    passed_log_index: Mapped[BigInt | None]
    passed_record: Mapped[bytes | None] = mapped_column(LargeBinary(RECORD_SIZE))
    possession: Mapped[bytes] = mapped_column(LargeBinary(64))
    approved_at: Mapped[Seconds]
    retired_at: Mapped[Seconds | None]
    meter: Mapped[Meter] = relationship()


_WAITING = text("disposition IN ('accepted', 'released') AND chain_status IN ('pending', 'submitted')")
_HELD = text("disposition = 'held'")


class Frame(Base):
    """An authentic, in-order record, as it came: one leaf of the log. Frames are never changed or deleted.

    What the collector says: frame (192 bytes), verdict ("accepted" or "held"), code (a name of
    edge_agent.wire.reading.CODES), log_index, received_at, over ("https" or "mqtt"). The leaf is made of these again
    (authority.log.log.leaf), and the receipt of the leaf's path; receipt is set where an earlier release signed one.
    What an operator says of a held one: disposition ("accepted" at once, or "held", then "released" or "void"),
    resolved_at, resolved_by, resolution (the words), resolution_log_index (the act's leaf).
    What settlement says: chain_status ("pending", "submitted", "confirmed", "skipped"), chain_error (a program's error
    code by name). Only accepted and released frames go to the chain, in sequence order.

    sequence, interval_end (Unix seconds), record_hash are the record's; `record` decodes all of it (registers are u64,
    which no database integer holds).
    """

    __tablename__ = "frames"
    __table_args__ = (
        UniqueConstraint("public_key", "sequence"),
        Index("ix_frames_meter_pk_log_index", "meter_pk", "log_index"),
        Index("ix_frames_interval_end_meter_pk", "interval_end", "meter_pk"),
        Index("ix_frames_waiting", "meter_pk", "log_index", sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_frames_held", "log_index", sqlite_where=_HELD, postgresql_where=_HELD),
    )

    log_index: Mapped[LogIndex] = mapped_column(primary_key=True, autoincrement=False)
    meter_pk: Mapped[int] = mapped_column(ForeignKey("meters.id"))
    public_key: Mapped[Hash]
    sequence: Mapped[BigInt]
    interval_end: Mapped[BigInt]
    record_hash: Mapped[Hash]
    frame: Mapped[bytes] = mapped_column(LargeBinary(FRAME_SIZE))
    verdict: Mapped[Name]
    code: Mapped[Name]
    receipt: Mapped[bytes | None] = mapped_column(LargeBinary(168))
    received_at: Mapped[Seconds]
    over: Mapped[Name]
    disposition: Mapped[Name]
    resolved_at: Mapped[Seconds | None]
    resolved_by: Mapped[str | None] = mapped_column(String(64))
    resolution: Mapped[str | None]
    resolution_log_index: Mapped[BigInt | None]
    chain_status: Mapped[Name] = mapped_column(default=CHAIN_PENDING)
    chain_error: Mapped[Name | None]
    meter: Mapped[Meter] = relationship()

    @property
    def record(self) -> Record:
        """The signed record, decoded from the frame's bytes."""
        return Record.from_bytes(self.frame[:RECORD_SIZE])


def waiting_for_the_chain(frame: type[Frame]) -> ColumnElement[bool]:
    """That a frame may go to the chain and has not been seen there, in the words of the index on just these."""
    dispositions, statuses = PASSED, (CHAIN_PENDING, CHAIN_SUBMITTED)
    return and_(frame.disposition.in_(_written(dispositions)), frame.chain_status.in_(_written(statuses)))


def held_back(frame: type[Frame]) -> ColumnElement[bool]:
    """That a frame waits for an operator's decision, in the words of the index on just these."""
    return frame.disposition == bindparam(None, DISPOSITION_HELD, literal_execute=True)


def _written(words: tuple[str, ...]) -> BindParameter[Any]:
    """Words that stand in the statement itself: a partial index is used only where its condition can be seen there."""
    return bindparam(None, words, expanding=True, literal_execute=True)


class CarriedFrame(Base):
    """Which transaction carries a frame that was submitted and has not been seen on the chain: its signature (base58).

    A table of its own, because a frame's row that grew by a signature would part the page it lies on.
    """

    __tablename__ = "carried_frames"

    log_index: Mapped[LogIndex] = mapped_column(ForeignKey("frames.log_index"), primary_key=True, autoincrement=False)
    signature: Mapped[str] = mapped_column(String(88))


class ParkedFrame(Base):
    """An authentic frame whose predecessors are missing; bounded per key, and only a courtesy: gateways send again."""

    __tablename__ = "parked_frames"

    public_key: Mapped[Hash] = mapped_column(primary_key=True)
    sequence: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    frame: Mapped[bytes] = mapped_column(LargeBinary(FRAME_SIZE))
    received_at: Mapped[Seconds]


class Incident(Base):
    """Evidence of a key that signed two histories (`forked`): the frame that was refused. Bounded per key."""

    __tablename__ = "incidents"

    record_hash: Mapped[Hash] = mapped_column(primary_key=True)
    public_key: Mapped[Hash] = mapped_column(index=True)
    sequence: Mapped[BigInt]
    code: Mapped[Name]
    frame: Mapped[bytes] = mapped_column(LargeBinary(FRAME_SIZE))
    received_at: Mapped[Seconds]


class LivePower(Base):
    """A meter's power now, unsigned and not for billing: W, import positive; time is the gateway's, Unix seconds."""

    __tablename__ = "live_power"

    meter_pk: Mapped[int] = mapped_column(ForeignKey("meters.id"), primary_key=True)
    power_w: Mapped[BigInt]
    time: Mapped[Seconds]
    received_at: Mapped[Seconds]
    meter: Mapped[Meter] = relationship()
