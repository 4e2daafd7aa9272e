"""Books and chain compared: once a night by the service itself, or by `authority audit compare`.

The audit computes log, chain and bills again (authority.audit.verify), from where the last comparison that found
nothing stood. Then the figures that the store keeps and pages show are held against the chain and the log's books:
- each member's totals, minted and withdrawn, against its account on the chain;
- price, energy and orders of each epoch that was done since the last comparison, against its book in the log;
- the days of the market, and what each member traded in them, against the books;
- what each bill's row says is due against its document, and what is open of it against its payments.
What it found is kept for treasurer and auditor, and told by `authority status` and the alerts.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

from solders.pubkey import Pubkey
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.app import App
from authority.audit.verify import Audit, Finding
from authority.billing.bill import Trade, trades_of
from authority.billing.calendar import days_between, first_epoch_at, local, midnight
from authority.chain import accounts, programs
from authority.chain.accounts import EpochBook
from authority.chain.client import ChainClient
from authority.errors import AuthorityError
from authority.log import log
from authority.market.book_leaf import book_of_leaf
from authority.settlement import day_sums, market_sums
from authority.store import comparisons
from authority.store.billing import BillPayment, IssuedBill
from authority.store.comparisons import BooksComparison
from authority.store.day_sums import MarketDay, TradeDay
from authority.store.people import User
from authority.store.settlement import SettledSpan, SettlementEpoch

STATE_NAME = "comparison.state"
"""In the home: what the next comparison goes on from."""
LOCK_NAME = "comparison.lock"
"""In the home: held by the comparison that runs."""
HOUR = 2
"""Of the site's clock, after which the day's comparison is made."""
MOST_KEPT = 200
"""Differences that are kept with a comparison; all are counted."""
CODE = "figure_differs"


class ComparisonRunningError(AuthorityError):
    """Books and chain are compared just now, by the service or by somebody else."""

    code = "comparison_running"


@contextmanager
def alone(app: App, *, wait: bool) -> Iterator[None]:
    """One comparison at a time; ComparisonRunningError where another runs, and it is not to be waited for."""
    with (app.home.path / LOCK_NAME).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise ComparisonRunningError(
                "books and chain are compared just now: wait until that has ended, its result is kept"
            ) from error
        yield


@dataclass
class Books:
    """The store's figures against chain and log. compared: how many were."""

    compared: int = 0
    findings: list[Finding] = field(default_factory=list)

    def same(self, where: str, *figures: tuple[str, object, object]) -> None:
        """Compare figures: the name, what the store says, and what chain or log say."""
        for name, said, found in figures:
            self.compared += 1
            if said != found:
                message = f"the store says {name} {said}, by chain and log it is {found}"
                self.findings.append(Finding(CODE, where, message))


def compare(app: App, client: ChainClient, audit: Callable[[], Audit]) -> BooksComparison:
    """Compare everything, and keep what was found. audit does log, chain and bills; ChainErrors."""
    started = app.clock()
    found = audit()
    books = Books()
    with app.store.read() as session:
        last = comparisons.newest(session)
        first = 0 if last is None else last.until_epoch
        _members(session, client, books)
        until = _epochs(session, books, first)
        _days(session, books, app, first, until)
        _bills(session, books)
    problems = [*found.findings, *books.findings]
    row = BooksComparison(
        started_at=started,
        ended_at=app.clock(),
        entries=found.size,
        figures=books.compared,
        until_epoch=first if books.findings else until,
        differences=len(problems),
        found={
            "problems": [
                {"code": each.code, "where": each.where, "message": each.message} for each in problems[:MOST_KEPT]
            ]
        },
    )
    with app.store.write() as session:
        session.add(row)
        session.flush()
        session.expunge(row)
    return row


def due(app: App) -> bool:
    """Whether a comparison is to be made: there is something older than the last HOUR o'clock, and none since then."""
    now, zone = app.clock(), ZoneInfo(app.home.settings.site.zone)
    at = local(now, zone).replace(hour=HOUR, minute=0, second=0, microsecond=0)
    if at > local(now, zone):
        at -= timedelta(days=1)
    moment = int(at.timestamp())
    with app.store.read() as session:
        newest = comparisons.newest(session)
        first = session.scalar(select(func.min(SettlementEpoch.epoch)))
    if first is None or first * app.home.settings.epoch.seconds >= moment:
        return False
    return newest is None or newest.started_at < moment


def _members(session: Session, client: ChainClient, books: Books) -> None:
    """Each member's totals; those settled further by now are compared the next time."""
    wallets = session.scalars(select(User.wallet).where(User.registered_at.is_not(None)).order_by(User.id)).all()
    addresses = [programs.energy_account_address(Pubkey.from_string(wallet)) for wallet in wallets]
    for wallet, account in zip(wallets, client.accounts_at(accounts.EnergyAccount, addresses), strict=True):
        newest = select(SettledSpan).where(SettledSpan.wallet == wallet).order_by(SettledSpan.boundary.desc()).limit(1)
        span = session.scalar(newest)
        if account is None or span is None or span.boundary != account.boundary:
            continue
        books.same(
            f"member {wallet}, boundary {span.boundary}",
            ("minted Wh", span.lifetime_minted_wh, account.minted),
            ("withdrawn Wh", span.lifetime_withdrawal_wh, account.withdrawn),
        )


def _epochs(session: Session, books: Books, first: int) -> int:
    """The epochs that are done with, from one on; the first that is not compared."""
    until = first
    rows = select(SettlementEpoch).where(SettlementEpoch.epoch >= first, SettlementEpoch.checkpointed_ms.is_not(None))
    for row in session.scalars(rows.order_by(SettlementEpoch.epoch)):
        until = row.epoch + 1
        if row.book_log_index is None:
            books.same(f"epoch {row.epoch}", ("traded Wh", row.traded_wh, 0))
            continue
        data = book_of_leaf(log.leaf(session, row.book_log_index))
        head = EpochBook.from_account(data)
        traded = sum(trade.wh for trade in trades_of(data) if not trade.is_bid)
        books.same(
            f"epoch {row.epoch}",
            ("its book's epoch", row.epoch, head.epoch),
            ("bids", row.bids, head.bid_count),
            ("asks", row.asks, head.ask_count),
            ("traded Wh", row.traded_wh, traded),
            ("clearing price", row.clearing_price, head.price if traded else None),
        )
    return until


def _days(session: Session, books: Books, app: App, first: int, until: int) -> None:
    """The market's days that are kept whole, from the one of an epoch on, and what each member traded in them."""
    step, zone = app.home.settings.epoch.seconds, ZoneInfo(app.home.settings.site.zone)
    kept = day_sums.trades_kept_until(session, zone, step)
    oldest = session.scalar(select(func.min(MarketDay.day)))
    if kept is None or oldest is None:
        return
    begin = max(oldest, midnight(local(first * step, zone).date(), zone))
    for day, after in days_between(begin, min(kept, until * step), zone):
        if after > min(kept, until * step):
            return
        cleared, by_member = _books_of(session, first_epoch_at(day, step), first_epoch_at(after, step))
        market = session.get(MarketDay, day)
        if market is not None and not market.withheld:
            books.same(
                f"day {local(day, zone).date()}",
                ("traded Wh", market.traded_wh, sum(book.traded_wh for book in cleared)),
            )
        told = {
            row.member_index: (row.bought_wh, row.paid_micro_credits, row.sold_wh, row.received_micro_credits)
            for row in session.scalars(select(TradeDay).where(TradeDay.day == day))
        }
        for member in sorted(told.keys() | by_member.keys()):
            said = told.get(member, (0, 0, 0, 0))
            books.same(
                f"day {local(day, zone).date()}, member {member}",
                ("(bought Wh, paid, sold Wh, received)", said, by_member.get(member, (0, 0, 0, 0))),
            )


def _books_of(
    session: Session, first: int, after: int
) -> tuple[list[market_sums.Cleared], dict[int, tuple[int, int, int, int]]]:
    """The books of these epochs, and what each member bought, paid, sold and received."""
    indexes = session.scalars(
        select(SettlementEpoch.book_log_index)
        .where(
            SettlementEpoch.epoch >= first,
            SettlementEpoch.epoch < after,
            SettlementEpoch.book_log_index.is_not(None),
        )
        .order_by(SettlementEpoch.epoch)
    )
    cleared: list[market_sums.Cleared] = []
    by_member: dict[int, tuple[int, int, int, int]] = {}
    for index in indexes:
        data = book_of_leaf(log.leaf(session, index or 0))
        trades: Sequence[Trade] = list(trades_of(data))
        cleared.append(market_sums.cleared(data, trades))
        for trade in trades:
            bought, paid, sold, received = by_member.get(trade.member, (0, 0, 0, 0))
            moved = trade.amount + trade.charge
            by_member[trade.member] = (
                (bought + trade.wh, paid + moved, sold, received)
                if trade.is_bid
                else (bought, paid, sold + trade.wh, received - moved)
            )
    return cleared, by_member


def _bills(session: Session, books: Books) -> None:
    """What each bill's row says beside its document, whose hash the audit compared."""
    paid = dict(
        session.execute(
            select(BillPayment.bill, func.sum(BillPayment.amount))
            .where(BillPayment.withdrawn_at.is_(None))
            .group_by(BillPayment.bill)
        ).all()
    )
    for bill in session.scalars(select(IssuedBill).order_by(IssuedBill.number)):
        document = json.loads(bill.document)
        books.same(
            f"bill {bill.number}",
            ("due", bill.due, document["due"]),
            ("member", bill.wallet, document["member"]),
            ("left open", bill.left_open, document["due"] - int(paid.get(bill.number, 0))),
        )
