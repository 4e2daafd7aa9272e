"""Which quarter of an hour an epoch of the demo holds, how fast they pass, and what a pause does to them."""

import argparse
from datetime import date

import pytest

from authority.demo import campus, playback
from authority.demo.playback import Playback
from edge_agent.wire.standstill import Standstill

FIRST = 5_000
DAY = "2016-07-21"


def of_a_day(day=DAY, seconds=20):
    made = Playback(campus.midnight_row(date.fromisoformat(day)), seconds)
    made.first_epoch = FIRST
    return made


@pytest.mark.parametrize(
    ("speed", "seconds"),
    [("1", 900), ("45", 20), ("90", 10), ("60", 15), ("40", 22), ("22.5", 40), ("89.9", 10), ("1.0", 900)],
)
def test_speed_is_how_many_times_faster_a_quarter_passes(speed, seconds):
    assert playback.epoch_seconds(speed) == seconds


@pytest.mark.parametrize("speed", ["0", "0.99", "90.01", "91", "-45", "1e9", "nan", "inf", "", "fast", "45x"])
def test_other_speeds_are_refused_with_the_reason(speed):
    with pytest.raises(argparse.ArgumentTypeError, match=r"from 1 \(real time\) to 90, .* in 10 s: .* settled"):
        playback.epoch_seconds(speed)


def test_a_day_is_one_of_the_profiles():
    assert playback.day(DAY) == date(2016, 7, 21)
    assert playback.day("2016-08-03") == date(2016, 8, 3)
    for missing in ("2016-07-20", "2016-08-04", "2015-07-21"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"no {missing}; they hold 2016-07-21 to 2016-08-03"):
            playback.day(missing)
    for malformed in ("", "today", "21.7.2016", "20160721", "2016-W29-4", "2016-7-21", "2016-07-32", " 2016-07-21"):
        with pytest.raises(argparse.ArgumentTypeError, match="YYYY-MM-DD"):
            playback.day(malformed)


@pytest.mark.parametrize("day", [DAY, "2016-08-03"])
def test_a_day_is_its_96_quarters_in_order(day):
    made = of_a_day(day)
    quarters = [made.quarter(FIRST + number) for number in range(playback.QUARTERS_A_DAY)]
    assert quarters == [f"{day}T{minutes // 60:02}:{minutes % 60:02}" for minutes in range(0, 24 * 60, 15)]
    assert made.last_of(96) == FIRST + 95


def test_a_pause_lets_the_running_quarter_end_and_the_next_one_wait():
    made = of_a_day()
    during = (FIRST + 4) * 20 + 7
    assert made.pause(during) == FIRST + 5
    assert made.quarter(FIRST + 4) == f"{DAY}T01:00"
    assert made.quarter(FIRST + 5) is made.quarter(FIRST + 500) is None
    assert made.time_of_day(FIRST + 5) == "paused"
    assert made.last_of(96) is None
    assert made.go_on((FIRST + 8) * 20 + 3) == FIRST + 9
    assert made.quarter(FIRST + 8) is None
    assert made.quarter(FIRST + 9) == f"{DAY}T01:15"
    assert made.last_of(96) == FIRST + 95 + 4
    assert made.lived(range(FIRST, FIRST + 10)) == 6


def test_a_pause_within_an_epoch_costs_nothing():
    made = of_a_day()
    made.pause((FIRST + 4) * 20 + 7)
    assert made.go_on((FIRST + 4) * 20 + 9) == FIRST + 5
    assert made.standstill.spans == ()


def test_close_to_a_boundary_it_is_the_next_one_that_counts():
    """The emulators are told beforehand, so no register that was read already changes."""
    made = of_a_day()
    assert made.pause((FIRST + 5) * 20 - 1) == FIRST + 6
    assert made.go_on((FIRST + 6) * 20 - 1) == FIRST + 7


def test_a_pause_right_after_another_prolongs_it():
    made = of_a_day()
    made.pause((FIRST + 4) * 20)
    made.go_on((FIRST + 7) * 20 + 2)
    assert made.pause((FIRST + 7) * 20 + 5) == FIRST + 5
    assert made.quarter(FIRST + 8) is None


def test_a_pause_before_the_first_quarter():
    made = of_a_day()
    assert made.pause((FIRST - 1) * 20 + 16) == FIRST
    made.go_on((FIRST + 1) * 20)
    assert made.quarter(FIRST + 2) == f"{DAY}T00:00"


def test_the_meters_and_the_demo_reckon_with_the_same_file(tmp_path):
    file = tmp_path / "standstill"
    made = Playback(0, 20, Standstill(file))
    made.first_epoch = FIRST
    made.pause((FIRST + 1) * 20)
    made.go_on((FIRST + 3) * 20)
    assert file.read_text() == f"{FIRST + 2} {FIRST + 4}\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "An epoch lasts 20 s (45 times real time, a day in 32 min)."),
        (10, "An epoch lasts 10 s (90 times real time, a day in 16 min)."),
        (22, "An epoch lasts 22 s (40.9 times real time, a day in 35 min)."),
        (900, "An epoch lasts 900 s (1 times real time, a day in 1440 min)."),
    ],
)
def test_how_fast_it_is_in_words(seconds, words):
    assert playback.in_words(seconds) == words
