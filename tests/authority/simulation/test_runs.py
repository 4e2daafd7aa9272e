"""Many simulations at once: each as it is alone, and one table with mean and spread."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from authority.cli import main
from authority.errors import USAGE
from authority.simulation import command, plots, runs
from authority.simulation.campus_home import start_of
from authority.simulation.errors import StrategyFailedError
from authority.simulation.progress import Progress
from authority.simulation.runs import FIGURES, Run, spread, text_of
from authority.simulation.scenario import Scenario
from authority.simulation.simulation import Request

HOURLY = "epoch_seconds = 3600\n"


def document(**told: float | None) -> dict[str, Any]:
    """A report in which every figure is 0 but those that are told."""
    made: dict[str, Any] = {}
    for figure in FIGURES:
        at = made
        for key in figure.path[:-1]:
            at = at.setdefault(key, {})
        at[figure.path[-1]] = told.get(figure.column.name, 0)
    return {"measures": made}


def test_mean_and_spread_by_hand() -> None:
    request = Request(1, 1, 1, 1, start_of("2026-06-01"), Scenario())
    of = [Run(name, request, Path(name), False) for name in ("today", "today", "today", "dearer")]
    documents = [
        document(gain=2_000_000, mean_price=None),
        document(gain=4_000_000, mean_price=200_000.0),
        document(gain=9_000_000, mean_price=None),
        document(gain=-1_000_000),
    ]
    rows = {(row[0], row[1]): row[2:] for row in spread(of, documents)}
    assert rows["today", "gain"] == (3, 5_000_000.0, 3_605_551.275464, 2_000_000, 9_000_000)  # the root of 13
    assert rows["today", "mean_price"] == (1, 200_000.0, None, 200_000.0, 200_000.0)
    assert rows["dearer", "gain"] == (1, -1_000_000.0, None, -1_000_000, -1_000_000)
    lines = [line.split() for line in text_of(spread(of, documents)).splitlines()]
    assert ["gain", "5.00", "3.61", "2.00", "9.00"] in lines
    assert ["mean", "price", "0.2000", "-", "0.2000", "0.2000"] in lines
    assert [line[:3] for line in lines if "seed" in line or "seeds" in line] == [
        ["today,", "3", "seeds"],
        ["dearer,", "1", "seed"],
    ]


@pytest.mark.slow
def test_runs_side_by_side_are_what_each_is_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hourly.toml").write_text(HOURLY)
    out = tmp_path / "runs"
    words = ["simulate", "--buildings", "1", "--scenario", str(tmp_path / "hourly.toml"), "--quiet", "--json"]
    assert main([*words, "--seeds", "1,4", "--jobs", "2", "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(run["scenario"], run["seed"], run["audit"]) for run in told["runs"]] == [
        ("hourly", 1, True),
        ("hourly", 4, True),
    ]
    assert told["runs"][0]["generation_wh"] != told["runs"][1]["generation_wh"]
    with (out / runs.RUNS.file).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["consumption_wh"]) for row in rows] == [run["consumption_wh"] for run in told["runs"]]
    assert len(told["spread"]) == len(FIGURES)
    own = out / "hourly-seed-4"
    before = {name: (own / name).read_bytes() for name in (plots.REPORT_NAME, plots.SVG_NAME, "meters.csv")}
    assert main([*words, "--seed", "4", "--out", str(own)]) == 0  # the same simulation: it is only reported again
    assert json.loads(capsys.readouterr().out)["measures"]["energy"]["generation_wh"] == int(rows[1]["generation_wh"])
    assert {name: (own / name).read_bytes() for name in before} == before


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_one_bar_tells_how_far_all_runs_are_and_lines_go_above_it() -> None:
    shown, clock = Terminal(), [0.0]
    progress = Progress(shown, 86_400, quiet=False, lines=False, monotonic=lambda: clock[0])
    for second, done in enumerate((0, 86_400, 259_200)):
        clock[0] = 10.0 * second
        progress(done, 4 * 86_400)
    progress.say("1 of 2: today, seed 1: gain 1.00 credits")
    clock[0] = 40.0
    progress(4 * 86_400, 4 * 86_400)
    rows = [line.split("\r")[-1].rstrip() for line in shown.getvalue().split("\n")]
    assert rows == ["1 of 2: today, seed 1: gain 1.00 credits", f"[{'#' * 30}] day 4 of 4, 0 s left", ""]
    drawn = shown.getvalue().split("\n")[0].split("\r")
    assert drawn[2].rstrip() == f"[{'#' * 7}{'.' * 23}] day 1 of 4, 30 s left"
    assert len(drawn[-1]) >= len(drawn[-2]), "the line covers the bar"

    plain = StringIO()
    for quiet, told in ((False, "done\n"), (True, "")):
        progress = Progress(plain, 86_400, quiet=quiet, lines=False)
        progress(86_400, 86_400)
        progress.say("done")
        assert plain.getvalue() == told
        plain = StringIO()


@pytest.mark.slow
def test_the_runs_tell_together_how_far_they_are_and_the_first_failure_ends_them(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("def trade(view):\n    raise ValueError('on purpose')\n")
    usual = Scenario.parse(HOURLY)
    fails = Scenario.parse(HOURLY + "[[strategy]]\nmember = '*'\nfile = 'fails.py'\n", tmp_path)
    start, told, lines = start_of("2026-06-01"), list[tuple[int, int]](), list[str]()

    def of(name: str, scenario: Scenario, days: int) -> Run:
        return Run(name, Request.of(days, 1, None, 1, start, scenario), tmp_path / f"{name}-seed-1", False)

    both = [of("one", usual, 1), of("two", usual, 1)]
    runs.live_all(both, 1, lambda *done: told.append(done), lines.append)
    assert [line[:6] for line in lines] == ["1 of 2", "2 of 2"]
    assert {whole for _, whole in told} == {2 * 86_400}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (2 * 86_400, 2 * 86_400)
    assert {0, 86_400} < {done for done, _ in told}
    with pytest.raises(StrategyFailedError, match="on purpose"):
        runs.live_all([of("long", usual, 300), of("fails", fails, 1)], 2, lambda *_: None, lines.append)
    assert len(lines) == 2


@pytest.mark.slow
def test_two_prices_are_in_one_plot_and_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "today.toml").write_text(HOURLY)
    (tmp_path / "dearer.toml").write_text(f"{HOURLY}[parameters]\nretail_price = 400_000\n")
    out = tmp_path / "price"
    both = [word for name in ("today", "dearer") for word in ("--scenario", str(tmp_path / f"{name}.toml"))]
    assert main(["simulate", "--buildings", "4", *both, "--quiet", "--out", str(out)]) == 0
    assert f"all on one page: {out}/plots.svg, plots.png" in capsys.readouterr().out
    drawn = (out / plots.SVG_NAME).read_text()
    assert drawn.count(">today-seed-1<") == drawn.count(">dearer-seed-1<") == 5
    assert (out / plots.PNG_NAME).read_bytes().startswith(b"\x89PNG")
    with (out / runs.RUNS.file).open(newline="") as file:
        cheap, dear = csv.DictReader(file)
    assert float(dear["mean_price"]) > float(cheap["mean_price"]) > 0

    # the same of directories, in the order in which they are named, and of finished ones alone
    words = ["plot", str(out / "today-seed-1"), str(out / "dearer-seed-1"), "--into"]
    again = tmp_path / "again"
    assert main([*words, str(again)]) == 0
    told = capsys.readouterr().out
    assert [(again / name).read_bytes() for name in (plots.SVG_NAME, plots.PNG_NAME)] == [
        (out / name).read_bytes() for name in (plots.SVG_NAME, plots.PNG_NAME)
    ]
    with (again / runs.RUNS.file).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scenario"] for row in rows] == ["today-seed-1", "dearer-seed-1"]
    assert [row["mean_price"] for row in rows] == [cheap["mean_price"], dear["mean_price"]]
    (line,) = (line.split() for line in told.splitlines() if line.startswith("mean price"))
    assert line[-2:] == [f"{float(row['mean_price']) / 1e6:.4f}" for row in rows]
    assert str(again / runs.RUNS.file) in told
    assert main([*words, str(again), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["plots"]) == 3

    # a directory of more runs than a page shows has no page of an earlier time
    assert not command._together([out / str(number) for number in range(7)], out)
    assert not (out / plots.SVG_NAME).exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "8-1"], "'8-1' should be like 1-8"),
        (["--seeds", "1-5000"], "of 1000 seeds at most"),
        (["--seeds", "1-3,2"], "has a seed twice"),
        (["--seeds", "one"], "'one' should be a whole number"),
        (["--seeds", "1-2", "--seed", "3"], "not allowed with"),
    ],
)
def test_seeds_that_are_none_are_told(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", *words])
    assert ended.value.code == USAGE
    assert message in capsys.readouterr().err


def test_a_directory_of_something_else_and_two_scenarios_of_one_name_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.toml").write_text(HOURLY)
    assert main(["simulate", "--seeds", "1-2", "--out", str(tmp_path)]) == USAGE
    assert "not a directory of several simulations" in capsys.readouterr().err
    both = [word for name in ("one", "other") for word in ("--scenario", str(tmp_path / name / "same.toml"))]
    assert main(["simulate", *both, "--out", str(tmp_path / "new")]) == USAGE
    assert "two scenarios have the same file name" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
