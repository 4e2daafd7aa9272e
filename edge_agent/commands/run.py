"""`edge-agent run`: read, sign and publish until SIGTERM."""

from __future__ import annotations

import argparse

from edge_agent.agent.run import run as run_agent
from edge_agent.config import load_config
from edge_agent.wire.command import DONE

EXAMPLES = "example: edge-agent run --config gateway.toml --log-format json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything is in gateway.toml."""


def run(options: argparse.Namespace) -> int:
    """Run the agent until it is told to stop; RunError where it cannot start."""
    run_agent(load_config(options.config))
    return DONE
