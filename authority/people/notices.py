"""Mails of what changes for a member: which it wants, what lasts, and what is to be told next.

A mail is sent when something begins or is over, never while it lasts, and at most once a day: what changes meanwhile
waits for the next one, unless something is announced. That is told once, without waiting, and its end is told to
nobody. So is what somebody did once, such as an answer, but that waits for the next mail. What begins and is over
before anybody was told is told to nobody either. The alerts' process looks and sends
(authority.monitoring.notice_mail), by the outbox of the other mails. Mails of bills are the treasurer's
(authority.billing.mailing), which asks here whether they are wanted. Delegates get none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, or_, select, type_coerce
from sqlalchemy.orm import Session

from authority.app import App
from authority.billing.mailing import BILL, CLAIM_SECONDS, SENT, WAITING, next_due, not_taken
from authority.chain import accounts
from authority.errors import OutOfRangeError
from authority.home.settings import is_mailbox
from authority.language.reading import marked
from authority.market.transfers import DONE, GIVE
from authority.operations import news
from authority.operations.wallet_requests import REFUSED, WITHDRAWN
from authority.people.roles import MEMBER
from authority.store.desk import Announcement, Ticket, TicketWords
from authority.store.log import Act
from authority.store.market import StandingOrderPolicy, TransferRow
from authority.store.metering import METER_ACTIVE, Frame, Meter
from authority.store.people import User, WalletRequest
from authority.store.persons import LeaveRequest, NoticeChoice, NoticeMail, NoticeState, Person, PersonRole
from authority.store.settlement import Alert

ORDER_PAUSED, ORDER_REFUSED, METER_SILENT, CREDIT_LOW = "order_paused", "order_refused", "meter_silent", "credit_low"
ANNOUNCEMENT = "announcement"
DISPUTE_ANSWERED, GIFT_RECEIVED, REQUEST_DECIDED = "dispute_answered", "gift_received", "request_decided"
KINDS = {
    BILL: marked("a bill is issued, and the department mails it"),
    ORDER_PAUSED: marked("somebody else has your standing order rest"),
    ORDER_REFUSED: marked("your standing order cannot be placed"),
    METER_SILENT: marked("one of your meters has sent no reading for a day"),
    CREDIT_LOW: marked("you have few credits left in the market, and your standing order buys"),
    DISPUTE_ANSWERED: marked("the department answers a dispute of yours, or closes it"),
    GIFT_RECEIVED: marked("another member gives you energy tokens or credits"),
    REQUEST_DECIDED: marked("the department decides on a wallet that you asked for, or on your leaving"),
    ANNOUNCEMENT: marked("the department announces something that is for you too"),
}
"""What a person may get mails of; all of them where it has not chosen otherwise."""
LEAST_CREDIT, MOST_CREDIT = 1_000_000, 10**15
"""Below how many micro-credits it is told, where a person has not said; and the most that it can say."""
ONCE = (ANNOUNCEMENT, DISPUTE_ANSWERED, GIFT_RECEIVED, REQUEST_DECIDED)
"""What happens and does not last: nobody is told that it is over."""
RECENT_SECONDS = 3 * 86_400
"""How long something that happened is news: longer than a mail waits for the next one."""
SILENT_SECONDS = DAY_SECONDS = 86_400
SETTLE_SECONDS = 900
"""How long something lasts before it is told: what is over sooner was nothing."""
_ASKS = tuple(f"{side} of " for side in ("bid", "ask"))
"""How alerts of settlement begin that are of a member's standing order."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A person's choice of a kind of mails; least: see NoticeChoice."""

    kind: str
    wanted: bool
    least: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Something to tell: that it began, or (is_over) that it is over."""

    kind: str
    subject: str
    data: Mapping[str, Any]
    is_over: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that is to leave now; person_id and asked_at make its Message-ID."""

    person_id: int
    asked_at: int
    name: str
    address: str
    language: str | None
    changes: tuple[Change, ...]


# Choices


def choices(session: Session, person_id: int) -> dict[str, Choice]:
    """What a person chose, of every kind, or what holds by default."""
    rows = session.scalars(select(NoticeChoice).where(NoticeChoice.person_id == person_id))
    chosen = {row.kind: Choice(row.kind, row.wanted, row.least) for row in rows}
    return {kind: chosen.get(kind, Choice(kind, True, _least(kind))) for kind in KINDS}


def _least(kind: str) -> int | None:
    return LEAST_CREDIT if kind == CREDIT_LOW else None


def choose(app: App, person_id: int, wanted: Mapping[str, bool], least: int) -> None:
    """Keep what a person chose of each kind; OutOfRangeError for a least that is no amount of credits."""
    if not 0 <= least <= MOST_CREDIT:
        raise OutOfRangeError(f"an amount of credits is 0 to {MOST_CREDIT} micro-credits")
    with app.store.write() as session:
        for kind in KINDS:
            row = NoticeChoice(person_id=person_id, kind=kind, wanted=wanted.get(kind, True), least=None)
            row.least = least if kind == CREDIT_LOW else None
            session.merge(row)


# Looking


def look(app: App, seats: Sequence[accounts.Seat] | None) -> int:
    """See what began and what is over for everybody who gets mails; for how many people something changed.

    seats are those of the market by member index, or None where the validator does not answer: then nothing is said of
    credits.
    """
    now = app.clock()
    changed = 0
    with app.store.read() as session:
        standing, running = _standing(session, now), news.running(session, now)
        _happened(session, now - RECENT_SECONDS, standing)
        leaving = _leave_decisions(session, now - RECENT_SECONDS)
        people = session.execute(
            select(Person.id, Person.login, Person.pseudonym, User)
            .join(PersonRole, PersonRole.person_id == Person.id)
            .join(User, User.id == PersonRole.member_id)
            .where(PersonRole.role == MEMBER, User.left_at.is_(None))
            .order_by(Person.id)
        ).all()
        plans = []
        for person_id, login, pseudonym, user in people:
            if not is_mailbox(login):
                continue
            its = choices(session, person_id)
            found = {
                **standing[user.id],
                **leaving.get(person_id, {}),
                **_credit(session, user, its[CREDIT_LOW], seats),
                **_announced(running, user),
            }
            lasts = {key: data for key, data in found.items() if its[key[0]].wanted and data.get("by") != pseudonym}
            kept = {row.kind for row in _rows(session, person_id)}
            if lasts or kept:
                plans.append((person_id, lasts, {kind for kind, each in its.items() if each.wanted}))
    for person_id, lasts, wanted in plans:
        with app.store.write() as session:
            if session.get(Person, person_id) is not None:
                changed += _note(session, person_id, lasts, wanted, seats is not None, now)
    return changed


Key = tuple[str, str]


def _standing(session: Session, now: int) -> dict[int, dict[Key, dict[str, Any]]]:
    """What lasts for each member (User.id), by kind and subject, as the store says."""
    found: dict[int, dict[Key, dict[str, Any]]] = defaultdict(dict)
    paused = select(StandingOrderPolicy.user_id, User.wallet).join(User, User.id == StandingOrderPolicy.user_id)
    for user_id, wallet in session.execute(paused.where(StandingOrderPolicy.paused_at.is_not(None))):
        found[user_id][ORDER_PAUSED, ""] = {"by": _paused_by(session, wallet)}
    refused = or_(*(Alert.subject.like(f"{begins}%") for begins in _ASKS))
    wallets = {user.wallet: user.id for user in session.scalars(select(User).where(User.left_at.is_(None)))}
    for alert in session.scalars(select(Alert).where(Alert.resolved_at.is_(None), refused)):
        side, _, wallet = alert.subject.partition(" of ")
        if wallet in wallets:
            found[wallets[wallet]][ORDER_REFUSED, side] = {"side": side, "why": alert.code}
    for user_id, name, last in _silent(session, now):
        found[user_id][METER_SILENT, name] = {"meter": name, "last": last}
    return found


def _happened(session: Session, since: int, found: dict[int, dict[Key, dict[str, Any]]]) -> None:
    """Add what happened to members (User.id) from that moment on: answers, gifts, and decisions on wallets."""
    words = select(TicketWords.id, Ticket.id, Ticket.user_id).join(Ticket, Ticket.id == TicketWords.ticket_id)
    for number, ticket, user_id in session.execute(
        words.where(TicketWords.from_member.is_(False), TicketWords.at >= since)
    ):
        found[user_id][DISPUTE_ANSWERED, f"{ticket}.{number}"] = {"ticket": ticket, "closed": False}
    for closed in session.scalars(select(Ticket).where(Ticket.closed_at >= since)):
        data: dict[str, Any] = {"ticket": closed.id, "closed": True, "by": closed.closed_by}
        found[closed.user_id][DISPUTE_ANSWERED, f"{closed.id}.closed"] = data
    gifts = select(TransferRow).where(TransferRow.to_user_id.is_not(None), TransferRow.asked_at >= since)
    for gift in session.scalars(gifts.where(TransferRow.act == GIVE, TransferRow.state == DONE)):
        if gift.to_user_id is not None:
            found[gift.to_user_id][GIFT_RECEIVED, str(gift.id)] = {"asset": gift.asset, "amount": gift.amount}
    decided = select(WalletRequest).where(WalletRequest.decided_at >= since, WalletRequest.state != WITHDRAWN)
    for asked in session.scalars(decided):
        data = {"about": "wallet", "refused": asked.state == REFUSED, "by": asked.decided_by}
        found[asked.user_id][REQUEST_DECIDED, f"wallet {asked.id}"] = data


def _leave_decisions(session: Session, since: int) -> dict[int, dict[Key, dict[str, Any]]]:
    """The decisions on wishes to leave from that moment on, by the person who asked."""
    found: dict[int, dict[Key, dict[str, Any]]] = defaultdict(dict)
    decided = select(LeaveRequest).where(LeaveRequest.decided_at >= since, LeaveRequest.state != WITHDRAWN)
    for asked in session.scalars(decided):
        data = {"about": "leaving", "refused": asked.state == REFUSED, "by": asked.decided_by}
        found[asked.person_id][REQUEST_DECIDED, f"leaving {asked.id}"] = data
    return found


def _paused_by(session: Session, wallet: str) -> str:
    """Who had a standing order rest last: nobody is mailed what it did itself."""
    about = type_coerce(Act.data, Text).like(f'%"wallet":"{wallet}"%')
    query = select(Act.actor).where(Act.kind == "standing_order_paused", about).order_by(Act.log_index.desc()).limit(1)
    return session.scalar(query) or ""


def _silent(session: Session, now: int) -> Iterator[tuple[int, str, int]]:
    newest = select(Frame.interval_end).where(Frame.meter_pk == Meter.id).order_by(Frame.log_index.desc()).limit(1)
    rows = session.execute(
        select(Meter.user_id, Meter.gateway_name, Meter.name, newest.scalar_subquery()).where(
            Meter.state == METER_ACTIVE
        )
    )
    for user_id, gateway, name, last in rows:
        if last is not None and last < now - SILENT_SECONDS:
            yield user_id, f"{gateway}/{name}", last


def _credit(
    session: Session, user: User, choice: Choice, seats: Sequence[accounts.Seat] | None
) -> dict[Key, dict[str, Any]]:
    """That a member who buys has less in the market than it wants to be told of."""
    policy = session.get(StandingOrderPolicy, user.id)
    if seats is None or policy is None or policy.buy_at is None or policy.paused_at is not None:
        return {}
    if user.member_index is None or user.member_index >= len(seats):
        return {}
    credit, least = seats[user.member_index].credit, choice.least or 0
    return {(CREDIT_LOW, ""): {"credit": credit, "least": least}} if credit < least else {}


def _announced(running: Sequence[Announcement], user: User) -> dict[Key, dict[str, Any]]:
    """What is told to a member now; the words are looked up when they are sent."""
    its = (each for each in running if news.is_for(each, user.building))
    return {(ANNOUNCEMENT, str(each.id)): {"by": each.made_by} for each in its}


def _rows(session: Session, person_id: int) -> list[NoticeState]:
    return list(session.scalars(select(NoticeState).where(NoticeState.person_id == person_id)))


def _note(
    session: Session, person_id: int, lasts: Mapping[Key, dict[str, Any]], wanted: set[str], chain: bool, now: int
) -> bool:
    """Bring what is kept of a person up to what lasts now; whether anything is to be told anew."""
    rows = {(row.kind, row.subject): row for row in _rows(session, person_id)}
    changed = announced = False
    for key, data in lasts.items():
        row = rows.get(key)
        if row is None:
            session.add(
                NoticeState(
                    person_id=person_id, kind=key[0], subject=key[1], data=data, raised_at=now, told_at=None,
                    over_at=None,
                )
            )  # fmt: skip
            changed, announced = True, announced or key[0] == ANNOUNCEMENT
        else:
            row.over_at = None  # it was over for a while, and nobody was told so
    for key, row in rows.items():
        if key in lasts or (key[0] == CREDIT_LOW and not chain):
            continue
        if row.told_at is None or key[0] not in wanted or key[0] in ONCE:
            session.delete(row)
        elif row.over_at is None:
            row.over_at, changed = now, True
    if changed:
        mail = session.get(NoticeMail, person_id)
        if mail is None or mail.state != WAITING:
            sent_at = None if mail is None else mail.sent_at
            due = now + SETTLE_SECONDS
            if sent_at is not None and not announced:
                due = max(due, min(sent_at, now) + DAY_SECONDS)
            session.merge(
                NoticeMail(
                    person_id=person_id, state=WAITING, asked_at=now, next_at=due, tries=0, sent_at=sent_at, error=""
                )
            )
        elif announced and not mail.tries:  # a relay that is away is asked no sooner
            mail.next_at = min(mail.next_at, now + SETTLE_SECONDS)
    return changed


# Sending


def claim(app: App) -> Claimed | None:
    """The next mail that is due, which nobody else sends meanwhile; None where none is.

    Where nothing is to be told any more, the mail is dropped.
    """
    while True:
        with app.store.write() as session:
            now = app.clock()
            mail = next_due(session, NoticeMail, now, DAY_SECONDS)
            if mail is None:
                return None
            person, running = session.get_one(Person, mail.person_id), news.running(session, now)
            said = {(ANNOUNCEMENT, str(each.id)): _words(each) for each in running}
            changes = tuple(
                Change(
                    row.kind,
                    row.subject,
                    {**row.data, **said.get((row.kind, row.subject), {})},
                    row.over_at is not None,
                )
                for row in sorted(_rows(session, person.id), key=lambda row: (row.raised_at, row.kind, row.subject))
                if (row.told_at is None or row.over_at is not None)
                and (
                    row.kind != ANNOUNCEMENT or (row.kind, row.subject) in said
                )  # it may have been withdrawn meanwhile
            )
            if not changes or not is_mailbox(person.login):
                mail.state = SENT
                continue
            mail.next_at = now + CLAIM_SECONDS
            return Claimed(person.id, mail.asked_at, person.name, person.login, person.language, changes)


def _words(each: Announcement) -> dict[str, Any]:
    return {"title": each.title, "text": each.text, "ends_at": each.ends_at}


def delivered(app: App, claimed: Claimed) -> None:
    """The relay took a mail: what it told is told."""
    with app.store.write() as session:
        mail, now = session.get(NoticeMail, claimed.person_id), app.clock()
        if mail is None or mail.state != WAITING:
            return
        mail.state, mail.sent_at, mail.error = SENT, now, ""
        for change in claimed.changes:
            row = session.get(NoticeState, (claimed.person_id, change.kind, change.subject))
            if row is not None and change.is_over and row.over_at is not None:
                session.delete(row)
            elif row is not None and not change.is_over:
                row.told_at = now
        session.flush()
        left = {row.kind for row in _rows(session, claimed.person_id) if row.told_at is None or row.over_at is not None}
        if left:
            pause = SETTLE_SECONDS if ANNOUNCEMENT in left else DAY_SECONDS
            mail.state, mail.asked_at, mail.next_at, mail.tries = WAITING, now, now + pause, 0


def failed(app: App, claimed: Claimed, reason: str, *, refused: bool) -> None:
    """The relay did not take a mail."""
    with app.store.write() as session:
        mail = session.get(NoticeMail, claimed.person_id)
        if mail is not None and mail.state == WAITING:
            not_taken(mail, reason, app.clock(), refused=refused)
