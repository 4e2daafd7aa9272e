"""A member's own wallet: what it may do, how to move to one, and what the browser's wallet signs (static/wallet.js)."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.asking import ChainAwayError
from authority.api.gate import Rule
from authority.api.member import Members
from authority.api.own_wallet import LAMPORTS, OwnWallets
from authority.app import App
from authority.billing.calendar import local
from authority.operations import replacing_wallets, wallet_requests
from authority.operations.errors import OperationError
from authority.people.roles import MEMBER, OF_A_MEMBER
from authority.refusals import NotFoundError
from authority.web.answers import page, redirect, status_of

RULES: Mapping[str, Rule] = {
    "wallet.own": Rule(OF_A_MEMBER),
    "wallet.ask": Rule(frozenset({MEMBER})),
}
CHAIN = "solana:localnet"
"""What wallets call a chain that is none of the public ones (Wallet Standard's Solana extension knows four)."""


def blueprint(app: App, members: Members, wallets: OwnWallets) -> Blueprint:
    """The page over the query layers."""
    wallet = Blueprint("wallet", __name__, url_prefix="/me")

    def shown(message: str = "", status: int = 200, typed: str = "") -> Response:
        its, state, balances, away = gate.own_member(app, "balances"), None, None, ""
        try:
            state, balances = wallets.state(its), members.balances(its)
        except (ChainAwayError, NotFoundError) as error:
            away = str(error)
        with app.store.read() as session:
            asked = wallet_requests.last_of(session, its.id)
        text = render_template(
            "wallet.html",
            account=its.name,
            state=state,
            balances=balances,
            away=away,
            chain=CHAIN,
            sol=(state.lamports if state else 0) / LAMPORTS,
            local=local,
            zone=members.zone,
            asked=asked,
            is_open=asked is not None and asked.state in wallet_requests.OPEN,
            request_words=wallet_requests.WORDS,
            may_ask=gate.principal().is_own,
            delay=replacing_wallets.DELAY_EPOCHS * members.epoch_seconds,
            message=message,
            typed=typed,
        )
        return page(text, status)

    @wallet.get("/wallet")
    def own() -> Response:
        return shown()

    @wallet.post("/wallet")
    def ask() -> Response:
        """Ask for another wallet, or take that back. An operator decides, and the programs' delay is waited for."""
        its, who, typed = gate.own_member(app, "balances"), gate.principal(), request.form.get("to", "").strip()
        act = request.form.get("act", "")
        try:
            if act == "take-back":
                wallet_requests.take_back(app, its.id, actor=who.actor)
            elif act in ("own", "kept"):
                wallet_requests.ask(app, its.id, typed if act == "own" else None, actor=who.actor)
        except OperationError as error:
            return shown(str(error), status_of(error), typed)
        return redirect(url_for("wallet.own"))

    return wallet
