"""Compute units of the trading program's operations in LiteSVM, without the compute-budget instruction's own.

`python trading_units.py` prints them as JSON. tests/benchmarks/compute_units.py reports them with the other programs'.
"""

from __future__ import annotations

import json

from campus import EPOCH_SECONDS, Outcome
from trading_world import (
    ASK,
    BID,
    CREDIT_MINT,
    CREDIT_VAULT,
    ENERGY_MINT,
    ENERGY_VAULT,
    EPOCH,
    MARKET,
    SIDE,
    Member,
    TradingWorld,
)

COMPUTE_BUDGET_UNITS = 150
END = (EPOCH + 1) * EPOCH_SECONDS
SETTLED_TOGETHER = 18
"""Orders of different members in the largest settlement: 3 accounts each, of the 64 that a transaction may lock."""


def units(outcome: Outcome, instructions: int = 1) -> int:
    """What the trading program used."""
    return outcome.compute_units - COMPUTE_BUDGET_UNITS * instructions


def resting(world: TradingWorld, *, bids: int = 0, asks: int = 0, members: int = 16) -> None:
    """Put a book of so many orders in place, with its escrow: bids from 100,000 down, asks from 200,000 up."""
    while len(world.members) < members:
        world.member()
    book = world.book()
    escrow = {BID: 0, ASK: 0}
    for side, name, count in ((BID, "bid", bids), (ASK, "ask", asks)):
        orders = []
        for number in range(count):
            price = 100_000 - number if side == BID else 200_000 + number
            member = number % members
            orders.append({"price": price, "quantity": 100 + number, "filled": 0, "member": member})
            book.fields[f"{name}_members"][member % 256] += 1
            escrow[side] += 100 + number if side == ASK else -(-(100 + number) * (price + 20_000) // 1000)
        book.fields[f"{name}s"][:count] = orders
        book.fields |= {f"{name}_count": count, f"{name}_quantity": sum(order["quantity"] for order in orders)}
    book.fields |= {"credit_escrow": escrow[BID], "energy_escrow": escrow[ASK]}
    world.put_book(EPOCH, book)
    world.put_tokens(CREDIT_VAULT, CREDIT_MINT, MARKET, escrow[BID])
    world.put_tokens(ENERGY_VAULT, ENERGY_MINT, MARKET, escrow[ASK])


def market(**book: int) -> tuple[TradingWorld, Member]:
    """A market whose members may have many orders, and a newcomer to it."""
    world = TradingWorld(parameters={"max_orders_per_member": 64})
    world.open()
    resting(world, **book)
    return world, world.member()


def worst_to_clear(world: TradingWorld, epoch: int = EPOCH) -> None:
    """A full book at one price, the long side's shares all rounded: every pass over every order."""
    world.open(epoch)
    book = world.book(epoch)
    for name, base in (("bid", 65_537), ("ask", 61_001)):
        orders = [
            {"price": 150_000, "quantity": base + 257 * n, "filled": 0, "member": n % 16 + 16 * (name == "ask")}
            for n in range(SIDE)
        ]
        book.fields[f"{name}s"] = orders
        book.fields |= {f"{name}_count": SIDE, f"{name}_quantity": sum(order["quantity"] for order in orders)}
    book.fields |= {"credit_escrow": 1, "energy_escrow": book.fields["ask_quantity"]}
    world.put_book(epoch, book)


def cleared(world: TradingWorld, orders: int, epoch: int = EPOCH) -> None:
    """A cleared book with that many orders of as many members, part-filled, so that each gets both tokens."""
    world.open(epoch)
    for number in range(orders):
        side = BID if number % 2 else ASK
        price, quantity = (200_000, 1_000) if side == BID else (100_000, 1_100)
        world.place(world.member(), side, price, quantity, epoch=epoch)
    world.set_time((epoch + 1) * EPOCH_SECONDS)
    world.clear(epoch)


def clear_worst() -> int:
    """Clearing of the worst book."""
    world = TradingWorld()
    worst_to_clear(world)
    world.set_time(END)
    return units(world.clear())


def settle(orders: int) -> int:
    """A transaction that settles that many orders of as many members."""
    world = TradingWorld()
    cleared(world, orders)
    return units(world.settle(*world.book().numbers()))


def measure() -> dict[str, int]:
    """Compute units by operation; `*_order` figures are a transaction's, divided by its orders."""
    found: dict[str, int] = {}
    world, newcomer = market()
    found["place_empty"] = units(world.place(newcomer, BID, 100_000, 500))
    world, newcomer = market(bids=SIDE - 1, asks=SIDE)
    found["place_best"] = units(world.place(newcomer, BID, 150_000, 500))
    found["cancel"] = units(world.cancel(newcomer, BID, 150_000, 500))
    found["place_last"] = units(world.place(newcomer, BID, 60_000, 500))
    found["cancel_last"] = units(world.cancel(newcomer, BID, 60_000, 500))
    world, newcomer = market(bids=SIDE, asks=SIDE)
    evictee = world.members[world.book().bids[-1].member]
    found["place_best_evicting"] = units(world.place(newcomer, BID, 150_000, 500, evict=evictee))
    evictee = world.members[world.book().bids[-1].member]
    found["place_worst"] = units(world.place(newcomer, BID, 100_000 - 509, 500, evict=evictee))
    # The worst that a member can meet: its bucket is over its cap, so that both sides are searched.
    world, newcomer = market(bids=SIDE, asks=SIDE)
    book = world.book()
    book.fields["bid_members"][newcomer.index] = 64
    book.fields["ask_members"][newcomer.index] = 64
    world.put_book(EPOCH, book)
    evictee = world.members[world.book().bids[-1].member]
    found["place_worst_searching"] = units(world.place(newcomer, BID, 100_000 - 509, 500, evict=evictee))
    found["clear_per_order"] = clear_worst() // (2 * SIDE)
    found["settle_one"] = settle(1)
    found["settle_order"] = settle(SETTLED_TOGETHER) // SETTLED_TOGETHER
    world = TradingWorld()
    found["open_and_grow"] = units(world.open())
    return found


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
