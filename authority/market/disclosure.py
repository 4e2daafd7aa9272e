"""What of the market everybody may be told: no figure is of fewer than three members who keep to themselves.

Two members who trade with each other would read each other's energy in a public sum, and a neighbour would read it in
the sum of one. So a sum is told where none of its members keeps to itself, or at least LEAST_MEMBERS do. Members whose
figures are public (User.public) do not count: theirs are shown anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

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
