"""Requests that nobody's browser sends: paths, injections, uploads and sizes. Each is refused, and none is a fault."""

from __future__ import annotations

import io
from typing import Any

import pytest
from people_site import build

from authority.people.roles import AUDITOR, MEMBER, OPERATOR, TREASURER
from authority.store.people import User

PATHS = (
    "/static/../../keys/operator.json",
    "/static/..%2f..%2fkeys%2foperator.json",
    "/static/%2e%2e/%2e%2e/authority.toml",
    "/static//etc/passwd",
    "/tile/0/../../../authority.toml",
    "/op/meters/..%2f..%2fkeys/operator.json",
    "/me/bills/1%00.pdf",
    "/kwh/../../authority.db",
)
INJECTIONS = (
    "' OR 1=1 --",
    "1; DROP TABLE users",
    '"><script>x()</script>',
    "{{ 7919 * 7907 }}",
    "%s%n",
    "\x00",
    "é" * 3_000,
)


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: Any, sample_month: Any) -> Any:
    made = build(app)
    sample_month(made)
    return made


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leaves_the_sites_own_files(site: Any, path: str) -> None:
    for role in (None, MEMBER, OPERATOR):
        answer = site.client(role).get(path)
        assert answer.status_code in (303, 308, 400, 404), (path, role)
        assert "network" not in answer.text or "[" not in answer.text


@pytest.mark.parametrize("number", ["9" * 19, "9" * 40])
def test_a_number_that_no_row_can_have_leads_nowhere(site: Any, number: str) -> None:
    for role, path in (
        (MEMBER, f"/api/v1/me/bills/{number}"),
        (MEMBER, f"/me/bills/{number}"),
        (TREASURER, f"/treasury/bills/{number}"),
        (TREASURER, f"/treasury/periods/{number}"),
        (OPERATOR, f"/op/held/{number}"),
        (AUDITOR, f"/audit/epochs/{number}"),
    ):
        assert site.client(role).get(path).status_code == 404, path
    assert site.client(AUDITOR).get(f"/audit/log?before={number}").status_code in (200, 400, 404)


@pytest.mark.parametrize("text", INJECTIONS)
def test_what_is_typed_is_never_a_command(site: Any, text: str) -> None:
    asked = (
        (MEMBER, "/me/energy", {"view": text, "day": text}),
        (None, "/market", {"view": text, "day": text}),
        (OPERATOR, "/op/held", {"code": text}),
        (None, "/language", {"language": text, "next": text}),
    )
    for role, path, query in asked:
        answer = site.client(role).get(path, query_string=query)
        assert answer.status_code < 500, (path, text)
        assert "<script>x()" not in answer.text
        assert "62615533" not in answer.text  # their product
    for role, path, fields in (
        (MEMBER, "/me/trading", {"act": "save", "sell_at": text}),
        (MEMBER, "/me/wallet", {"act": "own", "to": text}),
        (OPERATOR, "/op/members", {"login": text, "name": text, "id": text, "member": text}),
        (TREASURER, "/treasury/credits", {"member": text, "amount": text, "reference": text}),
    ):
        answer = site.client(role).post(path, data=site.form(role, **fields))
        assert answer.status_code < 500, (path, text, answer.text)
        assert "<script>x()" not in answer.text
    with site.app.store.read() as session:
        assert session.query(User).count() > 1


def test_what_is_too_large_is_refused_before_it_is_read(site: Any) -> None:
    for role, path in ((OPERATOR, "/op/members/list"), (MEMBER, "/me/trading"), (None, "/login")):
        fields = {} if role is None else site.form(role)
        answer = site.client(role).post(path, data={**fields, "csv": "x" * 200_000})
        assert answer.status_code in (400, 404, 413), (path, answer.status_code)


@pytest.mark.parametrize("content", [b"\x00\x01\x02", b"PK\x03\x04", b"\xff\xfe", b"<?xml version='1.0'?><!DOCTYPE x>"])
def test_an_upload_of_another_kind_is_refused_in_words(site: Any, content: bytes) -> None:
    fields = {**site.form(OPERATOR), "act": "try", "once": "x", "file": (io.BytesIO(content), "../../x.csv")}
    client = site.client(OPERATOR)
    urls = {rule.endpoint: rule.rule for rule in site.flask.url_map.iter_rules()}
    answer = client.post(urls["acts.invite_list"], data=fields, content_type="multipart/form-data")
    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text
