#!/usr/bin/env python3
"""Compute units of every instruction of the five programs, on the embedded validator and on Agave; JSON.

usage: instruction_units.py [--write]   (--write: into instruction_units.json)

They are those of one life of a campus (tests/programs/instruction_scenario.py), each instruction's dearest run, with
all that it called. Addresses that hold an epoch's number differ from run to run, and where a program has to derive one
(open_epoch, checkpoint_epoch, trigger_clearing) so do the units, by 1,500 a try; compute_units.py has the figures that
are held to budgets. `agave` is null, with the reason on standard error, where this machine cannot run it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
RECORDED = Path(__file__).with_name("instruction_units.json")
sys.path[:0] = [
    str(TESTS.parent),
    str(TESTS / "support"),
    str(TESTS / "programs"),
    str(TESTS.parent / "docs" / "labs" / "worlds"),
]

from agave_validator import AgaveUnavailableError, start_agave_validator  # noqa: E402
from campus import key  # noqa: E402
from instruction_scenario import PARAMETERS, Scenario  # noqa: E402
from live_campus import Execution, LiveCampus  # noqa: E402
from validators import agave_genesis, embedded_validator  # noqa: E402

from authority.chain.client import ChainClient  # noqa: E402


def dearest(executions: Iterable[Execution]) -> dict[str, int]:
    """The most that each instruction used."""
    found: dict[str, int] = {}
    for item in executions:
        name = f"{item.program}.{item.name}"
        found[name] = max(found.get(name, 0), item.units)
    return dict(sorted(found.items()))


def embedded(directory: Path) -> dict[str, int]:
    """On the embedded validator."""
    with embedded_validator(directory) as (url, skip):
        campus = LiveCampus(ChainClient(url), parameters=PARAMETERS, skip=skip)
        Scenario(campus).run()
    return dearest(campus.executions)


def agave(directory: Path) -> dict[str, int] | None:
    """On Agave; takes three minutes, for its clock cannot be moved."""
    try:
        validator = start_agave_validator(directory, agave_genesis(), str(key("operator").pubkey()))
    except AgaveUnavailableError as reason:
        print(f"not measured on Agave: {reason}", file=sys.stderr)
        return None
    try:
        campus = LiveCampus(ChainClient(validator.url), parameters=PARAMETERS)
        Scenario(campus).run()
    finally:
        validator.stop()
    return dearest(campus.executions)


def main() -> int:
    """Print the figures, or record them."""
    parser = argparse.ArgumentParser(description="Compute units of every instruction.")
    parser.add_argument("--write", action="store_true", help="into instruction_units.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        figures = json.dumps({"embedded": embedded(Path(one)), "agave": agave(Path(other))}, indent=2)
    if arguments.write:
        RECORDED.write_text(figures + "\n")
    print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
