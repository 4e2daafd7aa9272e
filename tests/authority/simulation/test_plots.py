"""The page of plots by small examples: round numbers, lines that break, long times in steps, many members."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from authority.cli import main
from authority.errors import USAGE
from authority.simulation import plots, side_by_side
from authority.simulation.charts import COLOURS, Axis, Page, label, ticks
from authority.simulation.errors import ResultsMissingError, ResultsUnlikeError
from authority.simulation.plots import MOST_MEMBERS, Results
from authority.simulation.runs import FIGURES

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
    measures: dict[str, Any] = {}
    for figure in FIGURES:
        measures.setdefault(figure.path[0], {})[figure.path[1]] = None if figure.column.kind == "number" else 1_000
    measures["self_sufficiency"]["together"] = 0.6
    told = {"simulation": simulation, "measures": measures, "audit": {"ok": True}}
    return Results(told, epochs, people, [], [])


def words_of(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314


def test_a_month_is_in_steps_of_hours_and_keeps_its_peak() -> None:
    words = words_of(plots.page(results(30, 2)))
    assert "Price, credits per kWh, mean of each 3 hours by energy" in words
    assert "Power at the grid point, kW, greatest of each 3 hours" in words
    assert "9.0 kW, 2 Jun 06:00 UTC" in words
    assert "wheeling 0.020 credits per kWh; times are UTC" in " ".join(words)
    assert words.count("UTC") == 3, "each panel over time says the zone"


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


def dearer(of: Results, factor: int = 2) -> Results:
    """The same campus with prices so many times as high."""
    prices = ("price", "retail_price", "feed_in_price")
    epochs = [
        {**row, **{name: str(factor * int(row[name])) if row[name] else "" for name in prices}} for row in of.epochs
    ]
    return replace(of, epochs=epochs)


def test_two_runs_are_on_one_page_each_in_its_colour_with_their_figures() -> None:
    cheap = results(1, 2)
    svg = side_by_side.page({"today": cheap, "dearer & dearer": dearer(cheap)})
    words = words_of(svg)
    assert words.count("UTC") == 3
    assert "1 day from 1 June 2026; times are UTC" in words
    # in the list of runs, in three legends, and over the table
    assert words.count("today") == words.count("dearer & dearer") == 5
    assert words.count("self sufficiency") == 1
    assert words.count("60.0 %") == 2
    assert words.count("mean price, credits per kWh") == 1
    assert [words.count(each) for each in ("Flat & 0", "Flat & 1")] == [1, 1]
    assert "0.6" in words, "the dearer run's retail price is on the scale"
    # four step lines of bounds and one of the price, of energy and of power, for two runs
    colours = [each.get("stroke") for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")]  # noqa: S314
    assert colours.count(COLOURS[0]) == colours.count(COLOURS[1]) == 5 + 4  # and in four legends


def test_a_member_of_one_run_alone_is_shown_for_it_alone() -> None:
    svg = side_by_side.page({"few": results(1, 1), "more": results(1, 3)})
    dots = [each.get("fill") for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}circle")]  # noqa: S314
    assert len(dots) == 2 * (1 + 3)
    many = words_of(side_by_side.page({"few": results(1, 1), "many": results(1, MOST_MEMBERS + 5)}))
    assert any("members.csv of each run has the 5 others" in each for each in many)


def test_runs_of_epochs_of_another_length_are_drawn_in_steps_of_the_longer() -> None:
    words = words_of(side_by_side.page({"quarters": results(1, 1, 900), "hours": results(1, 1)}))
    assert "Traded, kWh in each hour" in words
    nobody = replace(results(1, 0), epochs=[{**row, "price": "", "import_wh": "0"} for row in results(1, 0).epochs])
    assert "gini of gains" in words_of(side_by_side.page({"nobody": nobody, "hours": results(1, 1)}))


def test_runs_that_cannot_be_drawn_together_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = results(1, 1)
    with pytest.raises(ResultsUnlikeError, match="a page shows 2 to 6 simulations, and these are 7"):
        side_by_side.page({str(number): one for number in range(7)})
    with pytest.raises(ResultsUnlikeError, match=r"other times \(one: 1 day from 1 June 2026; two: 2 days from"):
        side_by_side.page({"one": one, "two": results(2, 1)})
    with pytest.raises(ResultsMissingError, match="there is no day 2"):
        side_by_side.page({"one": one, "two": one}, first_day=2)
    into = tmp_path / "into"
    a, b = tmp_path / "a", tmp_path / "b"
    for words, message in (
        ([str(a), str(b)], "name the directory where their plots go with --into"),
        ([str(a), str(a), "--into", str(into)], "a directory is named twice"),
        ([str(a), str(b), "--into", str(into)], "has no tables of a finished simulation"),
    ):
        assert main(["plot", *words]) == USAGE
        assert message in capsys.readouterr().err
    assert not into.exists()
