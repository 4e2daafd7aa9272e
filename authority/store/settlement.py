"""What settlement keeps beside the chain: progress and figures of each epoch, spans, lookup tables, acts, alerts.

The chain says what was done. These rows say when, keep the figures of what the chain closes, and are brought up to
date from the chain after a crash.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from authority.store.base import Base, BigInt, Hash, Name, Seconds

EPOCH_STATES = ("collecting", "submitted", "minted", "clearing", "settled", "checkpointed")
"""A settlement epoch's states, in order; each names the last step that is complete (collecting: none yet).

clearing: the book has its price, and its orders are being paid (in one transaction or in several).
"""

ACT_KEY_SIZE = 16


class SettlementEpoch(Base):
    """One epoch on its way: the readings of its end, and its own book.

    Times are Unix milliseconds of the authority's clock when a stage was seen complete. Figures:
    readings_on_chain of the interval that ends with the epoch; bids, asks, traded_wh and clearing_price (micro-credit
    per kWh, None where nothing traded) of its book; book_log_index is the final book's leaf; publishable is whether the
    public may be told its price and volume (None: not judged yet); log_size and log_root are in its checkpoint.
    clearing_signature (base58) is the last transaction by which the department cleared and paid the book.
    """

    __tablename__ = "settlement_epochs"

    epoch: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[Name] = mapped_column(index=True)
    first_seen_ms: Mapped[BigInt]
    opened_ms: Mapped[BigInt | None]
    orders_placed_ms: Mapped[BigInt | None]
    ended_ms: Mapped[BigInt | None]
    submitted_ms: Mapped[BigInt | None]
    minted_ms: Mapped[BigInt | None]
    cleared_ms: Mapped[BigInt | None]
    settled_ms: Mapped[BigInt | None]
    checkpointed_ms: Mapped[BigInt | None]
    readings_on_chain: Mapped[int] = mapped_column(default=0)
    bids: Mapped[int] = mapped_column(default=0)
    asks: Mapped[int] = mapped_column(default=0)
    traded_wh: Mapped[BigInt] = mapped_column(default=0)
    clearing_price: Mapped[BigInt | None]
    book_hash: Mapped[Hash | None]
    book_log_index: Mapped[BigInt | None] = mapped_column(index=True)
    publishable: Mapped[bool | None]
    log_size: Mapped[BigInt | None]
    log_root: Mapped[Hash | None]
    clearing_signature: Mapped[str | None] = mapped_column(String(88))


class SettledSpan(Base):
    """One settle_surplus: the boundary it ended at, and the user's lifetime totals on the chain after it (Wh).

    minted_wh and withdrawal_wh are this span's, as differences to the row before.
    """

    __tablename__ = "settled_spans"
    __table_args__ = (Index("ix_settled_spans_boundary_minted_wh", "boundary", "minted_wh"),)

    wallet: Mapped[str] = mapped_column(String(44), primary_key=True)
    boundary: Mapped[Seconds] = mapped_column(primary_key=True, autoincrement=False)
    minted_wh: Mapped[BigInt]
    withdrawal_wh: Mapped[BigInt]
    lifetime_minted_wh: Mapped[BigInt]
    lifetime_withdrawal_wh: Mapped[BigInt]


class LookupTable(Base):
    """An address lookup table of the operator's."""

    __tablename__ = "lookup_tables"

    address: Mapped[str] = mapped_column(String(44), primary_key=True)
    created_at: Mapped[Seconds]


class LookupEntry(Base):
    """Which table an account's address was put into: a meter's two accounts, a member's three."""

    __tablename__ = "lookup_entries"

    address: Mapped[str] = mapped_column(String(44), primary_key=True)
    table: Mapped[str] = mapped_column("table_address", ForeignKey("lookup_tables.address"), index=True)


class SettlementAct(Base):
    """An act that settlement has put into the log, once for each key, before its transaction was first sent.

    The key is `act_key` of a text that names the act, such as "settle_surplus:BOUNDARY:WALLET".
    """

    __tablename__ = "settlement_acts"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - as SQLAlchemy wants it; else each key is kept twice

    key: Mapped[bytes] = mapped_column(LargeBinary(ACT_KEY_SIZE), primary_key=True)
    log_index: Mapped[BigInt]


def act_key(text: str) -> bytes:
    """The first 16 bytes of a text's SHA-256: texts hold signatures and wallets, and there is a key for every act."""
    return hashlib.sha256(text.encode()).digest()[:ACT_KEY_SIZE]


class Alert(Base):
    """Something that settlement could not do and went on without: one row per cause and subject, with how often.

    subject names what it is about (a meter's record, a user, an epoch); resolved_at is when it went away.
    """

    __tablename__ = "settlement_alerts"

    code: Mapped[Name] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(128), primary_key=True)
    message: Mapped[str]
    first_at: Mapped[Seconds]
    last_at: Mapped[Seconds]
    count: Mapped[int]
    resolved_at: Mapped[Seconds | None]
