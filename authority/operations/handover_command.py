"""`authority handover`: Config's authority and the programs' upgrade authority go to another key."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from solders.keypair import Keypair

from authority.enrolment.steps import Done
from authority.home.errors import KeyUnreadableError
from authority.operations import handover
from authority.operations.command_parts import Act, add_act_options, do
from authority.operations.desk import Desk
from authority.operations.members import address_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Propose, then accept."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    proposing = actions.add_parser("propose", help="propose another authority; nothing changes until it accepts")
    proposing.add_argument("address", help="its public key, base58")
    accepting = actions.add_parser("accept", help="take Config and the programs over, with both keys at hand")
    accepting.add_argument("--key", type=Path, required=True, metavar="FILE", help="the new key, in Solana's format")
    for parser_ in (proposing, accepting):
        add_act_options(parser_)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    return do(arguments, _ACTS[arguments.action])


def _propose(desk: Desk, words: argparse.Namespace) -> Done:
    desk.app.home.settings.people.refuse_alone("handover")
    return handover.propose(desk, address_of(words.address))


def key_of(path: Path) -> Keypair:
    """A key file in Solana's format; KeyUnreadableError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise KeyUnreadableError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return Keypair.from_bytes(bytes(json.loads(text)))
    except (ValueError, TypeError) as error:
        raise KeyUnreadableError(f"{path} is not a Solana key file (64 numbers): {error}") from error


_ACTS: dict[str, Act] = {
    "propose": _propose,
    "accept": lambda desk, words: handover.accept(desk, key_of(words.key)),
}
