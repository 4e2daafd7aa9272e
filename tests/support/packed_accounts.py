"""Accounts of the programs as bytes, of the fields that a test cares about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from solders.pubkey import Pubkey

from authority.chain import accounts
from authority.chain.accounts import EpochBook, Order
from authority.chain.layout import Code, ProgramAccount

BOOK_IS_FINAL = 5


def packed(kind: type[ProgramAccount], **values: Any) -> bytes:
    """An account's bytes: these fields, and zeros, or the least of a field's codes."""
    flat: list[Any] = []
    for field in fields(kind):  # type: ignore[arg-type]
        codes = getattr(accounts, str(field.type), None)
        least = min(codes) if isinstance(codes, type) and issubclass(codes, Code) else b""
        zero: Any = {"int": 0, "tuple[int, ...]": (0, 0, 0, 0)}.get(str(field.type), least)
        value = values.get(field.name, zero)
        flat += value if isinstance(value, tuple) else [bytes(value) if isinstance(value, Pubkey) else value]
    return kind.DISCRIMINATOR + kind.FORMAT.pack(*flat)


Orders = Sequence[tuple[int, int, int, int]]
"""Limit, Wh, Wh filled, member; the best first."""


def limit_book(epoch: int, price: int, bids: Orders, asks: Orders) -> bytes:
    """A final book of such orders."""
    head = packed(
        EpochBook, status=BOOK_IS_FINAL, epoch=epoch, price=price, retail_price=300_000, feed_in_price=80_000,
        wheeling=20_000, fee_bps=100,
        bid_count=len(bids), ask_count=len(asks), paid=len(bids) + len(asks),
        volume=sum(filled for _, _, filled, _ in asks),
    )  # fmt: skip
    orders = enumerate([*bids, *asks])
    return head + b"".join(Order.FORMAT.pack(limit, n, wh, filled, member) for n, (limit, wh, filled, member) in orders)


def paid_book(epoch: int, price: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> bytes:
    """A final book in which each order, a member's index and Wh, was filled whole at the price."""
    sides = ([(price, wh, wh, member) for member, wh in side] for side in (bids, asks))
    return limit_book(epoch, price, *sides)
