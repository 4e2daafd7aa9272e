"""`read` and `scan` on meters that push, that are read out, and that stand behind a serial server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import tty
from pathlib import Path

import pytest
from emulator_process import ENVIRONMENT, read_json, read_meter, start
from serial_servers import Rfc2217Server, SerialServer

from edge_agent.agent.enrolment import EnrolmentError
from edge_agent.agent.meter_check import probe_meters
from edge_agent.config import MeterSettings
from edge_agent.meters.errors import WrongMeterError
from edge_agent.wire.meter_map import MeterMap

CASES = Path(__file__).parent / "cases"
KEYS = ("--key", bytes(range(16)).hex(), "--auth-key", bytes(range(0xD0, 0xE0)).hex())


def case(number: str) -> bytes:
    (path,) = CASES.glob(f"{number}-*")
    text = path.read_text()
    return bytes.fromhex(text.replace("\n", "")) if path.suffix == ".hex" else text.replace("\n", "\r\n").encode()


class PushingPty:
    """A pty on which the same bytes come again and again."""

    def __init__(self, data: bytes) -> None:
        self.leader, self.follower = os.openpty()
        tty.setraw(self.follower)
        self.port = os.ttyname(self.follower)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._push, args=(data,), daemon=True)
        self.thread.start()

    def _push(self, data: bytes) -> None:
        while not self.ended.wait(0.6):
            os.write(self.leader, data)

    def close(self) -> None:
        self.ended.set()
        self.thread.join(10)
        os.close(self.leader)
        os.close(self.follower)


@pytest.mark.parametrize(
    ("number", "options", "meter", "value"),
    [
        ("02", (), "KAM5", {"value": "9621.983", "unit": "kWh"}),
        ("21", KEYS, "4c475a0001020304", {"value": "31358606", "unit": "Wh"}),
        ("12", (*KEYS, "--system-title", "45474d0001020304"), "10000001", {"value": "12345.678", "unit": "kWh"}),
    ],
)
def test_read_listens_to_a_meter_that_pushes(number, options, meter, value):
    line = PushingPty(case(number))
    try:
        found = read_json("--port", line.port, "--push", "--listen", "30", *options)
        assert found["meter"] == meter
        assert found["registers"]["1-0:1.8.0.255"] == value
    finally:
        line.close()


@pytest.mark.slow
def test_scan_shows_what_it_hears():
    line = PushingPty(case("21"))
    try:
        command = [sys.executable, "-m", "edge_agent", "scan", "--listen", "20", "--baudrate", "9600", "--json", *KEYS]
        done = subprocess.run([*command, line.port], env=ENVIRONMENT, capture_output=True, text=True, check=False)
        first = json.loads(done.stdout)["answers"][0]
        assert (first["mode"], first["meter"]) == ("push", "4c475a0001020304")
        assert first["values"]["1-0:1.8.0.255"] == "31358606 Wh"
    finally:
        line.close()


METER = """
[line]
link = "m"
mode = "{mode}"
[[meter]]
logical_device_name = "KFM1000000000001"
[[meter.register]]
obis = "1-0:1.8.0.255"
power = "0"
initial = 4200
"""


@pytest.mark.finding("edge-27")
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("hdlc", ("--client", "16", "--link", "hdlc")),
        ("c", ("--mode-c",)),
        ("e", ("--client", "16", "--mode-e", "--link", "hdlc")),
    ],
)
def test_read_behind_a_serial_server(tmp_path, mode, options):
    running = start(tmp_path, METER.format(mode=mode))
    server = SerialServer(running.port)
    try:
        found = read_json("--tcp", server.address, *options)
        assert found["meter"] == "KFM1000000000001"
        assert found["registers"]["1-0:1.8.0.255"]["value"] in ("4200", "4.200")
    finally:
        server.close()
        running.stop()


def test_read_says_what_is_wrong():
    line = PushingPty(b"raspberrypi login: \r\n")
    try:
        done = read_meter("--port", line.port, "--push", "--listen", "2")
        assert done.returncode == 1
        assert "login console" in done.stderr
    finally:
        line.close()
    done = read_meter("--port", "/dev/none", "--push", "--mode-c")
    assert done.returncode == 1
    assert "bad_option" in done.stderr


@pytest.mark.finding("edge-27")
@pytest.mark.parametrize(("mode", "options"), [("c", ("--mode-c",)), ("hdlc", ("--client", "16"))])
def test_read_by_rfc_2217(tmp_path, mode, options):
    running = start(tmp_path, METER.format(mode=mode))
    server = Rfc2217Server(running.port)
    try:
        assert read_json("--port", server.url, *options)["meter"] == "KFM1000000000001"
    finally:
        server.close()
        running.stop()


@pytest.mark.finding("edge-02")
@pytest.mark.finding("edge-13")
@pytest.mark.parametrize(
    ("number", "name", "register", "code"),
    [
        ("02", "KAM5", ["1-0:1.8.0.255", 1], None),
        ("02", "garage", ["1-0:1.8.0.255", 1], None),
        ("02", "LGZ5", ["1-0:1.8.0.255", 1], "wrong_meter"),
        ("13", "5706560000000001", ["1-1:1.8.0.255", 1], "WARNING"),
        ("13", "5706560000000001", ["1-1:1.8.0.255", 1, "10 Wh"], None),
    ],
)
def test_enrol_looks_whether_the_map_fits(number, name, register, code):
    entries = {"capture_period": 900, "logical_device_name": name, "registers": {"consumption": register}}
    line = PushingPty(case(number))
    meter = MeterSettings(
        name="m", serial="1", port=line.port, map=MeterMap.from_dict(entries), protocol="push", push_seconds=2.0
    )
    told: list[str] = []
    try:
        if code != "wrong_meter":
            probe_meters([meter], tell=told.append)
            assert told[-1].startswith(f"m: {name} answers")
            assert [line for line in told if "WARNING" in line and "display" in line] == told[1:2] * (code is not None)
            return
        with pytest.raises((EnrolmentError, WrongMeterError)) as caught:
            probe_meters([meter], tell=told.append)
        assert caught.value.code == code
    finally:
        line.close()
