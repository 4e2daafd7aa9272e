"""A member's own wallet: what it may do, how to move to one, and what the browser's wallet signs (static/wallet.js)."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, render_template

from authority.api import gate
from authority.api.asking import ChainAwayError
from authority.api.gate import Rule
from authority.api.member import Members
from authority.api.own_wallet import LAMPORTS, OwnWallets
from authority.app import App
from authority.billing.calendar import local
from authority.people.roles import OF_A_MEMBER
from authority.refusals import NotFoundError
from authority.web.answers import page

RULES: Mapping[str, Rule] = {"wallet.own": Rule(OF_A_MEMBER)}
CHAIN = "solana:localnet"
"""What wallets call a chain that is none of the public ones (Wallet Standard's Solana extension knows four)."""


def blueprint(app: App, members: Members, wallets: OwnWallets) -> Blueprint:
    """The page over the query layers."""
    wallet = Blueprint("wallet", __name__, url_prefix="/me")

    @wallet.get("/wallet")
    def own() -> Response:
        its, state, balances, away = gate.own_member(app, "balances"), None, None, ""
        try:
            state, balances = wallets.state(its), members.balances(its)
        except (ChainAwayError, NotFoundError) as error:
            away = str(error)
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
        )
        return page(text)

    return wallet
