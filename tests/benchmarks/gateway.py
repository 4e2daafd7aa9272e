"""What a gateway with ten meters costs, beside its peers in the same run; JSON on stdout.

    python tests/benchmarks/gateway.py [--frames 20000] [--boundaries 4] [--only NAME ...]

`drain_https`, `drain_mqtt`: so many frames of ten meters wait in the journal, as after an outage, and go to a real
collector (and a real Mosquitto) over TLS until each has its receipt. `a_second` is by the clock; `a_cpu_second` counts
the agent's processor time alone, which is what one core allows where the collector is elsewhere.
`paho`: paho's bare QoS 1 in the same run and by the same broker, TLS too, in messages of one frame and of 64; a message
is done when the broker has acknowledged it. It is what the drain is compared with.
`boundary`: a whole agent, ten emulated meters on two ptys, epochs of 20 s: resident memory, processor time of a
boundary, and all that was written to the disk (the status file too, which is written more than once in 20 s).
The agent runs as it is installed: its bytecode is compiled, without which memory holds what the compiler left, and its
environment is the unit's, with the runtime directory in memory.
`journal`: bytes that SQLite writes for a boundary of ten meters whose archive is full, to its log and to the database,
and what that is a day at 96 boundaries; and what a process grows by that opens it.
`sign`: one signature by `cryptography`, and computed by edge_agent.probe under CPython and under MicroPython.
`help`: as tests/benchmarks/help.py.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "soak")]

import campus as soak_campus  # noqa: E402
from campus import Campus, Gateway, wait_until  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402
from made_frames import frame, receipt  # noqa: E402
from peer_programs import micropython  # noqa: E402
from recorded_disk import Recorder  # noqa: E402

from edge_agent.config import load_config  # noqa: E402
from edge_agent.probe import ed25519  # noqa: E402
from edge_agent.state.credentials import CredentialStore  # noqa: E402
from edge_agent.state.journal import JOURNAL_FILE, Journal  # noqa: E402
from edge_agent.state.keys import KeyStore, MeterKey  # noqa: E402
from edge_agent.uplinks.mqtt import MAX_INFLIGHT  # noqa: E402
from edge_agent.wire import topics  # noqa: E402
from edge_agent.wire.reading import ZERO_HASH, Frame, Record, previous_hash  # noqa: E402

METERS = 10
BATCH = 64
BOUNDARIES_A_DAY = 96
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and those that it has started, until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(int, fields[11:15])) / _TICKS + sum(cpu_seconds(int(child)) for child in children)


def memory_mib(pid: int) -> dict[str, float]:
    """Resident memory now and at most, in MiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: round(int(lines[name].split()[0]) / 1024, 1) for name in ("VmRSS", "VmHWM")}


def disk_bytes(pid: int) -> int:
    """Bytes that a process has had written to disks, as far as the kernel lays them to its charge."""
    counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(counts["write_bytes"]) - int(counts["cancelled_write_bytes"])


@contextmanager
def small_campus(epoch: int) -> Iterator[Campus]:
    """One gateway with ten meters on two lines, enrolled; nothing runs but broker and collector."""
    soak_campus.EPOCH = epoch
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        campus = Campus(Path(directory), gateways=1, lines=2, meters=METERS // 2, factor=1.0)
        try:
            campus.prepare()
            yield campus
        finally:
            campus.end()


def fill_journal(gateway: Gateway, frames: int, epoch: int) -> None:
    """Sign so many frames of the past and put them into the gateway's journal."""
    config, credentials = load_config(gateway.file), CredentialStore(gateway.state).load()
    keys = KeyStore(gateway.state)
    journal = Journal.open(gateway.state / JOURNAL_FILE, quota=10_000_000)
    each = frames // METERS
    end = int(time.time()) // epoch * epoch
    for meter in config.meters:
        key, previous, made = keys.load(meter.name), ZERO_HASH, []
        enrolled = credentials.meter(meter.name)
        assert enrolled is not None
        for at in range(each):
            record = Record(
                sequence=enrolled.first_sequence + at, network_id=credentials.network_id,
                interval_end=end - (each - at) * epoch, generation=at, consumption=at, charge=0, discharge=0,
                interval_seconds=epoch, source=enrolled.source, clock_deviation=0, flags=2, previous_hash=previous,
            ).to_bytes()  # fmt: skip
            previous = previous_hash(record)
            made.append(Frame(record, key.public_key, key.sign(record)))
        journal.add_meter(key.public_key, meter.name)
        journal.append(made, now=int(time.time()))
    journal.close()


_AS_INSTALLED = """
import sys
sys.modules["dns"] = None  # paho takes dnspython in where it is; a gateway's own environment has none
from edge_agent.cli import main
"""


def unit_environment() -> dict[str, str]:
    """The variables that the systemd unit sets."""
    unit = (ROOT / "edge_agent" / "systemd" / "edge-agent.service").read_text(encoding="utf-8")
    words = [line.removeprefix("Environment=") for line in unit.splitlines() if line.startswith("Environment=")]
    return dict(word.split("=", 1) for word in words)


@contextmanager
def runtime_directory() -> Iterator[Path]:
    """A directory in memory, as systemd gives the service one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="gateway-", dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


def run_agent(gateway: Gateway, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """`edge-agent run` as the service manager starts it."""
    compileall.compile_dir(ROOT / "edge_agent", quiet=1)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-c", f"{_AS_INSTALLED}sys.exit(main())", "run", "--config", str(gateway.file)],
            cwd=ROOT, env={**os.environ, **unit_environment(), **environment}, stdout=output, stderr=output,
        )  # fmt: skip


def drain(kind: str, frames: int) -> dict[str, Any]:
    """Frames a second from the first that is receipted to the last."""
    epoch = 60
    with small_campus(epoch) as campus:
        gateway = campus.gateways[0]
        text = gateway.file.read_text().replace("in_flight = 1024\n", "").replace("batch = 256\n", "")
        gateway.file.write_text(
            text.replace('kind = "auto"', f'kind = "{kind}"').replace("live_seconds = 1", "live_seconds = 0")
        )
        fill_journal(gateway, frames, epoch)
        agent = run_agent(gateway, campus.directory / "agent.log")
        try:
            if not wait_until(lambda: gateway.waiting() < frames, 120):
                raise RuntimeError((campus.directory / "agent.log").read_text()[-3000:])
            begun, cpu, first = time.monotonic(), cpu_seconds(agent.pid), gateway.waiting()
            collector = cpu_seconds(campus.collector.pid)
            if not wait_until(lambda: gateway.waiting() == 0, 600):
                raise RuntimeError((campus.directory / "agent.log").read_text()[-3000:])
            seconds, spent = time.monotonic() - begun, cpu_seconds(agent.pid) - cpu
            return {
                "frames": first,
                "a_second": round(first / seconds),
                "a_cpu_second": round(first / spent),
                "cpu_ms_a_frame": round(1000 * spent / first, 3),
                "memory_mib": memory_mib(agent.pid),
                "collector_cpu_seconds": round(cpu_seconds(campus.collector.pid) - collector, 1),
            }
        finally:
            agent.terminate()
            agent.wait(60)


_PAHO = """
import json, os, sys, ssl, time
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
port, ca, certificate, key, name, topic, size, count, window = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(certificate, key)
client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
client.tls_set_context(context)
client.max_inflight_messages_set(int(window))
left, done = [int(count)], [0]
payload = os.urandom(int(size))
def acknowledged(*_):
    done[0] += 1
    if left[0]:
        left[0] -= 1
        client.publish(topic, payload, qos=1)
    if done[0] == int(count):
        client.disconnect()
def connected(*_):
    acknowledged.begun = time.monotonic(), sum(os.times()[:2])
    for _ in range(min(int(window), left[0])):
        left[0] -= 1
        client.publish(topic, payload, qos=1)
client.on_publish, client.on_connect = acknowledged, connected
client.connect("localhost", int(port))
client.loop_forever()
wall, cpu = acknowledged.begun
print(json.dumps({"seconds": time.monotonic() - wall, "cpu": sum(os.times()[:2]) - cpu}))
"""


def paho(frames: int) -> dict[str, Any]:
    """paho alone: messages of random bytes to a topic of the gateway's that nobody answers."""
    found: dict[str, Any] = {}
    with small_campus(60) as campus:
        campus.kill(campus.collector)
        gateway = campus.gateways[0]
        credentials = CredentialStore(gateway.state).load()
        assert credentials.mqtt is not None
        files = {}
        for name, content in (("ca", credentials.ca_certificate), ("certificate", credentials.certificate)):
            files[name] = campus.directory / f"{name}.pem"
            files[name].write_text(content)
        topic = topics.topic(topics.READINGS, gateway.name)
        for batch in (1, BATCH):
            count = max(200, frames // 4 if batch == 1 else frames // batch)
            words = [
                credentials.mqtt[1], files["ca"], files["certificate"], KeyStore(gateway.state).tls_key,
                gateway.name, topic, 192 * batch, count, MAX_INFLIGHT,
            ]  # fmt: skip
            done = subprocess.run(
                [sys.executable, "-c", _PAHO, *map(str, words)], capture_output=True, text=True, timeout=300, check=True
            )
            took = json.loads(done.stdout)
            found[f"messages_of_{batch}"] = {
                "messages_a_second": round(count / took["seconds"]),
                "frames_a_second": round(batch * count / took["seconds"]),
                "frames_a_cpu_second": round(batch * count / took["cpu"]),
            }
    return found


def boundary(count: int) -> dict[str, Any]:
    """A whole agent with ten emulated meters: what a boundary costs it."""
    epoch = 20
    with small_campus(epoch) as campus, runtime_directory() as runtime:
        gateway = campus.gateways[0]
        gateway.file.write_text(gateway.file.read_text().replace("live_seconds = 1", "live_seconds = 10"))
        for line in campus.lines:
            campus.start_line(line)
        agent = run_agent(gateway, campus.directory / "agent.log", RUNTIME_DIRECTORY=str(runtime))
        try:

            def until_boundary() -> None:
                time.sleep(epoch - (time.time() - 12) % epoch)  # twelve seconds after one: all is done by then

            until_boundary()
            until_boundary()
            before, cpu = disk_bytes(agent.pid), cpu_seconds(agent.pid)
            for _ in range(count):
                until_boundary()
            wrote, spent = disk_bytes(agent.pid) - before, cpu_seconds(agent.pid) - cpu
            return {
                "memory_mib": memory_mib(agent.pid),
                "cpu_seconds_a_boundary": round(spent / count, 3),
                "disk_kb_a_boundary": round(wrote / count / 1000, 1),
            }
        finally:
            agent.terminate()
            agent.wait(60)


_OPEN = """
import sys
from pathlib import Path
from edge_agent.state.journal import Journal
def kib():
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0])
before = kib()
journal = Journal.open(Path(sys.argv[1]), quota=1000)
print(kib() - before)
"""


def journal_wear(boundaries: int = 1500) -> dict[str, Any]:
    """Bytes that SQLite writes for a boundary of ten meters once the archive is full: log, database, all of them."""
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        recorder = Recorder(Path(directory))
        bytes_ = {"log": 0, "database": 0}
        with recorder:
            journal = Journal.open(Path(directory) / JOURNAL_FILE, quota=1000, archive=boundaries // 2 * METERS)
            keys = [MeterKey(Ed25519PrivateKey.from_private_bytes(bytes([n] * 32))) for n in range(METERS)]
            for n, key in enumerate(keys):
                journal.add_meter(key.public_key, f"m{n}")
            for sequence in range(1, boundaries + 1):
                frames = [frame(sequence, key) for key in keys]
                journal.append(frames, now=sequence)
                journal.apply([receipt(each) for each in frames], now=sequence)
                if sequence == boundaries // 2:
                    recorder.operations.clear()
            for operation in recorder.operations:
                bytes_["log" if operation.name.endswith("-wal") else "database"] += len(operation.data)
            journal.close()
        opened = subprocess.run(
            [sys.executable, "-c", _OPEN, str(Path(directory) / JOURNAL_FILE)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        each_boundary = {name: count / (boundaries - boundaries // 2) for name, count in bytes_.items()}
        whole = sum(each_boundary.values())
        return {
            **{f"{name}_kb_a_boundary": round(count / 1000, 1) for name, count in each_boundary.items()},
            "kb_a_boundary": round(whole / 1000, 1),
            "mb_a_day": round(whole * BOUNDARIES_A_DAY / 1e6, 2),
            "memory_kib_to_open": int(opened.stdout),
        }


_SIGN = """
import sys, time
sys.path[:0] = [{paths}]
from edge_agent.probe import ed25519
key = ed25519.KeyHere(bytes(range(32)))
message = bytes(96)
ticks = getattr(time, "ticks_us", None) or (lambda: time.process_time_ns() // 1000)
times = []
for _ in range(20):
    begun = ticks()
    key.sign(message)
    times.append(ticks() - begun)
print(min(times) / 1000)
"""


def sign() -> dict[str, Any]:
    """Milliseconds of a signature over a record: the median, under MicroPython the least of 20."""
    seed, message = bytes(range(32)), bytes(96)
    kept = ed25519.KeyHere(seed)

    def timed(function: Callable[[], object], runs: int = 200) -> float:
        times = []
        for _ in range(runs):
            begun = time.process_time_ns()
            function()
            times.append((time.process_time_ns() - begun) / 1e6)
        return round(statistics.median(times), 3)

    paths = ", ".join(repr(str(path)) for path in (ROOT / "edge_agent" / "probe" / "micropython", ROOT))
    under = subprocess.run(
        [micropython(), "-c", _SIGN.replace("{paths}", paths)], capture_output=True, text=True, check=True
    )
    return {
        "cryptography_ms": timed(lambda: ed25519.sign_by_library(seed, message)),
        "computed_cpython_ms": timed(lambda: ed25519.KeyHere(seed).sign(message), 20),
        "computed_cpython_key_kept_ms": timed(lambda: kept.sign(message), 50),
        "computed_micropython_key_kept_ms": round(float(under.stdout), 2),
    }


def help_() -> Any:
    """Of tests/benchmarks/help.py."""
    command = [sys.executable, str(ROOT / "tests" / "benchmarks" / "help.py"), "--runs", "5"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="Measure what a gateway with ten meters costs.")
    parser.add_argument("--frames", type=int, default=20_000, help="frames that wait after the outage")
    parser.add_argument("--boundaries", type=int, default=4)
    parts: dict[str, Callable[[], Any]] = {
        "drain_mqtt": lambda: drain("mqtt", words.frames),
        "drain_https": lambda: drain("https", words.frames),
        "paho": lambda: paho(words.frames),
        "boundary": lambda: boundary(words.boundaries),
        "journal": journal_wear,
        "sign": sign,
        "help": help_,
    }
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    words = parser.parse_args()
    found: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
    for name in words.only:
        found[name] = parts[name]()
    if "drain_mqtt" in found and "paho" in found:
        bare = found["paho"]["messages_of_1"]["messages_a_second"]
        found["drain_mqtt"]["of_paho_qos_1"] = round(found["drain_mqtt"]["a_second"] / bare, 2)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
