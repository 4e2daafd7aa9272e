"""`authority status`: everything that waits for a person, on one screen."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from authority.app import App
from authority.chain.client import ChainClient
from authority.status import facts, judgement, screen
from edge_agent.wire.command import PROBLEMS, add_json, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For a person, or for a program."""
    add_json(parser)
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
        print_json({**gathered.as_json(), "problems": [asdict(problem) for problem in found]})
    else:
        print(screen.render(gathered, found))
    return PROBLEMS if found else 0
