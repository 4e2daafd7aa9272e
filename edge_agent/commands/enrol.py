"""`edge-agent enrol`: bring this gateway and its meters to the authority with a claim code."""

from __future__ import annotations

import argparse
import sys
import time

from edge_agent.agent.enrolment import Pending, enrol
from edge_agent.commands.install import give_to_the_agent
from edge_agent.config import GatewayConfig, load_config
from edge_agent.wire.claim import Claim
from edge_agent.wire.command import DONE, PENDING, say

EXAMPLES = "example: edge-agent enrol --config gateway.toml --claim hall-ABCDEFGHIJKLMNOP-QRSTUVWXYZ234567 --wait"


def add_claim(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The options of every command that enrols."""
    parser.add_argument(
        "--claim",
        required=required,
        metavar="CODE",
        help="the code that `authority enrol claim` printed, NAME-SECRET-FINGERPRINT; - reads it from stdin",
    )
    parser.add_argument("--wait", action="store_true", help="wait until a person at the authority has decided")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent enrol`."""
    add_claim(parser)
    parser.add_argument(
        "--no-probe", action="store_true", help="do not check over the line that the meters are the configured ones"
    )


def run(options: argparse.Namespace) -> int:
    """Enrol; DONE with the credentials stored, PENDING where a person at the authority has yet to approve."""
    config = load_config(options.config)
    if not options.no_probe:
        from edge_agent.agent.meter_check import probe_meters  # noqa: PLC0415 - needs the lines, which --no-probe does not

        probe_meters(config.meters, tell=say)
    return enrol_and_tell(config, options)


def enrol_and_tell(config: GatewayConfig, options: argparse.Namespace, rotate: str | None = None) -> int:
    """Enrol with the options' claim, and say what comes of it; rotate names the meter that gets a new key.

    What root writes meanwhile is the agent's afterwards, or its service could not read its own credentials.
    """
    claim = Claim.parse(sys.stdin.readline() if options.claim == "-" else options.claim)
    try:
        outcome = enrol(config, claim, wait=options.wait, sleep=time.sleep, tell=say, rotate=rotate)
    finally:
        give_to_the_agent(config.state)
    if isinstance(outcome, Pending):
        say(f"enrolment {outcome.enrolment} waits for approval by the authority; then run this command again")
        return PENDING
    roles = ", ".join(f"{meter.name} as {meter.role}" for meter in outcome.meters)
    say(f"{config.name} is enrolled: {roles}. Start it with `edge-agent run --config {options.config}`")
    return DONE
