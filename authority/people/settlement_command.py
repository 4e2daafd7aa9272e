"""`authority settlement`: the worker, and beside it what members ask of the operator's key."""

from __future__ import annotations

import argparse

from authority.operations import wallet_requests
from authority.people import leave_requests
from authority.settlement import command

add_arguments = command.add_arguments


def run(arguments: argparse.Namespace) -> int:
    """Run the worker or one of its actions; LeaseError where another worker runs."""
    return command.run(arguments, beside=(wallet_requests.run, leave_requests.run))
