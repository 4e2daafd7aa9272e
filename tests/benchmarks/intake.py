"""Readings taken in by the authority, beside what raw verification of their signatures allows in the same run; JSON.

    python tests/benchmarks/intake.py [--quick] [--meters 100] [--runs 3] [--frames 10000000] [--only NAME ...]

`sqlite`, `postgresql`: frames of 100 meters, 250 a call (a backlog), into a fresh store. `sqlite_10_million`: into a
store that holds ten million frames already, written as rows rather than lived through. `boundary`: one frame of each of
1,000 gateways, each a call of its own, in groups as the collector makes them of what comes at once. `https`, `mqtt`:
the same boundary at a real collector process, and a real Mosquitto, over TLS, from gateways that are connected;
`connecting_cpu_ms` is what a connection costs the authority.

`verifiers_1`, `_2`, `_4`: 200 gateways that are connected send 10 frames each, in one message, over MQTT into
PostgreSQL, to so many verifiers and a sequencer. `cpu_us` is the processor time of each kind of process for a reading,
all verifiers together; `sequencer_most` is how many readings a second the sequencer could order with a core of its own,
and `verifier_most` how many a core of verifiers could check. The clients' CPU is in none of what goes over the network.

`of_raw` is readings a CPU second (of all processes that serve, the broker's too), by the signatures that solders
verifies a CPU second in this run, in turn with the rest. `seconds` is by the clock, until the last receipt is there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import platform
import pwd
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from filled_store import add_frames, frontier_of, tiles_of  # noqa: E402
from free_ports import free_port  # noqa: E402
from gateways_at_once import Gateway as Client  # noqa: E402
from gateways_at_once import HttpsGateway, MqttGateway, context_of  # noqa: E402
from processes import cpu_seconds  # noqa: E402
from solders.keypair import Keypair  # noqa: E402
from solders.pubkey import Pubkey  # noqa: E402
from solders.signature import Signature  # noqa: E402
from sqlalchemy import create_engine, insert, text, update  # noqa: E402

from authority import heap  # noqa: E402
from authority.app import App  # noqa: E402
from authority.collector import broker  # noqa: E402
from authority.collector.frames import Sent  # noqa: E402
from authority.collector.ingest import Collector  # noqa: E402
from authority.home import certificates  # noqa: E402
from authority.home.home import Home  # noqa: E402
from authority.home.settings import (  # noqa: E402
    CollectorSettings,
    EpochSettings,
    MqttSettings,
    Settings,
    StoreSettings,
)
from authority.log import merkle  # noqa: E402
from authority.log.tiles import TILE_WIDTH  # noqa: E402
from authority.store.base import table_of  # noqa: E402
from authority.store.log import Checkpoint, LogState, LogTile  # noqa: E402
from authority.store.metering import Frame, Gateway, Meter, MeterKey  # noqa: E402
from authority.store.people import Installation, User  # noqa: E402
from edge_agent.wire.reading import (  # noqa: E402
    VERDICT_ACCEPTED,
    ZERO_HASH,
    Record,
    meter_id,
    previous_hash,
    split_frames,
    split_receipts,
)

NOW = 1_782_000_000
"""The authority's clock: Unix seconds on the boundary of an epoch."""
EPOCH = 900
BULK_INTERVALS = 25
PER_CALL = 250
CONNECT_AT_ONCE = 25
"""An address has at most 32 connections that have not shown a certificate yet."""
MESSAGE = 10
BACKLOG_GATEWAYS = 200
GROUP = 250
"""Calls of one frame that a boundary brings at once; the collector's own limit is higher."""


@dataclass
class SigningMeter:
    """A meter in the store with its key at hand."""

    pk: int
    gateway: str
    key: Keypair
    network_id: bytes
    interval_end: int
    sequence: int = 1
    previous: bytes = ZERO_HASH
    generation: int = 0

    def at(self, sequence: int, interval_end: int, generation: int) -> bytes:
        """A record that follows the last one."""
        return Record(
            sequence=sequence,
            network_id=self.network_id,
            interval_end=interval_end,
            generation=generation,
            consumption=0,
            charge=0,
            discharge=0,
            interval_seconds=EPOCH,
            source=1,
            clock_deviation=0,
            previous_hash=self.previous,
        ).to_bytes()

    def next(self) -> bytes:
        """Sign the next interval's record and move on."""
        record = self.at(self.sequence, self.interval_end, self.generation)
        self.sequence, self.interval_end, self.generation = (
            self.sequence + 1,
            self.interval_end + EPOCH,
            self.generation + 500,
        )
        self.previous = previous_hash(record)
        return record + bytes(self.key.pubkey()) + bytes(self.key.sign_message(record))


def authority(path: Path, url: str = "", *, clock: int = NOW, settings: Settings | None = None) -> App:
    """A fresh home and its store."""
    Home.create(path, settings or Settings(epoch=EpochSettings(EPOCH), store=StoreSettings(url)), now=NOW)
    return App.open(path, lambda: clock)


def add_meters(app: App, count: int, *, a_gateway: int, intervals: int, end: int = NOW) -> list[SigningMeter]:
    """Active meters of 10 kW, so many to a gateway, whose last interval ends at `end`."""
    made = []
    with app.store.write() as session:
        session.add(User(id=1, name="user", building="A", wallet=str(Keypair().pubkey())))
        session.add(Installation(n=1, building="A", kind="mixed", nameplate_w=10_000, storage_wh=20_000, since=0))
        session.flush()
        for n in range(count):
            key, gateway, serial = Keypair(), f"gw-{n // a_gateway}", f"meter-{n}"
            if n % a_gateway == 0:
                session.add(Gateway(name=gateway, state="enrolled"))
                session.flush()
            meter = Meter(
                name=f"m{n % a_gateway}", gateway_name=gateway, serial=serial,
                meter_id=meter_id(app.home.meter_salt, serial), role="generation", source="solar", user_id=1,
                installation_n=1, state="active", public_key=bytes(key.pubkey()),
            )  # fmt: skip
            session.add(meter)
            session.flush()
            session.add(
                MeterKey(
                    public_key=bytes(key.pubkey()), meter_pk=meter.id, first_sequence=1, next_sequence=1,
                    possession=bytes(64), approved_at=NOW,
                )
            )  # fmt: skip
            made.append(SigningMeter(meter.id, gateway, key, app.home.network_id, end - (intervals - 1) * EPOCH))
    return made


def fill(app: App, meters: Sequence[SigningMeter], frames: int) -> None:
    """Put a history of about so many frames into a SQLite store, by rows (filled_store); says on stderr how far it is.

    The last frame of each meter is a real one, which the next follows.
    """
    rounds = max(2, frames // len(meters))
    size = rounds * len(meters)
    for meter in meters:
        meter.interval_end -= rounds * EPOCH
    keys = [bytes(meter.key.pubkey()) for meter in meters]
    app.store.engine.dispose()
    began = time.perf_counter()

    def tell(rows: int, of: int) -> None:
        print(f"{rows:,} of {of:,} frames after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)

    lived = [(meter.pk, key, meter.interval_end) for meter, key in zip(meters, keys, strict=True)]
    add_frames(app.home.path / "authority.db", lived, rounds, EPOCH, tell)
    edges: dict[int, bytes] = {}
    with app.store.write() as session:
        for level, n, hashes in tiles_of(size):
            session.execute(insert(table_of(LogTile)), {"level": level, "n": n, "hashes": hashes})
            edges[level] = hashes if len(hashes) < TILE_WIDTH * merkle.HASH_SIZE else b""
        frontier = frontier_of([edges[level] for level in sorted(edges)])
        session.execute(update(LogState).values(size=size, frontier=b"".join(frontier)))
        session.execute(
            insert(table_of(Checkpoint)),
            [{"size": size, "root": merkle.frontier_root(frontier), "signature": bytes(64)}],
        )
        for number, (meter, key) in enumerate(zip(meters, keys, strict=True)):
            last, end = size - len(meters) + number, meter.interval_end + (rounds - 1) * EPOCH
            record = meter.at(rounds, end, rounds * 500)
            digest, frame = hashlib.sha256(record).digest(), record + key + bytes(meter.key.sign_message(record))
            session.execute(update(Frame).where(Frame.log_index == last).values(record_hash=digest, frame=frame))
            session.execute(
                update(MeterKey)
                .where(MeterKey.public_key == key)
                .values(
                    next_sequence=rounds + 1,
                    head_hash=digest,
                    head_log_index=last,
                    passed_log_index=last,
                    passed_record=record,
                )
            )
            meter.sequence, meter.generation, meter.previous = rounds + 1, rounds * 500, previous_hash(record)
            meter.interval_end = end + EPOCH
    assert len(frontier) == size.bit_count()


@dataclass
class Figures:
    """Readings by clock and by CPU, a run each."""

    seconds: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    per_cpu_second: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def run(self, readings: int, processes: Sequence[int] = (), *, own: bool = True) -> Iterator[None]:
        """Measure a block that takes so many readings; processes serve it, own: so does this one."""
        before = sum(map(cpu_seconds, processes))
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        cpu = (time.process_time() - cpu if own else 0.0) + sum(map(cpu_seconds, processes)) - before
        wall = time.perf_counter() - wall
        self.seconds.append(wall)
        self.per_second.append(readings / wall)
        self.per_cpu_second.append(readings / cpu)

    def shown(self, raw: float) -> dict[str, float]:
        """Medians, by raw verifications a CPU second."""
        per_cpu = statistics.median(self.per_cpu_second)
        return {
            "of_raw": round(per_cpu / raw, 3),
            "per_second": round(statistics.median(self.per_second), 1),
            "per_cpu_second": round(per_cpu, 1),
            "seconds": round(statistics.median(self.seconds), 3),
        }


class Shares:
    """What each of several processes spends while this is entered: CPU seconds by name."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = processes
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> None:
        self.seconds = {name: -cpu_seconds(pid) for name, pid in self._processes.items()}

    def __exit__(self, *_: object) -> None:
        for name, pid in self._processes.items():
            self.seconds[name] += cpu_seconds(pid)


def bytes_of(app: App) -> int:
    """What the database takes on the disk, its journal apart."""
    with app.store.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    return (app.home.path / "authority.db").stat().st_size


def raw_verification(frames: Sequence[bytes]) -> float:
    """Signatures that solders verifies a CPU second, one thread."""
    parsed = [
        (Signature(frame.signature), Pubkey(frame.public_key), frame.record_bytes)
        for data in frames
        for frame in split_frames(data)
    ]
    start = time.process_time()
    for signature, key, record in parsed:
        assert signature.verify(key, record)
    return len(parsed) / (time.process_time() - start)


def backlog(meters: Sequence[SigningMeter], intervals: int) -> list[Sent]:
    """The next intervals of all meters, PER_CALL frames of one gateway a call."""
    by_gateway: dict[str, list[SigningMeter]] = {}
    for meter in meters:
        by_gateway.setdefault(meter.gateway, []).append(meter)
    calls = []
    for gateway, its in by_gateway.items():
        frames = [meter.next() for _ in range(intervals) for meter in its]
        calls += [
            Sent(b"".join(frames[at : at + PER_CALL]), gateway, None, "mqtt") for at in range(0, len(frames), PER_CALL)
        ]
    return calls


def taken(collector: Collector, calls: Sequence[Sent], group: int) -> None:
    """Take calls in groups; every reading must be accepted."""
    for at in range(0, len(calls), group):
        for done in collector.ingest_all(calls[at : at + group]):
            assert not isinstance(done, Exception), done
            assert all(receipt[4] == VERDICT_ACCEPTED for receipt in done.receipts), split_receipts(done.receipts[0])


class Bench:
    """One run's places and raw figures."""

    def __init__(self, directory: Path, arguments: argparse.Namespace) -> None:
        self.directory, self.arguments = directory, arguments
        self.raw: list[float] = []
        self.found: dict[str, dict[str, Any]] = {}
        self._figures: dict[str, Figures] = {}

    def store(self, name: str, url: str = "", server: int | None = None, history: int = 0) -> None:
        """A backlog, and a boundary of as many gateways as meters, into one store."""
        arguments = self.arguments
        app = authority(self.directory / name, url)
        try:
            meters = add_meters(app, arguments.meters, a_gateway=10, intervals=(arguments.runs + 1) * BULK_INTERVALS)
            if history:
                start = time.perf_counter()
                fill(app, meters, history)
                print(f"{name}: filled in {time.perf_counter() - start:.0f} s", file=sys.stderr)
            collector = Collector(app)
            taken(collector, backlog(meters, 1), 1)
            heap.settle()  # as the collector's process does
            size = bytes_of(app)
            figures = Figures()
            for _ in range(arguments.runs):
                calls = backlog(meters, BULK_INTERVALS)
                self.raw.append(raw_verification([call.data for call in calls]))
                with figures.run(BULK_INTERVALS * len(meters), [server] if server else []):
                    taken(collector, calls, 1)
            self._figures[name] = figures
            readings = arguments.runs * BULK_INTERVALS * len(meters)
            self.found[name] = {"bytes_a_reading": round((bytes_of(app) - size) / readings)}
        finally:
            app.store.close()

    def boundary(self) -> None:
        """One frame of each of 1,000 gateways, each a call of its own."""
        arguments, figures = self.arguments, Figures()
        app = authority(self.directory / "boundary")
        try:
            meters = add_meters(app, arguments.gateways, a_gateway=1, intervals=arguments.runs + 1)
            collector = Collector(app)
            heap.settle()
            for run in range(arguments.runs + 1):
                calls = [Sent(meter.next(), meter.gateway, None, "mqtt") for meter in meters]
                if run == 0:
                    taken(collector, calls, GROUP)
                    continue
                self.raw.append(raw_verification([call.data for call in calls]))
                with figures.run(len(calls)):
                    taken(collector, calls, GROUP)
            self._figures["boundary"], self.found["boundary"] = figures, {}
        finally:
            app.store.close()

    def network(self, over: str) -> None:
        """One frame of each of 1,000 gateways at a real collector process."""
        arguments, figures, connecting, now = self.arguments, Figures(), Figures(), int(time.time())
        directory = self.directory / over
        settings = Settings(
            epoch=EpochSettings(EPOCH),
            collector=CollectorSettings(port=free_port()),
            mqtt=MqttSettings("localhost", free_port()) if over == "mqtt" else MqttSettings(),
        )
        app = authority(directory, clock=now, settings=settings)
        app.home.renew_certificates(now)
        end = now // EPOCH * EPOCH
        meters = add_meters(app, arguments.gateways, a_gateway=1, intervals=arguments.runs + 1, end=end)
        contexts = certified(app, [meter.gateway for meter in meters])
        with contextlib.ExitStack() as stack:
            stack.callback(app.store.close)
            served = [stack.enter_context(broker_at(app, directory / "broker"))] if over == "mqtt" else []
            served.append(stack.enter_context(collector_at(app, directory / "collector.log")))
            for run in range(arguments.runs + 1):
                sent = [Client(meter.gateway, contexts[meter.gateway], meter.next()) for meter in meters]
                if run:
                    self.raw.append(raw_verification([one.frames for one in sent]))
                asyncio.run(self._at_once(over, sent, settings, figures if run else Figures(), connecting, served))
        milliseconds = statistics.median(1000 / rate for rate in connecting.per_cpu_second)
        self._figures[over], self.found[over] = figures, {"connecting_cpu_ms": round(milliseconds, 2)}

    def verifiers(self, count: int) -> None:
        """A backlog over MQTT at a sequencer and so many verifiers, over PostgreSQL."""
        arguments, figures, now = self.arguments, Figures(), int(time.time())
        name = f"verifiers_{count}"
        with contextlib.ExitStack() as stack:
            url, server = stack.enter_context(postgresql())
            settings = Settings(
                epoch=EpochSettings(EPOCH),
                store=StoreSettings(url),
                collector=CollectorSettings(port=free_port(), verifiers=count),
                mqtt=MqttSettings("localhost", free_port()),
            )
            app = authority(self.directory / name, clock=now, settings=settings)
            stack.callback(app.store.close)
            app.home.renew_certificates(now)
            rounds = arguments.runs + 1
            end = now // EPOCH * EPOCH
            meters = add_meters(app, BACKLOG_GATEWAYS * MESSAGE, a_gateway=MESSAGE, intervals=rounds, end=end)
            by_gateway = [meters[at : at + MESSAGE] for at in range(0, len(meters), MESSAGE)]
            contexts = certified(app, [each[0].gateway for each in by_gateway])
            served = {"postgresql": server}
            served["broker"] = stack.enter_context(broker_at(app, self.directory / f"{name}-broker"))
            served["sequencer"] = stack.enter_context(collector_at(app, self.directory / f"{name}.log"))
            for n in range(1, count + 1):
                log = self.directory / f"{name}-{n}.log"
                served[f"verifier {n}"] = stack.enter_context(collector_at(app, log, verifier=n))
            spent: dict[str, list[float]] = {}
            for run in range(rounds):
                sent = [
                    Client(each[0].gateway, contexts[each[0].gateway], b"".join(meter.next() for meter in each))
                    for each in by_gateway
                ]
                if run:
                    self.raw.append(raw_verification([one.frames for one in sent]))
                each_spent = Shares(served)
                asyncio.run(
                    self._at_once(
                        "mqtt", sent, settings, figures if run else Figures(), Figures(), [*served.values()], each_spent
                    )
                )
                for process, used in each_spent.seconds.items() if run else ():
                    spent.setdefault(process.partition(" ")[0], []).append(used / len(meters) * 1e6)
        runs = arguments.runs
        micros = {process: sum(used) / runs for process, used in spent.items()}
        self._figures[name] = figures
        self.found[name] = {
            "cpu_us": {process: round(used, 1) for process, used in micros.items()},
            "sequencer_most": round(1e6 / micros["sequencer"]),
            "verifier_most": round(1e6 / micros["verifier"]),
        }

    @staticmethod
    async def _at_once(
        over: str,
        sent: Sequence[Client],
        settings: Settings,
        figures: Figures,
        connecting: Figures,
        served: Sequence[int],
        shares: Shares | None = None,
    ) -> None:
        kind, port = (HttpsGateway, settings.collector.port) if over == "https" else (MqttGateway, settings.mqtt.port)
        clients = [kind(one) for one in sent]
        with connecting.run(len(sent), served, own=False):
            for start in range(0, len(clients), CONNECT_AT_ONCE):
                await asyncio.gather(*(one.connect(port) for one in clients[start : start + CONNECT_AT_ONCE]))
        readings = sum(len(split_frames(one.frames)) for one in sent)
        with figures.run(readings, served, own=False), shares or contextlib.nullcontext():
            answers = await asyncio.gather(*(one.publish() for one in clients))
        for one in clients:
            one.close()
        assert all(answer[4] == VERDICT_ACCEPTED for answer in answers), answers[0]

    def shown(self) -> dict[str, Any]:
        """All figures."""
        raw = statistics.median(self.raw)
        return {
            "machine": {
                "cpus": os.cpu_count(),
                "python": platform.python_version(),
                "load_1m": round(os.getloadavg()[0], 2),
            },
            "raw_per_cpu_second": round(raw, 1),
            **{name: figures.shown(raw) | self.found[name] for name, figures in self._figures.items()},
        }


@contextlib.contextmanager
def postgresql() -> Iterator[tuple[str, int]]:
    """A private PostgreSQL with its usual durability: a database's URL and the server's process id."""
    found = shutil.which("initdb")
    programs = Path(found).parent if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(directory, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data = directory / "data"

    def program(name: str, *words: str) -> None:
        quiet = subprocess.DEVNULL
        subprocess.run(
            [programs / name, "-D", data, *words], check=True, cwd=directory, stdout=quiet, stderr=quiet, **user
        )

    program("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    program("pg_ctl", "-w", "-o", f"-c listen_addresses='' -c unix_socket_directories={directory}", "start")
    try:
        base = "postgresql+psycopg://postgres@/{name}?host=" + str(directory)
        engine = create_engine(base.format(name="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE DATABASE authority"))
        engine.dispose()
        yield base.format(name="authority"), int((data / "postmaster.pid").read_text().split()[0])
    finally:
        program("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(directory, ignore_errors=True)


def certified(app: App, gateways: Sequence[str]) -> dict[str, ssl.SSLContext]:
    """A client certificate for each gateway, known to the store."""
    contexts = {}
    with app.store.write() as session:
        for gateway in gateways:
            directory = app.home.path / "clients" / gateway
            directory.mkdir(parents=True)
            key = certificates.new_key()
            ca = (app.home.ca_key, app.home.ca_certificate)
            certificate = certificates.issue_client(*ca, key, gateway, int(time.time()))
            (directory / "gateway.key").write_bytes(certificates.key_to_pem(key))
            (directory / "gateway.pem").write_bytes(certificates.certificate_to_pem(certificate))
            session.get_one(Gateway, gateway).certificate_hash = certificates.certificate_hash(certificate)
            contexts[gateway] = context_of(app.home.key_path("ca.pem"), directory)
    return contexts


def listening(port: int) -> None:
    """Until something listens at a port of this machine."""
    end = time.monotonic() + 60
    while not broker.answers(port):
        assert time.monotonic() < end, f"nothing listens at {port}"
        time.sleep(0.05)


@contextlib.contextmanager
def broker_at(app: App, directory: Path) -> Iterator[int]:
    """A Mosquitto for the app; its process id."""
    program = broker.find_mosquitto()
    assert program is not None, "Mosquitto is not installed"
    port = app.home.settings.mqtt.port
    command = [str(program), "-c", str(broker.write_configuration(app.home, directory, port, now=int(time.time())))]
    with (directory / "broker.log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            listening(port)
            yield process.pid
        finally:
            process.terminate()


@contextlib.contextmanager
def collector_at(app: App, path: Path, *, verifier: int = 0) -> Iterator[int]:
    """A collector process for the app, or a verifier, connected to its broker where it has one; its process id."""
    words = ["verifier", str(verifier)] if verifier else ["collector"]
    command = [sys.executable, "-m", "authority.cli", *words, "--home", str(app.home.path)]
    root = Path(__file__).parents[2]
    with path.open("ab") as log, subprocess.Popen(command, cwd=root, stdout=log, stderr=log) as process:
        try:
            if verifier or not app.home.settings.collector.verifiers:
                listening(app.home.settings.collector.port)
            end = time.monotonic() + 60
            while app.home.settings.mqtt.host and "connected to the broker" not in path.read_text():
                assert time.monotonic() < end, path.read_text()
                time.sleep(0.05)
            time.sleep(1)  # its subscriptions are taken, its lease is held
            yield process.pid
        finally:
            process.terminate()


def _postgresql(bench: Bench) -> None:
    with postgresql() as (url, server):
        bench.store("postgresql", url, server)


WORKS: dict[str, Callable[[Bench], None]] = {
    "sqlite": lambda bench: bench.store("sqlite"),
    "sqlite_10_million": lambda bench: bench.store("sqlite_10_million", history=bench.arguments.frames),
    "postgresql": _postgresql,
    "boundary": Bench.boundary,
    "https": lambda bench: bench.network("https"),
    "mqtt": lambda bench: bench.network("mqtt"),
    "verifiers_1": lambda bench: bench.verifiers(1),
    "verifiers_2": lambda bench: bench.verifiers(2),
    "verifiers_4": lambda bench: bench.verifiers(4),
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meters", type=int, default=100)
    parser.add_argument("--gateways", type=int, default=1_000, help="of the boundary")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--frames", type=int, default=10_000_000, help="in the store of sqlite_10_million")
    parser.add_argument("--quick", action="store_true", help="200,000 frames there, one run of each")
    parser.add_argument("--only", nargs="+", choices=sorted(WORKS), default=list(WORKS), help="which to measure")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.frames, arguments.runs = min(arguments.frames, 200_000), 1
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), arguments)
        for work in arguments.only:
            WORKS[work](bench)
        json.dump(bench.shown(), sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
