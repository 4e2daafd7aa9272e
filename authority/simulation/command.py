"""`authority simulate`: a campus of a given size through a given time, on this machine, in minutes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from authority.simulation import report
from authority.simulation.campus_home import start_of
from authority.simulation.progress import Progress
from authority.simulation.scenario import Scenario
from authority.simulation.simulation import Out, Request, Simulation
from authority.simulation.weather import DAY_SECONDS
from edge_agent.wire.command import DONE, PROBLEMS, add_json, print_json

MAX_DAYS, MAX_BUILDINGS, MAX_MEMBERS = 3_660, 999, 20_000
EXAMPLES = """examples:
  authority simulate --days 1 --buildings 4 --out day
  authority simulate --days 30 --buildings 20 --members 60 --seed 7 --scenario dearer.toml --out month --json
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


def _day(text: str) -> int:
    try:
        return start_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} should be a day like 2026-06-01") from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long, how many, and where to."""
    parser.add_argument("--days", type=whole(1, MAX_DAYS), default=1, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--buildings",
        type=whole(1, MAX_BUILDINGS),
        default=4,
        metavar="N",
        help="of four kinds in turn, a member and three meters each (default: %(default)s)",
    )
    parser.add_argument(
        "--members",
        type=whole(1, MAX_MEMBERS),
        metavar="N",
        help="in all; those beyond the buildings live in flats with a meter each (default: one a building)",
    )
    parser.add_argument("--seed", type=whole(0, 2**63 - 1), default=1, metavar="S", help="default: %(default)s")
    parser.add_argument(
        "--start", type=_day, default="2026-06-01", metavar="DAY", help="the first day, UTC (default: %(default)s)"
    )
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="prices, site and epoch (TOML)")
    parser.add_argument(
        "--out", type=Path, default=Path("simulation"), metavar="DIR", help="the home it leaves (default: %(default)s)"
    )
    parser.add_argument(
        "--compare", action="store_true", help="also what other market rules would have made of the same energy"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, only the report")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Simulate, audit, report; 4 where the audit found something."""
    scenario = Scenario() if arguments.scenario is None else Scenario.load(arguments.scenario)
    request = Request(
        days=arguments.days,
        buildings=arguments.buildings,
        members=max(arguments.members or 0, arguments.buildings),
        seed=arguments.seed,
        start=arguments.start,
        scenario=scenario,
    )
    request.campus()  # what the scenario gets wrong is told before there is a directory
    progress = Progress(sys.stderr, DAY_SECONDS // scenario.epoch_seconds, quiet=arguments.quiet)
    with Out(arguments.out, request) as out:
        simulation = Simulation(request, out, progress)
        simulation.run()
        progress.say("auditing ...")
        document = report.make(out.path, request, simulation.spent, compare=arguments.compare)
    spent = {what: round(seconds, 2) for what, seconds in simulation.spent.seconds.items()}
    if arguments.json:
        print_json({**document, "out": str(arguments.out), "cpu_seconds": spent})
    else:
        print(report.text_of(document))
        told = ", ".join(f"{what.replace('_', ' ')} {seconds:.1f}" for what, seconds in spent.items())
        progress.say(f"processor seconds: {told}; in all {sum(spent.values()):.1f}")
        print(f"\nthe home: {arguments.out}; look at it with: authority serve --home {arguments.out}")
    return DONE if document["audit"]["ok"] else PROBLEMS
