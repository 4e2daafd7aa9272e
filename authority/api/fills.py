"""What a member's orders came to, in books that are final: of a span of time, of all time, or a page at a time.

Energies are Wh, prices micro-credits per kWh, amounts micro-credits, times Unix seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.api.campus import described
from authority.api.paging import AT_ONCE, NEXT
from authority.app import App
from authority.billing.book_trades import BookTrades
from authority.billing.calendar import days_between, first_epoch_at
from authority.people.roles import MemberAccount
from authority.settlement import day_sums
from authority.store.day_sums import TradeDay
from authority.store.people import User
from authority.store.settlement import SettlementAct, SettlementEpoch, act_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What an order came to in a final book."""

    epoch: int = described("The book's epoch.")
    ended_at: int = described("When the book closed.")
    side: Literal["bid", "ask"] = described("bid: bought; ask: sold.")
    filled_wh: int = described("How much changed hands.")
    price_micro_credits_per_kwh: int = described("The clearing price, the same for all.")
    amount_micro_credits: int = described("Paid (bid, with wheeling) or received (ask, after the fee).")
    refund_micro_credits: int = described("Of a bid: what it had locked and did not cost, which came back; else 0.")
    returned_wh: int = described("Of an ask: what was not sold and came back; else 0.")
    book_leaf: int = described("The book's leaf in the log, which proves it.")
    clearing_leaf: int | None = described(
        "The log's leaf of the act by which the department cleared the book; null where somebody else did."
    )
    transaction: str | None = described(
        "The signature (base58) of the last transaction by which the department cleared and paid the book; null where "
        "it is not known: somebody else's, or of an earlier release."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    """What a member's orders came to, the newest first. A page has whole epochs: 50 fills, or a few more."""

    fills: tuple[Fill, ...] = described("The fills.")
    next: str | None = described(NEXT)


class MemberFills:
    """The query layer over an opened authority, by the days of the site's calendar."""

    def __init__(self, app: App, zone: ZoneInfo, trades: BookTrades) -> None:
        self._app, self._zone, self._seconds = app, zone, app.home.settings.epoch.seconds
        self._trades = trades

    def between(self, session: Session, member: MemberAccount, begin: int, end: int) -> Iterator[Fill]:
        """Fills of the epochs that begin from one moment on and before another, the oldest first."""
        index = session.get_one(User, member.id).member_index
        if index is None:
            return
        epochs = first_epoch_at(begin, self._seconds), first_epoch_at(end, self._seconds)
        found = self._trades.of(session, *epochs, index)
        traded = {trade.epoch for _, _, trade in found}
        cleared, paid_by = _clearings(session, traded), _transactions(session, traded)
        for leaf, price, trade in found:
            yield Fill(
                epoch=trade.epoch,
                ended_at=(trade.epoch + 1) * self._seconds,
                side="bid" if trade.is_bid else "ask",
                filled_wh=trade.wh,
                price_micro_credits_per_kwh=price,
                amount_micro_credits=abs(trade.amount + trade.charge),
                refund_micro_credits=trade.returned if trade.is_bid else 0,
                returned_wh=0 if trade.is_bid else trade.returned,
                book_leaf=leaf,
                clearing_leaf=cleared.get(trade.epoch),
                transaction=paid_by.get(trade.epoch),
            )

    def all(self, member: MemberAccount) -> Iterator[Fill]:
        """Every fill, the oldest first, a day at a time; days without a trade cost nothing."""
        with self._app.store.read() as session:
            days = list(self._days(session, member, self._app.clock() + 1, None))
        for day, after in reversed(days):
            with self._app.store.read() as session:
                found = list(self.between(session, member, day, after))
            yield from found

    def page(self, member: MemberAccount, before: int | None = None) -> Fills:
        """Fills of epochs before that one, the newest first."""
        end = self._app.clock() + 1 if before is None else min(self._app.clock() + 1, before * self._seconds)
        found: list[Fill] = []
        with self._app.store.read() as session:
            for day, after in self._days(session, member, end, AT_ONCE + 1):
                for fill in reversed(list(self.between(session, member, day, min(after, end)))):
                    if len(found) >= AT_ONCE and fill.epoch != found[-1].epoch:
                        return Fills(fills=tuple(found), next=str(found[-1].epoch))
                    found.append(fill)
        return Fills(fills=tuple(found), next=None)

    def _days(self, session: Session, member: MemberAccount, end: int, most: int | None) -> Iterator[tuple[int, int]]:
        """The days that begin before `end` in which the member may have traded, the newest first: [start, the next's).

        Those whose trades are summed come by their sums, at most so many; each of them has a fill.
        """
        index = session.get_one(User, member.id).member_index
        first = session.scalar(select(func.min(SettlementEpoch.epoch)))
        if index is None or first is None:
            return
        kept = day_sums.trades_kept_until(session, self._zone, self._seconds) or 0
        yield from reversed(list(days_between(max(kept, first * self._seconds), end, self._zone)))
        traded = select(TradeDay.day).where(TradeDay.member_index == index, TradeDay.day < min(kept, end))
        for day in session.scalars(traded.order_by(TradeDay.day.desc()).limit(most)):
            yield from days_between(day, day + 1, self._zone)


def _clearings(session: Session, epochs: Collection[int]) -> dict[int, int]:
    """The leaves of the acts by which these epochs' books were cleared, as far as they are the department's."""
    keys = {act_key(f"trigger_clearing:{epoch}"): epoch for epoch in epochs}
    rows = session.execute(select(SettlementAct.key, SettlementAct.log_index).where(SettlementAct.key.in_(keys)))
    return {keys[key]: index for key, index in rows}


def _transactions(session: Session, epochs: Collection[int]) -> dict[int, str]:
    """The transactions by which these epochs' books were cleared, as far as the store has them."""
    its = SettlementEpoch.epoch.in_(epochs), SettlementEpoch.clearing_signature.is_not(None)
    return {
        epoch: signature
        for epoch, signature in session.execute(
            select(SettlementEpoch.epoch, SettlementEpoch.clearing_signature).where(*its)
        )
        if signature is not None
    }
