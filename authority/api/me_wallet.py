"""/api/v1/me/wallet and /api/v1/me/transactions: what a member's own wallet signs, prepared and sent on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from typing import Any

from apiflask import APIBlueprint, fields
from apiflask.validators import Length, OneOf, Range
from flask import Response

from authority.api import gate, tags
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.own_wallet import ACTS, ASSETS, PURPOSES, OwnWallets, Prepared, Submitted, WalletState, Wish
from authority.api.schemas import Body, schema_of
from authority.app import App
from authority.market.policies import MAX_PRICE
from authority.market.standing_orders import SIDES
from authority.people.roles import OF_A_MEMBER, READ_MONEY, WRITE_TRADING

RULES: Mapping[str, Rule] = {
    "me_wallet.wallet": Rule(OF_A_MEMBER, READ_MONEY),
    "me_wallet.prepare": Rule(OF_A_MEMBER, WRITE_TRADING),
    "me_wallet.submit": Rule(OF_A_MEMBER, WRITE_TRADING),
}
U32, U64 = 2**32 - 1, 2**64 - 1
REFUSED: dict[int | str, Any] = {
    400: "The wish or the transaction is malformed.",
    409: "The chain, or what was prepared, does not allow it; the code says which.",
    503: "The validator does not answer.",
    **dict[int | str, Any](NOT_YOURS.items()),
}


class WishInput(Body):
    """What to do. place: side, price, quantity; cancel: number; transfer: also `to`; the others: asset and amount."""

    act = fields.String(required=True, validate=OneOf(ACTS))
    side = fields.String(load_default="bid", validate=OneOf(SIDES))
    price_micro_credits_per_kwh = fields.Integer(
        strict=True, load_default=0, attribute="price", validate=Range(0, MAX_PRICE)
    )
    quantity_wh = fields.Integer(strict=True, load_default=0, attribute="quantity", validate=Range(0, U32))
    number = fields.Integer(strict=True, load_default=0, validate=Range(0, U32))
    asset = fields.String(load_default="energy", validate=OneOf(tuple(ASSETS)))
    amount = fields.Integer(
        strict=True, load_default=0, validate=Range(0, U64), metadata={"description": "Wh or micro-credits."}
    )
    to = fields.String(
        load_default="", validate=Length(max=44), metadata={"description": "The recipient's wallet, by its address."}
    )
    purpose = fields.String(
        load_default="consumption",
        validate=OneOf(PURPOSES),
        metadata={"description": "retire: against what was drawn in this billing period, or fed in for credits."},
    )
    source = fields.String(
        load_default="market", validate=OneOf(("market", "wallet")), metadata={"description": "retire: out of which."}
    )


class SignedInput(Body):
    """A signed transaction."""

    ticket = fields.String(required=True, validate=Length(1, 2_048), metadata={"description": "As it was prepared."})
    transaction = fields.String(
        required=True, validate=Length(1, 2_048), metadata={"description": "The signed transaction, base64."}
    )


def blueprint(app: App, wallets: OwnWallets) -> APIBlueprint:
    """The resources over the query layer."""
    me = APIBlueprint("me_wallet", __name__, url_prefix="/api/v1/me", tag="Me")

    @me.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @me.get("/wallet")
    @me.output(schema_of(WalletState), description="The wallet.")
    @me.doc(
        operation_id="get_my_wallet",
        summary="The wallet that signs for you, and whether the department keeps its key",
        responses={**NOT_YOURS, 503: "The validator does not answer."},
    )
    def wallet() -> WalletState:
        return wallets.state(gate.own_member(app, "balances"))

    @me.post("/transactions/prepare")
    @me.input(WishInput, arg_name="given", example={"act": "deposit", "asset": "energy", "amount": 1_500})
    @me.output(schema_of(Prepared), description="The transaction to be signed.")
    @me.doc(
        operation_id="prepare_my_transaction",
        summary="Prepare a transaction for your own wallet",
        description="It was tried on the chain, and holds for about a minute. Your wallet signs it and pays its fee.",
        responses=REFUSED,
    )
    def prepare(given: dict[str, Any]) -> Prepared:
        known = {each.name for each in fields_of(Wish)}
        wish = Wish(**{name: value for name, value in given.items() if name in known})
        return wallets.prepare(gate.own_member(app, "balances"), wish)

    @me.post("/transactions/submit")
    @me.input(SignedInput, arg_name="given")
    @me.output(schema_of(Submitted), description="What became of it.")
    @me.doc(
        operation_id="submit_my_transaction",
        summary="Send on a transaction that your wallet signed",
        description="Only what was prepared, byte for byte. The same body again says what became of it, and does "
        "nothing twice.",
        responses=REFUSED,
    )
    def submit(given: dict[str, str]) -> Submitted:
        return wallets.submit(gate.own_member(app, "balances"), given["ticket"], given["transaction"])

    return me
