"""Profiles as meters of all kinds describe and fill them, and values as exact decimals."""

from __future__ import annotations

import pytest
from fake_line import World

from edge_agent.dlms import axdr
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.cosem.demand_register import DemandRegister
from edge_agent.dlms.cosem.extended_register import ExtendedRegister
from edge_agent.dlms.cosem.profile_generic import ProfileGeneric
from edge_agent.dlms.cosem.register import Register
from edge_agent.dlms.cosem.types import CaptureObject
from edge_agent.dlms.errors import DecodeError
from edge_agent.meters.reader import MeterReader, Profile, read_all, unpack_rows, value_text

CLOCK = CaptureObject(8, "0-0:1.0.0.255", 2)
NULL = (axdr.NULL, None)


def _time(seconds, deviation=-60):
    time = ClockTime.from_unix(1780315200 + seconds, deviation or 0)
    if deviation is None:
        time.deviation = None
    return (axdr.OCTET_STRING, time.to_bytes())


def _read(columns, rows, *extra, period=900):
    """What is read of a meter whose profile has these columns and rows, and which holds the `extra` objects too."""
    world = World()
    profile = next(item for item in world.meter.objects if isinstance(item, ProfileGeneric))
    profile.values.update(buffer=rows, capture_objects=columns, capture_period=period)
    world.meter.objects[-1:-1] = extra  # before the association
    world.line._links.clear()
    world.driver._connection.open()
    return read_all(MeterReader(world.driver._connection))


def test_values():
    for data, scaler, text in (
        ((axdr.UINT32, 1234567), -3, "1234.567"),
        ((axdr.INT32, -5), 2, "-500"),
        ((axdr.FLOAT32, 0.1), 0, "0.1"),
        ((axdr.FLOAT32, 1.5), 3, "1500"),
        ((axdr.FLOAT64, 1e-9), 0, "0.000000001"),
        ((axdr.ENUM, 3), -2, "3"),
        (NULL, 0, None),
        ((axdr.OCTET_STRING, b"abc"), 0, "abc"),
        ((axdr.OCTET_STRING, b"\x00\xff"), 0, "00ff"),
        (_time(0), 0, "2026-06-01T13:00:00+01:00"),
        ((axdr.BOOLEAN, True), 0, "true"),
        ((axdr.BIT_STRING, "101"), 0, "101"),
        ((axdr.STRUCTURE, [(axdr.UINT8, 1), (axdr.VISIBLE_STRING, b"x")]), 0, "[1, x]"),
    ):
        assert value_text(data, scaler) == text


def test_null_data_and_columns_of_every_kind():
    extra = (
        ExtendedRegister(
            "1-0:1.6.0.255", value=(6, 55), scaler_unit=(-1, 27), status=NULL, capture_time=ClockTime.from_unix(0)
        ),
        DemandRegister("1-0:1.4.0.255", current_average_value=(6, 3), last_average_value=(6, 4), scaler_unit=(1, 27)),
        Register("1-0:9.9.9.255", scaler_unit=(0, 30)),
    )
    columns = [
        CLOCK,
        CaptureObject(1, "0-0:96.10.1.255", 2),
        CaptureObject(4, "1-0:1.6.0.255", 2),
        CaptureObject(4, "1-0:1.6.0.255", 5),
        CaptureObject(5, "1-0:1.4.0.255", 3),
        CaptureObject(3, "1-0:7.7.7.255", 2),
    ]
    rows = [
        [_time(0), (axdr.UINT8, 8), (6, 100), _time(-60), (6, 7), (6, 1)],
        [NULL, NULL, (6, 101), NULL, NULL, (6, 2)],
        [NULL, (axdr.UINT8, 0), NULL, _time(60), (6, 8), NULL],
    ]
    found = _read(columns, rows, *extra)
    assert [row["time"] for row in found["profile"]] == [
        "2026-06-01T13:00:00+01:00",
        "2026-06-01T13:15:00+01:00",
        "2026-06-01T13:30:00+01:00",
    ]
    assert found["profile"][1]["values"] == {
        "0-0:96.10.1.255": "8",
        "1-0:1.6.0.255": "10.1",
        "1-0:1.6.0.255:5": "2026-06-01T12:59:00+01:00",
        "1-0:1.4.0.255:3": "70",
        "1-0:7.7.7.255": "2",
    }
    assert found["profile"][2]["values"]["1-0:1.6.0.255"] == "10.1"
    assert found["registers"]["1-0:1.6.0.255"] == {"value": "5.5", "unit": "W"}
    assert found["registers"]["1-0:1.4.0.255"] == {"value": "30", "unit": "W"}
    assert found["registers"]["1-0:9.9.9.255"] == {"value": None, "unit": None, "error": "object_unavailable"}


def test_captured_scalers_and_units_scale_their_own_rows():
    columns = [CLOCK, CaptureObject(3, "1-0:1.8.0.255", 2), CaptureObject(3, "1-0:1.8.0.255", 3)]
    rows = [
        [_time(0), (6, 1234), (2, [(15, -2), (22, 30)])],
        [_time(900), (6, 1235), (2, [(15, 1), (22, 30)])],
    ]
    found = _read(columns, rows)
    assert [row["values"] for row in found["profile"]] == [{"1-0:1.8.0.255": "12.34"}, {"1-0:1.8.0.255": "12350"}]


def test_profiles_without_a_clock_or_without_rows():
    found = _read([CaptureObject(3, "1-0:1.8.0.255", 2)], [[(6, 1)], [(6, 2)]])
    assert [(row["time"], row["values"]["1-0:1.8.0.255"]) for row in found["profile"]] == [(None, "1"), (None, "2")]
    assert _read([CLOCK], [])["profile"] == []
    (row,) = _read([CLOCK, CaptureObject(3, "1-0:1.8.0.255", 2)], [[_time(0, None), NULL]])["profile"]
    assert row == {"time": "2026-06-01T12:00:00", "values": {"1-0:1.8.0.255": None}}


def test_a_meter_that_keeps_its_name_and_its_clock_to_itself():
    world = World()
    world.meter.objects[:] = [
        item for item in world.meter.objects if item.obis not in ("0-0:42.0.0.255", "0-0:1.0.0.255")
    ]
    world.driver._connection.open()
    found = read_all(MeterReader(world.driver._connection))
    assert (found["meter"], found["clock"]) == (None, None)
    assert len(found["profile"]) == 11


@pytest.mark.parametrize("unset", ["00" * 12, "07e5021d04170037ff800000"])
def test_rows_captured_while_the_clock_was_not_set_take_no_others_with_them(unset):
    profile = Profile([CLOCK, CaptureObject(3, "1-0:1.8.0.255", 2)], 900)
    late = (axdr.OCTET_STRING, bytes.fromhex("07ea0601" + "01180000" + "00ffc400"))
    items = [[(axdr.OCTET_STRING, bytes.fromhex(unset)), (6, 1)], [_time(0), (6, 2)], [late, (6, 3)]]
    rows = unpack_rows((axdr.ARRAY, [(axdr.STRUCTURE, item) for item in items]), profile)
    assert [(row.time and row.time.iso(), row.values[1][1]) for row in rows] == [
        (None, 1),
        ("2026-06-01T13:00:00+01:00", 2),
        ("2026-06-02T00:00:00+01:00", 3),
    ]


def test_differences_to_the_row_above():
    profile = Profile([CLOCK, CaptureObject(3, "1-0:1.8.0.255", 2)], 900)
    values = [(6, 5_000_000), (axdr.DELTA_UINT8, 12), NULL, (axdr.DELTA_INT16, -2)]
    items = [(axdr.STRUCTURE, [_time(at * 900), value]) for at, value in enumerate(values)]
    rows = unpack_rows((axdr.ARRAY, items), profile)
    assert [row.values[1][1] for row in rows] == [5_000_000, 5_000_012, 5_000_012, 5_000_010]
    with pytest.raises(DecodeError, match="difference"):
        unpack_rows((axdr.ARRAY, items[1:]), profile)


def test_a_clock_that_was_never_set_keeps_nothing_else_from_being_read():
    world = World()
    clock = next(item for item in world.meter.objects if item.obis == "0-0:1.0.0.255")
    clock.get = lambda index, selection=None: (axdr.OCTET_STRING, bytes(12))
    world.driver._connection.open()
    found = read_all(MeterReader(world.driver._connection))
    assert (found["clock"], len(found["profile"])) == (None, 11)


def test_buffers_that_make_no_sense():
    profile = Profile([CLOCK, CaptureObject(3, "1-0:1.8.0.255", 2)], 900)
    for data in (
        (axdr.UINT8, 1),
        (axdr.ARRAY, [(axdr.UINT8, 1)]),
        (axdr.ARRAY, [(axdr.STRUCTURE, [_time(0)])]),
        (axdr.ARRAY, [(axdr.STRUCTURE, [(axdr.BOOLEAN, True), NULL])]),
    ):
        with pytest.raises(DecodeError) as caught:
            unpack_rows(data, profile)
        assert caught.value.code == "bad_profile"
    with pytest.raises(DecodeError):
        unpack_rows((axdr.ARRAY, [(axdr.STRUCTURE, [(axdr.OCTET_STRING, b"short"), NULL])]), profile)
    compact = (axdr.COMPACT_ARRAY, (b"", [(axdr.STRUCTURE, [_time(0), (6, 5)])]))
    assert unpack_rows(compact, profile)[0].values[1] == (6, 5)
