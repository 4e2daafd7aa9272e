"""The whole gateway: `edge-agent enrol` and `run` as commands, emulated DLMS meters on ptys, receipts over real TLS."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_agent.state.keys import KeyStore
from edge_agent.state.status import read_status
from edge_agent.wire.reading import FLAG_BACK_FILLED, previous_hash

ROOT = Path(__file__).parents[3]
EPOCH = 4

ALONE = """
epoch_seconds = {epoch}
start_epoch = {start}
[line]
link = "{link}"
[[meter]]
logical_device_name = "KFM-SOLAR"
serial = "1"
  [[meter.client]]
  address = 32
  auth = "lls"
  password = "12345678"
  [[meter.register]]
  obis = "1-0:2.8.0.255"
  power = "3600000"
  [[meter.register]]
  obis = "1-0:2.7.0.255"
  power = "3600"
  unit = "W"
"""

SHARED = """
epoch_seconds = {epoch}
start_epoch = {start}
[line]
link = "{link}"
[[meter]]
logical_device_name = "KFM-STORE"
serial = "2"
server = 1
  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "900000"
  [[meter.register]]
  obis = "1-0:2.8.0.255"
  power = "450000"
[[meter]]
logical_device_name = "KFM-LOAD"
serial = "3"
server = 2
  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "1800000"
  scaler = 1
"""

GATEWAY = """
[gateway]
name = "dormitory-a"
state = "state"
authority = "{url}"
live_seconds = 1
[uplink]
kind = "https"
[[meter]]
name = "solar"
serial = "1"
port = "{alone}"
client = 32
auth = "lls"
password = "12345678"
timeout = 10
[meter.map]
logical_device_name = "KFM-SOLAR"
capture_period = {epoch}
registers = {{ generation = ["1-0:2.8.0.255", 1] }}
[[meter]]
name = "storage"
serial = "2"
port = "{shared}"
timeout = 10
[meter.map]
logical_device_name = "KFM-STORE"
capture_period = {epoch}
registers = {{ charge = ["1-0:1.8.0.255", 1], discharge = ["1-0:2.8.0.255", 1] }}
[[meter]]
name = "load"
serial = "3"
port = "{shared}"
server = 2
timeout = 10
[meter.map]
logical_device_name = "KFM-LOAD"
capture_period = {epoch}
registers = {{ consumption = ["1-0:1.8.0.255", 1] }}
"""

ROLES = {"solar": ("generation", "solar"), "storage": ("storage", "none"), "load": ("load", "none")}


def until(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


class Campus:
    """A gateway directory with two emulated lines."""

    def __init__(self, directory: Path, authority) -> None:
        self.directory = directory
        self.authority = authority
        self.processes: list[subprocess.Popen] = []
        start = int(time.time()) // EPOCH - 40
        self.lines = {}
        for name, text in (("alone", ALONE), ("shared", SHARED)):
            link = directory / f"tty-{name}"
            self.lines[name] = directory / f"{name}.toml"
            self.lines[name].write_text(text.format(epoch=EPOCH, start=start, link=link))
        self.file = directory / "gateway.toml"
        self.file.write_text(
            GATEWAY.format(
                url=authority.url, epoch=EPOCH, alone=directory / "tty-alone", shared=directory / "tty-shared"
            )
        )
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}

    def begin(self, *command, **options):
        process = subprocess.Popen(
            [sys.executable, "-m", *command], text=True, env=self.environment, stderr=subprocess.PIPE, **options
        )
        self.processes.append(process)
        return process

    def emulator(self, name):
        process = self.begin("edge_agent.emulator.cli", str(self.lines[name]), stdout=subprocess.PIPE)
        assert process.stdout.readline().startswith("ready")
        return process

    def agent(self):
        return self.begin("edge_agent", "run", "--config", str(self.file))

    def enrol(self, *options):
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "edge_agent",
                "enrol",
                "--config",
                str(self.file),
                "--claim",
                self.authority.claim("dormitory-a"),
                *options,
            ],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=120,
            check=False,
        )

    def records(self, meter):
        key = KeyStore(self.directory / "state").load(meter).public_key
        return [frame.record for frame in self.authority.frames(key)]

    def status(self):
        return read_status(self.directory / "state")

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def campus(tmp_path, authority):
    authority.epoch_seconds = EPOCH
    authority.roles = ROLES
    made = Campus(tmp_path, authority)
    yield made
    made.end()


def assert_continuous(records):
    for earlier, later in itertools.pairwise(records):
        assert later.sequence == earlier.sequence + 1
        assert later.interval_end == earlier.interval_end + EPOCH
        assert later.previous_hash == previous_hash(earlier.to_bytes())


def test_from_the_line_to_the_receipt(campus):
    for name in campus.lines:
        campus.emulator(name)
    enrolled = campus.enrol()
    assert enrolled.returncode == 0, enrolled.stderr
    assert "KFM-LOAD answers on" in enrolled.stdout
    agent = campus.agent()
    until(lambda: all(len(campus.records(name)) >= 4 for name in ROLES))
    until(lambda: any("solar" in live["meters"] for live in campus.authority.live))
    agent.send_signal(signal.SIGTERM)
    log = agent.communicate(timeout=60)[1]
    assert agent.returncode == 0, log
    assert "Traceback" not in log
    for name in ROLES:
        assert_continuous(campus.records(name))
    first, second = campus.records("solar")[:2]
    assert second.generation - first.generation == 3600000 * EPOCH // 3600
    assert second.registers[1:] == (0, 0, 0)
    assert first.source == 1
    first, second = campus.records("storage")[:2]
    assert (second.charge - first.charge, second.discharge - first.discharge) == (1000, 500)
    assert first.evidence != bytes(16)
    assert {live["meters"]["solar"]["power_w"] for live in campus.authority.live if "solar" in live["meters"]} == {
        -3600
    }
    meters = campus.status()["meters"]
    for name in ROLES:
        stages = meters[name]["stages"]
        for stage in ("bytes", "framed", "decoded", "signed", "published", "receipted"):
            assert stages[stage]["count"] > 0, (name, stage)


@pytest.mark.slow
def test_an_outage_of_one_line_is_back_filled_and_stops_no_other(campus):
    alone = campus.emulator("alone")
    campus.emulator("shared")
    assert campus.enrol("--no-probe").returncode == 0
    campus.agent()
    until(lambda: all(len(campus.records(name)) >= 2 for name in ROLES))
    # The port goes with its adapter: a link left behind would lead to the next pty of that number, another test's.
    (campus.directory / "tty-alone").unlink()
    alone.kill()
    alone.wait()
    until(lambda: campus.status()["meters"]["solar"]["errors"].get("line"))
    loads, seen = len(campus.records("load")), len(campus.records("solar"))
    until(lambda: len(campus.records("load")) >= loads + 3)
    campus.emulator("alone")
    until(lambda: len(campus.records("solar")) >= seen + 4)
    records = campus.records("solar")
    assert_continuous(records)
    assert any(record.flags & FLAG_BACK_FILLED for record in records)
    until(lambda: not campus.status()["meters"]["solar"]["errors"])


def test_a_wrong_password_is_named_as_one(campus):
    for name in campus.lines:
        campus.emulator(name)
    campus.file.write_text(campus.file.read_text().replace("12345678", "87654321"))
    refused = campus.enrol()
    assert refused.returncode == 1
    assert "password" in refused.stderr
    assert campus.enrol("--no-probe").returncode == 0
    campus.agent()
    until(lambda: len(campus.records("load")) >= 1)
    until(lambda: campus.status()["meters"]["solar"]["errors"].get("line"))
    assert "password" in campus.status()["meters"]["solar"]["errors"]["line"]["message"]
    assert campus.records("solar") == []


def test_a_meter_that_is_not_the_configured_one_is_not_enrolled(campus):
    for name in campus.lines:
        campus.emulator(name)
    campus.file.write_text(campus.file.read_text().replace("KFM-LOAD", "KFM-OTHER"))
    refused = campus.enrol()
    assert refused.returncode == 1
    assert "wrong_meter" in refused.stderr
    assert campus.authority.enrolments == {}
