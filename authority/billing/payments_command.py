"""`authority billing payments`: import a bank's statement, bills with what was paid of them, payments, withdraw one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sqlalchemy import select

from authority.app import App
from authority.billing import payments, views
from authority.billing.errors import StatementInvalidError
from authority.billing.money import Currency, spaced
from authority.billing.payments import MATCHED, UNKNOWN, Match, PaidBill, Reading
from authority.chain.client import ChainClient
from authority.store.billing import IssuedBill
from edge_agent.wire.command import add_acting, add_json, tell

DESCRIPTION = """\
Payments by bank: `import` reads the bank's statement as CSV and books what names a bill's reference, each payment once.
[billing] says the currency and what the bank calls its columns."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One verb at a time."""
    parser.description = DESCRIPTION
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    importer = verbs.add_parser("import", help="book the payments of a statement that name a bill")
    importer.add_argument("file", type=Path, metavar="FILE", help="the bank's statement, CSV")
    importer.add_argument(
        "--assign", action="append", default=[], type=_assignment, metavar="LINE=BILL",
        help="this line is for that bill, whatever it names; may be repeated",
    )  # fmt: skip
    add_acting(importer)
    shower = verbs.add_parser("bills", help="issued bills: reference, what is to be paid, what was paid")
    shower.add_argument("--period", type=int, metavar="N", help="of one period (default: of all that is not settled)")
    add_json(shower)
    add_json(verbs.add_parser("list", help="the payments that are booked, newest first"))
    taker = verbs.add_parser("withdraw", help="take a payment off its bill, booked for it in error")
    taker.add_argument("payment", type=int, metavar="LEAF", help="its place in the log, as `list` has it")
    taker.add_argument("--reason", required=True, help="why; it is logged: name no person")
    add_acting(taker)


def _assignment(text: str) -> tuple[int, int]:
    line, _, bill = text.partition("=")
    if not (line.isdecimal() and bill.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not LINE=BILL, such as 14=17")
    return int(line), int(bill)


def run(app: App, _client: ChainClient, arguments: argparse.Namespace) -> None:
    """Do it; BillingErrors."""
    {"import": _import, "bills": _bills, "list": _list, "withdraw": _withdraw}[arguments.verb](app, arguments)


def _import(app: App, arguments: argparse.Namespace) -> None:
    try:
        data = arguments.file.read_bytes()
    except OSError as error:
        raise StatementInvalidError(f"{arguments.file}: {error.strerror}") from error
    assigned = dict(arguments.assign)
    if arguments.dry_run:
        reading = payments.try_statement(app, data, assigned)
    else:
        reading = payments.take_in(app, data, assigned, actor=arguments.actor)
    booked = not arguments.dry_run and reading.count(MATCHED) > 0
    currency = Currency.of(app.home.settings.billing)
    told = {"changed": booked, "amount": reading.amount, "rows": [_row(each) for each in reading.rows]}
    tell(arguments, told, _told(reading, currency, dry_run=arguments.dry_run))


def _row(match: Match) -> dict[str, Any]:
    payment = match.payment
    return {
        "line": payment.line,
        "date": payment.booked_on.isoformat(),
        "amount": payment.amount,
        "outcome": match.outcome,
        "bill": match.bill,
        "state": match.state,
        "words": match.words,
    }


def _told(reading: Reading, currency: Currency, *, dry_run: bool) -> str:
    lines = [
        f"line {each.payment.line:>5}  {each.payment.booked_on}  {currency.text(each.payment.amount):>16}  "
        f"{each.outcome:<8} {each.words}"
        for each in reading.rows
    ]
    would = "would be booked" if dry_run else "booked"
    lines.append(
        f"{reading.count(MATCHED)} payments {would}, {currency.text(reading.amount)}; {reading.count(payments.KNOWN)} "
        f"were booked before; {reading.count(UNKNOWN)} are left alone"
    )
    return "\n".join(lines)


def _bills(app: App, arguments: argparse.Namespace) -> None:
    currency = Currency.of(app.home.settings.billing)
    network, period = app.home.network_id, arguments.period
    with app.store.read() as session:
        names = views.names(session)
        if period is None:
            found = payments.unsettled(session, currency, network)
        else:
            found = payments.paid_bills(session, currency, network, IssuedBill.period == period)
    lines = [
        f"{each.number:>6}  {each.period:>6}  {names.get(each.wallet, each.wallet):<24} {spaced(each.reference)}  "
        f"{currency.text(each.payable):>16} {currency.text(each.received):>16}  {payments.WORDS[each.state]}"
        for each in found
    ]
    head = f"{'BILL':>6}  {'PERIOD':>6}  {'MEMBER':<24} {'REFERENCE':<19}  {'TO PAY':>16} {'PAID':>16}  STATE"
    tell(arguments, [_standing(each) for each in found], "\n".join([head, *lines]) if found else "no such bill")


def _standing(bill: PaidBill) -> dict[str, Any]:
    return {
        "number": bill.number,
        "period": bill.period,
        "member": bill.wallet,
        "reference": bill.reference,
        "to_pay": bill.payable,
        "paid": bill.received,
        "state": bill.state,
    }


def _list(app: App, arguments: argparse.Namespace) -> None:
    currency = Currency.of(app.home.settings.billing)
    with app.store.read() as session:
        names = views.names(session)
        owners = dict(session.execute(select(IssuedBill.number, IssuedBill.wallet)).all())
        told = [
            {
                "payment": row.log_index,
                "bill": row.bill,
                "member": owners[row.bill],
                "amount": row.amount,
                "date": row.booked_on,
                "withdrawn": row.withdrawn_at is not None,
                "actor": row.entered_by,
            }
            for row in payments.newest(session)
        ]
    lines = [
        f"{each['payment']:>8}  {each['date']}  {currency.text(int(str(each['amount']))):>16}  bill {each['bill']}, "
        f"{names.get(str(each['member']), each['member'])}" + (" (withdrawn)" if each["withdrawn"] else "")
        for each in told
    ]
    tell(arguments, told, "\n".join(lines) or "no payment is booked")


def _withdraw(app: App, arguments: argparse.Namespace) -> None:
    if arguments.dry_run:
        with app.store.read() as session:
            payments.reason_of(session, arguments.reason)
        told = {"payment": arguments.payment, "changed": False}
        tell(arguments, told, f"payment {arguments.payment} would no longer count for its bill")
        return
    changed = payments.withdraw(app, arguments.payment, arguments.reason, actor=arguments.actor)
    told = {"payment": arguments.payment, "changed": changed}
    tell(arguments, told, f"payment {arguments.payment} {'is' if changed else 'was already'} withdrawn")
