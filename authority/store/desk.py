"""What members and the department tell each other, and acts on pages that were begun and not ended.

Texts that people type are here and never in the log, so that they can be erased.
"""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from authority.store.base import Base, BigInt, Json, Name, Seconds


class Ticket(Base):
    """A member's dispute of a line of a bill (bill, line), or of a day of its energy (both None).

    starts_at and ends_at are the moments between which lies what it is about, Unix seconds. state and reason are words
    of authority.operations.tickets; correction_bill and correction name the correction by which it was closed.
    """

    __tablename__ = "tickets"
    __table_args__ = (Index("ix_tickets_user_id_id", "user_id", "id"), Index("ix_tickets_state_id", "state", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    bill: Mapped[BigInt | None]
    line: Mapped[int | None]
    starts_at: Mapped[Seconds]
    ends_at: Mapped[Seconds]
    reason: Mapped[Name]
    state: Mapped[Name]
    opened_at: Mapped[Seconds]
    opened_by: Mapped[str] = mapped_column(String(64))
    closed_at: Mapped[Seconds | None]
    closed_by: Mapped[str | None] = mapped_column(String(64))
    correction_bill: Mapped[BigInt | None]
    correction: Mapped[int | None]


class TicketWords(Base):
    """What somebody wrote to a ticket. person_id goes with the person, and the words with it; None: by a command."""

    __tablename__ = "ticket_words"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id", ondelete="CASCADE"), index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    from_member: Mapped[bool]
    text: Mapped[str] = mapped_column(String(1000))
    at: Mapped[Seconds]


class ExchangeDraft(Base):
    """An exchange of a meter that an operator began on the page: registers in Wh by name, as they were written down."""

    __tablename__ = "exchange_drafts"

    meter_pk: Mapped[int] = mapped_column(ForeignKey("meters.id"), primary_key=True)
    serial: Mapped[str] = mapped_column(String(64))
    last_wh: Mapped[Json]
    first_wh: Mapped[Json]
    reason: Mapped[str] = mapped_column(String(200))
    changed_at: Mapped[Seconds]
    changed_by: Mapped[str] = mapped_column(String(64))


class Announcement(Base):
    """What the department tells on the pages, from starts_at until ends_at (Unix seconds), as plain text.

    audience is everybody, members, or building: then building says of which one.
    """

    __tablename__ = "announcements"
    __table_args__ = (Index("ix_announcements_ends_at", "ends_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120))
    text: Mapped[str] = mapped_column(String(2000))
    starts_at: Mapped[Seconds]
    ends_at: Mapped[Seconds]
    audience: Mapped[Name]
    building: Mapped[str | None] = mapped_column(String(128))
    made_at: Mapped[Seconds]
    made_by: Mapped[str] = mapped_column(String(64))
    withdrawn_at: Mapped[Seconds | None]
    withdrawn_by: Mapped[str | None] = mapped_column(String(64))
