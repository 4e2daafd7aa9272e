"""An emulated line without a pty: the driver's transport is the emulator itself, and time is turned by hand."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from edge_agent.config import MeterSettings
from edge_agent.emulator.config import EmulatorConfig
from edge_agent.emulator.faults import FaultyLine
from edge_agent.emulator.line import EmulatedLine
from edge_agent.emulator.network import WrapperServer
from edge_agent.meters.dlms_pull import DlmsPullDriver
from edge_agent.wire.meter_map import MeterMap

EPOCH = 900
START = 1_980_000  # epochs of 900 s: 2026-06-20 12:00 UTC
METER = {
    "logical_device_name": "KFM1000000000001",
    "deviation": -120,
    "client": [{"address": 16}, {"address": 32, "auth": "lls", "password": "12345678"}],
    "register": [
        {"obis": "1-0:1.8.0.255", "power": "4000", "initial": 1000, "scaler": 0},
        {"obis": "1-0:2.8.0.255", "power": "1000.5", "scaler": -1},
        {"obis": "1-0:1.7.0.255", "power": "4000", "unit": "W"},
        {"obis": "1-0:2.7.0.255", "power": "1000.5", "unit": "W", "scaler": -1},
    ],
}
MAP = {
    "capture_period": EPOCH,
    "logical_device_name": "KFM1000000000001",
    "registers": {"consumption": ["1-0:1.8.0.255", 1], "generation": ["1-0:2.8.0.255", 1]},
}


class Clock:
    """Unix seconds, and monotonic ones that move when someone waits."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.waited = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.waited


class FakeTransport:
    """The emulated line as a transport; `on_way` may change what comes back."""

    def __init__(self, line: EmulatedLine, clock: Clock, faults=()) -> None:
        self.line = line
        self.faulty = FaultyLine(line, faults)
        self.coming = []  # (when, bytes)
        self.clock = clock
        self.arrived = b""
        self.on_way = lambda data: data
        self.closed = False
        self.echo = False

    def write(self, data: bytes) -> None:
        if self.echo:
            self.arrived += data
            return
        when = self.clock.waited
        for delay, piece in self.faulty.receive(data):
            when += delay
            self.coming.append((when, self.on_way(piece)))
        self._arrive()

    def _arrive(self) -> None:
        self.arrived += b"".join(piece for when, piece in self.coming if when <= self.clock.waited)
        self.coming = [(when, piece) for when, piece in self.coming if when > self.clock.waited]

    def read(self, timeout: float) -> bytes:
        if not self.arrived:
            until = self.clock.waited + timeout
            soonest = min((when for when, _ in self.coming), default=until)
            self.clock.waited = min(soonest, until)
            self._arrive()
        data, self.arrived = self.arrived, b""
        if not data:
            self.line.quiet()
        return data

    def discard(self) -> None:
        self.arrived = b""

    def close(self) -> None:
        self.closed = True


class World:
    """A driver and its emulated meter."""

    def __init__(self, meter=None, meter_map=None, rows: int = 10, start: int = START, faults=(), **settings) -> None:
        self.clock = Clock((start + rows) * EPOCH + 100)
        data = {"epoch_seconds": EPOCH, "start_epoch": start, "meter": [{**METER, **(meter or {})}]}
        self.line = EmulatedLine.build(EmulatorConfig.from_dict(data, Path()), self.clock.time)
        self.meter = self.line.meters[0]
        self.transport = FakeTransport(self.line, self.clock, faults)
        self.map = MeterMap.from_dict({**MAP, **(meter_map or {})})
        self.settings = MeterSettings(name="m", serial="1", port="none", map=self.map, **settings)
        self.driver = DlmsPullDriver(
            self.settings,
            self.map,
            open_transport=lambda: self.transport,
            now=self.clock.time,
            monotonic=self.clock.monotonic,
        )


class NoControl:
    """The control socket of an emulator that has none."""

    socket = None

    def take(self, line):
        raise AssertionError


@contextlib.contextmanager
def served(faulty: FaultyLine, *, datagrams: bool):
    """Emulated meters behind the wrapper on a real TCP or UDP port, as `meter-emulator` serves them; the port."""
    server = WrapperServer(faulty, ("127.0.0.1", 0), datagrams=datagrams)
    stopping = threading.Event()
    read, write = os.pipe()
    thread = threading.Thread(target=server.serve, args=(stopping.is_set, read, NoControl()), daemon=True)
    thread.start()
    try:
        yield int(server.name.rpartition(":")[2])
    finally:
        stopping.set()
        os.write(write, b"x")
        thread.join(60)
        server.close()
        os.close(read)
        os.close(write)
