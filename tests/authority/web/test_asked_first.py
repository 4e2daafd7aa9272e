"""Small things that are asked first, said, or not offered: ending an order, scopes of a token, days that are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from people_site import PeopleSite, build

from authority.api import treasury
from authority.app import App
from authority.billing import views
from authority.people.roles import (
    AUDITOR,
    DELEGATE,
    MEMBER,
    OF_SCOPES,
    OPERATOR,
    SCOPES,
    TREASURER,
    usable,
)
from authority.web import access
from authority.web.member_pages import LINE_WORDS


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: App) -> PeopleSite:
    return build(app)


def test_a_standing_order_is_ended_by_a_second_step(site: PeopleSite) -> None:
    client = site.client(MEMBER)

    def send(**fields: str) -> Any:
        return client.post("/me/trading", data=site.form(MEMBER, **fields))

    made = send(act="save", sell_at="0.2", buy_at="0.1")
    assert made.status_code == 303, made.text
    page = client.get("/me/trading").text
    assert page.count('value="end"') == 1
    beside_pause = page.partition('value="pause"')[2].partition("</form>")[0]
    assert 'value="end"' not in beside_pause, "no single press beside Pause ends it"
    told = send(act="end")
    assert (told.status_code, "tick the box" in told.text.lower()) == (409, True)
    assert 'value="pause"' in client.get("/me/trading").text, "it stands"
    assert send(act="end", confirm="yes").status_code == 303
    assert 'value="pause"' not in client.get("/me/trading").text


def test_scopes_are_those_of_the_routes(site: PeopleSite) -> None:
    for scope in SCOPES:
        opened = [rule.roles for rule in access.RULES.values() if rule.scope == scope]
        assert OF_SCOPES[scope] == frozenset().union(*filter(None, opened)), scope
    assert usable({MEMBER}) == ("energy:read", "money:read", "trading:write", "money:write")
    assert usable({OPERATOR}) == ("operations:read",)
    assert usable(()) == ()


@pytest.mark.parametrize("role", [MEMBER, DELEGATE, OPERATOR, TREASURER, AUDITOR, "nobody"])
def test_a_token_is_offered_and_given_what_its_owner_can_use(site: PeopleSite, role: str) -> None:
    client, can = site.client(role), set(usable({role}))
    page = client.get("/account").text
    assert {scope for scope in SCOPES if f'name="scope" value="{scope}"' in page} == can
    for scope in SCOPES:
        sent = site.form(role, name=f"for {scope}", days="30", scope=scope)
        answer = client.post("/account/tokens", data=sent)
        assert answer.status_code == (200 if scope in can else 400), scope
        assert ("Your roles can use" in answer.text) is (scope not in can), scope
        by_program = client.post(
            "/api/v1/me/tokens",
            json={"name": "p", "scopes": [scope], "days": 1},
            headers={"X-Form-Token": site.form(role)["form_token"], "Accept": "application/json"},
        )
        assert by_program.status_code == (201 if scope in can else 400), scope


def test_a_day_that_is_none_or_has_not_come_is_said(site: PeopleSite) -> None:
    ahead = datetime.fromtimestamp(site.app.clock(), UTC).date() + timedelta(days=40)
    for url in ("/me/energy", "/market", "/indicators"):
        wrong = site.client(MEMBER).get(f"{url}?day=20x6-01-01")
        assert (wrong.status_code, "a day is written as" in wrong.text.lower()) == (400, True), url
        late = site.client(MEMBER).get(f"{url}?view=month&day={ahead}")
        assert (late.status_code, "has not come yet" in late.text) == (400, True), url
        assert site.client(MEMBER).get(f"{url}?day=").status_code == 200


def test_one_thing_has_one_word_for_the_member_and_the_treasurer() -> None:
    for kind in ("remainder",):
        assert views.WORDS[kind].lower() == LINE_WORDS[kind].lower()
    assert not any("your" in words for words in views.WORDS.values()), "the treasurer reads them too"


def test_what_a_member_has_is_said_before_it_gives_back_and_more_is_refused(
    site: PeopleSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(treasury.credits, "check", lambda *_: SimpleNamespace(wallet="x"))
    monkeypatch.setattr(treasury.credits, "free", lambda *_: 978_000_000)
    sent = {"member": "Dormitory A", "way": "out", "amount": "900", "reference": "Out 1"}
    client = site.client(TREASURER)
    told = client.post("/treasury/credits", data=site.form(TREASURER, act="preview", **sent))
    assert (told.status_code, "It has 978.00 credits that are free." in told.text) == (200, True)
    for act in ("preview", "save"):
        more = site.form(TREASURER, act=act, **{**sent, "amount": "50000"}, again="50000")
        refused = client.post("/treasury/credits", data=more)
        assert refused.status_code == 409
        assert "has 978.00 credits that are free, not" in refused.text
    monkeypatch.undo()
    monkeypatch.setattr(treasury.credits, "check", lambda *_: SimpleNamespace(wallet="x"))
    away = client.post("/treasury/credits", data=site.form(TREASURER, act="preview", **sent))
    assert "What it has cannot be told now" in away.text
