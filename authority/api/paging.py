"""Lists that grow, a page at a time, and where links in them lead."""

from __future__ import annotations

from typing import Any

from apiflask import Schema, fields
from flask import request, url_for

from authority.app import App

NEXT = "What to ask for next, as `cursor`; null where there are no older ones."


class PageQuery(Schema):
    """Which page of a list."""

    cursor = fields.Integer(
        load_default=None, metadata={"description": "`next` of the page before; the newest where it is left out."}
    )


def whole_address(app: App, endpoint: str, **values: Any) -> str:
    """Where a page is, as people reach it: for links that leave the site, such as those in QR codes."""
    here = app.home.settings.web.origin or request.host_url.rstrip("/")
    return here + url_for(endpoint, **values)
