"""The gateway against the department's own collector: both are processes, nothing is played."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from free_ports import free_port

from edge_agent.state.status import read_status

ROOT = Path(__file__).parents[3]
PROCESS = ROOT / "tests" / "support" / "agent_process.py"
EPOCH = 10

PLAN = """
[[user]]
name = "Dormitory A"
building = "Dormitory A"
public = true

[[installation]]
n = 1
building = "Dormitory A"
kind = "solar"
nameplate_w = 120000
storage_wh = 0
since = 2020-01-01

[[meter]]
name = "solar"
gateway = "dormitory-a"
serial = "KFM-solar"
role = "building"
source = "solar"
user = "Dormitory A"
installation = 1
"""

GATEWAY = """
[gateway]
name = "dormitory-a"
state = "state"
authority = "https://localhost:{port}"
live_seconds = 2
[uplink]
kind = "{kind}"
[[meter]]
name = "solar"
serial = "KFM-solar"
port = "/dev/null"
[meter.map]
logical_device_name = "LDN-solar"
capture_period = {epoch}
registers = {{ generation = ["1-0:2.8.0.255", 1], consumption = ["1-0:1.8.0.255", 1] }}
"""


def until(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Department:
    """An authority's home, its collector, and one gateway of its plan."""

    def __init__(self, directory: Path, kind: str) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.processes: list[subprocess.Popen] = []
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "TEST_PERIOD": str(EPOCH),
        }
        self.broker_port = free_port() if kind == "mqtt" else None
        broker = ["--mqtt", "localhost"] if self.broker_port else []
        self.authority("init", "--epoch-seconds", str(EPOCH), *broker)
        self.port = free_port()
        configuration = self.home / "authority.toml"
        text = configuration.read_text().replace("port = 8443", f"port = {self.port}", 1)
        if self.broker_port:
            text = text.replace("port = 8883", f"port = {self.broker_port}", 1)
        configuration.write_text(text)
        (directory / "plan.toml").write_text(PLAN)
        self.authority("enrol", "campus", str(directory / "plan.toml"))
        self.file = directory / "gateway.toml"
        self.file.write_text(GATEWAY.format(port=self.port, kind="auto" if kind == "mqtt" else "https", epoch=EPOCH))

    def authority(self, *words):
        from authority.cli import main

        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert main([*words, "--home", str(self.home)]) == 0
        return out.getvalue()

    def edge(self, *words, exits=0):
        from edge_agent.cli import main

        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            assert main([words[0], "--config", str(self.file), *words[1:]]) == exits, out.getvalue()
        return out.getvalue()

    def enrol(self):
        """Claim, ask, have it approved, and fetch the credentials."""
        claim = self.authority("enrol", "claim", "dormitory-a").strip()
        assert "waits for approval" in self.edge("enrol", "--claim", claim, "--no-probe", exits=3)
        self.authority("enrol", "approve", "dormitory-a", "--off-chain")
        assert "solar as building" in self.edge("enrol", "--claim", claim, "--no-probe")
        return claim

    def begin(self, *command):
        with (self.directory / "log").open("a") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        return process

    def collector(self):
        process = self.begin(sys.executable, "-m", "authority.cli", "collector", "--home", str(self.home))
        until(lambda: listens(self.port))
        return process

    def broker(self):
        from authority.collector.broker import write_configuration
        from authority.home.home import Home

        path = write_configuration(
            Home.open(self.home), self.directory / "broker", self.broker_port, now=int(time.time())
        )
        self.begin("mosquitto", "-c", str(path))
        until(lambda: listens(self.broker_port))

    def agent(self):
        return self.begin(sys.executable, str(PROCESS), str(self.file))

    def kill(self, process):
        """Kill a process and those it started, at once."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def status(self):
        return read_status(self.directory / "state")

    def without_errors(self):
        return self.status()["meters"]["solar"]["errors"] == {}

    def receipted(self):
        try:
            return self.status()["meters"]["solar"]["stages"]["receipted"]["count"]
        except Exception:
            return 0

    def assert_no_traceback(self):
        log = (self.directory / "log").read_text()
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill(process)


@pytest.fixture
def department(tmp_path, request):
    if request.param == "mqtt" and shutil.which("mosquitto") is None:
        pytest.skip("no mosquitto here: apt-get install mosquitto")
    made = Department(tmp_path, request.param)
    yield made
    made.end()


@pytest.mark.slow
@pytest.mark.parametrize("department", ["mqtt"], indirect=True)
@pytest.mark.mosquitto
def test_over_mqtt(department):
    department.broker()
    department.collector()
    department.enrol()
    agent = department.agent()
    until(lambda: department.receipted() >= 2)
    until(lambda: department.status()["uplink"]["kind"] == "mqtt" and department.without_errors())
    assert department.status()["ignored"] == {}
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0
    department.assert_no_traceback()


@pytest.mark.slow
@pytest.mark.parametrize("department", ["https"], indirect=True)
def test_a_meter_that_was_reset_goes_on_once_people_at_both_ends_have_said_so(department):
    def error(part):
        return department.status()["meters"]["solar"]["errors"].get(part, {}).get("code")

    department.collector()
    department.enrol()
    department.agent()
    until(lambda: department.receipted() >= 1)
    assert "[not_stopped]" in department.edge("rebase", "solar", exits=1)
    moment = department.directory / "reset.new"
    moment.write_text(str(int(time.time()) // EPOCH * EPOCH))
    moment.replace(department.directory / "reset")  # the agent reads it whole
    until(lambda: error("reading") == "needs_rebase")
    assert "a register fell from" in department.edge("rebase", "solar")
    until(lambda: error("held") == "register_decreased")
    assert error("reading") is None
    held = department.authority("collector", "held")
    index = re.search(r"^ *([0-9]+)  .*register_decreased", held, re.MULTILINE)[1]
    department.authority("collector", "release", index, "--reason", "the meter was reset")
    until(department.without_errors)
    department.assert_no_traceback()


@pytest.mark.slow
@pytest.mark.parametrize("department", ["https"], indirect=True)
def test_a_rotated_key_signs_on_where_the_old_one_ended(department):
    department.collector()
    department.enrol()
    agent = department.agent()
    until(lambda: department.receipted() >= 1)
    before = department.status()["meters"]["solar"]
    old = json.loads(department.edge("keys", "--json"))[0]["public_key"]

    claim = department.authority("enrol", "claim", "dormitory-a").strip()
    rotate = ("rotate-key", "solar", "--claim", claim)
    assert "waits for approval" in department.edge(*rotate, exits=3)
    assert json.loads(department.edge("keys", "--json"))[0]["public_key"] == old  # it signs on until then
    assert "waits for approval" in department.edge(*rotate, exits=3)  # the same new key again
    department.authority("enrol", "approve", "dormitory-a", "--off-chain")
    assert "restart the agent" in department.edge(*rotate)
    new = json.loads(department.edge("keys", "--json"))[0]["public_key"]
    assert new != old
    assert list((department.directory / "state/keys/next").iterdir()) == []
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0

    department.agent()
    # A status that the agent writes before its first poll has no registers yet.
    until(
        lambda: (
            department.receipted() >= 1
            and (department.status()["meters"]["solar"]["registers"] or []) > before["registers"]
        )
    )
    until(department.without_errors)
    department.assert_no_traceback()


@pytest.mark.slow
@pytest.mark.parametrize("department", ["https"], indirect=True)
def test_over_https_through_kills_a_lost_journal_and_a_lost_disk(department):
    collector = department.collector()
    claim = department.enrol()
    agent = department.agent()
    until(lambda: department.receipted() >= 1)
    until(department.without_errors)
    assert department.status()["uplink"]["kind"] == "https"
    assert department.status()["ignored"] == {}

    department.kill(collector)
    until(lambda: not listens(department.port))
    until(lambda: department.status()["journal"]["waiting"] >= 1)
    department.kill(agent)
    department.collector()
    agent = department.agent()
    until(lambda: department.status()["pid"] == agent.pid and department.receipted() >= 1)
    until(lambda: department.status()["journal"]["depth"] == 0)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0

    # A lost journal: the collector's own head is what it continues from.
    for file in (department.directory / "state").glob("journal.db*"):
        file.unlink()
    before = department.status()["meters"]["solar"]
    agent = department.agent()
    until(lambda: department.status()["pid"] == agent.pid and department.receipted() >= 1)
    after = department.status()["meters"]["solar"]
    assert after["sequence"] > before["sequence"]
    until(department.without_errors)
    assert "continuing from the authority's head" in (department.directory / "log").read_text()
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0

    # A lost disk: a new key, which the operator approves, continues the registers and numbers its own records.
    last = department.status()["meters"]["solar"]
    shutil.rmtree(department.directory / "state")
    assert "[conflict]" in department.edge("enrol", "--claim", claim, "--no-probe", exits=1)
    department.enrol()
    agent = department.agent()
    until(lambda: department.receipted() >= 1)
    meter = department.status()["meters"]["solar"]
    assert 1 <= meter["sequence"] <= last["sequence"]
    assert meter["registers"] > last["registers"]
    until(department.without_errors)
    department.assert_no_traceback()
