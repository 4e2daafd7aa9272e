"""Lists that grow, a page at a time, and where links in them lead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from apiflask import Schema, fields
from apiflask.validators import Range
from flask import request, url_for

from authority.app import App

Row = TypeVar("Row")

AT_ONCE = 50
"""How many rows a page has at most, where its list does not say otherwise."""
LAST_PLACE = 2**63 - 1
NEXT = "What to ask for next, as `cursor`; null where there are no older ones."
ONWARD = "What to ask for next, as `cursor`; null at the end."


class PageQuery(Schema):
    """Which page of a list."""

    cursor = fields.Integer(
        load_default=None,
        validate=Range(1, LAST_PLACE),
        metadata={"description": "`next` of the page before; the newest where it is left out."},
    )


class OnwardQuery(Schema):
    """Which page of a list that begins with its first or oldest row."""

    cursor = fields.Integer(
        load_default=None,
        validate=Range(1, LAST_PLACE),
        metadata={"description": "`next` of the page before; the first where it is left out."},
    )


def cut(rows: Sequence[Row], place: Callable[[Row], int], most: int = AT_ONCE) -> tuple[Sequence[Row], str | None]:
    """The rows of a page, and its `next`: of the newest rows, which were asked for with one more than a page has.

    place is the number of a row's own; those of the page after are below it, so rows that come meanwhile move nothing.
    """
    shown = rows[:most]
    return shown, str(place(shown[-1])) if len(rows) > most else None


def whole_address(app: App, endpoint: str, **values: Any) -> str:
    """Where a page is, as people reach it: for links that leave the site, such as those in QR codes."""
    here = app.home.settings.web.origin or request.host_url.rstrip("/")
    return here + url_for(endpoint, **values)
