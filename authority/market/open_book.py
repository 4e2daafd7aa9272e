"""What is shown of an open book, to whoever looks again and again: one state for all processes and all pages.

What is shown changes only by the orders of enough members of a side at once, or of none: else the difference of two
looks would be what one member ordered meanwhile. Two processes with a state of their own would show two histories, and
who reads both could put them together; so the state is in the store, and outlives a restart.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from authority.market.disclosure import Ordered, may_change
from authority.store import Store
from authority.store.market import ShownBook

KEPT_EPOCHS = 4
"""How many epochs' books are remembered: one process may be an epoch behind another."""
_ORDER = struct.Struct("<BQQQ")


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An order as an open book shows it."""

    is_bid: bool
    price: int
    quantity: int
    member: int


class OpenBook:
    """The open book as it may be shown, over a store that all who show it share."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def shown(
        self, epoch: int, orders: Sequence[Ordered], public: Collection[int], now: int
    ) -> tuple[int, Sequence[BookOrder]] | None:
        """When what is shown was taken, and its orders; None where nothing of this epoch's book may be told yet."""
        offered = tuple(BookOrder(each.is_bid, each.price, each.quantity, each.member) for each in orders)
        with self._store.read() as session:
            kept = session.get(ShownBook, epoch)
            if kept is None and not _is_running(session, epoch):
                return None
            before = None if kept is None else (kept.taken_at, _unpacked(kept.orders))
        if not may_change(before[1] if before else (), offered, public) or (before and before[1] == offered):
            return before
        try:
            return self._change(epoch, offered, public, now)
        except IntegrityError:  # PostgreSQL: another process was the first to show this epoch's book
            return self._change(epoch, offered, public, now)

    def _change(
        self, epoch: int, offered: tuple[BookOrder, ...], public: Collection[int], now: int
    ) -> tuple[int, Sequence[BookOrder]] | None:
        """Show these, where that may still be done: another process may have changed what is shown meanwhile."""
        with self._store.write() as session:
            kept = session.get(ShownBook, epoch, with_for_update=True)
            if kept is None:
                if not _is_running(session, epoch):
                    return None
                session.execute(delete(ShownBook).where(ShownBook.epoch <= epoch - KEPT_EPOCHS))
                session.add(ShownBook(epoch=epoch, taken_at=now, orders=_packed(offered)))
                session.flush()
                return now, offered
            before = _unpacked(kept.orders)
            if not may_change(before, offered, public):
                return kept.taken_at, before
            kept.taken_at, kept.orders = now, _packed(offered)
            return now, offered


def _is_running(session: Session, epoch: int) -> bool:
    """Whether the book of an epoch of which nothing is kept may begin: not one whose history was thrown away."""
    newest = session.scalar(select(func.max(ShownBook.epoch)))
    return newest is None or epoch > newest - KEPT_EPOCHS


def _packed(orders: Iterable[BookOrder]) -> bytes:
    return b"".join(_ORDER.pack(each.is_bid, each.price, each.quantity, each.member) for each in orders)


def _unpacked(data: bytes) -> tuple[BookOrder, ...]:
    return tuple(
        BookOrder(bool(is_bid), price, quantity, member) for is_bid, price, quantity, member in _ORDER.iter_unpack(data)
    )
