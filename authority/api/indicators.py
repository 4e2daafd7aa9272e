"""How much of its energy the campus makes, uses and trades itself, what that costs, and its CO2: for everybody.

By day, month and year, from days that are summed once (authority.measures.public_days), by the definitions of
authority.measures.indicators. Energies are Wh, prices micro-credits per kWh, times Unix seconds, shares numbers from 0
to 1. What is not known is null.
"""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint, Schema, fields
from apiflask.validators import OneOf
from flask import Response
from sqlalchemy import select

from authority.api import days, tags
from authority.api.campus import described
from authority.api.schemas import schema_of
from authority.app import App
from authority.billing.calendar import days_between, local
from authority.market.clearing import WH_PER_KWH
from authority.market.disclosure import LEAST_MEMBERS
from authority.measures.indicators import Balance, co2_g, share
from authority.measures.public_days import LATE_DAYS
from authority.store.day_sums import PublicDay

STEPS = (days.DAY, days.MONTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorStep:
    """The campus in one step of the range, all members behind one grid point."""

    starts_at: int = described("Its beginning, Unix seconds.")
    ends_at: int = described("Its end, Unix seconds.")
    starts: str = described("Its beginning on the site's clock, with the offset.")
    days: int = described("Days in it.")
    days_known: int = described("How many of them are over and summed.")
    days_measured: int = described("In how many of these energy was measured, of enough members to be told.")
    members: int | None = described("Members with meters, on the day that had most; null where no day is known.")
    members_measured: int | None = described("Members that were measured, on the day that had fewest.")
    intervals: int = described("Intervals of one epoch in the days that are known.")
    intervals_measured: int = described("In how many of them each measured member's meters were read at both ends.")
    generation_wh: int | None = described("Generated.")
    consumption_wh: int | None = described("Used, without what went into batteries.")
    used_locally_wh: int | None = described("Of what was used, what was generated on the campus in the same interval.")
    imported_wh: int | None = described("Drawn from the grid by the campus as a whole.")
    exported_wh: int | None = described("Given to the grid by the campus as a whole.")
    self_sufficiency: float | None = described("used_locally_wh / consumption_wh.")
    self_consumption: float | None = described("used_locally_wh / generation_wh.")
    traded_wh: int | None = described("Energy that changed hands in the market.")
    traded_share_of_withdrawn: float | None = described(
        "Traded, of what members drew, over the days on which both may be told."
    )
    traded_share_of_minted: float | None = described(
        "Traded, of the surplus that became tokens, over the days on which both may be told."
    )
    price_micro_credits_per_kwh: int | None = described("The market's price, the mean by energy traded.")
    retail_price_micro_credits_per_kwh: int | None = described("What the grid's energy cost then.")
    feed_in_price_micro_credits_per_kwh: int | None = described("What feeding in brought then.")
    wheeling_micro_credits_per_kwh: int | None = described("What buyers paid on top of the market's price.")
    co2_emitted_g: int | None = described("CO2 of what was drawn from the grid; null without a factor.")
    co2_avoided_g: int | None = described("CO2 of what was used and not drawn; negative where batteries drew more.")
    lowest_co2_g_per_kwh: int | None = described("The grid's factor; the lowest, where it changed.")
    highest_co2_g_per_kwh: int | None = described("The highest.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicators:
    """The campus over a range of days, in steps, and together."""

    zone: str = described("The site's time zone, whose days these are.")
    step: Literal["day", "month"] = described("What the steps are.")
    interval_seconds: int = described("Within intervals of so many seconds energy counts as used where it was made.")
    least_members: int = described("A figure is of at least so many members who keep to themselves, or of none.")
    late_days: int = described("An incomplete day is told so many days after its end.")
    co2_sources: tuple[str, ...] = described("Who says what the grid's energy emits.")
    steps: tuple[IndicatorStep, ...] = described("The steps, in order, without a gap.")
    total: IndicatorStep = described("All of it together.")


class IndicatorsQuery(Schema):
    """Which days, and in which steps."""

    first = fields.Date(
        data_key="from", load_default=None, metadata={"description": "The first day at the site; today."}
    )
    last = fields.Date(data_key="to", load_default=None, metadata={"description": "The last day, included; as `from`."})
    step = fields.String(
        load_default=days.DAY, validate=OneOf(STEPS), metadata={"description": "day (at most 92) or month."}
    )


def _sum(rows: Sequence[PublicDay], name: str) -> int | None:
    """A column's sum over the days that have it; None where none has."""
    found = [value for row in rows if (value := getattr(row, name)) is not None]
    return sum(found) if found else None


def _share_traded(rows: Sequence[PublicDay], of: str) -> float | None:
    both = [row for row in rows if not row.books_withheld and getattr(row, of) is not None]
    return share(sum(row.traded_wh for row in both), _sum(both, of) or 0)


def _mean(rows: Sequence[PublicDay], name: str) -> int | None:
    """A price, the mean by energy, to the nearest whole."""
    wh = sum(row.traded_wh for row in rows)
    return (sum(getattr(row, name) for row in rows) * WH_PER_KWH + wh // 2) // wh if wh else None


def _balance(row: PublicDay) -> Balance | None:
    parts = (row.generation_wh, row.consumption_wh, row.used_locally_wh, row.imported_wh, row.exported_wh)
    return None if None in parts else Balance(*(part for part in parts if part is not None))


def _step(rows: Sequence[PublicDay], start: int, end: int, zone: ZoneInfo) -> IndicatorStep:
    measured = [(row, balance) for row in rows if (balance := _balance(row)) is not None]
    factors = [(balance, row.co2_g_per_kwh) for row, balance in measured if row.co2_g_per_kwh is not None]
    co2 = [co2_g(balance, factor) for balance, factor in factors]
    used = _sum(rows, "used_locally_wh")
    consumption, generation = _sum(rows, "consumption_wh"), _sum(rows, "generation_wh")
    told = [row for row in rows if row.traded_wh or not row.books_withheld]
    return IndicatorStep(
        starts_at=start,
        ends_at=end,
        starts=days.stamp(start, zone),
        days=sum(1 for _ in days_between(start, end, zone)),
        days_known=len(rows),
        days_measured=len(measured),
        members=max((row.members for row in rows), default=None),
        members_measured=min((row.members_measured for row in rows), default=None),
        intervals=sum(row.intervals for row in rows),
        intervals_measured=sum(row.intervals_measured for row in rows),
        generation_wh=generation,
        consumption_wh=consumption,
        used_locally_wh=used,
        imported_wh=_sum(rows, "imported_wh"),
        exported_wh=_sum(rows, "exported_wh"),
        self_sufficiency=None if used is None else share(used, consumption or 0),
        self_consumption=None if used is None else share(used, generation or 0),
        traded_wh=_sum(told, "traded_wh"),
        traded_share_of_withdrawn=_share_traded(rows, "withdrawn_wh"),
        traded_share_of_minted=_share_traded(rows, "minted_wh"),
        price_micro_credits_per_kwh=_mean(rows, "price_value"),
        retail_price_micro_credits_per_kwh=_mean(rows, "retail_value"),
        feed_in_price_micro_credits_per_kwh=_mean(rows, "feed_in_value"),
        wheeling_micro_credits_per_kwh=_mean(rows, "wheeling_value"),
        co2_emitted_g=sum(emitted for emitted, _ in co2) if co2 else None,
        co2_avoided_g=sum(avoided for _, avoided in co2) if co2 else None,
        lowest_co2_g_per_kwh=min((factor for _, factor in factors), default=None),
        highest_co2_g_per_kwh=max((factor for _, factor in factors), default=None),
    )


class CampusIndicators:
    """The query layer over an opened authority."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.zone = ZoneInfo(app.home.settings.site.zone)

    def today(self) -> date:
        """Today at the site."""
        return local(self._app.clock(), self.zone).date()

    def last_known(self) -> date | None:
        """The last day that is known; None before the first."""
        with self._app.store.read() as session:
            day = session.scalar(select(PublicDay.day).order_by(PublicDay.day.desc()).limit(1))
        return None if day is None else local(day, self.zone).date()

    def over(self, first: date, last: date, step: str) -> Indicators:
        """The days first to last, both included; DaysInvalidError."""
        seconds = self._app.home.settings.epoch.seconds
        edges = list(days.buckets(first, last, step, self.zone, seconds))
        starts, begin, end = [start for start, _ in edges], edges[0][0], edges[-1][1]
        parts: list[list[PublicDay]] = [[] for _ in edges]
        with self._app.store.read() as session:
            asked = select(PublicDay).where(PublicDay.day >= begin, PublicDay.day < end).order_by(PublicDay.day)
            rows = session.scalars(asked).all()
            for row in rows:
                parts[bisect.bisect_right(starts, row.day) - 1].append(row)
            return Indicators(
                zone=str(self.zone),
                step=step,  # type: ignore[arg-type]  # the callers give no other
                interval_seconds=seconds,
                least_members=LEAST_MEMBERS,
                late_days=LATE_DAYS,
                co2_sources=tuple(sorted({row.co2_source for row in rows if row.co2_source})),
                steps=tuple(
                    _step(its, start, stop, self.zone) for its, (start, stop) in zip(parts, edges, strict=True)
                ),
                total=_step(rows, begin, end, self.zone),
            )


EXAMPLE_STEP = {
    "starts_at": 1_781_974_800,
    "ends_at": 1_782_061_200,
    "starts": "2026-06-21T00:00:00+07:00",
    "days": 1,
    "days_known": 1,
    "days_measured": 1,
    "members": 14,
    "members_measured": 14,
    "intervals": 96,
    "intervals_measured": 96,
    "generation_wh": 412_000,
    "consumption_wh": 530_000,
    "used_locally_wh": 318_000,
    "imported_wh": 212_000,
    "exported_wh": 94_000,
    "self_sufficiency": 0.6,
    "self_consumption": 0.771845,
    "traded_wh": 121_000,
    "traded_share_of_withdrawn": 0.403333,
    "traded_share_of_minted": 0.65,
    "price_micro_credits_per_kwh": 248_000,
    "retail_price_micro_credits_per_kwh": 300_000,
    "feed_in_price_micro_credits_per_kwh": 80_000,
    "wheeling_micro_credits_per_kwh": 20_000,
    "co2_emitted_g": 80_560,
    "co2_avoided_g": 120_840,
    "lowest_co2_g_per_kwh": 380,
    "highest_co2_g_per_kwh": 380,
}
EXAMPLE = {
    "zone": "Asia/Bangkok",
    "step": "day",
    "interval_seconds": 900,
    "least_members": LEAST_MEMBERS,
    "late_days": LATE_DAYS,
    "co2_sources": ["The grid operator's report of 2025, table 3"],
    "steps": [EXAMPLE_STEP],
    "total": EXAMPLE_STEP,
}


def blueprint(indicators: CampusIndicators) -> APIBlueprint:
    """The public resource."""
    public = APIBlueprint("indicators", __name__, url_prefix="/api/v1", tag="Public")

    @public.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PUBLIC)

    @public.get("/indicators")
    @public.input(IndicatorsQuery, location="query", arg_name="query")
    @public.output(schema_of(Indicators), description="The indicators.", example=EXAMPLE)
    @public.doc(
        operation_id="get_indicators",
        summary="Self-sufficiency, self-consumption, share traded, prices and CO2 by day or month",
        description=(
            "In the site's time zone; at most 92 days by day, 366 by month. A day is told when it is over and "
            "complete, or three days later with what there is, and stays so. Sums of too few members are null."
        ),
        responses={400: "The query is wrong."},
    )
    def over(query: dict[str, Any]) -> dict[str, Any]:
        first: date = query["first"] or indicators.today()
        return asdict(indicators.over(first, query["last"] or first, query["step"]))

    return public
