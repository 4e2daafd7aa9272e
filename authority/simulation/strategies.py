"""A member's strategy of somebody's own: a function that is asked once in each epoch what to order.

    from authority.simulation.strategies import Buy, Sell, View

    def trade(view: View) -> list[Buy | Sell]:
        return [Sell(price=150_000, wh=view.held_wh)] if view.held_wh else []

It is asked at the beginning of the epoch, when the last one is read, cleared and paid, and its orders are for this
epoch's book alone. Between two calls it keeps nothing but `view.memory`. Energy is in Wh, prices in micro-credits per
kWh, money in micro-credits, times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from authority.simulation.own_code import OwnFunction


@dataclass(frozen=True, slots=True)
class Buy:
    """An order to buy, at most at a price; wheeling comes on top of it."""

    price: int
    wh: int


@dataclass(frozen=True, slots=True)
class Sell:
    """An order to sell, at least at a price; the fee goes off it."""

    price: int
    wh: int


Order = Buy | Sell


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for this epoch's book: prices, the fee in basis points, and the sizes and the number of orders."""

    feed_in: int
    retail: int
    wheeling: int
    fee_bps: int
    min_wh: int
    max_wh: int
    most_orders: int


@dataclass(frozen=True, slots=True)
class Past:
    """An epoch that is over: what everybody may know of it, and what it was to this member.

    price: None where nobody traded or the book is not cleared yet. bought_wh and sold_wh are this member's.
    given_wh and drawn_wh: the surplus that was minted for it and what it drew, settled since it was asked before; where
    readings come late they are 0, and the energy is in a later epoch.
    """

    epoch: int
    price: int | None
    volume_wh: int
    bought_wh: int
    sold_wh: int
    given_wh: int
    drawn_wh: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an order of the epoch before: whether the market took it, and what it said where it did not."""

    order: Order
    taken: bool
    told: str


@dataclass(frozen=True, slots=True)
class View:
    """All that a strategy is shown: its own member, and what is public.

    start: when the epoch begins; seconds: how long it is. held_wh and credit can be ordered with. need_wh: what it drew
    and is not covered yet, which it is billed at retail where it stays so. past: the last week's epochs, the oldest
    first. answers: of its orders in the epoch before. options: the scenario's. memory: what it left there in its last
    call, as JSON; change it in place. random: a generator of this member and epoch, out of the simulation's seed.
    """

    member: str
    epoch: int
    start: int
    seconds: int
    terms: Terms
    held_wh: int
    need_wh: int
    credit: int
    past: tuple[Past, ...]
    answers: tuple[Answer, ...]
    options: Mapping[str, Any]
    memory: dict[str, Any]
    random: Random


Decide = Callable[[View], Iterable[Order]]


@dataclass(frozen=True)
class Strategy:
    """A member's strategy as the scenario names it, with its options; without a function, an agent from outside."""

    member: str
    function: OwnFunction | None
    options: Mapping[str, Any] = field(default_factory=dict)
