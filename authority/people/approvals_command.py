"""`authority approvals`: what takes two people, proposed by one, approved by another, and carried out with the keys."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from authority.app import App
from authority.chain.client import ChainClient
from authority.errors import AuthorityError
from authority.home.settings import ParameterSettings
from authority.operations.command_parts import show, table, time_of
from authority.people import dangerous, proposals, records
from authority.people.dangerous import (
    APPOINT,
    CORRECTION,
    CREDITS,
    ERASE,
    HANDOVER,
    KINDS,
    OPERATOR,
    PARAMETERS,
    UNMASK,
    UPGRADE,
    By,
)
from authority.people.proposals import BY_COMMAND, WORDS
from authority.people.roles import OF_THE_DEPARTMENT
from authority.store.persons import Proposal
from edge_agent.wire.command import DONE, FAILED, add_json, message_line, tell

DESCRIPTION = """\
What is dangerous takes two people: one proposes it, another one approves it, here or at /approvals. What needs the
authority's key is then carried out by `authority approvals run`. A command says with --person in whose name it acts;
whoever has the server's user can name anybody."""
EXAMPLES = """examples:
  authority approvals propose parameters --feed-in-price 90000 --person ada@campus.example --reason "new tariff"
  authority approvals list
  authority approvals approve 1f2e3d4c5b6a7988 --person grace@campus.example
  authority approvals run"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """list, show, propose, approve, refuse, withdraw, reveal, run."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_json(actions.add_parser("list", help="what was proposed, the newest first"))
    showing = actions.add_parser("show", help="one proposal with all that it does")
    add_json(showing)
    proposing = actions.add_parser("propose", help="propose an act; another person approves it")
    kinds = proposing.add_subparsers(dest="kind", required=True, metavar="KIND")
    parsers = {name: kinds.add_parser(name, help=_lower(kind.words)) for name, kind in KINDS.items()}
    for name in asdict(ParameterSettings()):
        parsers[PARAMETERS].add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", dest=f"set_{name}")
    when = parsers[PARAMETERS].add_mutually_exclusive_group()
    when.add_argument("--from-epoch", type=int, metavar="EPOCH", help="(default: in a day)")
    when.add_argument(
        "--from-time", type=time_of, metavar="TIME", help="the first epoch that begins then (UTC) or later"
    )
    for name in (OPERATOR, HANDOVER):
        parsers[name].add_argument("address", help="its public key, base58")
    parsers[ERASE].add_argument("login", metavar="LOGIN")
    parsers[APPOINT].add_argument("login", metavar="LOGIN")
    parsers[APPOINT].add_argument("role", choices=sorted(OF_THE_DEPARTMENT))
    parsers[UNMASK].add_argument("pseudonym", help="as the log has it: person-... or a member's wallet")
    parsers[CREDITS].add_argument("member", help="the member's name in the campus plan")
    parsers[CREDITS].add_argument("amount", type=int, metavar="MICRO_CREDITS", help="a top-up; negative: a payout")
    parsers[CREDITS].add_argument("--reference", required=True, help="the bank transfer's; it is kept, and not logged")
    parsers[CORRECTION].add_argument("bill", type=int, metavar="BILL", help="the number of the bill that is wrong")
    parsers[CORRECTION].add_argument("--line", type=int, required=True, metavar="N", help="its line that is wrong")
    parsers[CORRECTION].add_argument(
        "--amount", type=int, required=True, metavar="MICRO_CREDITS", help="positive where the member is to pay more"
    )
    deciding = [
        actions.add_parser(name, help=help_)
        for name, help_ in (
            ("approve", "approve what another person proposed"),
            ("refuse", "refuse a proposal, or what was approved and is not carried out yet"),
            ("withdraw", "take one's own proposal back"),
            ("reveal", "show, once, who is behind the pseudonym of one's approved proposal"),
        )
    ]
    for each in parsers.values():
        each.add_argument("--reason", required=True, help="why; it is logged: name no person and no building")
    for each in (*parsers.values(), *deciding):
        each.add_argument("--person", required=True, metavar="LOGIN", help="in whose name")
        _acting(each)
    running = actions.add_parser("run", help="carry out, with the authority's key, what is approved")
    running.add_argument("id", nargs="?", metavar="ID", help="this one alone (default: all that wait for it)")
    _acting(running)
    for each in (showing, *deciding):
        each.add_argument("id", metavar="ID")


def _lower(words: str) -> str:
    return words[0].lower() + words[1:]


def _acting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    app = App.open(arguments.home)
    client = ChainClient(app.home.rpc_url, attempts=2)
    try:
        return _ACTIONS[arguments.action](app, client, arguments)
    finally:
        client.close()
        app.store.close()


def told(proposal: Proposal, now: int) -> dict[str, Any]:
    """A proposal, for programs and for a person's terminal."""
    return {
        "id": proposal.id,
        "kind": proposal.kind,
        "state": proposals.state_of(proposal, now),
        "told": proposal.told,
        "what": proposal.data,
        "digest": proposal.digest.hex(),
        "reason": proposal.reason,
        "proposed_by": proposal.proposed_by,
        "proposed_at": proposal.proposed_at,
        "approved_by": proposal.approved_by,
        "approved_at": proposal.approved_at,
        "ends": proposal.expires_at,
    }


def _list(app: App, _client: ChainClient, arguments: argparse.Namespace) -> int:
    with app.store.read() as session:
        found = [told(each, app.clock()) for each in proposals.listed(session, None)]
    columns = ("id", "kind", "state", "proposed_by", "approved_by", "ends", "reason")
    return table(arguments, found, columns, "nothing was proposed")


def _show(app: App, _client: ChainClient, arguments: argparse.Namespace) -> int:
    with app.store.read() as session:
        found = told(proposals.of(session, arguments.id), app.clock())
    return show(arguments, found)


def _propose(app: App, client: ChainClient, arguments: argparse.Namespace) -> int:
    with app.store.read() as session:
        who = proposals.by_login(session, arguments.person, app.clock())
        proposals.reason_of(session, arguments.reason)
    data = _DATA[arguments.kind](app, client, arguments)
    if arguments.dry_run:
        tell(arguments, {"changed": False, "what": data}, f"would be proposed: {_in_words(data)}")
        return 0
    made = proposals.propose(app, who, arguments.kind, data, arguments.reason, via=BY_COMMAND)
    approve = f"authority approvals approve {made.id} --person LOGIN"
    line = f"{made.id}: proposed ({_in_words(data)}); another person approves it: {approve}"
    tell(arguments, {**told(made, app.clock()), "changed": True}, line)
    return 0


def _in_words(data: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in data.items())


def _parameters(_app: App, client: ChainClient, arguments: argparse.Namespace) -> dict[str, Any]:
    changes = {
        name: value for name in asdict(ParameterSettings()) if (value := getattr(arguments, f"set_{name}")) is not None
    }
    from_epoch = arguments.from_epoch
    if arguments.from_time is not None:
        from_epoch = -(-arguments.from_time // _app.home.settings.epoch.seconds)
    return dangerous.parameters(client, changes, from_epoch)


def _erase(app: App, _client: ChainClient, arguments: argparse.Namespace) -> dict[str, Any]:
    with app.store.read() as session:
        return dangerous.erasure(session, arguments.login)


def _appoint(app: App, _client: ChainClient, arguments: argparse.Namespace) -> dict[str, Any]:
    with app.store.read() as session:
        person = records.find(session, arguments.login)
        return dangerous.appointment(session, person.pseudonym, arguments.role)


def _unmask(app: App, _client: ChainClient, arguments: argparse.Namespace) -> dict[str, Any]:
    with app.store.read() as session:
        return dangerous.unmasking(session, arguments.pseudonym)


_DATA: dict[str, Callable[[App, ChainClient, argparse.Namespace], dict[str, Any]]] = {
    PARAMETERS: _parameters,
    OPERATOR: lambda _, client, words: dangerous.operator(client, words.address),
    HANDOVER: lambda _, client, words: dangerous.authority(client, words.address),
    UPGRADE: lambda app, client, _: dangerous.programs(app, client),
    ERASE: _erase,
    APPOINT: _appoint,
    UNMASK: _unmask,
    CREDITS: lambda app, _, words: dangerous.booking(app, words.member, words.amount, words.reference),
    CORRECTION: lambda app, _, words: dangerous.correction(app, words.bill, words.line, words.amount, words.reason),
}


def _decide(app: App, _client: ChainClient, arguments: argparse.Namespace) -> int:
    with app.store.read() as session:
        who = proposals.by_login(session, arguments.person, app.clock())
        before = proposals.of(session, arguments.id)
    if arguments.dry_run:
        line = f"{before.id} {WORDS[proposals.state_of(before, app.clock())]}; it would be decided: {arguments.action}"
        tell(arguments, {**told(before, app.clock()), "changed": False}, line)
        return 0
    if arguments.action == "approve":
        done = proposals.approve(app, who, arguments.id, before.digest, via=BY_COMMAND)
    else:
        act = proposals.refuse if arguments.action == "refuse" else proposals.withdraw
        done = act(app, who, arguments.id, via=BY_COMMAND)
    line = f"{done.id} {WORDS[done.state]}"
    if done.state == proposals.APPROVED and KINDS[done.kind].by is By.KEYS:
        line += f": authority approvals run {done.id}"
    tell(arguments, {**told(done, app.clock()), "changed": done.state != before.state}, line)
    return 0


def _reveal(app: App, _client: ChainClient, arguments: argparse.Namespace) -> int:
    with app.store.read() as session:
        who = proposals.by_login(session, arguments.person, app.clock())
        proposals.of(session, arguments.id)
    if arguments.dry_run:
        tell(arguments, {"changed": False}, "it would be shown, once, and that would be logged")
        return 0
    found = proposals.reveal(app, who, arguments.id)
    words = " ".join(filter(None, (found.login and f"({found.login})", ", ".join(found.roles), found.building)))
    tell(arguments, {**asdict(found), "changed": True}, f"{found.pseudonym} is {found.name} {words}".strip())
    return 0


def _run(app: App, client: ChainClient, arguments: argparse.Namespace) -> int:
    with proposals.alone(app):
        with app.store.read() as session:
            if arguments.id is not None:
                waiting = [proposals.of(session, arguments.id)]
            else:
                waiting = proposals.approved_to_run(session, app.clock())
        done, wrong = [], 0
        for each in waiting:
            if arguments.dry_run:
                continue
            try:
                done.append(proposals.carry_out(app, each.id, client))
            except AuthorityError as error:
                if len(waiting) == 1:
                    raise
                wrong += 1  # the others do not wait for this one
                print(message_line("authority", f"{each.id}: {error}", error.code), file=sys.stderr)
    shown = waiting if arguments.dry_run else done
    lines = [
        f"{each.id} {each.kind}: {'would be carried out' if arguments.dry_run else WORDS[each.state]}" for each in shown
    ]
    rows = [told(each, app.clock()) for each in shown]
    tell(arguments, {"changed": bool(done), "proposals": rows}, "\n".join(lines) or "nothing is approved that waits")
    return FAILED if wrong else DONE


_ACTIONS: dict[str, Callable[[App, ChainClient, argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "propose": _propose,
    "approve": _decide,
    "refuse": _decide,
    "withdraw": _decide,
    "reveal": _reveal,
    "run": _run,
}
