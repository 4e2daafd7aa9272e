"""`authority settlement`: the worker, and beside it what is done once in a while by the one process that settles."""

from __future__ import annotations

import argparse
import subprocess
import threading
from collections.abc import Callable

from authority.app import App
from authority.audit import comparing
from authority.chain.client import ChainClient
from authority.errors import AuthorityError
from authority.measures import public_days
from authority.operations import wallet_requests
from authority.people import leave_requests
from authority.rounds import rounds
from authority.service import processes
from authority.service.supervisor import authority_command
from authority.settlement import command
from edge_agent.wire.log import StructuredLog

add_arguments = command.add_arguments

LOG = StructuredLog(__name__)
COMPARING_SECONDS = 300.0
"""How often is looked whether tonight's comparison is due, and after how long one that failed is tried again."""
DIFFERS = 1


class ComparisonFailedError(AuthorityError):
    """The nightly comparison of books and chain ended without a result."""

    code = "comparison_failed"


def compare_nightly(app: App, _: Callable[[], ChainClient], stop: threading.Event) -> None:
    """Compare books and chain once a night, in a process of its own, until `stop` is set."""

    def once() -> None:
        if comparing.due(app):
            _compare(app, stop)

    rounds(once, stop, COMPARING_SECONDS, LOG, "books and chain are not compared")


def _compare(app: App, stop: threading.Event) -> None:
    words = ("audit", "compare", "--if-due", "--json", "--home", str(app.home.path))
    child = processes.start("comparison", authority_command(*words), output=subprocess.DEVNULL)
    while not child.waited(1.0):
        if stop.is_set():
            child.kill()
            return
    if child.process.returncode not in (0, DIFFERS) or comparing.due(app):
        raise ComparisonFailedError(f"it ended with {child.ended()}: authority audit compare says why")


def run(arguments: argparse.Namespace) -> int:
    """Run the worker or one of its actions; LeaseError where another worker runs."""
    return command.run(arguments, beside=(wallet_requests.run, leave_requests.run, public_days.run, compare_nightly))
