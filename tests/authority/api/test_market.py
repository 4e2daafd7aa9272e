"""The public market: prices and volumes by quarter, day and month from kept sums, and nothing of too few members."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from people_site import build
from sample_market import PRIVATE, PUBLIC, STEP, add_book, add_days, add_public_member
from sqlalchemy import select
from statements import executed

from authority.api.market import FIGURES, Market
from authority.app import App
from authority.billing.calendar import midnight
from authority.settlement import day_sums
from authority.store.day_sums import MarketDay, trades_changed
from authority.store.settlement import SettlementEpoch

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN, PLAIN = date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 10)


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def market(app: App) -> Market:
    found = Market(app)
    found.zone = BERLIN
    add_public_member(app)
    return found


def at(clock: Any, day: date, hours: int = 0) -> None:
    clock.now = midnight(day, BERLIN) + hours * 3_600


@pytest.mark.parametrize(("day", "quarters"), [(SPRING, 92), (AUTUMN, 100), (PLAIN, 96)])
def test_a_day_by_quarter_and_its_sum_are_what_its_books_traded(
    app: App, market: Market, clock: Any, day: date, quarters: int
) -> None:
    at(clock, day + timedelta(days=1), 2)
    made = add_days(app, day, 2, BERLIN, until=clock.now)
    found = market.prices(day, day, "quarter")
    assert len(found.steps) == found.total.epochs == quarters
    for step in found.steps:
        told, wh, price = made[step.starts_at // STEP]
        assert step.traded_wh == (wh if told else None)
        assert step.price_micro_credits_per_kwh == (price if told else None)
        assert (step.epochs_known, step.epochs_withheld) == (1, int(not told))
    its = [made[step.starts_at // STEP] for step in found.steps]
    assert found.total.traded_wh == sum(wh for told, wh, _ in its if told)
    by_night = [wh for told, wh, _ in its if not told]
    assert found.total.epochs_withheld == len(by_night) > 20
    day_sums.keep(app.store, BERLIN, STEP, clock.now)
    with app.store.read() as session:
        assert session.scalars(select(MarketDay.day)).all() == [midnight(day, BERLIN)]
    kept = market.prices(day, day, "day").total
    # by night four members sell, one at a time: together they are enough, and the day is told whole
    assert (kept.epochs_known, kept.epochs_withheld) == (quarters, 0)
    assert kept.traded_wh == sum(wh for _, wh, _ in its)
    prices = [price for _, wh, price in its if wh]
    value = sum(wh * price for _, wh, price in its if wh)
    assert (kept.lowest_price_micro_credits_per_kwh, kept.highest_price_micro_credits_per_kwh) == (
        min(prices),
        max(prices),
    )
    assert kept.traded_wh
    assert abs(kept.price_micro_credits_per_kwh - value / kept.traded_wh) < 5
    today = market.prices(day + timedelta(days=1), day + timedelta(days=1), "day").total
    assert today.epochs_known == 8
    assert today.epochs_withheld > 0, "what too few traded is told with the whole day, not before"


def test_a_day_goes_without_books_of_too_few_and_says_so(app: App, market: Market, clock: Any) -> None:
    at(clock, PLAIN + timedelta(days=1))
    first = midnight(PLAIN, BERLIN) // STEP
    for place in range(96):
        sellers = PRIVATE[:3] if place < 90 else PRIVATE[:1]
        asks = [(200_000, 100, 100, member) for member in sellers]
        sold = 100 * len(sellers)
        add_book(app, first + place, 250_000, [(250_000, sold, sold, PUBLIC)], asks)
    day_sums.keep(app.store, BERLIN, STEP, clock.now)
    kept, by_quarter = (market.prices(PLAIN, PLAIN, step).total for step in ("day", "quarter"))
    assert (kept.traded_wh, kept.epochs_withheld) == (90 * 300, 6)
    assert (by_quarter.traded_wh, by_quarter.epochs_withheld) == (kept.traded_wh, kept.epochs_withheld)
    month = market.prices(PLAIN.replace(day=1), PLAIN, "month").total
    assert (month.traded_wh, month.epochs_known, month.epochs) == (90 * 300, 96, 10 * 96)


def test_what_nobody_knows_is_unknown_and_nothing_traded_is_zero(app: App, market: Market, clock: Any) -> None:
    at(clock, PLAIN, 1)
    add_book(app, midnight(PLAIN, BERLIN) // STEP, 250_000, [(200_000, 500, 0, 1)], [])
    found = market.prices(PLAIN, PLAIN, "quarter")
    assert [step.traded_wh for step in found.steps[:2]] == [0, None]
    assert found.steps[0].price_micro_credits_per_kwh is None
    with app.store.write() as session:  # as settlement stands a moment after the boundary: priced, not logged yet
        session.add(
            SettlementEpoch(
                epoch=midnight(PLAIN, BERLIN) // STEP + 1, state="clearing", first_seen_ms=0, traded_wh=5,
                clearing_price=7,
            )
        )  # fmt: skip
    assert market.prices(PLAIN, PLAIN, "quarter").steps[1].traded_wh is None
    assert market.prices(PLAIN, PLAIN, "day").total.traded_wh == 0


def test_books_of_an_earlier_release_are_judged_with_their_day(app: App, market: Market, clock: Any) -> None:
    at(clock, PLAIN + timedelta(days=1), 2)
    add_days(app, PLAIN, 1, BERLIN, until=clock.now, judged=False)
    assert market.prices(PLAIN, PLAIN, "quarter").total.epochs_known < 10, "those without a book"
    day_sums.keep(app.store, BERLIN, STEP, clock.now)
    found = market.prices(PLAIN, PLAIN, "quarter").total
    assert found.epochs_known == 96
    assert 0 < found.epochs_withheld < 96


def test_a_year_is_read_from_its_days_and_grows_with_nothing(app: App, market: Market, clock: Any) -> None:
    at(clock, PLAIN + timedelta(days=2), 2)
    add_days(app, PLAIN, 3, BERLIN, until=clock.now)
    day_sums.keep(app.store, BERLIN, STEP, clock.now)
    with executed(app.store.engine) as statements:
        year = market.prices(date(2026, 1, 1), date(2026, 12, 31), "month")
        market.prices(PLAIN, PLAIN, "quarter")
        market.last_book()
        again = market.last_book()
    assert year.total.epochs_known == 2 * 96 + 8
    assert [step.traded_wh is None for step in year.steps] == [number != 5 for number in range(12)]
    assert sum("log_leaves" in text for text, _ in statements.executed) <= 2, "the book is read once"
    assert again.epoch == clock.now // STEP - 1
    assert statements.growing(app.store.engine) == []
    with executed(app.store.engine) as keeping:
        with app.store.write() as session:
            trades_changed(session, midnight(PLAIN, BERLIN) // STEP)
        day_sums.keep(app.store, BERLIN, STEP, clock.now)
    assert [text for text in keeping.growing(app.store.engine) if "FROM trade_days" not in text] == []


def test_the_last_book_is_told_by_price_without_members_or_not_at_all(app: App, market: Market, clock: Any) -> None:
    at(clock, PLAIN, 12)
    epoch = clock.now // STEP
    assert market.last_book().epoch is None
    asks = [(200_000, 300, 300, 0), (210_000, 100, 100, 1), (220_000, 600, 600, 2), (290_000, 50, 0, PUBLIC)]
    add_book(app, epoch - 3, 250_000, [(280_000, 1_000, 1_000, PUBLIC)], asks)
    book = market.last_book()
    assert (book.epoch, book.withheld, book.traded_wh, book.price_micro_credits_per_kwh) == (
        epoch - 3, False, 1_000, 250_000,
    )  # fmt: skip
    assert book.asks is not None
    assert [(each.lowest_price_micro_credits_per_kwh, each.quantity_wh) for each in book.asks] == [
        (200_000, 1_000),
        (290_000, 50),
    ]
    add_book(app, epoch - 2, 250_000, [(280_000, 400, 400, PUBLIC)], asks[:2])
    alone = market.last_book()
    assert (alone.epoch, alone.withheld, alone.bids, alone.asks, alone.traded_wh) == (
        epoch - 2, True, None, None, None,
    )  # fmt: skip
    at(clock, PLAIN + timedelta(days=2))
    assert market.last_book().epoch is None


def test_page_resource_and_csv_say_the_same_to_strangers(app: App, clock: Any) -> None:
    site = build(app)
    add_public_member(app)
    day = market_day(clock)
    add_days(app, day, 1, ZoneInfo("UTC"), until=clock.now)
    client = site.flask.test_client()
    told = client.get(f"/api/v1/market/prices?from={day}&step=quarter")
    assert told.headers["Cache-Control"] == "public, max-age=30"
    rows = list(csv.DictReader(io.StringIO(client.get(f"/market/prices.csv?from={day}&step=quarter").text)))
    zone = ZoneInfo(told.json["zone"])
    assert [
        {
            "starts": step["starts"],
            "ends": datetime.fromtimestamp(step["ends_at"], zone).isoformat(),
            **{name: "" if step[name] is None else str(step[name]) for name in FIGURES},
        }
        for step in told.json["steps"]
    ] == rows
    assert {name.split("_")[-1] for name in FIGURES if not name.startswith("epochs")} == {"wh", "kwh"}
    page = client.get(f"/market?day={day}", headers={"Accept": "text/html"})
    assert page.status_code == 200
    total = told.json["total"]
    assert f"{total['epochs_withheld']} of 96 books are left out" in page.text
    assert "books are missing, or not cleared yet" in page.text
    assert page.text.count('<rect class="traded"') == sum(step["traded_wh"] is not None for step in told.json["steps"])
    for name in ("Dormitory", "Library", app.home.settings.network.id):
        assert name not in page.text
    for url in (f"/market?day={day}", f"/api/v1/market/prices?from={day}", "/api/v1/market/book"):
        tag = client.get(url).headers["ETag"]
        assert client.get(url, headers={"If-None-Match": tag}).status_code == 304
    for bad in (
        "from=x", "step=week", "from=2026-06-21&to=2026-06-20", "from=2026-01-01&to=2026-03-01", "from=0001-01-01",
        "from=9999-12-31", "from=9999-12-01&step=month",
    ):  # fmt: skip
        assert client.get(f"/api/v1/market/prices?{bad}").status_code == 400, bad
        assert client.get(f"/market/prices.csv?{bad}").status_code == 400, bad
    assert client.get("/market?view=week").status_code == 200
    assert client.get("/market?view=week&day=x").status_code == 400


def market_day(clock: Any) -> date:
    """Today in UTC, at six in the evening."""
    clock.now += 18 * 3_600 - clock.now % 86_400
    return datetime.fromtimestamp(clock.now, UTC).date()
