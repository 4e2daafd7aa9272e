"""Meters that are read out in modes A to C: speeds that they keep or change by themselves, addresses, serial
servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.config import ConfigError, MeterSettings, parse_config
from edge_agent.dlms.iec62056_21.messages import readout
from edge_agent.meters import BadAnswerError, MapMismatchError, WrongMeterError
from edge_agent.meters.iec21 import ModeCDriver
from edge_agent.wire.meter_map import MeterMap

LINES = ["F.F(00)", "C.1.0(10000001)", "1.8.0(004711.123*kWh)", "2.8.0(000007*kWh)"]
PERIOD = 900


def settings(name: str = "10000001", *terms, **more) -> MeterSettings:
    entries = {"capture_period": PERIOD, "logical_device_name": name}
    told = MeterMap.from_dict({**entries, "registers": {"consumption": list(terms) or ["1-0:1.8.0.255", 1]}})
    return MeterSettings(name="m", serial="1", port="p", map=told, protocol="mode-c", timeout=0.1, **more)


class Meter:
    """A meter on an optical head, which is heard only at its own speed.

    moves: which speed it sends its read-out at, by the bytes that it was sent after its identification (None: nothing
    is waited for).
    """

    def __init__(self, identification: str, moves: dict[bytes | None, int], lines=LINES, address: str = "") -> None:
        self.identification = b"/" + identification.encode() + b"\r\n"
        self.moves = moves
        self.lines = lines
        self.address = address
        self.speed = 300
        self.asked: list[bytes] = []
        self.coming: list[tuple[int, bytes]] = []

    def write(self, data):
        self.asked.append(data)
        if data.startswith(b"/?"):
            self.coming = []
            if data in (b"/?!\r\n", f"/?{self.address}!\r\n".encode()) and self.speed == 300:
                self.coming.append((300, self.identification))
                if None in self.moves:
                    self.coming.append((self.moves[None], readout(self.lines)))
        elif data in self.moves:
            self.coming.append((self.moves[data], readout(self.lines)))

    def read(self, timeout):
        if not self.coming:
            return b""
        speed, data = self.coming.pop(0)
        return data if speed == self.speed else bytes(byte ^ 0x55 for byte in data)

    def set_line(self, baudrate, bytesize, parity):
        self.speed = baudrate

    def discard(self):
        self.coming = []

    def close(self):
        pass


def driver(meter: Meter, told: MeterSettings) -> ModeCDriver:
    return ModeCDriver(told, told.map, open_transport=lambda: meter, now=lambda: 10 * PERIOD + 5.0)


def consumption(meter: Meter, told: MeterSettings) -> list[int]:
    return [row.consumption for row in driver(meter, told).rows(0, 10 * PERIOD)]


@pytest.mark.finding("edge-24")
def test_a_meter_that_offers_a_speed_and_keeps_the_first():
    moves = {b"\x06040\r\n": 300, b"\x06000\r\n": 300}
    meter = Meter("LGZ4\\2ZMD120APt.G03", moves)
    assert consumption(meter, settings()) == [4711123]
    meter = Meter("LGZ4\\2ZMD120APt.G03", moves)
    assert consumption(meter, settings(change_speed=False)) == [4711123]
    assert meter.asked == [b"/?!\r\n", b"\x06000\r\n"]


@pytest.mark.finding("edge-24")
@pytest.mark.parametrize(
    ("letter", "speed"), [("A", 600), ("B", 1200), ("C", 2400), ("D", 4800), ("E", 9600), ("F", 19200)]
)
def test_mode_b_goes_on_at_its_speed_by_itself(letter, speed):
    meter = Meter(f"XXX{letter}MODEB", {None: speed})
    assert consumption(meter, settings()) == [4711123]
    assert meter.asked == [b"/?!\r\n"]


def test_mode_a_goes_on_as_it_began():
    meter = Meter("XXX MODEA", {None: 300})
    assert consumption(meter, settings()) == [4711123]
    assert meter.asked == [b"/?!\r\n"]


def test_mode_c_with_a_change_of_speed():
    meter = Meter("LGZ4\\2ZMD120AP", {b"\x06040\r\n": 4800, b"\x06000\r\n": 300})
    assert consumption(meter, settings()) == [4711123]
    assert meter.asked == [b"/?!\r\n", b"\x06040\r\n"]


def test_a_meter_of_an_address():
    meter = Meter("LGZ4\\2ZMD120AP", {b"\x06040\r\n": 4800}, address="87654321")
    assert consumption(meter, settings(address="87654321")) == [4711123]
    assert meter.asked[0] == b"/?87654321!\r\n"


@pytest.mark.finding("edge-11")
def test_a_read_out_without_units_is_signed_only_where_the_map_states_one():
    lines = ["C.1.0(10000001)", "1.8.0(013925.5*)"]
    moves = {b"\x06050\r\n": 9600}
    with pytest.raises(MapMismatchError, match="display"):
        consumption(Meter("ACE5\\3k260", moves, lines), settings())
    stated = settings("10000001", "1-0:1.8.0.255", 1, "kWh")
    assert consumption(Meter("ACE5\\3k260", moves, lines), stated) == [13925500]


@pytest.mark.finding("edge-07")
def test_a_number_of_blanks_and_none_at_all():
    moves = {b"\x06050\r\n": 9600}
    lines = ["0.0.0(        10000001)", "C.1.1(        )", "1.8.0(1*kWh)"]
    assert consumption(Meter("LGZ5\\2ZMD120AP", moves, lines), settings()) == [1000]
    for name in ("LGZZMD120AP", "LGZ5\\2ZMD120AP", "cellar"):
        assert consumption(Meter("LGZ5\\2ZMD120AP", moves, ["1.8.0(1*kWh)"]), settings(name)) == [1000]
    with pytest.raises(WrongMeterError):
        consumption(Meter("LGZ5\\2ZMD120AP", moves, lines), settings("LGZ5"))


def test_whole_codes_among_shortened_ones_and_rows_that_go_on():
    """Elster AS1440 (Apollon77/ioBroker.smartmeter #152)."""
    lines = ["C.1.0(10000001)", "1-1:1.8.0(001234.56*kWh)", "1-1:30D(00012.3*kWh)", "P.01(1)(2)", "(0.1)", "(0.2)"]
    meter = Meter("ELS5\\@V10.04", {b"\x06050\r\n": 9600}, lines)
    told = settings("10000001", "1-1:1.8.0.255", 1)
    assert consumption(meter, told) == [1234560]
    _, found, _ = driver(meter, told).read_out()
    assert found.values["0-0:99.1.0.255"] == ("(1)(2)(0.1)(0.2)", None)
    assert [error.message.split("'")[1] for error in found.errors] == ["1-1:30D"]


def test_a_register_that_stands_twice_is_not_signed():
    lines = ["C.1.0(10000001)", "1.8.0(000002*kWh)", "1.8.0(000001*kWh)"]
    with pytest.raises(BadAnswerError, match="stands twice"):
        consumption(Meter("LGZ5\\2ZMD120AP", {b"\x06050\r\n": 9600}, lines), settings())
    lines = ["C.1.0(10000001)", "1.8.0(000002*kWh)", "2.8.0(000002*kWh)", "2.8.0(000001*kWh)"]
    assert consumption(Meter("LGZ5\\2ZMD120AP", {b"\x06050\r\n": 9600}, lines), settings()) == [2000]


def entry(**changes) -> dict:
    registers = {"consumption": ["1-0:1.8.0.255", 1]}
    told = {"name": "m", "serial": "1", "protocol": "mode-c", **changes}
    return {**told, "map": {"logical_device_name": "1", "capture_period": 900, "registers": registers}}


def parsed(*entries: dict):
    gateway = {"name": "g", "state": "s", "authority": "https://a:1"}
    return parse_config(Path("gateway.toml"), {"gateway": gateway, "meter": list(entries)}).meters


@pytest.mark.finding("edge-27")
def test_entries_of_every_protocol_behind_a_serial_server():
    for changes in (
        {"protocol": "push", "tcp": "10.0.0.5:2001", "push_seconds": 10},
        {"protocol": "mode-c", "tcp": "10.0.0.5:2001", "address": "12345678", "change_speed": False},
        {"protocol": "dlms", "tcp": "10.0.0.5:2001", "link": "hdlc", "physical": 17},
        {"protocol": "dlms", "port": "rfc2217://10.0.0.5:2001"},
        {"protocol": "push", "port": "socket://10.0.0.5:2001"},
    ):
        (meter,) = parsed(entry(**changes))
        assert meter.protocol == changes["protocol"]
        assert meter.speaks_hdlc or meter.protocol != "dlms"
    first, second = (entry(port="p", address=str(at), name=f"m{at}", serial=str(at)) for at in (1, 2))
    assert [meter.address for meter in parsed(first, second)] == ["1", "2"]
    for wrong, key in (
        ({"port": "ftp://10.0.0.5:1"}, "port"),
        ({"port": "p", "protocol": "push", "address": "1"}, "address"),
        ({"port": "p", "push_seconds": 10}, "push_seconds"),
        ({"port": "p", "link": "hdlc"}, "link"),
        ({"protocol": "dlms", "port": "p", "link": "wrapper"}, "link"),
    ):
        with pytest.raises(ConfigError) as caught:
            parsed(entry(**wrong))
        assert caught.value.key.endswith(key)
    with pytest.raises(ConfigError, match="own address"):
        parsed(first, {**second, "address": "1"})
