"""Standing orders, and the transactions that place orders and may still be on their way."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from authority.store.base import Base, BigInt, Seconds
from authority.store.people import User


class StandingOrderPolicy(Base):
    """A member's standing order: prices in micro-credit per kWh (None: never on that side), reserve in Wh.

    feed_in_above_wh: what is held beyond it is fed in; None: never. While paused_at is set, nothing is placed for it.
    """

    __tablename__ = "standing_orders"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    sell_at: Mapped[BigInt | None]
    buy_at: Mapped[BigInt | None]
    reserve_wh: Mapped[BigInt] = mapped_column(default=0)
    feed_in_above_wh: Mapped[BigInt | None]
    paused_at: Mapped[Seconds | None]
    updated_at: Mapped[Seconds]
    updated_by: Mapped[str] = mapped_column(String(64))
    user: Mapped[User] = relationship()


class PendingTransaction(Base):
    """A signed transaction that must not be signed a second time while the first may still land.

    Most of what settlement sends is refused by the programs when it comes twice; an order is not. purpose says what
    it does (one row each), signature is its first (base58), and after last_valid_block_height it can no longer land;
    until then raw (base64), the transaction as signed, may be sent again, for it lands but once.
    """

    __tablename__ = "pending_transactions"

    purpose: Mapped[str] = mapped_column(String(128), primary_key=True)
    signature: Mapped[str] = mapped_column(String(88))
    last_valid_block_height: Mapped[BigInt]
    raw: Mapped[str]
    sent_at: Mapped[Seconds]
