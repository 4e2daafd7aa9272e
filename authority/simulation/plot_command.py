"""`authority plot`: the page of plots of a finished simulation again, or of some of its days."""

from __future__ import annotations

import argparse
from pathlib import Path

from authority.simulation import plots
from authority.simulation.command import MAX_DAYS, whole
from edge_agent.wire.command import DONE, add_json, print_json

EXAMPLES = """examples:
  authority plot month                                 (month/plots.svg and month/plots.png again)
  authority plot month --from-day 8 --days 2 --into 8-june"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which simulation, which days, and where to."""
    parser.add_argument("simulation", type=Path, metavar="DIR", help="what `authority simulate --out DIR` left")
    parser.add_argument(
        "--from-day", type=whole(1, MAX_DAYS), default=1, metavar="N", help="the first day, from 1 (default: 1)"
    )
    parser.add_argument("--days", type=whole(1, MAX_DAYS), metavar="N", help="how many (default: all that follow)")
    parser.add_argument("--into", type=Path, metavar="DIR", help="where the plots go (default: the simulation's own)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Draw, and say where."""
    written = plots.write(arguments.simulation, arguments.into, first_day=arguments.from_day, days=arguments.days)
    if arguments.json:
        print_json({"plots": [str(path) for path in written]})
    else:
        print("\n".join(map(str, written)))
    return DONE
