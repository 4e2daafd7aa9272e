"""The page of a member's webhooks, which Account leads to: made, ended, switched on again, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.gate import Rule
from authority.api.me_transfers import OF_THE_MEMBER
from authority.api.me_webhooks import Webhooks
from authority.language.reading import marked
from authority.people import sent_forms
from authority.people.errors import PeopleError
from authority.people.webhooks import EVENTS
from authority.refusals import RefusalError
from authority.web.answers import page, place, redirect, status_of

RULES: Mapping[str, Rule] = dict.fromkeys(
    ("webhooks.listed", "webhooks.make", "webhooks.end", "webhooks.resume", "webhooks.deliveries"), Rule(OF_THE_MEMBER)
)
EVENT_WORDS = {
    "bill_issued": marked("a bill is issued"),
    "order_filled": marked("an order of mine is filled"),
    "epoch_cleared": marked("a book is cleared"),
    "meter_silent": marked("a meter of mine is silent"),
}
STATE_WORDS = {
    "waiting": marked("waits"),
    "delivered": marked("was taken"),
    "given_up": marked("was given up"),
}


def blueprint(hooks: Webhooks) -> Blueprint:
    """The pages."""
    mine = Blueprint("webhooks", __name__, url_prefix="/account/webhooks")

    def shown(
        message: str = "", status: int = 200, secret: str = "", typed: Mapping[str, object] | None = None
    ) -> Response:
        text = render_template(
            "webhooks.html",
            found=hooks.listed(gate.principal()).webhooks,
            on=hooks.on,
            events=EVENTS,
            event_words=EVENT_WORDS,
            secret=secret,
            message=message,
            typed=typed or {"url": "", "events": ()},
            once=sent_forms.fresh(),
            now=hooks.app.clock(),
        )
        return page(text, status)

    @mine.get("")
    def listed() -> Response:
        return shown()

    @mine.post("")
    def make() -> Response:
        url, events = request.form.get("url", "").strip(), request.form.getlist("event")
        try:
            _, secret = hooks.make(gate.principal(), url, events, request.form.get("once", ""))
        except (PeopleError, RefusalError) as error:
            return shown(str(error), status_of(error), typed={"url": url, "events": events})
        return shown(secret=secret)

    @mine.post("/<hook>/end")
    def end(hook: str) -> Response:
        hooks.end(gate.principal(), hook)
        return redirect(url_for("webhooks.listed"))

    @mine.post("/<hook>/resume")
    def resume(hook: str) -> Response:
        hooks.resume(gate.principal(), hook)
        return redirect(url_for("webhooks.listed"))

    @mine.get("/<hook>")
    def deliveries(hook: str) -> Response:
        text = render_template(
            "webhook.html",
            hook=hook,
            found=hooks.deliveries(gate.principal(), hook, place("cursor")),
            event_words=EVENT_WORDS,
            state_words=STATE_WORDS,
            now=hooks.app.clock(),
        )
        return page(text)

    return mine
