"""What the OpenAPI document says beyond what APIFlask makes of the views: each schema once, problems, and who may ask.

APIFlask gives a schema of the document a second name (`GivenTransfer1`) where it is the answer of one call and stands
within that of another; here both are one again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from werkzeug.routing import Map

from authority.api import examples, idempotency
from authority.api.gate import ANY_SCOPE, SECURE_COOKIE, Rule
from edge_agent.wire import problems

TOKEN, SESSION = "token", "session"
SECURITY_SCHEMES: Mapping[str, Mapping[str, str]] = {
    TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "description": "A token that a person made under Account; the words beside it are the scope that it needs.",
    },
    SESSION: {
        "type": "apiKey",
        "in": "cookie",
        "name": SECURE_COOKIE,
        "description": "A person who is signed in; what changes something carries X-Form-Token of its pages too.",
    },
}
SCHEMAS = "#/components/schemas/"
OURS = "/api/v1/"
TOO_OFTEN = "Asked too often from this address: wait as long as Retry-After says."
WRITES = ("post", "put", "patch", "delete")
KEY_REFUSED: Mapping[str, str] = {
    "400": "The Idempotency-Key is malformed.",
    "409": "The request with this Idempotency-Key is still under way.",
    "422": "The Idempotency-Key was used for another request.",
}
_NUMBERED = re.compile(r"(?P<name>\D.*\D)\d+")


def complete(spec: dict[str, Any], routes: Map, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The document, with all of that."""
    _each_schema_once(spec)
    _problems_have_their_own_type(spec)
    _who_may(spec, routes, rules)
    _null_as_a_type(spec)
    _keys_of_writes(spec)
    _examples(spec)
    return spec


def _examples(spec: dict[str, Any]) -> None:
    """An example of each body in JSON that its view gives none of."""
    schemas = spec.get("components", {}).get("schemas", {})
    for path in spec.get("paths", {}).values():
        for operation in (each for each in path.values() if isinstance(each, dict)):
            answers = (answer for status, answer in operation.get("responses", {}).items() if str(status)[0] == "2")
            for part in (operation.get("requestBody", {}), *answers):
                content = part.get("content", {}).get("application/json")
                if content is None or "example" in content or "examples" in content:
                    continue
                found = examples.OF_CALLS.get(str(operation.get("operationId")))
                found = found or examples.of(content.get("schema", {}), schemas)
                if found:
                    content["example"] = found


def path_of(rule: str) -> str:
    """A route of the application as the document writes it: /bills/<int:number> is /bills/{number}."""
    return re.sub(r"<(?:[^<:]+:)?([^>]+)>", r"{\1}", rule)


def _each_schema_once(spec: dict[str, Any]) -> None:
    schemas = spec.get("components", {}).get("schemas", {})
    twice = {}
    for name, schema in schemas.items():
        found = _NUMBERED.fullmatch(name)
        if found is not None and schemas.get(found["name"]) == schema:
            twice[SCHEMAS + name] = SCHEMAS + found["name"]
    for reference in twice:
        del schemas[reference.removeprefix(SCHEMAS)]
    if twice:
        _refer(spec, twice)


def _refer(part: Any, instead: Mapping[str, str]) -> None:
    if isinstance(part, dict):
        if part.get("$ref") in instead:
            part["$ref"] = instead[part["$ref"]]
        for each in part.values():
            _refer(each, instead)
    elif isinstance(part, list):
        for each in part:
            _refer(each, instead)


def _problems_have_their_own_type(spec: dict[str, Any]) -> None:
    """What is refused is answered as application/problem+json, and described so."""
    for path in spec.get("paths", {}).values():
        for operation in (each for each in path.values() if isinstance(each, dict)):
            for status, answer in operation.get("responses", {}).items():
                content = answer.get("content", {})
                if str(status) >= "400" and "application/json" in content:
                    content[problems.CONTENT_TYPE] = content.pop("application/json")


def _null_as_a_type(part: Any) -> None:
    """`nullable`, which OpenAPI 3.1 does not know, as a type; a parameter cannot be null: it is left out instead."""
    if isinstance(part, dict):
        if "in" in part and isinstance(schema := part.get("schema"), dict) and schema.pop("nullable", False):
            if schema.get("default", 0) is None:
                del schema["default"]
        elif part.pop("nullable", False):
            part["type"] = [part["type"], "null"]
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _null_as_a_type(each)


def _keys_of_writes(spec: dict[str, Any]) -> None:
    """Every write of ours takes an Idempotency-Key, and says what is answered where that is not right."""
    for path, methods in spec.get("paths", {}).items():
        for method, operation in methods.items():
            if not path.startswith(OURS) or method not in WRITES:
                continue
            parameters = operation.setdefault("parameters", [])
            if not any(each.get("name") == idempotency.HEADER for each in parameters):
                shape = {"type": "string", "minLength": idempotency.SHORTEST, "maxLength": idempotency.LONGEST}
                parameters.append(
                    {"in": "header", "name": idempotency.HEADER, "required": False, "schema": shape,
                     "description": idempotency.SAYS}
                )  # fmt: skip
            answers = operation.setdefault("responses", {})
            content = answers.get("401", {}).get("content", {})
            for status, words in KEY_REFUSED.items():
                if status in answers:
                    answers[status]["description"] += f" {words}"
                else:
                    answers[status] = {"description": words, "content": content}


def _who_may(spec: dict[str, Any], routes: Map, rules: Mapping[str, Rule]) -> None:
    """Each call's security, out of the gate's table; a call of anybody's has none, and is limited by address."""
    paths = spec.get("paths", {})
    answers = [answer for path in paths.values() for each in path.values() for answer in each["responses"].values()]
    refused: dict[str, Any] = next(
        (each["content"] for each in answers if problems.CONTENT_TYPE in each.get("content", {})), {}
    )
    for route in routes.iter_rules():
        rule = rules.get(route.endpoint)
        for method in route.methods or ():
            operation = paths.get(path_of(route.rule), {}).get(method.lower())
            if operation is None or rule is None:
                continue
            if rule.roles is None:
                if route.rule.startswith(OURS):
                    operation["responses"].setdefault("429", {"description": TOO_OFTEN, "content": refused})
                continue
            operation["security"] = [{SESSION: []}]
            if rule.scope is not None:
                operation["security"].insert(0, {TOKEN: [] if rule.scope == ANY_SCOPE else [rule.scope]})
