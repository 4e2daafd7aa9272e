"""`authority dataset`: a finished simulation as a data set to publish, or whether one is what its checksums say."""

from __future__ import annotations

import argparse
from pathlib import Path

from authority.simulation import dataset
from authority.simulation.errors import DatasetUnfitError
from edge_agent.wire.command import DONE, PROBLEMS, add_json, print_json

EXAMPLES = """examples:
  authority simulate --days 30 --buildings 20 --scenario docs/dataset/campus-month.toml --out month
  authority dataset month --scenario docs/dataset/campus-month.toml --about docs/dataset/about.toml --into campus-month
  authority dataset campus-month --check docs/dataset/SHA256SUMS

docs/SIMULATION.md, "A data set to publish", says what is in it and what --about takes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of which simulation, with which words, and where to; or what to hold a data set against."""
    parser.add_argument(
        "directory",
        type=Path,
        metavar="DIR",
        help="what `authority simulate --out DIR` left; with --check the data set",
    )
    parser.add_argument("--into", type=Path, metavar="DIR", help="where the data set goes: a new directory")
    parser.add_argument("--about", type=Path, metavar="FILE", help="title, creators, limitations and so on (TOML)")
    parser.add_argument(
        "--scenario", type=Path, metavar="FILE", help="the scenario that was simulated, if there was one"
    )
    parser.add_argument(
        "--parquet", action="store_true", help="the tables as Parquet too, beside CSV (takes the extra `parquet`)"
    )
    parser.add_argument("--check", type=Path, metavar="SUMS", help="only say which files differ from these checksums")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write it, or check it; 4 where files differ."""
    if arguments.check is not None:
        differing = dataset.differing(arguments.directory, arguments.check)
        if arguments.json:
            print_json({"differing": differing})
        else:
            print(
                "\n".join(f"{name}: differs, or is not there" for name in differing) or "every file is as it should be"
            )
        return PROBLEMS if differing else DONE
    if arguments.into is None or arguments.about is None:
        raise DatasetUnfitError("name where it goes with --into, and what it says of itself with --about")
    about = dataset.About.load(arguments.about)
    written = dataset.write(
        arguments.directory, arguments.into, about, arguments.scenario, as_parquet=arguments.parquet
    )
    if arguments.json:
        print_json({"files": [str(path) for path in written]})
    else:
        print("\n".join(map(str, written)))
    return DONE
