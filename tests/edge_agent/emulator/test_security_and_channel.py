"""What a meter's security setup demands it enforces; what is written to its HDLC setup comes to be on the line."""

from __future__ import annotations

import os
import socket
import termios
from pathlib import Path

import pytest
from emulator_process import read_json, read_meter, start
from fake_line import Clock, FakeTransport

from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.axdr import ENUM, OCTET_STRING, UINT8, plain
from edge_agent.dlms.client import Client
from edge_agent.dlms.cosem.iec_hdlc_setup import SPEEDS, IecHdlcSetup
from edge_agent.dlms.cosem.security_setup import SecuritySetup, demanded, strengthens
from edge_agent.dlms.errors import DataAccessError, DlmsError
from edge_agent.dlms.hdlc.address import encode_address, server_address
from edge_agent.dlms.hdlc.client_link import HdlcClientLink
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.obis import LOGICAL_DEVICE_NAME
from edge_agent.dlms.security import AUTHENTICATED, ENCRYPTED, Security
from edge_agent.emulator.cli import Port
from edge_agent.emulator.config import ConfigError, EmulatorConfig, LineConfig
from edge_agent.emulator.line import EmulatedLine
from edge_agent.meters.connection import Connection, HdlcLine
from edge_agent.meters.errors import MeterError
from edge_agent.meters.transport import SerialTransport

KEY = "000102030405060708090a0b0c0d0e0f"
AUTH_KEY = "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
BOTH = AUTHENTICATED | ENCRYPTED
GMAC = {"address": 1, "auth": "gmac", "key": KEY, "auth_key": AUTH_KEY}
HLS_ALONE = {"address": 2, "auth": "gmac", "key": KEY, "auth_key": AUTH_KEY, "ciphering": "none"}
NAME = CosemAttribute(1, LOGICAL_DEVICE_NAME, 2)
OBJECT_LIST = CosemAttribute(15, bytes((0, 0, 40, 0, 0, 255)), 2)
SETUP = SecuritySetup("0-0:43.0.0.255")
CHANNEL = IecHdlcSetup("0-0:22.0.0.255")


class _Counter:
    """A client's invocation counter, kept over its associations."""

    def __init__(self, value=100):
        self.value = value

    def __call__(self):
        self.value += 1
        return self.value


class _Plain(Security):
    """A client that proves its keys and then does not cipher its requests."""

    plainly = False

    def protect(self, apdu):
        return apdu if self.plainly and apdu[0] != 0x01 else super().protect(apdu)

    def unprotect(self, data):
        return data if self.plainly and not self.is_ciphered(data) else super().unprotect(data)


class _Meter:
    """One emulated meter on a line without a pty."""

    def __init__(self, line=None, **changes):
        self.clock = Clock(1_780_000_000)
        meter = {"logical_device_name": "A", "client": [{"address": 16}, GMAC, HLS_ALONE], **changes}
        config = EmulatorConfig.from_dict({"line": line or {}, "meter": [meter]}, Path())
        self.line = EmulatedLine.build(config, self.clock.time)
        self.transport = FakeTransport(self.line, self.clock)
        self.counter = _Counter()

    def opened(self, client=1, server=b"\x03", parameters=None, control=BOTH, **options):
        """A connection; of client 16 without keys."""
        security = None
        if client != 16:
            security = _Plain(
                system_title=b"GATEWAY1",
                key=bytes.fromhex(KEY),
                authentication_key=bytes.fromhex(AUTH_KEY),
                next_counter=self.counter,
                challenge=b"a challenge of 1",
                ciphered=client == 1,
                control=control,
                **options,
            )
        link = HdlcClientLink(encode_address(client), server, parameters)
        connection = Connection(HdlcLine(self.transport, link, clock=self.clock.monotonic), Client(None, security))
        connection.open()
        return connection


def _name(connection):
    return plain(connection.run(connection.client.get(NAME)))


def _refused(connection):
    with pytest.raises(DlmsError) as caught:
        _name(connection)
    return caught.value.code


def _raise(connection, policy):
    return connection.run(connection.client.action(SETUP.method("security_activate"), policy))


def test_policies_as_bits():
    assert [demanded(policy) for policy in range(4)] == [(0, 0), (0x10, 0x10), (0x20, 0x20), (0x30, 0x30)]
    assert [demanded(policy, 1) for policy in (0, 4, 8, 0x20, 0x40, 0x6C)] == [
        (0, 0),
        (0x10, 0),
        (0x20, 0),
        (0, 0x10),
        (0, 0x20),
        (0x30, 0x30),
    ]
    assert [(new, old) for new in range(5) for old in range(4) if strengthens(new, old)] == [
        (0, 0),
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 2),
        (3, 0),
        (3, 1),
        (3, 2),
        (3, 3),
    ]
    assert strengthens(0x6C, 0x24, 1)
    assert not strengthens(0x24, 0x6C, 1)
    assert not strengthens(0x10, 0, 1)  # a signature, which suite 0 has not


@pytest.mark.parametrize("policy", range(4))
def test_a_request_has_at_least_the_protection_that_the_policy_demands(policy):
    least = demanded(policy)[0]
    for control in (AUTHENTICATED, ENCRYPTED, BOTH):
        meter = _Meter(security_setup={"policy": policy})
        if control & least == least:
            assert _name(meter.opened(control=control)) == b"A"
        else:
            with pytest.raises(MeterError) as caught:
                meter.opened(control=control)
            assert caught.value.code == "wrong_key"
    meter = _Meter(security_setup={"policy": policy})
    connection = meter.opened()
    connection.client.security.plainly = True
    if policy == 0:
        assert _name(connection) == b"A"
    else:
        assert _refused(connection) == "exception_deciphering_error"
        # The association stands, and what is protected is answered.
        connection.client.security.plainly = False
        assert _name(connection) == b"A"
    # Without a setup all has to be ciphered, as the association has it.
    meter = _Meter()
    connection = meter.opened()
    connection.client.security.plainly = True
    assert _refused(connection) == "exception_deciphering_error"


def test_a_plain_association_is_refused_where_a_policy_demands_protection():
    for policy in range(4):
        meter = _Meter(security_setup={"policy": policy})
        assert _name(meter.opened(16)) == b"A"
        if policy == 0:
            assert _name(meter.opened(2)) == b"A"
            continue
        with pytest.raises(MeterError) as caught:
            meter.opened(2)
        assert caught.value.code == "context_not_supported"


def test_responses_have_the_protection_of_the_policy_and_of_their_request():
    for policy, asked, answered in (
        (0, AUTHENTICATED, AUTHENTICATED),
        (0, BOTH, BOTH),
        (0x20, 0, AUTHENTICATED),
        (0x40, AUTHENTICATED, BOTH),
        (0x60, 0, BOTH),
        (0x08, ENCRYPTED, ENCRYPTED),
    ):
        meter = _Meter(security_setup={"version": 1, "policy": policy})
        connection = meter.opened()
        security = connection.client.security
        seen = []
        connection.client._received = seen.append
        security.plainly = asked == 0
        security.control = asked
        assert _name(connection) == b"A"
        assert seen[-1][0] == (0xCC if answered else 0xC4)
        assert seen[-1][2] == answered


def test_a_policy_is_raised_and_never_lowered():
    meter = _Meter(security_setup={"policy": 0})
    connection = meter.opened(control=AUTHENTICATED)
    assert _name(connection) == b"A"
    for nonsense, code in (((UINT8, 3), "type_unmatched"), ((ENUM, 4), "read_write_denied")):
        with pytest.raises(DataAccessError) as caught:
            _raise(connection, nonsense)
        assert caught.value.code == code
    assert connection.read(SETUP, "security_policy") == 0
    _raise(connection, (ENUM, 1))
    assert connection.read(SETUP, "security_policy") == 1
    _raise(connection, (ENUM, 3))
    # From now on requests must be encrypted too.
    assert _refused(connection) == "exception_deciphering_error"
    connection.client.security.control = BOTH
    assert connection.read(SETUP, "security_policy") == 3
    for weaker in (0, 1, 2):
        with pytest.raises(DataAccessError) as caught:
            _raise(connection, (ENUM, weaker))
        assert caught.value.code == "read_write_denied"
    _raise(connection, (ENUM, 3))
    with pytest.raises(DataAccessError):
        connection.run(connection.client.set(SETUP.attribute("security_policy"), (ENUM, 0)))
    # A reboot does not lower it, and whoever has no keys has no say.
    meter.line.forget()
    assert meter.opened().read(SETUP, "security_policy") == 3
    other = _Meter(security_setup={"policy": 0})
    with pytest.raises(DataAccessError) as caught:
        _raise(other.opened(16), (ENUM, 3))
    assert caught.value.code == "read_write_denied"
    assert other.opened(16).read(SETUP, "security_policy") == 0


def test_a_policy_that_is_raised_meets_the_associations_that_stand():
    meter = _Meter(security_setup={"policy": 0})
    unciphered = meter.opened(2)
    assert _name(unciphered) == b"A"
    _raise(meter.opened(), (ENUM, 3))
    assert _refused(unciphered) == "exception_deciphering_error"


def test_counters_rise_strictly_and_outlive_a_reboot():
    meter = _Meter()
    connection = meter.opened()
    assert _name(connection) == b"A"
    used = meter.counter.value
    assert meter.line.meters[0].peer_counter() == used
    # A counter again, or a lower one, is refused with the least that would do; a higher one, with gaps, is taken.
    for value in (used - 1, used - 20):
        meter.counter.value = value
        with pytest.raises(DlmsError) as caught:
            _name(connection)
        assert caught.value.code == "exception_invocation_counter_error"
        assert caught.value.least_counter == used + 1
    meter.counter.value = used + 1000
    assert _name(connection) == b"A"
    meter.line.forget()
    meter.counter.value = used
    with pytest.raises(MeterError) as caught:
        meter.opened()
    assert caught.value.code == "exception_invocation_counter_error"
    assert caught.value.__cause__.least_counter == used + 1002
    meter.counter.value = used + 1001
    assert _name(meter.opened()) == b"A"


def test_the_proof_of_the_keys_and_the_release_are_counted_too():
    meter = _Meter()
    # Without ciphering the proof is all that counts.
    assert _name(meter.opened(2)) == b"A"
    used = meter.counter.value
    meter.line.forget()
    meter.counter.value = used - 1
    with pytest.raises(MeterError) as caught:
        meter.opened(2)
    assert caught.value.code == "exception_invocation_counter_error"
    assert caught.value.__cause__.least_counter == used + 1
    meter.counter.value = used
    connection = meter.opened(2)
    assert _name(connection) == b"A"
    # A release with an old counter, or under other keys, releases nothing.
    connection = meter.opened()
    security = connection.client.security
    used = meter.counter.value
    for key, counter, answer in ((security.key, used - 5, "d80206"), (bytes(16), used + 5, "d80205")):
        kept, security.key, meter.counter.value = security.key, key, counter
        release = next(connection.client.release())
        security.key = kept
        assert connection.link.exchange(release).hex().startswith(answer)
        connection.client.state = "associated"
    meter.counter.value = used + 10
    assert _name(connection) == b"A"
    release = next(connection.client.release())
    assert connection.link.exchange(release)[0] == 0x63


def test_a_counter_at_its_end():
    meter = _Meter()
    meter.counter.value = 0xFFFFFFF0
    connection = meter.opened()
    meter.counter.value = 0xFFFFFFFE
    assert _name(connection) == b"A"
    meter.counter.value = 5
    with pytest.raises(DlmsError) as caught:
        _name(connection)
    assert caught.value.least_counter == 0xFFFFFFFF


def _write(connection, **values):
    for name, value in values.items():
        connection.write(CHANNEL, name, value)


def test_windows_and_lengths_count_from_the_next_connection_on():
    line = {"max_information": 512, "window": 7}
    meter = _Meter(line, iec_hdlc_setup={})
    ours = LinkParameters(512, 512, 7, 7)
    first, second = meter.opened(16, parameters=ours), meter.opened(1, parameters=ours)
    _write(first, max_info_field_length_transmit=64, max_info_field_length_receive=100)
    _write(first, window_size_transmit=2, window_size_receive=3)
    assert first.read(CHANNEL, "max_info_field_length_transmit") == 64
    channel = meter.line.meters[0].channel
    assert channel.parameters == LinkParameters(512, 512, 7, 7)
    first.abandon()
    # Another link is still up.
    assert channel.parameters == LinkParameters(512, 512, 7, 7)
    second.abandon()
    assert channel.parameters == LinkParameters(64, 100, 2, 3)
    third = meter.opened(16, parameters=ours)
    assert third.link.link._max_transmit == 100
    assert third.link.link._window == 3
    sizes = []
    meter.transport.on_way = lambda data: sizes.append(len(data)) or data
    assert third.run(third.client.get(OBJECT_LIST))
    assert max(sizes) <= 2 * (64 + 16)  # two frames of 64 bytes in a window


def test_a_reboot_brings_what_was_written_into_force():
    meter = _Meter(iec_hdlc_setup={})
    connection = meter.opened(16)
    _write(connection, window_size_transmit=4)
    meter.line.forget()
    assert meter.line.meters[0].channel.parameters.window_transmit == 4


def test_the_address_that_was_written_is_the_meters_from_the_next_connection_on():
    meter = _Meter(iec_hdlc_setup={}, physical=17)
    connection = meter.opened(16, server_address(1, 17))
    _write(connection, device_address=0x55)
    assert _name(connection) == b"A"
    connection.abandon()
    with pytest.raises(MeterError) as caught:
        meter.opened(16, server_address(1, 17))
    assert caught.value.code == "timeout"
    assert _name(meter.opened(16, server_address(1, 0x55))) == b"A"


def test_what_no_channel_can_do_is_refused():
    meter = _Meter(iec_hdlc_setup={})
    connection = meter.opened(16)
    for name, value in (
        ("comm_speed", 10),
        ("window_size_transmit", 0),
        ("window_size_receive", 8),
        ("max_info_field_length_transmit", 31),
        ("max_info_field_length_receive", 2031),
        ("inter_octet_time_out", 19),
        ("inter_octet_time_out", 6001),
        ("device_address", 15),
        ("device_address", 0x3FFE),
    ):
        before = connection.read(CHANNEL, name)
        with pytest.raises(DataAccessError) as caught:
            _write(connection, **{name: value})
        assert caught.value.code == "other_reason", name
        assert connection.read(CHANNEL, name) == before
    with pytest.raises(DataAccessError) as caught:
        connection.run(connection.client.set(CHANNEL.attribute("comm_speed"), (OCTET_STRING, b"9600")))
    assert caught.value.code == "type_unmatched"
    assert not meter.line.meters[0].channel.changed


def test_speed_and_time_between_octets():
    meter = _Meter(iec_hdlc_setup={})
    assert (meter.line.speed, meter.line.inter_octet) == (None, None)
    connection = meter.opened(16)
    _write(connection, comm_speed=SPEEDS.index(19200), inter_octet_time_out=2500)
    assert (meter.line.speed, meter.line.inter_octet) == (None, None)
    connection.abandon()
    assert (meter.line.speed, meter.line.inter_octet) == (19200, 2.5)
    meter.line.heard_at = 19200
    connection = meter.opened(16)
    assert _name(connection) == b"A"
    meter.line.heard_at = 9600
    with pytest.raises(MeterError) as caught:
        _name(connection)
    assert caught.value.code == "timeout"


def test_a_sign_on_settles_the_speed_by_itself():
    meter = _Meter({"mode": "e"}, iec_hdlc_setup={})
    line = meter.line
    line.receive(b"/?!\r\n")
    line.receive(b"\x06252\r\n")
    connection = meter.opened(16)
    _write(connection, comm_speed=SPEEDS.index(19200))
    connection.abandon()
    assert line.speed == 19200
    line.heard_at = 9600
    assert _name(meter.opened(16)) == b"A"


def test_a_serial_port_goes_on_at_the_speed_that_was_written():
    master, slave = os.openpty()
    try:
        port = Port(LineConfig(port=os.ttyname(slave)))
        assert port.speed is None
        for speed, constant in ((None, termios.B9600), (19200, termios.B19200), (None, termios.B19200)):
            port.take_speed(speed)
            assert termios.tcgetattr(slave)[4:6] == [constant, constant]
        port.close()
    finally:
        os.close(master)
        os.close(slave)


FILE = f"""
[line]
link = "m"
control = "control"
[[meter]]
logical_device_name = "KFM1000000000001"
  [[meter.client]]
  address = 16
  [[meter.client]]
  address = 1
  auth = "gmac"
  key = "{KEY}"
  auth_key = "{AUTH_KEY}"
  [[meter.client]]
  address = 2
  auth = "gmac"
  key = "{KEY}"
  auth_key = "{AUTH_KEY}"
  ciphering = "none"
  [meter.security_setup]
  policy = 3
  [meter.iec_hdlc_setup]
"""


def test_a_written_speed_on_a_pty(tmp_path):
    running = start(tmp_path, FILE)
    try:
        options = ("--port", running.port, "--client", "16", "--timeout", "2")
        # Until a client has written one, a pty answers at any speed.
        for speed in ("9600", "2400"):
            assert read_json(*options, "--baudrate", speed)["meter"] == "KFM1000000000001"
        link = HdlcClientLink(encode_address(16), encode_address(1), LinkParameters())
        connection = Connection(HdlcLine(SerialTransport(running.port), link, timeout=20), Client())
        connection.open()
        connection.write(CHANNEL, "comm_speed", SPEEDS.index(19200))
        assert connection.read(CHANNEL, "comm_speed") == SPEEDS.index(19200)
        connection.close()
        assert read_json(*options, "--baudrate", "19200")["meter"] == "KFM1000000000001"
        done = read_meter(*options, "--baudrate", "9600", "--timeout", "0.5")
        assert done.returncode == 1
        assert "timeout" in done.stderr
        assert read_json(*options, "--baudrate", "19200")["meter"] == "KFM1000000000001"
    finally:
        assert running.stop() == 0


def test_policy_and_counters_by_command_over_a_reboot(tmp_path):
    running = start(tmp_path, FILE)
    try:
        keys = ("--auth", "gmac", "--key", KEY, "--auth-key", AUTH_KEY, "--system-title", "4741544557415931")
        line = ("--port", running.port)
        kept = ("--counters", str(tmp_path / "counters"))
        assert read_json(*line, "--client", "1", *keys, *kept)["meter"] == "KFM1000000000001"
        done = read_meter(*line, "--client", "2", *keys, *kept, "--ciphering", "none")
        assert done.returncode == 1
        assert "context_not_supported" in done.stderr
        counted = read_json(*line, "--client", "16", "--object", "0-0:43.1.0.255")["value"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
            control.sendto(b"reboot", str(tmp_path / "control"))
        assert read_json(*line, "--client", "16", "--object", "0-0:43.1.0.255")["value"] == counted
        assert read_json(*line, "--client", "1", *keys, *kept)["meter"] == "KFM1000000000001"
        assert int(read_json(*line, "--client", "16", "--object", "0-0:43.1.0.255")["value"]) > int(counted)
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize(
    "setup", [{"policy": 4}, {"version": 2}, {"version": 1, "policy": 1}, {"version": 1, "policy": 128}]
)
def test_policies_that_do_not_exist_are_named(setup):
    with pytest.raises(ConfigError, match="security_setup"):
        EmulatorConfig.from_dict({"meter": [{"logical_device_name": "A", "security_setup": setup}]}, Path())
