"""Every fault that the emulator knows, at every early answer: the driver gets its rows, or says why not."""

from __future__ import annotations

import socket

import pytest
from emulator_process import read_json, start
from fake_line import EPOCH, MAP, START, World

from edge_agent.config import MeterSettings
from edge_agent.dlms.hdlc.address import encode_address, server_address
from edge_agent.dlms.hdlc.client_link import HdlcClientLink
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.emulator.fault_kinds import IN_THE_METER, KINDS, ON_THE_LINE, Fault, FaultError
from edge_agent.meters import MeterTimeoutError
from edge_agent.meters.faults import MOST_FAULTS, Faults
from edge_agent.meters.lines import MeterLine, ReadRequest
from edge_agent.wire.meter_map import MeterMap

NAMED = {
    "flip": {"bad_fcs", "bad_hcs", "bad_address", "no_flag", "bad_format"},
    "wrong_fcs": {"bad_fcs"},
    "truncate": {"truncated_frame", "bad_fcs", "no_flag"},
    "double": {"doubled_frame"},
    "garbage_before": {"noise"},
    "garbage_after": {"noise"},
    "gap": {"truncated_frame"},
    "late": {"no_answer"},
    "echo": {"echo"},
    "busy": {"busy"},
    "drop": {"no_answer"},
    "reboot": {"disconnected", "no_answer"},
}
ROWS = [(START + at) * EPOCH for at in range(1, 11)]
VALUES = [1000 + 1000 * at for at in range(1, 11)]


def _read(world):
    return world.driver.rows(START * EPOCH, (START + 10) * EPOCH)


@pytest.mark.parametrize("answer", range(1, 16))
@pytest.mark.parametrize("kind", [*ON_THE_LINE, "busy", "reboot"])
def test_one_fault_costs_no_row(kind, answer):
    world = World({"max_pdu": 128}, faults=[Fault(kind, answer, seconds=4)])
    rows = _read(world)
    assert [(row.interval_end, row.consumption) for row in rows] == list(zip(ROWS, VALUES, strict=True))
    again = _read(world)
    assert [row.consumption for row in again] == VALUES
    if world.transport.faulty.struck and (kind, answer) != ("busy", 1):  # no link that could be busy
        assert NAMED[kind] & set(world.driver.faults), world.driver.faults
    else:
        assert not world.driver.faults


@pytest.mark.parametrize("answer", range(1, 16))
def test_a_fault_that_needs_no_retry_costs_none(answer):
    for kind in ("double", "echo", "garbage_before", "garbage_after", "busy"):
        world = World({"max_pdu": 128}, faults=[Fault(kind, answer)])
        _read(world)
        assert world.clock.waited == 0, kind


def test_a_line_that_always_echoes_is_told_once():
    world = World({"max_pdu": 128}, faults=[Fault("echo", 1, 1)])
    for _ in range(3):
        assert [row.consumption for row in _read(world)] == VALUES
        world.driver._connection.abandon()
    assert world.driver.faults == ["echo"]


@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.0, 7.0])
def test_late_answers_are_never_taken_for_others(seconds):
    for answer in range(1, 14):
        world = World({"max_pdu": 128}, faults=[Fault("late", answer, seconds=seconds)])
        assert [row.consumption for row in _read(world)] == VALUES, answer
        assert world.driver.identity() == "KFM1000000000001"
        assert [row.consumption for row in _read(world)] == VALUES, answer


def test_a_line_with_many_faults():
    for kind in ON_THE_LINE:
        world = World({"max_pdu": 128}, faults=[Fault(kind, 3, 4, seconds=0.6)])
        for _ in range(3):
            assert [row.consumption for row in _read(world)] == VALUES, kind


def test_a_meter_that_never_answers_again():
    world = World(faults=[Fault("drop", 4, 1)])
    with pytest.raises(MeterTimeoutError):
        _read(world)


def test_a_reset_register_and_a_rollover_are_handed_on_as_they_are():
    registers = [{"obis": "1-0:1.8.0.255", "power": "4000", "initial": 98000, "rollover": 100000}]
    registers.append({"obis": "1-0:2.8.0.255", "power": "0"})
    world = World({"register": registers})
    assert [row.consumption for row in _read(world)][:4] == [99000, 0, 1000, 2000]
    world = World(faults=[Fault("counter_reset", 1)])
    before = _read(world)
    world.clock.now += EPOCH
    (after,) = world.driver.rows((START + 10) * EPOCH, (START + 11) * EPOCH)
    assert after.consumption < before[-1].consumption


def test_a_clock_that_jumps_shows():
    world = World(faults=[Fault("clock_jump", 8, seconds=90)])
    assert world.driver.clock_deviation() == 0
    _read(world)
    _read(world)
    assert world.driver.clock_deviation() == -90


def test_a_meter_that_follows_its_zone_through_the_change():
    start = 1792886400 // EPOCH  # 25 October 2026, 00:00 UTC; Vienna's clocks go back at 01:00
    world = World({"zone": "Europe/Vienna"}, start=start, rows=8)
    rows = world.driver.rows(start * EPOCH, (start + 8) * EPOCH)
    assert [row.interval_end for row in rows] == [(start + at) * EPOCH for at in range(1, 9)]
    local = World({"zone": "Europe/Vienna", "deviation": "none"}, {"clock": "Europe/Vienna"}, start=start, rows=8)
    rows = local.driver.rows(start * EPOCH, (start + 8) * EPOCH)
    assert [row.interval_end for row in rows] == [(start + at) * EPOCH for at in range(1, 9)]


@pytest.mark.parametrize("text", ["", "explode", "flip soon", "late 1 2"])
def test_commands_that_are_none(text):
    with pytest.raises(FaultError):
        Fault.parse(text)


def test_commands_that_are_some():
    assert Fault.parse("flip") == Fault("flip")
    assert Fault.parse("late 2.5") == Fault("late", seconds=2.5)
    assert set(KINDS) == set(ON_THE_LINE) | set(IN_THE_METER)
    assert [Fault("flip", 3, 2).strikes(at) for at in range(1, 8)] == [False, False, True, False, True, False, True]


FILE = """
[line]
link = "meter"
control = "control"
  [[line.fault]]
  kind = "flip"
  answer = 3
  [[line.fault]]
  kind = "late"
  answer = 5
  seconds = 0.3
[[meter]]
logical_device_name = "KFM1000000000001"
  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "0"
  initial = 77
"""


def test_faults_by_schedule_and_by_command_on_a_real_line(tmp_path):
    running = start(tmp_path, FILE)
    try:
        for command in (b"", b"garbage_before", b"truncate", b"nonsense", b"drop"):
            if command:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
                    control.sendto(command, str(tmp_path / "control"))
            found = read_json("--port", running.port, "--client", "16", "--timeout", "0.6")
            assert found["registers"] == {"1-0:1.8.0.255": {"value": "77", "unit": "Wh"}}
    finally:
        assert running.stop() == 0
    assert not (tmp_path / "control").exists()


def test_what_befalls_a_meter_befalls_it_once_however_a_request_arrives():
    jump = World(faults=[Fault("clock_jump", 1, seconds=90)])
    request = HdlcClientLink(encode_address(16), server_address(1), LinkParameters()).connect()
    for at in range(len(request)):
        jump.transport.faulty.receive(request[at : at + 1])
    assert jump.transport.faulty.struck == ["clock_jump"]
    assert jump.meter.clock_error == 90
    jump.transport.faulty.receive(request)
    assert jump.meter.clock_error == 90


def test_a_wrong_speed_without_a_sign_on_garbles_one_answer():
    for answer in (1, 2, 5):
        world = World(faults=[Fault("wrong_baud", answer)])
        assert [row.consumption for row in _read(world)] == VALUES
        assert world.transport.faulty.struck == ["wrong_baud"]


def test_a_clock_in_a_zone_says_so_and_is_set_in_it():
    world = World({"zone": "Europe/Vienna"})  # in June
    clock = next(item for item in world.meter.objects if item.CLASS_ID == 8)
    indices = {item.name: item.index for item in clock.ATTRIBUTES}
    wanted = {"time_zone": -60, "daylight_savings_deviation": 60, "daylight_savings_enabled": True, "status": 0x80}
    for name, value in wanted.items():
        assert clock.get(indices[name])[1] == value, name
    now = world.meter.clock_time(world.clock.now + 30)
    now.deviation = None
    clock.store(clock.ATTRIBUTES[0], now)
    assert world.meter.clock_error == 30


def test_of_many_faults_the_newest_are_kept_and_all_are_counted():
    faults = Faults()
    for at in range(MOST_FAULTS + 5):
        faults.append(str(at))
    assert (len(faults), faults[0], faults[-1]) == (MOST_FAULTS, "5", str(MOST_FAULTS + 4))
    assert faults.since(MOST_FAULTS + 3) == [str(MOST_FAULTS + 3), str(MOST_FAULTS + 4)]
    assert faults.since(0) == list(faults)
    assert faults.since(faults.total) == []
    copied = faults.copy()
    faults.append("later")
    assert copied.since(MOST_FAULTS + 4) == [str(MOST_FAULTS + 4)]


def test_a_line_that_is_disturbed_for_ever_is_told_of_for_ever(caplog):
    class Driver:
        faults = Faults()

        def identity(self):
            return MAP["logical_device_name"]

        def rows(self, since, until):
            for _ in range(MOST_FAULTS - 1):
                self.faults.append("noise")
            return []

        def clock_deviation(self):
            return None

        def close(self):
            pass

    settings = MeterSettings(name="m", serial="1", port="none", map=MeterMap.from_dict(MAP))
    port = MeterLine(
        "none", [settings], lambda *_: Driver(), lambda _: None, lambda: 0.0, live_seconds=0, observe=lambda *_: None
    )
    with caplog.at_level("INFO", "edge_agent"):
        for _ in range(4):
            port.handle(ReadRequest(EPOCH, {"m": 0}))
    told = [record.fields["faults"] for record in caplog.records if "disturbed" in record.getMessage()]
    assert told == [f"noise ({MOST_FAULTS - 1})"] * 4
