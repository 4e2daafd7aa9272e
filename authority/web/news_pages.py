"""The operator's page of announcements."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.gate import Rule
from authority.api.news import NewsDesk
from authority.app import App
from authority.billing.calendar import local
from authority.operations import news
from authority.operations.errors import NewsInvalidError
from authority.people.roles import OPERATES, SEES_WHAT_WAITS
from authority.web import ranges
from authority.web.answers import page, place, redirect, status_of

RULES: Mapping[str, Rule] = {
    "news_pages.listed": Rule(SEES_WHAT_WAITS),
    "news_pages.publish": Rule(OPERATES),
    "news_pages.withdraw": Rule(OPERATES),
}
TYPED = "%Y-%m-%dT%H:%M"
"""How a field for a moment has it."""


def blueprint(app: App, desk: NewsDesk) -> Blueprint:
    """The page over the query layer."""
    pages, zone = Blueprint("news_pages", __name__, url_prefix="/op/news"), ZoneInfo(app.home.settings.site.zone)

    def render(form: Mapping[str, str], message: str = "", status: int = 200) -> Response:
        who, now = gate.principal(), app.clock()
        found = desk.all(who, place("before"))
        here = local(now, zone)
        text = render_template(
            "op_news.html",
            found=found,
            older=found[-1].id if len(found) == news.MOST_SHOWN else None,
            form=form,
            message=message,
            may_act=bool(OPERATES & who.roles),
            buildings=desk.buildings(),
            audiences=news.AUDIENCE_WORDS,
            longest_title=news.LONGEST_TITLE,
            longest=news.LONGEST_TEXT,
            usual=(here.strftime(TYPED), (here + timedelta(days=7)).strftime(TYPED)),
            at=lambda seconds: ranges.written(local(seconds, zone), "%-d %b %Y, %H:%M"),
            state_of=lambda each: news.state_of(each, now),
            shown=news.SHOWN,
            may_end=(news.SHOWN, news.TO_COME),
            zone=zone.key,
        )
        return page(text, status)

    @pages.get("")
    def listed() -> Response:
        return render({})

    @pages.post("")
    def publish() -> Response:
        form = request.form
        try:
            given: dict[str, Any] = {name: form.get(name, "") for name in ("title", "text", "audience", "building")}
            given |= {field: _moment(form.get(field, ""), zone) for field in ("starts_at", "ends_at")}
            desk.publish(gate.principal(), given)
        except NewsInvalidError as error:
            return render(form, str(error), status_of(error))
        return redirect(url_for("news_pages.listed"))

    @pages.post("/<int:number>/withdraw")
    def withdraw(number: int) -> Response:
        desk.withdraw(gate.principal(), number)
        return redirect(url_for("news_pages.listed"))

    return pages


def _moment(text: str, zone: ZoneInfo) -> int:
    """A moment on the site's clock, as a field has it; NewsInvalidError."""
    try:
        return int(datetime.strptime(text[:16], TYPED).replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError) as error:
        raise NewsInvalidError("say from when until when it is shown, by the site's clock") from error
