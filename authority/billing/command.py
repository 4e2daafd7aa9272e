"""`authority billing`: periods, preview, close, issue, show, export, correct, estimate, payments, payouts, ledger."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.billing import export, issuing, ledger, payments_command, payouts_command, views
from authority.billing.bill import Bill, hash_of
from authority.billing.errors import (
    BillUnknownError,
    MemberUnknownError,
)
from authority.billing.export import moment, spans
from authority.chain.client import ChainClient
from authority.errors import MeterUnknownError
from authority.home.settings import EVERYWHERE
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.metering import Meter
from authority.store.people import User, user_named
from edge_agent.wire.command import DONE, PROBLEMS, add_acting, add_json, tell
from edge_agent.wire.files import write_atomically

DESCRIPTION = """\
A billing period ends on the chain by itself. Then, in this order: `preview` shows its bills, `close` says what they
would lack and shuts it, `issue` numbers the bills and logs their hashes. Issued bills never change; `correct` notes a
line for the member's next bill. Amounts are micro-credits (1000000 is one credit), positive where the member pays."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action at a time."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_json(actions.add_parser("periods", help="the billing periods: when, whether closed and issued, how many bills"))
    previewer = actions.add_parser("preview", help="the bills of a period as they would be now; nothing is kept")
    previewer.add_argument("--period", type=int, metavar="N", help="(default: the open one)")
    previewer.add_argument("--member", metavar="NAME", help="of one member alone, line by line")
    add_json(previewer)
    closer = actions.add_parser("close", help="shut a period that is over: later corrections go onto the next bills")
    closer.add_argument("period", type=int, metavar="PERIOD")
    closer.add_argument("--with-gaps", action="store_true", help="though something is missing, as it says without this")
    _acting(closer)
    issuer = actions.add_parser("issue", help="number the bills of a closed period, keep them, and log their hashes")
    issuer.add_argument("period", type=int, metavar="PERIOD")
    _acting(issuer)
    shower = actions.add_parser("show", help="a bill by its number, or all of a member by name")
    shower.add_argument("what", metavar="BILL|MEMBER", help="a number is a bill, anything else a member's name")
    add_json(shower)
    exporter = actions.add_parser("export", help="write the issued bills of a period to a file, a row for each line")
    exporter.add_argument("period", type=int, metavar="PERIOD")
    exporter.add_argument("--csv", type=Path, required=True, metavar="FILE")
    add_json(exporter)
    corrector = actions.add_parser("correct", help="note a correction of an issued bill, for the member's next bill")
    corrector.add_argument("bill", type=int, metavar="BILL", help="the number of the bill that is wrong")
    corrector.add_argument("--line", type=int, required=True, metavar="N", help="its line that is wrong")
    corrector.add_argument(
        "--amount", type=int, required=True, metavar="MICRO_CREDITS", help="positive where the member is to pay more"
    )
    _acting(corrector, reason=True)
    taker = actions.add_parser("withdraw-correction", help="take back a correction that no bill has yet")
    taker.add_argument("correction", type=int, metavar="LEAF", help="its place in the log, as `correct` said it")
    taker.add_argument(
        "--reason", required=True, help="why; it is logged as its hash alone, and kept: name no person and no building"
    )
    _acting(taker)
    counter = actions.add_parser("ledger", help="every member's credits, by what moved and on the chain")
    counter.add_argument("--check", action="store_true", help="exit with 4 where the two do not agree")
    add_json(counter)
    payments_command.add_arguments(actions.add_parser("payments", help="what the bank says that members paid"))
    payouts_command.add_arguments(actions.add_parser("payouts", help="what members are paid by bank: the payment file"))
    _estimates(actions.add_parser("estimate", help="what a dead meter would have measured: add, withdraw, list"))


def _estimates(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    adder = verbs.add_parser("add", help="enter an estimate, for the member's next bill")
    adder.add_argument("member", help="the member's name in the campus plan")
    adder.add_argument("--meter", required=True, metavar="GATEWAY/METER")
    adder.add_argument("--first-epoch", type=int, required=True, metavar="EPOCH", help="the first without a reading")
    adder.add_argument("--end-epoch", type=int, required=True, metavar="EPOCH", help="the first with one again")
    adder.add_argument("--wh", type=int, required=True, help="how much was drawn in them, by your estimate")
    _acting(adder, reason=True)
    taker = verbs.add_parser("withdraw", help="take an estimate back: the next bill returns its amount")
    taker.add_argument("estimate", type=int, metavar="LEAF", help="its place in the log, as `list` has it")
    _acting(taker, reason=True)
    add_json(verbs.add_parser("list", help="all estimates"))


def _acting(parser: argparse.ArgumentParser, *, reason: bool = False) -> None:
    if reason:
        parser.add_argument("--reason", required=True, help="why; it is logged and printed on the bill: name no person")
    add_acting(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it; BillingError where it cannot be done."""
    app = App.open(arguments.home)
    client = ChainClient(app.home.rpc_url, attempts=2)
    try:
        if arguments.action == "ledger":
            return _ledger(app, client, arguments)
        _ACTIONS[arguments.action](app, client, arguments)
    finally:
        client.close()
        app.store.close()
    return DONE


# Periods


def _periods(app: App, client: ChainClient, arguments: argparse.Namespace) -> None:
    book = issuing.open_book(app, client, only=-1)
    with app.store.read() as session:
        found = views.periods(session, book)
    names_of = ("period", "first_epoch", "end_epoch", "state", "bills", "due")
    rows: list[dict[str, Any]] = [{name: getattr(each, name) for name in names_of} for each in found]
    lines = [f"{'PERIOD':>6}  {'FROM':<24}  {'TO':<24}  {'STATE':<7}  {'BILLS':>5}  {'DUE':>15}"]
    for each in rows:
        starts, ends = (
            moment(each[name] * book.facts.epoch_seconds, _zone(app)) for name in ("first_epoch", "end_epoch")
        )
        lines.append(
            f"{each['period']:>6}  {starts:<24}  {ends:<24}  {each['state']:<7}  {each['bills']:>5}  {each['due']:>15}"
        )
    tell(arguments, rows, "\n".join(lines))


def _zone(app: App) -> ZoneInfo:
    """The site's time zone, in which every time is told, with its offset."""
    return ZoneInfo(app.home.settings.site.zone)


def _preview(app: App, client: ChainClient, arguments: argparse.Namespace) -> None:
    period = arguments.period
    if period is None:
        period = issuing.open_book(app, client, only=-1).facts.open_period
    book = issuing.open_book(app, client, only=period)
    bills = {bill.member: bill for bill in issuing.preview(app, book, period)}
    with app.store.read() as session:
        names = views.names(session)
        if arguments.member is not None:
            member = _member(session, arguments.member)
            bills = {wallet: bill for wallet, bill in bills.items() if wallet == member.wallet}
            if not bills:
                raise BillUnknownError(f"{member.name!r} has nothing on its bill of period {period} yet")
    documents = [_document(app, bill) for bill in bills.values()]
    if arguments.member is not None:
        tell(arguments, documents, _text(documents[0], names, "preview", _zone(app)))
        return
    tell(arguments, documents, _table(documents, names))


def _document(app: App, bill: Bill) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bill.document(0, app.home.network_id))
    del found["number"]
    return found


def _close(app: App, client: ChainClient, arguments: argparse.Namespace) -> None:
    period = arguments.period
    with app.store.read() as session:
        known = session.get(BillingPeriod, period)
    if known is not None:
        told = {"period": period, "closed": True, "changed": False}
        tell(
            arguments,
            told,
            f"billing period {period} was closed by {known.closed_by} on {moment(known.closed_at, _zone(app))}",
        )
        return
    book = issuing.open_book(app, client, only=period)
    if arguments.dry_run:
        found = issuing.checklist(app, book, period)
        gaps = [{"code": gap.code, "subject": gap.subject, "message": gap.message} for gap in found.gaps]
        told = {"period": period, "closed": False, "changed": False, "blocking": list(found.blocking), "gaps": gaps}
        with app.store.read() as session:
            names = views.names(session)
        lines = [f"cannot be closed: {each}" for each in found.blocking]
        lines += [f"gap: {names.get(gap.subject, gap.subject)}: {gap.message} [{gap.code}]" for gap in found.gaps]
        tell(arguments, told, "\n".join(lines or [f"billing period {period} can be closed, and lacks nothing"]))
        return
    row = issuing.close(app, book, period, actor=arguments.actor, with_gaps=arguments.with_gaps)
    told = {"period": period, "closed": True, "changed": True, "log_index": row.log_index}
    tell(arguments, told, f"billing period {period} is closed; next: authority billing issue {period}")


def _issue(app: App, client: ChainClient, arguments: argparse.Namespace) -> None:
    period = arguments.period
    with app.store.read() as session:
        row = issuing.closed_period(session, period)
        names = views.names(session)
    if arguments.dry_run and row.issued_at is None:
        so_far = issuing.preview(app, issuing.open_book(app, client, only=period), period)
        documents = [_document(app, bill) for bill in so_far]
        tell(arguments, {"period": period, "changed": False, "bills": documents}, _table(documents, names))
        return
    book = issuing.open_book(app, client, only=period) if row.issued_at is None else None
    with app.store.read() as session:
        issued = views.issued_in(session, period)
    if book is not None:
        issued = issuing.issue(app, book, period, actor=arguments.actor)
    told = {
        "period": period,
        "changed": book is not None,
        "bills": [{"number": each.number, "member": each.wallet, "due": each.due} for each in issued],
    }
    numbers = f"numbers {issued[0].number} to {issued[-1].number}, " if issued else ""
    when = "" if book is not None else f" on {moment(row.issued_at or 0, _zone(app))}"
    due = sum(each.due for each in issued)
    tell(arguments, told, f"billing period {period}: {len(issued)} bills issued{when}, {numbers}{_credits(due)} due")


# Bills


def _show(app: App, _client: ChainClient, arguments: argparse.Namespace) -> None:
    with app.store.read() as session:
        names = views.names(session)
        if arguments.what.isdecimal():
            bill = issuing.issued_bill(session, int(arguments.what))
            document = views.document_of(bill)
            tell(arguments, document, _text(document, names, hash_of(bill.document), _zone(app)))
            return
        member = _member(session, arguments.what)
        bills = session.scalars(
            select(IssuedBill).where(IssuedBill.wallet == member.wallet).order_by(IssuedBill.number)
        )
        documents = [views.document_of(bill) for bill in bills]
    tell(arguments, documents, _table(documents, names))


def _export(app: App, _client: ChainClient, arguments: argparse.Namespace) -> None:
    with app.store.read() as session:
        text, bills, count = export.period_csv(session, arguments.period, _zone(app))
    write_atomically(arguments.csv, text.encode())
    told = {"period": arguments.period, "bills": bills, "lines": count, "file": str(arguments.csv)}
    tell(arguments, told, f"{bills} bills, {count} lines written to {arguments.csv}")


def _alone(app: App) -> int | None:
    """How much one person may correct by command, in micro-credits; None where one person is enough."""
    settings = app.home.settings
    return settings.billing.credit_limit if settings.people.two_persons == EVERYWHERE else None


def _correct(app: App, _client: ChainClient, arguments: argparse.Namespace) -> None:
    people, limit = app.home.settings.people, _alone(app)
    with app.store.read() as session:
        data = issuing.correction_of(session, arguments.bill, arguments.line, arguments.amount, arguments.reason)
        document = views.document_of(issuing.issued_bill(session, arguments.bill))
        if limit is not None and issuing.takes_two(session, data, limit):
            people.refuse_alone("correction")
    if arguments.dry_run:
        line = document["lines"][arguments.line - 1]
        told = {"bill": arguments.bill, "line": line, "amount": arguments.amount, "changed": False}
        text = (
            f"line {arguments.line} of bill {arguments.bill} ({views.WORDS[line['kind']]}, {_credits(line['amount'])})"
        )
        tell(arguments, told, f"{text} would be corrected by {_credits(arguments.amount)} on the member's next bill")
        return
    said = (arguments.bill, arguments.line, arguments.amount, arguments.reason)
    entered = issuing.correct(app, *said, actor=arguments.actor, limit=limit)
    already = " (it was noted already)" if entered.known else ""
    text = f"correction {entered.log_index} of bill {arguments.bill}: {_credits(arguments.amount)} on the next bill"
    tell(arguments, {**entered.data, "log_index": entered.log_index, "changed": not entered.known}, text + already)


def _withdraw_correction(app: App, _client: ChainClient, arguments: argparse.Namespace) -> None:
    index = arguments.correction
    if arguments.dry_run:
        told = {"correction": index, "changed": False}
        tell(arguments, told, f"correction {index} would be withdrawn, if no bill has it yet")
        return
    entered = issuing.withdraw_correction(app, index, arguments.reason, actor=arguments.actor, limit=_alone(app))
    text = f"correction {index} is withdrawn: no bill has it" + (" (it was withdrawn before)" if entered.known else "")
    told = {"correction": index, "log_index": entered.log_index, "changed": not entered.known}
    tell(arguments, told, text)


def _estimate(app: App, client: ChainClient, arguments: argparse.Namespace) -> None:
    if arguments.verb == "list":
        _list_estimates(app, arguments)
        return
    if arguments.verb == "add":
        facts = issuing.open_book(app, client, only=-1).facts
        with app.store.read() as session:
            member, meter = _member(session, arguments.member), _meter(session, arguments.meter)
        if arguments.dry_run:
            epochs = f"{arguments.first_epoch} to {arguments.end_epoch - 1}"
            text = f"{member.name}: {arguments.wh} Wh would be billed for epochs {epochs}"
            tell(arguments, {"member": member.wallet, "wh": arguments.wh, "changed": False}, text)
            return
        entered = issuing.estimate(
            app, facts, member, meter, arguments.first_epoch, arguments.end_epoch, arguments.wh, arguments.reason,
            actor=arguments.actor,
        )  # fmt: skip
        text = f"estimate {entered.log_index}: {arguments.wh} Wh on {member.name}'s next bill"
    elif arguments.dry_run:
        text = f"estimate {arguments.estimate} would be withdrawn, and its amount returned on the member's next bill"
        tell(arguments, {"estimate": arguments.estimate, "changed": False}, text)
        return
    else:
        entered = issuing.withdraw_estimate(app, arguments.estimate, arguments.reason, actor=arguments.actor)
        text = f"estimate {arguments.estimate} is withdrawn: the next bill returns its amount"
    already = " (it was entered already)" if entered.known else ""
    tell(arguments, {**entered.data, "log_index": entered.log_index, "changed": not entered.known}, text + already)


def _list_estimates(app: App, arguments: argparse.Namespace) -> None:
    with app.store.read() as session:
        names, found = views.names(session), views.estimates(session)
    keys = ("wallet", "meter_id", "first_epoch", "end_epoch", "wh", "reason")
    told = [
        {
            **{key: getattr(each, key) for key in keys},
            "estimate": each.log_index,
            "withdrawn": each.taken_back is not None,
        }
        for each in reversed(found)
    ]
    lines = [
        f"{each.log_index:>8}  {names.get(each.wallet, '?')}: {each.wh} Wh for epochs "
        f"{each.first_epoch} to {each.end_epoch - 1}: {each.reason}"
        + ("" if each.taken_back is None else " (withdrawn)")
        for each in reversed(found)
    ]
    tell(arguments, told, "\n".join(lines) or "no estimates")


def _ledger(app: App, client: ChainClient, arguments: argparse.Namespace) -> int:
    found = ledger.read(app, client)
    with app.store.read() as session:
        names = views.names(session)
    lines = [
        f"{'MEMBER':<24} "
        + " ".join(f"{each:>18}" for each in ("BOOKED", "TRADED", "FED IN", "GIFTS", "ON THE CHAIN", "DIFFERENCE"))
    ]
    members = []
    for each in found.balances:
        figures = (each.booked, each.traded, each.fed_in, each.given, each.on_chain, each.difference)
        lines.append(
            f"{names.get(each.member, each.member):<24} " + " ".join(f"{_credits(one):>18}" for one in figures)
        )
        names_of = ("booked", "traded", "fed_in", "given", "on_chain", "difference")
        custody = {"member": each.member, "in_custody": each.in_custody}
        members.append({**custody, **dict(zip(names_of, figures, strict=True))})
    problems = [" ".join(names.get(word, word) for word in each.split(" ")) for each in found.problems]
    lines += [f"problem: {each}" for each in problems] or ["the ledger is the chain's"]
    told = {
        "ok": not problems,
        "members": members,
        "issued": found.issued,
        "redeemed": found.redeemed,
        "fed_in": found.fed_in,
        "supply": found.supply,
        "problems": problems,
    }
    tell(arguments, told, "\n".join(lines))
    return PROBLEMS if problems and arguments.check else DONE


_ACTIONS: dict[str, Callable[[App, ChainClient, argparse.Namespace], None]] = {
    "periods": _periods,
    "preview": _preview,
    "close": _close,
    "issue": _issue,
    "show": _show,
    "export": _export,
    "correct": _correct,
    "withdraw-correction": _withdraw_correction,
    "estimate": _estimate,
    "payments": payments_command.run,
    "payouts": payouts_command.run,
}

# In words


def _text(document: Mapping[str, Any], names: Mapping[str, str], digest: str, zone: ZoneInfo) -> str:
    """A bill for people."""
    seconds = document["epoch_seconds"]
    starts, ends = moment(document["first_epoch"] * seconds, zone), moment(document["end_epoch"] * seconds, zone)
    number = f"bill {document['number']}" if "number" in document else "preview"
    lines = [f"{number}: {names.get(document['member'], document['member'])}, billing period {document['period']}"]
    lines.append(f"{starts} to {ends}; credits, positive where the member pays")
    for line in document["lines"]:
        words = views.words_of(line)
        energy = f"{line['wh']} Wh" if line["wh"] else ""
        price = f"at {_credits(line['price'])}/kWh" if line["price"] is not None else ""
        amount = _credits(line["amount"]) if line["amount"] else ""
        paid = "moved already" if line["paid"] and line["amount"] else ""
        reason = f"  {line['reason']}" if line["reason"] else ""
        lines.append(f"{line['line']:>3}  {words:<44} {energy:>14} {price:>18} {amount:>18} {paid}{reason}".rstrip())
        lines.append(f"     epochs {spans(line['epochs']) or '-'}; log {spans(line['leaves']) or '-'}")
    lines.append(f"due: {_credits(document['due'])} credits; rounded off: {document['rounded_off']}/1000 micro-credit")
    lines.append(f"SHA-256 {digest}" if "number" in document else "not issued")
    return "\n".join(lines)


def _table(documents: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    lines = [f"{'BILL':>6}  {'PERIOD':>6}  {'MEMBER':<24} {'DRAWN Wh':>12} {'COVERED Wh':>12} {'DUE':>18}"]
    for each in documents:
        found = views.sum_of(each)
        number, member = each.get("number", "-"), names.get(each["member"], each["member"])
        lines.append(
            f"{number:>6}  {each['period']:>6}  {member:<24} {found.drawn_wh:>12} {found.covered_wh:>12} "
            f"{_credits(each['due']):>18}"
        )
    return "\n".join(lines) if documents else "no bills"


def _credits(micro: int) -> str:
    """Micro-credits as credits with six decimals."""
    sign, micro = ("-" if micro < 0 else ""), abs(micro)
    return f"{sign}{micro // 1_000_000}.{micro % 1_000_000:06d}"


def _member(session: Session, name: str) -> User:
    user = user_named(session, name)
    if user is None:
        known = ", ".join(repr(each) for each in session.scalars(select(User.name).order_by(User.name))) or "nobody yet"
        raise MemberUnknownError(f"no member is called {name!r}; the campus plan has {known}")
    return user


def _meter(session: Session, name: str) -> Meter:
    gateway, _, short = name.partition("/")
    meter = session.scalar(select(Meter).where(Meter.gateway_name == gateway, Meter.name == short))
    if meter is None:
        raise MeterUnknownError(f"no meter is called {name!r}; it is written GATEWAY/METER")
    return meter
