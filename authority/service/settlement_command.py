"""`authority settlement`: the worker, what the one process that settles does beside it, and answers to its alerts."""

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
from authority.operations import blocked_readings, meters, reset, suspensions, wallet_requests
from authority.operations.command_parts import Act, add_act_options, do
from authority.people import kept_answers, leave_requests
from authority.rounds import rounds
from authority.service import processes
from authority.service.supervisor import authority_command
from authority.settlement import command
from edge_agent.wire.command import add_acting
from edge_agent.wire.log import StructuredLog

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The worker's actions, and what a person answers to its alerts."""
    actions = command.add_actions(parser)
    rebase = actions.add_parser("rebase", help="let a meter go on from other registers, by its record that says so")
    rebase.add_argument("log_index", type=int, help="the record's index in the log, as its alert names it")
    add_act_options(rebase)
    out = actions.add_parser(
        "take-out", help="close a meter that was exchanged or taken out, so that its member waits for it no longer"
    )
    out.add_argument("meter", help="GATEWAY/METER, as the alert names it")
    out.add_argument("--reason", required=True, help="why; it is logged, so it names no person and no building")
    retry = actions.add_parser("retry", help="send again the readings that wait for a person, such as after a rebase")
    for action in (out, retry):
        add_acting(action)


def run(arguments: argparse.Namespace) -> int:
    """Run the worker or one of its actions; LeaseError where another worker runs."""
    act = _ACTS.get(arguments.action or "")
    if act is not None:
        return do(arguments, act)
    beside = (
        wallet_requests.run,
        suspensions.run,
        leave_requests.run,
        public_days.run,
        kept_answers.run,
        compare_nightly,
    )
    return command.run(arguments, beside=beside)


_ACTS: dict[str, Act] = {
    "rebase": lambda desk, words: reset.rebase(desk, words.log_index),
    "take-out": lambda desk, words: meters.retire(desk, words.meter, discard=True),
    "retry": lambda desk, _: blocked_readings.retry(desk),
}
