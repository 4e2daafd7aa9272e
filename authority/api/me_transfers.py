"""/api/v1/me/transfers and /me/code: tokens and credits that a member moves by hand, and what it is given by."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint, fields
from apiflask.validators import Length, OneOf, Range
from flask import Response

from authority.api import gate, tags
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS, KeyInput
from authority.api.paging import PageQuery, whole_address
from authority.api.schemas import Body, schema_of
from authority.api.transfers import Asked, GivenTransfer, GivenTransfers, HandTransfers, OwnCode, TransferPreview
from authority.app import App
from authority.market.transfers import ACTS, ASSETS, MAX_AMOUNT
from authority.people.roles import MEMBER, OF_A_MEMBER, READ_MONEY, WRITE_MONEY

OF_THE_MEMBER = frozenset({MEMBER})
"""Who moves and gives: a delegate trades for the member, and gives nothing of its away."""
RULES: Mapping[str, Rule] = {
    "me_transfers.listed": Rule(OF_A_MEMBER, READ_MONEY),
    "me_transfers.preview": Rule(OF_THE_MEMBER, READ_MONEY),
    "me_transfers.ask": Rule(OF_THE_MEMBER, WRITE_MONEY),
    "me_transfers.take_back": Rule(OF_THE_MEMBER, WRITE_MONEY),
    "me_transfers.code": Rule(OF_THE_MEMBER, READ_MONEY),
    "me_transfers.new_code": Rule(OF_THE_MEMBER, WRITE_MONEY),
}
REFUSED: dict[int | str, Any] = {
    400: "The transfer is malformed.",
    409: "The limit, the chain or who signs for you does not allow it; the detail says which.",
    503: "The validator does not answer.",
    **dict[int | str, Any](NOT_YOURS.items()),
    403: "The token lacks the scope, or so large a gift takes a sign-in of just now.",
    404: "Not yours, or nobody can be given to by that name or code.",
}
EXAMPLE = {"act": "give", "asset": "energy", "amount": 1_500, "to_name": "Dormitory B"}
EXAMPLE_GIVEN = {
    "id": 17,
    "act": "give",
    "asset": "energy",
    "amount": 1_500,
    "other": "D\N{BULLET}\N{BULLET}\N{BULLET}B",
    "state": "waiting",
    "told": "",
    "signature": None,
    "asked_at": 1_782_030_000,
    "goes_at": 1_782_030_180,
}


class TransferInput(Body):
    """What to move. give: also to_name (exact) or to_code."""

    act = fields.String(required=True, validate=OneOf(ACTS))
    asset = fields.String(required=True, validate=OneOf(ASSETS))
    amount = fields.Integer(
        strict=True,
        required=True,
        validate=Range(1, MAX_AMOUNT),
        metadata={"description": "Wh or micro-credits."},
    )
    to_name = fields.String(load_default="", validate=Length(max=64), metadata={"description": "The member's name."})
    to_code = fields.String(load_default="", validate=Length(max=32), metadata={"description": "The member's code."})


def link_to(app: App, code: str) -> str:
    """The link in a member's QR code."""
    return whole_address(app, "wallet.give", code=code)


def blueprint(app: App, by_hand: HandTransfers) -> APIBlueprint:
    """The resources over the query layer."""
    me = APIBlueprint("me_transfers", __name__, url_prefix="/api/v1/me", tag="Me")

    link = functools.partial(link_to, app)

    @me.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @me.get("/transfers")
    @me.input(PageQuery, location="query", arg_name="query")
    @me.output(
        schema_of(GivenTransfers),
        description="The transfers.",
        example={"transfers": [EXAMPLE_GIVEN], "next": None},
    )
    @me.doc(
        operation_id="list_my_transfers",
        summary="Tokens and credits that you moved by hand or were given, and what became of it",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def listed(query: dict[str, Any]) -> dict[str, Any]:
        return asdict(by_hand.given(gate.own_member(app, "balances"), query["cursor"]))

    @me.post("/transfers/preview")
    @me.input(TransferInput, arg_name="given", example=EXAMPLE)
    @me.output(schema_of(TransferPreview), description="What it would do.")
    @me.doc(operation_id="preview_my_transfer", summary="What a transfer would do, and who is meant", responses=REFUSED)
    def preview(given: dict[str, Any]) -> TransferPreview:
        return by_hand.preview(gate.principal(), gate.own_member(app, "balances"), Asked(**given))

    @me.post("/transfers")
    @me.input(KeyInput, location="headers", arg_name="header")
    @me.input(TransferInput, arg_name="given", example=EXAMPLE)
    @me.output(schema_of(GivenTransfer), status_code=202, description="It is kept.")
    @me.doc(
        operation_id="make_my_transfer",
        summary="Move tokens or credits between wallet and market, or give them to a member",
        description="Settlement signs and carries it out, once. A gift can be taken back until then, for some minutes.",
        responses=REFUSED,
    )
    def ask(header: dict[str, str], given: dict[str, Any]) -> GivenTransfer:
        return by_hand.ask(gate.principal(), gate.own_member(app, "balances"), Asked(**given), header["key"])

    @me.delete("/transfers/<int:number>")
    @me.output(schema_of(GivenTransfer), description="It is taken back.")
    @me.doc(
        operation_id="cancel_my_transfer",
        summary="Take back a transfer that is not under way yet",
        description="Asked for twice it is done once.",
        responses={**NOT_YOURS, 409: "It is under way, or decided."},
    )
    def take_back(number: int) -> GivenTransfer:
        return by_hand.take_back(gate.principal(), gate.own_member(app, "balances"), number)

    @me.get("/code")
    @me.output(schema_of(OwnCode), description="The code.")
    @me.doc(operation_id="get_my_code", summary="Your code, by which others give to you", responses=NOT_YOURS)
    def code() -> OwnCode:
        return by_hand.code(gate.own_member(app, "balances"), link)

    @me.post("/code")
    @me.output(schema_of(OwnCode), description="The new code.")
    @me.doc(
        operation_id="renew_my_code", summary="A new code; the former one leads nowhere any more", responses=NOT_YOURS
    )
    def new_code() -> OwnCode:
        return by_hand.code(gate.own_member(app, "balances"), link, new=True)

    return me
