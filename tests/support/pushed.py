"""How the tests of pushed telegrams write an OBIS code, and what they read out of a telegram."""

from __future__ import annotations

from edge_agent.dlms.obis import obis_bytes
from edge_agent.dlms.push.telegram import Keys, Telegram, decode_telegrams


def code(text: str) -> tuple[int, bytes]:
    return (9, obis_bytes(text if ":" in text else f"1-0:{text}.255"))


def only(data: bytes, keys: Keys | None = None, link: str = "auto") -> Telegram:
    (telegram,) = decode_telegrams(data, link, keys)
    return telegram


def said(telegram: Telegram) -> dict[str, str]:
    """Values with their units, by the part of the code that differs."""
    assert telegram.errors == []
    return {
        name.removeprefix("1-0:").removesuffix(".255"): f"{reading.value} {reading.unit or '-'}"
        for name, reading in telegram.values.items()
    }
