"""Several verifiers and one sequencer over PostgreSQL and a real broker; any of them killed at any time.

CAMPUS_INTAKE_KILLS: how many kills (5); CAMPUS_INTAKE_SEED: which (7).
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from mqtt_gateway import GatewayClient
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import func, select

from authority.app import App
from authority.cli import main
from authority.collector import channel
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.collector.mqtt import SEQUENCER, WHOLE, BrokerConnection, Part, end_sessions, verifier_part
from authority.home.settings import CollectorSettings
from authority.service import serve_command
from authority.store.metering import Frame as LoggedFrame
from edge_agent.wire.reading import VERDICT_ACCEPTED, Frame, Receipt, split_receipts

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("CAMPUS_INTAKE_KILLS", "5"))
SEED = int(os.environ.get("CAMPUS_INTAKE_SEED", "7"))
on_postgresql = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)


class Deployment:
    """The sequencer (number 0) and its verifiers, each a process group of its own."""

    def __init__(self, app: App, verifiers: int) -> None:
        self.app, self.verifiers = app, verifiers
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def log(self, number: int) -> Path:
        return self.app.home.path / f"process-{number}.log"

    def start(self, number: int) -> None:
        words = ["verifier", str(number)] if number else ["collector"]
        with self.log(number).open("ab") as log:
            self._running[number] = subprocess.Popen(
                [sys.executable, "-m", "authority.cli", *words, "--home", str(self.app.home.path)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, number: int) -> None:
        """SIGKILL to all of one: no chance to tidy up."""
        process = self._running.pop(number)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for number in sorted(self._running, reverse=True):
            process = self._running.pop(number)
            process.terminate()
            ended = process.wait(60)
            assert ended in (0, -signal.SIGTERM), self.log(number).read_text()[-4_000:]  # the last may be starting yet

    def kill_all(self) -> None:
        for number in list(self._running):
            self.kill(number)

    def await_connected(self) -> None:
        """Until every verifier has its line to the sequencer, and its share at the broker."""
        end = time.monotonic() + 60
        for number in range(1, self.verifiers + 1):
            while self.log(0).read_text().count(f"a verifier is connected verifier={number}") == 0:
                assert time.monotonic() < end, self.log(0).read_text()[-4_000:] + self.log(number).read_text()[-4_000:]
                time.sleep(0.05)
        while not serve_command.programs(self.app.home, [])[2].answers():
            assert time.monotonic() < end, self.log(1).read_text()[-4_000:]


@pytest.fixture
def deployment(app: App) -> Iterator[Deployment]:
    """A sequencer and two verifiers, not started yet."""
    settings = replace(app.home.settings, collector=CollectorSettings(port=free_port(), threads=4, verifiers=2))
    app.home.save(settings)
    app.home.renew_certificates(int(time.time()))
    made = Deployment(app, 2)
    yield made
    made.kill_all()


@dataclass
class Sender:
    """A gateway that sends a meter's readings one after another, each until it has its receipt."""

    meter: Any
    frames: list[bytes] = field(default_factory=list)
    receipts: dict[int, set[bytes]] = field(default_factory=dict)

    def next(self) -> bytes:
        self.frames.append(self.meter.next())
        return self.frames[-1]

    def take(self, receipt: Receipt) -> bool:
        """Keep a receipt; whether it is the one of the frame that was sent last."""
        if receipt.log_index == 2**64 - 1:
            return False
        self.receipts.setdefault(receipt.sequence, set()).add(receipt.to_bytes())
        return receipt.sequence == len(self.frames)


def over_https(app: App, sender: Sender, link: Callable[[Path | None], Any], directory: Path) -> bool:
    """Send the next reading until it is receipted."""
    frame, path = sender.next(), f"/api/v1/gateways/{sender.meter.gateway}/readings"
    end = time.monotonic() + 120
    while time.monotonic() < end:
        line = link(directory)
        try:
            status, body = line.call("POST", path, frame)
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
            continue
        finally:
            line.close()
        if status == 200 and sender.take(split_receipts(body)[0]):
            return True
        assert status in (200, 503), body
        time.sleep(0.1)
    return False


def over_mqtt(sender: Sender, client: GatewayClient) -> bool:
    """The same; a receipt that does not come within seconds is asked for again by sending again."""
    frame = sender.next()
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            client.publish(f"{sender.meter.gateway}/readings", frame)
        except RuntimeError:  # paho: not connected; it connects again by itself
            time.sleep(0.2)
            continue
        try:
            while True:
                if sender.take(client.receipts.get(timeout=3)):
                    return True
        except queue.Empty:
            continue
    return False


@on_postgresql
@pytest.mark.mosquitto
@pytest.mark.slow
def test_whoever_is_killed_every_reading_is_receipted_and_logged_once(
    app: App,
    deployment: Deployment,
    mosquitto: Any,
    add_meter: Callable[..., Any],
    enrol: Callable[[Any], Path],
    link: Callable[[Path | None], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = random.Random(SEED)  # noqa: S311
    senders = [Sender(add_meter("pv", gateway)) for gateway in ("gw-1", "gw-2", "gw-3", "gw-4")]
    directories = {sender.meter.gateway: enrol(sender.meter) for sender in senders}
    for number in range(3):
        deployment.start(number)
        if number == 0:
            while not channel.answers(app.home.path):
                time.sleep(0.05)
    deployment.await_connected()
    progress: queue.SimpleQueue[str] = queue.SimpleQueue()
    finished = threading.Event()
    unanswered: list[str] = []

    def run(sender: Sender, send: Callable[[], bool]) -> None:
        while not finished.is_set():
            if not send():
                unanswered.append(sender.meter.gateway)
                return
            progress.put(sender.meter.gateway)

    with ExitStack() as stack:
        threads = []
        for sender in senders[:2]:
            directory = directories[sender.meter.gateway]
            threads.append(
                threading.Thread(target=run, args=(sender, lambda s=sender, d=directory: over_https(app, s, link, d)))
            )
        for sender in senders[2:]:
            client = GatewayClient(app, sender.meter.gateway, directories[sender.meter.gateway], mosquitto.port)
            stack.callback(client.close)
            threads.append(threading.Thread(target=run, args=(sender, lambda s=sender, c=client: over_mqtt(s, c))))
        for thread in threads:
            thread.start()
        try:
            for _ in range(KILLS):
                for _ in range(chosen.randrange(4, 24)):
                    progress.get(timeout=120)
                victim = chosen.randrange(3)
                deployment.kill(victim)
                deployment.start(victim)
            for _ in range(12):
                progress.get(timeout=120)
        finally:
            finished.set()
            for thread in threads:
                thread.join(180)
    deployment.stop()
    told = [f"process {number}:\n{deployment.log(number).read_text()[-6_000:]}" for number in range(3)]
    assert unanswered == [], "\n".join(told)
    key = bytes(app.home.receipt_key.pubkey())
    with app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(LoggedFrame)) == sum(len(s.frames) for s in senders)
        for sender in senders:
            rows = session.scalars(
                select(LoggedFrame).where(LoggedFrame.meter_pk == sender.meter.pk).order_by(LoggedFrame.sequence)
            ).all()
            assert [row.frame for row in rows] == sender.frames
            assert sorted(sender.receipts) == list(range(1, len(sender.frames) + 1))
            for row in rows:
                (whole,) = sender.receipts[row.sequence]  # sent again, the same receipt
                receipt, frame = Receipt.from_bytes(whole), Frame.from_bytes(row.frame)
                assert (receipt.verdict, receipt.log_index) == (VERDICT_ACCEPTED, row.log_index)
                assert is_signed(receipt, frame, key)
    capsys.readouterr()
    assert main(["audit", "verify", "--log-only", "--json", "--home", str(app.home.path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["problems"]) == (True, [])


def is_signed(receipt: Receipt, frame: Frame, key: bytes) -> bool:
    return Signature(receipt.signature).verify(Pubkey(key), receipt.signed_message(frame))


@on_postgresql
def test_serve_runs_the_sequencer_and_after_it_each_verifier(app: App, deployment: Deployment) -> None:
    def names(*without: str) -> list[str]:
        return [program.name for program in serve_command.programs(app.home, list(without))]

    rest = ["settlement", "certificates", "web"]
    assert names() == ["validator", "collector", "verifier-1", "verifier-2", *rest]
    assert names("verifiers", "validator") == ["collector", *rest]
    app.home.save(replace(app.home.settings, collector=CollectorSettings()))
    assert names() == ["validator", "collector", *rest]


@on_postgresql
def test_a_verifier_that_authority_toml_does_not_have_does_not_start(
    app: App, deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in ("0", "3"):
        assert main(["verifier", number, "--home", str(app.home.path)]) == 1
        assert "[verifier_unknown]" in capsys.readouterr().err


@on_postgresql
@pytest.mark.mosquitto
def test_the_broker_gives_nothing_to_whom_an_earlier_configuration_had(
    app: App,
    deployment: Deployment,
    mosquitto: Any,
    add_meter: Callable[..., Any],
    certify: Callable[[str], Path],
) -> None:
    """From one process to two verifiers to one: a session that stays would be given its share for days."""
    meter, collector = add_meter(), Collector(app)
    client = GatewayClient(app, "gw-1", certify("gw-1"), mosquitto.port)

    def connected(part: Part) -> BrokerConnection:
        connection = BrokerConnection(app, collector, Live(app), part)
        connection.start()
        assert connection.subscribed.wait(60)
        return connection

    def receipted(count: int) -> None:
        for _ in range(count):
            client.publish("gw-1/readings", meter.next())
            assert client.take()[0].verdict == VERDICT_ACCEPTED

    connected(WHOLE).stop()
    sequencer, verifiers = connected(SEQUENCER), [connected(verifier_part(n)) for n in (1, 2)]
    receipted(6)
    verifiers[1].stop()
    app.home.save(replace(app.home.settings, collector=replace(app.home.settings.collector, verifiers=1)))
    end_sessions(app.home)
    assert sorted(path.name for path in app.home.key_path("").glob("verifier-*.pem")) == ["verifier-1.pem"]
    receipted(6)
    with pytest.raises(queue.Empty):
        client.receipts.get(timeout=0.5)  # each message came to one of them, so it has one answer
    verifiers[0].stop()
    sequencer.stop()
    client.close()
