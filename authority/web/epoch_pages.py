"""The operator's pages of epochs: their stages, what waits, and the retry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.epochs import Epochs
from authority.api.gate import Rule
from authority.billing.calendar import local
from authority.language.reading import marked
from authority.people.roles import OPERATES, SEES_WHAT_WAITS
from authority.web import ranges
from authority.web.answers import page, place, redirect
from authority.web.presentation import STATE_WORDS

RULES: Mapping[str, Rule] = {
    "epoch_pages.listed": Rule(SEES_WHAT_WAITS),
    "epoch_pages.shown": Rule(SEES_WHAT_WAITS),
    "epoch_pages.retry": Rule(OPERATES),
}
STAGE_WORDS = {
    "ended": marked("its time is over"),
    "readings_in": marked("readings are in, signatures checked"),
    "settled": marked("settled, surplus minted"),
    "cleared": marked("cleared, the book has its price"),
    "paid": marked("paid, all orders of the book"),
    "checkpointed": marked("checkpointed, the log is pinned"),
}
WHY_WORDS = {
    "missing": marked("no reading came"),
    "held": marked("held, an operator decides"),
    "on_the_way": marked("on its way to the chain"),
    "refused": marked("refused by the chain"),
}


def blueprint(its: Epochs, zone: ZoneInfo, epoch_seconds: int) -> Blueprint:
    """The pages over the query layer."""
    pages = Blueprint("epoch_pages", __name__, url_prefix="/op/epochs")
    form = "%-d %b %H:%M" if epoch_seconds % 60 == 0 else "%-d %b %H:%M:%S"

    def render(template: str, **words: Any) -> Response:
        who = gate.principal()
        its.note(who)
        text = render_template(
            template,
            at=lambda seconds: ranges.written(local(seconds, zone), form),
            at_ms=lambda ms: ranges.written(local(ms // 1_000, zone), "%-d %b %H:%M:%S"),
            stage_words=STAGE_WORDS,
            why_words=WHY_WORDS,
            state_words=STATE_WORDS,
            may_act=bool(OPERATES & who.roles),
            zone=zone.key,
            retried=request.args.get("retried", ""),
            **words,
        )
        return page(text)

    @pages.get("")
    def listed() -> Response:
        return render("op_epochs.html", found=its.rows(place("before")))

    @pages.get("/<int:number>")
    def shown(number: int) -> Response:
        return render("op_epoch.html", found=its.one(number))

    @pages.post("/retry")
    def retry() -> Response:
        """Send again what the chain refused; sent twice, there is nothing left to send."""
        count = len(its.retry(gate.principal()))
        return redirect(url_for("epoch_pages.listed", retried=count))

    return pages
