"""COSEM objects by name, read, written and called through a client and a server."""

from core_checks import drive, fails

from edge_agent.dlms.client import Client
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.cosem.activity_calendar import ActivityCalendar
from edge_agent.dlms.cosem.demand_register import DemandRegister
from edge_agent.dlms.cosem.disconnect_control import CONNECTED, DISCONNECTED, DisconnectControl
from edge_agent.dlms.cosem.extended_register import ExtendedRegister
from edge_agent.dlms.cosem.iec_hdlc_setup import IecHdlcSetup
from edge_agent.dlms.cosem.image_transfer import ImageTransfer
from edge_agent.dlms.cosem.security_setup import SecuritySetup
from edge_agent.dlms.cosem.types import CAPTURE_OBJECTS, NAME, OBJECT_LIST, SCALER_UNIT, TIME, ListedObject
from edge_agent.dlms.server import ServerSession

MOMENT = ClockTime.from_unix(1780315200, -120)

OBJECTS = (
    ExtendedRegister("1-0:1.6.0.255", value=(6, 77), scaler_unit=(-1, 27), status=(17, 0), capture_time=MOMENT),
    DemandRegister(
        "1-0:1.4.0.255",
        current_average_value=(6, 5),
        last_average_value=(6, 6),
        scaler_unit=(0, 27),
        status=(17, 0),
        capture_time=MOMENT,
        start_time_current=MOMENT,
        period=900,
        number_of_periods=1,
    ),
    DisconnectControl("0-0:96.3.10.255", output_state=True, control_state=CONNECTED, control_mode=4),
    ActivityCalendar(
        "0-0:13.0.0.255",
        calendar_name_active=b"winter",
        season_profile_active=(1, []),
        week_profile_table_active=(1, []),
        day_profile_table_active=(1, []),
        calendar_name_passive=b"summer",
        season_profile_passive=(1, []),
        week_profile_table_passive=(1, []),
        day_profile_table_passive=(1, []),
        activate_passive_calendar_time=MOMENT,
    ),
    SecuritySetup(
        "0-0:43.0.0.255",
        security_policy=3,
        security_suite=0,
        client_system_title=b"CLIENT01",
        server_system_title=b"METER001",
    ),
    ImageTransfer(
        "0-0:44.0.0.255",
        image_block_size=128,
        image_transferred_blocks_status=(4, "1110"),
        image_first_not_transferred_block_number=3,
        image_transfer_enabled=True,
        image_transfer_status=1,
        image_to_activate_info=(1, []),
    ),
    IecHdlcSetup(
        "0-0:22.0.0.255",
        comm_speed=5,
        window_size_transmit=1,
        window_size_receive=1,
        max_info_field_length_transmit=128,
        max_info_field_length_receive=128,
        inter_octet_time_out=25,
        inactivity_time_out=120,
        device_address=16,
    ),
)


def _opened():
    server = ServerSession(OBJECTS)
    client = Client()
    drive(client.associate(), server.handle)
    return client, server


def test_every_attribute_by_name():
    client, server = _opened()
    for item in OBJECTS:
        for attribute in item.ATTRIBUTES:
            data = drive(client.get(item.attribute(attribute.name)), server.handle)
            assert item.decode(attribute.name, data) == item.values[attribute.name], (item.obis, attribute.name)
        assert drive(client.get(item.attribute(attribute.index)), server.handle) == data
        assert item.listed().obis == item.obis


def test_writing_by_name():
    client, server = _opened()
    for item in OBJECTS:
        for attribute in item.ATTRIBUTES:
            write = client.set(item.attribute(attribute.name), item.encode(attribute.name, item.values[attribute.name]))
            if attribute.writable:
                drive(write, server.handle)
            else:
                fails("read_write_denied", drive, write, server.handle)


def test_methods_by_name():
    client, server = _opened()
    switch = OBJECTS[2]

    def disconnect(parameters):
        assert parameters == (15, 0)
        switch.values["control_state"] = DISCONNECTED

    switch.methods["remote_disconnect"] = disconnect
    drive(client.action(switch.method("remote_disconnect"), (15, 0)), server.handle)
    state = drive(client.get(switch.attribute("control_state")), server.handle)
    assert switch.decode("control_state", state) == DISCONNECTED
    fails("read_write_denied", drive, client.action(switch.method("remote_reconnect"), (15, 0)), server.handle)
    for function in (switch.method, switch.attribute):
        try:
            function("no_such_name")
        except KeyError:
            continue
        raise AssertionError


def test_values_of_the_wrong_type():
    for codec in (CAPTURE_OBJECTS, NAME, OBJECT_LIST, SCALER_UNIT, TIME):
        fails("type_unmatched", codec.decode, (17, 1))
        fails("type_unmatched", codec.decode, (2, [(0, None)]))
        fails("type_unmatched", codec.decode, (9, b"short") if codec is NAME else (0, None))
    for data in ((1, [(17, 1)]), (1, [(2, [(18, 3)])]), (1, [(2, [(18, 3), (17, 0), (9, b"x"), (0, None)])])):
        fails("type_unmatched", OBJECT_LIST.decode, data)
        fails("type_unmatched", CAPTURE_OBJECTS.decode, data)


def test_object_lists_of_every_version():
    name = (9, b"\x01\x00\x01\x08\x00\xff")
    for rights in (
        [],
        [(0, None)],
        [(2, [(1, []), (1, [])])],
        [(2, [(1, [(2, [(15, 2), (22, 1), (0, None)])]), (1, [(2, [(15, 1), (3, True)])])])],
    ):
        (item,) = OBJECT_LIST.decode((1, [(2, [(18, 3), (17, 0), name] + rights)]))  # noqa: RUF005 - MicroPython
        assert (item.class_id, item.version, item.obis) == (3, 0, "1-0:1.8.0.255")
    assert item.access == {2: 1}
    assert item.methods == {1: 1}
    assert OBJECT_LIST.encode([ListedObject(3, 0, "1-0:1.8.0.255")])[0] == 1
