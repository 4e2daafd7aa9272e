"""`edge-agent rotate-key`: a new signing key for one meter, approved at the authority before the old one goes."""

from __future__ import annotations

import argparse

from edge_agent.commands.enrol import add_claim, enrol_and_tell
from edge_agent.config import load_config
from edge_agent.wire.command import say

DESCRIPTION = (
    "Makes a new key for the meter beside the present one and enrols with it. The present key goes on signing until a "
    "person at the authority has approved the new one; then the new one takes its place, and the old one is gone. "
    "The new key numbers its records from 1, and its registers go on where the old one's ended. Restart the agent "
    "afterwards. Interrupted, the same command goes on where it was."
)
EXAMPLES = "example: edge-agent rotate-key solar --claim CODE --wait"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent rotate-key`."""
    parser.add_argument("meter", metavar="METER", help="the meter's name in gateway.toml")
    add_claim(parser)


def run(options: argparse.Namespace) -> int:
    """Enrol with a new key; PENDING until it is approved."""
    config = load_config(options.config)
    config.meter(options.meter)
    status = enrol_and_tell(config, options, rotate=options.meter)
    say("restart the agent once it is approved: `systemctl restart edge-agent`")
    return status
