"""The faults of a soak: what breaks, for how long, and how it is put right again. A seed gives the whole schedule."""

import contextlib
import os
import resource
import signal
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass

import proxy

LINE_FAULTS = (
    "flip",
    "truncate",
    "double",
    "garbage_before",
    "garbage_after",
    "gap 0.3",
    "drop",
    "late 0.5",
    "wrong_fcs",
    "echo",
    "busy",
    "reboot",
)
ROOM = 1 << 20
"""Bytes at which a file ends while the disk is full."""


@dataclass(frozen=True)
class Fault:
    """One fault: begins so many seconds after the one before it, holds for `seconds`; pick chooses whom it meets."""

    kind: str
    after: float
    seconds: float
    pick: int
    strength: float


def schedule(random, every):
    """Faults without end, each kind once in each round; every: seconds between two of them, on average."""
    while True:
        for kind in random.sample(sorted(KINDS), len(KINDS)):
            yield Fault(
                kind,
                random.uniform(0.5, 1.5) * every,
                random.uniform(0.3, 2.0) * every,
                random.randrange(1 << 30),
                random.random(),
            )


class Faults:
    """Lets the faults of a schedule happen to a campus, in a thread, until `stop`; each ends before the next begins."""

    def __init__(self, campus, schedule):
        self.campus, self._schedule = campus, schedule
        self.happened = Counter()
        self.failure = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)

    def start(self):
        """Begin."""
        self._thread.start()

    def stop(self):
        """End after the fault in hand, which is put right."""
        self.end()
        if self.failure is not None:
            raise self.failure

    def end(self):
        """As `stop`, whatever failed: afterwards nothing is started any more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self):
        try:
            for fault in self._schedule:
                if self._stopping.wait(fault.after):
                    return
                self.happened[fault.kind] += 1
                with KINDS[fault.kind](self.campus, fault):
                    self._stopping.wait(fault.seconds)
        except BaseException as error:
            self.failure = error


def _one(items, fault):
    return items[fault.pick % len(items)]


@contextlib.contextmanager
def broker_killed(campus, fault):
    """Mosquitto is killed, with what it had not yet written."""
    campus.kill(campus.broker)
    yield
    campus.start_broker()


@contextlib.contextmanager
def network_cut(campus, fault):
    """Between the gateways and the authority nothing passes; connections break off, or stand and say nothing."""
    campus.network.set(proxy.REFUSED if fault.strength < 0.5 else proxy.SILENT)
    yield
    campus.network.set(proxy.UP)


@contextlib.contextmanager
def agent_killed(campus, fault):
    """An agent is killed, wherever it is."""
    gateway = _one(campus.gateways, fault)
    campus.kill(gateway.process)
    yield
    campus.start_agent(gateway)


@contextlib.contextmanager
def disk_full(campus, fault):
    """No file of an agent may grow any further: what SQLite and the status file meet on a full disk."""
    process = _one(campus.gateways, fault).process
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (int(fault.strength * 65_536), resource.RLIM_INFINITY))
    yield
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextlib.contextmanager
def clock_jumped(campus, fault):
    """A gateway's clock is up to two hours of readings ahead or behind."""
    gateway = _one(campus.gateways, fault)
    gateway.jump_clock(round((fault.strength - 0.5) * 4 * 3600))
    yield
    gateway.jump_clock(0)


@contextlib.contextmanager
def authority_restarted(campus, fault):
    """The collector ends, in good order or killed."""
    if fault.strength < 0.5:
        campus.kill(campus.collector)
    else:
        campus.collector.send_signal(signal.SIGTERM)
        campus.collector.wait(60)
    yield
    campus.start_collector()


@contextlib.contextmanager
def journal_truncated(campus, fault):
    """An agent is killed, and its journal is cut short somewhere."""
    gateway = _one(campus.gateways, fault)
    campus.kill(gateway.process)
    gateway.lost_journals += 1
    for name in ("journal.db", "journal.db-wal"):
        with contextlib.suppress(FileNotFoundError):
            path = gateway.state / name
            os.truncate(path, int(path.stat().st_size * fault.strength))
    yield
    campus.start_agent(gateway)


@contextlib.contextmanager
def line_disturbed(campus, fault):
    """What comes over a line is not what was sent."""
    line, told = _one(campus.lines, fault), LINE_FAULTS[int(fault.strength * len(LINE_FAULTS))]
    until = time.monotonic() + fault.seconds / 2
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
        while time.monotonic() < until:
            control.sendto(told.encode(), f"{line.link}.control")
            time.sleep(0.2)
    yield


@contextlib.contextmanager
def adapter_pulled(campus, fault):
    """The serial port is gone, and comes back under the same name."""
    line = _one(campus.lines, fault)
    line.link.unlink()  # first: the next pty of its number would be another line's
    campus.kill(line.process)
    line.process.stdout.close()
    yield
    campus.start_line(line)


KINDS = {
    fault.__name__: fault
    for fault in (
        broker_killed,
        network_cut,
        agent_killed,
        disk_full,
        clock_jumped,
        authority_restarted,
        journal_truncated,
        line_disturbed,
        adapter_pulled,
    )
}
