"""`authority meters`: what stands at the campus, and what may be done with it."""

from __future__ import annotations

import argparse

from authority.operations import exchange, meters, reset
from authority.operations.command_parts import Act, add_act_options, desk_of, do, show, table
from edge_agent.wire.command import DONE, FAILED, add_json, print_json

DESCRIPTION = (
    "The campus's meters: which there are, and what is done with one that is in use. A meter is GATEWAY/METER."
)
EXAMPLES = """examples:
  authority meters exchange south-hall/load --serial 1KFM00042 --last consumption=8123.4kWh --first consumption=0
  authority meters reassign south-hall/load --to "Fay" --wait 1800 --reason "change of tenant"
  authority meters suspend south-hall/solar --reason "inverter works"

Exit status 3: a step waits for something, which is said; do the same again."""
COLUMNS = ("meter", "serial", "role", "member", "installation", "state", "on_chain", "last_interval_end")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action at a time."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every meter: member, state, last reading")
    showing = actions.add_parser("show", help="one meter with all that the store and the chain know of it")
    mapping = actions.add_parser("map", help="a meter's approved map, and whether the chain has it")
    suspending = actions.add_parser("suspend", help="have a meter take no part; undone by resume")
    resuming = actions.add_parser("resume", help="have a suspended meter take part again")
    exchanging = actions.add_parser("exchange", help="record that another device took its place, to the Wh")
    reassigning = actions.add_parser("reassign", help="give meters to another member: a change of tenant")
    resetting = actions.add_parser("reset", help="let a meter that was reset go on: its held readings and the chain")
    retiring = actions.add_parser("retire", help="take a meter out for good; its member goes on without it")
    for parser_ in (showing, mapping, suspending, resuming, exchanging, resetting, retiring):
        parser_.add_argument("meter", metavar="GATEWAY/METER")
    for parser_ in (listing, showing, mapping):
        add_json(parser_)
    for parser_ in (suspending, resuming, exchanging, reassigning, resetting, retiring):
        add_act_options(parser_)
    exchanging.add_argument("--serial", required=True, help="the new device's, as on its plate")
    exchanging.add_argument(
        "--last",
        required=True,
        action="append",
        metavar="REGISTER=WH",
        help="what the old display showed when it was taken out, such as consumption=8123.4kWh; several with a comma",
    )
    exchanging.add_argument(
        "--first", required=True, action="append", metavar="REGISTER=WH", help="what the new display showed when put in"
    )
    exchanging.add_argument("--force", action="store_true", help="believe a rise that the nameplate does not explain")
    reassigning.add_argument("meter", nargs="+", metavar="GATEWAY/METER")
    reassigning.add_argument("--to", required=True, metavar="MEMBER", help="the new member's name")
    reassigning.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="wait so long for what is measured to be settled"
    )
    retiring.add_argument(
        "--discard", action="store_true", help="leave out accepted readings that are still on their way to the chain"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    act = _ACTS.get(arguments.action)
    return do(arguments, act) if act is not None else _SHOWN[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    with desk_of(arguments) as desk:
        found = meters.listed(desk)
    return table(arguments, found, COLUMNS, "there is no meter yet: authority enrol campus FILE")


def _show(arguments: argparse.Namespace) -> int:
    with desk_of(arguments) as desk:
        return show(arguments, meters.shown(desk, arguments.meter))


def _map(arguments: argparse.Namespace) -> int:
    with desk_of(arguments) as desk:
        found = meters.shown_map(desk, arguments.meter)
    gateway = arguments.meter.partition("/")[0]
    if arguments.json:
        print_json(found)
    else:
        show(arguments, found)
        if not found["on_chain"]:
            print(f"the chain has another map: authority enrol register {gateway}")
        print(f"for another map: correct gateway.toml, then authority enrol claim {gateway}, and approve what it asks")
    return DONE if found["on_chain"] else FAILED


_SHOWN = {"list": _list, "show": _show, "map": _map}
_ACTS: dict[str, Act] = {
    "suspend": lambda desk, words: meters.suspend(desk, words.meter),
    "resume": lambda desk, words: meters.resume(desk, words.meter),
    "retire": lambda desk, words: meters.retire(desk, words.meter, discard=words.discard),
    "reset": lambda desk, words: reset.reset(desk, words.meter),
    "reassign": lambda desk, words: meters.reassign(desk, words.meter, words.to, wait_seconds=words.wait),
    "exchange": lambda desk, words: exchange.exchange(
        desk,
        words.meter,
        words.serial,
        last=exchange.parse_registers(words.last),
        first=exchange.parse_registers(words.first),
        force=words.force,
    ),
}
