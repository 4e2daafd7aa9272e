"""Days of cleared books as real rows of the store: members 0 to 3 keep to themselves, 9's figures are public."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from packed_accounts import Orders, limit_book
from solders.keypair import Keypair

from authority.app import App
from authority.billing.calendar import midnight
from authority.log import log
from authority.market.book_leaf import book_leaf
from authority.settlement.market_sums import may_be_told
from authority.store.people import User
from authority.store.settlement import SettlementEpoch

STEP = 900
PRIVATE, PUBLIC = (0, 1, 2, 3), 9


def add_public_member(app: App) -> None:
    """The member with index 9, who shows its figures."""
    with app.store.write() as session:
        session.add(
            User(
                name="Library", building="Library", public=True, dwelling=False, wallet=str(Keypair().pubkey()),
                member_index=PUBLIC,
            )
        )  # fmt: skip


def add_book(app: App, epoch: int, price: int, bids: Orders, asks: Orders, *, judged: bool = True) -> None:
    """The book of an epoch that is done with, as settlement leaves it; not judged, as an earlier release left it."""
    book = limit_book(epoch, price, bids, asks)
    traded = sum(filled for _, _, filled, _ in asks)
    with app.store.write() as session:
        leaf = log.append(session, book_leaf(book))
        session.merge(
            SettlementEpoch(
                epoch=epoch, state="checkpointed", first_seen_ms=0, checkpointed_ms=1, bids=len(bids), asks=len(asks),
                traded_wh=traded, clearing_price=price if traded else None, book_log_index=leaf,
                publishable=may_be_told(session, book) if judged else None,
            )
        )  # fmt: skip


def add_empty(app: App, epoch: int) -> None:
    """An epoch that had no book."""
    with app.store.write() as session:
        session.merge(SettlementEpoch(epoch=epoch, state="checkpointed", first_seen_ms=0, checkpointed_ms=1))


def orders_of(chance: random.Random, price: int, members: Sequence[int], *, rising: bool) -> list[Any]:
    """An order of each member, filled whole, the best first; rising: asks, at or below the price."""
    made = []
    for member in members:
        wh, away = chance.randrange(200, 3_000), chance.randrange(0, 40_000)
        made.append((price - away if rising else price + away, wh, wh, member))
    return sorted(made, key=lambda order: order[0] if rising else -order[0])


def add_days(app: App, first: date, days: int, zone: ZoneInfo, *, until: int, judged: bool = True) -> dict[int, Any]:
    """Books of whole days up to a moment: by night too few trade, one epoch in 13 has no book. What each traded."""
    made: dict[int, Any] = {}
    chance = random.Random(7)  # noqa: S311 - orders, not keys
    end = min(until, midnight(first + timedelta(days=days), zone))
    for epoch in range(midnight(first, zone) // STEP, end // STEP):
        if epoch % 13 == 0:
            add_empty(app, epoch)
            made[epoch] = (True, 0, None)
            continue
        by_day = 32 <= epoch % 96 < 72
        price = chance.randrange(180_000, 300_000)
        sellers = [PUBLIC, *(PRIVATE[:3] if by_day else (epoch % 4,))]
        asks = orders_of(chance, price, sellers, rising=True)
        sold = sum(filled for _, _, filled, _ in asks)
        buyers = list(PRIVATE)
        parts = [sold // 4] * 3 + [sold - 3 * (sold // 4)]
        bids = [
            (price + 1_000 * (4 - n), wh, wh, member) for n, (wh, member) in enumerate(zip(parts, buyers, strict=True))
        ]
        add_book(app, epoch, price, bids, asks, judged=judged)
        made[epoch] = (by_day, sold, price)
    return made
