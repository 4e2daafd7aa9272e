"""The client over UDP on real sockets: lost, doubled, late and strange datagrams, never another request's answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

import pytest
from fake_line import served
from free_ports import free_port

from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.axdr import ARRAY, UINT32
from edge_agent.dlms.client import ASSOCIATED
from edge_agent.dlms.errors import DataAccessError, LinkError, ServiceError
from edge_agent.dlms.obis import obis_bytes
from edge_agent.dlms.security import Security
from edge_agent.dlms.wrapper import WrapperUnit
from edge_agent.emulator.config import EmulatorConfig
from edge_agent.emulator.fault_kinds import NOT_ON, ON_THE_LINE, Fault
from edge_agent.emulator.faults import FaultyLine
from edge_agent.emulator.line import EmulatedLine
from edge_agent.meters.connection import Connection
from edge_agent.meters.datagrams import LIFETIME, RETRIES, DatagramClient, DatagramLine
from edge_agent.meters.errors import MeterTimeoutError, PortUnavailableError
from edge_agent.meters.reader import MeterReader
from edge_agent.meters.transport import UdpTransport

KEY, AUTH_KEY, TITLE = bytes(range(16)), bytes(range(0xD0, 0xE0)), b"GATEWAY1"
CODES = [f"1-0:{number}.8.0.255" for number in range(1, 13)]
METER = {
    "logical_device_name": "KFM1000000000001",
    "max_pdu": 128,
    "client": [
        {"address": 16},
        {"address": 32, "auth": "lls", "password": "12345678"},
        {"address": 1, "auth": "gmac", "key": KEY.hex(), "auth_key": AUTH_KEY.hex()},
    ],
    "register": [{"obis": code, "power": "0", "initial": 1000 + at} for at, code in enumerate(CODES)],
}
NOON = 1_980_000 * 900 + 100
KINDS = [kind for kind in ON_THE_LINE if kind not in NOT_ON["udp"]]


@contextlib.contextmanager
def _serving(faults=(), **meter):
    """An emulated meter on a UDP port; the port, and its faults."""
    data = {
        "start_epoch": 1_980_000 - 20,
        "line": {"udp": "127.0.0.1:0"},
        "meter": [{**METER, **meter}],
    }
    line = EmulatedLine.build(EmulatorConfig.from_dict(data, Path()), lambda: NOON)
    faulty = FaultyLine(line, faults)
    with served(faulty, datagrams=True) as port:
        yield port, faulty


def _connection(port, kind="none", timeout=0.4, first_counter=1):
    counter = iter(range(first_counter, 1 << 31))
    security = Security(
        system_title=TITLE,
        key=KEY,
        authentication_key=AUTH_KEY,
        next_counter=lambda: next(counter),
        challenge=bytes(range(16)),
        general=kind == "general",
        dedicated_key=bytes(16) if kind == "ded" else None,
    )
    client, password = {"none": (16, None), "lls": (32, b"12345678")}.get(kind, (1, None))
    line = DatagramLine(UdpTransport("127.0.0.1", port), client, 1, timeout)
    return Connection(line, DatagramClient(password, None if client != 1 else security))


def _register(code):
    return CosemAttribute(3, obis_bytes(code), 2)


def _read_all(connection):
    reader = MeterReader(connection)
    assert reader.logical_device_name() == "KFM1000000000001"
    assert [reader.get(_register(code))[1] for code in CODES] == [1000 + at for at in range(len(CODES))]
    found = connection.run(connection.client.get_list([(_register(code), None) for code in CODES]))
    assert [item.data[1] for item in found] == [1000 + at for at in range(len(CODES))]
    profile = reader.profile("1-0:99.1.0.255")
    rows = reader.rows("1-0:99.1.0.255", profile)
    assert len(rows) == 21
    assert {value[1] for row in rows for value in row.values[1:]} == {1000 + at for at in range(len(CODES))}


@pytest.mark.parametrize("security", ["none", "lls", "glo", "ded", "general"])
def test_a_meter_is_read_over_udp(security):
    with _serving() as (port, _):
        connection = _connection(port, security, timeout=20.0)
        connection.open()
        _read_all(connection)
        connection.close()
        assert connection.link.faults == []


@pytest.mark.parametrize("security", ["none", "glo", "ded"])
@pytest.mark.parametrize("kind", KINDS)
def test_faults_cost_a_retry_and_never_mix_answers(kind, security):
    faults = [Fault(kind, 1, 9, seconds=0.6), Fault(kind, 4, 9, seconds=0.6)]
    with _serving(faults, max_pdu=1024) as (port, faulty):
        connection = _connection(port, security)
        connection.open()
        _read_all(connection)
        connection.close()
        assert len(faulty.struck) >= 5
        named = {"double": "late_answer", "garbage_after": "bad_wrapper"}.get(kind, "no_answer")
        assert named in connection.link.faults


def test_a_late_answer_is_not_taken_for_the_next():
    with _serving([Fault("late", 3, 4, seconds=0.7)]) as (port, _):
        connection = _connection(port)
        connection.open()
        for _ in range(5000):  # long enough for what is late to arrive among other answers
            for at, code in enumerate(CODES):
                assert connection.run(connection.client.get(_register(code))) == (21, 1000 + at)
            if connection.link.faults.count("late_answer") >= 3:
                break
        assert connection.link.faults.count("late_answer") >= 3
        connection.close()


def test_a_meter_that_reboots_is_associated_with_anew():
    with _serving() as (port, faulty):
        connection = _connection(port)
        connection.open()
        faulty.line.forget()
        with pytest.raises(ServiceError):
            connection.run(connection.client.get(_register(CODES[0])))
        connection.abandon()
        connection.open()
        _read_all(connection)


def test_refusals_stay_what_they_are():
    with _serving() as (port, _):
        connection = _connection(port, timeout=20.0)
        connection.open()
        with pytest.raises(DataAccessError):
            connection.run(connection.client.get(CosemAttribute(3, obis_bytes("1-0:99.8.0.255"), 2)))
        assert connection.client.state == ASSOCIATED
        assert connection.run(connection.client.get(_register(CODES[3])))[1] == 1003


class Meter:
    """A meter made by hand: `answers` are called with number and APDU of each request, and give (ports, APDU) pairs."""

    def __init__(self, answers):
        self.answers = answers
        self.requests = []
        self.peers = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            data, peer = self.socket.recvfrom(65536)
            if not data:
                return
            apdu = WrapperUnit.from_bytes(data).apdu
            self.requests.append(apdu)
            self.peers.append(peer)
            for answer in self.answers(len(self.requests), apdu):
                raw = answer if isinstance(answer, bytes) else None
                unit = raw if raw is not None else WrapperUnit(*answer).to_bytes()
                self.socket.sendto(unit, peer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(30)
        self.socket.close()


def _line(meter, timeout=0.4):
    line = DatagramLine(UdpTransport("127.0.0.1", meter.port), 16, 1, timeout)
    client = DatagramClient()
    client.state = ASSOCIATED
    return Connection(line, client)


def _value(apdu, value, invoke=None):
    number = (apdu[2] if invoke is None else invoke).to_bytes(1, "big")
    return (1, 16, b"\xc4\x01" + number + b"\x00\x06" + value.to_bytes(4, "big"))


AARE = (1, 16, bytes.fromhex("6129a109060760857405080101a203020100a305a103020100be10040e0800065f1f0400001e1d04c80007"))


def test_what_is_no_answer_is_passed_over():
    def answers(_number, apdu):
        return [
            b"",
            b"\x00\x01\x00",
            b"nonsense",
            WrapperUnit(*_value(apdu, 1)).to_bytes()[:-1],
            WrapperUnit(*_value(apdu, 2)).to_bytes() + b"\x00",
            (2, 16, _value(apdu, 3)[2]),
            (1, 17, _value(apdu, 4)[2]),
            _value(apdu, 5, apdu[2] - 1),
            AARE,
            (1, 16, b"\x63\x03\x80\x01\x00"),
            (1, 16, b"\xc5\x01" + apdu[2:3] + b"\x00"),
            (1, 16, b"\x0f\x00\x00\x00\x01\x00\x06\x00\x00\x00\x06"),
            (1, 16, b""),
            _value(apdu, 42),
        ]

    with Meter(answers) as meter:
        connection = _line(meter, timeout=20.0)
        for _ in range(20):
            assert connection.run(connection.client.get(_register(CODES[0]))) == (UINT32, 42)
        assert len(meter.requests) == 20


def test_the_invoke_id_of_a_lost_request_is_left_alone():
    held = []

    def answers(number, apdu):
        if number == 1:
            held.append(_value(apdu, 666))
            return []
        return [*held, _value(apdu, apdu[2])]

    with Meter(answers) as meter:
        connection = _line(meter, timeout=1.0)
        for _ in range(40):
            value = connection.run(connection.client.get(_register(CODES[0])))[1]
            assert value == meter.requests[-1][2]
        assert all(apdu[2] != meter.requests[0][2] for apdu in meter.requests[1:])
        assert "late_answer" in connection.link.faults


def test_so_many_are_lost_that_none_can_be_told_apart():
    now = [0.0]
    lost = []
    with Meter(lambda number, apdu: lost.pop() if lost else [_value(apdu, 5)]) as meter:
        connection = _line(meter, timeout=0.3)
        connection.client._clock = lambda: now[0]

        def read():
            lost.append([])
            return connection.run(connection.client.get(_register(CODES[0])))[1]

        with pytest.raises(LinkError) as caught:
            assert {read() for _ in range(16)} == {5}
        assert caught.value.code == "too_many_lost"
        now[0] = LIFETIME
        assert read() == 5


def test_an_exception_is_asked_about_once_more():
    refusal = (1, 16, b"\xd8\x01\x02")
    with Meter(lambda number, apdu: [refusal, _value(apdu, 7)] if number == 1 else [_value(apdu, 8)]) as meter:
        connection = _line(meter, timeout=20.0)
        assert connection.run(connection.client.get(_register(CODES[0]))) == (UINT32, 8)
        assert "late_answer" in connection.link.faults
    with Meter(lambda _number, _apdu: [refusal]) as meter:
        connection = _line(meter, timeout=20.0)
        with pytest.raises(ServiceError):
            connection.run(connection.client.get(_register(CODES[0])))
        assert len(meter.requests) == 2


def test_a_block_that_came_before_is_none_that_is_due():
    def block(apdu, number, last, raw):
        return (1, 16, b"\xc4\x02" + apdu[2:3] + bytes((last,)) + number.to_bytes(4, "big") + b"\x00\x03" + raw)

    first, second = b"\x01\x02\x11", b"\x07\x11\x08"

    def answers(_number, apdu):
        if apdu[1] == 1:
            return [block(apdu, 1, 0, first)] * 2
        return [block(apdu, 1, 0, first), block(apdu, 2, 1, second), block(apdu, 2, 1, second)]

    with Meter(answers) as meter:
        connection = _line(meter, timeout=20.0)
        for _ in range(5):
            assert connection.run(connection.client.get(_register(CODES[0]))) == (ARRAY, [(17, 7), (17, 8)])
        assert len(meter.requests) == 10


def test_a_meter_that_is_silent_or_only_babbles():
    for answer in ([], [b"\xff" * 9], [(1, 16, b"\xc4\x01\x00\x00\x11\x05")] * 50):
        with Meter(lambda _number, _apdu, answer=answer: answer) as meter:
            connection = _line(meter, timeout=0.1)
            with pytest.raises(MeterTimeoutError, match=f"asked {RETRIES + 1} times"):
                connection.run(connection.client.get(_register(CODES[0])))
        assert len(meter.requests) == RETRIES + 1  # now that the meter has seen the last of them
        assert len({apdu[2] for apdu in meter.requests}) == RETRIES + 1  # each its own invoke-id


def test_each_association_has_a_port_of_its_own():
    with Meter(lambda number, _apdu: [AARE] if number >= 3 else []) as meter:
        connection = Connection(DatagramLine(UdpTransport("127.0.0.1", meter.port), 16, 1, 0.5), DatagramClient())
        connection.open()
        assert connection.client.state == ASSOCIATED
    assert len(meter.requests) >= 3
    assert len(set(meter.peers)) == len(meter.peers)


def test_setting_is_not_repeated():
    with Meter(lambda _number, _apdu: []) as meter:
        connection = _line(meter, timeout=0.1)
        with pytest.raises(MeterTimeoutError):
            connection.run(connection.client.set(_register(CODES[0]), (UINT32, 5)))
    assert len(meter.requests) == 1


def test_nobody_listens():
    with pytest.raises((PortUnavailableError, MeterTimeoutError)):
        _connection(free_port(), timeout=0.2).open()
    with pytest.raises(PortUnavailableError):
        UdpTransport("no.such.host.invalid", 4059)
