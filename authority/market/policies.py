"""Members' standing orders in the store: set, list, remove. Prices are micro-credit per kWh, reserves Wh."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.errors import AuthorityError
from authority.language.reading import spoken
from authority.log import log
from authority.market.prices import MarketPrices
from authority.market.standing_orders import StandingOrder
from authority.store.market import StandingOrderPolicy
from authority.store.people import User, user_named

ORDER_SET, ORDER_REMOVED = "standing_order_set", "standing_order_removed"
ORDER_PAUSED, ORDER_RESUMED = "standing_order_paused", "standing_order_resumed"
ORDER_ACTS = (ORDER_SET, ORDER_REMOVED, ORDER_PAUSED, ORDER_RESUMED)
"""What the log calls the acts below; each has the member's wallet, and the first the order's fields."""
MAX_PRICE = 2**32 - 1
MAX_RESERVE_WH = 2**63 - 1


class MarketError(AuthorityError):
    """An order, credits or a member that the market cannot deal with."""


class CreditInvalidError(MarketError):
    """An amount of credit that cannot be issued."""

    code = "credit_invalid"


class StandingOrderInvalidError(MarketError):
    """A standing order without a limit, or with one that is not a price."""

    code = "standing_order_invalid"


class StandingOrderMissingError(MarketError):
    """The member has no standing order."""

    code = "standing_order_missing"


class StandingOrderWithoutEffectError(MarketError):
    """A limit that no price of the market reaches."""

    code = "standing_order_without_effect"


class UserUnknownError(MarketError):
    """The campus plan has no such member."""

    code = "user_unknown"


class UserUnregisteredError(MarketError):
    """The member is not on the chain yet."""

    code = "user_unregistered"


def user_of(session: Session, name: str) -> User:
    """The member of this name; UserUnknownError."""
    user = user_named(session, name)
    if user is None:
        known = ", ".join(repr(each) for each in session.scalars(select(User.name).order_by(User.name))) or "nobody yet"
        raise UserUnknownError(f"no user is called {name!r}; the campus plan has {known}")
    return user


def present(session: Session, name: str) -> User:
    """The member of this name, that takes part; UserUnknownError."""
    user = user_of(session, name)
    if user.left_at is not None:
        raise UserUnknownError(f"{name!r} has left: it takes part in nothing any more")
    return user


def require_effect(order: StandingOrder, prices: MarketPrices) -> None:
    """Refuse limits that no price of the market reaches; StandingOrderWithoutEffectError says why."""
    feed_in_price, retail_price = prices.lowest, prices.highest
    bounds = spoken(f"the market's prices are {feed_in_price} to {retail_price} micro-credit per kWh")
    if order.sell_at is not None and order.sell_at > retail_price:
        raise StandingOrderWithoutEffectError(
            f"nothing is ever sold at {order.sell_at} or more: {bounds}; ask for {retail_price} or less",
        )
    if order.buy_at is not None and order.buy_at < feed_in_price:
        raise StandingOrderWithoutEffectError(
            f"nothing is ever bought at {order.buy_at} or less: {bounds}; bid {feed_in_price} or more",
        )


def set_standing_order(
    session: Session,
    user_name: str,
    order: StandingOrder,
    *,
    by: str,
    now: int,
    prices: MarketPrices | None = None,
) -> None:
    """Make this the user's standing order, in place of any other.

    prices are the market's, where they are known. UserUnknownError;
    `standing_order_invalid` for a price or reserve out of range, or an order that neither sells, buys nor feeds in;
    `standing_order_without_effect` for a limit beyond the market's prices.
    """
    for name, price in (("sell_at", order.sell_at), ("buy_at", order.buy_at)):
        if price is not None and not 0 < price <= MAX_PRICE:
            raise StandingOrderInvalidError(f"{name} is 1 to {MAX_PRICE} micro-credit per kWh, not {price}")
    for name, amount in (("reserve_wh", order.reserve_wh), ("feed_in_above_wh", order.feed_in_above_wh)):
        if amount is not None and not 0 <= amount <= MAX_RESERVE_WH:
            raise StandingOrderInvalidError(f"{name} is 0 or more, not {amount}")
    if order.sell_at is None and order.buy_at is None and order.feed_in_above_wh is None:
        raise StandingOrderInvalidError(
            "give --sell-at, --buy-at or --feed-in-above; `authority market standing-order remove` ends it",
        )
    user = present(session, user_name)
    if prices is not None:
        require_effect(order, prices)
    session.merge(
        StandingOrderPolicy(
            user_id=user.id,
            sell_at=order.sell_at,
            buy_at=order.buy_at,
            reserve_wh=order.reserve_wh,
            feed_in_above_wh=order.feed_in_above_wh,
            paused_at=None,
            updated_at=now,
            updated_by=by,
        )
    )


def change_standing_order(
    session: Session, user_name: str, order: StandingOrder, *, by: str, now: int, prices: MarketPrices
) -> bool:
    """Set a member's standing order and log the act: what commands and pages do. Raises as set_standing_order does.

    An order that was paused goes on. False where the member has just this order: nothing is logged.
    """
    log.lock(session)  # of two that are set at once the later one stays
    before = session.get(StandingOrderPolicy, user_of(session, user_name).id)
    if before is not None and before.paused_at is None and _order_of(before) == order:
        return False
    set_standing_order(session, user_name, order, by=by, now=now, prices=prices)
    data = {
        "wallet": pseudonym(session, user_name),
        "sell_at": order.sell_at,
        "buy_at": order.buy_at,
        "reserve_wh": order.reserve_wh,
        "feed_in_above_wh": order.feed_in_above_wh,
    }
    log.record_act(session, ORDER_SET, by, now, data)
    return True


def end_standing_order(session: Session, user_name: str, *, by: str, now: int) -> None:
    """Remove a member's standing order and log the act; UserUnknownError or `standing_order_missing`."""
    remove_standing_order(session, user_name)
    log.record_act(session, ORDER_REMOVED, by, now, {"wallet": pseudonym(session, user_name)})


def pause_standing_order(session: Session, user_name: str, *, paused: bool, by: str, now: int) -> None:
    """Stop a member's standing order for a while, or let it go on; logged. `standing_order_missing`.

    What is in the book stays there; nothing new is placed, retired or fed in.
    """
    policy = session.get(StandingOrderPolicy, user_of(session, user_name).id)
    if policy is None:
        raise StandingOrderMissingError(f"{user_name!r} has no standing order")
    if (policy.paused_at is not None) == paused:
        return
    policy.paused_at = now if paused else None
    kind = ORDER_PAUSED if paused else ORDER_RESUMED
    log.record_act(session, kind, by, now, {"wallet": pseudonym(session, user_name)})


def remove_standing_order(session: Session, user_name: str) -> None:
    """Remove it; UserUnknownError or `standing_order_missing`."""
    policy = session.get(StandingOrderPolicy, user_of(session, user_name).id)
    if policy is None:
        raise StandingOrderMissingError(f"{user_name!r} has no standing order")
    session.delete(policy)


def pseudonym(session: Session, user_name: str) -> str:
    """The wallet that names a user for ever, which the log may say in the place of its name; UserUnknownError."""
    return user_of(session, user_name).wallet


_NOT_PAUSED = (
    select(
        User.wallet,
        StandingOrderPolicy.sell_at,
        StandingOrderPolicy.buy_at,
        StandingOrderPolicy.reserve_wh,
        StandingOrderPolicy.feed_in_above_wh,
    )
    .join(User, StandingOrderPolicy.user_id == User.id)
    .where(StandingOrderPolicy.paused_at.is_(None))
)


def standing_orders_by_wallet(session: Session) -> dict[str, StandingOrder]:
    """All standing orders that are not paused, by the address that names their member on the chain."""
    rows = session.connection().execute(_NOT_PAUSED)
    return {row.wallet: StandingOrder(row.sell_at, row.buy_at, row.reserve_wh, row.feed_in_above_wh) for row in rows}


def standing_orders(session: Session) -> list[tuple[User, StandingOrder]]:
    """All members with a standing order, by name."""
    rows = session.execute(
        select(User, StandingOrderPolicy).join(StandingOrderPolicy, StandingOrderPolicy.user_id == User.id)
    )
    found = [(user, _order_of(row)) for user, row in rows]
    return sorted(found, key=lambda item: item[0].name)


def _order_of(row: StandingOrderPolicy) -> StandingOrder:
    return StandingOrder(row.sell_at, row.buy_at, row.reserve_wh, row.feed_in_above_wh)
