"""The operator's page of what waits: what `authority status` knows, judged by the same rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Blueprint, Response, render_template

from authority.api import gate
from authority.api.gate import Rule
from authority.app import App
from authority.chain.client import ChainClient
from authority.people import reads
from authority.people.roles import SEES_WHAT_WAITS
from authority.status import facts, judgement
from authority.web.answers import page

RULES: Mapping[str, Rule] = {"operator.waiting": Rule(SEES_WHAT_WAITS)}


def blueprint(app: App, client: Callable[[], ChainClient]) -> Blueprint:
    """The page over an opened authority."""
    operator = Blueprint("operator", __name__, url_prefix="/op")

    @operator.get("")
    def waiting() -> Response:
        """What waits for a person, the most urgent first. It names members, so the reading is logged."""
        reads.note(app.store, gate.principal(), "waiting", reads.EVERYBODY, app.clock())
        asking = client()
        try:
            gathered = facts.gather(app, asking)
        finally:
            asking.close()
        found = judgement.problems(gathered)
        return page(render_template("op.html", facts=gathered, problems=found, age=judgement.age))

    return operator
