"""A scenario's kinds of building, their sizes, flats, and what it gives to several members by a pattern."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.cli import main
from authority.enrolment import plan
from authority.errors import USAGE
from authority.simulation import buildings, report
from authority.simulation.campus_home import start_of
from authority.simulation.environment import Environment
from authority.simulation.errors import ScenarioInvalidError, SizeInvalidError
from authority.simulation.mix import KINDS, Battery, Mix
from authority.simulation.scenario import Scenario
from authority.simulation.seeds import Seed
from authority.simulation.simulation import Out, Request, Simulation

JUNE = start_of("2026-06-01")
HOURLY = "epoch_seconds = 3600\n"
MIXED = """
[buildings.dormitory]
percent = 50
solar_kwp = 200
battery_kw = 0
battery_kwh = 0

[buildings.laboratory]
percent = 30
solar_kwp = 12.5
battery_kw = 10
battery_kwh = 30

[buildings.library]
percent = 10
solar_kwp = 0

[buildings.workshop]
percent = 10
load_kw = 20
wind_kw = 0
battery_kw = 0
battery_kwh = 0

[flats]
number = 6
load_kw = 4
solar_kwp = 3
solar_every = 2
"""


def request(text: str, size: int = 4, members: int | None = None, directory: Path = Path()) -> Request:
    return Request.of(1, size, members, 11, JUNE, Scenario.parse(HOURLY + text, directory))


def test_a_scenario_says_which_buildings_there_are_and_how_large() -> None:
    wanted = request(MIXED, 10)
    campus = wanted.campus()
    assert wanted.members == len(campus.members) == 16
    assert Counter(member.kind for member in campus.members) == Counter(
        dormitory=5, laboratory=3, library=1, workshop=1, flat=6
    )
    meters = {kind: set() for kind in (*KINDS, "flat")}  # type: dict[str, set[tuple[str, str]]]
    kinds = {member.name: member.kind for member in campus.members}
    for meter in campus.meters:
        meters[kinds[meter.member]].add((meter.name.rstrip("123456"), meter.role))
    assert meters == {
        "dormitory": {("solar", "generation"), ("load", "load")},
        "laboratory": {
            ("solar", "generation"),
            ("battery", "storage"),
            ("load", "load"),
            ("computing", "submeter"),
            ("equipment", "submeter"),
        },
        "library": {("building", "load"), ("reading", "submeter"), ("servers", "submeter")},
        "workshop": {("grid", "grid")},
        "flat": {("flat_", "building"), ("flat_", "load")},
    }
    for member in campus.members:
        panels, load = {
            "dormitory": (200_000, 45_000),
            "laboratory": (12_500, 80_000),
            "library": (0, 40_000),
            "workshop": (0, 20_000),
            "flat": (3_000, 4_000),
        }[member.kind]
        assert 0.8 * panels <= member.solar_w <= 1.2 * panels or (member.kind, member.solar_w) == ("flat", 0)
        assert 0.6 * load <= member.load_w <= 1.5 * load
        assert member.battery == (Battery(10_000, 30_000) if member.kind == "laboratory" else None)
    assert sum(member.solar_w > 0 for member in campus.members if member.kind == "flat") == 3
    assert len(plan.parse(campus.plan().encode()).meters) == len(campus.meters)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_campus_of_another_mix_is_simulated_and_audited(tmp_path: Path) -> None:
    wanted = request(MIXED, 10)
    with Out(tmp_path, wanted) as out:
        simulation = Simulation(wanted, out, lambda *_: None)
        simulation.run()
        found = report.make(tmp_path, wanted, simulation.spent)
    assert (found["audit"]["ok"], found["audit"]["problems"]) == (True, [])
    assert len(found["measures"]["members"]) == 16


def test_what_the_scenario_does_not_say_is_as_it_was() -> None:
    larger = Scenario.parse("[buildings.library]\nsolar_kwp = 140\n").mix
    before, after = buildings.make(4, 8, Seed(3)).members, buildings.make(4, 8, Seed(3), mix=larger).members
    assert before[:2] + before[3:] == after[:2] + after[3:]
    assert after[2].solar_w == pytest.approx(2 * before[2].solar_w, abs=1)


def test_kinds_come_in_turn_and_by_their_shares() -> None:
    assert Mix().kinds(6) == [*KINDS, "dormitory", "laboratory"]
    shares = Mix(percent={"dormitory": 50, "library": 50})
    assert shares.kinds(5) == ["dormitory", "library"] * 2 + ["dormitory"]


@given(st.lists(st.integers(1, 20), min_size=4, max_size=4), st.integers(0, 60))
def test_each_kind_has_its_share_and_keeps_its_buildings_as_a_campus_grows(weights: list[int], count: int) -> None:
    mix = Mix(percent=dict(zip(KINDS, weights, strict=True)))
    kinds = mix.kinds(count)
    assert kinds == mix.kinds(count + 1)[:-1]
    for kind, weight in zip(KINDS, weights, strict=True):
        # the one that lacks most is next: no kind is ever behind by more than one for each of the others
        assert abs(kinds.count(kind) - count * weight / sum(weights)) < len(KINDS) - 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[buildings]\nchurch = {}", "buildings.church: not a key of this table; it takes dormitory, laboratory"),
        ("buildings = 4", "buildings: should be a table"),
        ("[buildings]\nlibrary = 4", r"\[buildings.library\]: should be a table"),
        ("[buildings.library]\npercent = 40", "percent should sum up to 100, and library 40 come to 40"),
        (
            "[buildings.library]\npercent = 60\n[buildings.workshop]\npercent = 60",
            "sum up to 100, and library 60, workshop 60 come to 120",
        ),
        ("[buildings.library]\npercent = 0", "library 0 come to 0"),
        ("[buildings.library]\npercent = 12.5", r"\[buildings.library\].percent: 12.5 should be a whole number"),
        (
            "[buildings.library]\nwind_kw = 4",
            r"\[buildings.library\].wind_kw: not a key of this table; it takes load_kw",
        ),
        ("[buildings.library]\nbattery_kw = 4", "battery_kw: not a key"),
        ("[buildings.library]\nsolar_kwp = -1", "solar_kwp: -1 should be a number from 0 to 10,000"),
        ("[buildings.library]\nsolar_kwp = nan", "solar_kwp: nan should be"),
        ("[buildings.library]\nsolar_kwp = inf", "solar_kwp: inf should be"),
        ("[buildings.library]\nsolar_kwp = true", "solar_kwp: True should be"),
        ("[buildings.library]\nsolar_kwp = '9'", "solar_kwp: '9' should be"),
        ("[buildings.library]\nload_kw = 0", "load_kw: 0 should be a number from 0.1 to"),
        ("[buildings.workshop]\nbattery_kw = 0", "battery_kw: and battery_kwh should both be above 0, or both 0"),
        ("[buildings.laboratory]\nbattery_kwh = 9", "both be above 0, or both 0"),
        ("[flats]\nnumber = -1", r"\[flats\].number: -1 should be a whole number from 0 to 20000"),
        ("[flats]\nbattery_kw = 1", r"\[flats\].battery_kw: not a key"),
        ("[flats]\nsolar_every = 0.5", "solar_every: 0.5 should be a whole number"),
    ],
)
def test_a_mix_that_cannot_be_is_told_with_its_entry(text: str, message: str) -> None:
    with pytest.raises(ScenarioInvalidError, match=message):
        Scenario.parse(text)


def test_how_many_members_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flats = "[flats]\nnumber = 3\n"
    assert [request(flats).members, request(flats, 4, 7).members, request("", 4, 9).members] == [7, 7, 9]
    with pytest.raises(SizeInvalidError, match="the scenario says 3 flats, which makes 7 members and not 9: leave"):
        request(flats, 4, 9)
    words = ["simulate", "--buildings", "4", "--members", "3", "--out", str(tmp_path / "out")]
    for more in ([], ["--seeds", "1-2"]):
        assert main([*words, *more]) == USAGE
        assert "4 buildings have a member each, and 3 members are less" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(SizeInvalidError):
        Environment("Library 03", members=2)


STRATEGIES = {"mine.py": "def trade(view):\n    return []\n", "other.py": "def trade(view):\n    return [1]\n"}


def strategies(directory: Path, *entries: tuple[str, str]) -> str:
    for name, text in STRATEGIES.items():
        (directory / name).write_text(text)
    return "".join(f"[[strategy]]\nmember = '{member}'\nfile = '{file}'\n" for member, file in entries)


def test_a_pattern_gives_a_strategy_to_all_who_are_called_so_and_a_full_name_goes_before(tmp_path: Path) -> None:
    text = strategies(tmp_path, ("* flat ?", "mine.py"), ("Library 03 flat 1", "other.py"), ("L*y 0[12]", "other.py"))
    wanted = request(text, 4, 8, tmp_path)
    found = {name: Path(each.function.file).name for name, each in wanted.scenario.strategies.items() if each.function}
    assert found == {
        "Library 03 flat 1": "other.py",
        "Dormitory 01 flat 1": "mine.py",
        "Dormitory 01 flat 2": "mine.py",
        "Library 03 flat 2": "mine.py",
        "Laboratory 02": "other.py",
    }
    assert all(each.member == name for name, each in wanted.scenario.strategies.items())
    assert wanted.scenario.among([member.name for member in wanted.campus().members]) == wanted.scenario


def test_a_pattern_gives_a_profile_to_all_who_are_called_so(tmp_path: Path) -> None:
    rows = [f"{datetime.fromtimestamp(JUNE + 3_600 * hour, UTC).isoformat()},7" for hour in range(24)]
    (tmp_path / "own.csv").write_text("\n".join(["start,consumption_kwh", *rows]))
    campus = request("[[profile]]\nmember = 'Lab*'\nfile = 'own.csv'\n", 6, None, tmp_path).campus()
    assert [member.name for member in campus.members if member.load_w == 7_000] == ["Laboratory 02", "Laboratory 06"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("Church*", "mine.py")], r"nobody is called like 'Church\*'; there are Dormitory 01, Laboratory 02"),
        ([("library*", "mine.py")], r"nobody is called like 'library\*'"),
        ([("Church 01", "mine.py")], "there is no member 'Church 01'"),
        ([("L*", "mine.py"), ("Lib*", "other.py")], r"Library 03 has two, by 'L\*' and by 'Lib\*': give it one by its"),
        ([("L*", "mine.py"), ("L*", "other.py")], r"L\* has two"),
    ],
)
def test_a_pattern_that_is_nobodys_or_twice_somebodys_is_told(
    entries: list[tuple[str, str]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioInvalidError, match=message):
        request(strategies(tmp_path, *entries), 4, None, tmp_path).campus()
