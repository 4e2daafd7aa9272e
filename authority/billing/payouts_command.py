"""`authority billing payouts`: what members are owed in money, the payment file for the bank, and members' accounts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from authority.app import App
from authority.billing import bank_accounts, payouts, views
from authority.billing.money import Currency
from authority.billing.payment_file import FORMATS
from authority.billing.payouts import OTHERWISE, Owed
from authority.chain.client import ChainClient
from edge_agent.wire.command import add_acting, add_json, tell
from edge_agent.wire.files import write_atomically

DESCRIPTION = """\
What the department pays its members by bank: `owed` lists it, `export` orders it and writes the file for the bank,
ISO 20022 (pain.001.001.09) or CSV. What was ordered is not ordered again, unless its file is cancelled."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One verb at a time."""
    parser.description = DESCRIPTION
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    lister = verbs.add_parser("owed", help="what members are owed and the bank was not asked to pay yet")
    _period(lister)
    add_json(lister)
    exporter = verbs.add_parser("export", help="order what is owed, and write the file for the bank")
    _period(exporter)
    exporter.add_argument("--format", choices=FORMATS, help="(default: pain.001 for euros from an IBAN, else csv)")
    exporter.add_argument("--file", type=Path, required=True, metavar="FILE")
    exporter.add_argument("--again", type=int, metavar="BATCH", help="write the file of this batch again")
    add_acting(exporter)
    add_json(verbs.add_parser("list", help="the payment files, newest first"))
    canceller = verbs.add_parser("cancel", help="take back a file that the bank never got: all of it is owed again")
    canceller.add_argument("batch", type=int, metavar="BATCH")
    add_acting(canceller)
    payer = verbs.add_parser("paid", help="say that something was paid in another way, and is in no file")
    payer.add_argument("what", nargs="+", metavar="NAME", help="bill-17 or credits-5120, as `owed` has it")
    add_acting(payer)
    accounts = verbs.add_parser("account", help="where a member is paid: set it, or forget it")
    accounts.add_argument("member", help="the member's name in the campus plan")
    accounts.add_argument("--holder", metavar="NAME", help="whose account it is")
    accounts.add_argument("--bank", default="", metavar="CODE", help="the BIC, or a bank's code where there is no IBAN")
    act = accounts.add_mutually_exclusive_group(required=True)
    act.add_argument("--number", metavar="IBAN", help="an IBAN, or digits with --bank")
    act.add_argument("--forget", action="store_true", help="delete what is kept")
    add_acting(accounts)


def _period(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--period", type=int, metavar="N", help="the bills of one period (default: all, and credits)")


def run(app: App, _client: ChainClient, arguments: argparse.Namespace) -> None:
    """Do it; BillingErrors."""
    verbs = {"owed": _owed, "export": _export, "list": _list, "cancel": _cancel, "paid": _paid, "account": _account}
    verbs[arguments.verb](app, arguments)


def _told(each: Owed) -> dict[str, Any]:
    return {"name": each.name, "member": each.wallet, "amount": each.amount, "has_account": each.account is not None}


def _owed(app: App, arguments: argparse.Namespace) -> None:
    currency = Currency.required(app.home.settings.billing)
    with app.store.read() as session:
        names, found = views.names(session), payouts.owed(session, app, arguments.period)
    lines = [
        f"{each.name:<16} {names.get(each.wallet, each.wallet):<24} {currency.text(each.amount):>16}  "
        + (bank_accounts.masked(each.account.number) if each.account else "no account")
        for each in found
    ]
    tell(arguments, [_told(each) for each in found], "\n".join(lines) or "nothing is owed")


def _export(app: App, arguments: argparse.Namespace) -> None:
    batch = arguments.again
    if arguments.dry_run and batch is not None:
        data, form = payouts.file_of(app, batch, arguments.format)
        text = f"payment file {batch} ({form}, {len(data)} bytes) would be written to {arguments.file} again"
        tell(arguments, {"changed": False, "batch": batch, "format": form}, text)
        return
    if arguments.dry_run:
        with app.store.read() as session:
            found = payouts.owed(session, app, arguments.period)
        text = f"{sum(each.account is not None for each in found)} of {len(found)} that are owed have an account"
        tell(arguments, {"changed": False, "owed": [_told(each) for each in found]}, text)
        return
    if batch is None:
        batch = payouts.order(app, period=arguments.period, form=arguments.format, actor=arguments.actor)
    data, form = payouts.file_of(app, batch, arguments.format)
    write_atomically(arguments.file, data)
    told = {"changed": arguments.again is None, "batch": batch, "format": form, "file": str(arguments.file)}
    tell(arguments, told, f"payment file {batch} ({form}) written to {arguments.file}: give it to the bank once")


def _list(app: App, arguments: argparse.Namespace) -> None:
    currency = Currency.of(app.home.settings.billing)
    with app.store.read() as session:
        found = payouts.batches(session)
    told = [
        {
            "batch": each.number or None, "time": each.made_at, "actor": each.made_by, "payments": each.count,
            "amount": each.amount, "cancelled": each.cancelled,
        }
        for each in found
    ]  # fmt: skip
    lines = [
        f"{'other' if each.number == OTHERWISE else each.number:>6}  {each.count:>5}  {currency.text(each.amount):>16}"
        f"{'  cancelled' if each.cancelled else ''}"
        for each in found
    ]
    tell(arguments, told, "\n".join(lines) or "nothing was ordered")


def _cancel(app: App, arguments: argparse.Namespace) -> None:
    if arguments.dry_run:
        tell(arguments, {"changed": False}, f"payment file {arguments.batch} would be cancelled")
        return
    count = payouts.cancel(app, arguments.batch, actor=arguments.actor)
    told = {"changed": count > 0, "payments": count}
    tell(arguments, told, f"payment file {arguments.batch}: {count} payments are owed again")


def _paid(app: App, arguments: argparse.Namespace) -> None:
    with app.store.read() as session:
        found = {each.name: each.amount for each in payouts.owed(session, app)}
    chosen = [(name, found.get(name, 0)) for name in arguments.what]
    if arguments.dry_run:
        tell(arguments, {"changed": False}, f"{sum(name in found for name, _ in chosen)} would no longer be owed")
        return
    payouts.order(app, chosen, otherwise=True, actor=arguments.actor)
    tell(arguments, {"changed": True, "paid": arguments.what}, f"no longer owed: {', '.join(arguments.what)}")


def _account(app: App, arguments: argparse.Namespace) -> None:
    with app.store.read() as session:
        member_id = bank_accounts.member_id(session, arguments.member)
    if not arguments.forget:
        bank_accounts.checked(arguments.holder or "", arguments.number, arguments.bank)
    if arguments.dry_run:
        tell(arguments, {"changed": False}, f"{arguments.member}'s account would be changed")
        return
    if arguments.forget:
        changed = bank_accounts.remove(app, member_id, actor=arguments.actor)
    else:
        changed = bank_accounts.set_account(
            app, member_id, arguments.holder or "", arguments.number, arguments.bank, actor=arguments.actor
        )
    words = "is forgotten" if arguments.forget else "is kept"
    tell(arguments, {"changed": changed}, f"{arguments.member}'s account {words}" + ("" if changed else ": as before"))
