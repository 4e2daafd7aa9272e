"""Compute units of the trading program's operations in LiteSVM, without the compute-budget instruction's own.

The worst cases are sought: full sides, all prices alike, an order that is displaced, a delegate, a member whose own
orders lie on the other side where they might be crossed.

`python trading_units.py` prints them as JSON. tests/benchmarks/compute_units.py reports them with the other programs'.
"""

from __future__ import annotations

import json

from campus import EPOCH_SECONDS, Outcome, key
from trading_world import ASK, BID, CREDIT, ENERGY, EPOCH, MARKET, SIDE, Member, Order, TradingWorld

from authority.chain import programs

COMPUTE_BUDGET_UNITS = 150
END = (EPOCH + 1) * EPOCH_SECONDS
LARGEST = 4_096
BID_PRICE, ASK_PRICE = 100_000, 200_000
CANCELLED = (0, 1, 100)
"""Places of orders that are cancelled: the dearest to take out is at the best end, for all that follow move up."""


def units(outcome: Outcome, instructions: int = 1) -> int:
    """What the trading program used."""
    return outcome.compute_units - COMPUTE_BUDGET_UNITS * instructions


def rest(
    world: TradingWorld, bids: int, asks: int, *, alike: bool = False, members: int = 16, epoch: int = EPOCH
) -> None:
    """Put orders into an open book: bids from 100,000 down and asks from 200,000 up, or each side at one price."""
    while len(world.members) < members:
        world.member()
    step = 0 if alike else 1
    world.fill_book(
        [Order(BID_PRICE - step * n, n, 100 + n, 0, n % members) for n in range(bids)],
        [Order(ASK_PRICE + step * n, bids + n, 100 + n, 0, n % members) for n in range(asks)],
        epoch,
    )


def market(bids: int, asks: int, *, alike: bool = False, side: int = SIDE) -> tuple[TradingWorld, Member]:
    """A market with so many orders, and a newcomer with a delegate."""
    world = TradingWorld(parameters={"max_orders_per_member": 64}, orders_per_side=side)
    world.open()
    rest(world, bids, asks, alike=alike)
    return world, world.member(delegate=key("delegate").pubkey(), delegate_until=END)


def by_delegate(world: TradingWorld, member: Member, side: int, price: int, quantity: int = 500) -> int:
    """An order by the member's delegate."""
    return units(world.place(member, side, price, quantity, authority=key("delegate").pubkey()))


def hem_in(world: TradingWorld, member: Member, epoch: int = EPOCH) -> None:
    """Let a member's seat not rule out that any order crosses one of its own, so that the other side is searched.

    As after an order that would be crossed was cancelled, while another one rests.
    """
    seats = world.seats()
    seat = seats[member.index]
    seat.epoch, seat.bids, seat.asks, seat.highest_bid, seat.lowest_ask = epoch, 1, 1, ASK_PRICE, BID_PRICE
    world.put_seats(seats)


def place_worst(side: int = SIDE) -> int:
    """A delegate's order that displaces the worst of a full side, all prices alike; the other side is searched."""
    found = []
    for mine, price in ((BID, ASK_PRICE), (ASK, BID_PRICE)):
        world, newcomer = market(side, side, alike=True, side=side)
        hem_in(world, newcomer)
        found.append(by_delegate(world, newcomer, mine, price))
    return max(found)


def cancel_worst(side: int = SIDE) -> int:
    """A delegate's cancelling of some of a full side's orders, all prices alike; the dearest of them."""
    world, _ = market(side, side, alike=True, side=side)
    delegate = key("delegate").pubkey()
    for member in world.members:
        world.update_member(member, delegate=delegate, delegate_until=END)
    found = []
    for place in (*CANCELLED, side // 3, side // 2, side - 9):
        for kind in (BID, ASK):
            book = world.book()
            order = (book.bids if kind == BID else book.asks)[place]
            owner = world.members[order.member]
            found.append(units(world.cancel(owner, kind, order.price, order.number, authority=delegate)))
    return max(found)


def worst_to_clear(world: TradingWorld, side: int = SIDE, epoch: int = EPOCH) -> None:
    """A full book at one price, of equal quantities on the long side: all its remainders are equal.

    Each pass of the selection then counts every order, and half of them get one Wh more.
    """
    world.open(epoch)
    while len(world.members) < 32:
        world.member(energy=0, credits_=0)
    bids = [Order(150_000, n, 999_999, 0, n % 16) for n in range(side)]
    asks = [Order(150_000, side + n, 900_000 + (n < side // 2), 0, 16 + n % 16) for n in range(side)]
    world.fill_book(bids, asks, epoch)


def clear_and_pay_worst(side: int = SIDE) -> int:
    """Clearing and paying the worst book, in one transaction."""
    world = TradingWorld(orders_per_side=side)
    worst_to_clear(world, side)
    world.set_time(END)
    outcome = world.clear()
    assert outcome.event("EpochSettled")["orders"] == 2 * side
    world.check()
    return units(outcome)


def open_again() -> int:
    """Opening a book whose place a full one held: its hash is compared."""
    world = TradingWorld()
    worst_to_clear(world)
    world.set_time(END)
    world.clear()
    world.put_checkpoint()
    world.set_time((EPOCH + programs.BOOKS) * EPOCH_SECONDS)
    return units(world.open(EPOCH + programs.BOOKS))


def measure() -> dict[str, int]:
    """Compute units by operation."""
    found: dict[str, int] = {}
    world, newcomer = market(0, 0)
    found["place_empty"] = units(world.place(newcomer, BID, BID_PRICE, 500))
    world, newcomer = market(SIDE - 1, SIDE)
    found["place_best"] = units(world.place(newcomer, BID, 150_000, 500))
    found["cancel_best"] = units(world.cancel(newcomer, BID, 150_000, 2 * SIDE - 1))
    found["place_last"] = units(world.place(newcomer, BID, 60_000, 500))
    world, newcomer = market(SIDE, SIDE)
    found["place_best_evicting"] = by_delegate(world, newcomer, BID, 150_000)
    found["place_worst"] = place_worst()
    found["cancel_worst"] = cancel_worst()
    found["clear_and_pay_per_order"] = -(-clear_and_pay_worst() // (2 * SIDE))
    found["place_worst_of_4096"] = place_worst(LARGEST)
    found["cancel_worst_of_4096"] = cancel_worst(LARGEST)
    found["clear_and_pay_4096_and_4096"] = clear_and_pay_worst(LARGEST)
    world = TradingWorld()
    found["open"] = units(world.open())
    member = world.member(deposit=False)
    found["deposit"] = units(world.deposit(member, CREDIT, 1_000))
    found["withdraw"] = units(world.withdraw(member, CREDIT, 1_000))
    world.put_tokens(
        member.energy_account, world.token_accounts[member.energy_account], member.wallet.pubkey(), 500, delegate=MARKET
    )
    world.update_member(member, delegate=key("delegate").pubkey(), delegate_until=END)
    found["deposit_by_delegate"] = units(world.deposit(member, ENERGY, 100, authority=key("delegate").pubkey()))
    found["open_again"] = open_again()
    return found


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
