"""How a gateway comes in: the claim it was given, and the enrolment that it asked for with it."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from authority.store.base import Base, BigInt, Hash, Json, Name, Seconds

ENROLMENT_STARTED, ENROLMENT_PENDING, ENROLMENT_APPROVED, ENROLMENT_REJECTED = (
    "started",
    "pending",
    "approved",
    "rejected",
)
"""Asked for; proved, and waiting for the operator; decided."""


class Claim(Base):
    """A one-time secret that lets a gateway ask for enrolment: only its SHA-256 is kept."""

    __tablename__ = "claims"

    id: Mapped[int] = mapped_column(primary_key=True)
    gateway_name: Mapped[Name] = mapped_column(ForeignKey("gateways.name"), index=True)
    secret_hash: Mapped[Hash] = mapped_column(unique=True)
    created_at: Mapped[Seconds]
    expires_at: Mapped[Seconds]
    withdrawn_at: Mapped[Seconds | None]


class Enrolment(Base):
    """What a gateway asked for with one claim; certificate (PEM) and decided_by once an operator has decided.

    request_hash is the SHA-256 of the request, so that asking again with the same content is not a conflict.
    """

    __tablename__ = "enrolments"
    __table_args__ = (Index("ix_enrolments_state_created_at", "state", "created_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    gateway_name: Mapped[Name] = mapped_column(ForeignKey("gateways.name"), index=True)
    claim_id: Mapped[int] = mapped_column(ForeignKey("claims.id"), unique=True)
    request_hash: Mapped[Hash]
    csr: Mapped[str]
    state: Mapped[Name] = mapped_column(default=ENROLMENT_STARTED)
    reason: Mapped[str | None]
    certificate: Mapped[str | None]
    created_at: Mapped[Seconds]
    decided_at: Mapped[Seconds | None]
    decided_by: Mapped[str | None] = mapped_column(String(64))
    meters: Mapped[list[EnrolmentMeter]] = relationship(order_by="EnrolmentMeter.name")


class EnrolmentMeter(Base):
    """One meter of an enrolment: the key made for it, its map as it came, and the AMK1 signature once proved."""

    __tablename__ = "enrolment_meters"
    __table_args__ = (UniqueConstraint("enrolment_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    enrolment_id: Mapped[str] = mapped_column(ForeignKey("enrolments.id"))
    meter_pk: Mapped[int] = mapped_column(ForeignKey("meters.id"))
    name: Mapped[Name]
    public_key: Mapped[Hash]
    map: Mapped[Json]
    map_hash: Mapped[Hash]
    first_sequence: Mapped[BigInt]
    possession: Mapped[bytes | None] = mapped_column(LargeBinary(64))


class Approval(Base):
    """An approval that a person asked for on the pages, until the processes with the keys have carried it out.

    seen is the digest of what the person looked at (authority.enrolment.approvals). asked_by is a pseudonym. ended_at:
    nothing comes of it, it was taken back or `problem` says why. certified_at: the gateway has its certificate;
    on_chain_at: its meters are on the chain. problem is what stands in the way now.
    """

    __tablename__ = "approvals"

    enrolment_id: Mapped[str] = mapped_column(ForeignKey("enrolments.id"), primary_key=True)
    seen: Mapped[Hash]
    asked_at: Mapped[Seconds] = mapped_column(index=True)
    asked_by: Mapped[str] = mapped_column(String(64))
    ended_at: Mapped[Seconds | None]
    certified_at: Mapped[Seconds | None]
    on_chain_at: Mapped[Seconds | None]
    problem: Mapped[str | None]


class CertificateRenewal(Base):
    """A gateway's certificate that follows the one it uses, without a person: asked for, issued, then used.

    csr is the signing request (PEM) that came over the gateway's mutual-TLS door; certificate (PEM) and its hash are
    set when it is issued. Until it is used for the first time (used_at), the gateway's old one is good too.
    """

    __tablename__ = "certificate_renewals"

    id: Mapped[int] = mapped_column(primary_key=True)
    gateway_name: Mapped[Name] = mapped_column(ForeignKey("gateways.name"), index=True)
    csr: Mapped[str]
    asked_at: Mapped[Seconds]
    certificate: Mapped[str | None]
    certificate_hash: Mapped[Hash | None] = mapped_column(unique=True)
    used_at: Mapped[Seconds | None]
