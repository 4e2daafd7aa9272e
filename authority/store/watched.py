"""When parts of the service changed their state, as the public is told it (authority.status.public)."""

from __future__ import annotations

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from authority.store.base import Base, Name, Seconds


class ServiceChange(Base):
    """From `since` on a part of the service was in that state, until the part's next row."""

    __tablename__ = "service_changes"
    __table_args__ = (Index("ix_service_changes_part_id", "part", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[Name]
    state: Mapped[Name]
    since: Mapped[Seconds]
