"""My wallet: what a member moves by hand, how it moves to a wallet of its own, what that signs (static/wallet.js)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.asking import ChainAwayError
from authority.api.gate import Rule
from authority.api.me_transfers import OF_THE_MEMBER, link_to
from authority.api.member import Members, OpenOrder
from authority.api.own_wallet import LAMPORTS, OwnWallets
from authority.api.transfers import Asked, HandTransfers, TransferInvalidError
from authority.app import App
from authority.billing.calendar import local
from authority.errors import AuthorityError
from authority.language.reading import marked
from authority.market import transfers
from authority.market.policies import MarketError
from authority.operations import replacing_wallets, wallet_requests
from authority.operations.errors import OperationError
from authority.people import sent_forms
from authority.people.errors import SignInAgainError, TooOftenError
from authority.people.roles import OF_A_MEMBER
from authority.refusals import NotFoundError
from authority.web import amounts
from authority.web.answers import page, redirect, status_of
from authority.web.codes import qr

RULES: Mapping[str, Rule] = {
    "wallet.own": Rule(OF_A_MEMBER),
    "wallet.ask": Rule(OF_THE_MEMBER),
    "wallet.move": Rule(OF_THE_MEMBER),
    "wallet.take_back": Rule(OF_THE_MEMBER),
    "wallet.give": Rule(OF_THE_MEMBER),
    "wallet.new_code": Rule(OF_THE_MEMBER),
}
FIELDS = ("act", "asset", "amount", "to_name", "to_code")
ACT_WORDS = {
    "deposit": marked("into the market"),
    "withdraw": marked("out of the market"),
    "give": marked("given to"),
    "received": marked("received from"),
}
STATE_WORDS = {
    "waiting": marked("waits, and can be taken back"),
    "going": marked("is being carried out"),
    "sent": marked("is on its way to the chain"),
    "done": marked("on the chain"),
    "refused": marked("refused"),
    "taken_back": marked("taken back"),
}
REFUSALS = (MarketError, ChainAwayError, NotFoundError, TooOftenError, SignInAgainError, amounts.AmountInvalidError)
CHAIN = "solana:localnet"
"""What wallets call a chain that is none of the public ones (Wallet Standard's Solana extension knows four)."""


def blueprint(app: App, members: Members, wallets: OwnWallets, by_hand: HandTransfers) -> Blueprint:
    """The page over the query layers."""
    wallet = Blueprint("wallet", __name__, url_prefix="/me")

    def shown(message: str = "", status: int = 200, typed: str = "", **moving: Any) -> Response:
        """The page; `moving` has the form of a transfer (`moved`) and what is wrong with it (`wrong`)."""
        its, state, balances, away = gate.own_member(app, "balances"), None, None, ""
        orders: Sequence[OpenOrder] = ()
        try:
            found = members.on_chain(its)
            state, balances, orders = wallets.state(its), members.balances(its, found), members.orders(its, found).open
        except (ChainAwayError, NotFoundError) as error:
            away = str(error)
        with app.store.read() as session:
            asked = wallet_requests.last_of(session, its.id)
        text = render_template(
            "wallet.html",
            account=its.name,
            state=state,
            balances=balances,
            open_orders=[each for each in orders if each.epoch == app.clock() // members.epoch_seconds],
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
            code=by_hand.code(its, functools.partial(link_to, app)) if gate.principal().is_own else None,
            qr=qr,
            given=by_hand.given(its).transfers,
            amount_words=transfers.amount_words,
            act_words=ACT_WORDS,
            state_words=STATE_WORDS,
            limits=app.home.settings.transfers,
            **{"moved": dict.fromkeys(FIELDS, ""), "wrong": "", **moving},
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

    @wallet.post("/wallet/move")
    def move() -> Response:
        """Preview a transfer, or ask for it."""
        its, who = gate.own_member(app, "balances"), gate.principal()
        typed = {name: request.form.get(name, "").strip() for name in FIELDS}
        try:
            asked = _asked(typed)
            if request.form.get("step") == "confirm":
                by_hand.ask(who, its, asked, request.form.get("key", ""))
                return redirect(f"{url_for('wallet.own')}#moved-title")
            preview = by_hand.preview(who, its, asked)
        except REFUSALS as error:
            return _refused(error, typed)
        text = render_template(
            "transfer.html",
            account=its.name,
            preview=preview,
            typed=typed,
            key=sent_forms.fresh(),
            amount_words=transfers.amount_words,
        )
        return page(text)

    def _refused(error: AuthorityError, typed: Mapping[str, str]) -> Response:
        answer = shown(status=status_of(error), moved=typed, wrong=str(error))
        if isinstance(error, TooOftenError):
            answer.headers["Retry-After"] = str(error.seconds)
        return answer

    @wallet.post("/wallet/moves/<int:number>/take-back")
    def take_back(number: int) -> Response:
        its = gate.own_member(app, "balances")
        try:
            by_hand.take_back(gate.principal(), its, number)
        except (MarketError, NotFoundError) as error:
            return _refused(error, dict.fromkeys(FIELDS, ""))
        return redirect(f"{url_for('wallet.own')}#moved-title")

    @wallet.get("/give/<code>")
    def give(code: str) -> Response:
        """What a member's QR code leads to: the form to give to it."""
        its = gate.own_member(app, "balances")
        typed = {"asset": request.args.get("asset", ""), "amount": request.args.get("amount", "")[:24]}
        text = render_template(
            "give.html", account=its.name, to=by_hand.whose(gate.principal(), its, code), code=code, typed=typed
        )
        return page(text)

    @wallet.post("/code")
    def new_code() -> Response:
        by_hand.code(gate.own_member(app, "balances"), functools.partial(link_to, app), new=True)
        return redirect(f"{url_for('wallet.own')}#code-title")

    return wallet


def _asked(typed: Mapping[str, str]) -> Asked:
    """The transfer that a form says; AmountInvalidError, TransferInvalidError."""
    decimals = {transfers.ENERGY: 3, transfers.CREDIT: 6}.get(typed["asset"])
    if decimals is None:
        raise TransferInvalidError("say what to move: energy tokens or credits")
    amount = amounts.parse(typed["amount"], decimals, marked("How much"))
    return Asked(typed["act"], typed["asset"], amount or 0, typed["to_name"], typed["to_code"])
