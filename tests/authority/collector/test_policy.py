"""Each held code: the smallest reading that breaks the rule, and the nearest one that does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from authority.collector import sun
from authority.collector.policy import MeterFacts, check
from authority.home.settings import Settings, SiteSettings
from edge_agent.wire.reading import CLOCK_DEVIATION_UNKNOWN, CODE_NUMBERS, FLAG_REGISTER_RESET, Record

NOW = 1_782_000_000
SETTINGS = Settings()
PV = MeterFacts(active=True, role="generation", source=1, nameplate_w=10_000, storage_wh=0)
BATTERY = MeterFacts(active=True, role="storage", source=0, nameplate_w=10_000, storage_wh=1_000)
GRID = MeterFacts(active=True, role="grid", source=0, nameplate_w=10_000, storage_wh=0)
LOAD = MeterFacts(active=True, role="load", source=0, nameplate_w=10_000, storage_wh=0)
SUBMETER = MeterFacts(active=True, role="submeter", source=0, nameplate_w=10_000, storage_wh=0)
BUILDING = MeterFacts(active=True, role="building", source=1, nameplate_w=10_000, storage_wh=5_000)


def record(**changes: Any) -> Record:
    values: dict[str, Any] = {
        "sequence": 2,
        "network_id": bytes(8),
        "interval_end": NOW,
        "generation": 1_000,
        "consumption": 1_000,
        "charge": 1_000,
        "discharge": 1_000,
        "interval_seconds": 900,
        "source": 1,
        "clock_deviation": 0,
    }
    return Record(**{**values, **changes})


LAST = record(sequence=1, interval_end=NOW - 900)
LIMIT = 10_000 * 900 * 11 // (3_600 * 10) + 1  # Wh in a quarter of an hour at nameplate and a tenth, and rounding


def code(meter: MeterFacts, last: Record | None = LAST, settings: Settings = SETTINGS, **changes: Any) -> str:
    changes.setdefault("source", meter.source)
    return check(record(**changes), last, meter, settings, NOW)


@pytest.mark.parametrize(
    ("expected", "meter", "changes"),
    [
        ("ok", PV, {}),
        ("ok", PV, {"generation": 1_000 + LIMIT}),
        ("exceeds_nameplate", PV, {"generation": 1_001 + LIMIT}),
        ("exceeds_nameplate", LOAD, {"consumption": 1_001 + LIMIT}),
        ("exceeds_nameplate", PV, {"generation": 2**64 - 1}),
        ("register_decreased", PV, {"generation": 999}),
        ("register_decreased", BUILDING, {"generation": 1_100, "discharge": 999}),
        ("register_not_permitted", PV, {"consumption": 1_001}),
        ("register_not_permitted", PV, {"charge": 1_001}),
        ("register_not_permitted", LOAD, {"generation": 1_001}),
        ("register_not_permitted", GRID, {"discharge": 1_001}),
        ("register_not_permitted", BATTERY, {"generation": 1_001}),
        ("ok", GRID, {"generation": 1_100, "consumption": 1_100}),
        ("ok", SUBMETER, {"generation": 1_100, "consumption": 1_100, "charge": 1_100}),
        ("ok", BUILDING, {"generation": 1_100, "consumption": 1_100, "charge": 1_100, "discharge": 1_100}),
        ("source_mismatch", PV, {"source": 2}),
        ("source_mismatch", LOAD, {"source": 1}),
        ("interval_not_aligned", PV, {"interval_end": NOW - 1}),
        ("interval_not_aligned", PV, {"interval_seconds": 899}),
        ("interval_not_aligned", PV, {"interval_end": NOW - 900}),
        ("interval_not_aligned", PV, {"interval_end": NOW - 1800}),
        ("interval_in_future", PV, {"interval_end": NOW + 900}),
        ("interval_in_future", PV, {"interval_end": (2**63 - 1) // 900 * 900}),
        ("interval_not_aligned", PV, {"interval_end": -(2**63)}),
        ("clock_unsynchronised", PV, {"clock_deviation": 61}),
        ("clock_unsynchronised", PV, {"clock_deviation": -61}),
        ("ok", PV, {"clock_deviation": -60}),
        ("ok", PV, {"clock_deviation": CLOCK_DEVIATION_UNKNOWN}),
        ("ok", BATTERY, {"discharge": 2_101}),
        ("exceeds_storage", BATTERY, {"discharge": 2_102}),
        ("ok", BATTERY, {"charge": 3_202}),  # at most half of it is lost
        ("exceeds_storage", BATTERY, {"charge": 3_203}),
        ("ok", BATTERY, {"charge": 3_000, "discharge": 3_000}),
        ("exceeds_storage", replace(BATTERY, storage_wh=0), {"discharge": 1_002}),
        ("ok", replace(BUILDING, nameplate_w=5_000), {"consumption": 3_000}),  # 8 kW under a roof of 5 kW
        ("exceeds_nameplate", replace(BUILDING, nameplate_w=5_000), {"generation": 3_000}),
        ("register_decreased", PV, {"flags": FLAG_REGISTER_RESET}),
        ("ok", PV, {"register_epoch": 1}),
        ("register_decreased", PV, {"register_epoch": 2}),
        ("meter_inactive", replace(PV, active=False), {"interval_end": 1}),
    ],
)
def test_each_rule_at_its_edge(expected: str, meter: MeterFacts, changes: dict[str, Any]) -> None:
    assert expected == "ok" or expected in CODE_NUMBERS
    assert code(meter, **changes) == expected


def test_a_first_reading_sets_a_baseline_whatever_its_registers() -> None:
    assert code(PV, last=None, generation=2**63, consumption=5) == "ok"


def test_a_longer_step_may_carry_more() -> None:
    earlier = record(sequence=1, interval_end=NOW - 4 * 900)
    assert code(PV, last=earlier, generation=1_000 + 4 * (LIMIT - 1) + 1) == "ok"
    assert code(PV, last=earlier, generation=1_001 + 4 * LIMIT) == "exceeds_nameplate"


def test_the_clock_may_lag_by_the_skew() -> None:
    allowed = record(interval_end=NOW + 900)
    assert check(allowed, LAST, PV, SETTINGS, NOW + 870) == "ok"
    assert check(allowed, LAST, PV, SETTINGS, NOW + 869) == "interval_in_future"


SITE = replace(SETTINGS, site=SiteSettings(known=True, latitude=48.2, longitude=16.4))


def test_solar_generation_at_night_is_implausible_and_by_day_it_is_not() -> None:
    midnight = NOW - 2 * 3_600 // 900 * 900  # 22:00 UTC on 20 June: about midnight solar time at 16 degrees east
    noon = NOW - 13 * 3_600
    for at, expected in ((midnight, "implausible_for_sun_or_wind"), (noon, "ok")):
        last = record(sequence=1, interval_end=at - 900)
        assert code(PV, last, SITE, interval_end=at, generation=1_100) == expected
        assert code(PV, last, SETTINGS, interval_end=at, generation=1_100) == "ok"
        assert code(PV, last, SITE, interval_end=at, generation=1_001) == "ok"
        wind = replace(PV, source=2)
        assert code(wind, last, SITE, interval_end=at, generation=1_100) == "ok"


@pytest.mark.parametrize(
    ("time", "latitude", "longitude", "expected"),
    [
        (1_781_956_800, 51.4769, 0.0, 62.0),  # 20 June 2026 12:00 UTC, Greenwich: near the year's highest
        (1_797_854_400, 51.4769, 0.0, 15.1),  # 21 December 2026 12:00 UTC: near the lowest
        (1_774_008_000, 0.0, 0.0, 88.1),  # 20 March 2026 12:00 UTC, equator: the equation of time is -7.5 minutes
        (1_781_913_600, 51.4769, 0.0, -15.1),  # midnight in June
    ],
)
def test_the_sun_stands_where_it_should(time: int, latitude: float, longitude: float, expected: float) -> None:
    assert abs(sun.elevation(time, latitude, longitude) - expected) < 0.6


def test_a_span_with_any_daylight_is_no_night() -> None:
    midnight = 1_781_913_600
    assert sun.is_night(midnight - 900, midnight, 51.4769, 0.0)
    assert not sun.is_night(midnight, midnight + 12 * 3_600, 51.4769, 0.0)
    assert not sun.is_night(midnight, midnight + 86_401, 51.4769, 0.0)
    assert not sun.is_night(midnight, midnight - 1, 51.4769, 0.0)
