"""Members' trades in final books, kept for who looks at the same day again: a final book never changes.

Books are large where many trade, and a member is in few of their orders; what is kept of a book is that member's part.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from authority.billing.bill import Trade, trades_of
from authority.billing.evidence import StoreEvidence
from authority.chain.accounts import EpochBook

MOST_KEPT = 32_768
"""Of so many books of members the trades are kept: of 340 members a day of quarters each."""


class BookTrade(NamedTuple):
    """A trade, the leaf of its book, and the book's price, micro-credits per kWh."""

    leaf: int
    price: int
    trade: Trade


class BookTrades:
    """Trades by book and member, of the log of one store. For any thread."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[int, int], tuple[BookTrade, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, session: Session, first_epoch: int, end_epoch: int, member: int) -> list[BookTrade]:
        """A member's (an index of the registry) in the final books of those epochs, the oldest first."""
        evidence = StoreEvidence(session)
        leaves = evidence.book_leaves(first_epoch, end_epoch)
        found = self._known(leaves, member)
        read: dict[int, tuple[BookTrade, ...]] = {}
        for leaf, book in evidence.books_at([leaf for leaf in leaves if leaf not in found]):
            price = EpochBook.from_account(book).price
            read[leaf] = tuple(BookTrade(leaf, price, trade) for trade in trades_of(book, member=member))
        self._keep(read, member)
        found |= read
        return [each for leaf in leaves for each in found[leaf]]

    def _known(self, leaves: Sequence[int], member: int) -> dict[int, tuple[BookTrade, ...]]:
        found = {}
        with self._lock:
            for leaf in leaves:
                known = self._kept.get((leaf, member))
                if known is not None:
                    self._kept.move_to_end((leaf, member))
                    found[leaf] = known
        return found

    def _keep(self, read: dict[int, tuple[BookTrade, ...]], member: int) -> None:
        with self._lock:
            for leaf, trades in read.items():
                self._kept[leaf, member] = trades
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
