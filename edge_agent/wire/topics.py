"""The MQTT topics between gateways and the authority (docs/PROTOCOL.md, "MQTT 5")."""

from __future__ import annotations

ROOT = "ami/v1"
SESSION_SECONDS = 7 * 86_400
"""How long the broker keeps what it could not deliver."""

READING, READINGS, LIVE, STATUS, RECEIPT, COMMAND = "reading", "readings", "live", "status", "receipt", "command"
"""A reading is of the topic's meter; readings are frames of any of a gateway's meters, a boundary in one message."""

QOS = {READING: 1, READINGS: 1, LIVE: 0, STATUS: 1, RECEIPT: 1, COMMAND: 1}
"""Quality of service of each kind; only status is retained."""
OF_A_METER = (READING, LIVE)
"""Kinds whose topic names the meter."""
FROM_GATEWAYS = (READING, READINGS, LIVE, STATUS)
TO_GATEWAYS = (RECEIPT, COMMAND)

MARKET_PRICE = "campus/v1/market/price"
"""What buildings are told of the market, for every client of the broker; retained."""

ANY = "+"
"""MQTT's wildcard for one level."""


def topic(kind: str, gateway: str, meter: str = ANY) -> str:
    """The topic of a kind: `ami/v1/{gateway}/{meter}/reading` and live, `ami/v1/{gateway}/status` and the rest.

    A name may be a wildcard (ANY), or what a broker's access list puts in its place.
    """
    return f"{ROOT}/{gateway}/{meter}/{kind}" if kind in OF_A_METER else f"{ROOT}/{gateway}/{kind}"


def budget(gateway: str) -> str:
    """What a building may spend, for its own gateway; retained. A name may be a wildcard, as in `topic`."""
    return f"campus/v1/gateways/{gateway}/budget"


def parse(text: str) -> tuple[str, str, str | None] | None:
    """Kind, gateway and meter (None where the kind has none) of a topic; None where it is not one of ours."""
    if not text.startswith(ROOT + "/"):
        return None
    names = text[len(ROOT) + 1 :].split("/")
    kind = names[-1]
    if kind not in QOS or len(names) != (3 if kind in OF_A_METER else 2) or not all(names):
        return None
    return kind, names[0], names[1] if kind in OF_A_METER else None
