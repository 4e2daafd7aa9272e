"""The push driver on real ptys: each fault of each pushing line is named, costs one telegram, makes no wrong row."""

from __future__ import annotations

import dataclasses
import socket
import time

import pytest
from emulator_process import gmac_client, register, start

from edge_agent.config import MeterSettings
from edge_agent.emulator.fault_kinds import NOT_ON
from edge_agent.meters import MeterError, open_meter
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import FLAG_SAMPLED

KEY, AUTH_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))
MAP = MeterMap.from_dict(
    {
        "capture_period": 1,
        "logical_device_name": "KFM1000000000001",
        "registers": {"consumption": ["1-0:1.8.0.255", 1], "generation": ["1-0:2.8.0.255", 1]},
    }
)
FILE = (
    """
[line]
link = "m"
control = "control"
{line}
[[meter]]
logical_device_name = "KFM1000000000001"
push_seconds = 1
{client}
"""
    + register("1-0:1.8.0.255", initial=4200)
    + register("1-0:2.8.0.255", initial=17)
    + register("1-0:2.7.0.255", "250", unit="W")
)
SECURE = gmac_client(KEY, AUTH_KEY)
LINES = {
    "mbus": ('mode = "mbus"\nmax_information = 60', "", "mbus"),
    "mbus ciphered": ('mode = "mbus"', SECURE, "mbus"),
    "p1 of 1999": ('mode = "p1"\np1_version = 2', "", "p1 without CRC"),
    "p1": ('mode = "p1"', "", "p1"),
    "p1 ciphered": ('mode = "p1"', SECURE, "p1"),
    "sml": ('mode = "sml"', "", "sml"),
    "raw ciphered": ('mode = "raw"', SECURE, "raw"),
    "hdlc": ("max_information = 60", "", "hdlc"),
}
DAMAGE = {
    "bad_checksum", "bad_crc", "bad_character", "bad_fcs", "bad_hcs", "bad_tag", "cut_short", "missing_segment",
    "truncated_frame", "no_telegram", "bad_address", "bad_format", "no_flag", "unknown_apdu", "bad_line",
    "trailing_bytes",
}  # fmt: skip


class Listener:
    """An emulator with its faults on command, and a driver at the other end of its pty."""

    def __init__(self, directory, line: str, client: str, kind: str) -> None:
        directory.mkdir()
        self.kind = kind
        self.directory = directory
        self.secure = bool(client)
        self.running = start(directory, FILE.format(line=line, client=client))
        settings = MeterSettings(
            name="m", serial="1", port=self.running.port, map=MAP, timeout=60.0, protocol="push",
            key=KEY, auth_key=AUTH_KEY,
        )  # fmt: skip
        if kind == "p1 without CRC":
            settings = dataclasses.replace(settings, baudrate=9600, bytesize=7, parity="E")
        self.driver = open_meter(settings, MAP)

    def command(self, text: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
            control.sendto(text.encode(), str(self.directory / "control"))

    def rows(self):
        return self.driver.rows(0, 1 << 40)

    def await_rows(self, count: int) -> None:
        """Until `count` more telegrams made rows."""
        _until(lambda: len(self._good()) >= count + self.before)

    def _good(self):
        try:
            return self.rows()
        except MeterError:  # nothing has come yet but damage
            return []

    def mark(self) -> None:
        _until(self._good, "a first row")
        self.before = len(self._good())

    def close(self) -> None:
        self.driver.close()
        assert self.running.stop() == 0


def _until(condition, what="it") -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come to pass"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def listeners(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lines")
    made = {name: Listener(directory / str(at), *LINES[name]) for at, name in enumerate(LINES)}
    yield made
    for listener in made.values():
        listener.close()


def test_the_registers_of_every_line(listeners):
    for listener in listeners.values():
        assert listener.driver.identity() == "KFM1000000000001"
        assert listener.driver.power() == -250
        _until(listener._good)
        row = listener.rows()[0]
        assert (row.consumption, row.generation, row.flags) == (4200, 17, FLAG_SAMPLED)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("flip", DAMAGE),
        ("truncate", DAMAGE),
        ("reboot", DAMAGE),
        ("gap 1", set()),
        ("wrong_fcs", DAMAGE),
        ("double", {"repeated_telegram"}),
        ("garbage_before", {"noise"} | DAMAGE),
        ("garbage_after", {"noise"} | DAMAGE),
        ("wrong_counter", {"replayed_counter"}),
        ("drop", set()),
        ("late 1.5", set()),
        ("clock_jump 7", set()),
    ],
)
def test_a_fault_is_named_and_costs_one_telegram(listeners, command, named):
    kind = command.split()[0]
    struck = {name: item for name, item in listeners.items() if kind not in NOT_ON[item.kind]}
    for listener in struck.values():
        listener.mark()
        listener.faults = len(listener.driver.faults)
        listener.command(command)
    for name, listener in struck.items():
        expected = set(named)
        if kind == "double" and name == "p1 of 1999":
            expected = set()  # two telegrams that tell neither time nor counter
        if kind == "wrong_counter" and not listener.secure:
            expected = set()
        if expected:
            _until(lambda heard=listener, codes=expected: codes & set(heard.driver.faults[heard.faults :]), name)
        listener.await_rows(2)
        codes = set(listener.driver.faults[listener.faults :])
        assert not codes or expected, (name, codes)
        # One telegram is lost at the most: damage of one is damage of no other.
        assert {(row.consumption, row.generation) for row in listener.rows()} == {(4200, 17)}, name
        assert listener.driver.identity() == "KFM1000000000001"


def test_a_register_that_falls_is_handed_on(listeners):
    listener = listeners["p1"]
    listener.command("counter_reset")
    _until(lambda: listener.rows()[-1].consumption == 0)
