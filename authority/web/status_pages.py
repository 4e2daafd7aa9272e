"""The public's status: which parts of the service work, since when, what is late, and the last incidents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask import Blueprint, Response, render_template

from authority.api import tags
from authority.api.schemas import schema_of
from authority.billing.calendar import local
from authority.language.reading import gettext, marked, ngettext
from authority.status.judgement import age
from authority.status.public import Board, Incident, PartNow, ServiceNow, State
from authority.web import answers, ranges

PART_WORDS: Mapping[str, tuple[str, str]] = {
    "metering": (marked("Metering"), marked("Readings of the meters come in, are checked, and get a receipt.")),
    "settlement": (
        marked("Settlement"),
        marked("What was measured goes to the chain, and surplus becomes tokens, epoch by epoch."),
    ),
    "market": (marked("Market"), marked("Each epoch has a book that takes orders, and is cleared at its end.")),
    "log": (marked("Log"), marked("What happens is written down, and a checkpoint of it published in each epoch.")),
    "chain": (marked("Chain"), marked("The validator answers and makes new slots.")),
}
"""What each part is called, and what it does."""
STATE_WORDS: Mapping[str, str] = {
    "up": marked("works"),
    "late": marked("is late"),
    "paused": marked("is paused by the department"),
    "down": marked("does not work"),
    "unknown": marked("is not known"),
}
EXAMPLE = {
    "time": 1_782_029_700,
    "parts": [
        {"part": "metering", "state": "late", "late": 1, "of": 42, "since": 1_782_028_900},
        {"part": "chain", "state": "up", "late": None, "of": None, "since": 1_781_000_000},
    ],
    "incidents": [{"part": "chain", "state": "down", "began": 1_780_999_000, "ended": 1_781_000_000}],
}


def sentence(now: ServiceNow) -> str:
    """All of it in words."""
    states = {each.state for each in now.parts}
    if states == {"up"}:
        return gettext("Everything works.")
    if "down" in states:
        return gettext("Something does not work.")
    if "unknown" in states:
        return gettext("Not everything is known.")
    return gettext("Everything works, with a delay or a pause.")


def behind(part: PartNow) -> str:
    """What of a part is late, in words."""
    if not part.late or part.state not in ("late", "down"):
        return ""
    if part.part == "metering" and part.of is not None:
        return ngettext(
            "The last reading of %(count)s of %(of)s meters is missing.",
            "The last readings of %(count)s of %(of)s meters are missing.",
            part.late,
            of=part.of,
        )
    return ngettext("%(count)s epoch is late.", "%(count)s epochs are late.", part.late)


def lasted(incident: Incident, now: int) -> str:
    """For how long an incident went on."""
    return age(max(0, (now if incident.ended is None else incident.ended) - incident.began))


def tone(state: State) -> str:
    """How a state's mark looks: done, open or plain."""
    return {"up": "done", "down": "open"}.get(state, "plain")


def resource(board: Board) -> APIBlueprint:
    """The resource for programs."""
    public = APIBlueprint("status", __name__, url_prefix="/api/v1", tag="Public")

    @public.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.ASKED_AGAIN)

    @public.get("/status")
    @public.output(schema_of(ServiceNow), description="The service.", example=EXAMPLE)
    @public.doc(
        operation_id="get_status",
        summary="Which parts of the service work, since when, and the last incidents",
        description="Looked at every 15 seconds at most. A state that lasts less than two minutes is no incident.",
    )
    def service() -> dict[str, Any]:
        return asdict(board.now())

    return public


def blueprint(board: Board, zone: ZoneInfo) -> Blueprint:
    """The page."""
    pages = Blueprint("status_pages", __name__)

    @pages.get("/status")
    def status_page() -> Response:
        now = board.now()
        text = render_template(
            "status.html",
            now=now,
            words=sentence(now),
            part_words=PART_WORDS,
            state_words=STATE_WORDS,
            behind=behind,
            lasted=lasted,
            tone=tone,
            at=lambda seconds: ranges.written(local(seconds, zone), "%-d %b %Y, %H:%M"),
            zone=zone.key,
        )
        return answers.page(text)

    return pages
