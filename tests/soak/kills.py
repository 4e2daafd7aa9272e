"""A campus in service whose database, broker and validator are killed at random: what is lost, doubled, or not told.

    unshare --net python tests/support/with_loopback.py python tests/soak/kills.py --agave FILE [--kills 100] [--seed 1]
    python tests/soak/kills.py [--kills 100] [--seed 1]                      # the embedded validator in Agave's place

PostgreSQL, Mosquitto, Agave under `authority watchdog`, and one `authority serve`, each started again when it ends, as
systemd does; four gateways read emulated meters over DLMS, members trade. kill -9 meets one of the three at random; one
kill in twenty keeps its victim down for three epochs. Meanwhile an operator looks again and again: whatever waits for
longer than two epochs must be told by `authority status` or at the gateway. Then all comes to rest and is judged.

The last line on stdout is JSON (`Verdict`); exit status 0 where nothing is lost, doubled, or waited for in silence.
Agave wants a network namespace, because it listens on every interface.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from archived_postgres import ArchivedPostgres  # noqa: E402
from sqlalchemy import func, select  # noqa: E402

from authority.app import App  # noqa: E402
from authority.audit.conservation import conservation  # noqa: E402
from authority.chain import accounts, programs  # noqa: E402
from authority.chain.client import ChainClient  # noqa: E402
from authority.demo import agave, campus, orchestrator  # noqa: E402
from authority.demo.children import Child, Children  # noqa: E402
from authority.demo.orchestrator import SERVICE, VALIDATOR, Demo, command  # noqa: E402
from authority.demo.playback import Playback  # noqa: E402
from authority.demo.progress import Progress  # noqa: E402
from authority.demo.stage import Ports, Stage  # noqa: E402
from authority.home.home import Home  # noqa: E402
from authority.home.settings import Settings, StoreSettings  # noqa: E402
from authority.service.watchdog import confirmed_slot  # noqa: E402
from authority.store.metering import Frame, Meter  # noqa: E402
from authority.store.settlement import SettledSpan, SettlementEpoch  # noqa: E402
from edge_agent.emulator.config import EmulatorConfig  # noqa: E402
from edge_agent.emulator.line import EmulatedLine  # noqa: E402
from edge_agent.state.status import find_problems, read_status  # noqa: E402
from edge_agent.wire.reading import Record  # noqa: E402
from edge_agent.wire.standstill import Standstill  # noqa: E402

POSTGRES, MOSQUITTO, VALIDATOR_UNIT = "postgres", "mosquitto", "validator"
KEPT_DOWN = 20
"""One kill in so many."""
DOWN_EPOCHS = 3
TOLD_EPOCHS = 2
"""How long something may wait before somebody is told."""
GAP_SECONDS = (1.0, 12.0)
AGAIN_SECONDS = 2.0
"""How long a unit that ended stays so: systemd's RestartSec, shortened."""
START_SECONDS = 900.0
REST_SECONDS = 1_800
CHAIN_CODES = {"validator_unreachable", "chain_stands", "validator_stands", "watchdog_silent"}


def say(text: str) -> None:
    """A line for who watches."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


@dataclass
class Verdict:
    """Counts: kills by victim, looks of the operator, waits that were told and such as were not (`silent`), the longest
    wait before it was told (epochs), readings, lost and doubled ones, Wh minted; wrong: each fault in words."""

    kills: dict[str, int] = field(default_factory=dict)
    kept_down: int = 0
    started_again: dict[str, int] = field(default_factory=dict)
    remedies: dict[str, int] = field(default_factory=dict)
    epochs: int = 0
    looks: int = 0
    told: dict[str, int] = field(default_factory=dict)
    silent: int = 0
    readings: int = 0
    lost: int = 0
    doubled: int = 0
    minted_wh: int = 0
    audit: str = ""
    seconds: int = 0
    wrong: list[str] = field(default_factory=list)


class Kept(Children):
    """Children that are started again when they end, as systemd does; none is while it is kept down."""

    def __init__(self, logs: Path) -> None:
        super().__init__(logs)
        self.commands: dict[str, tuple[Sequence[str | Path], int]] = {}
        self.by_name: dict[str, Child] = {}
        self.down_until: dict[str, float] = {}
        self.again: Counter[str] = Counter()

    def start(self, name: str, command: Sequence[str | Path], *, rank: int = 0) -> Child:
        self.commands[name] = command, rank
        child = self.by_name[name] = super().start(name, command, rank=rank)
        return child

    def keep(self) -> None:
        """Start again what has ended for long enough."""
        now = time.monotonic()
        for name, child in list(self.by_name.items()):
            if child.may_end or child not in self._running or child.process.poll() is None:
                continue  # it has done its work, or it runs
            if now < self.down_until.setdefault(name, now + AGAIN_SECONDS):
                continue
            del self.down_until[name]
            child.kill()
            self._running.remove(child)
            self.again[name] += 1
            self.start(name, *self.commands[name][:1], rank=self.commands[name][1])

    def kill(self, name: str, seconds: float) -> None:
        """kill -9; it stays down for so long."""
        self.down_until[name] = time.monotonic() + seconds
        self.by_name[name].kill()


class KilledCampus(Demo):
    """The demo's campus as it stands in service: one `authority serve`, PostgreSQL, and Agave under the watchdog."""

    children: Kept

    def __init__(self, postgres: ArchivedPostgres, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.postgres = postgres
        self.postgres_until = 0.0
        self.kept: Path | None = None
        """Where to leave log and chain that an audit does not take."""
        self.serving: Child | None = None
        self.watcher: ChainClient

    def settings(self, ports: Ports, *, mqtt: bool) -> Settings:
        return replace(super().settings(ports, mqtt=mqtt), store=StoreSettings(self.postgres.url))

    def start_validator(self, home: Home, ports: Ports) -> None:
        self.watcher = ChainClient(home.rpc_url, attempts=1, timeout=3)
        if self.agave is None:
            super().authority(VALIDATOR_UNIT, "validator", rank=VALIDATOR)
            return
        inner = agave.command(self.agave, home, agave.AgavePorts(ports.validator))
        words = ["watchdog", "--home", self.stage.path, "--ledger", self.ledger, "--", *inner]
        self.children.start(VALIDATOR_UNIT, command("authority.cli", *words), rank=VALIDATOR)

    def authority(self, name: str, *words: str, rank: int = SERVICE) -> Child:
        """`serve` runs them all."""
        if name not in ("web", "collector", "settlement"):
            return super().authority(name, *words, rank=rank)
        if self.serving is None:
            self.serving = super().authority("serve", "serve", "--without", "validator")
        return self.serving

    @property
    def ledger(self) -> Path:
        return self.stage.path / "agave"

    def show_epochs(self, home: Home) -> None:
        """The caller goes on from here."""

    # What is killed

    def is_up(self, name: str) -> bool:
        if name == POSTGRES:
            return self.postmaster() is not None
        if name == MOSQUITTO:
            return self.children.by_name[MOSQUITTO].process.poll() is None
        return self.validator() is not None

    def postmaster(self) -> int | None:
        """The database server's process, while it runs."""
        try:
            pid = int((self.postgres.data / "postmaster.pid").read_text().split()[0])
            return pid if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes() else None
        except (OSError, ValueError, IndexError):
            return None

    def validator(self) -> int | None:
        """The validator's own process: Agave's is under the watchdog's."""
        if self.agave is None:
            process = self.children.by_name[VALIDATOR_UNIT].process
            return process.pid if process.poll() is None else None
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                words = (directory / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0] == str(self.agave).encode() and str(self.ledger).encode() in words:
                return int(directory.name)
        return None

    def kill(self, name: str, seconds: float) -> None:
        """kill -9 to one of the three, which then stays down for so many seconds."""
        if name == MOSQUITTO or (name == VALIDATOR_UNIT and self.agave is None):
            self.children.kill(name, seconds)
        elif name == POSTGRES:
            self.postgres_until = time.monotonic() + seconds
            if (pid := self.postmaster()) is not None:
                os.kill(pid, signal.SIGKILL)
        elif seconds > AGAIN_SECONDS:
            self.children.kill(VALIDATOR_UNIT, seconds)
        elif (pid := self.validator()) is not None:
            os.kill(pid, signal.SIGKILL)

    def keep(self) -> None:
        """What systemd does meanwhile."""
        self.children.keep()
        if self.postmaster() is None and time.monotonic() >= self.postgres_until:
            try:
                self.postgres.start()
            except subprocess.CalledProcessError:  # its killed processes are not gone yet
                self.postgres_until = time.monotonic() + AGAIN_SECONDS
            else:
                self.children.again[POSTGRES] += 1

    # What is true

    def waiting_since(self) -> dict[str, float | None]:
        """By gateway, when its oldest frame without a receipt was signed."""
        return {name: _oldest_waiting(self.directory(name) / "state" / "journal.db") for name in self.gateways}

    def registers(self, name: str, meter: campus.DemoMeter, boundary: int) -> dict[str, int]:
        """What an emulated meter shows at a boundary, by what its file says; signed registers are Wh."""
        config = EmulatorConfig.read(self.directory(name) / "meters.toml")
        line = EmulatedLine.build(config, lambda: float(boundary))
        of = {each.serial: each for each in config.meters}
        found = {}
        for register, code in campus.obis_codes(meter).items():
            index = [item.obis for item in of[meter.serial].registers].index(code)
            emulated = line.meters[config.meters.index(of[meter.serial])]
            found[register] = emulated.registers[index].raw(boundary)
        return found


def _oldest_waiting(journal: Path) -> float | None:
    with closing(sqlite3.connect(journal, timeout=30)) as connection:
        row = connection.execute("SELECT min(signed_at) FROM frame WHERE state IN ('waiting', 'parked')").fetchone()
    return None if row is None else row[0]


class Operator(threading.Thread):
    """Looks at `authority status` and at each gateway's status again and again, and compares with what is true."""

    def __init__(self, site: KilledCampus, verdict: Verdict) -> None:
        super().__init__(name="operator", daemon=True)
        self.site, self.verdict = site, verdict
        self.stopping = threading.Event()
        self.told: Counter[str] = Counter()
        self.slot = (0, time.monotonic())
        self.late = TOLD_EPOCHS * site.playback.seconds

    def run(self) -> None:
        while not self.stopping.wait(self.site.playback.seconds / 8):
            try:
                self.look()
            except Exception as error:  # told at the end
                self.verdict.wrong.append(f"the operator's look failed: {error!r}")
            self.verdict.looks += 1

    def look(self) -> None:
        """One look: every wait of more than two epochs is told, or counted as silent."""
        site, now = self.site, time.time()
        before = {name: at for name, at in site.waiting_since().items() if at is not None and now - at > self.late}
        chain = self.chain_stands()
        database = site.postmaster() is None
        done = subprocess.run(
            [sys.executable, "-m", "authority.cli", "status", "--json", "--home", str(site.stage.path)],
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        if done.returncode == 1:
            self.told["store"] += 1
            lines = done.stderr.strip().splitlines()
            if len(lines) != 1 or "[" not in lines[0]:
                self.wrong(f"status says, when it cannot tell: {done.stderr[-500:]}")
            codes = None
        else:
            codes = {each["code"] for each in json.loads(done.stdout)["problems"]}
            if database and site.postmaster() is None:
                self.wrong(f"the database is down, and status ends with {done.returncode}: {sorted(codes)}")
        for name, since in before.items():
            if site.waiting_since()[name] != since:
                continue  # it has its receipt meanwhile
            state = site.directory(name) / "state"
            self.expect("not_receipted", "not_receipted" in {p.code for p in find_problems(read_status(state), now)})
        if codes is None:
            return
        if chain and self.chain_stands():
            self.expect("chain", bool(codes & CHAIN_CODES), codes)
        behind = self.epochs_behind(now)
        if behind and self.epochs_behind(now):
            self.expect("epochs_behind", bool(codes & {"epochs_behind", "alert", *CHAIN_CODES}), codes)

    def expect(self, what: str, told: bool, codes: object = "") -> None:
        if told:
            self.told[what] += 1
        else:
            self.verdict.silent += 1
            self.wrong(f"a wait of more than {TOLD_EPOCHS} epochs is not told: {what} {codes}")

    def wrong(self, text: str) -> None:
        self.verdict.wrong.append(f"{time.strftime('%H:%M:%S')} {text}")
        say(text)

    def chain_stands(self) -> bool:
        """Whether the confirmed slot has not risen for two epochs."""
        slot, now = confirmed_slot(self.site.watcher) or 0, time.monotonic()
        if slot > self.slot[0]:
            self.slot = slot, now
        return now - self.slot[1] > self.late

    def epochs_behind(self, now: float) -> bool:
        """Whether an epoch that ended more than two epochs and the grace ago is not checkpointed."""
        if self.site.postmaster() is None:
            return False
        seconds, grace = self.site.playback.seconds, self.site.app.home.settings.parameters.grace_seconds
        due = int((now - grace) // seconds) - 1 - TOLD_EPOCHS
        try:
            with self.site.app.store.read() as session:
                rows = select(func.count()).where(SettlementEpoch.epoch <= due, SettlementEpoch.state != "checkpointed")
                return bool(session.scalar(rows))
        except Exception:  # the database was killed meanwhile
            return False


def break_things(site: KilledCampus, kills: int, minutes: float, chance: random.Random, verdict: Verdict) -> None:
    """Kill one of the three after the other, for so many minutes at most."""
    killed: Counter[str] = Counter()
    over = time.monotonic() + 60 * minutes
    while sum(killed.values()) < kills and time.monotonic() < over:
        end = time.monotonic() + chance.uniform(*GAP_SECONDS)
        victim, keep_down = chance.choice((POSTGRES, MOSQUITTO, VALIDATOR_UNIT)), chance.randrange(KEPT_DOWN) == 0
        while time.monotonic() < end or not site.is_up(victim):
            site.keep()
            time.sleep(0.3)
        site.kill(victim, DOWN_EPOCHS * site.playback.seconds if keep_down else AGAIN_SECONDS)
        killed[victim] += 1
        verdict.kept_down += keep_down
        verdict.kills = dict(killed)
        say(f"kill {sum(killed.values())}: {victim}{', kept down' if keep_down else ''}; slot {_slot(site)}")


def _slot(site: KilledCampus) -> int | None:
    return confirmed_slot(site.watcher)


def kept_until(site: KilledCampus, condition: Callable[[], bool], seconds: float) -> bool:
    """Keep everything running until it is true; whether it became so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        site.keep()
        try:
            if condition():
                return True
        except Exception as error:  # something is not back yet
            say(f"not yet: {error!r}"[:200])
        time.sleep(1)
    return False


def rest(site: KilledCampus, verdict: Verdict) -> int:
    """Let everything come to rest; the last boundary that is to be in log and chain."""
    seconds = site.playback.seconds
    until = (int(time.time()) // seconds + 2) * seconds
    say(f"the kills are over; waiting for the boundary {until} and what comes of it")

    def all_read() -> bool:
        with site.app.store.read() as session:
            rows = session.execute(select(Meter.id, func.max(Frame.interval_end)).join(Frame).group_by(Meter.id)).all()
        return len(rows) == len(site.meters) and all(end >= until for _, end in rows)

    def settled() -> bool:
        with site.app.store.read() as session:
            states = session.execute(select(SettlementEpoch.epoch, SettlementEpoch.state)).all()
            waiting = session.scalar(select(func.count()).where(Frame.interval_end <= until, Frame.chain_status.in_(
                ("pending", "submitted")
            )))  # fmt: skip
        past = {epoch: state for epoch, state in states if epoch < until // seconds}
        return not waiting and bool(past) and set(past.values()) == {"checkpointed"}

    if not kept_until(site, all_read, REST_SECONDS):
        verdict.wrong.append("the readings of the last boundary are not all there")
    recovered = run(site, "recover", "run", "--reason", "kills")
    say(f"recover run: {recovered.returncode} {recovered.stdout.strip()[-400:]} {recovered.stderr.strip()[-400:]}")
    if not kept_until(site, settled, REST_SECONDS):
        verdict.wrong.append("the epochs are not all checkpointed")
    return until


def run(site: KilledCampus, *words: str) -> subprocess.CompletedProcess[str]:
    """One of the operator's commands."""
    return subprocess.run(
        [sys.executable, "-m", "authority.cli", *words, "--home", str(site.stage.path)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def judge(site: KilledCampus, until: int, verdict: Verdict) -> None:
    """Every meter's readings beside what its emulator shows, and the chain beside both."""
    seconds = site.playback.seconds
    verdict.epochs = until // seconds - site.first_epoch
    for meter in site.meters:
        with site.app.store.read() as session:
            rows = session.execute(
                select(Frame.sequence, Frame.interval_end, Frame.frame, Frame.disposition)
                .join(Meter, Meter.id == Frame.meter_pk)
                .where(Meter.name == meter.name, Meter.gateway_name == meter.gateway)
                .order_by(Frame.sequence)
            ).all()
        name = f"{meter.gateway}/{meter.name}"
        ends = Counter(row[1] for row in rows)
        verdict.readings += len(rows)
        twice = sum(count - 1 for count in ends.values())
        missing = [at for at in range(site.first_boundary, until + 1, seconds) if at not in ends]
        gaps = sum(after[0] != one[0] + 1 for one, after in pairwise(rows))
        verdict.doubled += twice
        verdict.lost += len(missing) + gaps
        if twice or missing or gaps:
            verdict.wrong.append(
                f"{name}: {len(missing)} boundaries missing, {twice} doubled, {gaps} sequences left out"
            )
        for sequence, end, frame, disposition in rows:
            record = Record.from_bytes(frame[:96])
            shown = site.registers(meter.gateway, meter, end)
            if disposition != "accepted" or any(getattr(record, key) != wh for key, wh in shown.items()):
                verdict.lost += 1
                verdict.wrong.append(f"{name}: record {sequence} is {disposition}, {record.registers}, meter {shown}")
    if any(at is not None for at in site.waiting_since().values()):
        verdict.wrong.append(f"frames wait at the gateways: {site.waiting_since()}")
    sums = conservation(site.client)
    oracle = site.client.account(accounts.Oracle, programs.oracle_authority())
    with site.app.store.read() as session:
        spans = session.scalars(select(func.sum(SettledSpan.minted_wh))).one() or 0
    assert oracle is not None
    verdict.minted_wh = oracle.minted
    if not sums.ok or oracle.minted != spans:
        verdict.wrong.append(f"minted {oracle.minted}, spans {spans}: {json.dumps(sums.as_json())}")
    audit = run(site, "audit", "verify")
    verdict.audit = (audit.stdout.strip().splitlines() or [""])[-1]
    if audit.returncode:
        verdict.wrong.append(f"audit: {audit.stdout[-2000:]}{audit.stderr[-1000:]}")
        if site.kept is not None:
            run(site, "audit", "export", "--bundle", str(site.kept / "bundle"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill database, broker and validator of a campus in service.")
    parser.add_argument("--agave", type=Path, help="Agave's solana-test-validator (default: the embedded validator)")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=600.0, help="no kill after so many, however few there were")
    parser.add_argument("--seed", type=int, default=1, help="gives the victims and when")
    parser.add_argument("--epoch-seconds", type=int, default=60)
    parser.add_argument(
        "--keep", type=Path, help="leave everything in this new directory, and a bundle if the audit fails"
    )
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))
    verdict, began = Verdict(), time.monotonic()
    agave.READY_SECONDS = orchestrator.READY_SECONDS = START_SECONDS
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        sys.exit("PostgreSQL's server programs are not installed")
    postgres = ArchivedPostgres(found[-1].parent)
    try:
        with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
            directory = words.keep or Path(temporary)
            with Stage.take(directory / "home") as stage, Kept(stage.logs) as children:
                playback = Playback(
                    campus.first_counted_row(), words.epoch_seconds, Standstill(directory / "standstill")
                )
                site = KilledCampus(
                    postgres, stage, children, Progress(sys.stderr, False), report=directory / "report.json",
                    epochs=None, agave=None if words.agave is None else agave.checked(words.agave), playback=playback,
                )  # fmt: skip
                site.kept = words.keep
                site.run(https=False, port=0)
                soak(site, words.kills, words.minutes, random.Random(words.seed), verdict)  # noqa: S311
    finally:
        postgres.close()
        verdict.seconds = round(time.monotonic() - began)
        print(json.dumps(asdict(verdict)), flush=True)
    return 0 if not (verdict.wrong or verdict.silent) else 1


def soak(site: KilledCampus, kills: int, minutes: float, chance: random.Random, verdict: Verdict) -> None:
    """Kill, let it rest, judge."""
    site.app = App.open(site.stage.path)
    operator = Operator(site, verdict)
    operator.start()
    try:
        if not kept_until(site, lambda: time.time() > site.first_boundary + 2 * site.playback.seconds, 600):
            raise RuntimeError("the first epochs do not come")
        break_things(site, kills, minutes, chance, verdict)
        until = rest(site, verdict)
    finally:
        operator.stopping.set()
        operator.join()
        verdict.told, verdict.started_again = dict(operator.told), dict(site.children.again)
        note = site.stage.path / "validator-watch.json"
        if note.exists():
            verdict.remedies = dict(Counter(each["how"] for each in json.loads(note.read_text())["remedies"]))
    for name in set(site.children.again) - {POSTGRES, MOSQUITTO, VALIDATOR_UNIT, "serve"}:
        verdict.wrong.append(f"{name} ended by itself {site.children.again[name]} times")
    judge(site, until, verdict)
    site.app.store.close()


if __name__ == "__main__":
    sys.exit(main())
