"""What of the market everybody may be told: no figure is of fewer than three members who keep to themselves.

Two members who trade with each other would read each other's energy in a public sum, and a neighbour would read it in
the sum of one. So a sum is told where none of its members keeps to itself, or at least LEAST_MEMBERS do. Members whose
figures are public (User.public) do not count: theirs are shown anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

LEAST_MEMBERS = 3
"""With three, none of them can take its own part away and read another's."""


def may_tell(members: Iterable[int], public: Collection[int]) -> bool:
    """Whether a sum over these members (indexes of the registry) may be told."""
    private = {member for member in members if member not in public}
    return not private or len(private) >= LEAST_MEMBERS


@dataclass(frozen=True, slots=True)
class PriceStep:
    """Orders of one side together: their limits, micro-credit per kWh, and their energy, Wh."""

    lowest_price: int
    highest_price: int
    quantity_wh: int


@dataclass(slots=True)
class _Group:
    prices: list[int] = field(default_factory=list)
    quantity: int = 0
    members: set[int] = field(default_factory=set)

    def add(self, price: int, quantity: int, members: Iterable[int]) -> None:
        self.prices.append(price)
        self.quantity += quantity
        self.members.update(members)


def depth(orders: Iterable[tuple[int, int, int]], public: Collection[int]) -> tuple[PriceStep, ...] | None:
    """One side of a book as sums by price, from the best price on; None where it may not be told.

    Orders are (price, Wh, member), the best first. Neighbouring prices are put together until each sum may be told.
    """
    groups: list[_Group] = []
    for price, quantity, member in orders:
        if not groups or (groups[-1].prices[-1] != price and may_tell(groups[-1].members, public)):
            groups.append(_Group())
        groups[-1].add(price, quantity, (member,))
    while groups and not may_tell(groups[-1].members, public):
        last = groups.pop()
        if not groups:
            return None
        groups[-1].add(last.prices[-1], last.quantity, last.members)
    return tuple(PriceStep(min(each.prices), max(each.prices), each.quantity) for each in groups)


class Ordered(Protocol):
    """An order in a book: prices in micro-credit per kWh, quantities in Wh, the member by its index."""

    @property
    def is_bid(self) -> bool:
        """Whether it buys."""

    @property
    def price(self) -> int:
        """Its limit."""

    @property
    def quantity(self) -> int:
        """How much."""

    @property
    def member(self) -> int:
        """Whose it is."""


Side = Mapping[int, Sequence[tuple[int, int]]]


def may_change(before: Sequence[Ordered], after: Sequence[Ordered], public: Collection[int]) -> bool:
    """Whether an open book of which `before` is shown (nothing: no orders) may be shown as `after`.

    On each side all of its members, and those whose orders differ, are enough for a sum, or none.
    """
    for is_bid in (True, False):
        old, new = _side(before, is_bid=is_bid), _side(after, is_bid=is_bid)
        changed = {each for each in old.keys() | new.keys() if old.get(each) != new.get(each)}
        if not (may_tell(new, public) and may_tell(changed, public)):
            return False
    return True


def _side(orders: Iterable[Ordered], *, is_bid: bool) -> Side:
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for order in orders:
        if order.is_bid == is_bid:
            found[order.member].append((order.price, order.quantity))
    return found
