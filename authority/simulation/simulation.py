"""One simulation: a campus lives through its days, interval after interval, and settles as it would in service.

At each boundary every meter signs what it counted, the intake takes it, and the settlement worker does all that there
is to do: readings to the chain, mints, orders, clearing, retirement, checkpoint. Nothing is faked but time, weather and
habits. The virtual clock moves from one boundary to the next.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from authority.collector.frames import Sent
from authority.collector.ingest import check
from authority.collector.transaction import Ingestion
from authority.governance import acts
from authority.home.clock import stop_clock
from authority.market.prices import prices_of
from authority.measures import public_days
from authority.refusals import RefusalError
from authority.settlement import day_sums
from authority.settlement.worker import Worker
from authority.simulation import campus_home, events
from authority.simulation.asking import Asking, Questions
from authority.simulation.buildings import Campus, Household, make, registers
from authority.simulation.campus_home import CampusHome
from authority.simulation.clock import VirtualClock
from authority.simulation.errors import (
    OutBusyError,
    OutForeignError,
    OutOtherError,
    ReadingRefusedError,
    SizeInvalidError,
)
from authority.simulation.scenario import Scenario
from authority.simulation.seeds import Seed
from authority.simulation.weather import DAY_SECONDS, Sky
from authority.store.metering import Frame
from edge_agent.wire.files import write_atomically
from edge_agent.wire.reading import CODES, FRAME_SIZE, MAX_FRAMES, VERDICT_ACCEPTED, Receipt

STATE_NAME = "simulation.json"
FORMAT = "campus-simulation-1"
READ_AFTER_SECONDS = 1
"""After a boundary, when its readings are there."""
SUMMED_AT_SECONDS = 3_600
"""After midnight (UTC, the simulation's own zone), when the day before is summed."""
STAGED_BEFORE_EPOCHS = acts.NEAREST_EPOCHS + 1
SET_UP, DONE, FETCHED = "set up", "done", "fetched"
"""fetched: the results of a run that was made elsewhere are there, and no home (authority.simulation.cluster)."""
MAX_ROUNDS = 200


@dataclass(frozen=True)
class Request:
    """What is simulated. start is the first midnight, Unix seconds; the same request makes the same log and chain."""

    days: int
    buildings: int
    members: int
    seed: int
    start: int
    scenario: Scenario

    @classmethod
    def of(cls, days: int, buildings: int, members: int | None, seed: int, start: int, scenario: Scenario) -> Request:
        """As somebody asks for it: members None for what the scenario says, and its patterns put in for members.

        SizeInvalidError, ScenarioInvalidError.
        """
        flats = scenario.mix.flats
        if members is None:
            members = buildings + (flats or 0)
        if members < buildings:
            raise SizeInvalidError(
                f"{buildings} buildings have a member each, and {members} members are less: leave --members out, or "
                f"give {buildings} or more"
            )
        if flats is not None and members != buildings + flats:
            raise SizeInvalidError(
                f"the scenario says {flats} flats, which makes {buildings + flats} members and not {members}: leave "
                "--members out, or [flats] number in the scenario"
            )
        names = [member.name for member in make(buildings, members, Seed(seed), mix=scenario.mix).members]
        return cls(days, buildings, members, seed, start, scenario.among(names))

    @property
    def intervals(self) -> int:
        """How many intervals the days have."""
        return self.days * DAY_SECONDS // self.scenario.epoch_seconds

    @property
    def end(self) -> int:
        """The last boundary, Unix seconds."""
        return self.start + self.days * DAY_SECONDS

    def campus(self) -> Campus:
        """Who and what there is. ScenarioInvalidError, ProfileInvalidError where the scenario does not fit to it."""
        made = make(self.buildings, self.members, Seed(self.seed), self.scenario.profiles, self.scenario.mix)
        self.scenario.check(made)
        for member in made.members:
            profile = self.scenario.profiles.get(member.name)
            if profile is not None:
                profile.require(self.start, self.end)
                if member.solar_w:
                    profile.require_sun(self.scenario.site, self.start, self.end)
        return made

    def as_json(self) -> dict[str, object]:
        """As it stands in the report, and in simulation.json."""
        scenario = self.scenario
        return {
            "format": FORMAT,
            "days": self.days,
            "buildings": self.buildings,
            "members": self.members,
            "seed": self.seed,
            "start": self.start,
            "epoch_seconds": scenario.epoch_seconds,
            "latitude": scenario.site.latitude,
            "longitude": scenario.site.longitude,
            "parameters": asdict(scenario.parameters),
            "scenario": scenario.sha256,
        }


@dataclass
class Spent:
    """Processor seconds of this process, by what they were spent on."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Count what the block takes."""
        before = time.process_time()
        try:
            yield
        finally:
            self.seconds[what] = self.seconds.get(what, 0.0) + time.process_time() - before


class Out:
    """The directory that a simulation leaves: taken by one process at a time, and never anything but a simulation's."""

    def __init__(self, path: Path, request: Request, *, keep: Container[str] = (SET_UP, DONE)) -> None:
        """Take it, or make it; what an earlier run left is kept in these stages. OutForeignError, OutOtherError,
        OutBusyError.
        """
        self.path = path.resolve()
        self._keep = keep
        self.results: object = None
        self._state = self.path / STATE_NAME
        self._request = request
        if self.path.exists() and not self._state.exists() and (not path.is_dir() or any(self.path.iterdir())):
            raise OutForeignError(f"{self.path} is not a simulation's directory: name a new one with --out")
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.path / "simulation.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise OutBusyError(f"another simulation runs into {self.path}: wait, or name another --out") from error
            self.stage = self._begin()
        except BaseException:
            os.close(self._lock)
            raise

    def _begin(self) -> str:
        """Which stage an earlier run of the same simulation reached; what did not get beyond its set-up is cleared."""
        if self._state.exists():
            try:
                kept = json.loads(self._state.read_text(encoding="utf-8"))
                stage, request = str(kept["stage"]), kept["request"]
                self.results = kept.get("results")
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise OutForeignError(f"{self._state} cannot be read ({error}): name a new --out") from error
            if request != self._request.as_json():
                raise OutOtherError(
                    f"{self.path} holds another simulation: name a new --out, or repeat its options to go on with it"
                )
            if stage in self._keep:
                return stage
        for entry in self.path.iterdir():
            if entry.name not in (STATE_NAME, "simulation.lock"):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.reach("")
        return ""

    def reach(self, stage: str, results: object = None) -> None:
        """Note how far the simulation is, and, where its results alone are there, what they were asked for with."""
        self.stage = stage
        state: dict[str, object] = {"stage": stage, "request": self._request.as_json()}
        if results is not None:
            state["results"] = results
        text = json.dumps(state, indent=2, sort_keys=True)
        write_atomically(self._state, f"{text}\n".encode())

    def __enter__(self) -> Out:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)


class Simulation:
    """A request's run into a directory. progress is told of intervals done, of how many."""

    def __init__(self, request: Request, out: Out, progress: Callable[[int, int], None]) -> None:
        self.request, self.out = request, out
        self.spent = Spent()
        self._progress = progress
        self._seed = Seed(request.seed)
        self._clock = VirtualClock(float(request.start - request.scenario.epoch_seconds + READ_AFTER_SECONDS))
        self._campus = request.campus()

    def run(self) -> None:
        """Live through all days, from where an earlier run was interrupted; the home's clock stands at the end."""
        for question in self.questions():
            raise AssertionError(f"nobody answers for {question.view.member}")

    def questions(self) -> Questions:
        """The same, where agents from outside trade: it yields what each is asked, and its orders are sent in."""
        with self.spent.on("set_up"):
            home = self._open()
        try:
            if self.out.stage != DONE:
                yield from self._days(home)
                stop_clock(self.out.path, self._clock.seconds())
                self.out.reach(DONE)
        finally:
            home.close()

    def _open(self) -> CampusHome:
        path, request = self.out.path, self.request
        if self.out.stage:
            return campus_home.open_home(path, self._campus, self._seed, self._clock)
        home = campus_home.create(path, request.scenario, self._campus, self._seed, self._clock)
        self.out.reach(SET_UP)
        return home

    def _days(self, home: CampusHome) -> Questions:
        request, seconds = self.request, self.request.scenario.epoch_seconds
        sky = Sky(request.scenario.site, self._seed, seconds)
        own = request.scenario.profiles
        households = {each.name: Household(each, self._seed, seconds) for each in self._campus.members}
        with home.app.store.read() as session:
            read_until = session.scalar(select(func.max(Frame.interval_end))) or 0
        worker = home.worker()
        asking = Asking(self.out.path, request.scenario.strategies.values(), self._seed, seconds)
        sun_time = int(request.scenario.site.longitude * 240)
        for interval in range(request.intervals + 1):
            boundary = request.start + interval * seconds
            if interval:
                with self.spent.on("profiles"):
                    start = boundary - seconds
                    weather = sky.next(start)
                    flows = {
                        name: each.next(start + sun_time, weather, own[name].at(start) if name in own else (None, None))
                        for name, each in households.items()
                    }
                    steps: dict[str, Sequence[int]] = {
                        meter.full_name: registers(meter, flows[meter.member]) for meter in self._campus.meters
                    }
                self._exchange(home, start, steps, known=boundary <= read_until)
                for name, step in steps.items():
                    home.meters[name].move(step)
            for simulated in home.meters.values():
                simulated.read(boundary)
            if boundary >= read_until:
                yield from self._boundary(home, worker, boundary, asking)
                self._leave(home, worker, boundary)
                if interval == request.intervals or self._sums_due(boundary):
                    with self.spent.on("sums"):
                        sum_days(home)
                self._progress(interval, request.intervals)

    def _sums_due(self, boundary: int) -> bool:
        """Once a day, at the first boundary when the last epoch of the day before is over with."""
        seconds = self.request.scenario.epoch_seconds
        return (boundary - max(SUMMED_AT_SECONDS, 2 * seconds)) % DAY_SECONDS < seconds

    def _exchange(self, home: CampusHome, start: int, steps: dict[str, Sequence[int]], *, known: bool) -> None:
        """Exchange meters in the middle of the interval that starts then: the old ones count the first half of it.

        known: an earlier run did it already, and only the devices are to be had again.
        """
        request, seconds = self.request, self.request.scenario.epoch_seconds
        for exchange in request.scenario.events.exchanges:
            if start <= request.start + exchange.at < start + seconds and not home.meters[exchange.meter].retired:
                half = tuple(step // 2 for step in steps[exchange.meter])
                home.meters[exchange.meter].move(half)
                steps[exchange.meter] = tuple(
                    step - first for step, first in zip(steps[exchange.meter], half, strict=True)
                )
                self._clock.go_to(start + seconds // 2)
                with self.spent.on("events"):
                    events.exchange(home, exchange, known=known)

    def _leave(self, home: CampusHome, worker: Worker, boundary: int) -> None:
        """Whoever leaves goes on leaving, as far as that goes by now."""
        for leaving in self.request.scenario.events.leavings:
            if self.request.start + leaving.at <= boundary:
                with self.spent.on("events"):
                    events.leave(home, leaving.member, lambda: settle(worker))

    def _boundary(self, home: CampusHome, worker: Worker, boundary: int, asking: Asking) -> Questions:
        """What gateways send comes in when it does, and each time the worker does what can be done.

        Strategies are asked once, after what came in at the boundary is settled.
        Where somebody is silent, it goes on when the grace is over, as a worker in service does by itself.
        """
        scenario = self.request.scenario
        since = boundary - self.request.start
        silent = {silence.gateway: silence.by for silence in scenario.events.silences if silence.holds(since)}
        self._change(home, boundary)
        self._answer(home, boundary)
        gateways: dict[int, list[str]] = {READ_AFTER_SECONDS: []}
        for gateway in dict.fromkeys(meter.gateway for meter in self._campus.meters):
            by = silent.get(gateway, READ_AFTER_SECONDS)
            if by is not None:
                gateways.setdefault(by, []).append(gateway)
        if silent:
            gateways.setdefault(scenario.parameters.grace_seconds + READ_AFTER_SECONDS, [])
        for after, senders in sorted(gateways.items()):
            self._clock.go_to(boundary + after)
            with self._together(home):
                self._send(home, senders)
                with self.spent.on("settlement"):
                    settle(worker)
            if asking and after == READ_AFTER_SECONDS:
                with self.spent.on("strategies"):
                    yield from asking.ask(home.app, home.chain.client, worker.observe().chain)
                with self._together(home), self.spent.on("settlement"):
                    settle(worker)

    @contextmanager
    def _together(self, home: CampusHome) -> Iterator[None]:
        """As the home's, and what it takes to commit is counted by itself."""
        with ExitStack() as open_:
            open_.enter_context(home.together())
            yield
            with self.spent.on("commit"):
                open_.close()

    def _send(self, home: CampusHome, gateways: Sequence[str]) -> None:
        """Gateways sign and send all that their meters kept, and the intake takes it, in one commit."""
        with self.spent.on("signing"):
            frames = dict.fromkeys(gateways, b"")
            for meter in self._campus.meters:
                if meter.gateway in frames:
                    frames[meter.gateway] += home.meters[meter.full_name].sign()
        most = MAX_FRAMES * FRAME_SIZE
        sent = [
            Sent(data[at : at + most], gateway, None, "https")
            for gateway, data in frames.items()
            for at in range(0, len(data), most)
        ]
        if sent:
            with self.spent.on("intake"):
                take(home, sent)

    def _change(self, home: CampusHome, boundary: int) -> None:
        """Stage parameters a little before they hold."""
        seconds = self.request.scenario.epoch_seconds
        for change in self.request.scenario.events.changes:
            from_epoch = (self.request.start + change.at) // seconds
            if boundary // seconds == from_epoch - STAGED_BEFORE_EPOCHS:
                self._clock.go_to(boundary + READ_AFTER_SECONDS)
                governance = acts.read(home.chain.client)
                if governance.staged_from != from_epoch:  # else it was staged before an interruption
                    wanted = acts.check_staging(governance, dict(change.parameters), from_epoch)
                    acts.stage(home.app, home.chain.client, wanted, from_epoch, actor=campus_home.ACTOR)

    def _answer(self, home: CampusHome, boundary: int) -> None:
        """Where other parameters hold from this boundary on, members move their limits with the prices."""
        scenario, start, seconds = self.request.scenario, self.request.start, self.request.scenario.epoch_seconds
        if any((start + change.at) // seconds == boundary // seconds for change in scenario.events.changes):
            self._clock.go_to(boundary + READ_AFTER_SECONDS)
            prices = prices_of(scenario.parameters_at(boundary - start))
            leaving = {each.member for each in scenario.events.leavings if start + each.at <= boundary}
            with self.spent.on("events"):
                campus_home.set_orders(home, prices, scenario.strategies, leaving)


def take(home: CampusHome, sent: list[Sent]) -> None:
    """Have the intake take what gateways sent, as it takes it from its transports. ReadingRefusedError."""
    with home.app.store.write() as session:
        answers = Ingestion(home.app, session, [check(one) for one in sent]).run()
        for one, answer in zip(sent, answers, strict=True):
            if isinstance(answer, RefusalError):
                raise ReadingRefusedError(f"{one.gateway}: {answer}")
            for data in answer.receipts:
                receipt = Receipt.from_bytes(data)
                if receipt.verdict != VERDICT_ACCEPTED:
                    code = CODES.get(receipt.code, str(receipt.code))
                    raise ReadingRefusedError(f"{one.gateway}: record {receipt.sequence} is not accepted: {code}")


def sum_days(home: CampusHome) -> None:
    """Sum the days that are over, as the settlement process does: pages of months and years read the sums."""
    app = home.app
    settings = app.home.settings
    day_sums.keep(app.store, ZoneInfo(settings.site.zone), settings.epoch.seconds, app.clock())
    public_days.keep(app)


def settle(worker: Worker) -> None:
    """Rounds until there is nothing to do."""
    for _ in range(MAX_ROUNDS):
        if not worker.round():
            return
