"""Meters behind network modules, on real sockets: what modules and networks do, and never a wrong or lost row."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from fake_line import EPOCH, METER, START, served
from free_ports import free_port

from edge_agent.config import MeterSettings
from edge_agent.dlms.apdu.conformance import GENERAL_BLOCK_TRANSFER
from edge_agent.dlms.wrapper import WrapperUnit, read_unit
from edge_agent.emulator.config import EmulatorConfig
from edge_agent.emulator.fault_kinds import BLOCK_FAULTS, GARBAGE, NOT_ON, ON_THE_LINE, Fault
from edge_agent.emulator.faults import FaultyLine
from edge_agent.emulator.line import EmulatedLine
from edge_agent.meters import (
    BadAnswerError,
    MeterTimeoutError,
    NotDlmsError,
    PortUnavailableError,
    WrongMeterError,
    open_meter,
)
from edge_agent.meters.dlms_pull import IDLE_LIMIT, DlmsPullDriver
from edge_agent.meters.errors import ConnectionLostError, NoConnectionError
from edge_agent.meters.lines import MeterLine, ReadRequest
from edge_agent.meters.transport import TcpTransport, UdpTransport, peer_name
from edge_agent.wire.meter_map import MeterMap

KEY, AUTH_KEY, TITLE = bytes(range(16)), bytes(range(0xD0, 0xE0)), b"GATEWAY1"
NAME, OTHER = "KFM1000000000001", "KFM1000000000002"
CLIENTS = [*METER["client"], {"address": 1, "auth": "gmac", "key": KEY.hex(), "auth_key": AUTH_KEY.hex()}]
NOW = (START + 10) * EPOCH + 100
ENDS = [(START + at) * EPOCH for at in range(1, 11)]
VALUES = [1000 + 1000 * at for at in range(1, 11)]


def _line(*meters, **line):
    data = {"epoch_seconds": EPOCH, "start_epoch": START, "line": line or {"tcp": "127.0.0.1:0"}}
    data["meter"] = [{**METER, "client": CLIENTS, "max_pdu": 128, **meter} for meter in meters or ({},)]
    return EmulatedLine.build(EmulatorConfig.from_dict(data, Path()), lambda: NOW)


@contextlib.contextmanager
def _emulated(kind, faults=(), **meter):
    """An emulated meter on a TCP or UDP port, as `meter-emulator` serves it: its address, and its faults."""
    faulty = FaultyLine(_line(meter, **{kind: "127.0.0.1:0"}), faults)
    with served(faulty, datagrams=kind == "udp") as port:
        yield ("127.0.0.1", port), faulty


CLOSE, RESET = object(), object()


class Module:
    """A network module in front of emulated meters. `meet` turns an answer (by number of the connection, number of the
    answer in it) into what is sent: bytes, CLOSE, RESET, or a tuple of these. It takes `most`
    connections at a time; another one waits `grace` seconds for its turn, and is turned away then."""

    def __init__(self, line=None, meet=lambda connection, answer, data: data, most=None, grace=60, host="127.0.0.1"):
        self.line = line or _line()
        self.meet = meet
        self.most = most
        self.grace = grace
        self.connections = 0
        self.turned_away = 0
        self.open: list[socket.socket] = []
        self.ended = threading.Condition()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, free_port()), family=family)
        self.address = (host, self.listener.getsockname()[1])
        self.closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.closing = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()

    def hang_up(self):
        for client in list(self.open):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while not self.closing:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.ended:
                free = self.ended.wait_for(lambda: self.most is None or len(self.open) < self.most, self.grace)
                if free:
                    self.open.append(client)
            if not free:
                self.turned_away += 1
                client.close()
                continue
            with self.ended:
                self.connections += 1
                self.ended.notify_all()
            threading.Thread(target=self._serve, args=(client, self.connections), daemon=True).start()

    def _serve(self, client, number):
        meters = self.line.connect()
        answers = 0
        try:
            while data := client.recv(65536):
                answer = meters.receive(data)
                if not answer:
                    continue
                answers += 1
                met = self.meet(number, answers, answer)
                for part in met if isinstance(met, tuple) else (met,):
                    if part is RESET:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    if part in (RESET, CLOSE):
                        return
                    client.sendall(part)
        except OSError:
            pass
        finally:
            client.close()
            with self.ended:
                self.open.remove(client)
                self.ended.notify_all()


def _settings(tcp=None, udp=None, name=NAME, **settings):
    meter_map = MeterMap.from_dict(
        {
            "capture_period": EPOCH,
            "logical_device_name": name,
            "registers": {"consumption": ["1-0:1.8.0.255", 1], "generation": ["1-0:2.8.0.255", 1]},
        }
    )
    kind, place = ("tcp", tcp) if tcp else ("udp", udp)
    settings = {"name": "m", "serial": "1", "timeout": 20.0, **settings}
    return MeterSettings(port=f"{kind}://{peer_name(*place)}", map=meter_map, tcp=tcp, udp=udp, **settings)


@contextlib.contextmanager
def _driver(monotonic=time.monotonic, **settings):
    made = _settings(**settings)
    driver = DlmsPullDriver(made, made.map, now=lambda: NOW, monotonic=monotonic)
    try:
        yield driver
    finally:
        driver.close()


def _assert_whole(driver):
    rows = driver.rows(START * EPOCH, (START + 10) * EPOCH)
    assert [(row.interval_end, row.consumption) for row in rows] == list(zip(ENDS, VALUES, strict=True))


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("auth", ["none", "lls", "gmac"])
def test_a_meter_behind_a_module_is_read(tmp_path, kind, auth):
    options = {
        "none": {},
        "lls": {"client": 32, "password": "12345678"},
        "gmac": {"client": 1, "key": KEY, "auth_key": AUTH_KEY, "system_title": TITLE, "counters": tmp_path / "c"},
    }[auth]
    with _emulated(kind) as (address, _), _driver(**{kind: address}, auth=auth, **options) as driver:
        assert driver.identity() == NAME
        _assert_whole(driver)
        assert driver.clock_deviation() == 0
        assert driver.power() == 2999
        assert driver.faults == []


def test_blocks_in_a_row_over_tcp():
    with _emulated("tcp", block_window=4) as (address, _), _driver(tcp=address, block_window=3) as driver:
        _assert_whole(driver)
        assert driver._client.conformance & GENERAL_BLOCK_TRANSFER
    with _emulated("tcp", block_window=4) as (address, _), _driver(tcp=address) as driver:
        _assert_whole(driver)
        assert not driver._client.conformance & GENERAL_BLOCK_TRANSFER


KINDS = [kind for kind in (*ON_THE_LINE, "reboot", "wrong_counter") if kind not in NOT_ON["tcp"]]
SILENT = ("drop", "truncate", "late", "gap", "garbage_before")
"""Those that cost a timeout; the others wait for none, so that a slow machine makes none of its own."""


@pytest.mark.parametrize("place", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("kind", "answer"), [(kind, answer) for kind in KINDS for answer in ((1, 5) if kind in SILENT else (1, 2, 5, 9))]
)
def test_one_fault_costs_no_row(place, kind, answer):
    fault = Fault(kind, answer, seconds=5.0)
    timeout = 3.0 if kind in SILENT else 20.0
    with _emulated(place, [fault]) as (address, faulty), _driver(**{place: address}, timeout=timeout) as driver:
        assert driver.identity() == NAME
        _assert_whole(driver)
        _assert_whole(driver)
        assert faulty.struck == [kind]
        if kind in ("drop", "truncate"):
            assert driver.faults


@pytest.mark.parametrize("kind", BLOCK_FAULTS)
def test_a_fault_among_blocks_costs_no_row(kind):
    with (
        _emulated("tcp", [Fault(kind, 5)], block_window=4) as (address, faulty),
        _driver(tcp=address, block_window=3, timeout=3.0) as driver,
    ):
        _assert_whole(driver)
        _assert_whole(driver)
        assert faulty.struck == [kind]


def _half_then(end):
    return lambda data: (data[: len(data) // 2], end)


@pytest.mark.parametrize("number", [1, 2, 4, 8])
@pytest.mark.parametrize(
    ("what", "named"),
    [
        (lambda data: CLOSE, "connection_lost"),
        (_half_then(CLOSE), "connection_lost"),
        (lambda data: RESET, "connection_lost"),
        (_half_then(RESET), "connection_lost"),
        (lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n", "not_dlms"),
        (lambda data: GARBAGE + data, "not_dlms"),
        (lambda data: data[:8] + b"\xff" * (len(data) - 8), None),
        (lambda data: data[:6] + b"\x00\x00", None),
    ],
    ids=["closes", "closes_midway", "resets", "resets_midway", "http", "garbage", "damaged", "empty"],
)
def test_what_breaks_a_connection_costs_a_new_one(what, named, number):
    def meet(connection, answer, data):
        return what(data) if (connection, answer) == (1, number) else data

    with Module(meet=meet, most=1) as module, _driver(tcp=module.address) as driver:
        assert driver.identity() == NAME
        _assert_whole(driver)
        assert module.connections == 2
        assert named is None or named in driver.faults


def test_a_module_that_closes_between_two_readings():
    with Module(most=1) as module, _driver(tcp=module.address) as driver:
        for count in range(1, 4):
            assert driver.identity() == NAME
            _assert_whole(driver)
            assert module.connections == count
            with module.ended:
                module.hang_up()
                assert module.ended.wait_for(lambda: not module.open, 60)


def test_answers_to_a_dead_connection_answer_nothing():
    """The first connection falls silent; its answers come once the second is being spoken over, and on that one too
    what was asked before comes again."""
    held = []
    second = threading.Event()
    sent = []

    def meet(connection, answer, data):
        if connection == 1 and answer >= 4:
            held.append(data)
            second.wait(60)
            sent.append(answer)
            return data
        if connection == 2:
            second.set()
            return data + (held[0] if answer in (2, 5) else b"")
        return data

    with Module(meet=meet) as module, _driver(tcp=module.address, timeout=5.0) as driver:
        assert driver.identity() == NAME
        _assert_whole(driver)
        _assert_whole(driver)
        assert module.connections == 2
        assert held
        assert "timeout" in driver.faults
        assert driver.faults.count("late_answer") == 2


def test_a_meter_that_repeats_no_invoke_id_and_answers_twice():
    """Nothing but the order tells its answers apart: what comes before a request answers none."""

    def meet(connection, answer, data):
        unit, _ = read_unit(data, 0)
        apdu = unit.apdu
        if apdu[0] == 0xC4:
            apdu = apdu[:2] + b"\xc0" + apdu[3:]
        data = WrapperUnit(unit.source, unit.destination, apdu).to_bytes()
        return data + data if answer > 1 else data

    with Module(_line({"max_pdu": 65535}), meet) as module, _driver(tcp=module.address) as driver:
        for _ in range(3):
            assert driver.identity() == NAME
            assert driver.power() == 2999
            _assert_whole(driver)
        assert "late_answer" in driver.faults
        assert module.connections == 1


@pytest.mark.parametrize("whole", [True, False])
def test_a_unit_that_comes_in_pieces_over_two_requests(whole):
    """The end of a doubled answer arrives only after the next request was sent, or never."""
    tails = []

    def meet(connection, answer, data):
        if connection == 1 and answer == 2:
            tails.append(data[-3:])
            return data + data[:-3]
        if connection == 1 and answer == 3:
            return tails[0] + data if whole else b""
        return data

    with Module(meet=meet) as module, _driver(tcp=module.address, timeout=20.0 if whole else 5.0) as driver:
        assert driver.identity() == NAME
        _assert_whole(driver)
        assert module.connections == (1 if whole else 2)
        assert driver.faults == (["late_answer"] if whole else ["cut_short"])


def test_a_module_that_takes_the_connection_and_says_nothing():
    with (
        Module(meet=lambda connection, answer, data: b"") as module,
        _driver(tcp=module.address, timeout=0.3) as driver,
    ):
        with pytest.raises(MeterTimeoutError, match="no answer from the meter"):
            driver.identity()
        with module.ended:
            assert module.ended.wait_for(lambda: module.connections == 2, 60)


def test_a_module_that_never_stops_talking():
    flood = WrapperUnit(7, 7, bytes(2000)).to_bytes() * 30
    with (
        Module(meet=lambda connection, answer, data: (flood,) * 2000) as module,
        _driver(tcp=module.address, timeout=0.3) as driver,
        pytest.raises((MeterTimeoutError, BadAnswerError)),
    ):
        driver.identity()


def test_something_else_that_answers():
    with (
        Module(meet=lambda *_: b"SSH-2.0-dropbear\r\n") as module,
        _driver(tcp=module.address) as driver,
        pytest.raises(NotDlmsError, match="not with the DLMS wrapper"),
    ):
        driver.identity()


def test_a_module_that_turns_everyone_away():
    with Module(most=0, grace=0) as module, _driver(tcp=module.address) as driver:
        with pytest.raises(ConnectionLostError, match=r"gone|closed") as caught:
            driver.identity()
        assert caught.value.code == "connection_lost"
        assert module.turned_away == 2


def test_a_module_that_refuses():
    with Module() as module, _driver(tcp=module.address) as driver:
        assert driver.identity() == NAME
        module.__exit__()
        with pytest.raises(NoConnectionError, match="refuses the connection: check the port"):
            driver.identity()
        with pytest.raises(NoConnectionError) as caught:
            open_meter(driver.settings, driver.map)
    assert caught.value.code == "no_connection"
    assert isinstance(caught.value, PortUnavailableError)


def test_a_module_that_is_gone():
    """A listener with a full queue lets attempts go unanswered, as a host without power does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        address = listener.getsockname()
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        with pytest.raises(NoConnectionError, match="does not answer: check the address"):
            TcpTransport(*address, 0.3)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "x" * 70 + ".invalid"])
@pytest.mark.parametrize("transport", [TcpTransport, UdpTransport])
def test_names_that_are_none(transport, host):
    with pytest.raises(NoConnectionError, match="cannot be reached: no such name"):
        transport(host, 4059)


def test_a_refused_connection_is_tried_again_for_a_while():
    made = []
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        address = place.getsockname()

        def sleep(seconds):
            made.append(seconds)
            if len(made) == 3:
                place.listen()

        TcpTransport(*address, 5.0, patience=60.0, sleep=sleep).close()
        assert len(made) == 3


def test_nobody_listens_for_datagrams():
    address = ("127.0.0.1", free_port())
    with _driver(udp=address) as driver, pytest.raises(ConnectionLostError, match="check the module's power") as caught:
        driver.identity()
    assert caught.value.code == "connection_lost"


def test_a_module_with_an_ipv6_address():
    try:
        module = Module(host="::1")
    except OSError:
        pytest.skip("this host has no IPv6")
    with module, _driver(tcp=module.address) as driver:
        assert driver.settings.port == f"tcp://[::1]:{module.address[1]}"
        _assert_whole(driver)


def test_an_association_too_old_is_made_anew_and_another_meter_noticed():
    shift = [0.0]
    with Module() as module, _driver(lambda: time.monotonic() + shift[0], tcp=module.address) as driver:
        assert driver.identity() == NAME
        shift[0] += IDLE_LIMIT
        _assert_whole(driver)
        assert module.connections == 2
        module.line = _line({"logical_device_name": OTHER})
        shift[0] += IDLE_LIMIT
        with pytest.raises(WrongMeterError, match=OTHER) as caught:
            driver.rows(START * EPOCH, (START + 10) * EPOCH)
        assert caught.value.code == "wrong_meter"
        with pytest.raises(WrongMeterError):
            driver.power()


def _port(emit, *meters):
    def open_driver(settings, meter_map, observe):
        return DlmsPullDriver(settings, meter_map, now=lambda: NOW, observe=observe)

    return MeterLine(
        meters[0].port,
        meters,
        open_driver,
        emit,
        lambda: NOW,
        live_seconds=0,
        observe=lambda *seen: None,
    )


def test_logical_devices_behind_a_module_that_takes_one_connection_at_a_time():
    line = _line({"server": 1}, {"server": 17, "logical_device_name": OTHER})
    results = []
    with Module(line, most=1) as module:
        meters = [
            _settings(module.address, name=name, server=server, client=16) for name, server in ((NAME, 1), (OTHER, 17))
        ]
        meters = [MeterSettings(**{**vars(meter), "name": f"m{at}"}) for at, meter in enumerate(meters)]
        port = _port(results.append, *meters)
        request = ReadRequest((START + 10) * EPOCH, dict.fromkeys(("m0", "m1"), START * EPOCH))
        for _ in range(3):
            port.handle(request)
        port.poll_power()
        assert module.turned_away == 0
    assert [result.error for result in results] == [None] * 8
    assert [[row.consumption for row in result.rows] for result in results[:6]] == [VALUES] * 6
    assert [result.power_w for result in results[6:]] == [2999, 2999]


def test_a_dead_module_holds_up_no_other():
    events = queue.Queue()
    with Module() as good, Module(meet=lambda *_: b"") as silent:
        dead = _port(events.put, _settings(silent.address, name=NAME))
        well = _port(events.put, MeterSettings(**{**vars(_settings(good.address)), "name": "w"}))
        for port, name in ((dead, "m"), (well, "w")):
            port.start()
            port.request(ReadRequest((START + 10) * EPOCH, {name: START * EPOCH}))
        first = events.get(timeout=60)
        assert (first.meter, first.error) == ("w", None)
        assert [row.consumption for row in first.rows] == VALUES
        silent.__exit__()
        second = events.get(timeout=60)
        assert second.meter == "m"
        assert isinstance(second.error, PortUnavailableError)
        for port in (dead, well):
            port.close()
