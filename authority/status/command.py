"""`authority status`: everything that waits for a person, on one screen."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from authority.app import App
from authority.chain.client import ChainClient
from authority.status import facts, judgement, screen

EXIT_PROBLEMS = 4
"""As `edge-agent status` says it: it works, and something waits for a person."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For a person, or for a program."""
    parser.add_argument("--json", action="store_true", help="the facts and the problems as JSON")
    parser.epilog = "Exit status: 0 all is well, 4 something waits for a person, 1 it cannot be told."


def run(arguments: argparse.Namespace) -> int:
    """Show it; 4 where something waits."""
    app = App.open(arguments.home)
    client = ChainClient(app.home.rpc_url, attempts=2, timeout=5)
    try:
        gathered = facts.gather(app, client)
    finally:
        client.close()
        app.store.close()
    found = judgement.problems(gathered)
    if arguments.json:
        print(json.dumps({**gathered.as_json(), "problems": [asdict(problem) for problem in found]}, indent=2))
    else:
        print(screen.render(gathered, found))
    return EXIT_PROBLEMS if found else 0
