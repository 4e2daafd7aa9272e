"""`edge-agent check`: every mistake in gateway.toml at once, and whether this machine has what `run` needs."""

from __future__ import annotations

import argparse

from edge_agent.agent.site_check import check_site
from edge_agent.config import find_mistakes, load_config
from edge_agent.wire.command import DONE, PROBLEMS, USAGE, add_json, print_json, say

DESCRIPTION = (
    "Tells every mistake in gateway.toml, not the first alone, and then looks at what `edge-agent run` needs: the "
    "state directory, the clock, the ports, the enrolment, the authority and its broker. It changes nothing, sends no "
    "reading and asks no meter, and may be run while the agent runs."
)
EXAMPLES = """examples:
  edge-agent check --config gateway.toml
  edge-agent check --config gateway.toml --file-only      # before it is copied to the gateway
exit status 2: the file has mistakes; 4: the file is right, and something else keeps readings from being sent"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent check`."""
    add_json(parser)
    parser.add_argument("--file-only", action="store_true", help="look at the file alone, not at this machine")


def run(options: argparse.Namespace) -> int:
    """Print what was found; USAGE where the file has mistakes, PROBLEMS where something else is wrong."""
    mistakes = find_mistakes(options.config)
    found = [] if mistakes or options.file_only else list(check_site(load_config(options.config)))
    if options.json:
        print_json(
            {
                "file": str(options.config),
                "mistakes": [{"key": error.key, "message": str(error)} for error in mistakes],
                "checks": [item._asdict() for item in found],
            }
        )
    else:
        for error in mistakes:
            say(str(error))
        if not mistakes:
            say(f"{options.config}: no mistake")
        for item in found:
            mark = "ok     " if item.good else ("PROBLEM" if item.problem else "note   ")
            say(f"{mark}  {item.subject}: {item.message}")
        if mistakes:
            say(f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}")
    if mistakes:
        return USAGE
    return PROBLEMS if any(item.problem and not item.good for item in found) else DONE
