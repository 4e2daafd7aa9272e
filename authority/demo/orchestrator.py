"""What the demo does, in order: the department's service, the plan, the gateways, the members' wishes, then the epochs.

Every part is the one that runs in service, in a process of its own; only the meters are emulated, and time is short.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import sys
import time
from dataclasses import replace
from pathlib import Path

from authority.api.campus import Campus
from authority.api.campus_source import StoreCampusSource
from authority.api.chain_figures import reader_of
from authority.app import App, system_clock
from authority.audit.chain_state import ChainMovingError
from authority.audit.conservation import TokenTotals, conservation
from authority.chain.client import ChainClient
from authority.collector import broker
from authority.demo import agave, campus, report, visitors
from authority.demo.children import Child, Children, NoProgressError, NotConservedError, tail
from authority.demo.keys import Keys
from authority.demo.playback import QUARTERS_A_DAY, Playback, in_words
from authority.demo.progress import Progress
from authority.demo.stage import Ports, Stage
from authority.enrolment import plan, requests
from authority.enrolment.registration import Registration
from authority.home.home import Home
from authority.home.settings import (
    CollectorSettings,
    EpochSettings,
    MqttSettings,
    NetworkSettings,
    ParameterSettings,
    Settings,
    SiteSettings,
    ValidatorSettings,
    WebSettings,
)
from authority.home.standing_page import release_page, stop_page
from authority.language.reading import spoken
from authority.market.credits import issue_credits
from authority.market.policies import set_standing_order
from authority.market.report import EpochReport, epoch_reports
from authority.market.standing_orders import StandingOrder
from authority.measures.indicators import GRID_CO2_G_PER_KWH, GRID_CO2_SOURCE

ACTOR = "demo"
READY_SECONDS = 120.0
STALL_EPOCHS = 5
"""Epochs without a newly settled one after which the demo gives up."""
SETUP_SECONDS = 6.0
"""What enrolling is expected to take; where it takes longer, the meters start again."""
EARLY_SECONDS = 5.0
"""How long before the first boundary the agents are started: before it the emulated meters are at rest."""
VALIDATOR, BROKER, SERVICE, EMULATOR, AGENT = range(5)  # the order of starting; they stop in the opposite one


def settings_for(
    ports: Ports,
    *,
    mqtt: bool,
    embedded: bool = True,
    epoch_seconds: int = campus.EPOCH_SECONDS,
    first_row: int | None = None,
) -> Settings:
    """The demo's configuration: the design's times in proportion to the epoch, none shorter than a machine needs."""
    scaled = ParameterSettings.for_epoch(epoch_seconds)
    row = campus.first_counted_row() if first_row is None else first_row
    return Settings(
        network=NetworkSettings(organisation="Engineering Department (demo)"),
        site=SiteSettings(grid_co2_g_per_kwh=GRID_CO2_G_PER_KWH, grid_co2_source=GRID_CO2_SOURCE),
        epoch=EpochSettings(epoch_seconds),
        collector=CollectorSettings(port=ports.collector),
        mqtt=MqttSettings("localhost" if mqtt else "", ports.mqtt),
        web=WebSettings(port=ports.web, processes=1, notice=campus.notice(row, epoch_seconds)),
        validator=ValidatorSettings(embedded, f"http://127.0.0.1:{ports.validator}", port=ports.validator),
        parameters=replace(
            scaled,
            grace_seconds=max(7, scaled.grace_seconds),
            clock_skew_seconds=max(5, scaled.clock_skew_seconds),
            min_order_wh=1,
            max_order_wh=100_000,
            cancel_cutoff_seconds=max(2, scaled.cancel_cutoff_seconds),
            min_reference_volume_wh=epoch_seconds,
            billing_period_epochs=QUARTERS_A_DAY,
        ),
    )


def command(module: str, *words: str | Path) -> list[str | Path]:
    """A command line of this project, run by this Python."""
    return [sys.executable, "-m", module, *words]


class Demo:
    """One run.

    epochs: how many quarters of an hour, settled, it ends after, None for no end; agave: the validator, None for ours;
    playback: which quarters, and how fast.
    """

    def __init__(
        self,
        stage: Stage,
        children: Children,
        progress: Progress,
        *,
        report: Path,
        epochs: int | None,
        agave: Path | None = None,
        playback: Playback | None = None,
    ) -> None:
        self.stage, self.children, self.progress = stage, children, progress
        self.report_path, self.epochs, self.agave = report, epochs, agave
        self.playback = playback or Playback(campus.first_counted_row(), campus.EPOCH_SECONDS)
        self.began = time.monotonic()
        self.transport = self.over = ""
        self.start_ms: dict[str, int] = {}
        self.app: App
        self.client: ChainClient
        self.meters = campus.meters()
        self.gateways = list(dict.fromkeys(meter.gateway for meter in self.meters))
        self.passwords = {meter.serial: secrets.token_hex(4) for meter in self.meters}
        self.emulators: list[Child] = []
        self.finished: list[EpochReport] = []
        self.shown: list[EpochReport] = []
        self.paused_from: int | None = None

    @property
    def first_epoch(self) -> int:
        """The first epoch that counts."""
        return self.playback.first_epoch

    @first_epoch.setter
    def first_epoch(self, epoch: int) -> None:
        self.playback.first_epoch = epoch

    def step(self, key: str, text: str) -> None:
        """Note that a step of the start is done, and when."""
        self.start_ms[key] = int((time.monotonic() - self.began) * 1000)
        self.progress.step(text)

    def run(self, *, https: bool, port: int) -> None:
        """Everything, until the epochs are settled. DemoError where anything fails."""
        self.report_path.unlink(missing_ok=True)
        mosquitto = None if https else broker.find_mosquitto()
        self.over = (
            f"MQTT 5 ({mosquitto})" if mosquitto else f"HTTPS ({'as asked' if https else 'no mosquitto was found'})"
        )
        self.transport = "mqtt" if mosquitto else "https"
        ports = Ports.free(port)
        if self.agave is not None:
            ports = replace(ports, validator=agave.AgavePorts.free().rpc)
        home = Home.create(self.stage.path, self.settings(ports, mqtt=mosquitto is not None), now=system_clock())
        self.app, self.client = App.open(self.stage.path), ChainClient(home.rpc_url)
        try:
            self.start_service(home, ports, mosquitto)
            self.start_campus()
            self.show_epochs(home)
        finally:
            self.app.store.close()

    def settings(self, ports: Ports, *, mqtt: bool) -> Settings:
        """What authority.toml says."""
        return settings_for(
            ports,
            mqtt=mqtt,
            embedded=self.agave is None,
            epoch_seconds=self.playback.seconds,
            first_row=self.playback.first_row,
        )

    # The department

    def authority(self, name: str, *words: str, rank: int = SERVICE) -> Child:
        """Start one of the authority's processes."""
        return self.children.start(name, command("authority.cli", *words, "--home", self.stage.path), rank=rank)

    def start_service(self, home: Home, ports: Ports, mosquitto: Path | None) -> None:
        """Validator, programs, broker, collector, settlement worker and page."""
        self.start_validator(home, ports)
        with self.app.store.write() as session:
            read = plan.parse(campus.PLAN.read_bytes())
            plan.apply(session, read, home, actor=ACTOR, now=self.app.clock(), random=os.urandom)
        self.authority("web", "web")
        if mosquitto:
            configuration = broker.write_configuration(
                home, self.stage.path / "mosquitto", ports.mqtt, now=self.app.clock()
            )
            self.children.start("mosquitto", [mosquitto, "-c", configuration], rank=BROKER)
            self.children.wait_until("Mosquitto", lambda: broker.answers(ports.mqtt), READY_SECONDS)
        self.authority("collector", "collector")
        if self.agave is None:
            self.children.wait_until("the validator", lambda: broker.answers(ports.validator), READY_SECONDS)
        else:
            self.children.wait_until("Agave", lambda: agave.makes_blocks(self.client), agave.READY_SECONDS, 0.5)
        self.step("validator", "the validator answers, with the five programs in its genesis")
        deploying = self.authority("deploy", "deploy")
        self.children.expect_end([deploying])
        self.children.wait_until("the page", lambda: broker.answers(ports.web), READY_SECONDS)
        self.step("page", f"the page is up: {self.page(ports)}")
        self.children.finish(deploying, READY_SECONDS)
        self.step("deploy", "governance, registry, tokens and market are initialized")
        self.children.wait_until("the collector", lambda: broker.answers(ports.collector), READY_SECONDS)
        self.step("collector", f"the collector listens; readings come over {self.over}")

    def start_validator(self, home: Home, ports: Ports) -> None:
        """The embedded validator, or Agave where it was asked for."""
        if self.agave is None:
            self.authority("validator", "validator", rank=VALIDATOR)
            return
        self.progress.say("Agave listens on every interface of this machine, not on the loopback alone.")
        command = agave.command(self.agave, home, agave.AgavePorts(ports.validator))
        self.children.start("validator", command, rank=VALIDATOR)

    def page(self, ports: Ports) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{ports.web}/"

    # The buildings

    def directory(self, gateway: str) -> Path:
        """A building's own files."""
        return self.stage.path / "buildings" / gateway

    def line(self, gateway: str) -> Path:
        """A building's serial line: a link to a pty."""
        return self.directory(gateway) / "line"

    def of(self, gateway: str) -> list[campus.DemoMeter]:
        """A building's meters."""
        return [meter for meter in self.meters if meter.gateway == gateway]

    def start_campus(self) -> None:
        """Emulated meters, gateways, their enrolment, the members' wishes, and the agents."""
        address = f"https://localhost:{self.app.home.settings.collector.port}"
        for gateway in self.gateways:
            self.directory(gateway).mkdir(parents=True, mode=0o700)
            text = campus.gateway_file(
                gateway,
                self.directory(gateway) / "state",
                address,
                self.line(gateway),
                self.of(gateway),
                self.passwords,
                epoch_seconds=self.playback.seconds,
            )
            _write_private(self.directory(gateway) / "gateway.toml", text)
        self.start_emulators(self.boundary_after(SETUP_SECONDS + EARLY_SECONDS))
        self.step("meters", f"{len(self.meters)} emulated meters answer on {len(self.gateways)} serial lines (ptys)")
        self.enrol()
        self.endow()
        self.authority("settlement", "settlement")
        if self.first_boundary < time.time() + EARLY_SECONDS:
            self.start_emulators(self.boundary_after(EARLY_SECONDS + 2))
        wait = self.first_boundary - EARLY_SECONDS - time.time()
        if wait > 1:
            self.progress.step(f"waiting {wait:.0f} s, for the epoch to begin")
        self.children.wait_until(
            "the epoch", lambda: time.time() >= self.first_boundary - EARLY_SECONDS, 2 * self.playback.seconds
        )
        for gateway in self.gateways:
            self.children.start(
                f"agent-{gateway}",
                command("edge_agent.cli", "run", "--config", self.directory(gateway) / "gateway.toml"),
                rank=AGENT,
            )
        self.step("agents", f"{len(self.gateways)} edge agents run; epoch {self.first_epoch} is the first that counts")

    @property
    def first_boundary(self) -> int:
        """When the first counted epoch begins: the boundary of the baseline, Unix seconds."""
        return self.first_epoch * self.playback.seconds

    def boundary_after(self, seconds: float) -> int:
        """The number of the first epoch that begins at least so many seconds from now."""
        return int((time.time() + seconds) // self.playback.seconds) + 1

    def start_emulators(self, first_epoch: int) -> None:
        """One emulator per building. Their first row is drawn in first_epoch; its beginning is the baseline."""
        for child in self.emulators:
            self.children.end(child)
        self.first_epoch, self.emulators = first_epoch, []
        for gateway in self.gateways:
            file = self.directory(gateway) / "meters.toml"
            text = campus.emulator_file(
                self.line(gateway),
                self.of(gateway),
                self.passwords,
                first_epoch,
                start_row=self.playback.first_row,
                epoch_seconds=self.playback.seconds,
                standstill=self.playback.standstill.file,
            )
            _write_private(file, text)
            name = f"meters-{gateway}"
            self.emulators.append(self.children.start(name, command("edge_agent.emulator.cli", file), rank=EMULATOR))
        self.children.wait_until("the meters", lambda: all(self.line(g).exists() for g in self.gateways), READY_SECONDS)

    def enrol(self) -> None:
        """Claim codes, `edge-agent enrol` at each gateway, the operator's approval, and the meters on the chain."""
        home, running = self.app.home, []
        for gateway in self.gateways:
            with self.app.store.write() as session:
                code = requests.claim(session, home, gateway, actor=ACTOR, now=self.app.clock(), random=os.urandom)
            words = ("enrol", "--config", self.directory(gateway) / "gateway.toml", "--claim", code, "--wait")
            running.append(self.children.start(f"enrol-{gateway}", command("edge_agent.cli", *words), rank=AGENT))
        approved: set[str] = set()

        def all_approved() -> bool:
            with self.app.store.read() as session:
                waiting = [e.id for e in requests.pending(session) if e.state == "pending"]
            for number in waiting:
                with self.app.store.write() as session:
                    enrolment = requests.find(session, number)
                    requests.approve(session, home, enrolment, actor=ACTOR, now=self.app.clock())
                    approved.add(enrolment.gateway_name)
            for child in running:
                if child.process.poll() not in (None, 0):
                    self.children.finish(child, 0)
            return len(approved) == len(self.gateways)

        self.children.expect_end(running)
        self.children.wait_until("the enrolments", all_approved, READY_SECONDS)
        for child in running:
            self.children.finish(child, READY_SECONDS)
        self.step(
            "enrolled", f"{len(self.gateways)} gateways are enrolled and approved, each meter with a key of its own"
        )
        Registration(self.app, self.client, actor=ACTOR, report=lambda _: self.children.check()).run()
        self.step("registered", "members and meters are on the chain, every key with its proof of possession")

    def endow(self) -> None:
        """Credits to trade with, and a standing order, for each member."""
        amounts = [(name, campus.CREDITS_EACH) for name in campus.STANDING_ORDERS]
        issue_credits(self.app.store, self.client, self.app.home.operator, amounts, actor=ACTOR, now=self.app.clock())
        for name, wish in campus.STANDING_ORDERS.items():
            with self.app.store.write() as session:
                order = StandingOrder(wish.sell_at, wish.buy_at, 0)
                set_standing_order(session, name, order, by=ACTOR, now=self.app.clock())
        self.step("market", "every member has credits and a standing order")

    # The epochs

    def show_epochs(self, home: Home) -> None:
        """The table, until the epochs asked for are settled. NoProgressError where nothing settles any more."""
        source = StoreCampusSource(self.app, reader_of(home))
        settings = home.settings
        self.progress.say()
        self.progress.headline(f"Campus now: http://127.0.0.1:{settings.web.port}/")
        self.progress.say("Look around as (each link signs you in):")
        links, password = visitors.links(self.app, actor=ACTOR)
        for role, link in links.items():
            self.progress.say(f"  {role:<10}{link}")
        login = visitors.login_of("authority")
        self.progress.say(f"Where a page wants you to sign in once more, as {login} and so on: {password}")
        self.progress.say(f"Logs: {self.stage.logs}")
        self.progress.say(in_words(settings.epoch.seconds))
        first = self.playback.quarter(self.first_epoch)
        if first is not None:
            self.progress.say(f"The meters live through {first[:10]} from {first[11:]} on.")
        self.progress.say()
        self.progress.power_of = self.playback.time_of_day
        self.progress.header()
        with Keys() as keys:
            try:
                self.show_until_the_end(source, keys)
            finally:
                release_page(self.stage.path)

    def show_until_the_end(self, source: StoreCampusSource, keys: Keys) -> None:
        """Table, report and pauses."""
        told, since = 0, time.monotonic()
        while True:
            self.children.check()
            if self.paused_from is not None:
                since = time.monotonic()
                self.progress.table(self.shown, lambda _: False, self.status_paused())
            else:
                self.shown = [row for row in self.newest() if self.playback.quarter(row.epoch) or row.traded_wh]
                self.progress.table(self.shown, self.finished_with, self.status(source.now(1), keys))
            if len(self.finished) > told and self.paused_from is None:
                energy = self.write_report()
                if energy is not None:
                    told, since = len(self.finished), time.monotonic()
                    if self.quarters_done == self.epochs:
                        self.end(energy)
                        return
            if time.monotonic() - since > STALL_EPOCHS * self.playback.seconds + 20:
                raise NoProgressError(f"no epoch was settled for a while; {self.worst_log()}")
            if keys.asked(0.5):
                self.pause_or_go_on()

    @property
    def quarters_done(self) -> int:
        """How many quarters of an hour are settled."""
        return self.playback.lived(row.epoch for row in self.finished)

    def pause_or_go_on(self) -> None:
        """What the pause key does."""
        now = time.time()
        if self.paused_from is None:
            self.paused_from = self.playback.pause(now)
            self.shown = [row for row in self.shown if row.epoch >= self.first_epoch + len(self.finished)]
            self.look_at_the_page()
            clock = time.strftime("%H:%M:%S", time.gmtime(now))
            notice = self.app.home.settings.web.notice
            stop_page(self.stage.path, spoken(f"Paused at {clock} UTC. This page stays as it was then. {notice}"))
            if not self.progress.interactive:
                self.progress.say("Paused; p goes on.")
            return
        began, self.paused_from = self.paused_from, None
        goes_on = self.playback.go_on(now)
        release_page(self.stage.path)
        if goes_on == began:
            self.progress.say("It goes on within the epoch, and no quarter of an hour had to wait.")
        else:
            self.progress.say(
                f"It goes on: epoch {goes_on} holds {self.playback.time_of_day(goes_on)}; nothing is measured in the "
                f"{goes_on - began} before it."
            )

    def look_at_the_page(self) -> None:
        """Have the page's view made now: what a page shows that stands is the last one that anybody looked at."""
        connection = http.client.HTTPConnection("127.0.0.1", self.app.home.settings.web.port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/api/v1/campus")
            connection.getresponse().read()

    def newest(self) -> list[EpochReport]:
        """The counted epochs that are not yet told as finished; those that are now join the finished ones."""
        seconds = self.app.home.settings.epoch.seconds
        first = self.first_epoch + len(self.finished)
        last = self.playback.last_of(self.epochs) if self.epochs else None
        now = self.last_ended  # the running epoch has nothing to tell yet
        with self.app.store.read() as session:
            rows = epoch_reports(session, seconds, first=first, last=now if last is None else min(last, now))
        for row in rows:
            if not self.finished_with(row):
                break
            self.finished.append(row)
        return rows

    @property
    def last_ended(self) -> int:
        """The epoch before the running one."""
        return self.app.clock() // self.app.home.settings.epoch.seconds - 1

    def finished_with(self, row: EpochReport) -> bool:
        """Whether an epoch's surplus is minted, its book paid out and its checkpoint on the chain.

        A submeter's reading, which settlement waits for in nothing, is waited for here, for an epoch.
        """
        complete = row.readings_on_chain == len(self.meters) or row.epoch < self.last_ended
        return row.state == "checkpointed" and complete

    def end(self, energy: TokenTotals) -> None:
        """Say how it went."""
        self.progress.say()
        self.progress.say(f"After an epoch's end, median: {report.median_stages(self.finished)}.")
        self.progress.good(
            f"Epochs settled: {self.quarters_done}. {energy.minted} Wh minted = {energy.held} held "
            f"+ {energy.escrow} in escrow + {energy.retired} retired. Report: {self.report_path.name}"
        )

    def status_paused(self) -> str:
        """The line under the table in a pause."""
        left = max(0, round((self.paused_from or 0) * self.playback.seconds - time.time()))
        meters = f"the meters stand still in {left} s" if left else "the meters stand still"
        return f"PAUSED: {meters}; p goes on"

    def status(self, view: Campus, keys: Keys) -> str:
        """The line under the table."""
        left = max(0, view.epoch.ends_at - int(time.time()))
        book = "no book yet" if view.epoch.asks is None else f"{view.epoch.asks} asks, {view.epoch.bids} bids"
        pauses = "; p pauses" if keys.listens else ""
        return f"epoch {view.epoch.number}: {left:2d} s left, {view.epoch.readings} readings, {book}{pauses}"

    def write_report(self) -> TokenTotals | None:
        """Bring demo-report.json up to date; None where the chain never stood still to be counted.

        NotConservedError where its sums do not meet.
        """
        try:
            sums = conservation(self.client)
        except ChainMovingError:
            return None
        with self.app.store.read() as session:  # a late meter's figures come after its epoch was finished
            last = self.first_epoch + len(self.finished) - 1
            self.finished = epoch_reports(
                session, self.app.home.settings.epoch.seconds, first=self.first_epoch, last=last
            )
        content = report.report(
            self.finished,
            sums,
            meters=len(self.meters),
            transport=self.transport,
            validator="embedded" if self.agave is None else "agave",
            start=self.start_ms,
        ) | report.played(self.finished, self.playback)
        report.write(self.report_path, content)
        if not sums.ok:
            raise NotConservedError(f"the chain's sums do not add up: {json.dumps(sums.as_json())}")
        return sums.energy

    def worst_log(self) -> str:
        """The log that tells most when nothing moves: the settlement worker's."""
        log = self.stage.logs / "settlement.log"
        return f"the end of {log}:\n{tail(log)}"


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
