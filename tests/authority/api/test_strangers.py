"""What strangers read of the API, counted by address: a lecture hall works, and who asks without end waits."""

from __future__ import annotations

from typing import Any

import pytest
from people_site import PeopleSite, build

from authority.api import gate
from authority.app import App
from authority.people.roles import READ_ENERGY

URL, HALL = "/api/v1/market/prices", "198.51.100.7"


@pytest.fixture
def store_url() -> str:
    return ""


def read(site: PeopleSite, address: str = HALL, url: str = URL, **headers: str) -> Any:
    return site.flask.test_client().get(url, headers={"X-Forwarded-For": address, **headers})


def test_a_lecture_hall_behind_one_address_reads_as_it_likes(app: App) -> None:
    site = build(app)
    assert gate.STRANGERS_AT_ONCE >= 300 * 10, "three hundred people, ten resources each, at once"
    assert gate.STRANGER_SECONDS <= 5 / 300, "and each of them again every five seconds"
    assert {read(site).status_code for _ in range(120)} == {200}


def test_an_address_that_asks_without_end_waits_and_no_other_one(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "STRANGERS_AT_ONCE", 3)
    monkeypatch.setattr(gate, "STRANGER_SECONDS", 600.0)
    site = build(app)
    for url in (URL, "/api/v1/status", "/api/v1/me"):
        assert read(site, url=url).status_code in (200, 401)
    for url in (URL, "/api/v1/me", "/api/v1/nothing-here"):
        refused = read(site, url=url, Accept="text/html")
        assert (refused.status_code, refused.json["code"]) == (429, "too_often"), url
        assert refused.content_type == "application/problem+json"
        assert 0 < int(refused.headers["Retry-After"]) <= 600
    assert read(site, "198.51.100.8").status_code == 200
    assert read(site, f"203.0.113.9, {HALL}").status_code == 429, "only the proxy's own word counts"
    assert site.flask.test_client().get(URL).status_code == 200, "a proxy that says nothing counts by itself"
    assert read(site, url="/market").status_code == 200, "pages are for people"
    token = {"Authorization": f"Bearer {site.tokens[READ_ENERGY]}"}
    assert read(site, url="/api/v1/me", **token).status_code == 200, "a token is counted by itself"
    wrong = read(site, url="/api/v1/me", Authorization="Bearer campus_wrong")
    assert wrong.status_code == 429, "nobody tries tokens without end"


def test_one_network_of_ipv6_is_one_address(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "STRANGERS_AT_ONCE", 2)
    monkeypatch.setattr(gate, "STRANGER_SECONDS", 600.0)
    site = build(app)
    assert [read(site, f"2001:db8::{n}").status_code for n in range(1, 4)] == [200, 200, 429]
    assert read(site, "2001:db8:0:1::1").status_code == 200


def test_the_document_says_so_of_every_call_for_everybody(app: App) -> None:
    spec, looked_at = build(app).flask.test_client().get("/openapi.json").json, 0
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            if "security" not in operation:
                looked_at += 1
                assert "application/problem+json" in operation["responses"]["429"]["content"], (method, path)
    assert looked_at > 5
