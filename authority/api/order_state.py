"""What keeps a member's standing order from trading just now: its wallet, its account, a refusal, or nothing to give.

A pure function of the order, of what the chain has of the member and of what settlement noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from authority.chain.accounts import Status
from authority.language.reading import gettext, translated
from authority.market.clearing import escrow_of_bid
from authority.market.standing_orders import StandingOrder
from authority.operations.chain_state import MemberOnChain
from authority.settlement.by_hand import PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """What holds; where nothing keeps the order from trading, all is False, None or empty but signs_here.

    refused: why the programs refuse it, by the side (bid, ask). credit and energy: what the member can dispose of, in
    micro-credits and Wh, where that is less than the least order takes.
    """

    signs_here: bool
    suspended: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)
    credit: int | None = None
    energy: int | None = None

    @property
    def rests(self) -> bool:
        """Whether it rests, since no key is here that could sign it."""
        return not self.signs_here

    @property
    def is_held_up(self) -> bool:
        """Whether something is to be done about it."""
        return self.rests or self.suspended or bool(self.refused) or self.credit is not None


def state_of(
    order: StandingOrder,
    found: MemberOnChain,
    refused: Mapping[str, str],
    *,
    signs_here: bool,
    least_wh: int,
    wheeling: int,
) -> OrderState:
    """What holds of a standing order; refused are the names of refusals that stand, by the side."""
    has, least = found.balances, max(1, least_wh)
    credit, energy = (has.wallet_credit or 0) + has.seat_credit, (has.wallet_wh or 0) + has.seat_wh
    sides = {side for side, price in (("bid", order.buy_at), ("ask", order.sell_at)) if price is not None}
    short = order.buy_at is not None and escrow_of_bid(least, order.buy_at, wheeling) > credit
    empty = order.sell_at is not None and energy - order.reserve_wh < least
    return OrderState(
        signs_here=signs_here,
        suspended=found.user.status is Status.SUSPENDED,
        refused={side: _why(name) for side, name in sorted(refused.items()) if side in sides},
        credit=credit if short and not has.locked_credit else None,
        energy=energy if empty and not has.locked_wh else None,
    )


def _why(name: str) -> str:
    """Why the programs refuse an order, for the member."""
    if name in PLAIN:
        return translated(PLAIN[name])
    return gettext("the market's program answers %(name)s", name=name)
