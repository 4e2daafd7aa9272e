"""The trading program's accounts as bytes: heads by the IDL, and behind them the seats and orders, which it lacks."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from campus import idl

BID, ASK = 0, 1
ENERGY, CREDIT = 0, 1
GROWING, VACANT, OPEN, CLEARING, REFUNDING, FINAL = range(6)
ORDER, SEAT = struct.Struct("<5I"), struct.Struct("<QQIHHIIB7x")
STEP = 10_240
"""Bytes that one instruction may add to an account."""
SEATS_PER_STEP = 250


def zero(program: str, account: str) -> dict[str, Any]:
    """An account type's fields, all zero: a template for placing one."""
    discriminator = idl(program).account_discriminator(account)
    return idl(program).decode_account(discriminator + bytes(20_000))[1]


@cache
def head_size(account: str) -> int:
    """Bytes of one of the trading program's account types as its IDL has it, discriminator included."""
    value = zero("trading", account)
    return len(idl("trading").encode_account(account, value))


def book_space(orders_per_side: int) -> int:
    """Bytes of a book of so many orders a side."""
    return head_size("EpochBook") + 2 * ORDER.size * orders_per_side


@dataclass(frozen=True)
class Order:
    """One of a book's orders."""

    price: int
    number: int
    quantity: int
    filled: int
    member: int

    def to_bytes(self) -> bytes:
        """As it lies in the book."""
        return ORDER.pack(self.price, self.number, self.quantity, self.filled, self.member)


@dataclass
class Seat:
    """A member's seat."""

    energy: int
    credit: int
    epoch: int = 0
    bids: int = 0
    asks: int = 0
    highest_bid: int = 0
    lowest_ask: int = 0
    payout: int = 0

    def to_bytes(self) -> bytes:
        """As it lies in the account."""
        return SEAT.pack(*(getattr(self, name) for name in self.__dataclass_fields__))


class Book:
    """A book as it is on the chain."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields of its head."""
        return idl("trading").decode_account(self.data)[1]

    @property
    def status(self) -> int:
        """Where it stands."""
        return int(self.fields["status"])

    @cached_property
    def bids(self) -> list[Order]:
        """The bids, best first."""
        return self._side(0, self.fields["bid_count"])

    @cached_property
    def asks(self) -> list[Order]:
        """The asks, best first."""
        return self._side(self.fields["capacity"], self.fields["ask_count"])

    def _side(self, first: int, count: int) -> list[Order]:
        at = head_size("EpochBook") + ORDER.size * first
        return [Order(*values) for values in ORDER.iter_unpack(self.data[at : at + ORDER.size * count])]

    def put(self, bids: Sequence[Order] | None = None, asks: Sequence[Order] | None = None) -> None:
        """Give it these orders: counts, quantities and what they lock follow; `filled` and numbers are as given."""
        self.bids, self.asks = list(bids or ()), list(asks or ())
        self.fields |= {
            "bid_count": len(self.bids),
            "ask_count": len(self.asks),
            "bid_quantity": sum(order.quantity for order in self.bids),
            "ask_quantity": sum(order.quantity for order in self.asks),
            "credit_locked": sum(self.locks(BID, order) for order in self.bids),
            "energy_locked": sum(order.quantity for order in self.asks),
            "next_number": max((order.number + 1 for order in [*self.bids, *self.asks]), default=0),
        }

    def locks(self, side: int, order: Order) -> int:
        """What an order locks."""
        if side == ASK:
            return order.quantity
        return -(-order.quantity * (order.price + int(self.fields["wheeling"])) // 1_000)

    def to_bytes(self) -> bytes:
        """The account's data, with its fields and orders written anew."""
        out = bytearray(self.data)
        head = idl("trading").encode_account("EpochBook", self.fields)
        out[: len(head)] = head
        for first, orders in ((0, self.bids), (self.fields["capacity"], self.asks)):
            at = len(head) + ORDER.size * first
            packed = b"".join(order.to_bytes() for order in orders)
            out[at : at + len(packed)] = packed
        return bytes(out)

    def leaf(self) -> bytes:
        """What of it is hashed: its head, its bids and its asks."""
        head = self.data[: head_size("EpochBook")]
        return head + b"".join(order.to_bytes() for order in [*self.bids, *self.asks])

    def hash(self) -> bytes:
        """What a checkpoint pins."""
        return hashlib.sha256(self.leaf()).digest()
