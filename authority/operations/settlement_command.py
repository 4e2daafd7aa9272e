"""`authority settlement`: the worker, what members ask of the operator's key beside it, and answers to its alerts."""

from __future__ import annotations

import argparse

from authority.operations import blocked_readings, meters, reset, wallet_requests
from authority.operations.command_parts import Act, add_act_options, do
from authority.settlement import command
from edge_agent.wire.command import add_acting


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
    return command.run(arguments, beside=(wallet_requests.run,)) if act is None else do(arguments, act)


_ACTS: dict[str, Act] = {
    "rebase": lambda desk, words: reset.rebase(desk, words.log_index),
    "take-out": lambda desk, words: meters.retire(desk, words.meter, discard=True),
    "retry": lambda desk, _: blocked_readings.retry(desk),
}
