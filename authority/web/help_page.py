"""The public page that says what the words of the others mean."""

from __future__ import annotations

from flask import Blueprint, Response, render_template

from authority.api import tags
from authority.web import answers
from authority.web.figures import grouped


def blueprint(epoch_seconds: int) -> Blueprint:
    """The page; its words are in the template."""
    pages = Blueprint("help_page", __name__)

    @pages.after_request
    def tag(response: Response) -> Response:
        return tags.of_a_public_page(response)

    @pages.get("/help")
    def words() -> Response:
        minutes = f"{epoch_seconds / 60:g}" if epoch_seconds % 60 else grouped(epoch_seconds // 60)
        return answers.page(render_template("help.html", minutes=minutes))

    return pages
