"""`authority tickets`: what members dispute, with answers, and how it is closed."""

from __future__ import annotations

import argparse
from typing import Any

from authority.operations import tickets
from authority.operations.command_parts import Act, add_act_options, desk_of, do, show, table
from authority.operations.desk import Desk
from authority.operations.tickets import Shown
from authority.store.desk import Ticket
from edge_agent.wire.command import add_json

EXAMPLES = """examples:
  authority tickets list
  authority tickets answer 7 --text "The meter was read again: it is right."
  authority tickets close 7 --settled
  authority tickets close 7 --correction 17/1"""
COLUMNS = ("dispute", "state", "member", "about", "reason", "opened_at")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """list, show, answer, close."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="what is open; what waits for an answer first")
    listing.add_argument("--all", action="store_true", help="the newest, closed ones too")
    showing = actions.add_parser("show", help="one, with what was written")
    answering = actions.add_parser("answer", help="answer one; the member reads it on its page")
    closing = actions.add_parser("close", help="close one: settled, or by a correction that was entered")
    for parser_ in (showing, answering, closing):
        parser_.add_argument("dispute", type=int, metavar="DISPUTE")
    answering.add_argument("--text", required=True, help="the answer; it is kept out of the log")
    how = closing.add_mutually_exclusive_group(required=True)
    how.add_argument("--settled", action="store_true", help="nothing is corrected")
    how.add_argument(
        "--correction", type=_correction, metavar="BILL/NUMBER", help="by this one: authority billing correct"
    )
    for parser_ in (listing, showing):
        add_json(parser_)
    for parser_ in (answering, closing):
        add_act_options(parser_, reason=False)


def _correction(text: str) -> tuple[int, int]:
    bill, _, number = text.partition("/")
    if not (bill.isdecimal() and number.isdecimal()):
        raise argparse.ArgumentTypeError("write it like 17/1: the bill, and the correction's number there")
    return int(bill), int(number)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    act = _ACTS.get(arguments.action)
    if act is not None:
        return do(arguments, act)
    with desk_of(arguments) as desk:
        if arguments.action == "show":
            with desk.app.store.read() as session:
                found = tickets.shown(session, desk.app, arguments.dispute)
            return show(arguments, _told(found))
        rows = listed(desk, everything=arguments.all)
    return table(arguments, rows, COLUMNS, "nothing is disputed")


def listed(desk: Desk, *, everything: bool) -> list[dict[str, Any]]:
    """What is open, or the newest of all."""
    with desk.app.store.read() as session:
        found = tickets.listed(session, None) if everything else tickets.still_open(session)
    return [_row(ticket, member) for ticket, member in found]


def _row(ticket: Ticket, member: str) -> dict[str, Any]:
    return {
        "dispute": ticket.id,
        "state": ticket.state,
        "member": member,
        "about": "a day" if ticket.bill is None else f"bill {ticket.bill}, line {ticket.line}",
        "reason": ticket.reason,
        "starts_at": ticket.starts_at,
        "ends_at": ticket.ends_at,
        "opened_at": ticket.opened_at,
        "closed_at": ticket.closed_at,
        "correction": None if ticket.correction is None else f"{ticket.correction_bill}/{ticket.correction}",
    }


def _told(found: Shown) -> dict[str, Any]:
    line = found.line
    return {
        **_row(found.ticket, found.member),
        "line": None if line is None else {name: line[name] for name in ("kind", "wh", "price", "amount")},
        "days": ", ".join(found.days),
        "words": [
            {"from": "member" if each.from_member else "department", "said_at": each.at, "text": each.text}
            for each in found.words
        ],
    }


_ACTS: dict[str, Act] = {
    "answer": lambda desk, words: tickets.answer(desk, words.dispute, words.text),
    "close": lambda desk, words: tickets.close(desk, words.dispute, words.correction),
}
