"""The public page of the campus's indicators: how much it makes, uses and trades itself, prices, and CO2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import days, tags
from authority.api.indicators import CampusIndicators, Indicators, IndicatorStep
from authority.language.reading import gettext
from authority.web import answers, ranges
from authority.web.figures import MINUS, UNKNOWN, credits_per_kwh, grouped

WIDTH, HEIGHT = 960, 200
STEPS = {"day": days.DAY, "month": days.DAY, "year": days.MONTH}
"""In what steps each range is shown."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A step in the chart: x and width, how high its self-sufficiency stands, and what it says."""

    x: int
    width: int
    height: int
    label: str


def percent(part: float | None) -> str:
    """A share as per cent with one decimal."""
    if part is None:
        return UNKNOWN
    thousandths = round(part * 1_000)
    return f"{thousandths // 10}.{thousandths % 10} %"


def kilograms(grams: int | None) -> str:
    """A mass in kg with one decimal."""
    if grams is None:
        return UNKNOWN
    tenths = (abs(grams) + 50) // 100
    return f"{MINUS if grams < 0 and tenths else ''}{grouped(tenths // 10)}.{tenths % 10} kg"


def bars(found: Indicators, labels: Sequence[str]) -> list[Bar]:
    """The steps whose self-sufficiency is known."""
    slot = WIDTH // max(1, len(found.steps))
    width = max(1, slot - (2 if slot > 5 else 0))
    return [
        Bar(
            place * slot,
            width,
            round(step.self_sufficiency * HEIGHT),
            gettext("%(step)s: %(share)s", step=labels[place], share=percent(step.self_sufficiency)),
        )
        for place, step in enumerate(found.steps)
        if step.self_sufficiency is not None
    ]


def sentence(total: IndicatorStep) -> str:
    """A range in words."""
    if not total.days_known:
        return gettext("Nothing is known of this time yet.")
    if not total.days_measured:
        return gettext(
            "Energy of this time was not measured, or of so few members that a sum would reveal one of them."
        )
    if total.self_sufficiency is None:
        return gettext("Nothing was used.")
    return gettext("The campus made %(share)s of what it used.", share=percent(total.self_sufficiency))


def market_sentence(total: IndicatorStep) -> str:
    """The market's price beside what energy costs without it."""
    price, retail = total.price_micro_credits_per_kwh, total.retail_price_micro_credits_per_kwh
    feed_in, wheeling = total.feed_in_price_micro_credits_per_kwh, total.wheeling_micro_credits_per_kwh
    if price is None or retail is None or feed_in is None or wheeling is None:
        return ""
    return gettext(
        "Buyers paid %(bought)s credits per kWh with wheeling, and %(retail)s from the grid; sellers got %(price)s "
        "before the fee, and %(feed_in)s for feeding in.",
        bought=credits_per_kwh(price + wheeling),
        retail=credits_per_kwh(retail),
        price=credits_per_kwh(price),
        feed_in=credits_per_kwh(feed_in),
    )


def notes(found: Indicators) -> list[str]:
    """What the figures lack, and why."""
    total, told = found.total, []
    if total.days_known < total.days:
        told.append(
            gettext(
                "%(known)s of %(count)s days are known: a day is told when it is over and complete, at the latest "
                "%(late)s days later.",
                known=grouped(total.days_known),
                count=grouped(total.days),
                late=found.late_days,
            )
        )
    if total.days_measured < total.days_known:
        told.append(
            gettext(
                "The energy of %(count)s days is left out: it was not measured, or is of fewer than %(least)s members.",
                count=grouped(total.days_known - total.days_measured),
                least=found.least_members,
            )
        )
    if total.intervals_measured < total.intervals:
        told.append(
            gettext(
                "%(measured)s of %(count)s intervals were measured.",
                measured=grouped(total.intervals_measured),
                count=grouped(total.intervals),
            )
        )
    if total.members is not None and total.members_measured is not None and total.members_measured < total.members:
        told.append(
            gettext(
                "On the day with the fewest, %(measured)s of %(count)s members were measured.",
                measured=grouped(total.members_measured),
                count=grouped(total.members),
            )
        )
    return told


def coming(known: date | None, today: date, late_days: int) -> str:
    """When the next day's figures come."""
    day = today if known is None else min(known + timedelta(days=1), today)
    return gettext(
        "The next figures are those of %(day)s: they come when it is over and complete, on %(latest)s at the latest.",
        day=ranges.on_day(day),
        latest=ranges.on_day(day + timedelta(days=1 + late_days)),
    )


def blueprint(indicators: CampusIndicators) -> Blueprint:
    """The page over the query layer."""
    pages = Blueprint("indicator_pages", __name__)

    @pages.after_request
    def tag(response: Response) -> Response:
        return tags.of_a_public_page(response)

    @pages.get("/indicators")
    def indicators_page() -> Response:
        today = indicators.today()
        view = ranges.view_of(request.args.get("view", "month"))
        known = indicators.last_known()
        asked_day = request.args.get("day", "")
        first, last = ranges.around(view, ranges.day_of(asked_day, today) if asked_day else min(known or today, today))
        found = indicators.over(first, last, STEPS[view])
        named = "month" if view == "day" else view
        asked = f"from={first}&to={last}&step={STEPS[view]}"
        labels = [ranges.label(step.starts_at, named, indicators.zone) for step in found.steps]
        text = render_template(
            "indicators.html",
            view=view,
            first=first,
            last=last,
            before=ranges.around(view, first - timedelta(days=1))[0],
            after=last + timedelta(days=1),
            is_last=last >= today,
            title=ranges.title(view, first),
            found=found,
            total=found.total,
            step_labels=dict(zip((step.starts_at for step in found.steps), labels, strict=True)),
            marks=ranges.marks(labels, named),
            bars=bars(found, labels),
            words=sentence(found.total),
            market_words=market_sentence(found.total),
            notes=notes(found),
            coming=coming(known, today, found.late_days) if last >= (known or first) else "",
            percent=percent,
            kilograms=kilograms,
            width=WIDTH,
            height=HEIGHT,
            json=f"{url_for('indicators.over')}?{asked}",
            csv=f"{url_for('indicator_files.as_csv')}?{asked}",
            xlsx=f"{url_for('indicator_files.as_xlsx')}?{asked}",
        )
        return answers.page(text)

    return pages
