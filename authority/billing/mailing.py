"""Mailing issued bills: who gets one, what became of each mail, and sending one again.

A bill goes to every person who is the member and signs in with an e-mail address, but for those who chose otherwise;
delegates get none. The treasurer
asks, the alerts' process sends (authority.monitoring.bill_mail): each mail is claimed before it leaves, so that one
relay that is away delays, and a process that dies repeats, but nothing is forgotten.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import inspect, or_, select
from sqlalchemy.orm import Session

from authority.app import App
from authority.billing import views
from authority.billing.errors import LetterUnknownError, PeriodNotIssuedError
from authority.billing.issuing import closed_period, issued_bill
from authority.home.settings import is_mailbox
from authority.language.reading import marked
from authority.log import log
from authority.store.billing import BillMail, IssuedBill
from authority.store.people import User
from authority.store.persons import InvitationMail, NoticeChoice, NoticeMail, Person, PersonRole

WAITING, SENT, FAILED = "waiting", "sent", "failed"
MAILED, MAILED_AGAIN = "bills_mailed", "bill_mailed_again"
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60, 3_600
MOST_TRIES = 12
"""Tries before a mail is given up: more than eight hours of a relay that is away."""
CLAIM_SECONDS = 300
"""For how long a mail that is on its way is nobody else's."""
LONGEST_ERROR = 300

BILL = "bill"
"""What a person's choice of mails calls those of bills (NoticeChoice)."""

NO_PERSON, NO_ADDRESS, UNWANTED = "no_person", "no_address", "unwanted"
"""Why nobody of a member gets its bill by mail."""
WHY_NOT = {
    NO_PERSON: marked("nobody signs in for this member"),
    NO_ADDRESS: marked("whoever signs in for this member does so without an e-mail address"),
    UNWANTED: marked("whoever signs in for this member with an e-mail address has chosen to get no mails of bills"),
}
NOT_THIS_PERSON = marked("this person signs in for the member no longer, or has chosen to get no mails of bills")

_M = TypeVar("_M", BillMail, InvitationMail, NoticeMail)


@dataclass(frozen=True, slots=True)
class Letter:
    """A bill and somebody who gets it by mail; person_id is None where nobody does, and why_not says why (WHY_NOT).

    state None: not asked for yet.
    """

    bill: int
    wallet: str
    person_id: int | None = None
    address: str = ""
    state: str | None = None
    at: int | None = None
    error: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who gets a member's bills by mail; why_not: why nobody does, empty where somebody does."""

    people: tuple[Person, ...] = ()
    why_not: str = NO_PERSON


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that is to leave now; asked_at and id make its Message-ID. language: the reader's, where it chose one."""

    id: int
    asked_at: int
    bill: IssuedBill
    name: str
    address: str
    member: str
    language: str | None


def letters(session: Session, period: int) -> list[Letter]:
    """Every issued bill of a period with everybody who gets it, and what became of it."""
    bills = views.issued_in(session, period)
    recipients = _recipients(session, {bill.wallet for bill in bills})
    rows = {
        (row.bill, row.person_id): row
        for row in session.scalars(select(BillMail).where(BillMail.bill.in_([bill.number for bill in bills])))
    }
    found = []
    for bill in bills:
        its = recipients[bill.wallet]
        found += [Letter(bill.number, bill.wallet, why_not=its.why_not)] if its.why_not else []
        for person in its.people:
            row = rows.get((bill.number, person.id))
            letter = Letter(bill.number, bill.wallet, person.id, person.login)
            if row is not None:
                at = row.sent_at if row.state == SENT else row.next_at
                letter = Letter(bill.number, bill.wallet, person.id, person.login, row.state, at, row.error)
            found.append(letter)
    return found


def _recipients(session: Session, wallets: set[str]) -> dict[str, Recipients]:
    """Who gets the bills of members, by wallet: whoever signs in for one with an e-mail address and wants mails."""
    unwanted = set(
        session.scalars(select(NoticeChoice.person_id).where(NoticeChoice.kind == BILL, ~NoticeChoice.wanted))
    )
    known: dict[str, list[Person]] = defaultdict(list)
    rows = session.execute(
        select(Person, User.wallet)
        .join(PersonRole, PersonRole.person_id == Person.id)
        .join(User, User.id == PersonRole.member_id)
        .where(PersonRole.role == "member", User.wallet.in_(wallets))
        .order_by(Person.login)
    )
    for person, wallet in rows:
        known[wallet].append(person)
    found = {}
    for wallet in wallets:
        reached = [each for each in known[wallet] if is_mailbox(each.login)]
        some = tuple(each for each in reached if each.id not in unwanted)
        why_not = "" if some else UNWANTED if reached else NO_ADDRESS if known[wallet] else NO_PERSON
        found[wallet] = Recipients(some, why_not)
    return found


def ask(app: App, period: int, *, actor: str) -> int:
    """Have the period's bills mailed to everybody to whom that was not asked for yet; how many mails. Logged.

    BillingErrors `period_not_closed`, `period_not_issued`.
    """
    with app.store.write() as session:
        log.lock(session)
        if closed_period(session, period).issued_at is None:
            raise PeriodNotIssuedError(f"the bills of period {period} are not issued yet")
        now, count = app.clock(), 0
        for letter in letters(session, period):
            if letter.person_id is None or letter.state is not None:
                continue
            session.add(
                BillMail(
                    bill=letter.bill, person_id=letter.person_id, state=WAITING, asked_at=now, next_at=now, tries=0,
                    sent_at=None, error="",
                )
            )  # fmt: skip
            count += 1
        if count:
            log.record_act(session, MAILED, actor, now, {"mails": count, "period": period})
        return count


def again(app: App, bill: int, person_id: int, *, actor: str) -> bool:
    """Send one mail again; whether anything changed: one that waits already is not doubled. Logged.

    BillingError `letter_unknown`.
    """
    with app.store.write() as session:
        log.lock(session)
        row = session.scalar(select(BillMail).where(BillMail.bill == bill, BillMail.person_id == person_id))
        if row is None:
            raise LetterUnknownError(f"bill {bill} was never mailed to this person")
        if row.state == WAITING:
            return False
        now = app.clock()
        row.state, row.asked_at, row.next_at, row.tries, row.error = WAITING, now, now, 0, ""
        pseudonym = session.get_one(Person, person_id).pseudonym
        log.record_act(session, MAILED_AGAIN, actor, now, {"bill": bill, "person": pseudonym})
        return True


# Sending


def claim(app: App) -> Claimed | None:
    """The next mail that is due, which nobody else sends meanwhile; None where none is.

    One to somebody who is the member no longer is not sent any more.
    """
    while True:
        with app.store.write() as session:
            now = app.clock()
            row = next_due(session, BillMail, now)
            if row is None:
                return None
            bill = issued_bill(session, row.bill)
            its = _recipients(session, {bill.wallet})[bill.wallet]
            person = next((each for each in its.people if each.id == row.person_id), None)
            if person is None:
                row.state, row.error = FAILED, WHY_NOT.get(its.why_not, NOT_THIS_PERSON)
                continue
            row.next_at = now + CLAIM_SECONDS
            member = views.names(session).get(bill.wallet, bill.wallet)
            claimed = Claimed(row.id, row.asked_at, bill, person.name, person.login, member, person.language)
            session.flush()
            session.expunge(bill)
            return claimed


def delivered(app: App, id: int) -> None:
    """The relay took a mail."""
    with app.store.write() as session:
        row = session.get(BillMail, id)
        if row is not None:
            row.state, row.sent_at, row.error = SENT, app.clock(), ""


def failed(app: App, id: int, reason: str, *, refused: bool) -> None:
    """The relay did not take a mail."""
    with app.store.write() as session:
        row = session.get(BillMail, id)
        if row is not None:
            not_taken(row, reason, app.clock(), refused=refused)


def next_due(session: Session, kind: type[_M], now: int, longest: int = LONGEST_WAIT_SECONDS) -> _M | None:
    """The mail of a kind that has been due the longest, locked; one that another process has locked is passed over.

    One that seems to wait for longer than any does was put off by a clock that has been set back since.
    """
    return session.scalar(
        select(kind)
        .where(kind.state == WAITING, or_(kind.next_at <= now, kind.next_at > now + longest))
        .order_by(kind.next_at, *inspect(kind).primary_key)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def not_taken(row: BillMail | InvitationMail | NoticeMail, reason: str, now: int, *, refused: bool) -> None:
    """Try a mail again later; give up one that the relay refused for good, or that was tried too often."""
    row.tries += 1
    row.error = reason[:LONGEST_ERROR]
    row.next_at = now + min(FIRST_WAIT_SECONDS << (row.tries - 1), LONGEST_WAIT_SECONDS)
    if refused or row.tries >= MOST_TRIES:
        row.state = FAILED
