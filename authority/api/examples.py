"""Examples of bodies where a view gives none of its own: made of their schemas, with figures that such fields have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEMAS = "#/components/schemas/"
NOW, EPOCH = 1_782_029_700, 1_980_033
WALLET = "7yFvX1tmc6YqC5rV3tS9sM2n1dUo8QGk4hEJbZpWaLcR"
PRICE = 240_000
NUMBERS: Mapping[str, int] = {
    "sell_at": PRICE,
    "buy_at": PRICE,
    "price": PRICE,
    "worth_buying_up_to": PRICE,
    "ends_at": NOW + 900,
    "_ms": NOW * 1_000,
    "_seconds": 900,
    "_per_kwh": PRICE,
    "micro_credits": 1_200_000,
    "_wh": 1_200,
    "_w": 450,
    "_at": NOW,
    "_end": NOW,
    "_until": NOW,
    "starts": NOW,
    "ends": NOW + 900,
    "until": NOW,
    "from": NOW,
    "time": NOW,
    "at": NOW,
    "epoch": EPOCH,
    "period": 3,
    "number": 17,
    "bill": 17,
    "days": 30,
}
"""By the end of a field's name."""
TEXTS: Mapping[str, str] = {
    "starts": "2026-06-21T10:15:00+02:00",
    "ends": "2026-06-21T10:30:00+02:00",
    "network_id": "c0" * 16,
    "wallet": WALLET,
    "sha256": "5d" * 32,
    "hash": "5d" * 32,
    "root": "a7" * 32,
    "signature": "5d" * 32,
    "member": "Dormitory A",
    "building": "Dormitory A",
    "meter": "gw-1/pv",
    "pseudonym": "person-4d1f00c2a7e9b318",
    "by": "person-4d1f00c2a7e9b318",
    "zone": "Europe/Berlin",
    "name": "Dormitory A",
    "role": "building",
    "source": "solar",
    "day": "2026-06-01",
    "first": "2026-06-01",
    "last": "2026-06-02",
    "reference": "RF18000000017",
    "url": "https://example.org/hook",
    "token": "1f2e3d4c5b6a7988",
    "secret": "shown-this-once",
    "next": "17",
    "code": "K7Q2M",
    "transaction": "AQAB",
    "campus": "North campus",
    "says": "",
    "error": "",
    "told": "",
    "message": "",
}


_OPENADR_HEAD = {
    "createdDateTime": "2026-06-20T22:00:00Z",
    "modificationDateTime": "2026-06-21T08:15:00Z",
}
_OPENADR_PROGRAM = {
    "id": "market",
    **_OPENADR_HEAD,
    "objectType": "PROGRAM",
    "programName": "market",
    "programLongName": "What the market's books were cleared at",
    "retailerName": "North campus",
    "programType": "PRICING_TARIFF",
    "timeZoneOffset": "PT1H",
    "bindingEvents": True,
    "localPrice": False,
    "payloadDescriptors": [
        {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "PRICE", "units": "KWH", "currency": "EUR"}
    ],
}
_OPENADR_EVENT = {
    "id": "market-2026-06-21",
    **_OPENADR_HEAD,
    "objectType": "EVENT",
    "programID": "market",
    "eventName": "market-2026-06-21",
    "priority": None,
    "targets": None,
    "reportDescriptors": None,
    "payloadDescriptors": _OPENADR_PROGRAM["payloadDescriptors"],
    "intervalPeriod": {"start": "2026-06-20T22:00:00Z", "duration": "P1D", "randomizeStart": None},
    "intervals": [
        {
            "id": 0,
            "intervalPeriod": {"start": "2026-06-21T08:15:00Z", "duration": "PT15M", "randomizeStart": None},
            "payloads": [{"type": "PRICE", "values": [0.24]}],
        }
    ],
}
OF_CALLS: Mapping[str, Any] = {
    "list_openadr_programs": [_OPENADR_PROGRAM],
    "get_openadr_program": _OPENADR_PROGRAM,
    "list_openadr_events": [_OPENADR_EVENT],
    "get_openadr_event": _OPENADR_EVENT,
    "get_my_bill": {"number": 17, "period": 3, "member": WALLET, "due": 6_360_000, "lines": []},
    "get_my_bill_so_far": {
        "number": 0,
        "period": 4,
        "member": WALLET,
        "due": 2_120_000,
        "lines": [],
        "settled_until": NOW,
    },
}
"""Of the calls whose answers are of another standard, or documents of their own; by operationId."""


def of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:
    """An example of what a schema describes, the field of this name; None where it says nothing."""
    if "$ref" in schema:
        return of(schemas[str(schema["$ref"]).removeprefix(SCHEMAS)], schemas, name)
    for part in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
        if part != {"type": "null"}:
            return of(part, schemas, name)
    kind = schema.get("type")
    optional = isinstance(kind, list)
    if optional:
        kind = next(each for each in schema["type"] if each != "null")
    if choices := [each for each in schema.get("enum", ()) if each is not None]:
        return choices[0]
    if kind == "object":
        return {field: of(inner, schemas, field) for field, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [of(schema.get("items", {}), schemas, name.removesuffix("s"))]
    if kind in ("integer", "number"):
        found = next((value for end, value in NUMBERS.items() if name.endswith(end)), 2)
        found = min(max(found, schema.get("minimum", found)), schema.get("maximum", found))
        return found if kind == "integer" else float(found)
    if kind == "boolean":
        return False
    if kind != "string":
        return None
    if schema.get("format") == "date":
        return TEXTS["day"]
    return next((text for end, text in TEXTS.items() if name.endswith(end)), None if optional else name)
