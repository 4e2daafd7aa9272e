"""Meters whose load profile holds the energy of each interval: cumulative registers out of them, over the line."""

from __future__ import annotations

import os
from fractions import Fraction

import pytest
from fake_line import EPOCH, MAP, METER, START, World

from edge_agent.config import MeterSettings
from edge_agent.dlms import axdr
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.cosem.profile_generic import ProfileGeneric
from edge_agent.meters import MapMismatchError, MeterError, open_meter
from edge_agent.meters.dlms_pull import DlmsPullDriver
from edge_agent.meters.increments import Increments
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import FLAG_DATA_DOUBTFUL, FLAG_ESTIMATED

GAP = FLAG_ESTIMATED | FLAG_DATA_DOUBTFUL
KIND = {"profile_kind": "increments"}
CODES = {"consumption": ["1-0:1.29.0.255", 1], "generation": ["1-0:2.29.0.255", 1]}


def _world(meter=None, meter_map=None, **settings):
    profile = {"increments": True, **(meter or {}).pop("profile", {})}
    return World({"profile": profile, **(meter or {})}, {**KIND, **(meter_map or {})}, **settings)


def _later(world, boundaries: int, seconds: int = 100) -> None:
    """The time is so many boundaries after the tenth, and so many seconds."""
    world.clock.now = (START + 10 + boundaries) * EPOCH + seconds


def _restart(world) -> None:
    world.driver = DlmsPullDriver(
        world.settings,
        world.map,
        open_transport=lambda: world.transport,
        now=world.clock.time,
        monotonic=world.clock.monotonic,
    )


def _rows(world, since: int, until: int):
    return world.driver.rows((START + since) * EPOCH, (START + until) * EPOCH)


def _without(world, *lost: int) -> None:
    """The meter missed the captures of these boundaries."""
    profile = next(item for item in world.meter.objects if isinstance(item, ProfileGeneric))
    lost_times = {(START + at) * EPOCH for at in lost}

    def rows():
        pairs = zip(world.meter.boundaries(), world.meter.rows(), strict=True)
        return [row for boundary, row in pairs if boundary not in lost_times]

    profile.values["buffer"] = rows


@pytest.mark.parametrize("registers", [MAP["registers"], CODES])
def test_increments_add_up_to_the_register(registers):
    world = _world(meter_map={"registers": registers})
    rows = _rows(world, 7, 10)
    # The register is read 100 s after the boundary, in which 111 Wh and 27.7 Wh have passed: once, for all rows alike.
    assert [row.consumption for row in rows] == [1000 + 8000 + 111, 1000 + 9000 + 111, 1000 + 10000 + 111]
    assert [row.generation - rows[0].generation for row in rows] == [0, 250, 501]  # 250.125 each
    assert [row.flags for row in rows] == [0, 0, 0]
    _later(world, 2, 700)
    more = _rows(world, 10, 12)
    assert [row.consumption - rows[-1].consumption for row in more] == [1000, 2000]
    assert [row.flags for row in more] == [0, 0]
    assert [row.consumption for row in _rows(world, 7, 12)] == [row.consumption for row in rows + more]


def test_what_a_boundary_was_given_outlives_the_process(tmp_path):
    world = _world(counters=tmp_path / "counters")
    first = _rows(world, 8, 10)
    _later(world, 1, 5)  # less after the boundary than at the first reading: an anchor of its own would lie lower
    _restart(world)
    assert [row.consumption for row in _rows(world, 8, 11)] == [
        *(row.consumption for row in first),
        first[-1].consumption + 1000,
    ]
    (file,) = (tmp_path / "increments").iterdir()
    file.write_text("{")
    with pytest.raises(MeterError, match="damaged") as caught:
        _restart(world)
    assert caught.value.code == "increments_file"


def test_a_missed_capture_loses_no_energy_and_is_told():
    world = _world()
    first = _rows(world, 9, 10)[0]
    _later(world, 5)
    _without(world, 12)
    rows = _rows(world, 10, 15)
    assert [(row.interval_end // EPOCH - START, row.flags) for row in rows] == [(11, 0), (13, GAP), (14, 0), (15, 0)]
    assert [row.consumption - first.consumption for row in rows] == [1000, 3000, 4000, 5000]
    assert [row.consumption for row in _rows(world, 10, 15)] == [row.consumption for row in rows]


def test_rows_that_the_buffer_has_lost_are_in_the_next():
    world = _world({"profile": {"entries": 3}})
    first = _rows(world, 9, 10)[0]
    _later(world, 20)
    rows = _rows(world, 10, 30)
    assert [(row.interval_end // EPOCH - START, row.flags) for row in rows] == [(28, GAP), (29, 0), (30, 0)]
    assert [row.consumption - first.consumption for row in rows] == [18000, 19000, 20000]


def test_a_segment_between_two_gaps_gets_no_rows_and_its_energy_is_in_the_next():
    world = _world()
    first = _rows(world, 9, 10)[0]
    _later(world, 6)
    _without(world, 11, 14)
    rows = _rows(world, 10, 16)
    assert [(row.interval_end // EPOCH - START, row.flags) for row in rows] == [(15, GAP), (16, 0)]
    assert rows[-1].consumption - first.consumption == 6000


def test_a_value_never_falls_though_the_register_is_read_sooner_after_a_gap():
    world = _world(
        {"register": [{"obis": "1-0:1.8.0.255", "power": "4000"}]}, {"registers": {"charge": ["1-0:1.8.0.255", 1]}}
    )
    _later(world, 0, 890)
    first = _rows(world, 9, 10)[0]
    _without(world, 11)
    _later(world, 2, 1)
    row = _rows(world, 10, 12)[0]
    assert row.flags == GAP
    assert first.charge + 1000 <= row.charge <= first.charge + 2000


@pytest.mark.parametrize("row", ["doubled", "unaligned", "invalid", "null"])
def test_an_ambiguous_row_is_a_gap(row):
    world = _world({"profile": {"status": True}})
    _rows(world, 9, 10)
    _later(world, 2)
    profile = next(item for item in world.meter.objects if isinstance(item, ProfileGeneric))
    rows = world.meter.rows()
    bad = next(at for at, boundary in enumerate(world.meter.boundaries()) if boundary == (START + 11) * EPOCH)
    if row == "doubled":
        rows.insert(bad, rows[bad])
    elif row == "unaligned":
        time = ClockTime.from_unix((START + 11) * EPOCH - 300, -120)
        rows.insert(bad, [(axdr.OCTET_STRING, time.to_bytes()), *rows[bad][1:]])
    elif row == "invalid":
        rows[bad][1] = (axdr.UINT8, 0x04)
    else:
        rows[bad - 1] = rows[bad] = [rows[bad][0], *[(axdr.NULL, None)] * 3]
        del rows[: bad - 1]
    profile.values["buffer"] = rows
    found = _rows(world, 10, 12)
    assert [(row.interval_end // EPOCH - START, row.flags) for row in found] == [(12, GAP)]
    assert found[0].consumption == 1000 + 12000 + 111


def test_a_register_that_rolls_over_goes_on_in_the_rows_and_across_a_gap():
    registers = [{"obis": "1-0:1.8.0.255", "power": "4000", "rollover": 12000}]
    world = _world({"register": registers}, {"registers": {"charge": ["1-0:1.8.0.255", 1]}, "rollover_wh": 12000})
    assert [row.charge for row in _rows(world, 9, 10)] == [10111]
    _later(world, 6)
    _without(world, 12)
    rows = _rows(world, 10, 16)
    assert [row.charge for row in rows] == [11111, 1111, 2111, 3111, 4111]
    assert rows[1].flags == GAP
    # A meter that is met first just after its rollover.
    _restart(world)
    assert [row.charge for row in _rows(world, 12, 16)] == [1111, 2111, 3111, 4111]


def test_a_reset_register_shows_as_a_fall_at_the_next_gap():
    world = _world(max_power_w=5000)
    first = _rows(world, 9, 10)[0]
    world.meter.reset_registers()
    _later(world, 1)
    row = _rows(world, 10, 11)[0]
    assert row.consumption - first.consumption == 1000  # the increments do not care
    _later(world, 4)
    _without(world, 12)
    assert _rows(world, 12, 14)[-1].consumption < row.consumption  # which the signer stops at, until a rebase


def test_ratio_scaler_and_exactness():
    registers = [{"obis": "1-0:1.8.0.255", "power": "1000.4", "scaler": -1}]
    world = _world({"register": registers}, {"registers": {"charge": ["1-0:1.29.0.255", 1]}, "ratio": [7, 3]})
    _later(world, 0, 0)
    rows = _rows(world, 0, 10)
    assert [row.charge for row in rows] == [int(at * 2501 * 7 / 30) for at in range(1, 11)]


def test_maps_and_meters_that_do_not_fit():
    world = World({"profile": {"increments": True}}, {"registers": CODES})
    with pytest.raises(MapMismatchError, match="profile_kind"):
        _rows(world, 9, 10)
    world = _world()
    world.meter.objects[:] = [item for item in world.meter.objects if item.obis != "1-0:1.8.0.255"]
    with pytest.raises(MapMismatchError, match="cumulative"):
        _rows(world, 9, 10)
    meter_map = MeterMap.from_dict({**MAP, **KIND})
    settings = MeterSettings(name="m", serial="1", port="none", map=meter_map, protocol="push")
    with pytest.raises(MapMismatchError, match="push"):
        open_meter(settings, meter_map)
    assert METER["register"]


def test_a_row_that_was_captured_off_its_boundary_says_nothing_of_its_interval():
    world = _world()
    _rows(world, 9, 10)
    profile = next(item for item in world.meter.objects if isinstance(item, ProfileGeneric))

    def rows():
        found = []
        for boundary, row in zip(world.meter.boundaries(), world.meter.rows(), strict=True):
            shift = -17 if boundary == (START + 12) * EPOCH else 0
            time = ClockTime.from_unix(boundary + shift, -120)
            found.append([(axdr.OCTET_STRING, time.to_bytes()), *row[1:]])
        return found

    profile.values["buffer"] = rows
    _later(world, 4)
    found = _rows(world, 10, 14)
    assert [(row.interval_end // EPOCH - START, row.flags) for row in found] == [(11, 0), (13, GAP), (14, 0)]


def test_after_a_gap_no_value_is_less_than_the_increments_prove():
    """The register was first read late, so it trails behind by what moved since the boundary; a reset is more."""
    for most, shown, value in ((500, 1100, 1111), (5, 1100, 1100), (500, 1200, 1200), (500, 0, 0)):
        increments = Increments(None, 900, None, most)
        first = increments.settle({900: {"charge": Fraction(10)}}, lambda: {"charge": Fraction(1111)})
        assert first == {900: ({"charge": Fraction(1111)}, 0)}
        later = {900: {"charge": Fraction(10)}, 2700: {"charge": Fraction(0)}}
        known = increments.settle(later, lambda shown=shown: {"charge": Fraction(shown)})
        assert known[2700] == ({"charge": Fraction(value)}, GAP)
        assert 1800 not in known


def _wh(value):
    return {"charge": Fraction(value)}


def _never():
    raise AssertionError("the register is read where a value is anchored on it, and nowhere else")


def test_what_a_boundary_was_given_is_never_worked_out_differently():
    increments = Increments(None, 900, None, 500)
    increments.settle({900: _wh(10)}, lambda: _wh(1000))
    first = increments.settle({1800: _wh(20)}, _never)
    assert first[1800] == (_wh(1020), 0)
    again = increments.settle({900: _wh(99), 1800: _wh(99), 2700: _wh(1)}, _never)
    assert (again[900], again[1800], again[2700]) == ((_wh(1000), 0), (_wh(1020), 0), (_wh(1021), 0))


def test_a_row_older_than_the_last_is_not_anchored_on_what_the_register_shows_now():
    increments = Increments(None, 900, None, 500)
    increments.settle({9000: _wh(10)}, lambda: _wh(1000))
    assert set(increments.settle({900: _wh(10)}, _never)) == {9000}


def test_what_is_kept_is_on_the_disk_before_it_is_used(tmp_path, monkeypatch):
    path, synced = tmp_path / "kept.json", []

    def fsync(descriptor):
        assert not path.exists() or path.stat().st_ino != os.fstat(descriptor).st_ino
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    Increments(path, 900, None, 500).settle({900: _wh(10)}, lambda: _wh(1000))
    assert path.stat().st_ino in synced
    monkeypatch.undo()
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MeterError) as caught:
        Increments(path, 900, None, 500).settle({1800: _wh(10)}, _never)
    assert caught.value.code == "increments_file"
    assert path.read_bytes() == before
