"""Every page and every answer of the API reads as many rows in ten years as today: the plans of what they ask.

SQLite's planner goes by the indexes alone; PostgreSQL's goes by statistics too, which tables as small as here lack.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from people_site import build
from sample_market import add_days
from statements import executed

from authority.people.roles import AUDITOR, AUTHORITY, MEMBER, OPERATOR, TREASURER
from authority.web import access

ROLES = (MEMBER, OPERATOR, TREASURER, AUDITOR, AUTHORITY)
ENDLESS = ("/live", "/api/v1/campus/stream")


@pytest.fixture
def store_url():
    return ""


@pytest.fixture
def site(app, clock, sample_month):
    """Members with a month of readings, a bill and a market."""
    clock.now += 17 * 3_600
    made = build(app)
    sample_month(made)
    day = datetime.fromtimestamp(clock.now - 3 * 86_400, UTC).date()
    add_days(made.app, day, 4, ZoneInfo("UTC"), until=clock.now - 900)
    return made


def addresses(site):
    """(address, whoever may come in and is asked) of every GET route."""
    values = {"number": 1, "period": 0, "wallet": site.members["Dormitory A"].wallet, "batch": 1, "log_index": 1}
    for rule in site.flask.url_map.iter_rules():
        if "GET" in rule.methods:
            given = {name: values.get(name, "x") for name in rule.arguments}
            with site.flask.test_request_context():
                url = site.flask.url_map.bind("localhost").build(rule.endpoint, given)
            roles = access.RULES[rule.endpoint].roles
            if url not in ENDLESS:
                yield url, [None] if roles is None else [role for role in ROLES if role in roles]


def test_no_page_reads_the_history(site):
    engine, grown, asked = site.app.store.engine, {}, set()
    for url, roles in addresses(site):
        for role in roles:
            with executed(engine) as statements:
                answer = site.client(role).get(url)
            assert answer.status_code != 500, (url, role)
            asked |= {text for text, _ in statements.executed}
            for each in statements.growing(engine):
                grown.setdefault(each, url)
    assert len(asked) > 80
    assert not grown, "\n\n".join(f"{url}: {text}" for text, url in grown.items())
