"""Bills as they were issued, billing periods that were closed, what of the chain's history they go by, and credits.

Closing, issuing and correcting are acts in the log; these rows are what people look at, and the audit holds them
against it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authority.store.base import Base, BigInt, Hash, LogIndex, Name, Seconds


class ChainEvents(Base):
    """What a transaction logged that bills go by, in the chain's order: kept until it is folded into facts.

    signature is the transaction's (64 bytes), time its block's; events are as authority.billing.history packs them.
    """

    __tablename__ = "billing_chain_events"

    n: Mapped[LogIndex] = mapped_column(primary_key=True)
    signature: Mapped[bytes] = mapped_column(LargeBinary(64), unique=True)
    time: Mapped[Seconds]
    events: Mapped[bytes]


class HistoryCursor(Base):
    """The last transaction of the chain that was looked at (one row)."""

    __tablename__ = "billing_history_cursor"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    signature: Mapped[bytes] = mapped_column(LargeBinary(64))


class FoldedHistory(Base):
    """How far the chain's events are folded into facts (one row): up to and with n; state is the fold's, JSON.

    Events that are folded are not kept but for the last one, which keeps the numbers rising.
    """

    __tablename__ = "billing_fold"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n: Mapped[BigInt]
    state: Mapped[bytes]


class FoldedFacts(Base):
    """What a member drew and retired in a billing period, as one fold found it: packed by authority.billing.folding."""

    __tablename__ = "billing_folded_facts"

    period: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    member_index: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    n: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    withdrawals: Mapped[bytes]
    retirements: Mapped[bytes]


class FoldedCredit(Base):
    """Credits that were issued to a member (micro-credits) or given back (negative), by the chain's events."""

    __tablename__ = "billing_folded_credits"

    n: Mapped[LogIndex] = mapped_column(primary_key=True)
    period: Mapped[BigInt] = mapped_column(index=True)
    member_index: Mapped[BigInt]
    amount: Mapped[BigInt]
    epoch: Mapped[BigInt]
    signature: Mapped[bytes] = mapped_column(LargeBinary(64))


class BillingPeriod(Base):
    """A billing period that was closed: its epochs [first_epoch, end_epoch), the act that closed it, when issued.

    bills and due are the count and the sum (micro-credits) of its issued bills, 0 before.
    """

    __tablename__ = "billing_periods"

    period: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    first_epoch: Mapped[BigInt]
    end_epoch: Mapped[BigInt]
    closed_at: Mapped[Seconds]
    closed_by: Mapped[str] = mapped_column(String(64))
    log_index: Mapped[BigInt]
    issued_at: Mapped[Seconds | None]
    bills: Mapped[BigInt] = mapped_column(default=0)
    due: Mapped[BigInt] = mapped_column(default=0)


def _due(context: Any) -> int:
    """What a bill comes to, of which nothing is paid when it is issued."""
    return int(context.get_current_parameters()["due"])


class IssuedBill(Base):
    """A bill as it was issued, which never changes: canonical JSON, whose SHA-256 is in the leaf at log_index.

    wallet is the member's name on the chain; due is in micro-credits, negative where the member is to be paid.
    left_open is due less what was paid (authority.billing.payments keeps it), and is no part of the bill.
    """

    __tablename__ = "bills"
    __table_args__ = (
        Index("ix_bills_period_wallet", "period", "wallet", unique=True),
        Index("ix_bills_wallet_number", "wallet", "number"),
    )

    number: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    period: Mapped[BigInt]
    wallet: Mapped[str] = mapped_column(String(44))
    document: Mapped[bytes]
    sha256: Mapped[Hash]
    due: Mapped[BigInt]
    log_index: Mapped[BigInt]
    issued_at: Mapped[Seconds]
    left_open: Mapped[BigInt] = mapped_column(default=_due, index=True)


_UNORDERED = text("amount < 0 AND NOT ordered")


class CreditEntry(Base):
    """A top-up or payout of credits, once for each reference of the bank's: amount in micro-credits, negative paid out.

    signature (base58) is the transaction that moves it on the chain; until last_valid_block_height it may still land,
    and raw (base64) may be sent again. state is `sent`, `landed`, or `failed` where it never will; `returning` and
    `returned` are the first two for credits that are taken back and not owed. ordered: a standing payout order pays
    what was taken back.
    """

    __tablename__ = "credit_entries"
    __table_args__ = (
        Index("ix_credit_entries_entered_at_reference", "entered_at", "reference"),
        Index("ix_credit_entries_unordered", "log_index", sqlite_where=_UNORDERED, postgresql_where=_UNORDERED),
    )

    reference: Mapped[str] = mapped_column(String(128), primary_key=True)
    wallet: Mapped[str] = mapped_column(String(44), index=True)
    amount: Mapped[BigInt]
    state: Mapped[Name]
    signature: Mapped[str] = mapped_column(String(88))
    last_valid_block_height: Mapped[BigInt]
    raw: Mapped[str]
    log_index: Mapped[BigInt]
    entered_at: Mapped[Seconds]
    entered_by: Mapped[str] = mapped_column(String(64))
    ordered: Mapped[bool] = mapped_column(default=False)


class CreditRequest(Base):
    """A top-up or payout (negative) that a treasurer asked for on the page, once for a reference of the bank's.

    state is `waiting` until the settlement process has booked it (`booked`, see CreditEntry) or could not (`refused`);
    told says why it waits or was refused.
    """

    __tablename__ = "credit_requests"
    __table_args__ = (Index("ix_credit_requests_state_asked_at_reference", "state", "asked_at", "reference"),)

    reference: Mapped[str] = mapped_column(String(128), primary_key=True)
    wallet: Mapped[str] = mapped_column(String(44))
    amount: Mapped[BigInt]
    state: Mapped[Name]
    told: Mapped[str] = mapped_column(String(300))
    asked_at: Mapped[Seconds]
    asked_by: Mapped[str] = mapped_column(String(64))


class BillMail(Base):
    """A bill's mail to a person, once for each. state: `waiting` to be sent, `sent` (the relay took it) or `failed`.

    next_at: when it is tried (again); error: why the last try failed. Its address is the person's login, and goes with
    the person.
    """

    __tablename__ = "bill_mails"
    __table_args__ = (
        Index("ix_bill_mails_bill_person_id", "bill", "person_id", unique=True),
        Index("ix_bill_mails_state_next_at", "state", "next_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    bill: Mapped[BigInt]
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    state: Mapped[Name]
    asked_at: Mapped[Seconds]
    next_at: Mapped[Seconds]
    tries: Mapped[int]
    sent_at: Mapped[Seconds | None]
    error: Mapped[str] = mapped_column(String(300))


class BillPayment(Base):
    """A payment of a bill that a bank's statement had: micro-credits, negative where the department paid.

    key is SHA-256 of the bank's id of it, or of what its line says, so that no payment counts twice; booked_on is the
    bank's day (YYYY-MM-DD), log_index the act. withdrawn_at: since when it no longer counts for its bill.
    """

    __tablename__ = "bill_payments"
    __table_args__ = (Index("ix_bill_payments_bill_booked_on_log_index", "bill", "booked_on", "log_index"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[Hash] = mapped_column(unique=True)
    bill: Mapped[BigInt]
    amount: Mapped[BigInt]
    booked_on: Mapped[str] = mapped_column(String(10))
    log_index: Mapped[BigInt] = mapped_column(index=True)
    entered_at: Mapped[Seconds]
    entered_by: Mapped[str] = mapped_column(String(64))
    withdrawn_at: Mapped[Seconds | None]


class BankAccount(Base):
    """Where a member is paid: an IBAN, or a number with the bank's code. It goes when the member does.

    bank is a BIC or a code of the country's own; empty where an IBAN says it.
    """

    __tablename__ = "bank_accounts"

    member_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    holder: Mapped[str] = mapped_column(String(70))
    number: Mapped[str] = mapped_column(String(34))
    bank: Mapped[str] = mapped_column(String(11))
    set_at: Mapped[Seconds]
    set_by: Mapped[str] = mapped_column(String(64))


class PayoutOrder(Base):
    """Something that a member is paid, micro-credits: of a bill, or for credits (`redeemed`: the leaf of their act).

    batch numbers the payment file; 0: paid in another way. log_index is the act. No account is kept here.
    """

    __tablename__ = "payout_orders"
    __table_args__ = (Index("ix_payout_orders_made_at_batch_made_by", "made_at", "batch", "made_by"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    batch: Mapped[BigInt] = mapped_column(index=True)
    bill: Mapped[BigInt | None] = mapped_column(index=True)
    redeemed: Mapped[BigInt | None]
    wallet: Mapped[str] = mapped_column(String(44))
    amount: Mapped[BigInt]
    made_at: Mapped[Seconds]
    made_by: Mapped[str] = mapped_column(String(64))
    log_index: Mapped[BigInt]
    cancelled_at: Mapped[Seconds | None]
