"""`authority people`: who may sign in to the pages, as what, and the sessions that are open."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import segno

from authority.enrolment.steps import Done
from authority.operations.command_parts import add_act_options, desk_of, do, table, when
from authority.operations.desk import Desk
from authority.people import desk as acts
from authority.people.roles import ROLES
from edge_agent.wire.command import add_json

DESCRIPTION = "People who sign in to the pages: invitations, roles, sessions. The log knows them by pseudonyms alone."
EXAMPLES = """examples:
  authority people invite ada@campus.example --name "Ada" --role member --member "Dormitory A"
  authority people invite ada@campus.example          (a new link: a lost passkey, a forgotten password)
  authority people role grant grace@campus.example operator
  authority people end-session 1f2e3d4c5b6a7988"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """list, invite, role, sessions, end-session, erase."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_json(actions.add_parser("list", help="everybody who may sign in, and as what"))
    inviting = actions.add_parser("invite", help="a link, good once and for a week, to choose how to sign in")
    inviting.add_argument("login", metavar="LOGIN", help="what is typed to sign in, such as an e-mail address")
    inviting.add_argument("--name", default="", help="how the pages call the person (default: the login)")
    inviting.add_argument("--role", choices=ROLES, help="as what; may be left out for who is known already")
    inviting.add_argument("--qr", action="store_true", help="print the link as a QR code too, to be cut out")
    inviting.add_argument("--mail", action="store_true", help="have the link mailed to the login, and print none")
    role = actions.add_parser("role", help="give a role, or take one away")
    verbs = role.add_subparsers(dest="verb", required=True, metavar="VERB")
    granting = verbs.add_parser("grant", help="give a role to a person")
    withdrawing = verbs.add_parser("withdraw", help="take a role from a person, and end its sessions")
    for each in (granting, withdrawing):
        each.add_argument("login", metavar="LOGIN")
        each.add_argument("role", choices=ROLES)
    for each in (inviting, granting):
        each.add_argument("--member", metavar="NAME", help="the member of the market, for member and delegate")
        each.add_argument("--days", type=int, metavar="N", help="a delegate's term")
    showing = actions.add_parser("sessions", help="open sessions")
    showing.add_argument("login", metavar="LOGIN", nargs="?", help="of this person (default: everybody's)")
    add_json(showing)
    ending = actions.add_parser("end-session", help="end a session: that browser has to sign in again")
    ending.add_argument("session", metavar="SESSION")
    erasing = actions.add_parser("erase", help="delete a person's record; the log keeps a pseudonym of nobody")
    erasing.add_argument("login", metavar="LOGIN")
    for each in (inviting, granting, withdrawing, ending, erasing):
        add_act_options(each, reason=False)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    if arguments.action == "list":
        with desk_of(arguments) as desk:
            people = acts.listed(desk)
        if not arguments.json:
            people = [
                {**each, "roles": [_role(held) for held in each["roles"]], "mail": _mail(each)} for each in people
            ]
        columns = ("login", "name", "roles", "password", "passkeys", "sessions", "invitation", "mail", "invited_until")
        return table(arguments, people, columns, "nobody may sign in yet: authority people invite LOGIN --role ROLE")
    if arguments.action == "sessions":
        with desk_of(arguments) as desk:
            found = acts.open_sessions(desk, arguments.login)
        return table(arguments, found, ("session", "login", "via", "browser", "seen_at", "ends"), "nobody is signed in")
    if arguments.action == "invite":
        return do(arguments, lambda desk, words: _told(_invite(desk, words), words))
    return do(arguments, _act)


def _role(held: dict[str, object]) -> str:
    return str(held["role"]) + (f" of {held['member']}" if held["member"] else "")


def _mail(told: dict[str, Any]) -> str:
    return "" if told["mail"] is None else f"{told['mail']['state']} {told['mail']['error']}".strip()


def _until(desk: Desk, words: argparse.Namespace) -> int | None:
    return None if words.days is None else desk.app.clock() + words.days * 86_400


def _invite(desk: Desk, words: argparse.Namespace) -> Done:
    """The invitation that a command line asks for."""
    return acts.invite(
        desk, words.login, words.name, words.role, words.member, until=_until(desk, words), mail=words.mail
    )


def _told(done: Done, words: argparse.Namespace) -> Done:
    """Print the link of an invitation, and its QR code where it is asked for."""
    link = done.facts.get("link")
    if link is not None and not words.json:
        print(f"{link}\ngood once, until {when(done.facts['expires_at'])}")
        if words.qr:
            segno.make(link, error="m").terminal(out=sys.stdout, compact=True)
    return done


def _act(desk: Desk, words: argparse.Namespace) -> Done:
    if words.action == "end-session":
        return acts.end_session(desk, words.session)
    if words.action == "erase":
        return acts.erase(desk, words.login)
    if words.verb == "withdraw":
        return acts.withdraw(desk, words.login, words.role)
    return acts.grant(desk, words.login, words.role, words.member, until=_until(desk, words))
