"""The auditor's pages: the log, checkpoints, epochs and books, who read what, and the audit as a job.

They show pseudonyms, as the log has them. Each reading of them is itself an entry of the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request, url_for

from authority.api import days, gate
from authority.api.audit_job import AuditJobs
from authority.api.audit_log import AuditLog
from authority.api.gate import Rule
from authority.app import App
from authority.billing.calendar import local
from authority.billing.views import words_of
from authority.language.reading import gettext
from authority.people import reads
from authority.people.reads import DATA_READ
from authority.people.roles import AUDITS
from authority.web import answers, log_words, ranges
from authority.web.answers import page, redirect

RULES: Mapping[str, Rule] = dict.fromkeys(
    (
        "audit.overview",
        "audit.entries",
        "audit.checkpoints",
        "audit.epochs",
        "audit.book",
        "audit.book_bytes",
        "audit.verify",
        "audit.verify_state",
        "audit.bills",
        "audit.bill",
        "audit.bill_again",
        "audit.bill_state",
    ),
    Rule(AUDITS),
)


def blueprint(app: App, found: AuditLog, jobs: AuditJobs) -> Blueprint:
    """The pages over an opened authority, its log and its jobs."""
    audit = Blueprint("audit", __name__, url_prefix="/audit")
    verifier, biller = jobs.verify, jobs.bill

    def note(what: str) -> None:
        reads.note(app.store, gate.principal(), what, reads.EVERYBODY, app.clock())

    def shown(template: str, **values: object) -> Response:
        return page(render_template(template, days=days, zone=found.zone, at=at, seconds=length, **values))

    length = app.home.settings.epoch.seconds

    def at(seconds: int) -> str:
        return ranges.written(
            local(seconds, found.zone), "%-d %b %Y, %H:%M" if length % 60 == 0 else "%-d %b %Y, %H:%M:%S"
        )

    def in_words(text: str) -> list[tuple[str, str]]:
        return log_words.told(text, length, at)

    @audit.get("")
    def overview() -> Response:
        """What there is to audit, and the job."""
        note("audit")
        checkpoints, _ = found.checkpoints(None)
        newest = checkpoints[0] if checkpoints else None
        return shown("audit.html", job=verifier.state, newest=newest, now=app.clock(), compared=found.compared())

    @audit.get("/log")
    def entries() -> Response:
        kind = request.args.get("kind", "")
        note("access" if kind == DATA_READ else "log")
        first, last = _day("from"), _day("to")
        told = found.entries(kind, first, last, answers.place("before"))
        return shown(
            "audit_log.html", kind=kind, first=first, last=last, found=told, access=kind == DATA_READ, told=in_words
        )

    @audit.get("/checkpoints")
    def checkpoints() -> Response:
        note("checkpoints")
        rows, older = found.checkpoints(answers.place("before"))
        return shown("audit_checkpoints.html", rows=rows, older_place=older)

    @audit.get("/epochs")
    def epochs() -> Response:
        note("epochs")
        rows, older = found.epochs(answers.place("before"))
        return shown("audit_epochs.html", rows=rows, older_place=older)

    @audit.get("/epochs/<int:number>")
    def book(number: int) -> Response:
        note("book")
        return shown("audit_book.html", found=found.book(number))

    @audit.get("/epochs/<int:number>/book")
    def book_bytes(number: int) -> Response:
        """The book's bytes, which the page clears again."""
        note("book")
        headers = {"Cache-Control": "no-store"}
        return Response(found.book_bytes(number), content_type="application/octet-stream", headers=headers)

    @audit.post("/verify")
    def verify() -> Response:
        """Start an audit where none runs."""
        note("verify")
        verifier.start()
        return redirect(url_for("audit.overview"))

    @audit.get("/verify")
    def verify_state() -> Response:
        """How far it is, for the page's script."""
        state = asdict(verifier.state)
        state.pop("result")
        return jsonify(state)

    @audit.get("/bills")
    def bills() -> Response:
        note("bills")
        rows, older = found.bills(answers.place("before"))
        return shown("audit_bills.html", rows=rows, older_place=older)

    @audit.get("/bills/<int:number>")
    def bill(number: int) -> Response:
        """A bill as it was issued, and computed again where that was asked for."""
        issued = found.bill(number)
        reads.note(app.store, gate.principal(), "bill", issued.wallet, app.clock())
        return shown("audit_bill.html", bill=issued, job=biller.state, subject=str(number), words_of=_figure_words)

    @audit.post("/bills/<int:number>")
    def bill_again(number: int) -> Response:
        """Start computing it again where no other is."""
        reads.note(app.store, gate.principal(), "bill", found.bill(number).wallet, app.clock())
        biller.start(str(number))
        return redirect(url_for("audit.bill", number=number))

    @audit.get("/bills/<int:number>/again")
    def bill_state(number: int) -> Response:
        """How far it is, for the page's script."""
        state = asdict(biller.state)
        state.pop("result")
        if state["subject"] != str(number):
            state["state"] = "idle"
        return jsonify(state)

    return audit


def _figure_words(figure: Mapping[str, Any]) -> str:
    """What a figure of a bill is for; corrections of several lines are one."""
    return gettext("corrections") if figure["kind"] == "correction" else words_of(figure)


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(request.args.get(name, ""))
    except ValueError:
        return None
