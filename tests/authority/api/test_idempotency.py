"""The Idempotency-Key of every write of the API: the first answer again, and nothing done twice."""

from __future__ import annotations

import threading
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
from people_site import PeopleSite, build
from sqlalchemy import select

from authority.api import gate, idempotency
from authority.api.gate import SAFE
from authority.app import App
from authority.people import kept_answers, records
from authority.people import tokens as programs
from authority.people.roles import AUTHORITY, MEMBER, ROLES, SCOPES
from authority.service import settlement_command
from authority.store.persons import KeptAnswer, Person, ProgramToken
from authority.web import access

KEY = "a key of mine"
URL = "/api/v1/me/tokens"
TOKEN = {"name": "mine", "scopes": ["energy:read"], "days": 7}


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: App, monkeypatch: pytest.MonkeyPatch) -> PeopleSite:
    monkeypatch.setattr(gate, "CHANGES_AT_ONCE", 10_000)  # every write is sent three times, at once
    return build(app)


def send(site: PeopleSite, url: str = URL, method: str = "POST", role: str = MEMBER, **words: Any) -> Any:
    headers = {
        "X-Form-Token": site.form(role)["form_token"],
        "Accept": "application/json",
        "Idempotency-Key": words.pop("key", KEY),
    }
    return site.client(role).open(url, method=method, headers=headers, **{"json": TOKEN, **words})


def made(site: PeopleSite, name: str = "mine") -> int:
    with site.app.store.read() as session:
        return len(session.scalars(select(ProgramToken).where(ProgramToken.name == name)).all())


def writes(site: PeopleSite) -> list[tuple[str, str, str]]:
    """Every write of the API: its method, an address, and a role that may come in."""
    found = []
    for rule in site.flask.url_map.iter_rules():
        if not rule.rule.startswith("/api/v1/"):
            continue
        for method in sorted(rule.methods - set(SAFE)):
            with site.flask.test_request_context():
                values = {name: "1" if name in ("number", "period", "log_index") else "x" for name in rule.arguments}
                url = site.flask.url_map.bind("localhost").build(rule.endpoint, values)
            roles = access.RULES[rule.endpoint].roles
            assert roles is not None, "strangers write nothing"
            found.append((method, url, next(role for role in ROLES if not roles or role in roles)))
    return found


def test_every_write_gives_its_first_answer_again_and_another_request_is_refused(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "CHANGES_AT_ONCE", 100_000)
    site, looked_at = build(app), 0
    for place, (method, url, role) in enumerate(writes(site)):
        key = f"walk number {place}"
        first = send(site, url, method, role, key=key, json={"x": 1})
        assert first.status_code not in (401, 403, 422, 500), (method, url, first.text)
        assert idempotency.REPLAYED not in first.headers
        if first.status_code == 503:
            continue
        looked_at += 1
        again = send(site, url, method, role, key=key, json={"x": 1})
        assert (again.status_code, again.data) == (first.status_code, first.data), (method, url)
        assert again.headers[idempotency.REPLAYED] == "true", (method, url)
        assert again.content_type == first.content_type
        other = send(site, url, method, role, key=key, json={"x": 2})
        assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused"), (method, url)
        assert other.content_type == "application/problem+json"
        for wrong in ("short", "x" * 65, "with\tone tab"):
            refused = send(site, url, method, role, key=wrong)
            assert (refused.status_code, refused.json["code"]) == (400, "malformed"), (method, url)
    assert looked_at > 25


def test_the_document_says_so_of_every_write_and_of_nothing_else(site: PeopleSite) -> None:
    spec, walked = site.flask.test_client().get("/openapi.json").json, 0
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            keys = [each for each in operation.get("parameters", []) if each["name"] == idempotency.HEADER]
            if method == "get":
                assert keys == [], path
                continue
            walked += 1
            assert len(keys) == 1, (method, path)
            assert keys[0]["description"] == idempotency.SAYS
            assert {"400", "409", "422"} <= set(operation["responses"]), (method, path)
            assert "application/problem+json" in operation["responses"]["422"]["content"], (method, path)
    assert walked == len(writes(site))


def test_what_is_made_is_made_once_and_its_secret_is_in_no_copy_of_the_store(site: PeopleSite) -> None:
    first, again = send(site), send(site)
    assert first.status_code == again.status_code
    assert first.json == again.json
    assert first.json["secret"].startswith("campus_")
    assert made(site) == 1
    assert send(site, key="another key").json["token"] != first.json["token"]
    with site.app.store.read() as session:
        kept = session.scalars(select(KeptAnswer)).all()
    assert len(kept) == 2
    for row in kept:
        told = b"".join(str(getattr(row, column.key)).encode() for column in KeptAnswer.__table__.columns) + row.sealed
        assert first.json["secret"].encode() not in told
        assert b"campus_" not in told


def test_without_a_key_everything_is_done_each_time(site: PeopleSite) -> None:
    headers = {"X-Form-Token": site.form(MEMBER)["form_token"]}
    for _ in range(2):
        assert site.client(MEMBER).post(URL, json=TOKEN, headers=headers).status_code < 300
    assert made(site) == 2


def test_one_that_is_under_way_is_told_so_until_it_is_dead(site: PeopleSite, clock: Any) -> None:
    send(site)
    with site.app.store.write() as session:
        row = session.scalars(select(KeptAnswer)).one()
        row.status = row.sealed = None
    waiting = send(site)
    assert (waiting.status_code, waiting.json["code"]) == (409, "idempotency_key_in_flight")
    assert waiting.headers["Retry-After"] == "10"
    assert made(site) == 1
    clock.now += idempotency.DEAD_SECONDS
    assert send(site).status_code < 300
    assert made(site) == 2


def test_a_fault_is_not_kept_and_may_be_tried_again(site: PeopleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.flask.config["PROPAGATE_EXCEPTIONS"] = False
    real = programs.make

    def broken(*_: Any) -> Any:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(programs, "make", broken)
    assert send(site).status_code == 500
    monkeypatch.setattr(programs, "make", real)
    again = send(site)
    assert again.status_code < 300
    assert idempotency.REPLAYED not in again.headers


def test_a_key_is_one_persons_or_one_tokens_own(site: PeopleSite) -> None:
    mine, theirs = send(site), send(site, role="other")
    assert idempotency.REPLAYED not in theirs.headers
    assert mine.json["secret"] != theirs.json["secret"]
    with site.app.store.write() as session:
        owner = records.principal(session, session.get_one(Person, site.people[MEMBER].id), "s", site.app.clock())
        given = [programs.make(session, owner, f"p{n}", list(SCOPES), 30, site.app.clock())[1] for n in range(2)]
    order = {"sell_at": None, "buy_at": None}
    answers = [
        site.flask.test_client().put(
            "/api/v1/me/standing-order",
            json=order,
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": KEY},
        )
        for token in (*given, given[0])
    ]
    assert [idempotency.REPLAYED in each.headers for each in answers] == [False, False, True]


def test_who_may_not_come_in_is_told_nothing_of_what_was_answered(site: PeopleSite) -> None:
    send(site)
    with site.app.store.write() as session:
        records.end_all(session, session.get_one(Person, site.people[MEMBER].id), site.app.clock())
    assert send(site).status_code == 401
    foreign = site.client(AUTHORITY).post(URL, json=TOKEN, headers={"Idempotency-Key": KEY, "Accept": "*/*"})
    assert foreign.status_code == 403, "without the form's own token"
    own = {**TOKEN, "scopes": ["audit:read"]}
    assert send(site, role=AUTHORITY, json=own).status_code < 300, "what was refused there is not kept"


def test_keys_are_kept_for_a_day_at_least_and_go_with_the_person(site: PeopleSite, clock: Any) -> None:
    with site.app.store.write() as session:
        token = programs.make(
            session,
            records.principal(session, session.get_one(Person, site.people[MEMBER].id), "s", clock.now),
            "p",
            list(SCOPES),
            30,
            clock.now,
        )[1]

    def put(key: str = KEY) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        return site.flask.test_client().put("/api/v1/me/standing-order", json={"sell_at": None}, headers=headers)

    put()
    clock.now += 86_400
    assert idempotency.REPLAYED in put().headers
    clock.now += idempotency.KEPT_SECONDS
    assert idempotency.REPLAYED not in put().headers
    with site.app.store.write() as session:
        assert len(session.scalars(select(KeptAnswer)).all()) == 1, "what is older is gone"
        records.erase(session, session.get_one(Person, site.people[MEMBER].id), by="test", now=clock.now)
        assert session.scalars(select(KeptAnswer)).all() == []


def test_what_is_kept_is_deleted_when_its_time_is_over_though_nobody_writes(
    site: PeopleSite, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send(site).status_code == 201
    clock.now += kept_answers.KEPT_SECONDS
    assert not kept_answers.look(site.app), "until then the answer is given again"
    clock.now += 1
    started: list[Any] = []
    monkeypatch.setattr(settlement_command.command, "run", lambda _, beside: started.extend(beside))
    settlement_command.run(Namespace(action=None))
    assert kept_answers.run in started, "it is one of the rounds of the process that settles"
    stop = threading.Event()
    round_ = threading.Thread(target=kept_answers.run, args=(site.app, None, stop))
    round_.start()
    try:
        assert until(lambda: kept(site) == 0)
    finally:
        stop.set()
        round_.join(10)
    assert not kept_answers.look(site.app)


def kept(site: PeopleSite) -> int:
    with site.app.store.read() as session:
        return len(session.scalars(select(KeptAnswer)).all())


def until(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold within some seconds."""
    ends = time.monotonic() + 10
    while not holds() and time.monotonic() < ends:
        time.sleep(0.02)
    return holds()
