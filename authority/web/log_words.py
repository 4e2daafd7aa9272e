"""An entry of the log for people: names in words, energies in kWh, money in credits, moments on the site's clock."""

from __future__ import annotations

import json
from collections.abc import Callable

from authority.figures import credits, credits_per_kwh, kilowatt_hours

PRICES = frozenset({"price", "sell_at", "buy_at", "feed_in_price", "retail_price", "wheeling", "clearing_price"})
AMOUNTS = frozenset({"amount", "due", "credits", "fees", "refund"})
ENERGIES = frozenset({"wh", "generation", "consumption", "charge", "discharge", "quantity", "reserve"})
MOMENTS = frozenset({"time", "until", "boundary", "since", "interval_end"})
FIRST_MOMENT = 10**9
"""Before it a number is no moment (Unix seconds) of this century."""


def told(text: str, epoch_seconds: int, at: Callable[[int], str]) -> list[tuple[str, str]]:
    """What an entry says as pairs of a name and a value; none where it is no JSON object."""
    try:
        found = json.loads(text)
    except ValueError:
        return []
    if not isinstance(found, dict):
        return []
    asset = found.get("asset")
    return [pair for name, value in found.items() for pair in _pairs(name, value, asset, epoch_seconds, at)]


def _pairs(
    name: str, value: object, asset: object, epoch_seconds: int, at: Callable[[int], str]
) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        inner = [pair for each, one in value.items() for pair in _pairs(each, one, asset, epoch_seconds, at)]
        return [(f"{_words(name)}, {each}", one) for each, one in inner]
    return [(_words(name), _value(name, value, asset, epoch_seconds, at))]


def _words(name: str) -> str:
    """A name without its unit, which the value has."""
    if name == "wh":
        return "energy"
    for end in ("_micro_credits_per_kwh", "_micro_credits", "_wh", "_bps"):
        name = name.removesuffix(end)
    return name.replace("_", " ")


def _value(name: str, value: object, asset: object, epoch_seconds: int, at: Callable[[int], str]) -> str:
    if isinstance(value, list):
        return ", ".join(_value(name, each, asset, epoch_seconds, at) for each in value) or "\N{EN DASH}"
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int):
        return str(value)
    if name.endswith("_micro_credits_per_kwh") or name in PRICES:
        return f"{credits_per_kwh(value)} credits per kWh"
    if name == "amount" and asset == "energy":
        return kilowatt_hours(value)
    if name.endswith("_micro_credits") or name in AMOUNTS:
        return f"{credits(value)} credits"
    if name.endswith("_wh") or name in ENERGIES:
        return kilowatt_hours(value)
    if name.endswith("_bps"):
        return f"{value / 100:g} %"
    if name == "epoch" or name.endswith("_epoch"):
        return f"{value} ({at(value * epoch_seconds)})"
    if value >= FIRST_MOMENT and (name in MOMENTS or name.endswith("_at")):
        return at(value)
    return str(value)
