"""`authority watchdog`: run the department's Agave validator, and bring it back where it makes no slots."""

from __future__ import annotations

import argparse
import signal
from functools import partial
from pathlib import Path

from authority.chain.client import ChainClient
from authority.errors import AuthorityError
from authority.home.home import Home
from authority.service.watchdog import Watchdog, confirmed_slot


class NoCommandError(AuthorityError):
    """The watchdog was not told what to run."""

    code = "no_command"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The ledger, and the validator's own command line."""
    parser.add_argument("--ledger", type=Path, required=True, metavar="DIR", help="the validator's ledger directory")
    parser.add_argument("--url", help="its JSON-RPC address (default: the home's [validator] url)")
    parser.add_argument("validator", nargs="*", metavar="COMMAND", help="after --: how the validator is started")
    parser.epilog = "example: authority watchdog --ledger ledger -- agave-validator --ledger ledger --identity ..."


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    if not arguments.validator:
        raise NoCommandError("name the validator's command line after --, such as: -- agave-validator --ledger DIR")
    home = Home.open(arguments.home, "validator")
    client = ChainClient(arguments.url or home.rpc_url, attempts=1, timeout=3)
    watchdog = Watchdog(arguments.validator, arguments.ledger, home.path, partial(confirmed_slot, client))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watchdog.stop.set())
    watchdog.run()
    return 0
