"""Disputes: a member doubts a line of a bill or a day of its energy, and the department answers and closes it.

What people write is kept beside the log, which has the ticket's number, the member's wallet and what it is about. Each
act looks at what is there: asked twice it does nothing the second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from authority import typed
from authority.app import App
from authority.billing import views
from authority.billing.calendar import days_between, local
from authority.billing.views import Correction
from authority.enrolment.steps import Done
from authority.language.reading import marked, translated
from authority.log import log
from authority.operations.desk import Desk
from authority.operations.errors import TicketInvalidError, TicketOverError
from authority.refusals import NotFoundError
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.desk import Ticket, TicketWords
from authority.store.people import User

WAITING, ANSWERED, SETTLED, CORRECTED = STATES = ("waiting", "answered", "settled", "corrected")
OPEN = (WAITING, ANSWERED)
STATE_WORDS = {
    WAITING: marked("waits for the department"),
    ANSWERED: marked("was answered"),
    SETTLED: marked("is closed: settled"),
    CORRECTED: marked("is closed: corrected"),
}
REASONS = {
    "energy": marked("The energy is not right"),
    "price": marked("The price is not right"),
    "missing": marked("Something is missing"),
    "not_mine": marked("It is not mine"),
    "other": marked("Something else"),
}
LONGEST_TEXT = 1_000
MOST_OPEN, MOST_WORDS, MOST_SHOWN, MOST_DAYS = 20, 100, 50, 62


@dataclass(frozen=True, slots=True)
class About:
    """What is disputed: a line of a bill, or (bill None) the moments of a day, Unix seconds."""

    starts_at: int
    ends_at: int
    bill: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A ticket with the member's name, its line (None: of a day), its days at the site, words, and its correction."""

    ticket: Ticket
    member: str
    wallet: str
    line: Mapping[str, Any] | None
    days: tuple[str, ...]
    words: Sequence[TicketWords]
    correction: Correction | None


def of_line(session: Session, epoch_seconds: int, wallet: str, bill: int, line: int) -> About:
    """A line of one of the member's bills; NotFoundError."""
    found = session.get(IssuedBill, bill)
    if found is None or found.wallet != wallet:
        raise NotFoundError(f"you have no bill {bill}")
    document = views.document_of(found)
    its = _line(document, line)
    epochs = its["epochs"] or [[document["first_epoch"], document["end_epoch"] - 1]]
    first, last = min(each[0] for each in epochs), max(each[1] for each in epochs)
    return About(first * epoch_seconds, (last + 1) * epoch_seconds, bill, line)


def _line(document: Mapping[str, Any], line: int) -> Mapping[str, Any]:
    for each in document["lines"]:
        if each["line"] == line:
            found: Mapping[str, Any] = each
            return found
    raise NotFoundError(f"this bill has no line {line}")


def _text(text: str, least: int) -> str:
    found = typed.lines(text)
    if not least <= len(found) <= LONGEST_TEXT:
        raise TicketInvalidError(f"write at most {LONGEST_TEXT} characters, and something")
    typed.require_shown(found, TicketInvalidError)
    return found


# A member's


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking: the dispute's number, and whether it was opened, or added to where it was open already."""

    number: int
    opened: bool
    added: bool


def open_of(session: Session, user_id: int, about: About) -> Ticket | None:
    """The member's open dispute of the same thing; None where there is none."""
    its = (Ticket.user_id == user_id, Ticket.state.in_(OPEN))
    same = (Ticket.bill == about.bill, Ticket.line == about.line, Ticket.starts_at == about.starts_at)
    return session.scalars(select(Ticket).where(*its, *same)).first()


def ask(app: App, user_id: int, about: About, reason: str, text: str, *, actor: str, person_id: int) -> Asked:
    """Open a dispute. Where one of the same thing is open, what is written is added to it, with a reason that is new.

    The same form sent again adds nothing. TicketInvalidError, also where the open one has become too long.
    """
    if reason not in REASONS:
        raise TicketInvalidError("say what is not right: choose a reason")
    if about.starts_at > app.clock():
        raise TicketInvalidError("this day has not come yet")
    words = _text(text, 0)
    with app.store.write() as session:
        log.lock(session)
        its = (Ticket.user_id == user_id, Ticket.state.in_(OPEN))
        before = open_of(session, user_id, about)
        if before is not None:
            also = "" if reason == before.reason else translated(REASONS[reason])
            more = [part for part in (also, words) if part]
            if len("\n".join(more)) <= LONGEST_TEXT:
                more = ["\n".join(more)] if more else []
            elif session.scalar(
                select(TicketWords.id).where(TicketWords.ticket_id == before.id, TicketWords.text == also)
            ):
                more = [words]  # the same form again
            added = [_add(session, app, before, part, actor, person_id) for part in more]
            return Asked(before.id, opened=False, added=any(added))
        if (session.scalar(select(func.count()).select_from(Ticket).where(*its)) or 0) >= MOST_OPEN:
            raise TicketInvalidError(f"you have {MOST_OPEN} open disputes already: wait until they are answered")
        made = Ticket(
            user_id=user_id, bill=about.bill, line=about.line, starts_at=about.starts_at, ends_at=about.ends_at,
            reason=reason, state=WAITING, opened_at=app.clock(), opened_by=actor,
        )  # fmt: skip
        session.add(made)
        session.flush()
        if words:
            _say(session, made, words, app.clock(), person_id, from_member=True)
        data = {"ends_at": about.ends_at, "reason": reason, "starts_at": about.starts_at}
        data |= {} if about.bill is None else {"bill": about.bill, "line": about.line}
        _log(session, app, "ticket_opened", actor, made, data)
        return Asked(made.id, opened=True, added=False)


def add(app: App, user_id: int, number: int, text: str, *, actor: str, person_id: int) -> bool:
    """The member writes more, so that it waits for the department again; whether it is new. TicketOverError."""
    with app.store.write() as session:
        log.lock(session)
        return _add(session, app, found(session, number, user_id), _text(text, 1), actor, person_id)


def _add(session: Session, app: App, ticket: Ticket, text: str, actor: str, person_id: int) -> bool:
    if not _say(session, ticket, text, app.clock(), person_id, from_member=True):
        return False
    ticket.state = WAITING
    _log(session, app, "ticket_added_to", actor, ticket, {})
    return True


# The department's


def answer(desk: Desk, number: int, text: str, person_id: int | None = None) -> Done:
    """Answer a dispute; the member reads it. NotFoundError, TicketOverError, TicketInvalidError."""
    done, words = desk.begin("answer", str(number)), _text(text, 1)
    with desk.app.store.write() as session:
        log.lock(session)
        ticket = found(session, number)
        new = _say(session, ticket, words, desk.app.clock(), person_id, from_member=False)
        if new:
            ticket.state = ANSWERED
            _log(session, desk.app, "ticket_answered", desk.actor, ticket, {})
        if desk.dry_run:
            session.rollback()
    outcome = ("would be answered" if desk.dry_run else "is answered") if new else "was answered so before"
    desk.note(done, f"dispute {number}", outcome, changed=new)
    return done


def close(desk: Desk, number: int, correction: tuple[int, int] | None = None) -> Done:
    """Close a dispute: as settled, or as corrected by a correction that was entered: (bill, its number there).

    NotFoundError, TicketOverError where it was closed otherwise, TicketInvalidError for a correction that is none.
    """
    done, state = desk.begin("close", str(number)), SETTLED if correction is None else CORRECTED
    bill, place = correction or (None, None)
    with desk.app.store.write() as session:
        log.lock(session)
        ticket = found(session, number)
        same = (ticket.state, ticket.correction_bill, ticket.correction) == (state, bill, place)
        if not same:
            _require_open(ticket)
            if correction is not None and correction not in [key for key, _ in corrections(session, desk.app, ticket)]:
                raise TicketInvalidError(f"there is no correction {bill}/{place} of a bill of what is disputed")
            ticket.state, ticket.correction_bill, ticket.correction = state, bill, place
            ticket.closed_at, ticket.closed_by = desk.app.clock(), desk.actor
            data = {"outcome": state} | ({} if correction is None else {"bill": bill, "correction": place})
            _log(session, desk.app, "ticket_closed", desk.actor, ticket, data)
        if desk.dry_run:
            session.rollback()
    outcome = f"was closed as {state} before" if same else f"{'would be' if desk.dry_run else 'is'} closed as {state}"
    desk.note(done, f"dispute {number}", outcome, changed=not same)
    return done


def corrections(session: Session, app: App, ticket: Ticket) -> list[tuple[tuple[int, int], Correction]]:
    """The corrections that a dispute may be closed by, each with its bill and its number there."""
    if ticket.bill is not None:
        numbers: Sequence[int] = (ticket.bill,)
    else:
        seconds, wallet = app.home.settings.epoch.seconds, session.get_one(User, ticket.user_id).wallet
        of_the_day = (
            BillingPeriod.first_epoch * seconds < ticket.ends_at,
            BillingPeriod.end_epoch * seconds > ticket.starts_at,
        )
        periods = session.scalars(select(BillingPeriod.period).where(*of_the_day)).all()
        numbers = session.scalars(
            select(IssuedBill.number).where(IssuedBill.period.in_(periods), IssuedBill.wallet == wallet)
        ).all()
    bills = [session.get_one(IssuedBill, number) for number in sorted(numbers)]
    return [((bill.number, each.number), each) for bill in bills for each in views.corrections_of(session, bill)]


def _say(session: Session, ticket: Ticket, text: str, now: int, person_id: int | None, *, from_member: bool) -> bool:
    """Keep what somebody writes; whether it is new: a form that is sent twice says the same again."""
    _require_open(ticket)
    its = TicketWords.ticket_id == ticket.id
    last = session.scalars(select(TicketWords).where(its).order_by(TicketWords.id.desc()).limit(1)).first()
    if last is not None and (last.text, last.person_id, last.from_member) == (text, person_id, from_member):
        return False
    if (session.scalar(select(func.count()).select_from(TicketWords).where(its)) or 0) >= MOST_WORDS:
        raise TicketInvalidError("this dispute has become too long: close it, and open another one")
    session.add(TicketWords(ticket_id=ticket.id, person_id=person_id, from_member=from_member, text=text, at=now))
    return True


def _require_open(ticket: Ticket) -> None:
    if ticket.state not in OPEN:
        raise TicketOverError(f"dispute {ticket.id} was closed already; open another one")


def _log(session: Session, app: App, act: str, actor: str, ticket: Ticket, more: dict[str, Any]) -> None:
    wallet = session.get_one(User, ticket.user_id).wallet
    log.record_act(session, act, actor, app.clock(), {"ticket": ticket.id, "wallet": wallet, **more})


def forget_words(session: Session, user_id: int) -> None:
    """Delete what was written to a member's disputes: it has left."""
    its = select(Ticket.id).where(Ticket.user_id == user_id)
    session.execute(delete(TicketWords).where(TicketWords.ticket_id.in_(its)))


# Reading


def found(session: Session, number: int, user_id: int | None = None) -> Ticket:
    """A ticket, of that member where one is named; NotFoundError."""
    ticket = session.get(Ticket, number)
    if ticket is None or user_id not in (None, ticket.user_id):
        raise NotFoundError(f"there is no dispute {number}")
    return ticket


def waiting(session: Session) -> list[int]:
    """The numbers of those that wait for the department."""
    return list(session.scalars(select(Ticket.id).where(Ticket.state == WAITING).order_by(Ticket.id)))


def listed(session: Session, user_id: int | None, before: int | None = None) -> list[tuple[Ticket, str]]:
    """Tickets with the members' names, the newest first, MOST_SHOWN of them; of one member, or of all."""
    query = select(Ticket, User.name).join(User, User.id == Ticket.user_id)
    if user_id is not None:
        query = query.where(Ticket.user_id == user_id)
    if before is not None:
        query = query.where(Ticket.id < before)
    return [(row, name) for row, name in session.execute(query.order_by(Ticket.id.desc()).limit(MOST_SHOWN))]


def still_open(session: Session) -> list[tuple[Ticket, str]]:
    """Those that are not closed, first those that wait for the department, the oldest first."""
    rows = []
    for state in OPEN:
        query = select(Ticket, User.name).join(User, User.id == Ticket.user_id).where(Ticket.state == state)
        rows += [(row, name) for row, name in session.execute(query.order_by(Ticket.id).limit(200))]
    return rows


def shown(session: Session, app: App, number: int, user_id: int | None = None) -> Shown:
    """A ticket with all that is known of it; NotFoundError."""
    ticket = found(session, number, user_id)
    user, zone = session.get_one(User, ticket.user_id), ZoneInfo(app.home.settings.site.zone)
    line = None
    if ticket.bill is not None and ticket.line is not None:
        line = _line(views.document_of(session.get_one(IssuedBill, ticket.bill)), ticket.line)
    words = session.scalars(select(TicketWords).where(TicketWords.ticket_id == number).order_by(TicketWords.id)).all()
    by = None
    if ticket.correction is not None:
        key = (ticket.correction_bill, ticket.correction)
        by = next((each for its, each in corrections(session, app, ticket) if its == key), None)
    return Shown(ticket, user.name, user.wallet, line, tuple(_days(ticket, line, zone, app)), words, by)


def _days(ticket: Ticket, line: Mapping[str, Any] | None, zone: ZoneInfo, app: App) -> list[str]:
    """The days at the site that it is about, by their dates: of a line those of its epochs."""
    seconds = app.home.settings.epoch.seconds
    spans = [(ticket.starts_at, ticket.ends_at)]
    if line is not None and line["epochs"]:
        spans = [(first * seconds, (last + 1) * seconds) for first, last in line["epochs"]]
    dates = {local(start, zone).date().isoformat() for span in spans for start, _ in days_between(*span, zone)}
    return sorted(dates)[:MOST_DAYS]
