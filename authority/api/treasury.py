"""What the treasurer sees and does: periods, what is missing of them, bills, corrections.

It is the same that `authority billing` does, by the same services. Whoever closes or issues says what was looked at
(`seen`, a hash of the bills and of what is missing): where that has changed since, nothing is done.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api.asking import ChainAwayError, asking
from authority.app import App
from authority.billing import credit_requests, credits, export, issuing, mailing, paper, payments, payouts, views
from authority.billing.credit_requests import Bookings
from authority.billing.errors import BillsInMakingError, BillUnknownError, PeriodNotIssuedError, PeriodUnknownError
from authority.billing.issuing import Book, Checklist, Draft, Entered, State
from authority.billing.mailing import Letter
from authority.billing.money import Currency
from authority.billing.payments import PaidBill, Reading
from authority.billing.payouts import Batch, Owed
from authority.billing.views import CLOSED, ENDED, ISSUED, BillSum, Correction, Estimate, Period, Totals
from authority.chain.client import ChainClient
from authority.errors import AuthorityError, MeterUnknownError
from authority.home.settings import NO
from authority.language.reading import marked
from authority.log.nameless import require_nameless
from authority.operations import tickets
from authority.people import dangerous, proposals, reads
from authority.people.roles import Principal
from authority.store import comparisons
from authority.store.billing import BillPayment, IssuedBill
from authority.store.comparisons import BooksComparison
from authority.store.metering import Meter
from authority.store.people import User, user_named
from edge_agent.wire.canonical import canonical_json

BILLS, CREDITS = "bills", "credits"
"""What the log says that was read."""


class ReviewOutdatedError(AuthorityError):
    """What was looked at is not what there is now: look at it again."""

    code = "review_outdated"


class GapsNotAcceptedError(AuthorityError):
    """A period was to be closed though something is missing, which was not accepted."""

    code = "gaps_not_accepted"


@dataclass(frozen=True, slots=True)
class Overview:
    """All periods, the newest first; due: the one that is closed or issued next. Without the chain only closed ones."""

    periods: tuple[Period, ...]
    due: Period | None
    checklist: Checklist | None
    chain_away: bool


@dataclass(frozen=True, slots=True)
class Review:
    """A period's bills, issued or as they would be now, with what they lack; seen stands for all that is shown."""

    period: Period
    checklist: Checklist | None
    bills: tuple[BillSum, ...]
    totals: Totals
    drafts: tuple[Draft, ...]
    seen: str

    @property
    def can_close(self) -> bool:
        """Whether the period can be closed, with gaps or without."""
        return self.checklist is not None and not self.checklist.blocking


@dataclass(frozen=True, slots=True)
class _Bills:
    """A period's bills: a row of each, and what is issued."""

    sums: tuple[BillSum, ...]
    drafts: tuple[Draft, ...]


@dataclass(slots=True, eq=False)
class _Making:
    """Bills that a thread of their own makes: those of a large month take longer than a request may."""

    period: int
    state: State
    made: int = 0
    fault: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class BillView:
    """An issued bill, its document, the corrections that were entered to it since, and what was paid of it."""

    bill: IssuedBill
    document: Mapping[str, Any]
    name: str
    corrections: tuple[Correction, ...]
    standing: PaidBill
    payments: tuple[BillPayment, ...]


PATIENCE_SECONDS = 5.0
"""How long a question waits for bills that are being made."""
ABOVE_LIMIT = marked("credits above the limit")
"""Why such a booking is proposed: the bank's reference, which is not logged, says the rest."""


class Treasury:
    """The treasurer's services over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client = app, client
        self.zone = ZoneInfo(app.home.settings.site.zone)
        self.currency = Currency.of(app.home.settings.billing)
        self._lock = threading.Lock()
        self._making: _Making | None = None
        self._made: tuple[int, State, _Bills] | None = None

    @property
    def epoch_seconds(self) -> int:
        """The length of an epoch."""
        return self._app.home.settings.epoch.seconds

    def names(self) -> dict[str, str]:
        """The members' names by their wallets."""
        with self._app.store.read() as session:
            return views.names(session)

    def disputes(self) -> int:
        """How many disputes of members wait for an answer."""
        with self._app.store.read() as session:
            return len(tickets.waiting(session))

    def note(self, who: Principal, subject: str = reads.EVERYBODY, what: str = BILLS) -> None:
        """Log that bills or credits are read, before they are given out."""
        reads.note(self._app.store, who, what, subject, self._app.clock())

    # Periods

    def compared(self) -> BooksComparison | None:
        """The last comparison of books and chain."""
        with self._app.store.read() as session:
            return comparisons.newest(session)

    def overview(self) -> Overview:
        """All periods and what is due; without the chain those that were closed."""
        known = self._periods(None)
        unissued = [each.period for each in known if each.state == CLOSED]
        next_ = unissued[0] if unissued else max((each.period for each in known), default=-1) + 1
        try:
            with self._book(next_) as book:
                periods = self._periods(book)
                due = next((each for each in periods if each.state in (ENDED, CLOSED)), None)
                waits = due is not None and due.state == ENDED
                checklist = issuing.checklist(self._app, book, next_) if waits else None
        except ChainAwayError:
            return Overview(tuple(reversed(known)), None, None, chain_away=True)
        return Overview(tuple(reversed(periods)), due, checklist, chain_away=False)

    def review(self, period: int) -> Review:
        """A period with its bills. BillingErrors (`period_unknown`); ChainAwayError where it is not issued yet."""
        known = next((each for each in self._periods(None) if each.period == period), None)
        if known is not None and known.state == ISSUED:
            with self._app.store.read() as session:
                issued = views.issued_in(session, period)
                drafts = tuple(Draft(bill.wallet, bill.document, bill.due) for bill in issued)
                return _review(known, None, _Bills(views.sums_of(issued), drafts))
        with self._book(period) as book:
            return self._review(book, period)

    def _review(self, book: Book, period: int) -> Review:
        found = next((each for each in self._periods(book) if each.period == period), None)
        if found is None:
            raise PeriodUnknownError(f"there is no billing period {period}")
        checklist = issuing.checklist(self._app, book, period) if found.state == ENDED else None
        return _review(found, checklist, self._preview(book, period))

    def _preview(self, book: Book, period: int) -> _Bills:
        """A period's bills as they would be now; made once for all who look at them while nothing changes.

        BillsInMakingError where that takes longer than a reader should wait.
        """
        state = issuing.state_of(self._app, book, period)
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self._lock:
                if self._made is not None and self._made[:2] == (period, state):
                    return self._made[2]
                making = self._making
                if making is None:
                    self._made = None  # a month's bills are large: not two of them at once
                    making = self._making = _Making(period, state)
                    threading.Thread(target=self._make, args=(making, book), name="bills", daemon=True).start()
            if not making.ended.wait(max(0.0, until - time.monotonic())):
                members = len(book.facts.members)
                raise BillsInMakingError(
                    f"the bills of period {making.period} are being made, those of {making.made} of {members} members "
                    "so far: look again in a few seconds"
                )
            if making.fault is not None and (making.period, making.state) == (period, state):
                raise making.fault

    def _make(self, making: _Making, book: Book) -> None:
        """Make a period's bills, for all who wait for them."""
        network, sums, drafts = self._app.home.network_id, [], []
        try:
            for bill in issuing.preview(self._app, book, making.period):
                drafts.append(Draft.of(bill, network))
                sums.append(views.sum_of(bill.as_json(0, network)))
                making.made += 1
        except Exception as fault:  # noqa: BLE001 - whoever waits is told, and who asks next tries again
            making.fault = fault
        with self._lock:
            if making.fault is None:
                self._made = making.period, making.state, _Bills(tuple(sums), tuple(drafts))
            self._making = None
        making.ended.set()

    def _closed(self, period: int, act: int) -> None:
        """Keep the bills that were made before a period was closed: where nothing else has changed, they stay."""
        with self._lock:
            if self._made is not None and self._made[0] == period:
                self._made = period, self._made[1].closed_by(act), self._made[2]

    def close(self, who: Principal, period: int, seen: str, *, with_gaps: bool) -> None:
        """Close a period as it was looked at; one that is closed already stays as it was.

        ReviewOutdatedError, GapsNotAcceptedError, BillingErrors of `issuing.close`, ChainAwayError.
        """
        with self._book(period) as book:
            review = self._review(book, period)
            if review.period.row is not None:
                return
            if review.seen != seen:
                raise ReviewOutdatedError("something has changed since you looked at it: look again, then close")
            if review.checklist is not None and review.checklist.gaps and not with_gaps:
                raise GapsNotAcceptedError("say that you close the period though something is missing")
            row = issuing.close(self._app, book, period, actor=who.actor, with_gaps=with_gaps)
            self._closed(period, row.log_index)

    def issue(self, who: Principal, period: int, seen: str) -> None:
        """Issue a closed period's bills as they were looked at; those that are issued already stay as they are.

        ReviewOutdatedError, BillingErrors of `issuing.issue`, ChainAwayError.
        """
        with self._book(period) as book:
            review = self._review(book, period)
            if review.period.state == ISSUED:
                return
            if review.seen != seen:
                raise ReviewOutdatedError("something has changed since you looked at it: look again, then issue")
            issuing.issue(self._app, book, period, actor=who.actor, drafts=review.drafts)

    def csv(self, period: int) -> str:
        """The issued bills of a period as CSV; BillingErrors of `export.period_csv`."""
        with self._app.store.read() as session:
            return export.period_csv(session, period, self.zone)[0]

    # Bills

    def bill(self, number: int) -> BillView:
        """An issued bill; BillingErrors `bill_unknown`, `bill_changed`."""
        with self._app.store.read() as session:
            found = issuing.issued_bill(session, number)
            document = views.document_of(found)
            name = views.names(session).get(found.wallet, found.wallet)
            (standing,) = self._standings(session, IssuedBill.number == number)
            paid = tuple(payments.of_bill(session, number))
            return BillView(
                found, document, name, tuple(views.corrections_of(session, found, withdrawn=True)), standing, paid
            )

    def pdf(self, view: BillView) -> bytes:
        """A bill on paper."""
        settings = self._app.home.settings
        return paper.bill_pdf(view.bill, view.name, settings.network.organisation, self.zone, settings.billing)

    def previewed(self, period: int, wallet: str) -> tuple[Review, Mapping[str, Any]]:
        """A member's bill of a period that is not issued yet; BillingError `bill_unknown` where there is none."""
        review = self.review(period)
        document = next((draft.document for draft in review.drafts if draft.wallet == wallet), None)
        if document is None:
            raise BillUnknownError("there is nothing on this member's bill of the period")
        return review, json.loads(document)

    def correction_takes_two(self, number: int, line: int, amount: int, reason: str) -> bool:
        """Whether another person has to approve a correction, in micro-credits.

        It looks at all that is entered: NamesSomebodyError, BillingErrors of `issuing.correction_of`.
        """
        with self._app.store.read() as session:
            data = issuing.correction_of(session, number, line, amount, reason)
            return self._alone is not None and issuing.takes_two(session, data, self._alone)

    @property
    def _alone(self) -> int | None:
        """How much one person may correct, in micro-credits; None where one person is enough."""
        return None if self._app.home.settings.people.two_persons == NO else self.credit_limit

    def correct(self, who: Principal, number: int, line: int, amount: int, reason: str) -> Entered:
        """Enter a correction that one person may, in micro-credits; BillingErrors of `issuing.correct`."""
        return issuing.correct(self._app, number, line, amount, reason, actor=who.actor, limit=self._alone)

    def propose_correction(self, who: Principal, number: int, line: int, amount: int, reason: str) -> str:
        """Propose a correction above the limit; the proposal's id. BillingErrors of `issuing.correct`, PeopleErrors."""
        data = dangerous.correction(self._app, number, line, amount, reason)
        return proposals.propose(self._app, who, dangerous.CORRECTION, data, reason, via=proposals.ON_PAGE).id

    def withdraw_correction(self, who: Principal, number: int, log_index: int, reason: str) -> Entered:
        """Take a correction of a bill back; NamesSomebodyError, BillingErrors of `issuing.withdraw_correction`."""
        return issuing.withdraw_correction(
            self._app, log_index, reason, actor=who.actor, bill=number, limit=self._alone
        )

    def check_reason(self, reason: str) -> None:
        """NamesSomebodyError for a reason that cannot be entered, before it is tried."""
        with self._app.store.read() as session:
            require_nameless(session, reason)

    # Payments

    def standings(self, period: int) -> dict[int, PaidBill]:
        """What was paid of a period's bills, by number."""
        with self._app.store.read() as session:
            return {each.number: each for each in self._standings(session, IssuedBill.period == period)}

    def unsettled(self) -> list[PaidBill]:
        """The bills that are not settled, by number."""
        with self._app.store.read() as session:
            return payments.unsettled(session, self.currency, self._app.home.network_id)

    def newest_payments(self, most: int) -> list[BillPayment]:
        """Payments, the last entered first."""
        with self._app.store.read() as session:
            return payments.newest(session, most)

    def try_statement(self, data: bytes, assigned: Mapping[int, int]) -> Reading:
        """What a bank's statement would book; BillingErrors of `payments.try_statement`."""
        return payments.try_statement(self._app, data, assigned)

    def take_in(self, who: Principal, data: bytes, assigned: Mapping[int, int], seen: str) -> Reading:
        """Book a statement as it was looked at; BillingErrors of `payments.take_in`."""
        return payments.take_in(self._app, data, assigned, actor=who.actor, agreed=seen)

    def withdraw_payment(self, who: Principal, log_index: int, reason: str) -> bool:
        """Take a payment off its bill; NamesSomebodyError, BillingErrors of `payments.withdraw`."""
        return payments.withdraw(self._app, log_index, reason, actor=who.actor)

    # Payouts

    def owed(self) -> list[Owed]:
        """What members are owed and was not ordered; BillingError `currency_unset`."""
        with self._app.store.read() as session:
            return payouts.owed(session, self._app)

    def batches(self, most: int) -> list[Batch]:
        """The payment files, the newest first."""
        with self._app.store.read() as session:
            return payouts.batches(session, most)

    @property
    def payment_format(self) -> str:
        """The format of the department's bank."""
        return payouts.usual_format(self._app)

    def order(self, who: Principal, chosen: list[tuple[str, int]], *, otherwise: bool) -> int:
        """Order what is owed, or say that it was paid in another way; BillingErrors of `payouts.order`."""
        return payouts.order(self._app, chosen, otherwise=otherwise, actor=who.actor)

    def cancel_batch(self, who: Principal, batch: int) -> int:
        """Take a payment file back; BillingError `batch_unknown`."""
        return payouts.cancel(self._app, batch, actor=who.actor)

    def payment_file(self, batch: int) -> tuple[bytes, str]:
        """A payment file and its format; BillingErrors of `payouts.file_of`."""
        return payouts.file_of(self._app, batch)

    def _standings(self, session: Session, *which: object) -> list[PaidBill]:
        return payments.paid_bills(session, self.currency, self._app.home.network_id, *which)

    # Estimates

    def estimates(self) -> list[Estimate]:
        """What was entered for dead meters, the newest first."""
        with self._app.store.read() as session:
            return views.estimates(session)

    def estimated_meters(self) -> list[tuple[str, str]]:
        """The meters that a bill may have an estimate of: GATEWAY/METER, and the member's name."""
        query = (
            select(Meter.gateway_name, Meter.name, User.name)
            .join(User, User.id == Meter.user_id)
            .where(Meter.role != "submeter", User.left_at.is_(None))
            .order_by(Meter.gateway_name, Meter.name)
        )
        with self._app.store.read() as session:
            return [(f"{gateway}/{name}", member) for gateway, name, member in session.execute(query)]

    def estimate(self, who: Principal, meter: str, first_epoch: int, end_epoch: int, wh: int, reason: str) -> Entered:
        """Enter an estimate of a meter, for its member's next bill.

        MeterUnknownError, NamesSomebodyError, BillingErrors of `issuing.estimate`, ChainAwayError.
        """
        gateway, _, name = meter.partition("/")
        with self._app.store.read() as session:
            found = session.execute(
                select(Meter, User)
                .join(User, User.id == Meter.user_id)
                .where(Meter.gateway_name == gateway, Meter.name == name)
            ).one_or_none()
        if found is None:
            raise MeterUnknownError("there is no such meter: choose one of the list")
        with self._book(-1) as book:
            return issuing.estimate(
                self._app, book.facts, found[1], found[0], first_epoch, end_epoch, wh, reason, actor=who.actor
            )

    def withdraw_estimate(self, who: Principal, log_index: int, reason: str) -> Entered:
        """Take an estimate back; NamesSomebodyError, BillingErrors of `issuing.withdraw_estimate`."""
        return issuing.withdraw_estimate(self._app, log_index, reason, actor=who.actor)

    # Mail

    @property
    def mails_bills(self) -> bool:
        """Whether bills can be mailed here."""
        return self._app.home.settings.alerts.mails_bills

    def letters(self, period: int) -> tuple[Period, list[Letter]]:
        """An issued period, and its bills' mails; BillingErrors `period_not_closed`, `period_not_issued`."""
        known = next((each for each in self._periods(None) if each.period == period), None)
        if known is None or known.state != ISSUED:
            raise PeriodNotIssuedError(f"the bills of period {period} are not issued yet, so none can be mailed")
        with self._app.store.read() as session:
            return known, mailing.letters(session, period)

    def mail(self, who: Principal, period: int) -> int:
        """Have the bills mailed that were not yet; how many. BillingErrors of `mailing.ask`."""
        return mailing.ask(self._app, period, actor=who.actor)

    def mail_again(self, who: Principal, bill: int, person_id: int) -> bool:
        """Send one mail again; BillingError `letter_unknown`."""
        return mailing.again(self._app, bill, person_id, actor=who.actor)

    # Credits

    def members(self) -> list[str]:
        """Names of the members that are on the chain and have not left."""
        query = select(User.name).where(User.registered_at.is_not(None), User.left_at.is_(None)).order_by(User.name)
        with self._app.store.read() as session:
            return list(session.scalars(query))

    def bookings(self, before: int | None) -> Bookings:
        """Top-ups and payouts from before a moment, the newest first."""
        with self._app.store.read() as session:
            return credit_requests.bookings(session, before)

    @property
    def credit_limit(self) -> int:
        """Micro-credits above which an amount is said twice."""
        return self._app.home.settings.billing.credit_limit

    def check_credits(self, name: str, amount: int, reference: str, confirmed: int | None) -> None:
        """BillingErrors of `credits.check`: what is wrong with a top-up or payout, before it is asked for."""
        credits.check(self._app, name, abs(amount), reference, confirmed)

    def free_credits(self, name: str, amount: int) -> int | None:
        """The micro-credits that a member has free, before it gives back that many; None where the chain is away.

        CreditShortError where it has less.
        """
        with self._app.store.read() as session:
            user = user_named(session, name)
        if user is None:
            return None
        try:
            with asking(self._client) as client:
                has = credits.free(client, user)
        except ChainAwayError:
            return None  # settlement looks again when it books
        credits.require_free(user, has, amount)
        return has

    def ask_credits(self, who: Principal, name: str, amount: int, reference: str, confirmed: int | None) -> bool:
        """Ask for a top-up or (negative) payout; BillingErrors of `credit_requests.ask`."""
        return credit_requests.ask(self._app, name, amount, reference, confirmed, actor=who.actor)

    def needs_two(self, amount: int) -> bool:
        """Whether another person has to approve a booking of this many micro-credits."""
        return abs(amount) > self.credit_limit and self._app.home.settings.people.two_persons != NO

    def propose_credits(self, who: Principal, name: str, amount: int, reference: str) -> str:
        """Propose a booking above the limit; the proposal's id. BillingErrors of `credits.check`, PeopleErrors."""
        data = dangerous.booking(self._app, name, amount, reference)
        return proposals.propose(self._app, who, dangerous.CREDITS, data, ABOVE_LIMIT, via=proposals.ON_PAGE).id

    def _periods(self, book: Book | None) -> list[Period]:
        with self._app.store.read() as session:
            return views.periods(session, book)

    @contextmanager
    def _book(self, only: int) -> Iterator[Book]:
        with asking(self._client) as client:
            yield issuing.open_book(self._app, client, only=only)


def _review(period: Period, checklist: Checklist | None, bills: _Bills) -> Review:
    shown = {
        "documents": [hashlib.sha256(draft.document).hexdigest() for draft in bills.drafts],
        "gaps": [asdict(gap) for gap in checklist.gaps] if checklist else [],
    }
    return Review(
        period=period,
        checklist=checklist,
        bills=bills.sums,
        totals=views.totals_of(bills.sums),
        drafts=bills.drafts,
        seen=hashlib.sha256(canonical_json(shown)).hexdigest(),
    )
