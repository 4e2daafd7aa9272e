"""`authority simulate`: a campus of a given size through a given time, on this machine, in minutes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from authority import heap
from authority.measures import parquet
from authority.measures.markets import RULES
from authority.simulation import cluster, plots, report, runs, side_by_side
from authority.simulation.campus_home import start_of
from authority.simulation.errors import OwnCodeInvalidError, ScenarioInvalidError
from authority.simulation.own_code import OwnFunction
from authority.simulation.progress import Progress
from authority.simulation.scenario import Scenario
from authority.simulation.simulation import Out, Request, Simulation
from authority.simulation.weather import DAY_SECONDS
from edge_agent.wire.command import DONE, PROBLEMS, add_json, print_json

MAX_DAYS, MAX_BUILDINGS, MAX_MEMBERS = 3_660, 999, 20_000
MAX_SEED, MAX_RUNS = 2**63 - 1, 1_000
EXAMPLES = """examples:
  authority simulate --days 1 --buildings 4 --out day
  authority simulate --days 30 --buildings 20 --members 60 --seed 7 --scenario dearer.toml --out month --json
  authority simulate --days 7 --seeds 1-8 --scenario today.toml --scenario dearer.toml --out weeks
  authority simulate --days 30 --seeds 1-64 --out months --dask tcp://scheduler:8786
  AUTHORITY_HOME=day authority serve        (its pages; the clock stands at the simulation's end)

The same options make the same log, chain and report, byte for byte. What was interrupted goes on when the same line is
given again. docs/SIMULATION.md says what is simulated and what the report's figures mean."""


def whole(low: int, high: int) -> type[int]:
    """An argument's type: a whole number within bounds."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} should be a whole number from {low} to {high}")
        return int(text)

    return read  # type: ignore[return-value]


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    read = whole(0, MAX_SEED)
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = read(first)
        high = read(last) if dash else low
        if not low <= high < low + MAX_RUNS:
            raise argparse.ArgumentTypeError(f"{part!r} should be like 1-8, of {MAX_RUNS} seeds at most")
        found += range(low, high + 1)
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} has a seed twice")
    return found


def _day(text: str) -> int:
    try:
        return start_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} should be a day like 2026-06-01") from error


def _own(text: str) -> tuple[Path, str]:
    file, colon, name = text.rpartition(":")
    if not colon or not file or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} should be like mine.py:half_way")
    return Path(file), name


def _rules(arguments: argparse.Namespace) -> list[OwnFunction]:
    """The market rules of one's own; what is wrong with them is told before there is a directory."""
    taken = set(RULES)
    for _, name in arguments.rule:
        if name in taken:
            raise OwnCodeInvalidError(f"there are two market rules called {name}: give the function another name")
        taken.add(name)
    return [OwnFunction.read(file, name) for file, name in arguments.rule]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long, how many, and where to."""
    parser.add_argument("--days", type=whole(1, MAX_DAYS), default=1, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--buildings",
        type=whole(1, MAX_BUILDINGS),
        default=4,
        metavar="N",
        help="of four kinds in turn or as the scenario says, a member each and mostly three meters (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--members",
        type=whole(1, MAX_MEMBERS),
        metavar="N",
        help="in all; those beyond the buildings live in flats with a meter each (default: one a building, and the "
        "scenario's flats)",
    )
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=whole(0, MAX_SEED), default=1, metavar="S", help="default: %(default)s")
    seeds.add_argument(
        "--seeds",
        type=_seeds,
        metavar="S-T",
        help="several, such as 1-8 or 1,4,9: a run each, side by side, and a table of mean and spread",
    )
    parser.add_argument(
        "--start", type=_day, default="2026-06-01", metavar="DAY", help="the first day, UTC (default: %(default)s)"
    )
    parser.add_argument(
        "--scenario",
        type=Path,
        action="append",
        metavar="FILE",
        help="prices, site, kinds and sizes of buildings, epoch, events (TOML); with several, each has its runs",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("simulation"), metavar="DIR", help="the home it leaves (default: %(default)s)"
    )
    parser.add_argument(
        "--compare", action="store_true", help="also what other market rules would have made of the same energy"
    )
    parser.add_argument(
        "--rule",
        type=_own,
        action="append",
        default=[],
        metavar="FILE:FUNCTION",
        help="compare with a market rule of one's own too, a Python function; may be repeated",
    )
    parser.add_argument(
        "--parquet", action="store_true", help="the tables as Parquet too, beside CSV (takes the extra `parquet`)"
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="several runs on a Dask cluster, such as tcp://scheduler:8786; each leaves its results, not its home",
    )
    parser.add_argument(
        "--jobs", type=whole(1, 1_024), metavar="N", help="of several runs, so many at a time (default: one a core)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, only the report")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Simulate, audit, report; 4 where the audit found something."""
    files, own = arguments.scenario or [], _rules(arguments)
    compare = arguments.compare or bool(own)
    if arguments.parquet:
        parquet.require()
    if arguments.seeds is not None or len(files) > 1 or arguments.dask is not None:
        return _several(arguments, files, own)
    request = _request(arguments, Scenario.load(files[0]) if files else Scenario(), arguments.seed)
    progress = Progress(sys.stderr, DAY_SECONDS // request.scenario.epoch_seconds, quiet=arguments.quiet)
    with Out(arguments.out, request) as out:
        simulation = Simulation(request, out, progress)
        heap.settle()
        simulation.run()
        progress.say("auditing ...")
        document = report.make(
            out.path, request, simulation.spent, compare=compare, own=own, as_parquet=arguments.parquet
        )
    spent = {what: round(seconds, 2) for what, seconds in simulation.spent.seconds.items()}
    if arguments.json:
        print_json({**document, "out": str(arguments.out), "cpu_seconds": spent})
    else:
        print(report.text_of(document))
        told = ", ".join(f"{what.replace('_', ' ')} {seconds:.1f}" for what, seconds in spent.items())
        progress.say(f"processor seconds: {told}; in all {sum(spent.values()):.1f}")
        print(f"\nthe home: {arguments.out}; look at it with: authority serve --home {arguments.out}")
    return DONE if document["audit"]["ok"] else PROBLEMS


def _request(arguments: argparse.Namespace, scenario: Scenario, seed: int) -> Request:
    """What is simulated; what the scenario gets wrong is told before there is a directory."""
    request = Request.of(arguments.days, arguments.buildings, arguments.members, seed, arguments.start, scenario)
    request.campus()
    return request


def _together(directories: Sequence[Path], into: Path) -> bool:
    """Draw all runs on one page, where they are not too many (or one alone); else there is none of an earlier time."""
    if 2 <= len(directories) <= side_by_side.MOST:
        side_by_side.draw(side_by_side.read(directories), into)
        return True
    for name in (plots.SVG_NAME, plots.PNG_NAME):
        (into / name).unlink(missing_ok=True)
    return False


def _several(arguments: argparse.Namespace, files: Sequence[Path], own: Sequence[OwnFunction]) -> int:
    """Every scenario with every seed, and what came of them."""
    scenarios = {file.stem: Scenario.load(file) for file in files} or {"default": Scenario()}
    if len(scenarios) < len(files):
        raise ScenarioInvalidError("two scenarios have the same file name: their runs would get the same directories")
    seeds = arguments.seeds or [arguments.seed]
    requests = {name: [_request(arguments, scenario, seed) for seed in seeds] for name, scenario in scenarios.items()}
    progress = Progress(sys.stderr, DAY_SECONDS, quiet=arguments.quiet, lines=False)
    compare = arguments.compare or bool(own)
    found = runs.runs_of(arguments.out, requests, compare=compare, own=own, as_parquet=arguments.parquet)
    if arguments.dask is not None:
        documents = cluster.live_all(found, arguments.dask, progress.say)
    else:
        documents = runs.live_all(found, arguments.jobs or len(os.sched_getaffinity(0)), progress, progress.say)
    written = runs.write(arguments.out, found, documents)
    together = _together([run.out for run in found], arguments.out)
    if arguments.json:
        print_json(written)
    else:
        print((arguments.out / runs.TEXT_NAME).read_text(encoding="utf-8"))
        print(f"each run: {arguments.out}/SCENARIO-seed-N; the tables: {arguments.out}/runs.csv, spread.csv")
        print(
            f"all on one page: {arguments.out}/{plots.SVG_NAME}, {plots.PNG_NAME}"
            if together
            else f"some on one page: authority plot DIR DIR --into DIR, with 2 to {side_by_side.MOST} of the runs"
        )
    return DONE if all(document["audit"]["ok"] for document in documents) else PROBLEMS
