"""A person leaves by itself: it asks on its page, an operator decides, and the settlement process carries it out.

Where the person is the only member of its account, the account ends first, by the service of `authority members leave`
(authority.operations.leaving). Nothing of that is begun before the day that the person named has come and nothing
stands in its way, so until then the person, or an operator, may take it back. The login is erased when the last bill is
issued and nobody owes anybody anything, as the bank account is (authority.billing.payouts); where no account ends, as
soon as an operator has approved it and the day has come. Until it is erased, the person sees its bills.

Each step is in the log, under the person's pseudonym. The request goes with the person.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from authority.app import App
from authority.billing import payouts
from authority.billing.calendar import local, midnight
from authority.chain.client import ChainClient
from authority.enrolment.steps import Step
from authority.errors import AuthorityError
from authority.language.reading import marked
from authority.log import log
from authority.market import policies
from authority.operations import leaving
from authority.operations.desk import Desk
from authority.people import records, sessions
from authority.people.errors import LeaveDayInvalidError, LeaveRefusedError, SamePersonError, SignInAgainError
from authority.people.roles import MEMBER, OF_THE_DEPARTMENT, Principal
from authority.refusals import NotFoundError
from authority.rounds import rounds
from authority.store.market import StandingOrderPolicy
from authority.store.people import User
from authority.store.persons import LeaveRequest, Person, PersonRole
from edge_agent.wire.log import StructuredLog

WAITING, APPROVED, LEAVING, LEFT = "waiting", "approved", "leaving", "left"
REFUSED, WITHDRAWN = "refused", "withdrawn"
OPEN, MAY_RETURN = (WAITING, APPROVED, LEAVING, LEFT), (WAITING, APPROVED)
"""States that have not ended, and those from which there is a way back."""
WORDS = {
    WAITING: marked("waits for an operator of the department"),
    APPROVED: marked("is approved, and begins when nothing stands in its way any more"),
    LEAVING: marked("is being carried out"),
    LEFT: marked("is carried out: the account has ended, and the login is erased once the last bill is paid"),
    REFUSED: marked("was refused"),
    WITHDRAWN: marked("was taken back"),
}
REASON = "asked for by the member"
PAUSE_SECONDS = 10.0
LONGEST_TOLD = 300
LONGEST_NOTICE_DAYS = 366
"""How far ahead somebody may name the day."""

LOG = StructuredLog(__name__)


def account_that_ends(session: Session, who: Principal) -> int | None:
    """The member account (User.id) that ends with a person: its own, where it is the only member of it."""
    if who.member is None or not who.is_own:
        return None
    others = select(PersonRole.person_id).where(
        PersonRole.member_id == who.member.id, PersonRole.role == MEMBER, PersonRole.person_id != who.person_id
    )
    return None if session.scalars(others).first() is not None else who.member.id


def last_of(session: Session, person_id: int) -> LeaveRequest | None:
    """What a person asked for last."""
    asked = select(LeaveRequest).where(LeaveRequest.person_id == person_id)
    return session.scalars(asked.order_by(LeaveRequest.id.desc())).first()


def listed(session: Session, most: int = 50, *, names: bool = True) -> list[tuple[LeaveRequest, str, str | None]]:
    """Requests with the person's name and that of the account which ends; those that have not ended first.

    Without names the person goes by its pseudonym, and the account by its wallet.
    """
    ended = LeaveRequest.ended_at.is_not(None)
    query = (
        select(LeaveRequest, *((Person.name, User.name) if names else (Person.pseudonym, User.wallet)))
        .join(Person, Person.id == LeaveRequest.person_id)
        .outerjoin(User, User.id == LeaveRequest.user_id)
    )
    rows = session.execute(query.order_by(ended, LeaveRequest.id.desc()).limit(most))
    return [(row, name, account) for row, name, account in rows]


def waiting(session: Session) -> list[tuple[int, bool]]:
    """The numbers of those that wait for a person: to be decided (False), or for something in their way (True)."""
    stuck = LeaveRequest.state.in_((APPROVED, LEAVING)) & (LeaveRequest.told != "")
    query = select(LeaveRequest.id, LeaveRequest.state).where(or_(LeaveRequest.state == WAITING, stuck))
    return [(number, state != WAITING) for number, state in session.execute(query.order_by(LeaveRequest.id))]


def require_may_ask(session: Session, who: Principal, now: int) -> None:
    """LeaveRefusedError for people of the department; SignInAgainError where the sign-in is not of just now."""
    if who.roles & OF_THE_DEPARTMENT:
        raise LeaveRefusedError("you have a role of the department: have it withdrawn first")
    try:
        sessions.require_fresh(session, who.session, now)
    except SignInAgainError as error:
        raise SignInAgainError("to leave, sign in once more: nobody who finds your browser open is to do it") from error


def days(app: App) -> tuple[date, date]:
    """The first and the last day that somebody may name today, by the site's calendar."""
    today = local(app.clock(), ZoneInfo(app.home.settings.site.zone)).date()
    return today, today + timedelta(days=LONGEST_NOTICE_DAYS)


def day_of(app: App, row: LeaveRequest) -> date | None:
    """The day that somebody named, by the site's calendar."""
    return None if row.leaves_at is None else local(row.leaves_at, ZoneInfo(app.home.settings.site.zone)).date()


def ask(app: App, who: Principal, *, forfeit: bool, day: date | None = None) -> bool:
    """Ask to leave; whether that is new. forfeit: energy that was bought and not used is given up.

    day: nothing is done before it; None: it begins as soon as it is approved. LeaveDayInvalidError, and errors of
    `require_may_ask`.
    """
    first, last = days(app)
    if day is not None and not first <= day <= last:
        raise LeaveDayInvalidError(f"the day to leave is today or later, and at most {LONGEST_NOTICE_DAYS} days ahead")
    leaves_at = None if day is None else midnight(day, ZoneInfo(app.home.settings.site.zone))
    with app.store.write() as session:
        log.lock(session)  # of two forms that are sent at once the second one sees what the first one asked
        require_may_ask(session, who, app.clock())
        before = last_of(session, who.person_id)
        if before is not None and before.state in OPEN:
            return False
        ends = account_that_ends(session, who)
        session.add(
            LeaveRequest(
                person_id=who.person_id, user_id=ends, forfeit=forfeit and ends is not None, leaves_at=leaves_at,
                state=WAITING, told="", asked_at=app.clock(),
            )
        )  # fmt: skip
        data: dict[str, object] = {"person": who.pseudonym, "with_account": ends is not None}
        data |= {} if leaves_at is None else {"leaves_at": leaves_at}
        log.record_act(session, "leave_asked", who.actor, app.clock(), data)
        return True


def take_back(app: App, who: Principal) -> bool:
    """The person stays; whether there was anything to take back. LeaveRefusedError where it is too late."""
    with app.store.write() as session:
        log.lock(session)
        found = last_of(session, who.person_id)
        if found is None or found.state not in OPEN:
            return False
        _end(app, session, found, WITHDRAWN, who.actor, "")
        return True


def refuse(app: App, number: int, reason: str, *, actor: str) -> bool:
    """An operator refuses a request, or takes an approved one back, with a reason; whether that is new."""
    with app.store.write() as session:
        log.lock(session)
        found = _found(session, number)
        if found.state == REFUSED:
            return False
        found.decided_by, found.decided_at = actor, app.clock()
        _end(app, session, found, REFUSED, actor, reason)
        return True


def _end(app: App, session: Session, row: LeaveRequest, state: str, actor: str, reason: str) -> None:
    if row.state not in OPEN:
        raise LeaveRefusedError("this request has ended already")
    if row.state not in MAY_RETURN:
        raise LeaveRefusedError("it is being carried out, and there is no way back any more")
    row.state, row.told, row.ended_at = state, reason[:LONGEST_TOLD], app.clock()
    act = "leave_refused" if state == REFUSED else "leave_taken_back"
    _log(app, session, act, actor, row, {"reason": reason} if reason else {})


def approve(app: App, number: int, *, actor: str) -> bool:
    """An operator approves a request; whether that is new. LeaveRefusedError where it has ended; NotFoundError.

    SamePersonError for who asked for it itself, and has become an operator since.
    """
    with app.store.write() as session:
        log.lock(session)
        row = _found(session, number)
        if row.state in (APPROVED, LEAVING, LEFT):
            return False
        if row.state != WAITING:
            raise LeaveRefusedError("this request has ended already")
        if session.get_one(Person, row.person_id).pseudonym == actor:
            raise SamePersonError
        row.state, row.decided_by, row.decided_at = APPROVED, actor, app.clock()
        _log(app, session, "leave_approved", actor, row, {})
        return True


def _found(session: Session, number: int) -> LeaveRequest:
    found = session.get(LeaveRequest, number)
    if found is None:
        raise NotFoundError("there is no such request; see the list of those that wait")
    return found


def _log(app: App, session: Session, act: str, actor: str, row: LeaveRequest, more: dict[str, object]) -> None:
    person = session.get_one(Person, row.person_id).pseudonym
    log.record_act(session, act, actor, app.clock(), {"person": person, **more})


# Carrying out, where the operator's key is


def carry_out(app: App, client: ChainClient) -> int:
    """Take every approved request whose day has come as far as it goes now; how many moved.

    What stands in the way is kept with it.
    """
    due = or_(LeaveRequest.leaves_at.is_(None), LeaveRequest.leaves_at <= app.clock())
    with app.store.read() as session:
        its = (LeaveRequest.state.in_((APPROVED, LEAVING, LEFT)), due)
        numbers = session.scalars(select(LeaveRequest.id).where(*its).order_by(LeaveRequest.id)).all()
    moved = 0
    for number in numbers:
        try:
            moved += _step(app, client, number)
        except AuthorityError as error:  # the chain does not answer, or a transfer is undecided: it is tried again
            _tell(app, number, str(error))
    return moved


def _step(app: App, client: ChainClient, number: int) -> bool:
    with app.store.read() as session:
        row = _found(session, number)
        state, forfeit, actor = row.state, row.forfeit, row.decided_by or ""
        user = None if row.user_id is None else session.get_one(User, row.user_id)
    if user is None:
        return _erase(app, number, actor)
    if user.left_at is not None:
        if state == LEFT:
            return payouts.is_done_with(app, user) and _erase(app, number, actor)
        return _move(app, number, (APPROVED, LEAVING), LEFT)
    if state == LEFT:  # the account went back into service by a restored store: an operator looks at it
        return False
    if state == APPROVED:
        _rest(app, user.name, actor)
        would = leaving.leave(Desk(app, client, actor, REASON, dry_run=True), user.name, forfeit=forfeit)
        if not would.complete:
            _tell(app, number, _todo(would.steps))
            return False
        if not _move(app, number, (APPROVED,), LEAVING):
            return False
    done = leaving.leave(Desk(app, client, actor, REASON), user.name, forfeit=forfeit)
    if not done.complete:
        _tell(app, number, _todo(done.steps))
        return done.changed
    return _move(app, number, (LEAVING,), LEFT)


def _rest(app: App, name: str, actor: str) -> None:
    """Have the standing order rest: else it would place new orders while the last ones are waited for."""
    with app.store.write() as session:
        policy = session.get(StandingOrderPolicy, policies.user_of(session, name).id)
        if policy is not None and policy.paused_at is None:
            policies.pause_standing_order(session, name, paused=True, by=actor, now=app.clock())


def _todo(steps: Iterable[Step]) -> str:
    return "; ".join(step.todo for step in steps if step.todo)


def _move(app: App, number: int, before: tuple[str, ...], after: str) -> bool:
    """Go on to a state, where it is in one of those still."""
    with app.store.write() as session:
        log.lock(session)
        row = _found(session, number)
        if row.state not in before:
            return False
        row.state, row.told = after, ""
        return True


def _tell(app: App, number: int, told: str) -> None:
    with app.store.write() as session:
        row = session.get(LeaveRequest, number)
        if row is not None and row.state in OPEN:
            row.told = told[:LONGEST_TOLD]


def _erase(app: App, number: int, actor: str) -> bool:
    """Erase the person, and its request with it, unless it was taken back at this very moment."""
    with app.store.write() as session:
        log.lock(session)
        row = _found(session, number)
        if row.state not in (APPROVED, LEFT):
            return False
        records.erase(session, session.get_one(Person, row.person_id), by=actor, now=app.clock())
        return True


def run(app: App, client: Callable[[], ChainClient], stop: threading.Event) -> None:
    """Carry out what is approved until `stop` is set."""

    def once() -> None:
        with closing(client()) as asking:
            carry_out(app, asking)

    rounds(once, stop, PAUSE_SECONDS, LOG, "people who leave wait")
