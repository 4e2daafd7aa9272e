"""`authority settlement`: the worker, and beside it what is done once in a while by the one process that settles."""

from __future__ import annotations

import argparse

from authority.measures import public_days
from authority.operations import wallet_requests
from authority.settlement import command

add_arguments = command.add_arguments


def run(arguments: argparse.Namespace) -> int:
    """Run the worker or one of its actions; LeaseError where another worker runs."""
    return command.run(arguments, beside=(wallet_requests.run, public_days.run))
