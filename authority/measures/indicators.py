"""Indicators of energy, market and fairness, each with its definition and its source.

All of them are functions of whole numbers: Wh, micro-credits, micro-credits per kWh. A share is a float from 0 to 1,
rounded to six places; it is None where it would be divided by nothing. g is generation, c consumption, q charge and d
discharge of an interval; net = g + d - c - q.

- *Used locally*: M = the sum over intervals of min(c, max(0, g - q + d)). *Self-sufficiency*: M / sum of c.
  *Self-consumption*: M / sum of g; what a storage loses counts as not consumed. After Luthander, Widén, Nilsson and
  Palm, "Photovoltaic self-consumption in buildings: A review", Applied Energy 142 (2015).
- *Import* and *export* of the grid: max(0, -net) and max(0, net) of an interval. *Peak*: the greatest of them, as mean
  power.
- *Traded share*: energy traded, of what members withdrew or of the surplus that was minted.
- *Price level*: the mean of the clearing prices, weighted by the energy traded. *Deviation*: their standard deviation
  (of the population), each epoch that traded once. *Mean step*: the mean absolute difference from each such epoch to
  the next.
- *Gain*: what a member would have paid without a market, less what it paid with it. *Gini* of the gains: the sum over
  all pairs of |x - y| / (2 n x the sum of x), as in Sen, "On Economic Inequality" (1973). It is defined for amounts
  that are not negative, where it lies between 0 and 1: None where one is, or their sum is 0.
- *Welfare* and its optimum: authority.measures.welfare.
- *CO2*: what was drawn from the grid, times the grid's mean emissions per kWh, plants of one's own counting as none:
  the location-based method of the GHG Protocol, "Scope 2 Guidance" (2015). *Avoided*: the same of what was consumed and
  not drawn, negative where storages drew more than that; what is exported counts for nothing.
- *Rounding*: what buyers paid more, and sellers got less, than exact fractions would be, in thousandths of a
  micro-credit.

*Without a market* every member stands alone: it pays retail for what it withdrew and gets the feed-in price for its
surplus, each priced in the epoch in which it was measured, rounded as a bill and a feed-in are (down).
*With the market* it pays what its bills say, bought energy and wheeling included, less what it sold and fed in; what it
still holds at the end counts at the feed-in price.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

from authority.market.clearing import BASIS_POINTS, WH_PER_KWH

PLACES = 6
SECONDS_PER_HOUR = 3_600

GRID_CO2_G_PER_KWH, GRID_CO2_SOURCE = 380, "Umweltbundesamt, Germany's mix of 2023, an estimate"
"""What simulations and the demonstration take the grid's energy to emit, and who says so."""


@dataclass(frozen=True, slots=True)
class Flow:
    """An interval of a member, or of several together, in Wh."""

    generation: int = 0
    consumption: int = 0
    charge: int = 0
    discharge: int = 0

    def __add__(self, other: Flow) -> Flow:
        return Flow(
            self.generation + other.generation,
            self.consumption + other.consumption,
            self.charge + other.charge,
            self.discharge + other.discharge,
        )

    @property
    def net(self) -> int:
        """What is given to the grid; negative where it is drawn."""
        return self.generation + self.discharge - self.consumption - self.charge

    @property
    def used_locally(self) -> int:
        """Of the consumption, what was generated or came out of a storage."""
        return min(self.consumption, max(0, self.generation - self.charge + self.discharge))


@dataclass(frozen=True, slots=True)
class Balance:
    """Energy over a time, in Wh."""

    generation: int
    consumption: int
    used_locally: int
    imported: int
    exported: int

    @classmethod
    def of(cls, flows: Iterable[Flow]) -> Balance:
        """The balance of intervals, each by itself: what one exports, another does not import."""
        generation = consumption = used = imported = exported = 0
        for flow in flows:
            generation += flow.generation
            consumption += flow.consumption
            used += flow.used_locally
            imported += max(0, -flow.net)
            exported += max(0, flow.net)
        return cls(generation, consumption, used, imported, exported)

    @property
    def self_sufficiency(self) -> float | None:
        """Of what was consumed, the share that was used locally."""
        return share(self.used_locally, self.consumption)

    @property
    def self_consumption(self) -> float | None:
        """Of what was generated, the share that was used locally."""
        return share(self.used_locally, self.generation)


def co2_g(balance: Balance, g_per_kwh: int) -> tuple[int, int]:
    """CO2 of the energy that was drawn from the grid, and avoided, in g rounded down, at so many g per kWh."""
    emitted = balance.imported * g_per_kwh // WH_PER_KWH
    return emitted, balance.consumption * g_per_kwh // WH_PER_KWH - emitted


def share(part: int, whole: int) -> float | None:
    """part / whole; None where there is no whole."""
    return round(part / whole, PLACES) if whole else None


def peak_w(flows: Iterable[Flow], seconds: int, *, imported: bool) -> int:
    """The greatest mean power (W, rounded down) that was imported, or exported, in an interval of so many seconds."""
    sign = -1 if imported else 1
    return max((max(0, sign * flow.net) * SECONDS_PER_HOUR // seconds for flow in flows), default=0)


@dataclass(frozen=True, slots=True)
class Prices:
    """Clearing prices of the epochs that traded, micro-credits per kWh; None where none did."""

    epochs: int
    mean: float | None
    lowest: int | None
    highest: int | None
    deviation: float | None
    mean_step: float | None

    @classmethod
    def of(cls, cleared: Sequence[tuple[int, int]]) -> Prices:
        """Of (price, Wh) of each epoch that traded, in the order of the epochs."""
        if not cleared:
            return cls(0, None, None, None, None, None)
        prices = [price for price, _ in cleared]
        volume = sum(wh for _, wh in cleared)
        count = len(prices)
        # whole numbers up to the last division, so that the order of summing cannot show
        squares = count * sum(price * price for price in prices) - sum(prices) ** 2
        steps = sum(abs(after - before) for before, after in pairwise(prices))
        return cls(
            count,
            round(sum(price * wh for price, wh in cleared) / volume, PLACES),
            min(prices),
            max(prices),
            round(sqrt(squares) / count, PLACES),
            round(steps / (count - 1), PLACES) if count > 1 else None,
        )


def gini(values: Sequence[int]) -> float | None:
    """The Gini coefficient; 0 where all have the same. None where one is negative, or nobody has anything."""
    total = sum(values)
    if total <= 0 or min(values) < 0:
        return None
    ordered = sorted(values)
    count = len(ordered)
    # the sum of |x - y| over all ordered pairs is 2 x the sum of (2 i - n + 1) x_i over the sorted values, i from 0
    pairs = sum((2 * place - count + 1) * value for place, value in enumerate(ordered))
    return round(pairs / (count * total), PLACES)


def without_market(spans: Iterable[tuple[int, int, int, int]]) -> int:
    """What a member would have paid alone, micro-credits, of (withdrawn Wh, surplus Wh, retail, feed-in price) by span.

    Like a bill: all that was drawn at one price is one line, rounded down; so is all that was fed in at one price.
    """
    drawn: dict[int, int] = {}
    given: dict[int, int] = {}
    for withdrawn, surplus, retail, feed_in in spans:
        drawn[retail] = drawn.get(retail, 0) + withdrawn
        given[feed_in] = given.get(feed_in, 0) + surplus
    paid = sum(wh * price // WH_PER_KWH for price, wh in drawn.items())
    return paid - sum(wh * price // WH_PER_KWH for price, wh in given.items())


@dataclass(frozen=True, slots=True)
class Rounding:
    """Thousandths of a micro-credit: what buyers paid too much, sellers got too little, and fees lost."""

    buyers: int = 0
    sellers: int = 0
    fees: int = 0

    def __add__(self, other: Rounding) -> Rounding:
        return Rounding(self.buyers + other.buyers, self.sellers + other.sellers, self.fees + other.fees)


def rounding_of_bid(wh: int, price: int, wheeling: int, paid: int) -> Rounding:
    """Of a filled bid: what was paid (micro-credits) beyond its exact price."""
    return Rounding(buyers=paid * WH_PER_KWH - wh * (price + wheeling))


def rounding_of_ask(wh: int, price: int, fee_bps: int, gross: int, fee: int) -> Rounding:
    """Of a filled ask: what its gross lacks to the exact one, and what the fee lacks to its share of the gross.

    The fee's part is rounded down to whole thousandths.
    """
    lacking = gross * fee_bps * WH_PER_KWH // BASIS_POINTS - fee * WH_PER_KWH
    return Rounding(sellers=wh * price - gross * WH_PER_KWH, fees=lacking)
