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

from authority.operations import tickets
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
    member, who = made.members["Dormitory A"], made.people[MEMBER]
    with app.store.read() as session:
        about = tickets.of_line(session, 900, member.wallet, 1, 3)
    tickets.ask(app, member.id, about, "energy", "I was away.", actor=who.pseudonym, person_id=who.id)
    day = datetime.fromtimestamp(clock.now - 3 * 86_400, UTC).date()
    add_days(made.app, day, 4, ZoneInfo("UTC"), until=clock.now - 900)
    return made


def date_of(site):
    """Yesterday, of which there are readings."""
    return datetime.fromtimestamp(site.app.clock() - 86_400, UTC).date().isoformat()


def addresses(site):
    """(address, whoever may come in and is asked) of every GET route."""
    values = {
        "number": 1,
        "line": 1,
        "period": 0,
        "wallet": site.members["Dormitory A"].wallet,
        "batch": 1,
        "log_index": 1,
    }
    values |= {"gateway": "dormitory-a", "meter_name": "building", "day": date_of(site)}
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
