"""The page on which a person sees who read its data: what the log has of it."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request

from authority.api import days, gate
from authority.api.gate import Rule
from authority.api.paging import AT_ONCE
from authority.app import App
from authority.people import reads
from authority.web.answers import page, place

RULES: Mapping[str, Rule] = {"readers.page": Rule(frozenset())}


def blueprint(app: App) -> Blueprint:
    """The page over an opened authority."""
    readers = Blueprint("readers", __name__, url_prefix="/account/readers")

    @readers.get("", endpoint="page")
    def look() -> Response:
        who, everybody = gate.principal(), bool(request.args.get("everybody"))
        account = who.member if who.is_own else who.former
        names = [who.pseudonym, *([] if account is None else [account.wallet])]
        with app.store.read() as session:
            shown, older = reads.of(session, names, place("before"), AT_ONCE, everybody=everybody)
        text = render_template(
            "readers.html",
            readings=shown,
            older_place=older,
            everybody=everybody,
            words=reads.WORDS,
            names=names,
            days=days,
            zone=ZoneInfo(app.home.settings.site.zone),
        )
        return page(text)

    return readers
