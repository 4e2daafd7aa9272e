"""Disputes: the member's pages, where one is opened from a bill's line or a day, and those of who answers it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request, url_for

from authority.api import gate
from authority.api.gate import Rule
from authority.api.kwh import ProofMissingError
from authority.api.tickets import DISPUTES, Tickets
from authority.app import App
from authority.billing.calendar import local
from authority.language.reading import gettext
from authority.operations import tickets
from authority.operations.errors import OperationError, TicketInvalidError
from authority.operations.tickets import LONGEST_TEXT, REASONS, STATE_WORDS, About
from authority.people.errors import ProofLinkInvalidError
from authority.people.roles import ANSWERS_DISPUTES, OF_A_MEMBER, TREASURER
from authority.refusals import NotFoundError
from authority.web import ranges
from authority.web.answers import page, place, redirect, status_of
from authority.web.member_pages import LINE_WORDS

RULES: Mapping[str, Rule] = {
    "my_disputes.listed": Rule(OF_A_MEMBER),
    "my_disputes.new": Rule(OF_A_MEMBER),
    "my_disputes.ask": Rule(OF_A_MEMBER),
    "my_disputes.shown": Rule(OF_A_MEMBER),
    "my_disputes.add": Rule(OF_A_MEMBER),
    **dict.fromkeys(
        ("disputes.listed", "disputes.shown", "disputes.day", "disputes.proof", "disputes.act"), Rule(ANSWERS_DISPUTES)
    ),
}


class Wording:
    """What both sides' pages say alike."""

    def __init__(self, its: Tickets) -> None:
        self.its = its

    def page(self, template: str, message: str, status: int, **words: Any) -> Response:
        """A page of disputes."""
        text = render_template(
            template,
            message=message,
            at=self._at,
            day_name=self._day_name,
            about=self._about,
            zone=self.its.members.zone.key,
            state_words=STATE_WORDS,
            reasons=REASONS,
            line_words=LINE_WORDS,
            longest=LONGEST_TEXT,
            **words,
        )
        return page(text, status)

    def _at(self, seconds: int) -> str:
        return ranges.written(local(seconds, self.its.members.zone), "%-d %b %Y, %H:%M")

    def _day_name(self, day: str) -> str:
        return ranges.written(date.fromisoformat(day), "%-d %b %Y")

    def _about(self, ticket: Any) -> str:
        """What a dispute is about, in a few words: of a ticket, of its head in the API, or of what is asked for."""
        if ticket.bill is not None:
            return gettext("Bill %(bill)s, line %(line)s", bill=ticket.bill, line=ticket.line)
        day = local(ticket.starts_at, self.its.members.zone)
        return gettext("Energy of %(day)s", day=ranges.written(day, "%-d %b %Y"))


def member_blueprint(app: App, its: Tickets) -> Blueprint:
    """What a member disputes."""
    mine, words = Blueprint("my_disputes", __name__, url_prefix="/me/tickets"), Wording(its)

    def asked(given: Mapping[str, str]) -> About:
        """What an address or a form says is disputed; NotFoundError, TicketInvalidError."""
        bill, line = (_number(given.get(name, "")) for name in ("bill", "line"))
        try:
            day = date.fromisoformat(given["day"]) if given.get("day") else None
        except ValueError:
            day = None
        return its.about(gate.own_member(app, DISPUTES), bill, line, day)

    def form(given: Mapping[str, str], message: str = "", status: int = 200) -> Response:
        about = asked(given)
        open_one = its.open_of(gate.own_member(app, DISPUTES), about)
        return words.page("ticket_new.html", message, status, asked=about, given=given, open_one=open_one)

    @mine.get("")
    def listed() -> Response:
        account = gate.own_member(app, DISPUTES)
        return words.page("tickets.html", "", 200, found=its.mine(account, place("before")))

    @mine.get("/new")
    def new() -> Response:
        try:
            return form(request.args)
        except TicketInvalidError as error:
            return words.page("tickets.html", str(error), 400, found=its.mine(gate.own_member(app, DISPUTES), None))

    @mine.post("")
    def ask() -> Response:
        about, given = asked(request.form), request.form
        try:
            found = its.ask(
                gate.principal(), gate.own_member(app, DISPUTES), about, given.get("reason", ""), given.get("text", "")
            )
        except TicketInvalidError as error:
            return form(given, str(error), status_of(error))
        added = 1 if found.added else None
        return redirect(url_for("my_disputes.shown", number=found.number, added=added))

    def one(number: int, message: str = "", status: int = 200, text: str = "") -> Response:
        shown = its.one_of_mine(gate.own_member(app, DISPUTES), number)
        added = request.method == "GET" and request.args.get("added") == "1"
        return words.page(
            "ticket.html", message, status, shown=shown, ticket=shown.ticket, text=text, of_desk=False, added=added
        )

    @mine.get("/<int:number>")
    def shown(number: int) -> Response:
        return one(number)

    @mine.post("/<int:number>")
    def add(number: int) -> Response:
        text = request.form.get("text", "")
        try:
            its.add(gate.principal(), gate.own_member(app, DISPUTES), number, text)
        except OperationError as error:
            return one(number, str(error), status_of(error), text)
        return redirect(url_for("my_disputes.shown", number=number))

    return mine


def desk_blueprint(its: Tickets) -> Blueprint:
    """What operators and treasurers answer."""
    desk, words = Blueprint("disputes", __name__, url_prefix="/disputes"), Wording(its)

    @desk.get("")
    def listed() -> Response:
        who = gate.principal()
        found = its.all(who, place("before"))
        return words.page("disputes.html", "", 200, waiting=its.still_open(who), found=found)

    def one(number: int, message: str = "", status: int = 200, text: str = "") -> Response:
        who = gate.principal()
        shown = its.one(who, number)
        return words.page(
            "ticket.html",
            message,
            status,
            shown=shown,
            ticket=shown.ticket,
            text=text,
            of_desk=True,
            corrections=its.corrections(shown.ticket) if shown.ticket.state in tickets.OPEN else [],
            sees_bills=TREASURER in who.roles,
        )

    @desk.get("/<int:number>")
    def shown(number: int) -> Response:
        return one(number)

    @desk.get("/<int:number>/days/<day>")
    def day(number: int, day: str) -> Response:
        """A day of the dispute by quarters, as the member sees it."""
        who, when = gate.principal(), _day(day)
        energy = its.energy(who, number, when)
        labels = [ranges.label(step.starts_at, "day", its.members.zone) for step in energy.steps]
        return words.page("dispute_day.html", "", 200, number=number, day=day, energy=energy, labels=labels)

    @desk.get("/<int:number>/days/<day>/proof.json")
    def proof(number: int, day: str) -> Response:
        """The proof of that day's readings, for the page that checks a proof from a file."""
        try:
            answer = jsonify(its.proof(gate.principal(), number, _day(day)))
        except (ProofMissingError, ProofLinkInvalidError) as error:
            return one(number, str(error), 409)
        answer.headers["Content-Disposition"] = f'attachment; filename="proof-{day}.json"'
        return answer

    @desk.post("/<int:number>")
    def act(number: int) -> Response:
        """Answer it, or close it."""
        who, form = gate.principal(), request.form
        text = form.get("text", "")
        try:
            if form.get("act") == "answer":
                its.answer(who, number, text)
            elif form.get("act") == "close":
                its.close(who, number, _correction(form.get("outcome", "")))
            else:
                raise TicketInvalidError("say whether it is answered or closed")
        except OperationError as error:
            return one(number, str(error), status_of(error), text)
        return redirect(url_for("disputes.shown", number=number))

    return desk


def _correction(text: str) -> tuple[int, int] | None:
    """How a form says that it is closed: settled, or a correction as BILL/NUMBER. TicketInvalidError."""
    if text == tickets.SETTLED:
        return None
    bill, number = (_number(part) for part in text.partition("/")[::2])
    if bill is None or number is None:
        raise TicketInvalidError("say how it is closed: as settled, or by a correction")
    return bill, number


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NotFoundError("this dispute is not about that day") from None
