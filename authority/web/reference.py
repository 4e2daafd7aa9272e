"""The API's description for people, out of its own OpenAPI document: no viewer from a CDN, no script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authority.api.description import TOKEN

JSON = "application/json"
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter or a field: its path in the object, its type in words and what it means."""

    name: str
    kind: str
    description: str
    depth: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API. name is its operationId, needs who may make it, in words.

    sent is the body of the request, fields that of the answer; examples are JSON, empty where there are none.
    """

    name: str
    needs: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Row, ...]
    sent: tuple[Row, ...]
    sent_example: str
    fields: tuple[Row, ...]
    example: str
    responses: tuple[tuple[str, str], ...]


def operations(spec: dict[str, Any]) -> list[Operation]:
    """The calls that an OpenAPI document describes, in its order."""
    return [
        Operation(
            call.get("operationId", ""),
            _needs(call.get("security", [])),
            method.upper(),
            path,
            call.get("summary", ""),
            call.get("description", ""),
            tuple(
                Row(p["name"], _kind(p.get("schema", {}), spec), p.get("description", ""), 0)
                for p in call.get("parameters", [])
            ),
            *_body(call.get("requestBody", {}), spec),
            *_body(_answer(call), spec),
            tuple((str(status), r.get("description", "")) for status, r in call.get("responses", {}).items()),
        )
        for path, item in spec.get("paths", {}).items()
        for method, call in item.items()
        if method in METHODS
    ]


def _needs(security: list[dict[str, list[str]]]) -> str:
    scopes = [scope for each in security for scope in each.get(TOKEN, ())]
    if scopes:
        return f"who is signed in, or a token with the scope {', '.join(scopes)}"
    if any(TOKEN in each for each in security):
        return "who is signed in, or any token"
    return "who is signed in; no token" if security else "anybody"


def _answer(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is answered where the call succeeds, whatever its status."""
    found = (answer for status, answer in call.get("responses", {}).items() if str(status).startswith("2"))
    return next(found, {})


def _body(part: Mapping[str, Any], spec: dict[str, Any]) -> tuple[tuple[Row, ...], str]:
    """The fields of a body in JSON, and its example."""
    content = part.get("content", {}).get(JSON, {})
    examples = [each.get("value") for each in content.get("examples", {}).values()]
    example = content.get("example", examples[0] if examples else None)
    text = "" if example is None else json.dumps(example, indent=2, ensure_ascii=False)
    return tuple(_rows(content.get("schema", {}), spec, 0)), text


def _resolved(schema: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    for part in schema.get("allOf") or [
        alternative for alternative in schema.get("anyOf", []) if alternative != {"type": "null"}
    ]:
        return _resolved(part, spec)
    reference = schema.get("$ref", "")
    if reference.startswith("#/components/schemas/"):
        found: dict[str, Any] = spec["components"]["schemas"][reference.rsplit("/", 1)[1]]
        return found
    return schema


def _kind(schema: dict[str, Any], spec: dict[str, Any]) -> str:
    inner = _resolved(schema, spec)
    words = inner.get("type", "object")
    names = [word for word in (words if isinstance(words, list) else [words]) if word != "null"]
    text = " or ".join(names)
    if text == "array":
        text = f"list of {_kind(inner.get('items', {}), spec)}"
    nullable = (isinstance(words, list) and "null" in words) or {"type": "null"} in schema.get("anyOf", [])
    return f"{text} or null" if nullable else text


def _rows(schema: dict[str, Any], spec: dict[str, Any], depth: int) -> list[Row]:
    rows: list[Row] = []
    for name, field in _resolved(schema, spec).get("properties", {}).items():
        inner = _resolved(field, spec)
        described = field.get("description") or inner.get("description", "")
        choices = [str(choice) for choice in inner.get("enum", []) if choice is not None]
        rows.append(
            Row(name, _kind(field, spec), described + (f" One of: {', '.join(choices)}." if choices else ""), depth)
        )
        rows += _rows(inner.get("items", inner) if inner.get("type") == "array" else inner, spec, depth + 1)
    return rows
