"""Standing orders, orders and transfers by hand, and the transactions of these that may still be on their way."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from authority.store.base import Base, BigInt, Name, Seconds
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


class ShownBook(Base):
    """What was last shown of an epoch's open book, to anybody (authority.market.open_book), and when it was taken.

    orders are packed, and no evidence: the chain's book is.
    """

    __tablename__ = "shown_books"

    epoch: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    taken_at: Mapped[Seconds]
    orders: Mapped[bytes]


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


_OPEN = text("state IN ('waiting', 'sent')")
_UNDECIDED = text("state IN ('waiting', 'going', 'sent')")


class HandOrderRow(Base):
    """An order that a member gives by hand, or takes back (act), in an epoch's book (authority.market.hand_orders).

    request_key makes it one of its member's own. number is the order's in the book, of one that is taken back. state is
    waiting, sent (signature is its transaction's, base58), done or refused (told says why).
    """

    __tablename__ = "hand_orders"
    __table_args__ = (
        UniqueConstraint("user_id", "request_key"),
        Index("ix_hand_orders_user_id_epoch_id", "user_id", "epoch", "id"),
        Index("ix_hand_orders_open", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    request_key: Mapped[str] = mapped_column(String(64))
    act: Mapped[Name]
    epoch: Mapped[BigInt]
    side: Mapped[int]
    price: Mapped[BigInt]
    quantity: Mapped[BigInt]
    number: Mapped[BigInt | None]
    state: Mapped[Name]
    told: Mapped[str] = mapped_column(default="")
    signature: Mapped[str | None] = mapped_column(String(88))
    asked_at: Mapped[Seconds]


HAND_ORDER_OPEN = HandOrderRow.state.in_((literal_column("'waiting'"), literal_column("'sent'")))
"""What settlement has still to do, or to look after: in the words of the index that holds it alone."""


class TransferRow(Base):
    """Tokens that a member whose wallet is in custody moves by hand (authority.market.transfers).

    act is deposit (wallet to market), withdraw (market to wallet) or give (to to_user_id); asset is energy (Wh) or
    credit (micro-credits). request_key makes it one of its member's own. goes_at is when it may no longer be taken
    back (Unix seconds). state is waiting, going, sent (signature is its transaction's, base58), done, refused (told
    says why) or taken_back.
    """

    __tablename__ = "transfers"
    __table_args__ = (
        UniqueConstraint("user_id", "request_key"),
        Index("ix_transfers_user_id_id", "user_id", "id"),
        Index("ix_transfers_to_user_id_id", "to_user_id", "id"),
        Index("ix_transfers_open", "id", sqlite_where=_UNDECIDED, postgresql_where=_UNDECIDED),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    to_user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    request_key: Mapped[str] = mapped_column(String(64))
    act: Mapped[Name]
    asset: Mapped[Name]
    amount: Mapped[BigInt]
    state: Mapped[Name]
    told: Mapped[str] = mapped_column(default="")
    signature: Mapped[str | None] = mapped_column(String(88))
    asked_at: Mapped[Seconds]
    goes_at: Mapped[Seconds]


TRANSFER_OPEN = TransferRow.state.in_(
    (literal_column("'waiting'"), literal_column("'going'"), literal_column("'sent'"))
)
"""What settlement has still to do, or to look after: in the words of the index that holds it alone."""


class MemberCode(Base):
    """What a member's QR code says in the place of its name: random, so that nobody finds a member by trying."""

    __tablename__ = "member_codes"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    code: Mapped[str] = mapped_column(String(32), unique=True)
    made_at: Mapped[Seconds]
