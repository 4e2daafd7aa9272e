"""Profiles of one's own: what a file says, exactly, and each mistake told with its line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.simulation import buildings, profiles
from authority.simulation.campus_home import start_of
from authority.simulation.errors import ProfileInvalidError, ScenarioInvalidError
from authority.simulation.profiles import parse
from authority.simulation.scenario import Scenario
from authority.simulation.seeds import Seed
from authority.simulation.simulation import Request

JUNE = start_of("2026-06-01")
GOOD = "start,consumption_wh,generation_wh\n2026-06-01T00:00:00Z,412,0\n2026-06-01T00:15:00Z,398.5,0.25\n"


def test_a_file_is_read_to_the_milliwatt_hour() -> None:
    profile = parse(GOOD, "own.csv", 900)
    assert (profile.start, profile.end) == (JUNE, JUNE + 1_800)
    assert (profile.consumption, profile.generation) == ((412_000, 398_500), (0, 250))
    assert profile.at(JUNE + 900) == (250, 398_500)
    assert (profile.greatest_load_w, profile.greatest_plant_w) == (1_648, 1)


def test_kilowatt_hours_and_shorter_steps_are_summed_up_to_epochs() -> None:
    rows = [f"{0.1},2026-06-01T0{hour}:{minute:02d}:00+02:00" for hour in (2, 3) for minute in (0, 15, 30, 45)]
    profile = parse("consumption_kwh,start\n" + "\n".join([*rows, "0.1,2026-06-01T04:00:00+02:00"]), "own.csv", 3_600)
    assert (profile.start, profile.consumption, profile.generation) == (JUNE, (400_000, 400_000), None)
    assert profile.end == JUNE + 7_200  # the last quarter is no whole hour


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: should name start and one or both"),
        ("start\n", r"line 1: should name start and one or both"),
        ("start;consumption_wh\n", r"line 1: 'start;consumption_wh' is not a column .* separated by commas"),
        ("start,load\n", r"line 1: 'load' is not a column of a profile: name start"),
        ("start,consumption_wh,consumption_kwh\n", r"line 1: consumption is there twice"),
        (GOOD.replace("412", ""), r"line 2: consumption_wh is missing: .* or 0 if it was nothing"),
        (GOOD.replace("412", "n/a"), r"line 2: consumption_wh: 'n/a' should be a number"),
        (GOOD.replace("412", "nan"), r"line 2: consumption_wh: 'nan' should be a number"),
        (GOOD.replace("412", "1e3"), r"line 2: consumption_wh: '1e3' should be a number"),
        (GOOD.replace("398.5", "-398.5"), r"line 3: consumption_wh: -398.5 is negative"),
        (GOOD.replace("398.5", "398,5"), r"line 3: has 4 fields, and the first line names 3; .* decimals have a point"),
        (GOOD.replace("412", "1000000001"), r"line 2: consumption_wh: 1000000001 is more than a GWh"),
        (GOOD.replace("2026-06-01T00:00:00Z", "1 June"), r"line 2: start: '1 June' should be a time"),
        (GOOD.replace(":00Z,412", ":00,412"), r"line 2: start: .* has no offset from UTC, .* an hour comes twice"),
        (GOOD.replace("00:15", "00:20"), r"line 3: 1200 s after the line before; the step should divide the epoch"),
        (GOOD.replace("00:15", "00:00"), r"line 3: 0 s after the line before"),
        (GOOD + "2026-06-01T01:00:00Z,1,0\n", r"line 4: 2 intervals are missing before it$"),
        (GOOD + "2026-06-01T00:45:00Z,1,0\n", r"line 4: an interval is missing before it$"),
        (GOOD + "2026-06-01T00:35:00Z,1,0\n", r"line 4: is 1200 s after the line before, and steps are of 900 s"),
        (GOOD + "2026-06-01T00:15:00Z,1,0\n", r"line 4: is the same time as the line before"),
        (GOOD + "2026-06-01T00:00:00Z,1,0\n", r"line 4: goes back by 900 s"),
        (GOOD[: GOOD.index("2026-06-01T00:15")], r"has 1 intervals; at least two"),
        (GOOD.replace("00:00:00Z", "00:05:00Z").replace("00:15:00Z", "00:20:00Z"), r"line 2: .* not the start of an"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ProfileInvalidError, match=r"^own\.csv(, |: ).*") as told:
        parse(text, "own.csv", 900)
    assert told.match(message)


def night_of(offsets: list[str]) -> str:
    """Hours of local time in the night of 25 October 2026, on which daylight-saving time ends in Europe."""
    hours = ["00", "01", "02", "02", "03"]
    rows = [f"2026-10-25T{hour}:00:00{offset},5" for hour, offset in zip(hours, offsets, strict=True)]
    return "\n".join(["start,consumption_wh", *rows])


def test_the_end_of_daylight_saving_time_needs_the_offsets_that_held() -> None:
    summer, winter = "+02:00", "+01:00"
    profile = parse(night_of([summer] * 3 + [winter] * 2), "own.csv", 3_600)
    assert (profile.start, profile.consumption) == (start_of("2026-10-25") - 7_200, (5_000,) * 5)
    with pytest.raises(ProfileInvalidError, match=r"line 5: is the same time as the line before"):
        parse(night_of([summer] * 5), "own.csv", 3_600)
    with pytest.raises(ProfileInvalidError, match=r"line 4: an interval is missing .* change of daylight-saving time"):
        parse(night_of([summer] * 2 + [winter] * 3), "own.csv", 3_600)
    quarters = [f"2026-10-25T02:{minute}:00{summer},5" for _ in range(2) for minute in ("00", "15", "30", "45")]
    with pytest.raises(ProfileInvalidError, match=r"line 6: goes back by 2700 s: .* change of daylight-saving time"):
        parse("\n".join(["start,consumption_wh", *quarters]), "own.csv", 900)


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=200), st.sampled_from([60, 300, 900]))
def test_whatever_is_written_is_read_again(values_mwh: list[int], step: int) -> None:
    starts = (datetime.fromtimestamp(JUNE, UTC) + timedelta(seconds=step * number) for number in range(len(values_mwh)))
    rows = [f"{at.isoformat()},{mwh / 1_000:.3f}" for at, mwh in zip(starts, values_mwh, strict=True)]
    profile = parse("\n".join(["start,generation_wh", *rows]), "own.csv", 900)
    whole = len(values_mwh) // (900 // step) * (900 // step)
    assert profile.generation is not None
    assert sum(profile.generation) == sum(values_mwh[:whole])


def scenario(tmp_path: Path, member: str, rows: str) -> Scenario:
    (tmp_path / "own.csv").write_text(rows)
    file = tmp_path / "scenario.toml"
    file.write_text(f"epoch_seconds = 3600\n[[profile]]\nmember = '{member}'\nfile = 'own.csv'\n")
    return Scenario.load(file)


def day(column: str, value: int, hours: int = 24) -> str:
    """A day of one value in each hour."""
    rows = [f"{datetime.fromtimestamp(JUNE + 3_600 * hour, UTC).isoformat()},{value}" for hour in range(hours)]
    return "\n".join([f"start,{column}", *rows])


def test_a_members_load_is_as_large_as_its_profile_and_the_rest_is_as_it_was(tmp_path: Path) -> None:
    given_ = scenario(tmp_path, "Library 03", day("consumption_kwh", 70))
    own = Request(1, 4, 4, 1, JUNE, given_).campus()
    made = buildings.make(4, 4, Seed(1))
    assert own.members[2].load_w == 70_000
    assert (own.members[2].solar_w, own.members[2].order) == (made.members[2].solar_w, made.members[2].order)
    assert own.members[:2] + own.members[3:] == made.members[:2] + made.members[3:]
    (tmp_path / "own.csv").write_text(day("consumption_kwh", 71))
    assert Scenario.load(tmp_path / "scenario.toml").sha256 != given_.sha256  # another simulation


@pytest.mark.parametrize(
    ("member", "rows", "error", "message"),
    [
        ("Library 3", day("consumption_wh", 5), ScenarioInvalidError, "no member 'Library 3'"),
        ("Library 03", day("consumption_wh", 5, 23), ProfileInvalidError, "covers 2026-06-01 00:00 UTC to .* 23:00"),
        ("Laboratory 02", day("generation_wh", 5), ProfileInvalidError, "is a laboratory and has no plant"),
        ("Library 03", day("generation_wh", 5), ProfileInvalidError, "5.0 Wh in the epoch .* night at latitude 48.2"),
    ],
)
def test_a_profile_that_does_not_fit_the_campus_is_told(
    member: str, rows: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        Request(1, 4, 4, 1, JUNE, scenario(tmp_path, member, rows)).campus()


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProfileInvalidError, match="cannot read"):
        profiles.read(tmp_path / "none.csv", 900)
    (tmp_path / "latin.csv").write_bytes(b"start,consumption_wh\n\xff")
    with pytest.raises(ProfileInvalidError, match="cannot read"):
        profiles.read(tmp_path / "latin.csv", 900)
