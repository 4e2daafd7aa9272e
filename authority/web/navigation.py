"""What the pages link to from everywhere: the pages for everybody, by their routes' names."""

from __future__ import annotations

from collections.abc import Mapping

from authority.language.reading import marked

PUBLIC_PAGES: Mapping[str, str] = {
    "campus_page": marked("The campus, now"),
    "market_pages.market_page": marked("Market"),
    "indicator_pages.indicators_page": marked("In figures"),
    "plan_pages.plan_page": marked("Plan"),
    "status_pages.status_page": marked("Status"),
    "help_page.words": marked("Help"),
}
