"""A small campus of real processes: emulated meters on ptys, agents, Mosquitto, the collector, a network to cut."""

import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from array import array
from collections import Counter
from pathlib import Path

from fast_clock import FastClock
from free_ports import free_port
from proxy import Proxy

from authority.cli import main as authority_main
from authority.collector.broker import find_mosquitto, write_configuration
from authority.home.home import Home
from edge_agent.cli import main as edge_main

ROOT = Path(__file__).resolve().parents[2]
FAST = Path(__file__).with_name("accelerated.py")
EPOCH = 60
"""Seconds of the fast clock between two readings."""
CLOCK_OFF = 1800
"""Seconds by which a meter's clock may be off its gateway's before its readings are held back."""
ROWS = 5000
"""Rows that a meter keeps: the longest outage of a soak is shorter."""

_MEMBER = """
[[user]]
name = "{name}"
building = "{name}"
public = true
[[installation]]
n = {n}
building = "{name}"
kind = "solar"
nameplate_w = 120000
storage_wh = 0
since = 2020-01-01
[[meter]]
name = "{name}"
gateway = "{gateway}"
serial = "KFM-{name}"
role = "building"
source = "solar"
user = "{name}"
installation = {n}
"""
_EMULATOR = """
epoch_seconds = {epoch}
start_epoch = {start}
[line]
link = "{link}"
control = "{link}.control"
"""
_EMULATED = """
[[meter]]
logical_device_name = "LDN{n:013d}"
server = {server}
  [[meter.register]]
  obis = "1-0:2.8.0.255"
  power = "{generation}"
  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "{consumption}"
  initial = {n}
  [meter.profile]
  entries = {rows}
"""
_GATEWAY = """
[gateway]
name = "{name}"
state = "state"
authority = "https://localhost:{port}"
live_seconds = 1
[uplink]
kind = "auto"
timeout = 5
"""
_METER = """
[[meter]]
name = "{name}"
serial = "KFM-{name}"
port = "{link}"
server = {server}
timeout = 2
[meter.map]
logical_device_name = "LDN{n:013d}"
capture_period = {epoch}
clock = "{clock}"
registers = {{ generation = ["1-0:2.8.0.255", 1], consumption = ["1-0:1.8.0.255", 1] }}
"""


class Meter:
    """An emulated meter: it counts a whole number of Wh each epoch, so what it must show at a time is known."""

    def __init__(self, n, gateway, line, server):
        self.n, self.gateway, self.line, self.server = n, gateway, line, server
        self.name = f"m{n}"
        self.generation_wh, self.consumption_wh = 3 + n % 7, 5 + n % 11  # an epoch

    def registers(self, start_epoch, at):
        """Generation and consumption in Wh at a boundary."""
        epochs = at // EPOCH - start_epoch
        return self.generation_wh * epochs, self.consumption_wh * epochs + self.n


class Line:
    """A line of meters, which an emulator of its own answers for."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.link, self.file = directory / name, directory / f"{name}.toml"
        self.process = None


class Gateway:
    """A gateway: its directory, its agent's process, and what the agent's log says that it signed."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.file, self.jump = directory / "gateway.toml", directory / "jump"
        self.state = directory / "state"
        self.process = None
        self.signed = {}
        """By meter and sequence, a print of the interval and the registers that were signed; 0: not logged."""
        self.signed_until = {}
        """By meter, the last boundary that was signed."""
        self.signed_twice = 0
        self.lost_journals = 0
        self.told = Counter()

    def jump_clock(self, seconds):
        """Set its clock so far off; 0 sets it right."""
        with self.jump.open("r+b") as file:
            file.write(struct.pack("<d", seconds))

    def waiting(self):
        """Frames in its journal that wait for a receipt."""
        with contextlib.closing(sqlite3.connect(self.state / "journal.db", timeout=30)) as journal:
            return journal.execute("SELECT count(*) FROM frame WHERE state IN ('waiting', 'parked')").fetchone()[0]

    def listen(self, process):
        """Take what the agent logs, in a thread, until the process ends."""
        for line in process.stdout:
            try:
                entry = json.loads(line)
            except ValueError:
                self.told[line.strip()] += 1
                continue
            if entry["event"] == "signed":
                self._take(entry)
            elif entry["level"] in ("error", "critical") or "traceback" in entry:
                self.told[" ".join(str(entry.get(name, "")) for name in ("event", "code", "reason", "traceback"))] += 1

    def _take(self, entry):
        prints, sequence = self.signed.setdefault(entry["meter"], array("Q")), int(entry["sequence"])
        if sequence >= len(prints):
            prints.extend([0] * (sequence + 1 - len(prints)))
        end = int(entry["interval_end"])
        self.signed_until[entry["meter"]] = end
        new = fingerprint(end, entry["registers"])
        self.signed_twice += prints[sequence] not in (0, new)
        prints[sequence] = new


def fingerprint(interval_end, registers):
    """Eight bytes of an interval and the text of its registers; never 0."""
    digest = hashlib.blake2b(f"{interval_end} {registers}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") | 1


class Campus:
    """All of it. `begin` starts what is to be soaked; each part can be ended and started again on its own."""

    def __init__(self, directory, *, gateways, lines, meters, factor):
        self.directory = directory
        self.home = directory / "home"
        self.port, self.broker_port = free_port(), free_port()
        self._inner_port, self._inner_broker_port = free_port(), free_port()
        self.clock_file = directory / "clock"
        self.clock = FastClock.make(self.clock_file, factor, EPOCH)
        self.start_epoch = int(time.time()) // EPOCH - 3
        if find_mosquitto() is None:
            raise SystemExit("no mosquitto here: apt-get install mosquitto")
        self.lines, self.gateways, self.meters = [], [], []
        for g in range(gateways):
            gateway = Gateway(directory / f"gw-{g}", f"gw-{g}")
            gateway.directory.mkdir()
            gateway.jump.write_bytes(bytes(8))
            self.gateways.append(gateway)
            for at in range(lines):
                line = Line(gateway.directory, f"line-{at}")
                self.lines.append(line)
                for server in range(1, meters + 1):
                    self.meters.append(Meter(len(self.meters) + 1, gateway, line, server))
        self.broker = self.collector = self.network = None
        self._log = (directory / "authority.log").open("ab")

    def now(self):
        """The fast clock."""
        return self.clock.time()

    def signed_until(self):
        """By meter, the last boundary that an agent has signed."""
        first = self.start_epoch * EPOCH
        return {meter.name: meter.gateway.signed_until.get(meter.name, first) for meter in self.meters}

    def behind(self):
        """By how many boundaries the meters' last signed one lies before now: in the middle, and of the last meter."""
        epoch = int(self.now()) // EPOCH
        each = sorted(epoch - end // EPOCH for end in self.signed_until().values())
        return each[len(each) // 2], each[-1]

    # -- before the soak

    def prepare(self):
        """Home, plan, files, enrolment: everything that goes by the real clock."""
        self._authority("init", "--epoch-seconds", str(EPOCH), "--mqtt", "localhost")
        configuration = self.home / "authority.toml"
        text = configuration.read_text().replace("port = 8443", f"port = {self._inner_port}", 1)
        text = text.replace("port = 8883", f"port = {self.broker_port}", 1)
        off = "clock_deviation_seconds = "  # asking for a clock takes no time, but for the fast clock it does
        configuration.write_text(text.replace(f"{off}60", f"{off}{CLOCK_OFF}", 1))
        plan = self.directory / "plan.toml"
        plan.write_text(
            "".join(_MEMBER.format(name=each.name, n=each.n, gateway=each.gateway.name) for each in self.meters)
        )
        self._authority("enrol", "campus", str(plan))
        for line in self.lines:
            meters = [each for each in self.meters if each.line is line]
            text = _EMULATOR.format(epoch=EPOCH, start=self.start_epoch, link=line.link)
            for each in meters:
                text += _EMULATED.format(
                    n=each.n,
                    server=each.server,
                    rows=ROWS,
                    generation=each.generation_wh * 3600 // EPOCH,
                    consumption=each.consumption_wh * 3600 // EPOCH,
                )
            line.file.write_text(text)
        for gateway in self.gateways:
            text = _GATEWAY.format(name=gateway.name, port=self.port)
            for each in self.meters:
                if each.gateway is gateway:
                    text += _METER.format(
                        name=each.name, link=each.line.link, server=each.server, n=each.n, epoch=EPOCH,
                        clock="utc" if each.n % 8 else "deviation",  # who states it is asked for an hour more
                    )  # fmt: skip
            gateway.file.write_text(text)
        self.network = Proxy({self.port: self._inner_port, self.broker_port: self._inner_broker_port})
        self.start_broker()
        self.start_collector()
        for gateway in self.gateways:
            claim = self._authority("enrol", "claim", gateway.name).strip()
            self._edge(3, "enrol", "--config", str(gateway.file), "--claim", claim, "--no-probe")
            self._authority("enrol", "approve", gateway.name, "--off-chain")
            self._edge(0, "enrol", "--config", str(gateway.file), "--claim", claim, "--no-probe")

    def _authority(self, *words):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = authority_main([*words, "--home", str(self.home)])
        if status:
            raise RuntimeError(f"authority {' '.join(words)}: exit status {status}: {out.getvalue()}")
        return out.getvalue()

    def _edge(self, status, *words):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            ended = edge_main(list(words))
        if ended != status:
            raise RuntimeError(f"edge-agent {' '.join(words)}: exit status {ended}: {out.getvalue()}")

    # -- its parts

    def begin(self):
        """Start lines and agents."""
        for line in self.lines:
            self.start_line(line)
        for gateway in self.gateways:
            self.start_agent(gateway)

    def _start(self, *command, output=None, errors=None):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        return subprocess.Popen(
            [str(word) for word in command],
            stdout=output or self._log,
            stderr=errors or self._log,
            env=environment,
            text=output is not None,
            start_new_session=True,
        )

    def _fast(self, kind, *words, jump="-", **output):
        return self._start(sys.executable, FAST, self.clock_file, jump, kind, *words, **output)

    def start_broker(self):
        """Mosquitto, which keeps its queues."""
        path = write_configuration(
            Home.open(self.home), self.directory / "broker", self._inner_broker_port, now=int(time.time())
        )
        self.broker = self._start(find_mosquitto(), "-c", path)
        _until_listening(self._inner_broker_port)

    def start_collector(self):
        """The authority's collector."""
        self.collector = self._fast("authority", "collector", "--home", self.home)
        _until_listening(self._inner_port)

    def start_line(self, line):
        """An emulator on its pty."""
        line.process = self._fast("emulator", line.file, output=subprocess.PIPE)
        ready = line.process.stdout.readline()
        if not ready.startswith("ready "):
            raise RuntimeError(f"the emulator of {line.name} does not start: {ready!r}")

    def start_agent(self, gateway):
        """An agent."""
        gateway.process = self._fast(
            "agent", gateway.file, jump=gateway.jump, output=subprocess.PIPE, errors=subprocess.STDOUT
        )
        threading.Thread(target=gateway.listen, args=(gateway.process,), daemon=True).start()

    def rest(self, seconds):
        """End the lines, so that no more is signed; whether all that was signed has its receipt within the time."""
        for line in self.lines:
            line.process.terminate()
        return wait_until(lambda: not any(gateway.waiting() for gateway in self.gateways), seconds)

    def ended(self):
        """Which agents have ended by themselves; empty where none has."""
        statuses = {gateway.name: gateway.process.poll() for gateway in self.gateways}
        return ", ".join(f"{name} ended with {status}" for name, status in statuses.items() if status is not None)

    def release(self):
        """What the operator does after a gateway's clock was off: the authority holds its readings back till then."""
        self._authority("collector", "release", "--code", "clock_unsynchronised", "--reason", "the clock is set right")

    def kill(self, process):
        """SIGKILL a process and those it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self):
        """End everything in good order, the agents first."""
        agents = [gateway.process for gateway in self.gateways]
        for group in (agents, [line.process for line in self.lines], [self.collector], [self.broker]):
            alive = [process for process in group if process is not None and process.poll() is None]
            for process in alive:
                process.terminate()
            for process in alive:
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    self.kill(process)
        if self.network is not None:
            self.network.close()
        self._log.close()


def wait_until(condition, seconds):
    """Whether it came true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until_listening(port):
    if not wait_until(lambda: _listens(port), 600):
        raise RuntimeError(f"nothing listens at port {port}")
