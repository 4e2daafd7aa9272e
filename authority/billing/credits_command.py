"""`authority credits`: top-up, pay-out, take-back, list."""

from __future__ import annotations

import argparse

from sqlalchemy import select

from authority.app import App
from authority.billing import credits
from authority.billing.errors import MemberUnknownError
from authority.chain.client import ChainClient
from authority.store.billing import CreditEntry
from authority.store.people import User
from edge_agent.wire.command import add_acting, add_json, tell

DESCRIPTION = """\
Credits against the bank's money: `top-up` issues credits to a member who paid, `pay-out` takes them back from one whom
the department pays, `take-back` those that were issued by mistake, for which nothing is paid. Each names the bank
transfer's reference, or for `take-back` one of your own, and nothing is booked twice for one: after a failure, give the
same command again. 1000000 micro-credits are one credit."""


_WOULD = {"top-up": "topped up by", "pay-out": "paid out", "take-back": "relieved of"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action at a time."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, line in (
        ("top-up", "issue credits to a member who paid the department"),
        ("pay-out", "take credits back from a member whom the department pays"),
        ("take-back", "take back unspent credits that were issued by mistake; nothing is paid for them"),
    ):
        action = actions.add_parser(name, help=line)
        action.add_argument("member", help="the member's name in the campus plan")
        action.add_argument("amount", type=int, metavar="MICRO_CREDITS", help="1000000 is one credit")
        action.add_argument("--reference", required=True, help="what it is booked under, once; kept, and not logged")
        action.add_argument(
            "--confirm", type=int, metavar="MICRO_CREDITS", help="the amount again, where it is above the limit"
        )
        add_acting(action)
    lister = actions.add_parser("list", help="what was booked, newest last")
    lister.add_argument("--member", metavar="NAME", help="of one member alone")
    add_json(lister)


def run(arguments: argparse.Namespace) -> int:
    """Do it; BillingError where it cannot be done."""
    app = App.open(arguments.home)
    client = ChainClient(app.home.rpc_url, attempts=2)
    try:
        _list(app, arguments) if arguments.action == "list" else _book(app, client, arguments)
    finally:
        client.close()
        app.store.close()
    return 0


def _book(app: App, client: ChainClient, arguments: argparse.Namespace) -> None:
    name, amount = arguments.member, arguments.amount
    reference = credits.as_reference(app, arguments.reference)
    user = credits.check(app, name, amount, reference, arguments.confirm)
    if amount > app.home.settings.billing.credit_limit:
        app.home.settings.people.refuse_alone("credits")
    with app.store.read() as session:
        before = session.get(CreditEntry, reference)
    if arguments.dry_run:
        words = _WOULD[arguments.action]
        already = "" if before is None else f"; {reference!r} stands as {before.state} already"
        told = {"member": user.wallet, "amount": amount, "reference": reference, "changed": False}
        tell(arguments, told, f"{name} would be {words} {amount} micro-credits{already}")
        return
    if arguments.action == "top-up":
        entry = credits.top_up(app, client, user, amount, reference, actor=arguments.actor)
    else:
        owed = arguments.action == "pay-out"
        entry = credits.pay_out(app, client, user, amount, reference, actor=arguments.actor, owed=owed)
    changed = before is None or before.signature != entry.signature
    text = f"{name}: {entry.amount} micro-credits booked for {reference!r} ({entry.signature})"
    tell(arguments, {**_as_json(entry), "changed": changed}, text if changed else f"{text}: it was booked already")


def _list(app: App, arguments: argparse.Namespace) -> None:
    with app.store.read() as session:
        names = {user.wallet: user.name for user in session.scalars(select(User))}
        query = select(CreditEntry).order_by(CreditEntry.entered_at, CreditEntry.log_index)
        entries = list(session.scalars(query))
    if arguments.member is not None:
        if arguments.member not in names.values():
            raise MemberUnknownError(f"no member is called {arguments.member!r}")
        entries = [entry for entry in entries if names.get(entry.wallet) == arguments.member]
    lines = [
        f"{entry.amount:>18}  {names.get(entry.wallet, entry.wallet):<24} {entry.state:<9} {entry.reference}"
        for entry in entries
    ]
    tell(arguments, [_as_json(entry) for entry in entries], "\n".join(lines) or "nothing was booked")


def _as_json(entry: CreditEntry) -> dict[str, object]:
    return {
        "reference": entry.reference,
        "member": entry.wallet,
        "amount": entry.amount,
        "state": entry.state,
        "signature": entry.signature,
        "log_index": entry.log_index,
        "time": entry.entered_at,
        "actor": entry.entered_by,
    }
