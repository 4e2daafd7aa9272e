"""The page of plots by small examples: round numbers, lines that break, long times in steps, many members."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from authority.simulation import plots
from authority.simulation.charts import Axis, Page, label, ticks
from authority.simulation.errors import ResultsMissingError
from authority.simulation.plots import MOST_MEMBERS, Results

START = 1_780_272_000  # 1 June 2026


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.0, 0.3, [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]),
        (-45.2, 93.5, [-50.0, -25.0, 0.0, 25.0, 50.0, 75.0, 100.0]),
        (0.0, 0.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 7.0, [0.0, 2.0, 4.0, 6.0, 8.0]),
    ],
)
def test_ticks_are_round_and_span_all(low: float, high: float, found: list[float]) -> None:
    assert ticks(low, high) == found


def test_numbers_are_as_short_as_they_are() -> None:
    assert [label(value) for value in (0.0, -2.5, 1_250.0, 0.05)] == ["0", "\N{MINUS SIGN}2.5", "1,250", "0.05"]


def test_a_step_line_breaks_where_nothing_is_known() -> None:
    page = Page(100, 100)
    page.steps([(0, 1, 1.0), (1, 2, 2.0), (2, 3, None), (3, 4, 0.0)], Axis(0, 4, 0, 40), Axis(0, 2, 20, 0), "#000000")
    assert 'd="M0.0 10.0H10.0V0.0H20.0M30.0 20.0H40.0"' in page.svg("", "")


def results(days: int, members: int, seconds: int = 3_600) -> Results:
    """A campus whose every epoch is alike, but for one with a peak."""
    first, count = START // seconds, days * 86_400 // seconds
    epochs = [
        {
            "epoch": str(first + number),
            "import_wh": "9000" if number == 30 else "2000",
            "export_wh": "0",
            "minted_wh": "500",
            "withdrawn_wh": "2500",
            "traded_wh": "400",
            "price": "" if number % 2 else "200000",
            "retail_price": "300000",
            "feed_in_price": "80000",
        }
        for number in range(count)
    ]
    people = [
        {
            "member": f"Flat & {number}",
            "consumption_wh": str(number),
            "self_sufficiency": "0.5",
            "paid": "1000000",
            "paid_without_market": "3000000",
            "gain": "2000000",
        }
        for number in range(members)
    ]
    simulation: dict[str, Any] = {
        "start": START,
        "days": days,
        "buildings": 1,
        "members": members,
        "seed": 1,
        "epoch_seconds": seconds,
        "parameters": {"retail_price": 300_000, "feed_in_price": 80_000, "wheeling": 20_000},
    }
    measures = {"self_sufficiency": {"together": 0.6}}
    return Results({"simulation": simulation, "measures": measures}, epochs, people, [], [])


def words_of(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314


def test_a_month_is_in_steps_of_hours_and_keeps_its_peak() -> None:
    words = words_of(plots.page(results(30, 2)))
    assert "Price, credits per kWh, mean of each 3 hours by energy" in words
    assert "Power at the grid point, kW, greatest of each 3 hours" in words
    assert "9.0 kW, 2 Jun 06:00" in words
    assert "wheeling 0.020 credits per kWh" in " ".join(words)


def test_some_days_are_shown_epoch_by_epoch() -> None:
    words = words_of(plots.page(results(30, 2), first_day=2, days=1))
    assert "Price, credits per kWh" in words
    assert "06:00" in words
    with pytest.raises(ResultsMissingError, match="has 30 days: there is no day 31"):
        plots.page(results(30, 2), first_day=31)


def test_of_many_members_those_that_use_the_most_are_shown() -> None:
    words = words_of(plots.page(results(1, MOST_MEMBERS + 5)))
    shown = [each for each in words if each.startswith("Flat & ")]
    assert shown == [f"Flat & {number}" for number in range(5, MOST_MEMBERS + 5)]
    assert any("members.csv has the 5 others" in each for each in words)
