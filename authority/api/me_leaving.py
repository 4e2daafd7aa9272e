"""/api/v1/me/leaving: whether a person has asked to leave, asking for it, and taking that back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, cast

from apiflask import APIBlueprint, fields

from authority.api import gate
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.schemas import Body, schema_of
from authority.app import App
from authority.people import leave_requests
from authority.people.roles import Principal

RULES: Mapping[str, Rule] = dict.fromkeys(
    ("me_leaving.state", "me_leaving.ask", "me_leaving.take_back"), Rule(frozenset())
)
"""Signed-in people alone: no token leaves for somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Whether somebody leaves, and how far it is."""

    state: Literal["none", "waiting", "approved", "leaving", "left", "refused", "withdrawn"] = described(
        "none: not asked for; waiting: for an operator; approved: begins when nothing stands in its way; leaving: is "
        "being carried out; left: the account has ended, the login goes when the last bill is paid; refused, withdrawn."
    )
    ends_account: bool = described("Whether the member account ends too, since nobody else is a member of it.")
    gives_up_energy: bool = described("Whether energy that was bought and not used is given up.")
    may_take_back: bool = described("Whether there is still a way back.")
    asked_at: int | None = described("When it was asked for.")
    leaves_on: str | None = described(
        "The day that was named, by the site's calendar: nothing is done before it. null: as soon as it is approved."
    )
    told: str = described("Why it was refused; empty otherwise.")


class AskInput(Body):
    """A wish to leave."""

    gives_up_energy = fields.Boolean(
        load_default=False,
        metadata={"description": "Give up energy that was bought and not used; else it has to be sold first."},
    )
    leaves_on = fields.Date(
        load_default=None,
        metadata={
            "description": "The day before which nothing is done, by the site's calendar: today or later, and at most "
            f"{leave_requests.LONGEST_NOTICE_DAYS} days ahead. Left out: as soon as it is approved."
        },
    )


EXAMPLE = {
    "state": "waiting",
    "ends_account": True,
    "gives_up_energy": False,
    "may_take_back": True,
    "asked_at": 1_782_030_000,
    "leaves_on": "2026-09-30",
    "told": "",
}
REFUSED: dict[int | str, Any] = {
    **dict[int | str, Any](NOT_YOURS.items()),
    400: "The body is malformed, or nobody can leave on that day (`leave_day_invalid`).",
    403: "The sign-in is not of the last five minutes (`sign_in_again`), or a token asks.",
    409: "A role of the department has to be withdrawn first, or it is too late.",
}


def state_of(app: App, who: Principal) -> Leaving:
    """How far a person's leaving is."""
    with app.store.read() as session:
        row = leave_requests.last_of(session, who.person_id)
        ends = leave_requests.account_that_ends(session, who) is not None
    if row is None:
        return Leaving(
            state="none", ends_account=ends, gives_up_energy=False, may_take_back=False, asked_at=None, leaves_on=None,
            told="",
        )  # fmt: skip
    is_open, day = row.state in leave_requests.OPEN, leave_requests.day_of(app, row)
    return Leaving(
        state=cast(Any, row.state),
        ends_account=row.user_id is not None if is_open else ends,
        gives_up_energy=row.forfeit,
        may_take_back=row.state in leave_requests.MAY_RETURN,
        asked_at=row.asked_at,
        leaves_on=None if day is None else day.isoformat(),
        told=row.told if row.state == leave_requests.REFUSED else "",
    )


def blueprint(app: App) -> APIBlueprint:
    """The resource over an opened authority."""
    me = APIBlueprint("me_leaving", __name__, url_prefix="/api/v1/me", tag="Me")

    @me.get("/leaving")
    @me.output(schema_of(Leaving), description="How far it is.", example=EXAMPLE)
    @me.doc(operation_id="get_my_leaving", summary="Whether you have asked to leave", responses=NOT_YOURS)
    def state() -> Leaving:
        return state_of(app, gate.principal())

    @me.post("/leaving")
    @me.input(AskInput, arg_name="given", example={"gives_up_energy": False, "leaves_on": "2026-09-30"})
    @me.output(schema_of(Leaving), status_code=202, description="It is asked for.", example=EXAMPLE)
    @me.doc(
        operation_id="ask_my_leaving",
        summary="Ask to leave",
        description="An operator decides, and it is carried out when its day has come and nothing stands in its way. "
        "Asked for twice it is asked for once.",
        responses=REFUSED,
    )
    def ask(given: dict[str, Any]) -> Leaving:
        leaves_on: date | None = given["leaves_on"]
        leave_requests.ask(app, gate.principal(), forfeit=given["gives_up_energy"], day=leaves_on)
        return state_of(app, gate.principal())

    @me.delete("/leaving")
    @me.output(schema_of(Leaving), description="How it is now.", example={**EXAMPLE, "state": "withdrawn"})
    @me.doc(
        operation_id="cancel_my_leaving",
        summary="Stay after all",
        responses={**NOT_YOURS, 409: "It is being carried out."},
    )
    def take_back() -> Leaving:
        leave_requests.take_back(app, gate.principal())
        return state_of(app, gate.principal())

    return me
