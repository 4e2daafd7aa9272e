"""`authority upgrade`: the programs on the chain become the released ones, one epoch after that was announced."""

from __future__ import annotations

import argparse

from authority.enrolment.steps import Done
from authority.operations import upgrade
from authority.operations.command_parts import Act, add_act_options, desk_of, do, show
from authority.operations.desk import Desk
from edge_agent.wire.command import add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Show, announce, take back, carry out."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    shown = actions.add_parser("show", help="each program's bytes on the chain and as released; what is announced")
    add_json(shown)
    for name, help_ in (
        ("announce", "say in the log which programs change, from the epoch after the next on"),
        ("cancel", "take the announcement back"),
        ("run", "carry the announcement out, and compare each program's bytes; may be broken off and run again"),
    ):
        add_act_options(actions.add_parser(name, help=help_))


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    if arguments.action == "show":
        with desk_of(arguments) as desk:
            return show(arguments, upgrade.show(desk))
    return do(arguments, _ACTS[arguments.action])


def _announce(desk: Desk, _words: argparse.Namespace) -> Done:
    desk.app.home.settings.people.refuse_alone("upgrade")
    return upgrade.announce(desk)


_ACTS: dict[str, Act] = {
    "announce": _announce,
    "cancel": lambda desk, _: upgrade.cancel(desk),
    "run": lambda desk, _: upgrade.carry_out(desk),
}
