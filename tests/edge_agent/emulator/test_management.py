"""The emulated meter's objects beside its registers, read, written and acted upon by name; and by `edge-agent read`."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulator_process import read_json, start
from fake_line import EPOCH, START, World

from edge_agent.dlms.axdr import ARRAY, ENUM, INT8, OCTET_STRING, plain
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.cosem.activity_calendar import ActivityCalendar
from edge_agent.dlms.cosem.demand_register import DemandRegister
from edge_agent.dlms.cosem.disconnect_control import (
    CONNECTED,
    DISCONNECTED,
    READY_FOR_RECONNECTION,
    DisconnectControl,
)
from edge_agent.dlms.cosem.extended_register import ExtendedRegister
from edge_agent.dlms.cosem.iec_hdlc_setup import SPEEDS, IecHdlcSetup
from edge_agent.dlms.cosem.image_transfer import ImageTransfer
from edge_agent.dlms.cosem.security_setup import SecuritySetup
from edge_agent.dlms.errors import DataAccessError
from edge_agent.emulator.config import ConfigError, EmulatorConfig

METER = {
    "extended_register": [{"obis": "1-0:1.6.0.255", "power": "4000.7", "scaler": -1}],
    "demand_register": [{"obis": "1-0:1.4.0.255", "power": "4000"}],
    "disconnect_control": {},
    "image_transfer": {"blocks": 3, "transferred": 3, "block_size": 128, "status": 6},
    "activity_calendar": {"switch_hours": [7]},
    "security_setup": {"policy": 3, "client_system_title": "4741544557415931"},
    "iec_hdlc_setup": {"inactivity_time_out": 30},
}


class Reader:
    """Reads and changes objects over the emulated line."""

    def __init__(self, meter) -> None:
        self.world = World(meter)
        self.world.driver.identity()
        self.run = self.world.driver._connection.run
        self.client = self.world.driver._client

    def get(self, item, name):
        return item.decode(name, self.run(self.client.get(item.attribute(name))))

    def set(self, item, name, value):
        self.run(self.client.set(item.attribute(name), item.encode(name, value)))

    def act(self, item, name):
        return self.run(self.client.action(item.method(name), (INT8, 0)))


def test_every_object_by_name():
    reader = Reader(METER)
    highest = ExtendedRegister("1-0:1.6.0.255")
    assert plain(reader.get(highest, "value")) == 40007
    assert reader.get(highest, "scaler_unit") == (-1, 27)
    assert reader.get(highest, "capture_time").unix() == (START + 1) * EPOCH
    demand = DemandRegister("1-0:1.4.0.255")
    assert plain(reader.get(demand, "current_average_value")) == plain(reader.get(demand, "last_average_value")) == 4000
    assert reader.get(demand, "start_time_current").unix() == (START + 10) * EPOCH
    assert (reader.get(demand, "period"), reader.get(demand, "number_of_periods")) == (EPOCH, 1)
    image = ImageTransfer("0-0:44.0.0.255")
    assert reader.get(image, "image_transferred_blocks_status")[1] == "111"
    assert [reader.get(image, at) for at in (2, 4, 5, 6)] == [128, 3, True, 6]
    assert plain(reader.get(image, "image_to_activate_info"))[0][:2] == [384, b"KFM-2.1"]
    security = SecuritySetup("0-0:43.0.0.255")
    assert [reader.get(security, at) for at in (2, 3, 4)] == [3, 0, b"GATEWAY1"]
    assert reader.get(security, "server_system_title") == reader.world.meter.config.system_title
    line = IecHdlcSetup("0-0:22.0.0.255")
    assert SPEEDS[reader.get(line, "comm_speed")] == 9600
    assert [reader.get(line, at) for at in (3, 5, 8, 9)] == [1, 128, 30, 1]
    listed = {item.obis: item.class_id for item in reader.world.driver._reader.object_list()}
    assert listed["0-0:96.3.10.255"] == 70
    assert listed["1-0:1.6.0.255"] == 4


def test_the_highest_average_is_that_of_a_finished_epoch(tmp_path):
    (tmp_path / "p.csv").write_text("a\n5\n9\n9\n1\n")
    config = EmulatorConfig.from_dict(
        {
            "epoch_seconds": EPOCH,
            "start_epoch": START,
            "source": {"csv": "p.csv"},
            "meter": [{"logical_device_name": "A", "extended_register": [{"obis": "1-0:1.6.0.255", "power": "a"}]}],
        },
        tmp_path,
    )
    from edge_agent.emulator.line import EmulatedLine

    for now, value, captured in ((0.5, 0, 0), (1.5, 5, 1), (2.0, 9, 2), (3.5, 9, 2), (99, 9, 2)):
        meter = EmulatedLine.build(config, lambda now=now: (START + now) * EPOCH).meters[0]
        found = next(item for item in meter.objects if item.CLASS_ID == 4)
        assert plain(found.get(2)) == value
        assert found.decode(5, found.get(5)).unix() == (START + captured) * EPOCH


def test_the_switch():
    reader = Reader(METER)
    switch = DisconnectControl("0-0:96.3.10.255")

    def state():
        return reader.get(switch, "output_state"), reader.get(switch, "control_state")

    assert state() == (True, CONNECTED)
    reader.act(switch, "remote_disconnect")
    assert state() == (False, DISCONNECTED)
    reader.act(switch, "remote_reconnect")
    assert state() == (True, CONNECTED)
    reader.set(switch, "control_mode", 1)
    reader.act(switch, "remote_reconnect")
    assert state() == (True, CONNECTED)
    reader.act(switch, "remote_disconnect")
    reader.act(switch, "remote_reconnect")
    assert state() == (False, READY_FOR_RECONNECTION)
    reader = Reader({"disconnect_control": {"mode": 0}})
    with pytest.raises(DataAccessError):
        reader.act(switch, "remote_disconnect")
    assert state() == (True, CONNECTED)
    with pytest.raises(DataAccessError):
        reader.set(switch, "control_state", DISCONNECTED)


def test_the_passive_calendar_becomes_active():
    reader = Reader(METER)
    calendar = ActivityCalendar("0-0:13.0.0.255")
    assert reader.get(calendar, "calendar_name_active") == b"campus"
    day = plain(reader.get(calendar, "day_profile_table_active"))
    assert day[0][1][0][0] == bytes((7, 0, 0, 0))
    assert plain(reader.get(calendar, "week_profile_table_active"))[0][1:] == [1] * 7
    reader.set(calendar, "calendar_name_passive", b"spring")
    reader.set(calendar, "day_profile_table_passive", (ARRAY, []))
    reader.act(calendar, "activate_passive_calendar")
    assert reader.get(calendar, "calendar_name_active") == b"spring"
    assert plain(reader.get(calendar, "day_profile_table_active")) == []
    assert isinstance(reader.get(calendar, "activate_passive_calendar_time"), ClockTime)
    assert (ENUM, OCTET_STRING) == (22, 9)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"extended_register": [{"obis": "1-0:1.6.0.255", "power": "1", "unit": "Wh"}]}, "unit"),
        ({"demand_register": [{"obis": "1-0:1.4.0.255"}]}, "power"),
        ({"demand_register": METER["demand_register"] * 2}, "twice"),
        ({"disconnect_control": {"mode": 7}}, "mode"),
        ({"disconnect_control": 3}, "disconnect_control"),
        ({"image_transfer": {"blocks": 2, "transferred": 3}}, "transferred"),
        ({"activity_calendar": {"switch_hours": [22, 6]}}, "switch_hours"),
        ({"activity_calendar": {"name": "Frühling"}}, "name"),
        ({"security_setup": {"client_system_title": "00"}}, "client_system_title"),
        ({"iec_hdlc_setup": {"speed": 3}}, "speed"),
    ],
)
def test_mistakes_in_the_file_are_named(change, word):
    with pytest.raises(ConfigError, match=word):
        EmulatorConfig.from_dict({"meter": [{"logical_device_name": "A", **change}]}, Path())


def test_the_read_command_reads_them(tmp_path):
    text = (
        '[line]\nlink = "m"\n[[meter]]\nlogical_device_name = "A"\n[meter.disconnect_control]\n[meter.image_transfer]\n'
    )
    running = start(tmp_path, text + '[[meter.extended_register]]\nobis = "1-0:1.6.0.255"\npower = "7"\n')
    try:
        options = ("--port", running.port, "--client", "16")
        assert read_json(*options, "--object", "0-0:96.3.10.255")["value"] == "true"
        assert read_json(*options, "--object", "0-0:44.0.0.255:2")["value"] == "256"
        assert read_json(*options, "--object", "1-0:1.6.0.255")["unit"] == "W"
    finally:
        running.stop()
