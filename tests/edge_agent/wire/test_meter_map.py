import hashlib
import json

import pytest

from edge_agent.wire.meter_map import MeterMap, MeterMapError

MAP = {
    "capture_period": 900,
    "clock": "deviation",
    "logical_device_name": "KFM1000000000001",
    "profile": "1-0:99.1.0.255",
    "ratio": [1, 1],
    "registers": {"generation": ["1-0:2.8.0.255", 1]},
    "rollover_wh": None,
    "version": 1,
}


def test_the_canonical_form_is_that_of_the_protocol_page():
    canonical = MeterMap.from_dict(MAP).canonical()
    assert canonical == (
        b'{"capture_period":900,"clock":"deviation","logical_device_name":"KFM1000000000001",'
        b'"profile":"1-0:99.1.0.255","ratio":[1,1],"registers":{"generation":["1-0:2.8.0.255",1]},'
        b'"rollover_wh":null,"version":1}'
    )
    assert MeterMap.from_dict(MAP).hash() == hashlib.sha256(canonical).digest()


def test_the_order_of_keys_and_left_out_defaults_do_not_change_the_hash():
    short = {
        "registers": {"generation": ("1-0:2.8.0.255", 1)},
        "logical_device_name": "KFM1000000000001",
        "capture_period": 900,
    }
    assert MeterMap.from_dict(short).hash() == MeterMap.from_dict(MAP).hash()
    assert MeterMap.from_json(json.dumps(MAP, indent=3)).hash() == MeterMap.from_dict(MAP).hash()


def test_a_canonical_map_reads_back_as_itself():
    whole = {
        **MAP,
        "clock": "Europe/Vienna",
        "ratio": [250, 5],
        "rollover_wh": 10**9,
        "registers": {"discharge": ["1-0:2.8.0.255", -1], "charge": ["1-0:1.8.0.255", 1]},
    }
    made = MeterMap.from_dict(whole)
    assert MeterMap.from_json(made.canonical()) == made
    assert list(made.registers) == ["charge", "discharge"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"capture_period": 0}, "capture_period"),
        ({"capture_period": 900.0}, "capture_period"),
        ({"capture_period": True}, "capture_period"),
        ({"clock": "Mars/Olympus"}, "clock"),
        ({"clock": "../etc/passwd"}, "clock"),
        ({"clock": 3}, "clock"),
        ({"logical_device_name": ""}, "logical_device_name"),
        ({"logical_device_name": "x" * 65}, "logical_device_name"),
        ({"logical_device_name": "käse"}, "logical_device_name"),
        ({"profile": "99.1.0"}, "profile"),
        ({"profile": "1-0:99.1.0.256"}, "profile"),
        ({"profile": "1-0:99.01.0.255"}, "profile"),
        ({"ratio": [0, 1]}, "ratio"),
        ({"ratio": [1, 1, 1]}, "ratio"),
        ({"ratio": "1:1"}, "ratio"),
        ({"registers": {}}, "registers"),
        ({"registers": ["generation"]}, "registers"),
        ({"registers": {"reactive": ["1-0:3.8.0.255", 1]}}, "registers.reactive"),
        ({"registers": {"generation": ["1-0:2.8.0.255", 2]}}, "registers.generation"),
        ({"registers": {"generation": "1-0:2.8.0.255"}}, "registers.generation"),
        (
            {"registers": {"generation": ["1-0:2.8.0.255", 1], "discharge": ["1-0:2.8.0.255", 1]}},
            "registers.discharge",
        ),
        ({"rollover_wh": 0}, "rollover_wh"),
        ({"rollover_wh": 1e9}, "rollover_wh"),
        ({"version": 2}, "version"),
        ({"version": True}, "version"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_entry_is_named(change, key):
    with pytest.raises(MeterMapError) as caught:
        MeterMap.from_dict({**MAP, **change})
    assert caught.value.key == key
    assert key in str(caught.value)


@pytest.mark.parametrize("missing", ["capture_period", "logical_device_name", "registers"])
def test_a_missing_entry_is_named(missing):
    data = {key: value for key, value in MAP.items() if key != missing}
    with pytest.raises(MeterMapError, match=f"{missing}: missing"):
        MeterMap.from_dict(data)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, b"\xff"])
def test_text_that_is_no_map_is_refused(text):
    with pytest.raises(MeterMapError):
        MeterMap.from_json(text)


def test_profiles_of_increments():
    whole = {**MAP, "profile_kind": "increments", "registers": {"generation": ["1-0:2.29.0.255", 1]}}
    made = MeterMap.from_dict(whole)
    assert b'"profile":"1-0:99.1.0.255","profile_kind":"increments",' in made.canonical()
    assert MeterMap.from_json(made.canonical()) == made
    assert MeterMap.from_dict({**MAP, "profile_kind": "cumulative"}).hash() == MeterMap.from_dict(MAP).hash()
    for change, key in (
        ({"profile_kind": "deltas"}, "profile_kind"),
        ({"profile_kind": None}, "profile_kind"),
        ({"registers": {"generation": ["1-0:2.7.0.255", 1]}}, "registers.generation"),
        ({"registers": {"charge": ["1-0:1.8.0.255", 1], "discharge": ["1-0:1.29.0.255", 1]}}, "registers.discharge"),
    ):
        with pytest.raises(MeterMapError) as caught:
            MeterMap.from_dict({**whole, **change})
        assert caught.value.key == key
