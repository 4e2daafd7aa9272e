"""The OpenAPI document: a name for every call, each schema once, and who may ask, as the gate says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from people_site import build

from authority.api.description import path_of
from authority.api.gate import ANY_SCOPE
from authority.app import App
from authority.web import access

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: App) -> Any:
    return build(app)


@pytest.fixture
def spec(site: Any) -> Any:
    return site.flask.test_client().get("/openapi.json").json


def operations(spec: Any) -> dict[str, Any]:
    """The calls by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


def test_every_call_has_a_name_of_its_own(spec: Any) -> None:
    names = {call: operation.get("operationId", "") for call, operation in operations(spec).items()}
    assert len(names) > 75
    assert [call for call, name in names.items() if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)] == []
    assert sorted(names.values()) == sorted(set(names.values()))


def test_what_may_be_null_is_said_as_openapi_3_1_says_it(spec: Any) -> None:
    assert spec["openapi"].startswith("3.1")
    assert "nullable" not in str(spec)
    parameters = [each for call in operations(spec).values() for each in call.get("parameters", [])]
    assert len(parameters) > 90
    assert [
        each for each in parameters if "null" in str(each["schema"]) or each["schema"].get("default", 0) is None
    ] == []
    day = spec["components"]["schemas"]["DisputeInput"]["properties"]["day"]
    assert (day["type"], day["default"]) == (["string", "null"], None)


def test_no_schema_has_two_names(spec: Any) -> None:
    names = spec["components"]["schemas"].keys()
    assert len(names) > 90
    assert [name for name in names if name[-1].isdigit() and name.rstrip("0123456789") in names] == []
    for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', str(spec).replace("'", '"')):
        assert reference in names
    given = spec["paths"]["/api/v1/me/transfers"]["post"]["responses"]["202"]["content"]["application/json"]["schema"]
    assert given == spec["components"]["schemas"]["GivenTransfers"]["properties"]["transfers"]["items"]


def test_the_security_of_each_call_is_what_the_gate_lets_through(site: Any, spec: Any) -> None:
    described = operations(spec)
    looked_at = 0
    for route in site.flask.url_map.iter_rules():
        rule = access.RULES[route.endpoint]
        for method in route.methods:
            operation = described.get(f"{method} {path_of(route.rule)}")
            if operation is None:
                continue
            looked_at += 1
            tokens = [each["token"] for each in operation.get("security", []) if "token" in each]
            if rule.roles is None:
                assert "security" not in operation
            elif rule.scope is None:
                assert (operation["security"], tokens) == ([{"session": []}], [])
            else:
                assert tokens == [[] if rule.scope == ANY_SCOPE else [rule.scope]]
    assert looked_at == len(described)
    text = site.flask.test_client().get("/docs").text
    for name, needs in (
        ("get_my_bill", "who is signed in, or a token with the scope money:read"),
        ("get_me", "who is signed in, or any token"),
        ("make_my_token", "who is signed in; no token"),
        ("get_plan", "anybody"),
    ):
        assert f"<code>{name}</code>, for {needs}." in text


def bodies(operation: Any) -> Any:
    """What is sent in JSON, and what is answered in it where the call succeeds."""
    parts = [operation.get("requestBody", {})]
    parts += [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    return [part["content"]["application/json"] for part in parts if "application/json" in part.get("content", {})]


KINDS = {"object": dict, "array": list, "integer": int, "number": (int, float), "string": str, "boolean": bool}


def faults(value: Any, schema: Any, schemas: Any, where: str) -> Iterator[str]:
    """Where a value is not of its schema's type, lacks a field, or has one that the schema has not."""
    for part in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
        if part != {"type": "null"}:
            schema = {**part, "null": schema}
    if "$ref" in schema:
        schema = {**schemas[schema["$ref"].rpartition("/")[2]], "null": schema.get("null")}
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if value is None and ("null" in kinds or schema.get("null")):
        return
    kind = next((each for each in kinds if each != "null"), "")
    if kind and (not isinstance(value, KINDS[kind]) or (kind == "integer" and isinstance(value, bool))):
        yield f"{where}: {value!r} is no {kind}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    elif kind == "array":
        for each in value:
            yield from faults(each, schema["items"], schemas, where)
    elif kind == "object" and "properties" in schema:
        wrong = {*value} - {*schema["properties"]} | {*schema.get("required", ())} - {*value}
        yield from (f"{where}: {name}" for name in sorted(wrong))
        for name in {*value} & {*schema["properties"]}:
            yield from faults(value[name], schema["properties"][name], schemas, f"{where}.{name}")


def test_every_body_has_an_example_that_is_as_the_schema_says(spec: Any) -> None:
    found = [(call, body) for call, operation in operations(spec).items() for body in bodies(operation)]
    assert len(found) > 90
    without = [call for call, body in found if "example" not in body and "examples" not in body]
    assert without == ["GET /api/v1/tickets/{number}/proof"], "a proof is what /kwh takes as a file"
    for call, body in found:
        if "example" in body and body.get("schema"):
            assert [*faults(body["example"], body["schema"], spec["components"]["schemas"], call)] == []


def test_the_page_of_the_api_shows_what_is_sent_and_answers_of_every_success(site: Any) -> None:
    page = site.flask.test_client().get("/docs").text
    assert 'aria-label="Fields that are sent to POST /api/v1/me/tokens"' in page
    assert 'aria-label="Fields of POST /api/v1/me/tokens"' in page, "201"
    assert 'aria-label="Fields of POST /api/v1/audit/comparisons"' in page, "202"
    assert 'aria-label="Example of the answer of GET /api/v1/campus"' in page
    assert "PRICING_TARIFF" in page


@pytest.mark.parametrize("path", ["/api/v1/campus", "/api/v1/status"])
def test_whoever_has_the_public_figures_already_is_told_so(site: Any, path: str) -> None:
    client = site.flask.test_client()
    first = client.get(path)
    assert (first.status_code, first.headers["Cache-Control"]) == (200, "public, no-cache")
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) in ((304, b""), (200, client.get(path).data))
    assert again.status_code == 304 or first.json["time"] != again.json["time"]
