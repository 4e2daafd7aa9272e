"""`authority verifier`: one of the processes that gateways talk to where `[collector] verifiers` is not 0."""

from __future__ import annotations

import argparse

from authority.collector import server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which of them."""
    parser.add_argument("number", type=int, help="1 to [collector] verifiers; each runs once")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    server.run_verifier(arguments.home, arguments.number)
    return 0
