"""`edge-agent status`: how far each meter's readings come, and what is wrong."""

from __future__ import annotations

import argparse
import time

from edge_agent.config import load_config
from edge_agent.state.metrics import metrics
from edge_agent.state.status import problems, read_status, render
from edge_agent.wire.command import DONE, PROBLEMS, add_json, print_json

EXAMPLES = "example: edge-agent status --config gateway.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent status`."""
    add_json(parser)
    parser.add_argument("--prometheus", action="store_true", help="print it as text for Prometheus")


def run(options: argparse.Namespace) -> int:
    """Print the status; PROBLEMS where the agent does not run, or runs with any."""
    status, now = read_status(load_config(options.config).state), time.time()
    found = problems(status, now)
    if options.json:
        print_json({**status, "problems": found})
    elif options.prometheus:
        print(metrics(status, now), end="")
    else:
        print(render(status, now))
    return PROBLEMS if found else DONE
