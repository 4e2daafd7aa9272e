"""A campus whose members all keep to themselves has a page that says so."""

from __future__ import annotations

import os

import pytest
from plans import one_meter

from authority.api.campus_source import ChainFigures, StoreCampusSource
from authority.api.feed import CampusFeed
from authority.app import App
from authority.enrolment import plan
from authority.web.application import create_app

PLAN = one_meter("Secret House")


class Chain:
    """A validator that does not answer."""

    def figures(self, _epoch: int) -> ChainFigures:
        return ChainFigures(None, None, None, None, None)


@pytest.mark.finding("ops-17")
def test_a_campus_without_a_public_member_has_a_page_that_says_so(app: App) -> None:
    source = StoreCampusSource(app, Chain())
    client = create_app(source, feed=CampusFeed(source, interval=0.0)).test_client()
    empty = client.get("/")
    assert empty.status_code == 503
    assert "No campus plan is loaded yet. Whoever looks after the server does that" in empty.text
    assert "authority enrol campus" not in empty.text, "whoever reads a page has no terminal there"
    with app.store.write() as session:
        plan.apply(session, plan.parse(PLAN), app.home, actor="operator", now=1, random=os.urandom)
    page, view = client.get("/"), client.get("/api/v1/campus")
    assert (page.status_code, view.status_code) == (200, 200)
    assert "No building of this campus is shown to the public" in page.text
    assert view.json is not None
    assert view.json["buildings"] == []
    for private in ("Secret House", "Dormitory A"):
        assert private not in page.text + view.text
