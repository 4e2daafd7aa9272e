"""What the public is told of cleared books: whether each may be told, and the sums of a day of the site's calendar.

A book whose trades may not be told (authority.market.disclosure) is left out of what is told by epoch. Those of a day
are told as one sum with the day, once it is over, where that sum is of enough members; else the day goes without them,
and says how many they are. So no difference between two public figures is of fewer members than a figure may be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authority.billing.bill import Trade, trades_of
from authority.chain.accounts import EpochBook
from authority.market.clearing import WH_PER_KWH
from authority.market.disclosure import may_tell
from authority.store.day_sums import MarketDay
from authority.store.people import User
from authority.store.rows import execute
from authority.store.settlement import SettlementEpoch


class Cleared(NamedTuple):
    """A final book in short: its price (micro-credit per kWh), what changed hands (Wh), and between whom."""

    epoch: int
    price: int
    traded_wh: int
    buyers: frozenset[int]
    sellers: frozenset[int]


def cleared(book: bytes, trades: Sequence[Trade]) -> Cleared:
    """A book, as its leaf holds it, with its trades."""
    head = EpochBook.from_account(book)
    return Cleared(
        epoch=head.epoch,
        price=head.price,
        traded_wh=sum(trade.wh for trade in trades if not trade.is_bid),
        buyers=frozenset(trade.member for trade in trades if trade.is_bid),
        sellers=frozenset(trade.member for trade in trades if not trade.is_bid),
    )


def public_members(session: Session) -> frozenset[int]:
    """The members, by their index in the registry, whose orders may be told: public, and nobody's dwelling."""
    return frozenset(index for (index,) in execute(session, _PUBLIC))


_PUBLIC = select(User.member_index).where(User.public, ~User.dwelling, User.member_index.is_not(None))


def publishable(books: Iterable[Cleared], public: Collection[int]) -> bool:
    """Whether price and volume of these books together may be told: of each side."""
    books = list(books)
    return all(
        may_tell(frozenset[int]().union(*side), public)
        for side in ((book.buyers for book in books), (book.sellers for book in books))
    )


def may_be_told(session: Session, book: bytes) -> bool:
    """Whether price and volume of one final book may be told."""
    return publishable([cleared(book, list(trades_of(book)))], public_members(session))


def keep_day(session: Session, day: int, epochs: int, books: Sequence[Cleared]) -> None:
    """Judge the books of a day that were not judged yet, and keep its sums; epochs is how many are done with."""
    public = public_members(session)
    rest = [book for book in books if not publishable([book], public)]
    left = {book.epoch for book in rest}
    for verdict in (True, False):
        judged = [book.epoch for book in books if (book.epoch not in left) == verdict]
        if judged:
            session.execute(
                update(SettlementEpoch)
                .where(SettlementEpoch.epoch.in_(judged), SettlementEpoch.publishable.is_(None))
                .values(publishable=verdict)
            )
    withheld = left if not publishable(rest, public) else set()
    traded = [book for book in books if book.epoch not in withheld and book.traded_wh]
    prices = [book.price for book in traded]
    session.merge(
        MarketDay(
            day=day,
            epochs=epochs,
            withheld=len(withheld),
            traded_wh=sum(book.traded_wh for book in traded),
            value_micro_credits=sum(book.traded_wh * book.price // WH_PER_KWH for book in traded),
            lowest_price=min(prices, default=None),
            highest_price=max(prices, default=None),
        )
    )
