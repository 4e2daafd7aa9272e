"""/api/v1/me: what a signed-in person, or its program with a token, may read and steer of its member's account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from apiflask import APIBlueprint, EmptySchema, Schema, fields
from apiflask.validators import Length, OneOf, Range
from flask import Response

from authority.api import days, espi, gate, green_button, idempotency, tags
from authority.api.campus import described
from authority.api.fills import Fills
from authority.api.gate import ANY_SCOPE, Rule
from authority.api.hand_orders import GivenOrder, GivenOrders, HandOrders, OrderPreview, RunningBook, proposed
from authority.api.member import Balances, Bills, Energy, Members, Orders, Standing
from authority.api.paging import LAST_PLACE, PageQuery
from authority.api.schemas import Body, schema_of
from authority.app import App
from authority.market.policies import MAX_PRICE, MAX_RESERVE_WH
from authority.market.standing_orders import ProposedOrder, StandingOrder
from authority.people import tokens
from authority.people.roles import OF_A_MEMBER, READ_ENERGY, READ_MONEY, SCOPES, SEES_BILLS, WRITE_TRADING

RULES: Mapping[str, Rule] = {
    "me.whoami": Rule(frozenset(), ANY_SCOPE),
    "me.energy": Rule(OF_A_MEMBER, READ_ENERGY),
    "me.green_button_file": Rule(OF_A_MEMBER, READ_ENERGY),
    "me.balances": Rule(OF_A_MEMBER, READ_MONEY),
    "me.orders": Rule(OF_A_MEMBER, READ_MONEY),
    "me.fills": Rule(OF_A_MEMBER, READ_MONEY),
    "me.book": Rule(OF_A_MEMBER, READ_MONEY),
    "me.given_orders": Rule(OF_A_MEMBER, READ_MONEY),
    "me.preview_order": Rule(OF_A_MEMBER, READ_MONEY),
    "me.place_order": Rule(OF_A_MEMBER, WRITE_TRADING),
    "me.cancel_order": Rule(OF_A_MEMBER, WRITE_TRADING),
    "me.standing": Rule(OF_A_MEMBER, READ_MONEY),
    "me.set_standing": Rule(OF_A_MEMBER, WRITE_TRADING),
    "me.end_standing": Rule(OF_A_MEMBER, WRITE_TRADING),
    "me.bills": Rule(SEES_BILLS, READ_MONEY),
    "me.bill": Rule(SEES_BILLS, READ_MONEY),
    "me.bill_so_far": Rule(SEES_BILLS, READ_MONEY),
    "me.list_tokens": Rule(frozenset()),
    "me.make_token": Rule(frozenset()),
    "me.end_token": Rule(frozenset()),
}
"""Who may call what. A token makes no tokens."""

NOT_YOURS = {
    401: "Not signed in, or the token does not hold.",
    403: "The token lacks the scope.",
    404: "Not yours.",
    429: "Asked too often: wait as long as Retry-After says.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who asks."""

    name: str = described("The person's name.")
    pseudonym: str = described("What the log says in the place of the name.")
    roles: tuple[str, ...] = described(
        "What the person is: member, delegate, operator, treasurer, auditor, authority; former: was a member of an "
        "account that has ended, and still sees its bills."
    )
    member: str | None = described("The member of the market whose account this is; null where there is none.")
    wallet: str | None = described("The wallet that names the member on the chain and in the log.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A program's token, without its secret."""

    token: str = described("Its id.")
    name: str = described("What it is for.")
    scopes: tuple[str, ...] = described(f"What it may do: {', '.join(SCOPES)}.")
    created_at: int = described("When it was made.")
    expires_at: int = described("When it ends.")
    last_used_at: int | None = described("When it was last used, to the minute.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A person's tokens that hold."""

    tokens: tuple[Token, ...] = described("The tokens.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token as it is shown this once."""

    token: str = described("Its id.")
    secret: str = described("What the program sends as `Authorization: Bearer ...`. It is shown this once.")


class DaysQuery(Schema):
    """Which days."""

    first = fields.Date(
        data_key="from", load_default=None, metadata={"description": "The first day at the site; today."}
    )
    last = fields.Date(data_key="to", load_default=None, metadata={"description": "The last day, included; as `from`."})


class PeriodQuery(Schema):
    """Which billing period."""

    period = fields.Integer(
        load_default=None,
        validate=Range(0, LAST_PLACE),
        metadata={"description": "A period that has no bills yet; the one that is open where it is left out."},
    )


class EnergyQuery(DaysQuery):
    """Which days, and in which steps."""

    step = fields.String(
        load_default=days.QUARTER,
        validate=OneOf(days.STEPS),
        metadata={"description": "quarter (of an hour), day, month, or interval: as the meters sign."},
    )


class StandingInput(Body):
    """A standing order; what is left out is null: never on that side."""

    sell_at = fields.Integer(strict=True, load_default=None, allow_none=True, validate=Range(1, MAX_PRICE))
    buy_at = fields.Integer(strict=True, load_default=None, allow_none=True, validate=Range(1, MAX_PRICE))
    reserve_wh = fields.Integer(strict=True, load_default=0, validate=Range(0, MAX_RESERVE_WH))
    feed_in_above_wh = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=Range(0, MAX_RESERVE_WH)
    )
    paused = fields.Boolean(load_default=False, metadata={"description": "Keep it, and let it rest."})


class OrderInput(Body):
    """An order for the running book."""

    side = fields.String(
        required=True, validate=OneOf(("bid", "ask")), metadata={"description": "bid: buy; ask: sell."}
    )
    price_micro_credits_per_kwh = fields.Integer(
        strict=True, required=True, validate=Range(1, MAX_PRICE), metadata={"description": "The limit."}
    )
    quantity_wh = fields.Integer(
        strict=True, required=True, validate=Range(1, 2**32 - 1), metadata={"description": "How much."}
    )


class KeyInput(Schema):
    """What makes a request one of its own."""

    key = fields.String(
        data_key=idempotency.HEADER,
        required=True,
        validate=Length(idempotency.SHORTEST, idempotency.LONGEST),
        metadata={"description": idempotency.SAYS},
    )


class TokenInput(Body):
    """A new token."""

    name = fields.String(required=True, metadata={"description": "What it is for."})
    scopes = fields.List(fields.String(validate=OneOf(SCOPES)), required=True)
    days = fields.Integer(strict=True, load_default=90, validate=Range(1, tokens.LONGEST_DAYS))


ORDER_REFUSED = {
    400: "The order is malformed.",
    409: "The book is closed, a bound or the funds do not allow it, or your own wallet signs for you.",
    503: "The validator does not answer.",
}
GREEN_BUTTON_ANSWERS: dict[int | str, Any] = {
    200: {"description": "The file.", "content": {espi.CONTENT_TYPE: {"schema": {"type": "string"}}}},
    400: "The query is wrong.",
    **dict[int | str, Any](NOT_YOURS.items()),
}
EXAMPLE_ORDER = {"side": "bid", "price_micro_credits_per_kwh": 250_000, "quantity_wh": 1_500}
EXAMPLE_FILLS = {
    "fills": [
        {
            "epoch": 1_980_032,
            "ended_at": 1_782_029_700,
            "side": "bid",
            "filled_wh": 1_500,
            "price_micro_credits_per_kwh": 240_000,
            "amount_micro_credits": 390_000,
            "refund_micro_credits": 60_000,
            "returned_wh": 0,
            "book_leaf": 90_112,
            "clearing_leaf": 90_108,
            "transaction": "5nTHYyMoDF1cWy3kYTRfQS4d6gLc7Ch5sLV1yVGEv9ZiGhGsAAWyEvjJKZkQhLMQR5pMyxsgYzP8n8Dg4v8v3cZU",
        }
    ],
    "next": "1980032",
}
EXAMPLE_BOOK = {
    "epoch": 1_980_033,
    "orders_until": 1_782_030_590,
    "ends_at": 1_782_030_600,
    "lowest_price_micro_credits_per_kwh": 100_000,
    "highest_price_micro_credits_per_kwh": 300_000,
    "wheeling_micro_credits_per_kwh": 20_000,
    "fee_basis_points": 100,
    "least_wh": 100,
    "most_wh": 1_000_000,
    "most_orders": 8,
    "withheld": False,
    "least_members": 3,
    "shown_at": 1_782_029_760,
    "bids": [
        {
            "lowest_price_micro_credits_per_kwh": 240_000,
            "highest_price_micro_credits_per_kwh": 280_000,
            "quantity_wh": 4_200,
        }
    ],
    "asks": [],
}


def _order(given: dict[str, Any]) -> ProposedOrder:
    return proposed(given["side"], given["price_micro_credits_per_kwh"], given["quantity_wh"])


def blueprint(app: App, members: Members, by_hand: HandOrders) -> APIBlueprint:
    """The resources, over an opened authority and its query layers."""
    me = APIBlueprint("me", __name__, url_prefix="/api/v1/me", tag="Me")

    @me.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @me.get("")
    @me.output(schema_of(Me), description="Who asks.")
    @me.doc(operation_id="get_me", summary="Who asks", responses=NOT_YOURS)
    def whoami() -> Me:
        who = gate.principal()
        return Me(
            name=who.name,
            pseudonym=who.pseudonym,
            roles=tuple(sorted(who.roles)),
            member=who.member.name if who.member else None,
            wallet=who.member.wallet if who.member else None,
        )

    @me.get("/energy")
    @me.input(EnergyQuery, location="query", arg_name="query")
    @me.output(schema_of(Energy), description="The energy.")
    @me.doc(
        operation_id="get_my_energy",
        summary="Energy and trades by quarter, day or month",
        description="In the site's time zone; days have 92 to 100 quarters. At most 31 days by quarter, 92 by day.",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def energy(query: dict[str, Any]) -> Energy:
        first: date = query["first"] or members.today()
        last: date = query["last"] or first
        return members.energy(gate.own_member(app, "energy"), first, last, query["step"])

    @me.get("/energy/green-button")
    @me.input(DaysQuery, location="query", arg_name="query")
    @me.doc(
        operation_id="get_my_green_button",
        summary="Energy as a Green Button file (ESPI)",
        description="An Atom feed of what was drawn from the campus grid and given to it, in Wh by quarters of an "
        "hour, with estimates marked as such and a summary of each bill. At most 92 days.",
        responses=GREEN_BUTTON_ANSWERS,
    )
    def green_button_file(query: dict[str, Any]) -> Response:
        first: date = query["first"] or members.today()
        last: date = query["last"] or first
        made = green_button.feed(app, gate.own_member(app, "energy"), first, last)
        kept = f'attachment; filename="{green_button.file_name(first, last)}"'
        response = Response(
            espi.written(made), headers={"Content-Disposition": kept}, content_type=espi.CONTENT_TYPE
        )  # fmt: skip
        response.set_etag(tags.of_lines([repr(replace(made, made_at=0))]), weak=True)  # whenever it is made
        return response

    @me.get("/balances")
    @me.output(schema_of(Balances), description="The balances.")
    @me.doc(
        operation_id="get_my_balances",
        summary="Tokens and credits",
        responses={**NOT_YOURS, 503: "The validator does not answer."},
    )
    def balances() -> Balances:
        return members.balances(gate.own_member(app, "balances"))

    @me.get("/orders")
    @me.output(schema_of(Orders), description="The orders.")
    @me.doc(
        operation_id="get_my_orders",
        summary="Open orders, and late fills",
        description="Fills of the last 96 epochs; GET /api/v1/me/fills has all.",
        responses={**NOT_YOURS, 503: "The validator does not answer."},
    )
    def orders() -> dict[str, Any]:
        return asdict(members.orders(gate.own_member(app, "orders")))

    @me.get("/fills")
    @me.input(PageQuery, location="query", arg_name="query")
    @me.output(schema_of(Fills), description="The fills.", example=EXAMPLE_FILLS)
    @me.doc(
        operation_id="list_my_fills",
        summary="What orders came to, the newest first",
        description="Of all final books, whole epochs a page: 50 fills, or a few more.",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def fills(query: dict[str, Any]) -> dict[str, Any]:
        return asdict(members.fills.page(gate.own_member(app, "orders"), query["cursor"]))

    @me.get("/book")
    @me.output(schema_of(RunningBook), description="The book.", example=EXAMPLE_BOOK)
    @me.doc(
        operation_id="get_running_book",
        summary="The book that takes orders now: its bounds, and its depth without members",
        responses={**NOT_YOURS, 409: "No book takes orders now.", 503: "The validator does not answer."},
    )
    def book() -> dict[str, Any]:
        gate.own_member(app, "orders")
        return asdict(by_hand.book())

    @me.get("/orders/by-hand")
    @me.input(PageQuery, location="query", arg_name="query")
    @me.output(schema_of(GivenOrders), description="The orders.")
    @me.doc(
        operation_id="list_my_hand_orders",
        summary="Orders given by hand, and what became of them, the newest first",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def given_orders(query: dict[str, Any]) -> dict[str, Any]:
        return asdict(by_hand.given(gate.own_member(app, "orders"), query["cursor"]))

    @me.post("/orders/preview")
    @me.input(OrderInput, arg_name="given", example=EXAMPLE_ORDER)
    @me.output(schema_of(OrderPreview), description="What it would come to.")
    @me.doc(
        operation_id="preview_my_order",
        summary="What an order would cost or bring, and lock",
        responses={**ORDER_REFUSED, **NOT_YOURS},
    )
    def preview_order(given: dict[str, Any]) -> OrderPreview:
        return by_hand.preview(gate.own_member(app, "orders"), _order(given))

    @me.post("/orders")
    @me.input(KeyInput, location="headers", arg_name="header")
    @me.input(OrderInput, arg_name="given", example=EXAMPLE_ORDER)
    @me.output(schema_of(GivenOrder), status_code=202, description="It is kept, and placed within seconds.")
    @me.doc(
        operation_id="place_my_order",
        summary="Give an order for the running book",
        description="Settlement signs and places it, once; GET /api/v1/me/orders/by-hand says what became of it.",
        responses={**ORDER_REFUSED, **NOT_YOURS},
    )
    def place_order(header: dict[str, str], given: dict[str, Any]) -> GivenOrder:
        return by_hand.place(gate.principal(), gate.own_member(app, "orders"), _order(given), header["key"])

    @me.delete("/orders/<int:number>")
    @me.output(schema_of(GivenOrder), status_code=202, description="It is kept, and done within seconds.")
    @me.doc(
        operation_id="cancel_my_order",
        summary="Take back an order of the running book, by its number there",
        description="Asked for twice it is done once.",
        responses={**ORDER_REFUSED, **NOT_YOURS},
    )
    def cancel_order(number: int) -> GivenOrder:
        return by_hand.cancel(gate.principal(), gate.own_member(app, "orders"), number)

    @me.get("/standing-order")
    @me.output(schema_of(Standing), description="The standing order.")
    @me.doc(operation_id="get_my_standing_order", summary="The standing order", responses=NOT_YOURS)
    def standing() -> Standing:
        return members.standing(gate.own_member(app, "standing_order"))

    @me.put("/standing-order")
    @me.input(StandingInput, arg_name="given")
    @me.output(schema_of(Standing), description="The standing order as it is now.")
    @me.doc(
        operation_id="set_my_standing_order",
        summary="Set the standing order",
        description="The same order set twice is set once.",
        responses={400: "The order is malformed.", 409: "It could never trade, or says nothing.", **NOT_YOURS},
    )
    def set_standing(given: dict[str, Any]) -> Standing:
        who, member = gate.principal(), gate.own_member(app, "standing_order")
        paused = given.pop("paused")
        members.set_standing(who, member, StandingOrder(**given))
        if paused:
            members.pause_standing(who, member, paused=True)
        return members.standing(member)

    @me.delete("/standing-order")
    @me.output(EmptySchema, status_code=204)
    @me.doc(
        operation_id="end_my_standing_order",
        summary="End the standing order",
        responses={409: "There is none.", **NOT_YOURS},
    )
    def end_standing() -> str:
        members.end_standing(gate.principal(), gate.own_member(app, "standing_order"))
        return ""

    @me.get("/bills")
    @me.input(PageQuery, location="query", arg_name="query")
    @me.output(schema_of(Bills), description="The bills.")
    @me.doc(
        operation_id="list_my_bills",
        summary="Issued bills, the newest first",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def bills(query: dict[str, Any]) -> dict[str, Any]:
        return asdict(members.bills(gate.account_of_bills(app), query["cursor"]))

    @me.get("/bills/<int:number>")
    @me.doc(
        operation_id="get_my_bill",
        summary="One bill",
        description="The document as it was issued; its SHA-256 is in the log.",
        responses={200: "The bill's document.", **NOT_YOURS},
    )
    def bill(number: int) -> dict[str, Any]:
        return members.bill(gate.account_of_bills(app), number)[1]

    @me.get("/bills/so-far")
    @me.input(PeriodQuery, location="query", arg_name="query")
    @me.doc(
        operation_id="get_my_bill_so_far",
        summary="The next bill, as it would be now",
        description="The document of a bill that is still to come: its number is 0, and `settled_until` says up to "
        "when the chain has settled your energy (null: not at all yet). Of the billing period that is open, or of one "
        "that has ended and has no bills yet.",
        responses={
            200: "What will be billed, so far.",
            400: "The query is wrong.",
            503: "The validator does not answer, or its history is not complete.",
            **NOT_YOURS,
        },
    )
    def bill_so_far(query: dict[str, Any]) -> dict[str, Any]:
        found = members.bill_so_far(gate.account_of_bills(app), query["period"])
        return {**found.document, "settled_until": found.settled_until}

    @me.get("/tokens")
    @me.output(schema_of(Tokens), description="The tokens.")
    @me.doc(operation_id="list_my_tokens", summary="Your programs' tokens", responses=NOT_YOURS)
    def list_tokens() -> dict[str, Any]:
        with app.store.read() as session:
            return {"tokens": tokens.listed(session, gate.principal().person_id, app.clock())}

    @me.post("/tokens")
    @me.input(TokenInput, arg_name="given")
    @me.output(schema_of(NewToken), status_code=201, description="The token.")
    @me.doc(
        operation_id="make_my_token",
        summary="Make a token",
        responses={400: "Its name, scopes or end are wrong.", **NOT_YOURS},
    )
    def make_token(given: dict[str, Any]) -> NewToken:
        tokens.require_usable(gate.principal(), given["scopes"])
        with app.store.write() as session:
            made = tokens.make(session, gate.principal(), given["name"], given["scopes"], given["days"], app.clock())
        return NewToken(token=made[0], secret=made[1])

    @me.delete("/tokens/<token>")
    @me.output(EmptySchema, status_code=204)
    @me.doc(operation_id="end_my_token", summary="End a token", responses=NOT_YOURS)
    def end_token(token: str) -> str:
        with app.store.write() as session:
            tokens.end(session, gate.principal(), token, app.clock())
        return ""

    return me
