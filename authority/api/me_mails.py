"""/api/v1/me/mails: which mails a person gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apiflask import APIBlueprint, fields
from apiflask.validators import Range
from flask import Response

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.schemas import Body, schema_of
from authority.app import App
from authority.billing.mailing import BILL
from authority.people import notices
from authority.people.notices import (
    ANNOUNCEMENT,
    CREDIT_LOW,
    DISPUTE_ANSWERED,
    GIFT_RECEIVED,
    METER_SILENT,
    MOST_CREDIT,
    ORDER_PAUSED,
    ORDER_REFUSED,
    REQUEST_DECIDED,
)
from authority.people.roles import Principal

RULES: Mapping[str, Rule] = dict.fromkeys(("me_mails.chosen", "me_mails.choose"), Rule(frozenset()))
"""Signed-in people alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mails:
    """Which mails a person gets; all of them by default. They are sent on a change, at most one a day.

    Bills and announcements do not wait for the next day.
    """

    bill: bool = described("A bill, when the department mails it.")
    order_paused: bool = described("Somebody else had the standing order rest.")
    order_refused: bool = described("The standing order cannot be placed.")
    meter_silent: bool = described("A meter has sent no reading for a day.")
    credit_low: bool = described("Few credits are left in the market, and the standing order buys.")
    credit_low_micro_credits: int = described("Below how many that is.")
    dispute_answered: bool = described("The department answered a dispute, or closed it.")
    gift_received: bool = described("Another member gave energy tokens or credits.")
    request_decided: bool = described("The department decided on a wallet that was asked for, or on leaving.")
    announcement: bool = described("The department announces something that is for this member too.")


class MailsInput(Body):
    """What is left out is true, and 1 000 000 micro-credits."""

    bill = fields.Boolean(load_default=True)
    order_paused = fields.Boolean(load_default=True)
    order_refused = fields.Boolean(load_default=True)
    meter_silent = fields.Boolean(load_default=True)
    credit_low = fields.Boolean(load_default=True)
    credit_low_micro_credits = fields.Integer(
        strict=True, load_default=notices.LEAST_CREDIT, validate=Range(0, MOST_CREDIT)
    )
    dispute_answered = fields.Boolean(load_default=True)
    gift_received = fields.Boolean(load_default=True)
    request_decided = fields.Boolean(load_default=True)
    announcement = fields.Boolean(load_default=True)


EXAMPLE = {
    "bill": True,
    "order_paused": True,
    "order_refused": True,
    "meter_silent": False,
    "credit_low": True,
    "credit_low_micro_credits": 2_500_000,
    "dispute_answered": True,
    "gift_received": True,
    "request_decided": True,
    "announcement": True,
}


def chosen_of(app: App, who: Principal) -> Mails:
    """What a person chose."""
    with app.store.read() as session:
        its = notices.choices(session, who.person_id)
    return Mails(
        bill=its[BILL].wanted,
        order_paused=its[ORDER_PAUSED].wanted,
        order_refused=its[ORDER_REFUSED].wanted,
        meter_silent=its[METER_SILENT].wanted,
        credit_low=its[CREDIT_LOW].wanted,
        credit_low_micro_credits=its[CREDIT_LOW].least or 0,
        dispute_answered=its[DISPUTE_ANSWERED].wanted,
        gift_received=its[GIFT_RECEIVED].wanted,
        request_decided=its[REQUEST_DECIDED].wanted,
        announcement=its[ANNOUNCEMENT].wanted,
    )


def blueprint(app: App) -> APIBlueprint:
    """The resource over an opened authority."""
    me = APIBlueprint("me_mails", __name__, url_prefix="/api/v1/me", tag="Me")

    @me.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @me.get("/mails")
    @me.output(schema_of(Mails), description="The choices.", example=EXAMPLE)
    @me.doc(operation_id="get_my_mails", summary="Which mails you get", responses=NOT_YOURS)
    def chosen() -> Mails:
        return chosen_of(app, gate.principal())

    @me.put("/mails")
    @me.input(MailsInput, arg_name="given", example=EXAMPLE)
    @me.output(schema_of(Mails), description="The choices as they are now.", example=EXAMPLE)
    @me.doc(
        operation_id="set_my_mails",
        summary="Choose which mails you get",
        responses={400: "The body is malformed.", **NOT_YOURS},
    )
    def choose(given: dict[str, Any]) -> Mails:
        least = given.pop("credit_low_micro_credits")
        notices.choose(app, gate.principal().person_id, given, least)
        return chosen_of(app, gate.principal())

    return me
