"""What the department owes its members in money, and ordering its bank to pay that: each thing once.

Owed is what a bill gives the member, what was paid too much of one, and credits that were taken back for money. An
order (`payout_ordered`: wallet, amount, `bill` or `redeemed`, the leaf of the credits' act) stands until the bank's
statement has the transfer, or until it is cancelled (`payout_cancelled`: `order`, its leaf); what an order stands for
is not ordered again. Amounts are micro-credits, above 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from authority.app import App
from authority.billing import bank_accounts, credits, payments
from authority.billing.calendar import local
from authority.billing.errors import (
    AccountMissingError,
    BatchUnknownError,
    FormatUnfitError,
    NothingOwedError,
    OwedOtherwiseError,
)
from authority.billing.money import Currency, reference_of, spaced
from authority.billing.payment_file import CSV, PAIN_001, Order, Transfer, as_csv, pain_001
from authority.home.iban import compact, is_sepa
from authority.log import log
from authority.store.billing import BankAccount, BillingPeriod, BillPayment, CreditEntry, IssuedBill, PayoutOrder
from authority.store.people import User

ORDERED, CANCELLED = "payout_ordered", "payout_cancelled"
ORDERED_SECONDS, LONGEST_KEPT_SECONDS = 30 * 86_400, 400 * 86_400
FORGETS = "settlement"
"""Who forgets accounts in the log: the process that does."""
OTHERWISE = 0
"""The batch of what was paid in another way, such as by hand: it is in no file."""
EURO = "EUR"


@dataclass(frozen=True, slots=True)
class Owed:
    """Something that a member is to be paid: of a bill, or for credits (the leaf of the act that took them back)."""

    wallet: str
    amount: int
    bill: int | None = None
    redeemed: int | None = None
    account: BankAccount | None = None

    @property
    def name(self) -> str:
        """How commands and forms name it: bill-17, credits-5120."""
        return f"bill-{self.bill}" if self.bill is not None else f"credits-{self.redeemed}"


@dataclass(frozen=True, slots=True)
class Batch:
    """What was ordered together: in one file, or as paid in another way (number OTHERWISE)."""

    number: int
    made_at: int
    made_by: str
    count: int
    amount: int
    cancelled: bool


def usual_format(app: App) -> str:
    """The format of the department's bank: pain.001 for euros from an IBAN, else CSV."""
    billing = app.home.settings.billing
    return PAIN_001 if billing.currency == EURO and billing.iban else CSV


# Reading


def owed(session: Session, app: App, period: int | None = None) -> list[Owed]:
    """What is owed and not ordered; of a period, what its bills come to alone. BillingError `currency_unset`."""
    currency = Currency.required(app.home.settings.billing)
    accounts = bank_accounts.by_wallet(session)
    which = [] if period is None else [IssuedBill.period == period]
    found = []
    bills = payments.owed_to_members(session, currency, app.home.network_id, *which)
    standing = _standing(session, [bill.number for bill in bills])
    for bill in bills:
        amount = -bill.left - standing[bill.number]
        if amount > 0:
            found.append(Owed(bill.wallet, amount, bill.number, None, accounts.get(bill.wallet)))
    if period is None:
        entries = select(CreditEntry).where(
            CreditEntry.amount < 0, ~CreditEntry.ordered, CreditEntry.state == credits.LANDED
        )
        for entry in session.scalars(entries.order_by(CreditEntry.log_index)):
            amount = -currency.payable(entry.amount)
            found.append(Owed(entry.wallet, amount, None, entry.log_index, accounts.get(entry.wallet)))
    return found


def _standing(session: Session, bills: Sequence[int]) -> dict[int, int]:
    """What orders stand for, by bill: all of them, less those that a statement has had since."""
    out: dict[int, list[tuple[int, int]]] = defaultdict(list)
    sent = select(BillPayment).where(
        BillPayment.bill.in_(bills), BillPayment.amount < 0, BillPayment.withdrawn_at.is_(None)
    )
    for payment in session.scalars(sent.order_by(BillPayment.log_index)):
        out[payment.bill].append((payment.log_index, -payment.amount))
    found: dict[int, int] = defaultdict(int)
    orders = select(PayoutOrder).where(PayoutOrder.bill.in_(bills), PayoutOrder.cancelled_at.is_(None))
    for order in session.scalars(orders.order_by(PayoutOrder.log_index)):
        bill = int(order.bill or 0)
        done = next((each for each in out[bill] if each[0] > order.log_index and each[1] == order.amount), None)
        if done is None:
            found[bill] += order.amount
        else:
            out[bill].remove(done)
    return found


def batches(session: Session, most: int | None = None) -> list[Batch]:
    """What was ordered, the newest first; what was paid in another way is one batch for each time."""
    query = (
        select(
            PayoutOrder.batch,
            PayoutOrder.made_at,
            PayoutOrder.made_by,
            func.count(),
            func.sum(PayoutOrder.amount),
            func.count(PayoutOrder.cancelled_at),
        )
        .group_by(PayoutOrder.made_at, PayoutOrder.batch, PayoutOrder.made_by)
        .order_by(PayoutOrder.made_at.desc(), PayoutOrder.batch.desc(), PayoutOrder.made_by.desc())
        .limit(most)
    )
    return [
        Batch(batch, at, by, count, int(amount), cancelled == count)
        for batch, at, by, count, amount, cancelled in session.execute(query)
    ]


# Acting


def forget_former(app: App) -> int:
    """Forget the accounts of members who left and are owed nothing any more; how many. Logged, as any forgetting is.

    An account stays while the bill of the time in which its member left is to come, while something is owed, and for
    ORDERED_SECONDS after a file was made to it, in case the bank never got that; never for longer than
    LONGEST_KEPT_SECONDS.
    """
    former = select(User).join(BankAccount, BankAccount.member_id == User.id).where(User.left_at.is_not(None))
    with app.store.read() as session:
        gone = _paid_out(app, session, list(session.scalars(former.order_by(User.id))))
    return sum(bank_accounts.remove(app, user.id, actor=FORGETS) for user in gone)


def is_done_with(app: App, user: User) -> bool:
    """Whether a member who left and the department owe each other nothing any more, so that nobody need be known.

    As for its account; and its bills are paid, where they are paid by bank.
    """
    with app.store.read() as session:
        if not _paid_out(app, session, [user]):
            return False
        if (user.left_at or 0) + LONGEST_KEPT_SECONDS <= app.clock():
            return True
        currency = Currency.of(app.home.settings.billing)
        if not currency.code:
            return True
        its = payments.paid_bills(session, currency, app.home.network_id, IssuedBill.wallet == user.wallet)
        return all(each.state in payments.SETTLED for each in its)


def _paid_out(app: App, session: Session, former: Sequence[User]) -> list[User]:
    """Of members who left, those who are owed nothing, and whose last bill is issued; or who left long ago."""
    if not former:
        return []
    now, seconds = app.clock(), app.home.settings.epoch.seconds
    known = Currency.of(app.home.settings.billing).code
    owing = {each.wallet for each in owed(session, app)} if known else set()
    lately = PayoutOrder.cancelled_at.is_(None) & (PayoutOrder.made_at > now - ORDERED_SECONDS)
    owing |= set(session.scalars(select(PayoutOrder.wallet).where(lately)))
    ends = select(func.max(BillingPeriod.end_epoch)).where(BillingPeriod.issued_at.is_not(None))
    billed_until = (session.scalar(ends) or 0) * seconds
    return [
        user
        for user in former
        if user.left_at is not None
        and ((user.left_at < billed_until and user.wallet not in owing) or user.left_at + LONGEST_KEPT_SECONDS <= now)
    ]


def order(
    app: App, chosen: Iterable[tuple[str, int]] | None = None, *, period: int | None = None, otherwise: bool = False,
    form: str | None = None, actor: str,
) -> int:  # fmt: skip
    """Order what is owed to be paid, or say that it was paid in another way; the batch. Logged.

    chosen: (name, amount) of each, which has to be owed just so; None: everything that the file can have. form: of the
    file. BillingErrors `owed_otherwise`, `account_missing`, `format_unfit`, `nothing_owed`, `currency_unset`.
    """
    form = form or usual_format(app)
    with app.store.write() as session:
        log.lock(session)
        found = {each.name: each for each in owed(session, app, period)}
        if chosen is None:
            some = [each for each in found.values() if otherwise or _unfit(each, form) is None]
        else:
            some = []
            for name, amount in dict(chosen).items():
                if name not in found or found[name].amount != amount:
                    raise OwedOtherwiseError(f"{name} is not owed, or in another amount: look at it again")
                some.append(found[name])
        if not some:
            raise NothingOwedError("nothing is owed that could be paid: authority billing payouts owed")
        if not otherwise:
            _department(app, form)
            for each in some:
                wrong = _unfit(each, form)
                if wrong is not None:
                    raise wrong
        now = app.clock()
        batch = OTHERWISE if otherwise else 1 + (session.scalar(select(func.max(PayoutOrder.batch))) or 0)
        acts = []
        for each in some:
            about = {"bill": each.bill} if each.bill is not None else {"redeemed": each.redeemed}
            acts.append((ORDERED, {"amount": each.amount, "wallet": each.wallet, **about}))
        for each, index in zip(some, log.record_acts(session, acts, actor, now), strict=True):
            session.add(
                PayoutOrder(
                    batch=batch, bill=each.bill, redeemed=each.redeemed, wallet=each.wallet, amount=each.amount,
                    made_at=now, made_by=actor, log_index=index, cancelled_at=None,
                )
            )  # fmt: skip
        _mark_ordered(session, [each.redeemed for each in some], ordered=True)
        return batch


def cancel(app: App, batch: int, *, actor: str) -> int:
    """Take back a batch whose file the bank never got: it is owed again; how many orders. Logged.

    BillingError `batch_unknown`.
    """
    with app.store.write() as session:
        log.lock(session)
        rows = _rows(session, batch)
        now, taken = app.clock(), [row for row in rows if row.cancelled_at is None]
        log.record_acts(session, [(CANCELLED, {"order": row.log_index}) for row in taken], actor, now)
        for row in taken:
            row.cancelled_at = now
        _mark_ordered(session, [row.redeemed for row in taken], ordered=False)
        return len(taken)


def _mark_ordered(session: Session, redeemed: Iterable[int | None], *, ordered: bool) -> None:
    """Keep with the credits that were taken back (the leaves of their acts) whether they are ordered to be paid."""
    leaves = [leaf for leaf in redeemed if leaf is not None]
    session.execute(update(CreditEntry).where(CreditEntry.log_index.in_(leaves)).values(ordered=ordered))


def file_of(app: App, batch: int, form: str | None = None) -> tuple[bytes, str]:
    """The file of a batch, to the accounts as they are now, and its format.

    BillingErrors `batch_unknown`, `account_missing`, `format_unfit`, `currency_unset`.
    """
    form = form or usual_format(app)
    _department(app, form)
    settings, currency = app.home.settings, Currency.required(app.home.settings.billing)
    transfers = []
    with app.store.read() as session:
        rows = [row for row in _rows(session, batch) if row.cancelled_at is None]
        if not rows:
            raise BatchUnknownError(f"batch {batch} was cancelled, and has no file")
        accounts = bank_accounts.by_wallet(session)
        for row in rows:
            each = Owed(row.wallet, row.amount, row.bill, row.redeemed, accounts.get(row.wallet))
            wrong = _unfit(each, form)
            if wrong is not None or each.account is None:
                raise wrong or AccountMissingError(each.name)
            reference, purpose = f"CREDITS-{row.redeemed}", f"Campus credits paid out, {row.redeemed}"
            if row.bill is not None:
                reference = reference_of(app.home.network_id, row.bill)
                purpose = f"{spaced(reference)} energy bill {row.bill}"
            account = each.account
            transfers.append(Transfer(reference, account.holder, account.number, account.bank, row.amount, purpose))
    made_at = rows[0].made_at
    on = local(made_at, ZoneInfo(settings.site.zone)).date()
    id = f"CAMPUS-{app.home.network_id.hex()[:8].upper()}-{batch}"
    debtor, billing = settings.network.organisation, settings.billing
    made = Order(id, made_at, on, debtor, compact(billing.iban), billing.bic, currency, transfers)
    return (pain_001(made) if form == PAIN_001 else as_csv(made)), form


def _rows(session: Session, batch: int) -> list[PayoutOrder]:
    rows = session.scalars(select(PayoutOrder).where(PayoutOrder.batch == batch).order_by(PayoutOrder.log_index)).all()
    if batch == OTHERWISE or not rows:
        raise BatchUnknownError(f"there is no payment file {batch}")
    return list(rows)


def _department(app: App, form: str) -> None:
    """FormatUnfitError where the department's own part of a file is missing."""
    billing = app.home.settings.billing
    if form == PAIN_001 and billing.currency != EURO:
        raise FormatUnfitError("pain.001 is for euros here; take the CSV file")
    if form == PAIN_001 and not billing.iban:
        raise FormatUnfitError("say from which account the department pays: iban under [billing]; or take the CSV file")


def _unfit(each: Owed, form: str) -> AccountMissingError | FormatUnfitError | None:
    """Why something that is owed cannot be in a file of this format."""
    if each.account is None:
        return AccountMissingError(
            f"{each.name}: this member has named no bank account: authority billing payouts account"
        )
    if form == PAIN_001 and not is_sepa(each.account.number):
        return FormatUnfitError(f"{each.name}: SEPA does not reach this member's account; take the CSV file")
    return None
