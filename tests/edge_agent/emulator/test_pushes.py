"""What emulated meters push on every link, and what `edge-agent decode` says of it when it came over a real pty."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from emulator_process import ENVIRONMENT, gmac_client, register, start

from edge_agent.dlms import mbus
from edge_agent.dlms.iec62056_21.messages import with_parity
from edge_agent.dlms.iec62056_21.p1 import crc16, without_parity
from edge_agent.dlms.push.telegram import Keys, decode_telegrams
from edge_agent.dlms.push.unframe import detect_link, has_noise
from edge_agent.emulator.config import ConfigError, EmulatorConfig
from edge_agent.emulator.fault_kinds import GARBAGE, NOT_ON, FaultError
from edge_agent.emulator.faults import FaultyLine
from edge_agent.emulator.line import EmulatedLine

KEY, AUTH_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))
CLIENT = {"address": 1, "auth": "gmac", "key": KEY.hex(), "auth_key": AUTH_KEY.hex()}
REGISTERS = [
    {"obis": "1-0:1.8.0.255", "power": "3600", "initial": 1234567},
    {"obis": "1-0:2.8.0.255", "power": "0", "initial": 89, "scaler": -1},
    {"obis": "1-0:1.7.0.255", "power": "1193", "unit": "W"},
    {"obis": "1-0:32.7.0.255", "power": "230.1", "unit": "V", "scaler": -1},
]
METER = {"logical_device_name": "KFM1000000000001", "serial": "M550T", "push_seconds": 10, "register": REGISTERS}
WINTER = 1_795_000_000 // 900 * 900  # 2026-11-18
SUMMER = 1_780_315_200  # 2026-06-01 12:00 UTC


class Pushing:
    """A line whose clock is turned by hand."""

    def __init__(self, line: dict, meter: dict | None = None, now: float = WINTER, faults=()) -> None:
        self.now = float(now)
        data = {"start_epoch": int(now) // 900, "line": line, "meter": [{**METER, **(meter or {})}]}
        config = EmulatorConfig.from_dict(data, Path())
        self.line = EmulatedLine.build(config, lambda: self.now)
        self.faulty = FaultyLine(self.line, [*config.line.faults, *faults])
        assert self.faulty.pushes() == []

    def next(self) -> bytes:
        self.now += 10
        return b"".join(piece for _, piece in self.faulty.pushes())


def test_a_dutch_number_of_17_characters():
    number = "E0000000000000001"
    (telegram,) = decode_telegrams(Pushing({"mode": "p1"}, {"logical_device_name": number}).next())
    assert (telegram.meter, telegram.errors) == (number, [])


def _values(telegram):
    return {code: (reading.value, reading.unit) for code, reading in telegram.values.items()}


@pytest.mark.parametrize("secure", [False, True])
def test_mbus(secure):
    line = Pushing({"mode": "mbus", "max_information": 60}, {"client": [CLIENT]} if secure else {"server": 7})
    data = line.next()
    frames, position = [], 0
    while position < len(data):
        frame, position = mbus.read_frame(data, position)
        frames.append(frame)
    assert len(frames) >= 3
    assert [frame.sequence for frame in frames] == [at % 16 for at in range(len(frames))]
    assert [frame.final for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert {(frame.control, frame.address) for frame in frames} == {(0x53, 0xFF)}
    assert {frame.payload[:2] for frame in frames} == {bytes((1 if secure else 7, 0x67))}
    assert (frames[0].segment[:1] == b"\xdb") == secure
    (telegram,) = decode_telegrams(data, keys=Keys(KEY, AUTH_KEY))
    assert (telegram.link, telegram.ciphered, telegram.authenticated, telegram.errors) == ("mbus", secure, secure, [])
    assert telegram.meter == "KFM1000000000001"
    assert telegram.values["1-0:1.8.0.255"].value == "1234577"
    assert not has_noise(data, "mbus")
    assert line.line.receive(b"\x10\x40\x01\x41\x16") == b""
    # By default a whole frame, as meters with this link send it: L = FA.
    assert Pushing({"mode": "mbus"}, {}).line.config.max_information == 245


def test_an_apdu_of_more_than_sixteen_segments():
    line = Pushing({"mode": "mbus", "max_information": 8})
    (telegram,) = decode_telegrams(line.next())
    assert telegram.errors == []
    assert telegram.values["1-0:2.8.0.255"].value == "89.0"


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_p1(version):
    line = Pushing({"mode": "p1", "p1_version": version})
    data = line.next()
    text = without_parity(data)[0].decode("ascii")
    lines = text.split("\r\n")
    assert lines[0] == "/KFM5\\2M550T"
    assert lines[1] == ""
    if version < 4:
        assert data == with_parity(text.encode())
        assert data != text.encode()
        assert lines[-2:] == ["!", ""]
        assert "1-0:1.8.0(01234.577*kWh)" in lines
        assert not any(item.startswith(("0-0:1.0.0", "1-3:")) for item in lines)
    else:
        assert data == text.encode()
        assert lines[-2] == f"!{crc16(data[: data.index(b'!') + 1]):04X}"
        assert lines[2] == f"1-3:0.2.8({'42' if version == 4 else '50'})"
        assert "1-0:1.8.0(001234.577*kWh)" in lines
    assert "1-0:2.8.0(000000.089*kWh)" in lines or "1-0:2.8.0(00000.089*kWh)" in lines
    assert "1-0:1.7.0(01.193*kW)" in lines
    assert "1-0:32.7.0(230.1*V)" in lines
    (telegram,) = decode_telegrams(data)
    assert (telegram.link, telegram.meter, telegram.errors) == ("p1", "KFM1000000000001", [])
    assert _values(telegram)["1-0:1.8.0.255"] == ("1234.577", "kWh")
    assert (telegram.time is None) == (version < 4)
    assert not has_noise(data, "p1")


@pytest.mark.parametrize(
    ("now", "clock", "iso"),
    [
        (SUMMER, "260601140010S", "2026-06-01T14:00:10+02:00"),
        (1792889980, "261025025950S", "2026-10-25T02:59:50+02:00"),
        (1792889990, "261025020000W", "2026-10-25T02:00:00+01:00"),
    ],
)
def test_the_clock_of_p1_through_the_year(now, clock, iso):
    data = Pushing({"mode": "p1"}, now=now).next()
    assert f"0-0:1.0.0({clock})".encode() in data
    assert decode_telegrams(data)[0].time == iso


@pytest.mark.parametrize(("deviation", "letter"), [(-60, "W"), (-120, "S")])
def test_a_p1_clock_with_a_fixed_deviation(deviation, letter):
    data = Pushing({"mode": "p1"}, {"deviation": deviation}, now=SUMMER).next()
    assert f"0-0:1.0.0(2606011{2 - deviation // 60}0010{letter})".encode() in data


def test_p1_ciphered_as_in_luxembourg():
    line = Pushing({"mode": "p1"}, {"client": [CLIENT]})
    data = line.next()
    assert data[:2] == b"\xdb\x08"
    (telegram,) = decode_telegrams(data, keys=Keys(KEY, AUTH_KEY))
    assert (telegram.ciphered, telegram.authenticated, telegram.errors) == (True, True, [])
    assert _values(telegram)["1-0:1.8.0.255"] == ("1234.577", "kWh")
    (wrong,) = decode_telegrams(data, keys=Keys(bytes(16), AUTH_KEY))
    assert [error.code for error in wrong.errors] == ["wrong_key"]


@pytest.mark.parametrize("secure", [False, True])
def test_bare_apdus(secure):
    line = Pushing({"mode": "raw"}, {"client": [CLIENT]} if secure else {})
    data = line.next()
    assert data[:1] == (b"\xdb" if secure else b"\x0f")
    (telegram,) = decode_telegrams(data, keys=Keys(KEY, AUTH_KEY))
    assert (telegram.link, telegram.ciphered, telegram.errors) == ("raw", secure, [])
    assert telegram.values["1-0:1.8.0.255"].value == "1234577"


NAMED = {
    "flip": {"bad_checksum", "missing_segment", "no_telegram", "bad_crc", "bad_character", "wrong_key", "cut_short"},
    "wrong_fcs": {"bad_checksum", "bad_crc", "wrong_key"},
    "truncate": {"truncated_frame", "missing_segment", "cut_short"},
    "reboot": {"truncated_frame", "missing_segment", "cut_short"},
}
LINES = {
    "mbus": ({"mode": "mbus", "max_information": 60}, {}),
    "mbus ciphered": ({"mode": "mbus"}, {"client": [CLIENT]}),
    "p1 v2": ({"mode": "p1", "p1_version": 2}, {}),
    "p1 v5": ({"mode": "p1"}, {}),
    "p1 ciphered": ({"mode": "p1"}, {"client": [CLIENT]}),
    "sml": ({"mode": "sml"}, {}),
    "raw ciphered": ({"mode": "raw"}, {"client": [CLIENT]}),
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize(
    "kind", ["flip", "truncate", "double", "garbage_before", "garbage_after", "drop", "wrong_fcs", "reboot", "late"]
)
def test_a_faulty_telegram_is_told_and_never_read_wrongly(name, kind):
    settings, meter = LINES[name]
    line = Pushing(settings, meter)
    if kind in NOT_ON[line.line.config.kind]:
        with pytest.raises(FaultError, match="no meaning"):
            line.faulty.command(kind)
        return
    good = _values(decode_telegrams(line.next(), keys=Keys(KEY, AUTH_KEY))[0])
    stable = {code: value for code, value in good.items() if code[4:7] in ("2.8", "2.7", "1.7")}
    line.faulty.command(kind)
    data = line.next()
    telegrams = decode_telegrams(data, keys=Keys(KEY, AUTH_KEY)) if data else []
    codes = {error.code for telegram in telegrams for error in telegram.errors}
    whole = [telegram for telegram in telegrams if not telegram.errors]
    assert len(whole) == {"double": 2, "garbage_before": 1, "garbage_after": 1, "late": 1}.get(kind, 0) or (
        kind.startswith("garbage") and meter  # a bare ciphered APDU does not tell where it starts
    )
    for telegram in whole:
        assert stable.items() <= _values(telegram).items()
    if kind in NAMED:
        assert codes & NAMED[kind], codes
    if kind.startswith("garbage") and not meter:
        assert has_noise(data, detect_link(data))
    again = decode_telegrams(line.next(), keys=Keys(KEY, AUTH_KEY))
    assert [telegram.errors for telegram in again] == [[]]
    assert line.faulty.struck == [kind]


@pytest.mark.parametrize("version", [2, 5])
def test_every_flipped_bit_of_p1_is_seen(version):
    data = Pushing({"mode": "p1", "p1_version": version}).next()
    whole = _values(decode_telegrams(data, "p1")[0])
    for at in range(len(data)):
        for bit in range(8):
            damaged = data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]
            for telegram in decode_telegrams(damaged, "p1"):
                assert telegram.errors or _values(telegram) == whole, (at, bit)


def test_faults_in_the_meter_meet_pushed_telegrams():
    line = Pushing({"mode": "mbus"}, {"client": [CLIENT]})
    keys = Keys(KEY, AUTH_KEY)
    (first,) = decode_telegrams(line.next(), keys=keys)
    line.faulty.command("wrong_counter")
    (second,) = decode_telegrams(line.next(), keys=keys)
    assert second.invocation_counter == first.invocation_counter
    line.faulty.command("counter_reset")
    (third,) = decode_telegrams(line.next(), keys=keys)
    assert int(third.values["1-0:1.8.0.255"].value) < 100
    line.faulty.command("clock_jump 3600")
    (fourth,) = decode_telegrams(line.next(), keys=keys)
    assert fourth.time[11:13] != third.time[11:13]
    line.faulty.command("clock_jump -7200")
    assert decode_telegrams(line.next(), keys=keys)[0].errors == []


def test_faults_by_schedule_count_telegrams():
    schedule = [{"kind": "drop", "answer": 2, "every": 3}, {"kind": "wrong_fcs", "answer": 3}]
    line = Pushing({"mode": "mbus", "fault": schedule})
    codes = []
    for _ in range(6):
        data = line.next()
        codes.append([error.code for telegram in decode_telegrams(data) for error in telegram.errors] if data else None)
    assert codes == [[], None, ["bad_checksum"], [], None, []]


@pytest.mark.parametrize(
    ("line", "meter", "word"),
    [
        ({"mode": "m-bus"}, {}, "line.mode"),
        ({"mode": "mbus"}, {"push_seconds": 0}, "push_seconds"),
        ({"mode": "mbus", "max_information": 251}, {}, "line.max_information"),
        ({"mode": "mbus"}, {"server": 256}, r"meter\[0\].server"),
        ({"mode": "mbus"}, {"logical_device_name": "E" * 17}, "1 to 16"),
        ({"mode": "p1"}, {"logical_device_name": "E" * 65}, "1 to 64"),
        ({"mode": "mbus", "p1_version": 5}, {}, "line.p1_version"),
        ({"mode": "p1", "p1_version": 1}, {}, "line.p1_version"),
        ({"mode": "p1", "p1_version": 3}, {"client": [CLIENT]}, "ciphered"),
        ({"mode": "p1"}, {"deviation": 0}, "deviation"),
        ({"mode": "p1"}, {"deviation": "none"}, "deviation"),
        ({"mode": "p1"}, {"zone": "Europe/London"}, "zone"),
        ({"mode": "p1"}, {"serial": "a/b"}, "serial"),
        ({"mode": "p1"}, {"serial": "a\nb"}, "serial"),
        ({"mode": "mbus", "fault": [{"kind": "busy"}]}, {}, r"line.fault\[0\].kind"),
        ({"mode": "raw", "fault": [{"kind": "flip"}, {"kind": "wrong_fcs"}]}, {}, r"line.fault\[1\].kind"),
        ({"mode": "p1", "p1_version": 2, "fault": [{"kind": "wrong_fcs"}]}, {}, "wrong_fcs"),
        ({"mode": "p1", "fault": [{"kind": "gap", "seconds": -1}]}, {}, r"line.fault\[0\].seconds"),
        ({"mode": "p1", "fault": [{"kind": "gap", "seconds": float("nan")}]}, {}, r"line.fault\[0\].seconds"),
        ({"mode": "mbus", "tcp": "127.0.0.1:0"}, {}, "line.mode"),
        ({"udp": "127.0.0.1:0"}, {}, "push_seconds"),
        ({"udp": "127.0.0.1"}, {"push_seconds": 0}, "line.udp"),
        ({"udp": "127.0.0.1:0", "max_pdu": 1}, {"push_seconds": 0}, "max_pdu"),
        ({"udp": "127.0.0.1:0", "link": "a"}, {"push_seconds": 0}, "one of link, port, tcp and udp"),
        ({"udp": "127.0.0.1:0", "fault": [{"kind": "wrong_fcs"}]}, {"push_seconds": 0}, "wrong_fcs"),
    ],
)
def test_lines_that_cannot_be_are_named(line, meter, word):
    with pytest.raises(ConfigError, match=word):
        EmulatorConfig.from_dict({"line": line, "meter": [{**METER, **meter}]}, Path())


def test_an_address_of_ipv6():
    line = {"udp": "[::1]:4059"}
    config = EmulatorConfig.from_dict({"line": line, "meter": [{**METER, "push_seconds": 0}]}, Path())
    assert config.line.udp == ("::1", 4059)


def test_the_speed_follows_from_the_mode():
    def line(**entries):
        config = EmulatorConfig.from_dict({"line": entries, "meter": [METER]}, Path()).line
        return config.baudrate, config.bytesize, config.parity

    assert line() == (9600, 8, "N")
    assert line(mode="mbus") == (2400, 8, "E")
    assert line(mode="p1") == line(mode="p1", p1_version=4) == (115200, 8, "N")
    assert line(mode="p1", p1_version=2) == line(mode="p1", p1_version=3) == (9600, 7, "E")
    assert line(mode="mbus", baudrate=9600, parity="N") == (9600, 8, "N")


def test_noise_is_told_from_telegrams():
    p1 = Pushing({"mode": "p1"}).next()
    frames = Pushing({"mode": "mbus"}).next()
    for data, link in ((p1, "p1"), (frames, "mbus")):
        assert detect_link(GARBAGE + data) == link
        assert has_noise(GARBAGE + data, link)
        assert has_noise(data + GARBAGE, link)
        assert not has_noise(data + data, link)
    assert detect_link(GARBAGE) == "raw"
    assert detect_link(b"/" * 40) == "p1"
    assert not has_noise(b"", "mbus")


def _capture(port: str, enough) -> bytes:
    """What comes on a pty until `enough(data)`."""
    descriptor = os.open(port, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    data = b""
    deadline = time.monotonic() + 90
    try:
        while not enough(data):
            assert time.monotonic() < deadline, data
            if select.select([descriptor], [], [], 1.0)[0]:
                data += os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    return data


FILE = """
[line]
link = "m"
{line}
[[meter]]
logical_device_name = "KFM1000000000001"
push_seconds = 1
{meter}
""" + register("1-0:1.8.0.255", initial=4200)
SECURE = gmac_client(KEY, AUTH_KEY)


@pytest.mark.parametrize(
    ("line", "meter", "link", "value"),
    [
        ('mode = "mbus"\nmax_information = 40', "", "mbus", ("4200", "Wh")),
        ('mode = "mbus"', SECURE, "mbus", ("4200", "Wh")),
        ('mode = "p1"\np1_version = 2', "", "p1", ("4.200", "kWh")),
        ('mode = "p1"', "", "p1", ("4.200", "kWh")),
        ('mode = "p1"', SECURE, "raw", ("4.200", "kWh")),
        ('mode = "raw"', "", "raw", ("4200", "Wh")),
    ],
)
def test_the_decode_command_reads_what_the_emulator_pushes(tmp_path, line, meter, link, value):
    running = start(tmp_path, FILE.format(line=line, meter=meter))
    keys = Keys(KEY, AUTH_KEY)

    def two_whole(data):
        found = decode_telegrams(data, keys=keys) if data else []
        return len(found) >= 2 and not any(item.errors for item in found)  # not while another has half arrived

    try:
        data = _capture(running.port, two_whole)
    finally:
        assert running.stop() == 0
    command = [sys.executable, "-m", "edge_agent", "decode", "--json", "--key", KEY.hex(), "--auth-key", AUTH_KEY.hex()]
    for shown in (data, data.hex(" ").encode()):
        done = subprocess.run(
            [*command, "-"], input=shown, env=ENVIRONMENT, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout
        for telegram in json.loads(done.stdout)["telegrams"]:
            assert (telegram["link"], telegram["ciphered"]) == (link, bool(meter))
            assert telegram["meter"] == "KFM1000000000001"
            found = telegram["values"]["1-0:1.8.0.255"]
            assert (found["value"], found["unit"]) == value
