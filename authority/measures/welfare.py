"""Welfare of an epoch's trades against the greatest that its orders allow.

- *Welfare*: the energy bought, each Wh at its buyer's limit, less the energy sold, each Wh at its seller's limit. What
  is paid, wheeling and fees go from one to another and are not in it.
- *Optimum*: the linear program max sum(b_i x_i) - sum(a_j y_j) with sum(x_i) = sum(y_j), 0 <= x_i <= bid i's quantity,
  0 <= y_j <= ask j's. With one product it needs no solver: dearest bids meet cheapest asks for as long as they reach
  each other. At any price p between the last pair's limits the dual, min over p of sum(q_i max(0, b_i - p)) +
  sum(q_j max(0, p - a_j)), has the same value, which proves it. The program is that of Shapley and Shubik, "The
  assignment game I: the core", International Journal of Game Theory 1 (1971), with divisible goods.
- *Efficiency*: welfare / optimum. Gode and Sunder, "Allocative efficiency of markets with zero-intelligence traders",
  Journal of Political Economy 101 (1993).

A limit is what a member says, not what energy is worth to it: who bids less than it would pay hides some welfare.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from authority.market.clearing import WH_PER_KWH, Order
from authority.measures.indicators import share


def pairs(bids: Sequence[Order], asks: Sequence[Order]) -> list[tuple[Order, Order, int]]:
    """Dearest bid with cheapest ask, as long as they reach each other: (bid, ask, Wh).

    Bids come dearest first, asks cheapest first.
    """
    found: list[tuple[Order, Order, int]] = []
    i = j = 0
    bid_left = bids[0].quantity if bids else 0
    ask_left = asks[0].quantity if asks else 0
    while i < len(bids) and j < len(asks) and bids[i].price >= asks[j].price:
        wh = min(bid_left, ask_left)
        found.append((bids[i], asks[j], wh))
        bid_left, ask_left = bid_left - wh, ask_left - wh
        if not bid_left:
            i += 1
            bid_left = bids[i].quantity if i < len(bids) else 0
        if not ask_left:
            j += 1
            ask_left = asks[j].quantity if j < len(asks) else 0
    return found


@dataclass(frozen=True, slots=True)
class Welfare:
    """Thousandths of a micro-credit: what was reached, and what was possible."""

    reached: int = 0
    possible: int = 0

    def __add__(self, other: Welfare) -> Welfare:
        return Welfare(self.reached + other.reached, self.possible + other.possible)

    @property
    def efficiency(self) -> float | None:
        """The share of what was possible; None where nothing was."""
        return share(self.reached, self.possible)

    def as_json(self) -> dict[str, int | float | None]:
        """In whole micro-credits, rounded down, and the efficiency."""
        return {
            "reached": self.reached // WH_PER_KWH,
            "possible": self.possible // WH_PER_KWH,
            "efficiency": self.efficiency,
        }


def reached(bought: Iterable[tuple[int, int]], sold: Iterable[tuple[int, int]]) -> int:
    """The welfare of trades, thousandths of a micro-credit: each a limit (micro-credit per kWh) and Wh."""
    return sum(limit * wh for limit, wh in bought) - sum(limit * wh for limit, wh in sold)


def possible(bids: Sequence[Order], asks: Sequence[Order]) -> int:
    """The optimum of a book, thousandths of a micro-credit; bids come dearest first, asks cheapest first."""
    return sum((bid.price - ask.price) * wh for bid, ask, wh in pairs(bids, asks))
