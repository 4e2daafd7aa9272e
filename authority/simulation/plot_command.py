"""`authority plot`: the page of plots of a finished simulation again, of some of its days, or of several together."""

from __future__ import annotations

import argparse
from pathlib import Path

from authority.simulation import plots, side_by_side
from authority.simulation.command import MAX_DAYS, whole
from authority.simulation.errors import ResultsUnlikeError
from edge_agent.wire.command import DONE, add_json, print_json

EXAMPLES = """examples:
  authority plot month                                 (month/plots.svg and month/plots.png again)
  authority plot month --from-day 8 --days 2 --into 8-june
  authority plot today dearer --into both              (both on one page, and their figures in both/runs.csv)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which simulations, which days, and where to."""
    parser.add_argument(
        "simulation",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="what `authority simulate --out DIR` left; several are drawn on one page",
    )
    parser.add_argument(
        "--from-day", type=whole(1, MAX_DAYS), default=1, metavar="N", help="the first day, from 1 (default: 1)"
    )
    parser.add_argument("--days", type=whole(1, MAX_DAYS), metavar="N", help="how many (default: all that follow)")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="DIR",
        help="where the plots go (default: the simulation's own; of several, a new one)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Draw, and say where."""
    which, chosen = arguments.simulation, {"first_day": arguments.from_day, "days": arguments.days}
    if len(which) > 1 and arguments.into is None:
        raise ResultsUnlikeError("of several simulations, name the directory where their plots go with --into")
    written = (
        plots.write(which[0], arguments.into, **chosen)
        if len(which) == 1
        else side_by_side.write(which, arguments.into, **chosen)
    )
    if arguments.json:
        print_json({"plots": [str(path) for path in written]})
    else:
        if len(which) > 1:
            print(side_by_side.text_of(side_by_side.read(which)))
        print("\n".join(map(str, written)))
    return DONE
