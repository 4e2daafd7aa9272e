"""Which kinds of building a simulated campus has, how large their loads, plants and batteries are, and how many flats.

    [buildings.dormitory]     percent (of all buildings), load_kw, solar_kwp, battery_kw, battery_kwh
    [buildings.laboratory]    the same
    [buildings.library]       percent, load_kw, solar_kwp
    [buildings.workshop]      percent, load_kw, wind_kw, battery_kw, battery_kwh
    [flats]                   number, load_kw, solar_kwp, solar_every (3: every third flat has panels; 0: none)

Loads and plants are the middle of what is drawn for each building; a battery is as large as it says. Where no kind
names its percent, the kinds come in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from edge_agent.wire.toml import Refuse, Table

MOST_KW = 10_000
MOST_FLATS = 20_000
FLAT = "flat"


@dataclass(frozen=True, slots=True)
class Battery:
    """Its power (W) and what it holds (Wh)."""

    power_w: int
    storage_wh: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """The greatest load and the plants of a kind of building, W, before one is drawn larger and another smaller."""

    load_w: int
    solar_w: int = 0
    wind_w: int = 0
    battery: Battery | None = None


USUAL = MappingProxyType(
    {
        "dormitory": Sizes(45_000, solar_w=90_000, battery=Battery(25_000, 80_000)),
        "laboratory": Sizes(80_000),
        "library": Sizes(40_000, solar_w=70_000),
        "workshop": Sizes(50_000, wind_w=90_000, battery=Battery(25_000, 80_000)),
        FLAT: Sizes(2_500, solar_w=1_800),
    }
)
KINDS = tuple(kind for kind in USUAL if kind != FLAT)
SOLAR, BATTERY = ("dormitory", "laboratory", "library", FLAT), ("dormitory", "laboratory", "workshop")
"""Which kinds may have panels, and which a battery; a workshop alone has wind."""


@dataclass(frozen=True)
class Mix:
    """percent: of each kind, or None for all in turn. flats: None where the command's --members says how many."""

    sizes: Mapping[str, Sizes] = field(default_factory=lambda: dict(USUAL))
    percent: Mapping[str, int] | None = None
    flats: int | None = None
    solar_every: int = 3

    def kinds(self, buildings: int) -> list[str]:
        """The kind of each building: always the one that lacks most to its share, so that a campus grows evenly."""
        shares = self.percent or dict.fromkeys(KINDS, 1)
        whole, had = sum(shares.values()), dict.fromkeys(shares, 0)
        found: list[str] = []
        for number in range(1, buildings + 1):
            kind = max(shares, key=lambda each: shares[each] * number - had[each] * whole)
            had[kind] += 1
            found.append(kind)
        return found


def read(top: Table, refuse: Refuse) -> Mix:
    """The mix of a scenario, out of its file's top."""
    tables = Table(top.take("buildings", {}), "buildings", refuse)
    sizes, percent = dict(USUAL), {}
    for kind in KINDS:
        table = Table(tables.take(kind, {}), f"[buildings.{kind}]", refuse)
        if table.has("percent"):
            percent[kind] = table.integer("percent", 0, 0, 100)
        sizes[kind] = _sizes(table, kind)
        table.done()
    tables.done()
    if percent and sum(percent.values()) != 100:
        listed = ", ".join(f"{kind} {share}" for kind, share in percent.items())
        raise top.error("buildings", f"percent should sum up to 100, and {listed} come to {sum(percent.values())}")
    flats = Table(top.take("flats", {}), "[flats]", refuse)
    number = flats.integer("number", 0, 0, MOST_FLATS) if flats.has("number") else None
    every = flats.integer("solar_every", Mix().solar_every, 0, MOST_FLATS)
    sizes[FLAT] = _sizes(flats, FLAT)
    flats.done()
    # a kind of which there is none stays out, and the others keep their order
    shares = {kind: percent[kind] for kind in KINDS if percent.get(kind)}
    return Mix(sizes, shares or None, number, every)


def _sizes(table: Table, kind: str) -> Sizes:
    usual = USUAL[kind]
    found = replace(usual, load_w=_watts(table, "load_kw", usual.load_w, least=100))
    if kind in SOLAR:
        found = replace(found, solar_w=_watts(table, "solar_kwp", usual.solar_w))
    if kind == "workshop":
        found = replace(found, wind_w=_watts(table, "wind_kw", usual.wind_w))
    if kind in BATTERY:
        before = usual.battery or Battery(0, 0)
        power = _watts(table, "battery_kw", before.power_w)
        storage = _watts(table, "battery_kwh", before.storage_wh)
        if bool(power) != bool(storage):
            raise table.error("battery_kw", "and battery_kwh should both be above 0, or both 0 for no battery")
        found = replace(found, battery=Battery(power, storage) if power else None)
    return found


def _watts(table: Table, key: str, usual: int, least: int = 0) -> int:
    """A number of kW or kWh as whole W or Wh."""
    value = table.take(key, usual / 1_000)
    if type(value) not in (int, float) or not least <= value * 1_000 <= MOST_KW * 1_000:  # nan is not either
        raise table.error(key, f"{value!r} should be a number from {least / 1_000:g} to {MOST_KW:,}")
    watts: int = round(value * 1_000)
    return watts
