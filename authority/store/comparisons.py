"""Comparisons of books and chain (authority.audit.comparing), each with what it found."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from authority.store.base import Base, BigInt, Json, Seconds


class BooksComparison(Base):
    """One comparison: entries of the log and figures of the store that were held against the chain.

    Figures of epochs were compared before until_epoch. differences counts all that differ; found has the first of them
    under `problems`, as objects of code, where and message.
    """

    __tablename__ = "books_comparisons"

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[Seconds]
    ended_at: Mapped[Seconds]
    entries: Mapped[BigInt]
    figures: Mapped[BigInt]
    until_epoch: Mapped[BigInt]
    differences: Mapped[int]
    found: Mapped[Json]


def listed(session: Session, before: int | None, limit: int) -> Sequence[BooksComparison]:
    """Comparisons below a number, the newest first."""
    query = select(BooksComparison).order_by(BooksComparison.id.desc()).limit(limit)
    return session.scalars(query if before is None else query.where(BooksComparison.id < before)).all()


def newest(session: Session) -> BooksComparison | None:
    """The last comparison."""
    return session.scalar(select(BooksComparison).order_by(BooksComparison.id.desc()).limit(1))
