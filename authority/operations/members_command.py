"""`authority members`: who takes part, what they have, and what is done with a member."""

from __future__ import annotations

import argparse

from authority.enrolment.steps import Done
from authority.operations import leaving, members, replacing_wallets
from authority.operations.command_parts import Act, add_act_options, desk_of, do, show, table, time_of
from authority.operations.desk import Desk
from edge_agent.wire.command import add_json

EXAMPLES = """examples:
  authority members add "Fay" --building "House E"
  authority members replace-wallet "Fay" --reason "key lost"      (and 96 epochs later, with --finish)
  authority members leave "Fay" --dry-run

Exit status 3: a step waits for something, which is said; do the same again."""
COLUMNS = ("member", "building", "public", "dwelling", "meters", "wallet", "on_chain", "left_at")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action at a time."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every member")
    showing = actions.add_parser("show", help="one member: balances, orders, meters, bills")
    adding = actions.add_parser("add", help="a new member, in the store and on the chain")
    suspending = actions.add_parser("suspend", help="end a member's part in the market; undone by resume")
    resuming = actions.add_parser("resume", help="let a suspended member trade again")
    leaving_ = actions.add_parser("leave", help="take a member out: settle, feed in, pay out, erase")
    renaming = actions.add_parser("rename", help="call a member otherwise")
    replacing = actions.add_parser("replace-wallet", help="another wallet, in two steps with 96 epochs between them")
    delegating = actions.add_parser("delegate", help="name who may trade for a member until a time")
    keying = actions.add_parser(
        "delegate-key", help="make a key that is kept here, for a member to name as its delegate"
    )
    for parser_ in (showing, adding, suspending, resuming, leaving_, renaming, replacing, delegating, keying):
        parser_.add_argument("member", metavar="NAME")
    for parser_ in (listing, showing):
        add_json(parser_)
    for parser_ in (adding, suspending, resuming, leaving_, renaming, replacing, delegating, keying):
        add_act_options(parser_)
    adding.add_argument("--building", required=True)
    adding.add_argument(
        "--public",
        action="store_true",
        help="show its building on the public page; of a home: settled quarters of an hour, 15 minutes late",
    )
    adding.add_argument(
        "--no-dwelling",
        dest="dwelling",
        action="store_false",
        help="it is nobody's home, or that of many households (a dormitory, a laboratory): --public shows it live",
    )
    adding.add_argument("--wallet", metavar="ADDRESS", help="its own wallet (default: one made and kept here)")
    leaving_.add_argument("--forfeit", action="store_true", help="give up energy that was bought and not used")
    renaming.add_argument("new", metavar="NEW_NAME")
    replacing.add_argument("--to", metavar="ADDRESS", help="the wallet to propose (default: one made and kept here)")
    step = replacing.add_mutually_exclusive_group()
    step.add_argument("--finish", action="store_true", help="have the proposed wallet take over")
    step.add_argument("--cancel", action="store_true", help="take the proposal back")
    who = delegating.add_mutually_exclusive_group(required=True)
    who.add_argument("--to", metavar="ADDRESS", help="the delegate's public key")
    who.add_argument("--remove", action="store_true", help="have no delegate any more")
    delegating.add_argument("--until", type=time_of, default=0, metavar="TIME", help="the term's end, UTC")
    delegating.add_argument("--energy", type=int, default=0, metavar="WH", help="what it may move into the seat")
    delegating.add_argument("--credit", type=int, default=0, metavar="MICRO_CREDITS")


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    act = _ACTS.get(arguments.action)
    if act is not None:
        return do(arguments, act)
    with desk_of(arguments) as desk:
        if arguments.action == "show":
            return show(arguments, members.shown(desk, arguments.member))
        found = members.listed(desk)
    return table(arguments, found, COLUMNS, "there is no member yet: authority members add NAME --building BUILDING")


def _replace(desk: Desk, words: argparse.Namespace) -> Done:
    if words.finish:
        return replacing_wallets.finish(desk, words.member)
    if words.cancel:
        return replacing_wallets.cancel(desk, words.member)
    return replacing_wallets.propose(desk, words.member, words.to)


_ACTS: dict[str, Act] = {
    "add": lambda desk, words: members.add(
        desk, words.member, words.building, public=words.public, dwelling=words.dwelling, wallet=words.wallet
    ),
    "suspend": lambda desk, words: members.suspend(desk, words.member),
    "resume": lambda desk, words: members.resume(desk, words.member),
    "leave": lambda desk, words: leaving.leave(desk, words.member, forfeit=words.forfeit),
    "rename": lambda desk, words: members.rename(desk, words.member, words.new),
    "replace-wallet": _replace,
    "delegate-key": lambda desk, words: members.make_delegate_key(desk, words.member),
    "delegate": lambda desk, words: members.delegate(
        desk,
        words.member,
        None if words.remove else words.to,
        until=words.until,
        energy_wh=words.energy,
        credit=words.credit,
    ),
}
