"""Leases make the collector, settlement and the embedded validator singular (authority.store.lease)."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from authority.store.base import Base, BigInt, Name, Seconds


class Lease(Base):
    """Who runs a singular process: owner names host, boot and process; term rises with every new owner."""

    __tablename__ = "leases"

    name: Mapped[Name] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(255))
    term: Mapped[BigInt]
    expires_at: Mapped[Seconds]
