"""What is signed and shown of what a meter shows: units that are stated or not, sums, powers, and names."""

from __future__ import annotations

import pytest

from edge_agent.meters import MapMismatchError
from edge_agent.meters.registers import own_name, power_w, register_wh
from edge_agent.wire.meter_map import MeterMap, MeterMapError


def source(*terms):
    told = list(terms[0]) if len(terms) == 1 else [list(term) for term in terms]
    entries = {"capture_period": 900, "logical_device_name": "m", "registers": {"consumption": told}}
    return MeterMap.from_dict(entries).registers["consumption"]


def wh(value, unit, *term, ratio=(1, 1)):
    return register_wh("consumption", source(term or ("1-0:1.8.0.255", 1)), ratio, {"1-0:1.8.0.255": (value, unit)})


def test_a_unit_that_the_meter_states():
    assert wh("0001234.567", "kWh") == 1234567
    assert wh("12.9", "Wh", ratio=(10, 1)) == 129
    assert wh("-5", "Wh", "1-0:1.8.0.255", -1, ratio=(1, 2)) == 2
    for value, unit, sign in (("1", "kW", 1), ("x", "kWh", 1), (None, "Wh", 1), ("1", "Wh", -1)):
        with pytest.raises(MapMismatchError):
            wh(value, unit, "1-0:1.8.0.255", sign)


@pytest.mark.finding("edge-11")
def test_a_unit_that_nobody_states_is_refused():
    with pytest.raises(MapMismatchError, match="display"):
        wh("13925.5", None)
    assert wh("13925.5", None, "1-0:1.8.0.255", 1, "kWh") == 13925500


@pytest.mark.finding("edge-13")
def test_a_unit_that_the_map_states_leaves_power_alone():
    assert wh("8582328", None, "1-0:1.8.0.255", 1, "10 Wh") == 85823280
    assert power_w({"1-1:1.7.0.255": ("1247", "W")}, (1, 1)) == 1247
    with pytest.raises(MapMismatchError, match="the map says 10 Wh"):
        wh("1", "Wh", "1-0:1.8.0.255", 1, "10 Wh")
    assert wh("1", "kWh", "1-0:1.8.0.255", 1, "kWh") == 1000


@pytest.mark.finding("edge-03")
def test_a_register_is_a_sum():
    two = source(("1-0:1.8.1.255", 1), ("1-0:1.8.2.255", 1))
    shown = {"1-0:1.8.1.255": ("156.167", "kWh"), "1-0:1.8.2.255": ("71.546", "kWh")}
    assert register_wh("consumption", two, (1, 1), shown) == 227713
    less = source(("1-0:1.8.1.255", 1), ("1-0:1.8.2.255", -1, "100 Wh"))
    shown["1-0:1.8.2.255"] = ("10", None)
    assert register_wh("consumption", less, (2, 1), shown) == 2 * (156167 - 1000)
    del shown["1-0:1.8.2.255"]
    with pytest.raises(MapMismatchError, match=r"1\.8\.2"):
        register_wh("consumption", two, (1, 1), shown)


def test_maps_of_sums_and_units_keep_their_form():
    entries = {
        "capture_period": 900,
        "logical_device_name": "E0000000000000001",
        "registers": {"consumption": [["1-0:1.8.1.255", 1], ["1-0:1.8.2.255", 1, "0.1 kWh"]]},
    }
    told = MeterMap.from_dict(entries)
    assert told.to_dict()["registers"] == entries["registers"]
    assert MeterMap.from_json(told.canonical()) == told
    for wrong in (
        ["1-0:1.8.0.255", 1, "kW"],
        ["1-0:1.8.0.255", 1, "0 Wh"],
        ["1-0:1.8.0.255", 1, 10],
        [["1-0:1.8.0.255", 1], ["1-0:1.8.0.255", 1]],
        [["1-0:1.8.0.255"]],
        [[]],
    ):
        with pytest.raises(MeterMapError):
            MeterMap.from_dict({**entries, "registers": {"consumption": wrong}})


def test_power_has_a_unit_or_is_not_shown():
    assert power_w({"1-0:1.7.0.255": ("1.5", "kW"), "1-0:2.7.0.255": ("0.25", "kW")}, (2, 1)) == 2500
    assert power_w({"1-0:16.7.0.255": ("-300", "W")}, (1, 1)) == -300
    assert power_w({"1-0:1.7.0.255": ("300", None)}, (1, 1)) is None
    assert power_w({"1-0:1.7.0.255": ("300", None)}, (1, 1), "W") == 300
    assert power_w({"1-0:1.7.0.255": ("lots", "W")}, (1, 1)) is None


@pytest.mark.finding("edge-02")
@pytest.mark.finding("edge-21")
def test_the_name_of_a_meter_that_tells_no_number():
    assert own_name("17", ("KAM5",), None, "garage") == "17"
    assert own_name(None, ("KAM5",), None, "KAM5") == "KAM5"
    assert own_name(None, ("KAM5",), None, "garage") == "garage"
    assert own_name(None, ("LGZ5",), None, "KAM5") == "LGZ5"
    assert own_name(None, ("ISK5\\2M550T-1012",), None, "ISK5\\2M550E-1012") == "ISK5\\2M550T-1012"
    assert own_name(None, (), bytes.fromhex("4c475a0001020304"), "garage") == "4c475a0001020304"
    assert own_name(None, (), bytes.fromhex("4c475a0001020304"), "4C475A0001020304") == "4C475A0001020304"
    assert own_name(None, (), None, "garage") == "garage"
