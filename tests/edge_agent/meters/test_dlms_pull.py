"""The pull driver's reading rules, against an emulated meter whose buffer and line the tests change."""

from __future__ import annotations

import hashlib

import pytest
from fake_line import EPOCH, START, World

from edge_agent.dlms import axdr
from edge_agent.dlms.apdu.results import access_error
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.cosem.profile_generic import ProfileGeneric
from edge_agent.dlms.cosem.types import CaptureObject
from edge_agent.dlms.errors import ServiceError
from edge_agent.dlms.hdlc.address import encode_address
from edge_agent.dlms.hdlc.frame import DM, FINAL, HdlcFrame
from edge_agent.meters import (
    MapMismatchError,
    MeterError,
    MeterRefusedError,
    MeterTimeoutError,
    NotDlmsError,
    PortUnavailableError,
    WrongPasswordError,
    open_meter,
)
from edge_agent.meters.dlms_pull import DlmsPullDriver
from edge_agent.wire.reading import FLAG_CLOCK_ADJUSTED, FLAG_DATA_DOUBTFUL, FLAG_POWER_FAILURE


def _profile(world) -> ProfileGeneric:
    return next(item for item in world.meter.objects if isinstance(item, ProfileGeneric))


def _time(epoch, deviation=-120, status=0, shift=0):
    time = ClockTime.from_unix(epoch * EPOCH + shift, deviation or 0, status)
    if deviation is None:
        time.deviation = None
    return (axdr.OCTET_STRING, time.to_bytes())


def test_identity_clock_and_power():
    world = World({"clock_error": 7})
    assert world.driver.identity() == "KFM1000000000001"
    assert world.driver.clock_deviation() == -7
    assert world.driver.power() == 2999  # 4000 imported, 1000.5 exported
    world.driver.close()
    assert world.transport.closed


def test_rows_since_and_until():
    world = World()
    rows = world.driver.rows(START * EPOCH, (START + 3) * EPOCH)
    assert [row.interval_end for row in rows] == [(START + at) * EPOCH for at in (1, 2, 3)]
    assert [row.consumption for row in rows] == [2000, 3000, 4000]
    assert [row.generation for row in rows] == [250, 500, 750]  # floor of 250.1, 500.2, 750.3
    assert [(row.charge, row.discharge, row.flags) for row in rows] == [(0, 0, 0)] * 3
    assert world.driver.rows((START + 10) * EPOCH, (START + 10) * EPOCH) == []


def test_rows_of_the_future_and_of_a_past_that_is_overwritten():
    world = World({"profile": {"entries": 4}})
    rows = world.driver.rows(0, (START + 50) * EPOCH)
    assert [row.interval_end for row in rows] == [(START + at) * EPOCH for at in (7, 8, 9, 10)]


def test_evidence_is_the_hash_of_the_apdus_as_received():
    world = World()
    seen = []
    world.driver._client._received = lambda apdu: (seen.append(apdu), world.driver._apdus.append(apdu))
    rows = world.driver.rows(START * EPOCH, (START + 2) * EPOCH)
    assert rows[0].evidence == hashlib.sha256(seen[-1]).digest()[:16]
    assert rows[0].evidence == rows[1].evidence


def test_ratio_scaler_and_sign():
    registers = [{"obis": "1-0:1.8.0.255", "power": "4000", "initial": 12345, "scaler": 1}]
    world = World({"register": registers}, {"registers": {"charge": ["1-0:1.8.0.255", 1]}, "ratio": [7, 3]})
    row = world.driver.rows(START * EPOCH - 1, START * EPOCH)[0]
    assert row.charge == 12340 * 7 // 3
    assert row.consumption == 0
    world = World({"register": registers}, {"registers": {"charge": ["1-0:1.8.0.255", -1]}})
    with pytest.raises(MapMismatchError, match="negative"):
        world.driver.rows(START * EPOCH - 1, START * EPOCH)


def test_a_meter_without_selective_access_is_read_whole():
    world = World()
    world.driver.identity()
    world.driver._client.conformance = 0
    assert len(world.driver.rows(START * EPOCH, (START + 3) * EPOCH)) == 3


@pytest.mark.parametrize("answer", ["refuses", "empty"])
def test_a_meter_whose_selection_by_range_does_not_work_is_read_whole(answer):
    world = World()
    profile = _profile(world)
    whole = profile.get

    def get(index, selection=None):
        if selection is not None and answer == "refuses":
            raise access_error(13, "selection")
        return (axdr.ARRAY, []) if selection is not None else whole(index)

    profile.get = get
    assert len(world.driver.rows(START * EPOCH, (START + 3) * EPOCH)) == 3
    assert len(world.driver.rows((START + 3) * EPOCH, (START + 10) * EPOCH)) == 7
    assert not world.driver._by_range


def test_null_data_repeats_the_value_above_and_counts_the_time_on():
    world = World({"profile": {"compress_time": True}})
    rows = world.driver.rows(START * EPOCH, (START + 10) * EPOCH)
    assert [row.interval_end // EPOCH - START for row in rows] == list(range(1, 11))
    profile = _profile(world)
    null = (axdr.NULL, None)
    profile.values["buffer"] = [[_time(START), (axdr.UINT32, 5), (axdr.UINT32, 70)], [null, null, (axdr.UINT32, 80)]]
    rows = world.driver.rows(START * EPOCH, (START + 10) * EPOCH)
    assert [(row.interval_end, row.consumption, row.generation) for row in rows] == [((START + 1) * EPOCH, 5, 8)]


def test_invalid_and_unaligned_rows_are_left_to_the_next_good_boundary():
    world = World({"profile": {"status": True}})
    good = (axdr.UINT32, 1)
    rows = [
        [_time(START + 1, status=0x01), (axdr.UINT8, 0), good, good],  # clock invalid
        [_time(START + 2), (axdr.UINT8, 0x02), good, good],  # profile: clock invalid
        [_time(START + 3), (axdr.UINT8, 0x04), good, good],  # profile: data not valid
        [_time(START + 4, shift=17), (axdr.UINT8, 0), good, good],  # a capture between two boundaries
        [_time(START + 5), (axdr.UINT8, 0x80), good, good],  # power failure
        [_time(START + 6), (axdr.UINT8, 0x20), good, good],  # clock adjusted
        [_time(START + 7, status=0x02), (axdr.UINT8, 0), good, good],  # doubtful
        [_time(START + 8), (axdr.BIT_STRING, "00000001"), good, good],  # power failure, as a bit-string
        [_time(START + 9, status=0xFF), (axdr.UINT8, 0x01), good, good],  # critical error
        [_time(START + 10), (axdr.UINT8, 0), (axdr.NULL, None), good],
    ]
    _profile(world).values["buffer"] = rows
    found = world.driver.rows(START * EPOCH, (START + 10) * EPOCH)
    assert [(row.interval_end // EPOCH - START, row.flags) for row in found] == [
        (5, FLAG_POWER_FAILURE),
        (6, FLAG_CLOCK_ADJUSTED),
        (7, FLAG_DATA_DOUBTFUL),
        (8, FLAG_POWER_FAILURE),
        (9, FLAG_DATA_DOUBTFUL),
        (10, 0),
    ]


def test_a_register_that_was_not_captured_is_not_zero():
    world = World()
    null, good = (axdr.NULL, None), (axdr.UINT32, 7)
    _profile(world).values["buffer"] = [[_time(START + 1), null, good], [_time(START + 2), good, good]]
    rows = world.driver.rows(START * EPOCH, (START + 3) * EPOCH)
    assert [(row.interval_end // EPOCH - START, row.consumption) for row in rows] == [(2, 7)]


def test_of_two_rows_with_one_time_the_last_counts():
    world = World()
    rows = [[_time(START + 1), (axdr.UINT32, value), (axdr.UINT32, 0)] for value in (5, 6)]
    _profile(world).values["buffer"] = rows
    found = world.driver.rows(START * EPOCH, (START + 10) * EPOCH)
    assert [(row.consumption, row.flags) for row in found] == [(6, FLAG_CLOCK_ADJUSTED)]


@pytest.mark.parametrize("bit", [True, False])
def test_the_hour_that_a_zones_clock_shows_twice(bit):
    # Vienna, 25 October 2026: 03:00 summer time becomes 02:00 at 01:00 UTC.
    start = 1792886400 // EPOCH  # 00:00 UTC
    world = World({"deviation": "none"}, {"clock": "Europe/Vienna"}, start=start, rows=20)
    buffer = []
    for at in range(1, 9):
        unix = (start + at) * EPOCH
        summer = unix < 1792890000
        shown = ClockTime.from_unix(unix + (7200 if summer else 3600), 0, 0x80 if bit and summer else 0)
        shown.deviation = None
        buffer.append([(axdr.OCTET_STRING, shown.to_bytes()), (axdr.UINT32, at), (axdr.UINT32, 0)])
    _profile(world).values["buffer"] = buffer
    found = world.driver.rows(start * EPOCH, (start + 8) * EPOCH)
    assert [(row.interval_end // EPOCH - start, row.consumption) for row in found] == [(at, at) for at in range(1, 9)]


def test_an_hour_shown_twice_of_which_only_the_second_was_captured():
    """A meter that marks summer time was without power in the first; the order of its rows alone would not tell."""
    start = 1792886400 // EPOCH
    world = World({"deviation": "none"}, {"clock": "Europe/Vienna"}, start=start, rows=20)
    buffer = []
    for at in (-3, -2, 5, 6):  # 23:15 and 23:30 UTC; 01:15 and 01:30 UTC, shown as 02:15 and 02:30
        unix = (start + at) * EPOCH
        shown = ClockTime.from_unix(unix + (7200 if at < 4 else 3600), 0, 0x80 if at < 4 else 0)
        shown.deviation = None
        buffer.append([(axdr.OCTET_STRING, shown.to_bytes()), (axdr.UINT32, at + 5), (axdr.UINT32, 0)])
    _profile(world).values["buffer"] = buffer
    found = world.driver.rows((start - 4) * EPOCH, (start + 8) * EPOCH)
    assert [(row.interval_end // EPOCH - start, row.consumption) for row in found] == [
        (at, at + 5) for at in (-3, -2, 5, 6)
    ]


def test_a_meter_that_runs_on_utc_without_saying_so():
    world = World({"deviation": "none"}, {"clock": "utc"})
    assert len(world.driver.rows(START * EPOCH, (START + 3) * EPOCH)) == 3
    assert world.driver.clock_deviation() == 0


def test_times_without_deviation_need_a_convention():
    world = World({"deviation": "none"})
    with pytest.raises(MapMismatchError, match="offset from UTC"):
        world.driver.rows(START * EPOCH, (START + 3) * EPOCH)
    assert world.driver.clock_deviation() is None


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"capture_period": 600}, "every 900 s"),
        ({"registers": {"charge": ["1-0:9.8.0.255", 1]}}, "does not capture"),
        ({"registers": {"charge": ["1-0:1.7.0.255", 1]}}, "does not capture"),
        ({"profile": "1-0:99.2.0.255"}, "no load profile"),
    ],
)
def test_a_map_that_the_meter_does_not_bear_out(change, word):
    world = World(meter_map=change)
    with pytest.raises(MapMismatchError, match=word) as caught:
        world.driver.rows(START * EPOCH, (START + 3) * EPOCH)
    assert caught.value.code == "map_mismatch"
    assert not caught.value.retry


def test_a_register_that_counts_something_else():
    world = World(
        {"register": [{"obis": "1-0:3.8.0.255", "power": "1", "unit": "varh"}]},
        {"registers": {"charge": ["1-0:3.8.0.255", 1]}},
    )
    with pytest.raises(MapMismatchError, match="does not count energy"):
        world.driver.rows(START * EPOCH, (START + 3) * EPOCH)


def test_passwords():
    world = World(client=32, auth="lls", password="12345678")
    assert world.driver.identity() == "KFM1000000000001"
    assert World(client=32, auth="lls", password="0x3132333435363738").driver.identity() == "KFM1000000000001"
    with pytest.raises(WrongPasswordError, match="password"):
        World(client=32, auth="lls", password="no").driver.identity()
    with pytest.raises(MeterRefusedError) as caught:
        World(client=32).driver.identity()
    assert caught.value.code == "authentication_required"
    with pytest.raises(MeterRefusedError, match="DM"):
        World(client=99).driver.identity()


def test_gmac(tmp_path):
    key, auth_key = bytes(range(16)), bytes(range(16, 32))
    client = {"address": 1, "auth": "gmac", "key": key.hex(), "auth_key": auth_key.hex()}
    options = {"client": 1, "auth": "gmac", "key": key, "auth_key": auth_key, "system_title": b"GATEWAY1"}
    world = World({"client": [client]}, counters=tmp_path, **options)
    assert [row.consumption for row in world.driver.rows(START * EPOCH, (START + 3) * EPOCH)] == [2000, 3000, 4000]
    meter = world.line.meters[0]
    first = meter.peer_counter()
    world.driver.close()
    # A new driver goes on above what the meter has seen.
    again = World({"client": [client]}, counters=tmp_path, **options)
    again.line.meters[0].security = meter.security
    assert again.driver.identity() == "KFM1000000000001"
    assert meter.peer_counter() > first
    meter.repeat_counter()
    assert again.driver.identity() == "KFM1000000000001"
    assert "replayed_counter" in again.driver.faults
    options["key"] = bytes(16)
    with pytest.raises(WrongPasswordError) as caught:
        World({"client": [client]}, counters=tmp_path, **options).driver.identity()
    assert caught.value.code == "wrong_key"


def test_a_meter_that_has_seen_higher_counters_is_followed_in_steps(tmp_path):
    key, auth_key = bytes(range(16)), bytes(range(16, 32))
    client = {"address": 1, "auth": "gmac", "key": key.hex(), "auth_key": auth_key.hex()}
    options = {"client": 1, "auth": "gmac", "key": key, "auth_key": auth_key, "system_title": b"GATEWAY1"}
    first = World({"client": [client]}, counters=tmp_path / "laptop", **options)
    assert first.driver.identity() == "KFM1000000000001"
    for ahead, followed in ((1000, True), (1 << 30, False)):
        world = World({"client": [client]}, counters=tmp_path / "gateway", **options)
        world.line.meters[0].security = first.meter.security
        first.meter.security[1].peer_counter += ahead
        if followed:
            assert world.driver.identity() == "KFM1000000000001"
            assert world.driver.faults == ["replayed_counter"]
        else:
            with pytest.raises(MeterError, match="counter"):
                world.driver.identity()


def test_silence():
    world = World(server=5)
    with pytest.raises(MeterTimeoutError, match="no answer"):
        world.driver.identity()
    world = World()
    world.driver.identity()
    world.transport.on_way = lambda data: b""
    with pytest.raises(MeterTimeoutError):
        world.driver.rows(START * EPOCH, (START + 3) * EPOCH)


def test_something_that_is_no_dlms_meter():
    world = World()
    world.transport.on_way = lambda data: b"login: \r\n"
    with pytest.raises(NotDlmsError, match="not in HDLC"):
        world.driver.identity()
    world = World()
    world.transport.echo = True
    with pytest.raises(NotDlmsError, match="echo"):
        world.driver.identity()


def test_a_meter_that_has_forgotten_the_association_is_asked_again():
    world = World()
    assert world.driver.identity()
    world.line._links.clear()  # a reboot
    assert len(world.driver.rows(START * EPOCH, (START + 3) * EPOCH)) == 3
    assert "disconnected" in world.driver.faults


@pytest.mark.parametrize(("refusals", "mended"), [(1, True), (2, False)])
def test_a_meter_left_in_the_midst_of_a_conversation_may_refuse_once(refusals, mended):
    world = World()
    refusal = HdlcFrame(encode_address(16), encode_address(1), DM | FINAL).to_bytes()
    left = [refusal] * refusals
    world.transport.on_way = lambda data: left.pop() if left else data
    if mended:
        assert world.driver.identity() == "KFM1000000000001"
    else:
        with pytest.raises(MeterRefusedError, match="DM"):
            world.driver.identity()


def test_what_lies_on_the_line_from_before_is_no_answer():
    world = World()
    world.transport.arrived = HdlcFrame(encode_address(16), encode_address(1), DM | FINAL).to_bytes() * 3
    assert world.driver.identity() == "KFM1000000000001"
    assert world.driver.faults == []


def test_an_association_left_idle_is_set_up_anew():
    world = World()
    world.driver.identity()
    world.clock.waited += 1000
    assert len(world.driver.rows(START * EPOCH, (START + 3) * EPOCH)) == 3


@pytest.mark.parametrize("place", range(1, 16))
@pytest.mark.parametrize("kind", ["lost", "flipped", "cut", "doubled", "noise"])
def test_every_single_fault_on_the_line_is_mended_and_named(place, kind):
    world = World()
    count = 0

    def on_way(data):
        nonlocal count
        count += bool(data)
        if count != place or not data:
            return data
        count += 1
        if kind == "lost":
            return b""
        if kind == "flipped":
            return data[:6] + bytes((data[6] ^ 1,)) + data[7:]
        if kind == "cut":
            return data[: len(data) // 2]
        return data + data if kind == "doubled" else b"\x7e\x00\xa5" + data + b"\xff\x7e"

    world.transport.on_way = on_way
    assert world.driver.identity() == "KFM1000000000001"
    assert [row.consumption for row in world.driver.rows(START * EPOCH, (START + 3) * EPOCH)] == [2000, 3000, 4000]
    if count >= place and kind in ("lost", "flipped", "cut"):
        assert world.driver.faults


def test_ports_that_cannot_be_opened(tmp_path):
    world = World()
    with pytest.raises(PortUnavailableError, match="there is no port") as caught:
        DlmsPullDriver(
            type(world.settings)(name="m", serial="1", port=str(tmp_path / "none"), map=world.map), world.map
        )
    assert caught.value.code == "no_port"
    (tmp_path / "file").write_text("")
    with pytest.raises(MeterError):
        open_meter(type(world.settings)(name="m", serial="1", port=str(tmp_path / "file"), map=world.map), world.map)


def _selections(world, refuse=()):
    """The selectors that the meter is asked with from now on (0: whole); those of `refuse` it refuses."""
    profile, asked = _profile(world), []
    whole = profile.get

    def get(index, selection=None):
        if index == 2:
            asked.append(0 if selection is None else selection.selector)
            if asked[-1] in refuse:
                raise access_error(13, "selection")
        return whole(index, selection)

    profile.get = get
    return asked


def test_rows_are_selected_by_entry_where_the_range_is_refused():
    world = World({"profile": {"entries": 50}}, rows=80)  # the buffer has wrapped
    asked = _selections(world, refuse=(1,))
    rows = world.driver.rows((START + 77) * EPOCH, (START + 80) * EPOCH)
    assert [row.consumption for row in rows] == [1000 * at for at in (79, 80, 81)]
    assert asked == [1, 2]
    seen = len(world.driver._apdus)
    world.clock.now += EPOCH
    rows = world.driver.rows((START + 80) * EPOCH, (START + 81) * EPOCH)
    assert [row.interval_end for row in rows] == [(START + 81) * EPOCH]
    assert asked == [1, 2, 2]
    assert seen < 5  # blocks of nine rows, not of fifty
    # A boundary that the buffer no longer holds: what is left of it.
    rows = world.driver.rows(START * EPOCH, (START + 81) * EPOCH)
    assert [row.interval_end for row in rows] == [(START + at) * EPOCH for at in range(32, 82)]


def test_a_buffer_with_holes_is_read_whole_where_entries_do_not_reach_back():
    world = World({"profile": {"entries": 200}}, rows=100)
    profile = _profile(world)
    rows = profile.values["buffer"]() if callable(profile.values["buffer"]) else profile.values["buffer"]
    # Since the boundary asked for, the clock was set again and again: more rows than the time alone makes.
    extra = [[_time(START + 100, shift=number), (axdr.UINT32, 5), (axdr.UINT32, 6)] for number in range(1, 30)]
    profile.values["buffer"] = rows[:99] + extra + rows[99:]
    profile.values["entries_in_use"] = lambda: len(profile.values["buffer"])
    asked = _selections(world, refuse=(1,))
    found = world.driver.rows((START + 90) * EPOCH, (START + 100) * EPOCH)
    assert [row.interval_end for row in found] == [(START + at) * EPOCH for at in range(91, 101)]
    assert asked == [1, 2, 0]


def test_a_meter_that_refuses_every_selection_is_read_whole():
    world = World()
    asked = _selections(world, refuse=(1, 2))
    for _ in range(2):
        assert len(world.driver.rows(START * EPOCH, (START + 3) * EPOCH)) == 3
    assert asked == [1, 2, 0, 0]


def test_a_meter_that_answers_a_selection_with_an_exception_is_asked_otherwise(monkeypatch):
    world = World()
    reader = world.driver._reader
    whole, asked = reader.rows, []

    def rows(obis, profile, selection=None):
        asked.append(0 if selection is None else selection.selector)
        if selection is not None:
            raise ServiceError("exception_service_not_supported", "service unknown")
        return whole(obis, profile, selection)

    monkeypatch.setattr(reader, "rows", rows)
    assert len(world.driver.rows(START * EPOCH, (START + 3) * EPOCH)) == 3
    assert asked == [1, 2, 0]


def test_an_association_that_is_gone_while_the_link_stands_is_set_up_anew():
    world = World()
    assert world.driver.identity()
    (link,) = world.line._links.values()
    link._on_reset()  # the meter forgets the association; the next request gets an exception
    assert len(world.driver.rows(START * EPOCH, (START + 3) * EPOCH)) == 3
    assert any(fault.startswith("exception_") for fault in world.driver.faults)


def test_a_profile_that_is_set_anew_is_described_anew():
    world = World()
    since, until = START * EPOCH, (START + 3) * EPOCH
    before = world.driver.rows(since, until)
    profile = _profile(world)
    columns, rows = profile.values["capture_objects"], profile.values["buffer"]
    profile.values["capture_objects"] = [columns[0], columns[2], columns[1]]
    profile.values["buffer"] = lambda: [[row[0], row[2], row[1]] for row in rows()]
    assert [(row.consumption, row.generation) for row in world.driver.rows(since, until)] == [
        (row.consumption, row.generation) for row in before
    ]
    status = CaptureObject(1, "0-0:96.10.1.255", 2)
    profile.values["capture_objects"] = [columns[0], status, columns[1], columns[2]]
    profile.values["buffer"] = lambda: [[row[0], (axdr.UINT8, 0x80), row[1], row[2]] for row in rows()]
    found = world.driver.rows(since, until)
    assert [row.consumption for row in found] == [row.consumption for row in before]
    assert {row.flags for row in found} == {FLAG_POWER_FAILURE}
    profile.values["capture_objects"] = [columns[0], columns[2]]
    profile.values["buffer"] = lambda: [[row[0], row[2]] for row in rows()]
    with pytest.raises(MapMismatchError, match="does not capture"):
        world.driver.rows(since, until)
    profile.values["capture_period"] = 3600
    with pytest.raises(MapMismatchError, match="every 3600 s"):
        world.driver.rows(since, until)


def test_a_scaler_that_changes_is_read_anew():
    world = World()
    before = world.driver.rows(START * EPOCH, (START + 1) * EPOCH)
    register = next(item for item in world.meter.objects if item.obis == "1-0:1.8.0.255")
    register.values["scaler_unit"] = (1, 30)
    (after,) = world.driver.rows(START * EPOCH, (START + 1) * EPOCH)
    assert after.consumption == before[0].consumption * 10


def test_rows_that_were_captured_with_their_scaler_are_scaled_by_it():
    world = World()
    profile = _profile(world)
    columns = profile.values["capture_objects"]
    profile.values["capture_objects"] = [*columns, CaptureObject(3, "1-0:1.8.0.255", 3)]
    profile.values["buffer"] = [
        [_time(START + 1), (axdr.UINT32, 123), (axdr.UINT32, 0), (2, [(15, 1), (22, 30)])],
        [_time(START + 2), (axdr.UINT32, 1234), (axdr.UINT32, 0), (2, [(15, 0), (22, 30)])],
        [_time(START + 3), (axdr.UINT32, 12350), (axdr.UINT32, 0), (2, [(15, -1), (22, 30)])],
    ]
    rows = world.driver.rows(START * EPOCH, (START + 3) * EPOCH)
    assert [row.consumption for row in rows] == [1230, 1234, 1235]
    profile.values["buffer"][1][3] = (2, [(15, 0), (22, 32)])
    with pytest.raises(MapMismatchError, match="did not count Wh"):
        world.driver.rows(START * EPOCH, (START + 3) * EPOCH)


@pytest.mark.parametrize(
    ("value", "wh"),
    [
        ((axdr.UINT8, 255), 255),
        ((axdr.INT16, 32767), 32767),
        ((axdr.UINT32, 2**32 - 1), 2**32 - 1),
        ((axdr.INT64, 2**63 - 1), 2**63 - 1),
        ((axdr.UINT64, 2**64 - 1), 2**64 - 1),
        ((axdr.INT32, -1), "negative"),
        ((axdr.FLOAT64, 5.0), "not a whole number"),
        ((axdr.OCTET_STRING, b"5"), "not a whole number"),
    ],
)
def test_registers_of_every_width(value, wh):
    world = World()
    _profile(world).values["buffer"] = [[_time(START + 1), value, (axdr.UINT32, 0)]]
    if isinstance(wh, int):
        assert world.driver.rows(START * EPOCH, (START + 3) * EPOCH)[0].consumption == wh
    else:
        with pytest.raises(MapMismatchError, match=wh):
            world.driver.rows(START * EPOCH, (START + 3) * EPOCH)


@pytest.mark.parametrize("shown", ["00" * 12, "ff" * 12, "07e50b1904180001ff800000"])
def test_a_clock_and_a_row_without_a_time_take_no_other_rows_with_them(shown):
    world = World()
    clock = next(item for item in world.meter.objects if item.obis == "0-0:1.0.0.255")
    clock.get = lambda index, selection=None: (axdr.OCTET_STRING, bytes.fromhex(shown))
    unset = [(axdr.OCTET_STRING, bytes.fromhex(shown)), (axdr.UINT32, 1), (axdr.UINT32, 0)]
    _profile(world).values["buffer"] = [unset, [_time(START + 1), (axdr.UINT32, 1234), (axdr.UINT32, 0)]]
    assert [row.consumption for row in world.driver.rows(START * EPOCH, (START + 3) * EPOCH)] == [1234]
    assert world.driver.clock_deviation() is None


def test_a_status_that_cannot_be_read_makes_the_row_doubtful():
    world = World({"profile": {"status": True}})
    good = (axdr.UINT32, 1)
    statuses = [(axdr.NULL, None), (axdr.OCTET_STRING, b"\x04"), (axdr.BIT_STRING, "1"), (axdr.UINT16, 0xFF00)]
    _profile(world).values["buffer"] = [
        [_time(START + number), status, good, good] for number, status in enumerate(statuses, 1)
    ]
    rows = world.driver.rows(START * EPOCH, (START + 4) * EPOCH)
    assert [row.flags for row in rows] == [FLAG_DATA_DOUBTFUL] * 3 + [0]


def _newest_first(world, compressed=False):
    profile = _profile(world)
    rows, whole = profile.values["buffer"], profile.get

    def get(index, selection=None):
        tag, found = whole(index, selection)
        if index == 2 and compressed:
            null = (axdr.NULL, None)
            found = [(kind, [null if at else row[0], *row[1:]]) for at, (kind, row) in enumerate(found)]
        return tag, found

    profile.get = get
    profile.values.update(sort_method=2, buffer=lambda: rows()[::-1])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("refuse", [(), (1,), (1, 2)])
def test_a_buffer_whose_newest_row_comes_first(compressed, refuse):
    world = World()
    before = world.driver.rows(START * EPOCH, (START + 10) * EPOCH)
    world = World()
    _newest_first(world, compressed)
    _selections(world, refuse)
    assert [(row.interval_end, row.consumption) for row in world.driver.rows(START * EPOCH, (START + 10) * EPOCH)] == [
        (row.interval_end, row.consumption) for row in before
    ]
    rows = world.driver.rows((START + 9) * EPOCH, (START + 10) * EPOCH)
    assert [row.consumption for row in rows] == [before[-1].consumption]


def test_of_two_rows_with_one_time_the_last_captured_counts_whatever_the_order():
    world = World()
    profile = _profile(world)
    profile.values["buffer"] = lambda: [[_time(START + 1), (axdr.UINT32, value), (axdr.UINT32, 0)] for value in (5, 6)]
    _newest_first(world)
    (row,) = world.driver.rows(START * EPOCH, (START + 10) * EPOCH)
    assert (row.consumption, row.flags) == (6, FLAG_CLOCK_ADJUSTED)


AUTUMN, SPRING = 1792890000, 1774746000  # Vienna: 25 October 2026 01:00 UTC, 29 March 2026 01:00 UTC


@pytest.mark.parametrize(("change", "before", "after"), [(AUTUMN, 7200, 3600), (SPRING, 3600, 7200)])
def test_a_meter_that_selects_by_the_hours_that_it_showed(change, before, after):
    """Across a change of its zone, a meter that compares a range with its rows as they are written leaves some out."""
    start = change // EPOCH - 8
    world = World(start=start, rows=16)
    profile = _profile(world)

    def written(unix):
        offset = before if unix < change else after
        return ClockTime.from_unix(unix, -offset // 60)

    rows = [
        [(axdr.OCTET_STRING, written((start + at) * EPOCH).to_bytes()), (axdr.UINT32, at), (axdr.UINT32, 0)]
        for at in range(17)
    ]

    def get(index, selection=None):
        if selection is None or index != 2:
            return whole(index, selection)
        low, high = selection.parameters[1][1][1][:8], selection.parameters[1][2][1][:8]
        return (axdr.ARRAY, [(axdr.STRUCTURE, row) for row in rows if low <= row[0][1][:8] <= high])

    whole, profile.get = profile.get, get
    profile.values["buffer"] = rows
    for since in range(16):
        found = world.driver.rows((start + since) * EPOCH, (start + 16) * EPOCH)
        assert [row.consumption for row in found] == list(range(since + 1, 17))
    for until in range(1, 17):
        assert len(world.driver.rows(start * EPOCH, (start + until) * EPOCH)) == until


@pytest.mark.parametrize("minutes", [-90, -45, -1, 0, 15, 45, 59, 60, 90])
def test_the_clocks_deviation_in_the_hour_that_comes_twice(minutes):
    start = AUTUMN // EPOCH
    world = World({"zone": "Europe/Vienna", "deviation": "none"}, {"clock": "Europe/Vienna"}, start=start - 8, rows=8)
    world.clock.now = AUTUMN + minutes * 60
    assert world.driver.clock_deviation() == 0
    clock = next(item for item in world.meter.objects if item.CLASS_ID == 8)
    shown = ClockTime.from_unix(AUTUMN + minutes * 60 + (7200 if minutes < 0 else 3600), 0)
    shown.deviation = None
    clock.values["time"] = shown
    world.clock.now += 7
    assert world.driver.clock_deviation() == 7


@pytest.mark.parametrize("hours", [-30, -3, 3, 30])
def test_a_meter_whose_clock_is_hours_off(hours):
    """What it captured is at its own times; nothing of the future is handed on, and the deviation says how far."""
    world = World({"clock_error": hours * 3600, "profile": {"entries": 1000}}, rows=200)
    now = (START + 200) * EPOCH
    assert world.driver.clock_deviation() == -hours * 3600
    rows = world.driver.rows(now - 10 * EPOCH, now)
    assert all(now - 10 * EPOCH < row.interval_end <= now for row in rows)
    assert len(rows) == (10 if hours > 0 else 0)


def test_two_readers_with_one_key_follow_each_other(tmp_path):
    key, auth_key = bytes(range(16)), bytes(range(16, 32))
    client = {"address": 1, "auth": "gmac", "key": key.hex(), "auth_key": auth_key.hex()}
    options = {"client": 1, "auth": "gmac", "key": key, "auth_key": auth_key, "system_title": b"GATEWAY1"}
    gateway = World({"client": [client]}, counters=tmp_path, **options)
    laptop = World({"client": [client]}, counters=tmp_path, **options)
    assert gateway.driver.identity()
    laptop.line.meters[0].security = gateway.meter.security
    for _ in range(3):
        for world in (laptop, gateway):
            world.clock.waited += 1000  # each sets up an association of its own
            assert world.driver.identity() == "KFM1000000000001"
    assert (gateway.driver.faults, laptop.driver.faults) == ([], [])


def test_a_meter_that_keeps_its_clock_to_itself_is_read_all_the_same():
    world = World()
    clock = next(item for item in world.meter.objects if item.CLASS_ID == 8)
    whole = clock.get

    def get(index, selection=None):
        if index == 2:
            raise access_error(3, "the clock")
        return whole(index, selection)

    clock.get = get
    asked = _selections(world)
    rows = world.driver.rows(START * EPOCH, (START + 3) * EPOCH)
    assert [row.consumption for row in rows] == [2000, 3000, 4000]
    assert asked == [2]  # no range: nobody knows in which hours the meter would compare it
    assert world.driver.clock_deviation() is None


@pytest.mark.finding("edge-11")
def test_a_register_whose_unit_nobody_states():
    registers = [
        {"obis": "1-0:1.8.1.255", "power": "4000", "initial": 100, "states_unit": False},
        {"obis": "1-0:1.8.2.255", "power": "0", "initial": 7, "states_unit": False},
    ]
    silent = World({"register": registers}, {"registers": {"consumption": ["1-0:1.8.1.255", 1]}})
    with pytest.raises(MapMismatchError, match="display"):
        silent.driver.rows(START * EPOCH, (START + 3) * EPOCH)
    stated = {"consumption": [["1-0:1.8.1.255", 1, "10 Wh"], ["1-0:1.8.2.255", 1, "kWh"]]}
    world = World({"register": registers}, {"registers": stated})
    rows = world.driver.rows(START * EPOCH, (START + 3) * EPOCH)
    assert rows
    assert all(row.consumption % 10 == 0 and row.consumption >= 10 * 100 + 7000 for row in rows)
