"""The public pages that explain: what the words of the others mean, and what is kept about people."""

from __future__ import annotations

from flask import Blueprint, Response, render_template

from authority.api import tags
from authority.api.campus_source import LATE_SECONDS
from authority.billing.payouts import LONGEST_KEPT_SECONDS
from authority.home.settings import Settings
from authority.market.disclosure import LEAST_MEMBERS
from authority.web import answers
from authority.web.figures import grouped


def blueprint(settings: Settings) -> Blueprint:
    """The pages; their words are in the templates."""
    pages = Blueprint("help_page", __name__)
    epoch_seconds = settings.epoch.seconds
    minutes = f"{epoch_seconds / 60:g}" if epoch_seconds % 60 else grouped(epoch_seconds // 60)

    @pages.after_request
    def tag(response: Response) -> Response:
        return tags.of_a_public_page(response)

    @pages.get("/help")
    def words() -> Response:
        return answers.page(render_template("help.html", minutes=minutes))

    @pages.get("/privacy")
    def privacy() -> Response:
        text = render_template(
            "privacy.html",
            minutes=minutes,
            organisation=settings.network.organisation,
            least=LEAST_MEMBERS,
            late=LATE_SECONDS // 60,
            longest_days=LONGEST_KEPT_SECONDS // 86_400,
        )
        return answers.page(text)

    return pages
