"""The drivers for meters without a load profile: mode C's read-out, and telegrams that come unasked."""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import time
from pathlib import Path

import pytest
from emulator_process import read_json, read_meter, start

from edge_agent.config import MeterSettings
from edge_agent.dlms.apdu.data_notification import DataNotification
from edge_agent.dlms.iec62056_21.p1 import write_telegram
from edge_agent.dlms.obis import obis_bytes
from edge_agent.dlms.security import seal
from edge_agent.emulator.config import EmulatorConfig
from edge_agent.emulator.line import EmulatedLine
from edge_agent.meters import (
    BadAnswerError,
    MapMismatchError,
    MeterTimeoutError,
    NotDlmsError,
    WrongMeterError,
    WrongPasswordError,
    open_meter,
)
from edge_agent.meters.iec21 import ModeCDriver
from edge_agent.meters.lines import MeterLine, ReadRequest
from edge_agent.meters.push_listener import MAX_DAMAGED, POWER_AGE, PushDriver
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import FLAG_SAMPLED

START = 1_980_000 * 900
MAP = MeterMap.from_dict(
    {
        "capture_period": 900,
        "logical_device_name": "KFM1000000000001",
        "registers": {"consumption": ["1-0:1.8.0.255", 1], "generation": ["1-0:2.8.0.255", 1]},
    }
)
SETTINGS = MeterSettings(name="m", serial="1", port="none", map=MAP, timeout=2.0)
LISTENER = dataclasses.replace(SETTINGS, protocol="push", push_seconds=1.0)
METER = {
    "logical_device_name": "KFM1000000000001",
    "register": [
        {"obis": "1-0:1.8.0.255", "power": "4000", "initial": 1000},
        {"obis": "1-0:2.8.0.255", "power": "1000.5", "scaler": -1},
    ],
}


class ModeCLine:
    """The emulator in mode C as a line; `now` is turned by hand."""

    def __init__(self, mode="c"):
        self.now = START + 950.0
        data = {"start_epoch": 1_980_000, "line": {"mode": mode}, "meter": [METER]}
        self.line = EmulatedLine.build(EmulatorConfig.from_dict(data, Path()), lambda: self.now)
        self.arrived = b""

    def write(self, data):
        self.arrived += self.line.receive(data)

    def read(self, timeout):
        data, self.arrived = self.arrived, b""
        return data

    def discard(self):
        self.arrived = b""

    def set_line(self, baudrate, bytesize, parity):
        pass

    def close(self):
        pass


def _mode_c(line):
    return ModeCDriver(SETTINGS, MAP, open_transport=lambda: line, now=lambda: line.now)


def test_mode_c_gives_the_boundary_that_has_passed():
    line = ModeCLine()
    driver = _mode_c(line)
    assert driver.identity() == "KFM1000000000001"
    (row,) = driver.rows(START, START + 900)
    assert row.interval_end == START + 900
    assert row.flags == FLAG_SAMPLED
    assert row.consumption == 1000 + 4000 * 950 // 3600
    assert row.generation == int(1000.5 * 950 / 3600)
    assert driver.rows(START + 900, START + 1800) == []
    assert driver.clock_deviation() is None
    assert driver.power() is None
    driver.close()


def test_a_read_out_over_which_a_boundary_passes_is_no_row():
    line = ModeCLine()
    driver = _mode_c(line)
    slow = line.read

    def read(timeout):
        line.now += 450
        return slow(timeout)

    line.read = read
    assert driver.rows(START, START + 900) == []
    line.read = slow
    (row,) = driver.rows(START, START + 1800)
    assert row.interval_end == START + 1800


def test_mode_c_of_another_meter_or_without_a_register():
    line = ModeCLine()
    line.line.meters[0].registers.pop()
    with pytest.raises(MapMismatchError, match=r"2\.8\.0"):
        _mode_c(line).rows(START, START + 900)
    line = ModeCLine()
    line.line.sign_on.lines = lambda: ["0.0.0(OTHER)", "1.8.0(1*kWh)"]
    with pytest.raises(WrongMeterError, match="OTHER"):
        _mode_c(line).rows(START, START + 900)
    line.line.sign_on = None
    with pytest.raises(MeterTimeoutError):
        _mode_c(line).identity()


def test_mode_e_on_a_real_line(tmp_path):
    file = '[line]\nlink = "m"\nmode = "e"\n[[meter]]\nlogical_device_name = "KFM1000000000001"\n'
    running = start(tmp_path, file)
    try:
        found = read_json("--port", running.port, "--client", "16", "--mode-e")
        assert found["meter"] == "KFM1000000000001"
        done = read_meter("--port", running.port, "--client", "16", "--timeout", "0.3")
        assert done.returncode in (0, 1)
    finally:
        running.stop()
    running = start(tmp_path, file.replace('"e"', '"hdlc"'))
    try:
        done = read_meter("--port", running.port, "--client", "16", "--mode-e", "--timeout", "0.3")
        assert done.returncode == 1
        assert "timeout" in done.stderr
    finally:
        running.stop()


def test_a_wrong_speed_after_the_hand_over_costs_a_second_sign_on(tmp_path):
    file = '[line]\nlink = "m"\nmode = "e"\n[[line.fault]]\nkind = "wrong_baud"\nanswer = 3\n'
    running = start(tmp_path, file + '[[meter]]\nlogical_device_name = "KFM1000000000001"\n')
    try:
        done = read_meter("--port", running.port, "--client", "16", "--mode-e", "--timeout", "1", "--json")
        assert done.returncode == 0
        assert json.loads(done.stdout)["meter"] == "KFM1000000000001"
        assert "not_dlms" in done.stderr
    finally:
        running.stop()
    running = start(tmp_path, file + 'every = 1\n[[meter]]\nlogical_device_name = "KFM1000000000001"\n')
    try:
        done = read_meter("--port", running.port, "--client", "16", "--mode-e", "--timeout", "0.3")
        assert done.returncode == 1
        assert "not_dlms" in done.stderr
    finally:
        running.stop()


class PushLine:
    """A line on which telegrams come when the test puts them there."""

    def __init__(self):
        self.coming = queue.Queue()

    def write(self, data):
        raise AssertionError("a push driver only listens")

    def read(self, timeout):
        try:
            return self.coming.get(timeout=0.02)
        except queue.Empty:
            return b""

    def discard(self):
        pass

    def close(self):
        pass


def _telegram(consumption, generation=7, power=500):
    wh = (2, [(15, 0), (22, 30)])
    items = [(2, [(9, obis_bytes("0-0:42.0.0.255")), (9, b"KFM1000000000001")])]
    items += [(2, [(9, obis_bytes("1-0:1.7.0.255")), (6, power), (2, [(15, 0), (22, 27)])])]
    items += [(2, [(9, obis_bytes("1-0:1.8.0.255")), (6, consumption), wh])]
    items += [(2, [(9, obis_bytes("1-0:2.8.0.255")), (6, generation), wh])]
    return DataNotification((1, items)).to_bytes()


def _until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def push():
    line = PushLine()
    line.now = START + 880.0
    settings = dataclasses.replace(LISTENER, key=bytes(16), auth_key=bytes(16))
    driver = PushDriver(settings, MAP, open_transport=lambda: line, now=lambda: line.now)
    yield line, driver
    driver.close()


def test_the_first_telegram_after_a_boundary_is_its_row(push):
    _, driver = push
    for arrived, consumption in ((880, 100), (890, 101), (903, 102), (913, 103), (1801, 104)):
        driver.take(_telegram(consumption), START + arrived)
    rows = driver.rows(START - 1, START + 1800)
    assert [(row.interval_end - START, row.consumption, row.generation) for row in rows] == [
        (0, 100, 7),
        (900, 102, 7),
        (1800, 104, 7),
    ]
    assert {row.flags for row in rows} == {FLAG_SAMPLED}
    assert driver.rows(START + 900, START + 1800)[0].consumption == 104
    assert driver.power() == 500
    assert driver.clock_deviation() is None


def test_rows_of_a_clock_that_ran_ahead_stand_in_no_rows_way(push):
    _, driver = push
    driver.take(_telegram(100), START + 86400)
    driver.take(_telegram(101), START + 903)
    driver.take(_telegram(102), START + 1803)
    rows = driver.rows(0, 1 << 40)
    assert [(row.interval_end - START, row.consumption) for row in rows] == [(900, 101), (1800, 102)]


def test_telegrams_are_taken_from_the_line(push):
    line, driver = push
    data = seal(0xDB, b"KFM00001", 0x30, 5, _telegram(77), bytes(16), bytes(16)).to_bytes()
    line.coming.put(data[:20])
    line.coming.put(data[20:])
    assert driver.identity() == "KFM1000000000001"
    assert driver.rows(START - 1, START)[0].consumption == 77


def test_a_push_meter_that_says_nothing_or_cannot_be_understood(push):
    _, driver = push
    driver.settings = dataclasses.replace(LISTENER, timeout=0.1, push_seconds=0.05)
    with pytest.raises(MeterTimeoutError, match="pushed nothing"):
        driver.identity()
    driver.take(seal(0xDB, b"KFM00001", 0x30, 5, _telegram(77), bytes(range(16)), bytes(16)).to_bytes(), START)
    with pytest.raises(WrongPasswordError) as caught:
        driver.identity()
    assert caught.value.code == "wrong_key"
    driver.take(_telegram(78), START)
    assert driver.identity() == "KFM1000000000001"
    assert [row.consumption for row in driver.rows(START - 1, START)] == [78]


def _sealed(counter, consumption, key=bytes(16), title=b"KFM00001"):
    return seal(0xDB, title, 0x30, counter, _telegram(consumption), key, bytes(16)).to_bytes()


def test_a_replayed_telegram_makes_no_row(push):
    _, driver = push
    for counter, consumption, at in ((5, 100, 0), (5, 100, 1), (9, 101, 900), (5, 100, 1800), (9, 101, 1810)):
        driver.take(_sealed(counter, consumption), START + at)
    assert driver.faults == ["repeated_telegram", "replayed_counter", "replayed_counter"]
    assert [row.consumption for row in driver.rows(START - 1, START + 900)] == [100, 101]
    with pytest.raises(BadAnswerError) as caught:
        driver.rows(START + 900, START + 1800)
    assert caught.value.code == "replayed_counter"
    driver.take(_sealed(1, 300, title=b"KFM00002"), START + 1811)  # another meter counts by itself
    driver.take(_sealed(10, 102), START + 2700)
    assert [row.consumption for row in driver.rows(START + 900, START + 2700)] == [300, 102]


def test_the_last_telegram_once_more_makes_no_row_either(push):
    _, driver = push
    driver.take(_sealed(5, 100), START)
    driver.take(_sealed(5, 100), START + 900)
    assert driver.faults == ["repeated_telegram"]
    assert driver.rows(START, START + 900) == []


def test_a_forged_counter_holds_up_nothing(push):
    _, driver = push
    driver.take(_sealed(5, 100), START)
    driver.take(_sealed(0xFFFFFFFF, 1, key=bytes(range(16))), START + 1)
    driver.take(_sealed(6, 101), START + 900)
    assert [row.consumption for row in driver.rows(START - 1, START + 900)] == [100, 101]
    assert driver.faults == ["bad_tag"]


def test_wrong_tags_are_damage_until_they_go_on(push):
    _, driver = push
    wrong = _sealed(7, 1, key=bytes(range(16)))
    driver.take(wrong, START)
    assert driver.faults == ["wrong_key"]  # no telegram has shown yet that the key is right
    driver.take(_sealed(6, 100), START)
    for _ in range(MAX_DAMAGED + 1):
        driver.take(wrong, START)
    assert driver.faults[1:] == ["bad_tag"] * MAX_DAMAGED + ["wrong_key"]
    driver.take(_sealed(7, 101), START)
    driver.take(wrong, START)
    assert driver.faults[-1] == "bad_tag"


def test_power_below_a_kilowatt_and_noise(push):
    _, driver = push
    lines = [f"0-0:96.1.1({b'KFM1000000000001'.hex()})", "1-0:1.8.0(000004.200*kWh)", "1-0:2.8.0(000000.007*kWh)"]
    data = write_telegram("KFM5", [*lines, "1-0:1.7.0(00.250*kW)", "1-0:2.7.0(01.750*kW)"])
    driver.take(b"\xff\x00~" + data, START)
    assert driver.power() == -1500
    assert driver.faults == ["noise"]
    assert driver.identity() == "KFM1000000000001"
    assert [(row.consumption, row.generation) for row in driver.rows(START - 1, START)] == [(4200, 7)]
    driver.take(write_telegram("KFM5", [*lines, "1-0:1.7.0(lots*kW)"]), START)
    assert driver.power() is None


def test_a_power_of_long_ago_is_not_of_the_moment():
    up = [1000.0]
    driver = PushDriver(
        dataclasses.replace(LISTENER, push_seconds=60.0),
        MAP,
        open_transport=PushLine,
        now=lambda: START + 880.0,
        monotonic=lambda: up[0],
    )
    try:
        driver.take(_telegram(100), START)
        up[0] += POWER_AGE
        assert driver.power() == 500
        up[0] += 1
        assert driver.power() is None
        driver.take(_telegram(101, power=400), START + 100)
        assert driver.power() == 400
        assert [row.consumption for row in driver.rows(START - 1, START)] == [100]
    finally:
        driver.close()


def test_a_pulled_cable_shows_no_power_and_the_next_driver_a_new_one():
    """On real ptys, as a port uses the driver: a row that came over the line is not lost with it."""
    lines = [os.openpty(), os.openpty()]
    places = [os.ttyname(slave) for _, slave in lines]
    opened, events = [], []

    def open_driver(settings, meter_map, observe):
        number = len(opened)
        settings = dataclasses.replace(settings, port=places[number] if number < 2 else "nowhere")
        opened.append(PushDriver(settings, meter_map, observe=observe, now=lambda: START + 10.0))
        os.write(lines[number][0], _telegram(100 + number, power=500 - number))
        return opened[-1]

    def pull(number):
        for end in lines[number]:
            os.close(end)
        opened[number]._thread.join(60)

    settings = dataclasses.replace(LISTENER, timeout=60.0)
    port = MeterLine(
        "p", [settings], open_driver, events.append, lambda: START, live_seconds=0, observe=lambda *seen: None
    )

    def shown():
        port.poll_power()
        assert events[-1].error is None
        return events[-1].power_w

    _until(lambda: shown() == 500)
    pull(0)
    port.poll_power()
    assert (events[-1].power_w, events[-1].error) == (None, None)
    port.handle(ReadRequest(START, {"m": START - 900}))
    assert [row.consumption for row in events[-1].rows] == [100]
    _until(lambda: shown() == 499)
    port.handle(ReadRequest(START, {"m": START - 900}))
    assert [row.consumption for row in events[-1].rows] == [101]
    pull(1)
    port.poll_power()
    assert events[-1].power_w is None
    assert events[-1].error.code == "no_port"


@pytest.mark.parametrize("secure", [False, True])
def test_an_emulated_meter_that_pushes_over_a_real_line(tmp_path, secure):
    key, auth_key = "00" * 15 + "01", "00" * 15 + "02"
    client = f'[[meter.client]]\nauth = "gmac"\nkey = "{key}"\nauth_key = "{auth_key}"\n' if secure else ""
    file = '[line]\nlink = "m"\nmax_information = 60\n[[line.fault]]\nkind = "flip"\nanswer = 2\n'
    file += '[[meter]]\nlogical_device_name = "KFM1000000000001"\npush_seconds = 1\n' + client
    file += '[[meter.register]]\nobis = "1-0:1.8.0.255"\npower = "0"\ninitial = 4200\n'
    file += '[[meter.register]]\nobis = "1-0:2.8.0.255"\npower = "0"\ninitial = 17\n'
    running = start(tmp_path, file)
    settings = dataclasses.replace(LISTENER, port=running.port, timeout=60.0)
    if secure:
        settings = dataclasses.replace(settings, key=bytes.fromhex(key), auth_key=bytes.fromhex(auth_key))
    driver = open_meter(settings, MAP)
    try:
        assert driver.identity() == "KFM1000000000001"
        row = driver.rows(0, 1 << 40)[0]  # a boundary may have passed since
        assert (row.consumption, row.generation, row.flags) == (4200, 17, FLAG_SAMPLED)
        assert row.interval_end % 900 == 0
    finally:
        driver.close()
        running.stop()


def test_not_dlms_is_named():
    line = ModeCLine("c")
    from edge_agent.meters.iec21 import switch_to_hdlc

    with pytest.raises(NotDlmsError, match="mode E"):
        switch_to_hdlc(line)
