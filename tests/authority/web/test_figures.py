"""Figures in words: exact, grouped, and a dash where nothing is known."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from authority.language import reading
from authority.web import figures

NARROW = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("watts", "text"),
    [
        (None, "–"),
        (0, "0.0 kW"),
        (49, "0.0 kW"),
        (50, "0.1 kW"),
        (949, "0.9 kW"),
        (950, "1.0 kW"),
        (-20_250, f"{MINUS}20.3 kW"),
        (-49, "0.0 kW"),
        (1_234_567, f"1{NARROW}234.6 kW"),
    ],
)
def test_kilowatts(watts, text):
    assert figures.kilowatts(watts) == text


@pytest.mark.parametrize(
    ("watt_hours", "text"),
    [
        (None, "–"),
        (0, "0.000 kWh"),
        (1, "0.001 kWh"),
        (4_392, "4.392 kWh"),
        (2**64 - 1, NARROW.join(["18", "446", "744", "073", "709", "551"]) + ".615 kWh"),
    ],
)
def test_kilowatt_hours_keep_every_watt_hour(watt_hours, text):
    assert figures.kilowatt_hours(watt_hours) == text


@pytest.mark.parametrize(
    ("price", "text"),
    [(None, "–"), (0, "0.000"), (150_000, "0.150"), (164_623, "0.164623"), (1_000_000, "1.000"), (1_234_500, "1.2345")],
)
def test_prices_are_exact(price, text):
    assert figures.credits_per_kwh(price) == text


def test_ages_and_lengths():
    assert [figures.ago(s) for s in (0, 1, 2, 119, 120, 7199, 7200, 172_799, 172_800, 7_776_000)] == [
        "now",
        "now",
        "2 s ago",
        "119 s ago",
        "2 min ago",
        "119 min ago",
        "2 h ago",
        "47 h ago",
        "2 days ago",
        "90 days ago",
    ]
    assert [figures.length(s) for s in (1, 20, 60, 900, 3600, 90)] == [
        "1 second",
        "20 seconds",
        "1 minute",
        "15 minutes",
        "1 hour",
        "90 seconds",
    ]
    assert [figures.clock(s) for s in (-3, 0, 7, 60, 899)] == ["0:00", "0:00", "0:07", "1:00", "14:59"]
    assert [figures.amount_of_time(s) for s in (0, 59, 60, 3599, 3600, 12_600)] == [
        "less than a minute",
        "less than a minute",
        "1 minute",
        "59 minutes",
        "1.0 hours",
        "3.5 hours",
    ]


def test_what_is_long_ago_has_its_day_at_the_site():
    at, zone = int(datetime(2026, 8, 31, 20, tzinfo=UTC).timestamp()), ZoneInfo("Asia/Bangkok")
    ages = [figures.since(at, at + days * 86_400, zone) for days in (0, 1, 2, 29, 30, 400)]
    assert ages == ["now", "24 h ago", "2 days ago", "29 days ago", "1 Sep 2026", "1 Sep 2026"]
    with reading.reading("th"):
        assert figures.since(at, at + 30 * 86_400, zone) == "1 ก.ย. 2569"


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0.4, "0 days"),
        (12.6, "13 days"),
        (3_650.0, f"3{NARROW}650 days"),
        (3_650.1, "more than ten years"),
        (4_477_933.0, "more than ten years"),
    ],
)
def test_how_long_money_lasts_is_a_figure_up_to_ten_years(days, text):
    assert figures.days_left(days) == text


@pytest.mark.parametrize("wh", [None, 0, 1_234_567, -50])
def test_in_a_column_a_head_has_the_unit(wh):
    assert figures.kilowatt_hours(wh) == figures.kilowatt_hours_in_column(wh) + ("" if wh is None else " kWh")
