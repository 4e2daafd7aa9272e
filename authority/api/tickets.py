"""Disputes: /api/v1/me/tickets for members, /api/v1/tickets for the department; the pages show the same."""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal

from apiflask import APIBlueprint, Schema, fields
from apiflask.validators import Length, OneOf, Range
from flask import Response

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.days import EARLIEST, QUARTER
from authority.api.gate import Rule
from authority.api.kwh import Proofs
from authority.api.me import NOT_YOURS
from authority.api.member import Energy, Members
from authority.api.paging import NEXT, PageQuery
from authority.api.schemas import Body, schema_of
from authority.app import App
from authority.billing.calendar import midnight
from authority.chain.client import ChainClient
from authority.operations import tickets
from authority.operations.desk import Desk
from authority.operations.errors import TicketInvalidError
from authority.operations.tickets import LONGEST_TEXT, REASONS, About, Asked, Shown
from authority.people import reads
from authority.people.proof_links import OpenLink
from authority.people.roles import ANSWERS_DISPUTES, OF_A_MEMBER, READ_MONEY, READ_OPERATIONS, MemberAccount, Principal
from authority.refusals import NotFoundError
from authority.store.desk import Ticket

RULES: Mapping[str, Rule] = {
    "me_tickets.listed": Rule(OF_A_MEMBER, READ_MONEY),
    "me_tickets.shown": Rule(OF_A_MEMBER, READ_MONEY),
    "me_tickets.ask": Rule(OF_A_MEMBER),
    "me_tickets.add": Rule(OF_A_MEMBER),
    "tickets.listed": Rule(ANSWERS_DISPUTES, READ_OPERATIONS),
    "tickets.shown": Rule(ANSWERS_DISPUTES, READ_OPERATIONS),
    "tickets.energy": Rule(ANSWERS_DISPUTES, READ_OPERATIONS),
    "tickets.proof": Rule(ANSWERS_DISPUTES, READ_OPERATIONS),
    "tickets.answer": Rule(ANSWERS_DISPUTES),
    "tickets.close": Rule(ANSWERS_DISPUTES),
}
"""Who may call what. No token writes here: it is a person's word."""
LAST_NUMBER, LAST_LINE = 2**63 - 1, 2**31 - 1
DISPUTES = "disputes"
"""What the log says that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody wrote to a dispute."""

    from_member: bool = described("Whether the member wrote it; else the department.")
    text: str = described("The text.")
    at: int = described("When.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeHead:
    """A dispute in one row."""

    number: int = described("Its number.")
    state: Literal["waiting", "answered", "settled", "corrected"] = described(
        "waiting: for the department; answered; settled and corrected: closed."
    )
    reason: str = described("Why: energy, price, missing, not_mine, other.")
    bill: int | None = described("The bill whose line it is about; null where it is about a day.")
    line: int | None = described("The line's number on the bill.")
    starts_at: int = described("The beginning of what it is about.")
    ends_at: int = described("Its end.")
    opened_at: int = described("When it was opened.")
    closed_at: int | None = described("When it was closed; null while it is open.")
    correction: str | None = described("The correction by which it was closed, as BILL/NUMBER.")
    member: str = described("The member's name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute with all that is known of it."""

    head: DisputeHead = described("In short.")
    line_kind: str | None = described("What the line is for, as in the bill's document.")
    line_wh: int | None = described("The line's energy.")
    line_micro_credits: int | None = described("The line's amount, positive where the member pays.")
    days: tuple[str, ...] = described("The days at the site that it is about.")
    words: tuple[Said, ...] = described("What was written, in order.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputes:
    """Disputes, the newest first."""

    disputes: tuple[DisputeHead, ...] = described("At most 50.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A dispute that was opened, or is open already."""

    number: int = described("Its number.")
    opened: bool = described("Whether it is new; false: it was open already, and what was written was added to it.")


class DayQuery(Schema):
    """Which day."""

    day = fields.Date(required=True, metadata={"description": "A day of the dispute."})


class DisputeInput(Body):
    """What is disputed: bill and line, or a day."""

    bill = fields.Integer(strict=True, load_default=None, allow_none=True, validate=Range(1, LAST_NUMBER))
    line = fields.Integer(strict=True, load_default=None, allow_none=True, validate=Range(1, LAST_LINE))
    day = fields.Date(load_default=None, allow_none=True, metadata={"description": "A day at the site, not a bill."})
    reason = fields.String(required=True, validate=OneOf(tuple(REASONS)))
    text = fields.String(load_default="", validate=Length(max=LONGEST_TEXT))


class WordsInput(Body):
    """What is written; it is kept out of the log."""

    text = fields.String(required=True, validate=Length(1, LONGEST_TEXT))


class CloseInput(Body):
    """How it is closed: as settled (both null), or by a correction that was entered."""

    bill = fields.Integer(strict=True, load_default=None, allow_none=True, validate=Range(1, LAST_NUMBER))
    correction = fields.Integer(strict=True, load_default=None, allow_none=True, validate=Range(1, LAST_LINE))


REFUSED: Mapping[int | str, Any] = {
    400: "What is asked for is malformed, or of nothing that there is.",
    409: "It was closed already.",
    **dict[int | str, Any](NOT_YOURS.items()),
}
EXAMPLE_HEAD = {
    "number": 7, "state": "answered", "reason": "energy", "bill": 17, "line": 3, "starts_at": 1_780_272_000,
    "ends_at": 1_782_864_000, "opened_at": 1_782_900_000, "closed_at": None, "correction": None,
    "member": "Dormitory A",
}  # fmt: skip
EXAMPLE = {
    "head": EXAMPLE_HEAD,
    "line_kind": "remainder",
    "line_wh": 21_200,
    "line_micro_credits": 6_360_000,
    "days": ["2026-06-01", "2026-06-02"],
    "words": [
        {"from_member": True, "text": "I was away in that week.", "at": 1_782_900_000},
        {"from_member": False, "text": "Which days were these?", "at": 1_782_990_000},
    ],
}


class Tickets:
    """Disputes over an opened authority, as members and as the department see them; readings of others' are logged."""

    def __init__(self, app: App, members: Members, client: Callable[[], ChainClient]) -> None:
        self._app, self.members, self._client = app, members, client
        self._proofs = Proofs(app, client)

    # A member's

    def mine(self, member: MemberAccount, before: int | None) -> Disputes:
        """The member's own, the newest first."""
        with self._app.store.read() as session:
            return _page(tickets.listed(session, member.id, before))

    def one_of_mine(self, member: MemberAccount, number: int) -> Shown:
        """One of the member's own; NotFoundError."""
        with self._app.store.read() as session:
            return tickets.shown(session, self._app, number, member.id)

    def about(self, member: MemberAccount, bill: int | None, line: int | None, day: date | None) -> About:
        """What a member may dispute; NotFoundError, TicketInvalidError."""
        if bill is not None and line is not None and day is None:
            with self._app.store.read() as session:
                return tickets.of_line(session, self.members.epoch_seconds, member.wallet, bill, line)
        if bill is None and line is None and day is not None and EARLIEST <= day <= self.members.today():
            zone = self.members.zone
            return About(midnight(day, zone), midnight(day + timedelta(days=1), zone))
        raise TicketInvalidError("a dispute is of a line of a bill, or of a day that has begun: choose one of them")

    def open_of(self, member: MemberAccount, about: About) -> int | None:
        """The number of the member's open dispute of the same thing; None where there is none."""
        with self._app.store.read() as session:
            found = tickets.open_of(session, member.id, about)
        return None if found is None else found.id

    def ask(self, who: Principal, member: MemberAccount, about: About, reason: str, text: str) -> Asked:
        """Open one, or add to the open one of the same thing. TicketInvalidError."""
        return tickets.ask(self._app, member.id, about, reason, text, actor=who.actor, person_id=who.person_id)

    def add(self, who: Principal, member: MemberAccount, number: int, text: str) -> None:
        """Write more; NotFoundError, TicketOverError, TicketInvalidError."""
        tickets.add(self._app, member.id, number, text, actor=who.actor, person_id=who.person_id)

    # The department's

    def waiting(self) -> int:
        """How many wait for an answer."""
        with self._app.store.read() as session:
            return len(tickets.waiting(session))

    def still_open(self, who: Principal) -> list[tuple[Ticket, str]]:
        """Those that are not closed, those that wait first."""
        reads.note(self._app.store, who, DISPUTES, reads.EVERYBODY, self._app.clock())
        with self._app.store.read() as session:
            return tickets.still_open(session)

    def all(self, who: Principal, before: int | None) -> Disputes:
        """All, the newest first."""
        reads.note(self._app.store, who, DISPUTES, reads.EVERYBODY, self._app.clock())
        with self._app.store.read() as session:
            return _page(tickets.listed(session, None, before))

    def one(self, who: Principal, number: int) -> Shown:
        """One; NotFoundError."""
        with self._app.store.read() as session:
            found = tickets.shown(session, self._app, number)
        reads.note(self._app.store, who, DISPUTES, found.wallet, self._app.clock())
        return found

    def corrections(self, ticket: Ticket) -> list[tuple[str, int]]:
        """The corrections that may close it, BILL/NUMBER, with their amounts in micro-credits."""
        with self._app.store.read() as session:
            found = tickets.corrections(session, self._app, ticket)
        return [(f"{bill}/{number}", each.amount) for (bill, number), each in found]

    def energy(self, who: Principal, number: int, day: date) -> Energy:
        """The member's energy on a day of the dispute, by quarters; NotFoundError."""
        account, _ = self._of_day(who, number, day)
        return self.members.energy(account, day, day, QUARTER)

    def proof(self, who: Principal, number: int, day: date) -> dict[str, Any]:
        """The proof of the readings of a day of the dispute; NotFoundError, ProofMissingError."""
        account, ticket = self._of_day(who, number, day)
        zone, now = self.members.zone, self._app.clock()
        start, end = midnight(day, zone), min(midnight(day + timedelta(days=1), zone), now)
        link = OpenLink(f"dispute {ticket.id}", account.id, account.wallet, start, end, now)
        self._proofs.disclosure(account.id, start, end)
        return self._proofs.document(link)

    def _of_day(self, who: Principal, number: int, day: date) -> tuple[MemberAccount, Ticket]:
        found = self.one(who, number)
        if day.isoformat() not in found.days:
            raise NotFoundError("this dispute is not about that day")
        return MemberAccount(found.ticket.user_id, found.member, found.wallet), found.ticket

    def answer(self, who: Principal, number: int, text: str) -> None:
        """Answer one; NotFoundError, TicketOverError, TicketInvalidError."""
        with self._desk(who) as desk:
            tickets.answer(desk, number, text, who.person_id)

    def close(self, who: Principal, number: int, correction: tuple[int, int] | None) -> None:
        """Close one; NotFoundError, TicketOverError, TicketInvalidError."""
        with self._desk(who) as desk:
            tickets.close(desk, number, correction)

    @contextmanager
    def _desk(self, who: Principal) -> Iterator[Desk]:
        client = self._client()
        try:
            yield Desk(self._app, client, who.actor)
        finally:
            client.close()


def _page(rows: list[tuple[Ticket, str]]) -> Disputes:
    full = len(rows) == tickets.MOST_SHOWN
    return Disputes(disputes=tuple(_head(*row) for row in rows), next=str(rows[-1][0].id) if full else None)


def _head(ticket: Ticket, member: str) -> DisputeHead:
    return DisputeHead(
        number=ticket.id,
        state=ticket.state,  # type: ignore[arg-type]  # of tickets.STATES
        reason=ticket.reason,
        bill=ticket.bill,
        line=ticket.line,
        starts_at=ticket.starts_at,
        ends_at=ticket.ends_at,
        opened_at=ticket.opened_at,
        closed_at=ticket.closed_at,
        correction=None if ticket.correction is None else f"{ticket.correction_bill}/{ticket.correction}",
        member=member,
    )


def view(shown: Shown) -> Dispute:
    """A dispute as programs read it."""
    line = shown.line
    return Dispute(
        head=_head(shown.ticket, shown.member),
        line_kind=None if line is None else line["kind"],
        line_wh=None if line is None else line["wh"],
        line_micro_credits=None if line is None else line["amount"],
        days=shown.days,
        words=tuple(Said(from_member=each.from_member, text=each.text, at=each.at) for each in shown.words),
    )


def member_blueprint(app: App, its: Tickets) -> APIBlueprint:
    """What a member disputes."""
    mine = APIBlueprint("me_tickets", __name__, url_prefix="/api/v1/me/tickets", tag="Me")

    @mine.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @mine.get("")
    @mine.input(PageQuery, location="query", arg_name="query")
    @mine.output(schema_of(Disputes), description="The disputes.", example={"disputes": [EXAMPLE_HEAD], "next": None})
    @mine.doc(
        operation_id="list_my_tickets", summary="What you dispute", responses={400: "The query is wrong.", **NOT_YOURS}
    )
    def listed(query: dict[str, Any]) -> dict[str, Any]:
        return asdict(its.mine(gate.own_member(app, DISPUTES), query["cursor"]))

    @mine.get("/<int:number>")
    @mine.output(schema_of(Dispute), description="The dispute.", example=EXAMPLE)
    @mine.doc(operation_id="get_my_ticket", summary="One dispute, with its answers", responses=NOT_YOURS)
    def shown(number: int) -> dict[str, Any]:
        return asdict(view(its.one_of_mine(gate.own_member(app, DISPUTES), number)))

    @mine.post("")
    @mine.input(
        DisputeInput, arg_name="given", example={"bill": 17, "line": 3, "reason": "energy", "text": "I was away."}
    )
    @mine.output(
        schema_of(Opened),
        201,
        description="Its number; of an open one of the same thing, that one's, with what was written added to it.",
    )
    @mine.doc(
        operation_id="open_my_ticket",
        summary="Dispute a line of a bill, or a day",
        description="The text is kept out of the log. No token may do this: it takes a session and X-Form-Token.",
        responses=dict(REFUSED),
    )
    def ask(given: dict[str, Any]) -> Opened:
        member, who = gate.own_member(app, DISPUTES), gate.principal()
        about = its.about(member, given["bill"], given["line"], given["day"])
        asked = its.ask(who, member, about, given["reason"], given["text"])
        return Opened(number=asked.number, opened=asked.opened)

    @mine.post("/<int:number>/words")
    @mine.input(WordsInput, arg_name="given", example={"text": "It was the first week of June."})
    @mine.output(schema_of(Dispute), description="The dispute.", example=EXAMPLE)
    @mine.doc(operation_id="add_my_ticket_words", summary="Write more to a dispute", responses=dict(REFUSED))
    def add(number: int, given: dict[str, str]) -> dict[str, Any]:
        member = gate.own_member(app, DISPUTES)
        its.add(gate.principal(), member, number, given["text"])
        return asdict(view(its.one_of_mine(member, number)))

    return mine


def desk_blueprint(its: Tickets) -> APIBlueprint:
    """What the department answers."""
    desk = APIBlueprint("tickets", __name__, url_prefix="/api/v1/tickets", tag="Operations")

    @desk.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @desk.get("")
    @desk.input(PageQuery, location="query", arg_name="query")
    @desk.output(schema_of(Disputes), description="The disputes.", example={"disputes": [EXAMPLE_HEAD], "next": None})
    @desk.doc(
        operation_id="list_tickets",
        summary="All disputes, the newest first",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def listed(query: dict[str, Any]) -> dict[str, Any]:
        return asdict(its.all(gate.principal(), query["cursor"]))

    @desk.get("/<int:number>")
    @desk.output(schema_of(Dispute), description="The dispute.", example=EXAMPLE)
    @desk.doc(operation_id="get_ticket", summary="One dispute", responses=NOT_YOURS)
    def shown(number: int) -> dict[str, Any]:
        return asdict(view(its.one(gate.principal(), number)))

    @desk.get("/<int:number>/energy")
    @desk.input(DayQuery, location="query", arg_name="query")
    @desk.output(schema_of(Energy), description="The energy.")
    @desk.doc(
        operation_id="get_ticket_energy",
        summary="A day of a dispute by quarters",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def energy(number: int, query: dict[str, Any]) -> dict[str, Any]:
        return asdict(its.energy(gate.principal(), number, query["day"]))

    @desk.get("/<int:number>/proof")
    @desk.input(DayQuery, location="query", arg_name="query")
    @desk.doc(
        operation_id="get_ticket_proof",
        summary="The proof of a day of a dispute",
        description="What the page /kwh checks from a file: readings, signatures, the log's paths and the chain's pin.",
        responses={
            200: {"description": "The proof.", "content": {"application/json": {"schema": {"type": "object"}}}},
            400: "The query is wrong.",
            409: "There are no readings that could be proved yet.",
            **dict[int | str, Any](NOT_YOURS.items()),
        },
    )
    def proof(number: int, query: dict[str, Any]) -> dict[str, Any]:
        return its.proof(gate.principal(), number, query["day"])

    @desk.post("/<int:number>/answers")
    @desk.input(WordsInput, arg_name="given", example={"text": "The meter was read again: it is right."})
    @desk.output(schema_of(Dispute), description="The dispute.", example=EXAMPLE)
    @desk.doc(
        operation_id="answer_ticket",
        summary="Answer a dispute",
        description="The member reads it. No token may do this: it takes a session and X-Form-Token.",
        responses=dict(REFUSED),
    )
    def answer(number: int, given: dict[str, str]) -> dict[str, Any]:
        its.answer(gate.principal(), number, given["text"])
        return asdict(view(its.one(gate.principal(), number)))

    @desk.post("/<int:number>/close")
    @desk.input(CloseInput, arg_name="given", example={"bill": 17, "correction": 1})
    @desk.output(schema_of(Dispute), description="The dispute.", example=EXAMPLE)
    @desk.doc(
        operation_id="close_ticket", summary="Close a dispute, as settled or by a correction", responses=dict(REFUSED)
    )
    def close(number: int, given: dict[str, Any]) -> dict[str, Any]:
        bill, correction = given["bill"], given["correction"]
        if (bill is None) != (correction is None):
            raise TicketInvalidError("name the correction by its bill and its number there, or neither")
        its.close(gate.principal(), number, None if bill is None else (bill, correction))
        return asdict(view(its.one(gate.principal(), number)))

    return desk
