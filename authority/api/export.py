"""Everything that the service keeps about a person, as one ZIP that is written while it is read.

    python -m authority.api.export HOME PSEUDONYM NOW LANGUAGE

writes it to its output. The web process starts one for each download (authority.web.export_process), so that a history
of many years costs it neither memory nor time. Each part is read in a short transaction of its own, and none is open
while the reader is waited for. Secrets are never in it: of passwords, sessions and tokens the store has hashes alone.

A person's own member account is in it; that of somebody who named it a delegate is not.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from sqlalchemy import Text, inspect, or_, select, type_coerce
from sqlalchemy.orm import Session

from authority.api import days, energy_table
from authority.api.asking import ChainAwayError
from authority.api.member import Members
from authority.app import App
from authority.billing import bank_accounts, export, paper, spreadsheet
from authority.billing.calendar import local, midnight
from authority.chain.client import ChainClient
from authority.language.reading import gettext, marked, reading
from authority.log import log
from authority.market.transfers import DONE
from authority.people import reads, records
from authority.people.roles import MemberAccount, Principal
from authority.refusals import NotFoundError
from authority.settlement import member_meters
from authority.store.base import Base
from authority.store.billing import BillMail, BillPayment, CreditEntry, CreditRequest, IssuedBill, PayoutOrder
from authority.store.desk import Ticket, TicketWords
from authority.store.log import Act
from authority.store.market import HandOrderRow, StandingOrderPolicy, TransferRow
from authority.store.metering import Frame, LivePower, Meter
from authority.store.people import StatusRequest, User, WalletRequest
from authority.store.persons import (
    Invitation,
    InvitationMail,
    NoticeChoice,
    NoticeMail,
    NoticeState,
    OidcLink,
    Passkey,
    Person,
    PersonRole,
    PersonSession,
    ProgramToken,
    ProofLink,
    Proposal,
    Webhook,
    WebhookDelivery,
)
from edge_agent.wire.canonical import canonical_json

NICE = 10
"""How far it stands back behind those who wait for a page."""
LEAVES_AT_ONCE = 20_000
ROWS_AT_ONCE = 2_000
SECRET = frozenset(
    {"token_hash", "password_hash", "handle", "public_key", "sealed_key", "next_sealed_key", "raw", "secret"}
)
"""Columns that are never given out: what would let somebody in, and keys."""
UNITS: dict[type[Base], dict[str, str]] = {
    HandOrderRow: {"price": "price_micro_credits_per_kwh", "quantity": "quantity_wh"},
    StandingOrderPolicy: {
        "sell_at": "sell_at_micro_credits_per_kwh",
        "buy_at": "buy_at_micro_credits_per_kwh",
    },
}
"""What the store's columns of energies and money are called in a file, where a name ends with its unit."""
AMOUNTS = ("energy_wh", "credit_micro_credits")
"""Of what is moved or given, which is energy or credits: a column for each, the other one empty."""

FILES = {
    "person.json": marked("who you are here: name, login, roles, language, and how you sign in"),
    "passkeys.csv": marked("your passkeys, without their keys"),
    "sessions.csv": marked("where you were signed in, and when"),
    "tokens.csv": marked("the tokens of your programs, without their secrets"),
    "proof-links.csv": marked("links to proofs that you gave out"),
    "webhooks.csv": marked("where your programs are told of events, without the secrets"),
    "webhook-messages.csv": marked("messages that were sent to your programs"),
    "mails.csv": marked("mails that the service sent you"),
    "mail-choices.csv": marked("which mails you chose to get or not; a kind that is not listed is as for everybody"),
    "notices.csv": marked("what the service told you of, or is about to, and what of it lasts"),
    "proposals.csv": marked("what you proposed, approved or ended where two people are needed"),
    "log.csv": marked("entries of the department's log that you made, or that name you or your account by a pseudonym"),
    "access-log.csv": marked("who read your data, or a page with everybody's, and when; people are pseudonyms"),
}
"""What is in each file of everybody's."""
FILES_OF_A_MEMBER = {
    "member.json": marked(
        "your account in the market: name, building, wallets, standing order, balances, where you are paid"
    ),
    "meters.csv": marked("your meters, and between which times they are or were yours"),
    "energy/": marked("your energy by quarters of an hour, a file for each month, in Wh and micro-credits"),
    "readings/": marked("the meters' signed readings that this is computed from, a file for each month, in Wh"),
    "orders.csv": marked("orders that you gave by hand, and what became of them"),
    "transfers.csv": marked("tokens and credits that you moved or gave by hand"),
    "received.csv": marked("tokens and credits that other members gave you"),
    "disputes.csv": marked("what you disputed of bills and days, and what became of it"),
    "dispute-texts.csv": marked("what was written to your disputes"),
    "fills.csv": marked("what your orders came to, each with the leaf of the log that proves it"),
    "credits.csv": marked("credits that were topped up or paid out, in micro-credits"),
    "payments.csv": marked("payments of your bills, and what you were paid, in micro-credits"),
    "wallet-requests.csv": marked("other wallets that you asked for"),
    "suspensions.csv": marked("when an operator suspended or restored your account, and why"),
    "bills.csv": marked("every line of your bills"),
    "bills/": marked("your bills as PDF"),
}
"""What is in each file of a member's."""


class Export:
    """Writes a person's archive over an opened authority; `client` makes a chain client."""

    def __init__(self, app: App, client: Callable[[], ChainClient], person: Person, who: Principal) -> None:
        self._app, self._person, self._who = app, person, who
        self._members = Members(app, client)
        self._zone = ZoneInfo(app.home.settings.site.zone)
        self.member: MemberAccount | None = who.member if who.is_own else None

    def write(self, out: BinaryIO) -> None:
        """Write the archive, as far as it is read."""
        now = local(self._app.clock(), self._zone)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, chunks in self._files():
                entry = zipfile.ZipInfo(name, max(now.timetuple()[:6], (1980, 1, 1, 0, 0, 0)))
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w", force_zip64=True) as file:
                    for chunk in chunks:
                        file.write(chunk)

    def _files(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        yield "README.txt", [self._readme().encode()]
        yield "person.json", [_json(self._about_the_person())]
        for name, table, columns in (
            ("passkeys.csv", Passkey, ("created_at", "last_used_at")),
            ("sessions.csv", PersonSession, ()),
            ("tokens.csv", ProgramToken, ()),
            ("proof-links.csv", ProofLink, ()),
            ("webhooks.csv", Webhook, ()),
            ("webhook-messages.csv", WebhookDelivery, ()),
        ):
            yield name, self._table(table, table.person_id == self._person.id, columns=columns)
        yield "mails.csv", self._mails()
        yield "mail-choices.csv", self._table(NoticeChoice, NoticeChoice.person_id == self._person.id)
        yield "notices.csv", self._table(NoticeState, NoticeState.person_id == self._person.id)
        its = self._who.pseudonym
        by = or_(Proposal.proposed_by == its, Proposal.approved_by == its, Proposal.ended_by == its)
        yield "proposals.csv", self._table(Proposal, by)
        yield "log.csv", self._log()
        yield "access-log.csv", self._access()
        if self.member is not None:
            yield from self._of_the_member(self.member)

    def _readme(self) -> str:
        """What each file is, in the language in which is read."""
        now = self._app.clock()
        organisation = self._app.home.settings.network.organisation
        lines = [
            gettext(
                "What %(organisation)s keeps about %(name)s, as of %(now)s.",
                organisation=organisation,
                name=self._person.name,
                now=days.stamp(now, self._zone),
            ),
            "",
        ]
        files = FILES | (FILES_OF_A_MEMBER if self.member is not None else {})
        width = max(map(len, files)) + 2
        lines += [f"{name:{width}}{gettext(words)}" for name, words in files.items()]
        lines += [
            "",
            gettext(
                "Times are those of %(zone)s, with their offset; columns that end in _at are such times too.",
                zone=self._zone,
            ),
            gettext("Energies are in Wh, amounts in micro-credits (a millionth of a credit), prices per kWh."),
            gettext(
                "The log has no names: there you are %(pseudonym)s. It forgets nothing; once you are erased, nobody "
                "can tell any more who that was.",
                pseudonym=self._who.pseudonym,
            ),
            "",
        ]
        return "\r\n".join(lines)

    # Of the person

    def _about_the_person(self) -> dict[str, Any]:
        with self._app.store.read() as session:
            person, id_ = session.get_one(Person, self._person.id), self._person.id
            links = session.scalars(select(OidcLink).where(OidcLink.person_id == id_))
            invitations = session.scalars(select(Invitation).where(Invitation.person_id == id_).order_by(Invitation.id))
            return {
                **self._told(person),
                "has_password": person.password_hash is not None,
                "roles": [
                    {
                        "role": held.role,
                        "member": held.member.name if held.member else None,
                        "granted_at": self._at(held.granted_at),
                        "until": self._at(held.until),
                    }
                    for held in records.roles_of(session, person)
                ],
                "openid_connect": [self._told(each) for each in links],
                "invitations": [self._told(each) for each in invitations],
            }

    def _mails(self) -> Iterator[bytes]:
        with self._app.store.read() as session:
            notices = session.get(NoticeMail, self._person.id)
            bills = session.scalars(select(BillMail).where(BillMail.person_id == self._person.id).order_by(BillMail.id))
            rows: list[list[Any]] = [
                ["bill", each.bill, each.state, each.asked_at, each.sent_at, each.error] for each in bills
            ]
            invited = session.get(InvitationMail, self._person.id)
            if invited is not None:
                rows.append(["invitation", None, invited.state, invited.asked_at, invited.sent_at, invited.error])
            if notices is not None:
                rows.append(["notices", None, notices.state, notices.asked_at, notices.sent_at, notices.error])
        told = ([*row[:3], self._at(row[3]), self._at(row[4]), row[5]] for row in rows)
        return _csv(("what", "number", "state", "asked_at", "sent_at", "error"), told)

    def _log(self) -> Iterator[bytes]:
        """Acts by the person or that name it, or its own account."""
        names = self._names()
        about = or_(*(type_coerce(Act.data, Text).like(f'%"{name}"%') for name in names))
        return self._acts(or_(Act.actor == self._who.pseudonym, about))

    def _access(self) -> Iterator[bytes]:
        whose = [*self._names(), reads.EVERYBODY]
        its = or_(*(type_coerce(Act.data, Text).like(f'%"subject":"{name}"%') for name in whose))
        return self._acts(Act.kind == reads.DATA_READ, its)

    def _names(self) -> list[str]:
        """By what the log knows the person, and its account: letters, digits and a dash alone."""
        return [self._who.pseudonym, *([] if self.member is None else [self.member.wallet])]

    def _acts(self, *which: Any) -> Iterator[bytes]:
        def rows() -> Iterator[list[object]]:
            with self._app.store.read() as session:
                end = log.size(session)
            for first in range(0, end, LEAVES_AT_ONCE):
                with self._app.store.read() as session:
                    asked = select(Act.log_index, Act.time, Act.actor, Act.kind, type_coerce(Act.data, Text))
                    within = (Act.log_index >= first, Act.log_index < min(end, first + LEAVES_AT_ONCE))
                    found = session.execute(asked.where(*within, *which).order_by(Act.log_index)).all()
                for index, at, actor, kind, data in found:
                    yield [index, self._at(at), actor, kind, data]

        return _csv(("leaf", "time", "by", "act", "data"), rows())

    # Of its own member account

    def _of_the_member(self, member: MemberAccount) -> Iterator[tuple[str, Iterable[bytes]]]:
        yield "member.json", [_json(self._about_the_member(member))]
        yield "meters.csv", self._meters(member)
        for month, first, last in self._months(member):
            yield f"energy/{month}.csv", self._energy(member, first, last)
            yield f"readings/{month}.csv", self._readings(member, first, last)
        yield "orders.csv", self._table(HandOrderRow, HandOrderRow.user_id == member.id)
        moved = ("id", "act", "asset", *AMOUNTS, "state", "told", "signature", "asked_at", "goes_at")
        yield "transfers.csv", self._table(TransferRow, TransferRow.user_id == member.id, columns=moved)
        got = (TransferRow.to_user_id == member.id, TransferRow.state == DONE)
        its_columns = ("id", "asset", *AMOUNTS, "signature", "asked_at")
        yield "received.csv", self._table(TransferRow, *got, columns=its_columns)
        yield "disputes.csv", self._table(Ticket, Ticket.user_id == member.id)
        its = select(Ticket.id).where(Ticket.user_id == member.id)
        words = ("ticket_id", "from_member", "text", "at")
        yield "dispute-texts.csv", self._table(TicketWords, TicketWords.ticket_id.in_(its), columns=words)
        yield "fills.csv", self._fills(member)
        yield "credits.csv", self._credits(member)
        yield "payments.csv", self._payments(member)
        yield "wallet-requests.csv", self._table(WalletRequest, WalletRequest.user_id == member.id)
        yield "suspensions.csv", self._table(StatusRequest, StatusRequest.user_id == member.id)
        with self._app.store.read() as session:
            its = select(IssuedBill.number).where(IssuedBill.wallet == member.wallet).order_by(IssuedBill.number)
            numbers = list(session.scalars(its))
        yield "bills.csv", self._bills(member, numbers)
        for number in numbers:
            yield f"bills/bill-{number}.pdf", self._bill(member, number)

    def _about_the_member(self, member: MemberAccount) -> dict[str, Any]:
        with self._app.store.read() as session:
            user = session.get_one(User, member.id)
            order = session.get(StandingOrderPolicy, member.id)
            account = bank_accounts.of_member(session, member.id)
            others = session.scalars(
                select(Person.name)
                .join(PersonRole, PersonRole.person_id == Person.id)
                .where(PersonRole.member_id == member.id, Person.id != self._person.id)
            ).all()
            told = {
                **self._told(user),
                "key_kept_by_the_department": user.sealed_key is not None,
                "standing_order": None if order is None else self._told(order),
                "bank_account": None if account is None else self._told(account),
                "others_who_see_it": len(others),
            }
        try:
            balances = self._members.balances(member)
        except (ChainAwayError, NotFoundError):
            return {**told, "balances": None}
        return {**told, "balances": {name: getattr(balances, name) for name in balances.__dataclass_fields__}}

    def _meters(self, member: MemberAccount) -> Iterator[bytes]:
        rows: list[list[object]] = []
        with self._app.store.read() as session:
            for pk, tenures in sorted(member_meters.had(session, member.id).items()):
                meter, live = session.get_one(Meter, pk), session.get(LivePower, pk)
                mine = live if meter.user_id == member.id else None  # of now, so it is the present member's
                for since, until in tenures:
                    rows.append(
                        [
                            meter.gateway_name, meter.name, meter.serial, meter.meter_id.hex(), meter.role,
                            meter.source, meter.state, meter.installation_n, self._at(since), self._at(until),
                            None if mine is None else mine.power_w, None if mine is None else self._at(mine.time),
                        ]
                    )  # fmt: skip
        names = ("gateway", "meter", "serial", "meter_id", "role", "source", "state", "installation", "since", "until",
                 "last_power_w", "last_power_at")  # fmt: skip
        return _csv(names, rows)

    def _months(self, member: MemberAccount) -> Iterator[tuple[str, date, date]]:
        """The months in which there are readings of the member's meters, with their first and last days."""
        found: list[int] = []
        with self._app.store.read() as session:
            for pk, tenures in member_meters.had(session, member.id).items():
                its = select(Frame.interval_end).where(Frame.meter_pk == pk).limit(1)
                begun, ended = (
                    session.scalar(its.order_by(order)) for order in (Frame.log_index.asc(), Frame.log_index.desc())
                )
                if begun is not None and ended is not None:
                    spans = member_meters.Counted("", tenures, begun, ended).spans()
                    found += [at for span in spans for at in span]
        if not found:
            return
        begun, ended = min(found), max(found)
        first = local(begun - 1, self._zone).date().replace(day=1)
        while midnight(first, self._zone) < ended:
            following = (first + timedelta(days=32)).replace(day=1)
            yield first.strftime("%Y-%m"), first, following - timedelta(days=1)
            first = following

    def _energy(self, member: MemberAccount, first: date, last: date) -> Iterator[bytes]:
        found = self._members.energy(member, first, last, days.QUARTER)
        its = (step for step in found.steps if step.ends_at <= self._app.clock())
        with self._app.store.read() as session:
            until = energy_table.traded_until(session, self._members.epoch_seconds, self._app.clock())
        return (line.encode() for line in energy_table.csv_lines(its, self._zone, until))

    def _readings(self, member: MemberAccount, first: date, last: date) -> Iterator[bytes]:
        begin, end = midnight(first, self._zone), midnight(last + timedelta(days=1), self._zone)
        with self._app.store.read() as session:
            tenures = member_meters.had(session, member.id)
            names = {pk: f"{meter.gateway_name}/{meter.name}" for pk in tenures if (meter := session.get(Meter, pk))}

        def rows() -> Iterator[list[object]]:
            for day, after in _days(begin, end):
                with self._app.store.read() as session:
                    its = select(Frame.meter_pk, Frame.log_index, Frame.disposition, Frame.frame).where(
                        Frame.interval_end > day, Frame.interval_end <= after, Frame.meter_pk.in_(names)
                    )
                    found = session.execute(its.order_by(Frame.interval_end, Frame.meter_pk, Frame.log_index)).all()
                for pk, index, disposition, frame in found:
                    record = Frame(frame=frame).record
                    counted = member_meters.Counted("", tenures[pk])
                    if counted.covers(record.interval_end):
                        yield [
                            names[pk], self._at(record.interval_end), record.generation, record.consumption,
                            record.charge, record.discharge, disposition, index, record.sequence,
                        ]  # fmt: skip

        columns = ("meter", "interval_end", "generation_wh", "consumption_wh", "charge_wh", "discharge_wh", "state",
                   "leaf", "sequence")  # fmt: skip
        return _csv(columns, rows())

    def _fills(self, member: MemberAccount) -> Iterator[bytes]:
        names = ("epoch", "ended_at", "side", "filled_wh", "price_micro_credits_per_kwh", "amount_micro_credits",
                 "refund_micro_credits", "returned_wh", "book_leaf", "clearing_leaf", "transaction")  # fmt: skip

        def rows() -> Iterator[list[object]]:
            for each in self._members.fills.all(member):
                yield [self._at(each.ended_at) if name == "ended_at" else getattr(each, name) for name in names]

        return _csv(names, rows())

    def _credits(self, member: MemberAccount) -> Iterator[bytes]:
        with self._app.store.read() as session:
            booked = select(CreditEntry).where(CreditEntry.wallet == member.wallet).order_by(CreditEntry.log_index)
            rows: list[list[object]] = [
                [
                    self._at(row.entered_at), row.reference, row.amount, row.state, row.entered_by, row.signature,
                    row.log_index,
                ]
                for row in session.scalars(booked)
            ]  # fmt: skip
            asked = select(CreditRequest).where(CreditRequest.wallet == member.wallet).order_by(CreditRequest.asked_at)
            rows += [
                [self._at(row.asked_at), row.reference, row.amount, f"request {row.state}", row.asked_by, "", ""]
                for row in session.scalars(asked)
            ]
        return _csv(("at", "reference", "amount_micro_credits", "state", "by", "transaction", "leaf"), rows)

    def _payments(self, member: MemberAccount) -> Iterator[bytes]:
        with self._app.store.read() as session:
            its = select(IssuedBill.number).where(IssuedBill.wallet == member.wallet)
            paid = select(BillPayment).where(BillPayment.bill.in_(its)).order_by(BillPayment.log_index)
            rows: list[list[object]] = [
                ["payment", row.bill, row.amount, row.booked_on, self._at(row.withdrawn_at), row.log_index]
                for row in session.scalars(paid)
            ]
            ordered = select(PayoutOrder).where(PayoutOrder.wallet == member.wallet).order_by(PayoutOrder.id)
            rows += [
                ["payout", row.bill, row.amount, self._at(row.made_at), self._at(row.cancelled_at), row.log_index]
                for row in session.scalars(ordered)
            ]
        return _csv(("what", "bill", "amount_micro_credits", "on", "withdrawn_at", "leaf"), rows)

    def _bills(self, member: MemberAccount, numbers: Sequence[int]) -> Iterator[bytes]:
        def rows() -> Iterator[list[object]]:
            for number in numbers:
                with self._app.store.read() as session:
                    bill = session.get_one(IssuedBill, number)
                    found = export.rows_of(bill, {member.wallet: member.name}, self._zone)
                yield from found

        return _csv(export.COLUMNS, rows())

    def _bill(self, member: MemberAccount, number: int) -> Iterator[bytes]:
        settings = self._app.home.settings
        with self._app.store.read() as session:
            bill = session.get_one(IssuedBill, number)
        yield paper.bill_pdf(bill, member.name, settings.network.organisation, self._zone, settings.billing)

    # Rows

    def _table(self, table: type[Base], *which: Any, columns: Sequence[str] = ()) -> Iterator[bytes]:
        """Rows of a table as CSV, in the order of its key, some at a time; without what is secret."""
        called = UNITS.get(table, {})
        every = (each.key for each in inspect(table).column_attrs if each.key not in SECRET)
        names = columns or tuple(called.get(name, name) for name in every)
        key = inspect(table).primary_key

        def rows() -> Iterator[list[object]]:
            place = 0
            while True:
                with self._app.store.read() as session:
                    asked = select(table).where(*which).order_by(*key).offset(place).limit(ROWS_AT_ONCE)
                    found = [self._told(row) for row in session.scalars(asked)]
                for each in found:
                    yield [each[name] for name in names]
                place += len(found)
                if len(found) < ROWS_AT_ONCE:
                    return

        return _csv(names, rows())

    def _told(self, row: Base) -> dict[str, Any]:
        """A row of the store for its person: times as they are read, bytes in hex, nothing that is secret."""
        told: dict[str, Any] = {}
        called = UNITS.get(type(row), {})
        for each in inspect(type(row)).column_attrs:
            value = getattr(row, each.key)
            if each.key in SECRET:
                continue
            if isinstance(value, bytes):
                value = value.hex()
            elif isinstance(value, dict):
                value = canonical_json(value).decode()
            elif isinstance(value, int) and each.key.endswith(("_at", "until")) and each.key not in called:
                value = self._at(value)
            told[called.get(each.key, each.key)] = value
        if isinstance(row, TransferRow):
            told |= {name: row.amount if name.startswith(row.asset) else None for name in AMOUNTS}
        return told

    def _at(self, seconds: int | None) -> str | None:
        return None if seconds is None else days.stamp(seconds, self._zone)


def _days(begin: int, end: int) -> Iterator[tuple[int, int]]:
    for at in range(begin, end, 86_400):
        yield at, min(end, at + 86_400)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    return (line.encode() for line in spreadsheet.lines(columns, rows))


def _json(told: dict[str, Any]) -> bytes:
    return (json.dumps(told, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def of_person(app: App, client: Callable[[], ChainClient], session: Session, pseudonym: str) -> Export:
    """The archive of the person with this pseudonym; NotFoundError."""
    person = session.scalar(select(Person).where(Person.pseudonym == pseudonym))
    if person is None:
        raise NotFoundError("there is nobody with this pseudonym")
    return Export(app, client, person, records.principal(session, person, "", app.clock()))


def main(words: Sequence[str]) -> int:
    """Write the archive to the output, standing back behind others."""
    home, pseudonym, now, language = words
    os.nice(NICE)
    app = App.open(Path(home), lambda: int(now), process="web")
    try:
        with app.store.read() as session:
            made = of_person(app, lambda: ChainClient(app.home.rpc_url, attempts=1, timeout=3), session, pseudonym)
        with reading(language):
            made.write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
    finally:
        app.store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
