"""The campus's days for the public: as the indicators define them, of enough members, once, and with gaps."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sample_campus_days import STEP, add_members, add_reading
from sample_market import add_days, add_public_member
from sqlalchemy import select
from statements import executed

from authority.api.indicators import CampusIndicators
from authority.app import App
from authority.home.errors import HomeConfigError
from authority.home.settings import Settings, SiteSettings
from authority.measures import public_days
from authority.measures.indicators import Balance, Flow, co2_g
from authority.settlement import day_sums
from authority.store.day_sums import MarketDay, PublicDay
from authority.store.metering import Frame, Meter

UTC_ZONE = ZoneInfo("UTC")
DAY = date(2026, 6, 10)
BEGIN = int(datetime(2026, 6, 10, tzinfo=UTC).timestamp())
NAMES = ("Hall 1", "Hall 2", "Hall 3")


@pytest.fixture
def store_url() -> str:
    return ""


def flows(seed: int, *, makes: bool = True) -> list[tuple[int, int]]:
    """A day of a building, by quarters: sun by day, use all day."""
    chance = random.Random(seed)  # noqa: S311 - energies, not keys
    return [
        (chance.randrange(0, 3_000) if makes and 24 <= place < 72 else 0, chance.randrange(100, 1_500))
        for place in range(96)
    ]


def with_market(app: App, clock: Any) -> None:
    """The day's books, summed, a few hours after the day's end."""
    add_public_member(app)
    clock.now = BEGIN + 86_400 + 3 * 3_600
    add_days(app, DAY, 2, UTC_ZONE, until=clock.now)
    day_sums.keep(app.store, UTC_ZONE, STEP, clock.now)


def kept(app: App) -> PublicDay:
    with app.store.read() as session:
        (row,) = session.scalars(select(PublicDay)).all()
        session.expunge(row)
    return row


def test_a_day_is_what_all_meters_together_say_by_quarters(app: App, clock: Any) -> None:
    app.home.save(
        replace(app.home.settings, site=SiteSettings(grid_co2_g_per_kwh=380, grid_co2_source="Grid report 2025"))
    )
    its = {name: flows(seed) for seed, name in enumerate(NAMES)}
    add_members(app, its, BEGIN)
    with_market(app, clock)
    assert public_days.keep(app) == 1
    assert public_days.keep(app) == 0, "once"
    row = kept(app)
    together = Balance.of(
        Flow(sum(quarter[0] for quarter in each), sum(quarter[1] for quarter in each))
        for each in zip(*its.values(), strict=True)
    )
    assert (row.generation_wh, row.consumption_wh, row.used_locally_wh, row.imported_wh, row.exported_wh) == (
        together.generation, together.consumption, together.used_locally, together.imported, together.exported,
    )  # fmt: skip
    assert (row.members, row.members_measured, row.intervals, row.intervals_measured) == (3, 3, 96, 96)
    assert row.withdrawn_wh == sum(max(0, used - made) for each in its.values() for made, used in each)
    with app.store.read() as session:
        market = session.scalars(select(MarketDay)).one()
        assert (row.traded_wh, row.books_withheld) == (market.traded_wh, 0)
        assert row.price_value == market.value_micro_credits
    found = CampusIndicators(app).over(DAY, DAY, "day").total
    assert found.self_sufficiency == together.self_sufficiency
    assert found.self_consumption == together.self_consumption
    assert (found.co2_emitted_g, found.co2_avoided_g) == co2_g(together, 380)
    assert found.traded_share_of_withdrawn == round(market.traded_wh / row.withdrawn_wh, 6)
    assert (
        found.wheeling_micro_credits_per_kwh, found.retail_price_micro_credits_per_kwh,
        found.feed_in_price_micro_credits_per_kwh,
    ) == (20_000, 300_000, 80_000)  # fmt: skip
    assert 180_000 <= found.price_micro_credits_per_kwh <= 300_000
    month = CampusIndicators(app).over(DAY.replace(day=1), DAY.replace(day=30), "day")
    assert (month.total.days, month.total.days_known) == (30, 1)
    assert [step.self_sufficiency is None for step in month.steps] == [place != 9 for place in range(30)]
    assert month.co2_sources == ("Grid report 2025",)


@pytest.mark.parametrize(("public", "told"), [((), False), (("Hall 1",), False), (("Hall 1", "Hall 2"), True)])
def test_what_one_or_two_private_members_made_is_in_no_sum(
    app: App, clock: Any, public: tuple[str, ...], told: bool
) -> None:
    its = {name: flows(seed, makes=seed < 2) for seed, name in enumerate((*NAMES, "Hall 4", "Hall 5"))}
    add_members(app, its, BEGIN, public)
    with_market(app, clock)
    public_days.keep(app)
    row = kept(app)
    assert (row.generation_wh is not None, row.imported_wh is not None) == (told, told)
    assert row.intervals_measured == 96
    found = CampusIndicators(app).over(DAY, DAY, "day").total
    assert (found.days_known, found.days_measured) == (1, int(told))
    assert (found.self_sufficiency is not None) == told


def test_a_gap_is_unknown_waited_for_and_then_said_for_good(app: App, clock: Any) -> None:
    its = {name: flows(seed) for seed, name in enumerate(NAMES)}
    add_members(app, its, BEGIN)
    missing = BEGIN + 40 * STEP
    with app.store.write() as session:
        meter = session.scalars(select(Meter).order_by(Meter.id)).first()
        lost = session.scalars(select(Frame).where(Frame.interval_end == missing, Frame.meter_pk == meter.id)).one()
        made, used = lost.record.generation, lost.record.consumption
        session.delete(lost)
    with_market(app, clock)
    assert public_days.keep(app) == 0, "it may still come"
    clock.now = BEGIN + (1 + public_days.LATE_DAYS) * 86_400
    assert public_days.keep(app) == 1
    row = kept(app)
    assert (row.intervals, row.intervals_measured) == (96, 94)
    measured = [place for place in range(96) if place not in (39, 40)]
    assert row.consumption_wh == sum(its[name][place][1] for name in NAMES for place in measured)
    with app.store.write() as session:
        add_reading(app, session, session.scalars(select(Meter).order_by(Meter.id)).first(), missing, made, used)
    assert public_days.keep(app) == 0
    assert kept(app).consumption_wh == row.consumption_wh, "or the difference would be one member's"


def test_a_silent_member_is_left_out_and_counted(app: App, clock: Any) -> None:
    its = {name: flows(seed) for seed, name in enumerate((*NAMES, "Hall 4"))}
    add_members(app, its, BEGIN)
    with app.store.write() as session:
        meter = session.scalars(select(Meter).order_by(Meter.id.desc())).first()
        for frame in session.scalars(select(Frame).where(Frame.meter_pk == meter.id, Frame.interval_end > BEGIN)):
            frame.interval_end += 30 * 86_400
        first = session.scalars(select(Frame).where(Frame.meter_pk == meter.id).order_by(Frame.log_index)).first()
        first.interval_end -= 86_400
    with_market(app, clock)
    clock.now = BEGIN + (1 + public_days.LATE_DAYS) * 86_400
    assert public_days.keep(app) == 1
    row = kept(app)
    assert (row.members, row.members_measured, row.intervals_measured) == (4, 3, 96)
    assert row.consumption_wh == sum(quarter[1] for name in NAMES for quarter in its[name])


def test_neither_keeping_nor_reading_grows_with_history(app: App, clock: Any) -> None:
    add_members(app, {name: flows(seed) for seed, name in enumerate(NAMES)}, BEGIN)
    with_market(app, clock)
    with executed(app.store.engine) as statements:
        public_days.keep(app)
        CampusIndicators(app).over(date(2026, 1, 1), date(2026, 12, 31), "month")
    assert statements.growing(app.store.engine) == []


def test_a_factor_has_a_source() -> None:
    for site in (
        SiteSettings(grid_co2_g_per_kwh=380), SiteSettings(grid_co2_source="x"), SiteSettings(grid_co2_g_per_kwh=-1),
    ):  # fmt: skip
        with pytest.raises(HomeConfigError, match="grid_co2"):
            Settings(site=site).check()
