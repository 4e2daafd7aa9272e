"""`edge-agent keys`: the meters' keys and maps by their first digits, as `authority enrol list` shows them."""

from __future__ import annotations

import argparse

from edge_agent.agent.enrolment import key_digits
from edge_agent.config import load_config
from edge_agent.state.keys import KeyStore
from edge_agent.wire.command import DONE, add_json, print_json, say

DESCRIPTION = (
    "The person who approves a gateway at the authority and the person at the gateway compare these digits by "
    "telephone, so that nobody can put a key of their own in between."
)
EXAMPLES = "example: edge-agent keys --config gateway.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent keys`."""
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print a line for each meter; KeyFileError where a key is not made yet."""
    config = load_config(options.config)
    store = KeyStore(config.state)
    keys = {meter: store.load(meter.name).public_key for meter in config.meters}
    if options.json:
        print_json(
            [
                {"meter": meter.name, "public_key": key.hex(), "map_hash": meter.map.hash().hex()}
                for meter, key in keys.items()
            ]
        )
        return DONE
    for meter, key in keys.items():
        say(f"{meter.name}: {key_digits(key, meter.map)}")
    return DONE
