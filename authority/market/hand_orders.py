"""Orders that members give by hand, in the store: asked for on the pages or by a program, carried out by settlement.

Whoever asks has no key; settlement signs with the custodial one. A wish is of one epoch's book, and done once: it is
`waiting` until its transaction is about to be sent, `sent` (with that transaction's signature, in one commit with what
keeps it from being signed a second time) until the chain says what became of it, then `done` or `refused` for good.
What never reached the chain is `waiting` again. Prices are micro-credit per kWh, quantities Wh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import literal, select, tuple_, update
from sqlalchemy.orm import Session

from authority.log import log
from authority.market.policies import MarketError
from authority.market.standing_orders import SIDES
from authority.store.base import table_of
from authority.store.market import HAND_ORDER_OPEN, HandOrderRow
from authority.store.people import User

PLACE, CANCEL = "place", "cancel"
WAITING, SENT, DONE, REFUSED = "waiting", "sent", "done", "refused"
MOST_AN_EPOCH = 64
"""How many wishes a member may have for one book."""
LONGEST_KEY, LONGEST_TOLD = 64, 300


class HandOrdersFullError(MarketError):
    """A member asked for too much in one epoch."""

    code = "hand_orders_full"


class HandOrderKeyUsedError(MarketError):
    """An idempotency key that stands for another order."""

    code = "idempotency_key_used"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done in an epoch's book: an order to place, or (number) one to take back."""

    act: str
    epoch: int
    side: int
    price: int
    quantity: int
    number: int | None = None


@dataclass(frozen=True, slots=True)
class HandOrder:
    """A wish of the member that the wallet names, and what became of it; told is why it was refused."""

    id: int
    wallet: str
    wish: Wish
    state: str
    told: str
    signature: str | None
    asked_at: int


def ask(session: Session, user_id: int, wish: Wish, key: str, *, by: str, now: int) -> HandOrder:
    """Ask for it once for the key (a member's own; at most 64 characters), and log who asked.

    `idempotency_key_used` where the key stands for something else, `hand_orders_full` beyond 64 in an epoch.
    """
    user = session.get_one(User, user_id, with_for_update=True)  # two that come at once are one after the other
    known = of_key(session, user_id, key)
    if known is not None:
        if known.wish != wish:
            raise HandOrderKeyUsedError("this idempotency key stands for another order: use a new one for each")
        return known
    its = select(HandOrderRow.id).where(HandOrderRow.user_id == user_id, HandOrderRow.epoch == wish.epoch)
    if len(session.scalars(its).all()) >= MOST_AN_EPOCH:
        raise HandOrdersFullError(f"you gave {MOST_AN_EPOCH} orders for this book already: wait for the next one")
    row = HandOrderRow(
        user_id=user_id, request_key=key, act=wish.act, epoch=wish.epoch, side=wish.side, price=wish.price,
        quantity=wish.quantity, number=wish.number, state=WAITING, told="", asked_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    data = {"epoch": wish.epoch, "price": wish.price, "quantity": wish.quantity, "side": SIDES[wish.side]}
    kind = "order_asked" if wish.act == PLACE else "order_cancel_asked"
    log.record_act(session, kind, by, now, {**data, "wallet": user.wallet})
    return _of(row, user.wallet)


def of_key(session: Session, user_id: int, key: str) -> HandOrder | None:
    """What a member asked for under a key."""
    row = session.scalar(
        select(HandOrderRow).where(HandOrderRow.user_id == user_id, HandOrderRow.request_key == key)
    )  # fmt: skip
    return None if row is None else _of(row, session.get_one(User, user_id).wallet)


def of_member(session: Session, user_id: int, first_epoch: int, end_epoch: int | None = None) -> list[HandOrder]:
    """What a member asked for in books from an epoch on, up to and without end_epoch, the newest first."""
    wallet = session.get_one(User, user_id).wallet
    query = select(HandOrderRow).where(HandOrderRow.user_id == user_id, HandOrderRow.epoch >= first_epoch)
    if end_epoch is not None:
        query = query.where(HandOrderRow.epoch < end_epoch)
    return [
        _of(row, wallet) for row in session.scalars(query.order_by(HandOrderRow.epoch.desc(), HandOrderRow.id.desc()))
    ]


def newest(
    session: Session, user_id: int, *, before: int | None = None, first_epoch: int = 0, limit: int
) -> list[HandOrder]:
    """What a member asked for in books from an epoch on, the newest first; before: older than one of its own."""
    wallet = session.get_one(User, user_id).wallet
    query = select(HandOrderRow).where(HandOrderRow.user_id == user_id, HandOrderRow.epoch >= first_epoch)
    if before is not None:
        its = select(HandOrderRow.epoch).where(HandOrderRow.id == before, HandOrderRow.user_id == user_id)
        epoch = session.scalar(its)
        if epoch is None:
            return []
        query = query.where(tuple_(HandOrderRow.epoch, HandOrderRow.id) < tuple_(literal(epoch), literal(before)))
    rows = session.scalars(query.order_by(HandOrderRow.epoch.desc(), HandOrderRow.id.desc()).limit(limit))
    return [_of(row, wallet) for row in rows]


# For settlement


_OPEN = (
    select(*table_of(HandOrderRow).columns, User.wallet)
    .join(User, User.id == HandOrderRow.user_id)
    .where(HAND_ORDER_OPEN)
    .order_by(HandOrderRow.id)
)


def open_orders(session: Session) -> list[HandOrder]:
    """What is not decided yet, the oldest first."""
    return [_of(row, row.wallet) for row in session.connection().execute(_OPEN)]


def mark(session: Session, ids: Sequence[int], state: str, *, told: str = "", signature: str | None = None) -> None:
    """What became of these; nothing that is done or refused changes any more."""
    values: dict[str, object] = {"state": state, "told": told[:LONGEST_TOLD]}
    if state in (SENT, WAITING):
        values["signature"] = signature
    session.execute(update(HandOrderRow).where(HandOrderRow.id.in_(ids), HAND_ORDER_OPEN).values(**values))


def _of(row: Any, wallet: str) -> HandOrder:
    wish = Wish(row.act, row.epoch, row.side, row.price, row.quantity, row.number)
    return HandOrder(row.id, wallet, wish, row.state, row.told, row.signature, row.asked_at)
