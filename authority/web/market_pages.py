"""The public market page: price and volume by day, month and year, and the depth of the last cleared book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import days, tags
from authority.api.days import DaysInvalidError
from authority.api.hand_orders import RunningBook
from authority.api.market import ClearedBook, DepthStep, Market, MarketStep, Prices
from authority.billing.calendar import local
from authority.language.reading import gettext
from authority.web import answers, ranges
from authority.web.figures import credits_per_kwh, grouped, kilowatt_hours
from authority.web.presentation import nice

WIDTH, HEIGHT = 960, 200
LEAST_PRICE_TOP = 100_000


@dataclass(frozen=True, slots=True)
class Column:
    """One step in the chart: its bar (x, width, height) and the price's height; None where it has no price."""

    x: int
    width: int
    traded: int
    price: int | None
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The steps that are known, in a box of WIDTH by HEIGHT; the tops are the axes' ends."""

    columns: tuple[Column, ...]
    top_wh: int
    top_price: int


@dataclass(frozen=True, slots=True)
class Level:
    """One step of a book's depth: its limits in words, energy, and its bar's length of WIDTH."""

    limits: str
    quantity_wh: int
    bar: int


def chart(prices: Prices, labels: Sequence[str]) -> Chart:
    """The bars and price marks of a range."""
    known = [(place, step, step.traded_wh) for place, step in enumerate(prices.steps)]
    top_wh = nice(max([10, *(wh for _, _, wh in known if wh is not None)]))
    top_price = nice(
        max([LEAST_PRICE_TOP, *(each for _, step, _ in known if (each := step.price_micro_credits_per_kwh))])
    )
    slot = WIDTH // max(1, len(known))
    width = max(1, slot - (2 if slot > 5 else 0))
    columns = []
    for place, step, wh in known:
        if wh is None:
            continue
        price = step.price_micro_credits_per_kwh
        columns.append(
            Column(
                x=place * slot,
                width=width,
                traded=wh * HEIGHT // top_wh,
                price=None if price is None else price * HEIGHT // top_price,
                label=_label(labels[place], wh, price),
            )
        )
    return Chart(tuple(columns), top_wh, top_price)


def _label(step: str, wh: int, price: int | None) -> str:
    energy = kilowatt_hours(wh)
    if price is None:
        return gettext("%(step)s: %(energy)s traded", step=step, energy=energy)
    at = credits_per_kwh(price)
    return gettext("%(step)s: %(energy)s traded at %(price)s credits per kWh", step=step, energy=energy, price=at)


def sentence(total: MarketStep) -> str:
    """A range in words."""
    if not total.traded_wh and total.epochs_withheld:
        return gettext("Members traded, but so few that a figure would reveal what one of them did.")
    if total.traded_wh is None:
        return gettext("There are no figures for this time.")
    price = total.price_micro_credits_per_kwh
    lowest, highest = total.lowest_price_micro_credits_per_kwh, total.highest_price_micro_credits_per_kwh
    if price is None:
        return gettext("Nothing was traded.")
    energy, at = kilowatt_hours(total.traded_wh), credits_per_kwh(price)
    if lowest == highest:
        return gettext("%(energy)s changed hands, at %(price)s credits per kWh.", energy=energy, price=at)
    return gettext(
        "%(energy)s changed hands, at %(price)s credits per kWh on average, between %(lowest)s and %(highest)s.",
        energy=energy,
        price=at,
        lowest=credits_per_kwh(lowest),
        highest=credits_per_kwh(highest),
    )


def notes(total: MarketStep, least_members: int) -> list[str]:
    """What a range's figures leave out, and why."""
    found = []
    if total.epochs_withheld:
        found.append(
            gettext(
                "%(left_out)s of %(count)s books are left out: fewer than %(least)s members bought or sold in them, "
                "and a figure would reveal what one of them did.",
                left_out=grouped(total.epochs_withheld),
                count=grouped(total.epochs),
                least=least_members,
            )
        )
    if unknown := total.epochs - total.epochs_known:
        missing, count = grouped(unknown), grouped(total.epochs)
        found.append(
            gettext("%(missing)s of %(count)s books are missing, or not cleared yet.", missing=missing, count=count)
        )
    return found


def levels(side: Sequence[DepthStep], most_wh: int) -> list[Level]:
    """One side of a book, ready to draw; most_wh is a full bar's."""
    return [Level(limits(each), each.quantity_wh, max(1, each.quantity_wh * WIDTH // max(1, most_wh))) for each in side]


def limits(step: DepthStep) -> str:
    """The limits of a step's orders in words."""
    lowest, highest = step.lowest_price_micro_credits_per_kwh, step.highest_price_micro_credits_per_kwh
    if lowest == highest:
        return credits_per_kwh(lowest)
    return gettext("%(lowest)s to %(highest)s", lowest=credits_per_kwh(lowest), highest=credits_per_kwh(highest))


def most_of(book: ClearedBook | RunningBook) -> int:
    """The greatest sum in a book, Wh."""
    return max((each.quantity_wh for each in (*(book.bids or ()), *(book.asks or ()))), default=0)


def blueprint(market: Market) -> Blueprint:
    """The page and its CSV over the query layer."""
    pages = Blueprint("market_pages", __name__)

    @pages.after_request
    def tag(response: Response) -> Response:
        return tags.of_a_public_page(response)

    @pages.get("/market")
    def market_page() -> Response:
        today, view = market.today(), ranges.view_of(request.args.get("view", ""))
        first, last = ranges.around(view, ranges.day_of(request.args.get("day", ""), today))
        found, book = market.prices(first, last, ranges.VIEWS[view]), market.last_book()
        labels = [ranges.label(step.starts_at, view, market.zone) for step in found.steps]
        most = most_of(book)
        text = render_template(
            "market.html",
            view=view,
            first=first,
            before=ranges.around(view, first - timedelta(days=1))[0],
            after=last + timedelta(days=1),
            is_last=last >= today,
            title=ranges.title(view, first),
            prices=found,
            labels=labels,
            marks=ranges.marks(labels, view),
            step_labels={step.starts_at: words for step, words in zip(found.steps, labels, strict=True)},
            chart=chart(found, labels),
            words=sentence(found.total),
            notes=notes(found.total, found.least_members),
            book=book,
            closed="" if book.ended_at is None else ranges.written(local(book.ended_at, market.zone), "%-d %B, %H:%M"),
            bids=levels(book.bids or (), most),
            asks=levels(book.asks or (), most),
            width=WIDTH,
            height=HEIGHT,
            csv=f"{url_for('market_pages.prices_csv')}?from={first}&to={last}&step={ranges.VIEWS[view]}",
        )
        return answers.page(text)

    @pages.get("/market/prices.csv")
    def prices_csv() -> Response:
        step = request.args.get("step", days.QUARTER)
        first = _date(request.args.get("from"), market.today())
        last = _date(request.args.get("to"), first)
        if step not in ranges.VIEWS.values():
            raise DaysInvalidError(f"a step is {', '.join(ranges.VIEWS.values())}, not {step[:20]!r}")
        headers = {"Content-Disposition": f'attachment; filename="market-{first}-{last}.csv"'}
        return Response(market.csv(first, last, step), 200, headers, content_type="text/csv; charset=utf-8")

    return pages


def _date(text: str | None, otherwise: date) -> date:
    if not text:
        return otherwise
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DaysInvalidError("a day is written as 2026-06-21") from None
