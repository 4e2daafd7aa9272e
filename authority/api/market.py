"""The market as everybody may see it: prices and volumes by quarter, day and month, and the last book's depth.

Nothing here is of fewer members than authority.market.disclosure lets be told. Energies are Wh, prices micro-credits
per kWh, times Unix seconds; an epoch counts in the step in which it begins. What is not known is null.
"""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint, Schema, fields
from apiflask.validators import OneOf
from flask import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api import days, tags
from authority.api.campus import described
from authority.api.days import DaysInvalidError
from authority.api.schemas import schema_of
from authority.app import App
from authority.billing import spreadsheet
from authority.billing.calendar import first_epoch_at, local, midnight
from authority.chain.accounts import EpochBook, Order
from authority.log import log
from authority.market.book_leaf import book_of_leaf
from authority.market.clearing import WH_PER_KWH
from authority.market.disclosure import LEAST_MEMBERS, PriceStep, depth
from authority.settlement.day_sums import trades_kept_until
from authority.settlement.market_sums import public_members
from authority.store.day_sums import MarketDay
from authority.store.settlement import SettlementEpoch

STEPS = (days.QUARTER, days.DAY, days.MONTH)
LONGEST_QUARTER_DAYS = 7
LATE_DAYS = 3
"""For how many days up to today days that are not summed yet are read from their epochs."""
BOOK_EPOCHS = 96
"""How many epochs back the last cleared book is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStep:
    """The books of the epochs that began in one step of the range."""

    starts_at: int = described("Its beginning, Unix seconds.")
    ends_at: int = described("Its end, Unix seconds.")
    starts: str = described("Its beginning on the site's clock, with the offset.")
    epochs: int = described("Epochs that begin in it.")
    epochs_known: int = described("How many of them are over and judged.")
    epochs_withheld: int = described("How many of these are left out: too few members traded in them.")
    traded_wh: int | None = described("Energy that changed hands; null where nothing is known, or may be told.")
    price_micro_credits_per_kwh: int | None = described(
        "Clearing price, the mean by energy where it is of several books; null where nothing traded."
    )
    lowest_price_micro_credits_per_kwh: int | None = described("The lowest clearing price.")
    highest_price_micro_credits_per_kwh: int | None = described("The highest clearing price.")


FIGURES = tuple(name for name in MarketStep.__dataclass_fields__ if name not in ("starts_at", "ends_at", "starts"))
CSV_COLUMNS = ("starts", "ends", *FIGURES)
"""Times are ISO 8601 on the site's clock, with the offset; the others as the API calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices and volumes over a range of days, in steps, and together."""

    zone: str = described("The site's time zone, whose days these are.")
    step: Literal["quarter", "day", "month"] = described("quarter: of an hour, or an epoch where that is longer.")
    least_members: int = described("A figure is of at least so many members who keep to themselves, or of none.")
    steps: tuple[MarketStep, ...] = described("The steps, in order, without a gap.")
    total: MarketStep = described("All of it together.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthStep:
    """Orders of neighbouring limits together."""

    lowest_price_micro_credits_per_kwh: int = described("The lowest limit among them.")
    highest_price_micro_credits_per_kwh: int = described("The highest limit among them.")
    quantity_wh: int = described("Their energy, filled or not.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearedBook:
    """The last cleared book, without members."""

    epoch: int | None = described("Its epoch; null where no book was cleared in the last 96 epochs.")
    ended_at: int | None = described("When it closed, Unix seconds.")
    withheld: bool = described("Whether it is not shown, because too few members are in it.")
    least_members: int = described("A figure is of at least so many members who keep to themselves, or of none.")
    traded_wh: int | None = described("Energy that changed hands.")
    price_micro_credits_per_kwh: int | None = described("The clearing price; null where nothing traded.")
    bids: tuple[DepthStep, ...] | None = described("What was asked for, from the highest limit on; null if withheld.")
    asks: tuple[DepthStep, ...] | None = described("What was offered, from the lowest limit on; null if withheld.")


class PricesQuery(Schema):
    """Which days, and in which steps."""

    first = fields.Date(
        data_key="from", load_default=None, metadata={"description": "The first day at the site; today."}
    )
    last = fields.Date(data_key="to", load_default=None, metadata={"description": "The last day, included; as `from`."})
    step = fields.String(
        load_default=days.QUARTER,
        validate=OneOf(STEPS),
        metadata={"description": "quarter (of an hour, or an epoch where that is longer), day or month."},
    )


class _Sum:
    """What is known of one step."""

    def __init__(self) -> None:
        self.known = self.withheld = self.wh = self.value = 0
        self.prices: list[int] = []

    def add(self, known: int, withheld: int, wh: int, value: int, *prices: int | None) -> None:
        self.known += known
        self.withheld += withheld
        self.wh += wh
        self.value += value
        self.prices += [price for price in prices if price is not None]

    def step(self, start: int, end: int, zone: ZoneInfo, seconds: int) -> MarketStep:
        told, traded = self.known > self.withheld, self.wh > 0
        mean = (self.value * WH_PER_KWH + self.wh // 2) // self.wh if traded else None
        lowest, highest = min(self.prices, default=None), max(self.prices, default=None)
        if mean is not None and lowest is not None and highest is not None:
            mean = min(max(mean, lowest), highest)  # its value is rounded down, book by book
        return MarketStep(
            starts_at=start,
            ends_at=end,
            starts=days.stamp(start, zone),
            epochs=first_epoch_at(end, seconds) - first_epoch_at(start, seconds),
            epochs_known=self.known,
            epochs_withheld=self.withheld,
            traded_wh=self.wh if told else None,
            price_micro_credits_per_kwh=mean,
            lowest_price_micro_credits_per_kwh=lowest,
            highest_price_micro_credits_per_kwh=highest,
        )


class Market:
    """The query layer over an opened authority."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.zone = ZoneInfo(app.home.settings.site.zone)
        self._newest: tuple[tuple[int, bool | None], ClearedBook] | None = None

    def today(self) -> date:
        """Today at the site."""
        return local(self._app.clock(), self.zone).date()

    # Prices

    def prices(self, first: date, last: date, step: str) -> Prices:
        """Prices and volumes of the days first to last, both included; DaysInvalidError."""
        seconds = self._app.home.settings.epoch.seconds
        if step == days.QUARTER and (last - first).days >= LONGEST_QUARTER_DAYS:
            raise DaysInvalidError(
                f"so many days by {step} are too many: ask for {LONGEST_QUARTER_DAYS} at once, or less"
            )
        by = days.INTERVAL if step == days.QUARTER and seconds > days.QUARTER_SECONDS else step
        edges = list(days.buckets(first, last, by, self.zone, seconds))
        starts, begin, end = [start for start, _ in edges], edges[0][0], edges[-1][1]
        sums, total = [_Sum() for _ in edges], _Sum()
        with self._app.store.read() as session:
            for at, found in self._found(session, step, begin, end):
                for each in (sums[max(0, bisect.bisect_right(starts, at) - 1)], total):
                    each.add(*found)
        return Prices(
            zone=str(self.zone),
            step=step,  # type: ignore[arg-type]  # days.buckets has refused others
            least_members=LEAST_MEMBERS,
            steps=tuple(
                each.step(start, stop, self.zone, seconds) for each, (start, stop) in zip(sums, edges, strict=True)
            ),
            total=total.step(begin, end, self.zone, seconds),
        )

    def _found(self, session: Session, step: str, begin: int, end: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """When, and what `_Sum.add` takes: by day as far as these are kept and wanted, else by epoch."""
        seconds = self._app.home.settings.epoch.seconds
        if step != days.QUARTER:
            split = max(begin, min(end, trades_kept_until(session, self.zone, seconds) or begin))
            kept = select(MarketDay).where(MarketDay.day >= begin, MarketDay.day < split).order_by(MarketDay.day)
            for day in session.scalars(kept):
                yield (
                    day.day,
                    (
                        day.epochs, day.withheld, day.traded_wh, day.value_micro_credits, day.lowest_price,
                        day.highest_price,
                    ),
                )  # fmt: skip
            begin = max(split, midnight(self.today() - timedelta(days=LATE_DAYS - 1), self.zone))
        rows = session.execute(
            select(
                SettlementEpoch.epoch,
                SettlementEpoch.book_log_index,
                SettlementEpoch.publishable,
                SettlementEpoch.traded_wh,
                SettlementEpoch.clearing_price,
            ).where(
                SettlementEpoch.epoch >= first_epoch_at(begin, seconds),
                SettlementEpoch.epoch < first_epoch_at(end, seconds),
                SettlementEpoch.checkpointed_ms.is_not(None),
            )
        )
        for row in rows:
            at = row.epoch * seconds
            if row.book_log_index is None:  # an epoch without a book
                yield at, (1, 0, 0, 0)
            elif row.publishable:
                price = row.clearing_price
                yield at, (1, 0, row.traded_wh, row.traded_wh * (price or 0) // WH_PER_KWH, price)
            elif row.publishable is not None:
                yield at, (1, 1, 0, 0)

    def csv(self, first: date, last: date, step: str) -> str:
        """The same steps as CSV (RFC 4180), in Wh and micro-credits; DaysInvalidError."""

        def row(step: MarketStep) -> list[object]:
            told = asdict(step)
            return [step.starts, days.stamp(step.ends_at, self.zone), *(told[name] for name in FIGURES)]

        return spreadsheet.table(CSV_COLUMNS, map(row, self.prices(first, last, step).steps))

    # The last book

    def last_book(self) -> ClearedBook:
        """The last cleared book of the last 96 epochs."""
        seconds = self._app.home.settings.epoch.seconds
        with self._app.store.read() as session:
            row = session.execute(
                select(SettlementEpoch.epoch, SettlementEpoch.book_log_index, SettlementEpoch.publishable)
                .where(
                    SettlementEpoch.epoch >= self._app.clock() // seconds - BOOK_EPOCHS,
                    SettlementEpoch.book_log_index.is_not(None),
                    SettlementEpoch.checkpointed_ms.is_not(None),
                )
                .order_by(SettlementEpoch.epoch.desc())
                .limit(1)
            ).one_or_none()
            if row is None:
                return ClearedBook(
                    epoch=None, ended_at=None, withheld=False, least_members=LEAST_MEMBERS, traded_wh=None,
                    price_micro_credits_per_kwh=None, bids=None, asks=None,
                )  # fmt: skip
            newest, key = self._newest, (row.book_log_index, row.publishable)
            if newest is None or newest[0] != key:
                book = self._shown(session, row.epoch, row.book_log_index, bool(row.publishable))
                newest = self._newest = (key, book)
        return newest[1]

    def _shown(self, session: Session, epoch: int, index: int, publishable: bool) -> ClearedBook:
        data = book_of_leaf(log.leaf(session, index))
        head, public = EpochBook.from_account(data), public_members(session)
        orders = Order.array(data, EpochBook.size(), head.bid_count + head.ask_count)
        bids = depth(((each.price, each.quantity, each.member) for each in orders[: head.bid_count]), public)
        asks = depth(((each.price, each.quantity, each.member) for each in orders[head.bid_count :]), public)
        shown = publishable and bids is not None and asks is not None
        traded = sum(each.filled for each in orders[head.bid_count :])
        return ClearedBook(
            epoch=epoch,
            ended_at=(epoch + 1) * self._app.home.settings.epoch.seconds,
            withheld=not shown,
            least_members=LEAST_MEMBERS,
            traded_wh=traded if publishable else None,
            price_micro_credits_per_kwh=head.price if publishable and traded else None,
            bids=depth_steps(bids) if shown else None,
            asks=depth_steps(asks) if shown else None,
        )


def depth_steps(side: tuple[PriceStep, ...] | None) -> tuple[DepthStep, ...]:
    """One side of a book as the API tells it."""
    return tuple(
        DepthStep(
            lowest_price_micro_credits_per_kwh=each.lowest_price,
            highest_price_micro_credits_per_kwh=each.highest_price,
            quantity_wh=each.quantity_wh,
        )
        for each in side or ()
    )


EXAMPLE_STEP = {
    "starts_at": 1_782_028_800,
    "ends_at": 1_782_115_200,
    "starts": "2026-06-21T00:00:00+07:00",
    "epochs": 96,
    "epochs_known": 96,
    "epochs_withheld": 2,
    "traded_wh": 41_250,
    "price_micro_credits_per_kwh": 248_000,
    "lowest_price_micro_credits_per_kwh": 200_000,
    "highest_price_micro_credits_per_kwh": 290_000,
}
EXAMPLE_PRICES = {
    "zone": "Asia/Bangkok",
    "step": "day",
    "least_members": LEAST_MEMBERS,
    "steps": [EXAMPLE_STEP],
    "total": EXAMPLE_STEP,
}
EXAMPLE_BOOK = {
    "epoch": 1_980_032,
    "ended_at": 1_782_029_700,
    "withheld": False,
    "least_members": LEAST_MEMBERS,
    "traded_wh": 3_200,
    "price_micro_credits_per_kwh": 250_000,
    "bids": [
        {
            "lowest_price_micro_credits_per_kwh": 260_000,
            "highest_price_micro_credits_per_kwh": 280_000,
            "quantity_wh": 3_200,
        }
    ],
    "asks": [
        {
            "lowest_price_micro_credits_per_kwh": 210_000,
            "highest_price_micro_credits_per_kwh": 250_000,
            "quantity_wh": 4_100,
        }
    ],
}


def blueprint(market: Market) -> APIBlueprint:
    """The market's public resources."""
    public = APIBlueprint("market", __name__, url_prefix="/api/v1/market", tag="Public")

    @public.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PUBLIC)

    @public.get("/prices")
    @public.input(PricesQuery, location="query", arg_name="query")
    @public.output(schema_of(Prices), description="Prices and volumes.", example=EXAMPLE_PRICES)
    @public.doc(
        operation_id="get_market_prices",
        summary="The market's prices and volumes by quarter, day or month",
        description=(
            "In the site's time zone; days have 92 to 100 quarters. At most 7 days by quarter, 92 by day. Books in "
            "which too few members traded are left out, and counted."
        ),
        responses={400: "The query is wrong."},
    )
    def prices(query: dict[str, Any]) -> dict[str, Any]:
        first: date = query["first"] or market.today()
        return asdict(market.prices(first, query["last"] or first, query["step"]))

    @public.get("/book")
    @public.output(schema_of(ClearedBook), description="The book.", example=EXAMPLE_BOOK)
    @public.doc(
        operation_id="get_market_book",
        summary="The last cleared book, as sums by price",
        description="Neighbouring limits are put together until each sum is of enough members.",
    )
    def book() -> dict[str, Any]:
        return asdict(market.last_book())

    return public
