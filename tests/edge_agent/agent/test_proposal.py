"""What a display shows against what the meter sends, and the map that is proposed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.agent.proposal import (
    UNITS,
    Figure,
    FigureError,
    RegisterNotShownError,
    capture_period,
    compare,
    meaning,
    needs_zone,
    profile_kind,
    propose,
    sources,
)
from edge_agent.wire.meter_map import unit_in_wh


def found(registers, profile=(), clock=None):
    shown = {code: {"value": value, "unit": unit} for code, (value, unit) in registers.items()}
    return {"meter": "KFM1", "clock": clock, "registers": shown, "profile": list(profile)}


@pytest.mark.parametrize(
    ("text", "wh", "step"),
    [
        ("13925.5", 13_925_500, 100),
        ("13 925,5 kWh", 13_925_500, 100),
        ("8582328 Wh", 8_582_328, 1),
        ("12.345 MWh", 12_345_000, 1_000),
        ("000125", 125_000, 1_000),
    ],
)
def test_a_figure_is_read_as_displays_show_it(text, wh, step):
    assert Figure.parse(text) == (wh, step)


@pytest.mark.parametrize("text", ["", "kWh", "1.2.3", "-5", "5 kW", "1e3", "five"])
def test_a_figure_that_is_none(text):
    with pytest.raises(FigureError):
        Figure.parse(text)


@given(st.sampled_from(UNITS), st.integers(1_000, 10**9))
def test_the_unit_of_a_register_is_found_by_its_display(unit, value):
    """Whatever it counts in, one figure tells it, where the display has the meter's digits."""
    wh = Fraction(value) * unit_in_wh(unit)
    compared = compare(str(value), None, Figure(wh, Fraction(1)))
    assert (compared.fits, compared.unit) == (True, unit)


@given(st.integers(0, 10**10), st.integers(0, 10**10))
def test_a_stated_unit_is_held_to(value, shown):
    compared = compare(str(value), "Wh", Figure(Fraction(shown), Fraction(1)))
    assert compared.fits == (abs(value - shown) <= 2)


def test_nothing_is_concluded_from_nought():
    compared = compare("0", None, Figure.parse("0"))
    assert (compared.fits, compared.ambiguous) == (False, True)


def test_totals_come_before_tariffs():
    both = {"1-0:1.8.0.255": ("3", "kWh"), "1-0:1.8.1.255": ("1", "kWh"), "1-0:1.8.2.255": ("2", "kWh")}
    assert sources(both, "consumption") == {"consumption": ["1-0:1.8.0.255"]}
    del both["1-0:1.8.0.255"]
    assert sources(both, "consumption") == {"consumption": ["1-0:1.8.1.255", "1-0:1.8.2.255"]}
    with pytest.raises(RegisterNotShownError, match=r"2\.8\.0 for generation"):
        sources(both, "both")


def test_a_map_means_what_the_agent_would_sign():
    read = found({"1-0:1.8.1.255": ("1.5", "kWh"), "1-0:1.8.2.255": ("25", None)})
    proposed = propose(read, "consumption", name="KFM1", period=900, ratio=(200, 5), units={"1-0:1.8.2.255": "100 Wh"})
    assert meaning(proposed, read) == {"consumption": (1_500 + 2_500) * 40}
    storage = found({"1-0:1.8.0.255": ("1", "kWh"), "1-0:2.8.0.255": ("2", "kWh")})
    assert meaning(propose(storage, "storage", name="K", period=60), storage) == {"charge": 1_000, "discharge": 2_000}


def test_what_the_load_profile_tells():
    rows = [{"time": f"2026-11-28T10:{minute:02}:00", "values": {"1-0:1.29.0.255": "5"}} for minute in (0, 15, 30, 59)]
    read = found({}, rows)
    assert (capture_period(read), needs_zone(read, 0), profile_kind(read)) == (900, True, "increments")
    with_offset = [{**row, "time": row["time"] + "+01:00", "values": {"1-0:1.8.0.255": "5"}} for row in rows]
    read = found({}, with_offset)
    assert (capture_period(read), needs_zone(read, 0), profile_kind(read)) == (900, False, "cumulative")
    assert capture_period(found({})) is None
    assert not needs_zone(found({}, clock="7 o'clock"), 0)


def test_a_clock_that_says_utc_and_shows_the_hour_of_the_wall():
    shown = found({}, clock="2025-12-14T16:00:00+00:00")
    fifteen = 1765724400  # UTC
    assert needs_zone(shown, fifteen + 11)
    assert not needs_zone(shown, fifteen + 3600)  # it is UTC
    assert not needs_zone(shown, fifteen + 600)  # it is wrong
    assert not needs_zone(found({}, clock="2025-12-14T16:00:00+01:00"), fifteen)
