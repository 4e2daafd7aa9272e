"""The programs' IDLs in the older form (before spec 0.1.0) that clients such as anchorpy 0.21.0 read.

The older form names things in camelCase, says `isMut` and `isSigner`, keeps an account's type inside the account, and
has no discriminators: its readers derive them from the names (SHA-256 of `global:name` and `account:Name`). An IDL
whose discriminators are not those derived ones cannot be exported, and is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any


class NotExportableError(Exception):
    """An IDL says something that the older form cannot; the message says what."""


def camel(name: str) -> str:
    """snake_case to camelCase; a digit group stays where it is (`padding_2` is `padding2`)."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def discriminator(space: str, name: str) -> list[int]:
    """The first eight bytes of SHA-256 of `space:name`, as the older clients derive them."""
    return list(hashlib.sha256(f"{space}:{name}".encode()).digest()[:8])


def legacy_type(node: Any) -> Any:
    """A field's type: `pubkey` was `publicKey`, and a defined type was named without its generics."""
    if isinstance(node, str):
        return "publicKey" if node == "pubkey" else node
    if "defined" in node:
        return {"defined": node["defined"]["name"]}
    if "array" in node:
        return {"array": [legacy_type(node["array"][0]), node["array"][1]]}
    for wrapper in ("vec", "option"):
        if wrapper in node:
            return {wrapper: legacy_type(node[wrapper])}
    raise NotExportableError(f"no older form of the type {node!r}")


def with_docs(source: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Keep the docs where there are any."""
    return {**result, "docs": source["docs"]} if source.get("docs") else result


def fields(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """A struct's fields; NotExportableError for tuples."""
    result = []
    for field in entry.get("fields", []):
        if not isinstance(field, dict):
            raise NotExportableError("a tuple struct has no older form")
        result.append(with_docs(field, {"name": camel(field["name"]), "type": legacy_type(field["type"])}))
    return result


def legacy_definition(entry: dict[str, Any]) -> dict[str, Any]:
    """A type's definition: a struct, or an enum of unit variants."""
    kind = entry["type"]["kind"]
    if kind == "struct":
        return {"kind": "struct", "fields": fields(entry["type"])}
    if kind == "enum" and all("fields" not in variant for variant in entry["type"]["variants"]):
        return {"kind": "enum", "variants": [{"name": variant["name"]} for variant in entry["type"]["variants"]]}
    raise NotExportableError(f"no older form of {entry['name']}, a {kind}")


def convert(idl: dict[str, Any]) -> dict[str, Any]:
    """One IDL of spec 0.1.0 in the older form; NotExportableError where it has none."""
    types = {entry["name"]: entry for entry in idl.get("types", [])}
    accounts = {account["name"]: account for account in idl.get("accounts", [])}
    events = {event["name"]: event for event in idl.get("events", [])}
    for space, entries in (("global", idl["instructions"]), ("account", accounts.values()), ("event", events.values())):
        for entry in entries:
            if list(entry["discriminator"]) != discriminator(space, entry["name"]):
                raise NotExportableError(f"the discriminator of {entry['name']} is not derived from its name")
    return {
        "version": idl["metadata"]["version"],
        "name": idl["metadata"]["name"],
        "docs": idl.get("docs", []),
        "instructions": [
            with_docs(
                instruction,
                {
                    "name": camel(instruction["name"]),
                    "accounts": [
                        with_docs(
                            account,
                            {
                                "name": camel(account["name"]),
                                "isMut": account.get("writable", False),
                                "isSigner": account.get("signer", False),
                                **({"isOptional": True} if account.get("optional") else {}),
                            },
                        )
                        for account in instruction["accounts"]
                    ],
                    "args": fields({"fields": instruction["args"]}),
                },
            )
            for instruction in idl["instructions"]
        ],
        "accounts": [
            with_docs(types[name], {"name": name, "type": legacy_definition(types[name])}) for name in sorted(accounts)
        ],
        "types": [
            with_docs(entry, {"name": name, "type": legacy_definition(entry)})
            for name, entry in sorted(types.items())
            if name not in accounts and name not in events
        ],
        "events": [
            {"name": name, "fields": [{**field, "index": False} for field in fields(types[name]["type"])]}
            for name in sorted(events)
        ],
        "errors": [
            {"code": error["code"], "name": error["name"], "msg": error.get("msg", "")}
            for error in idl.get("errors", [])
        ],
        "metadata": {"address": idl["address"]},
    }


def render(idl: dict[str, Any]) -> str:
    """The file's text: short lists of numbers on one line."""
    text = json.dumps(convert(idl), indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+(\d+(?:,\s+\d+)*)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text) + "\n"
