"""A database that is locked, full or lost: nothing is receipted that is not kept, and everything gets in afterwards."""

from __future__ import annotations

import http.client
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archived_postgres import ArchivedPostgres
from free_ports import free_port
from sqlalchemy import event

from authority.app import App
from authority.collector.ingest import Collector
from authority.home.settings import CollectorSettings
from authority.log import log
from authority.log.log import ReadingLeaf
from authority.refusals import RefusalError
from authority.service.serve_command import ORDER
from authority.store import engine
from edge_agent.wire.reading import VERDICT_ACCEPTED, Receipt, split_receipts

AddMeter = Callable[..., Any]
ROOT = Path(__file__).parents[3]
OUTAGES = 3
AT_EACH_TIME = 5
"""Receipts that every gateway gets before the server goes again."""


@pytest.fixture
def store_url(request: pytest.FixtureRequest) -> str:
    """A PostgreSQL cluster where the test has one of its own, else SQLite."""
    return request.getfixturevalue("cluster").url if "cluster" in request.fixturenames else ""


def send(collector: Collector, frame: bytes, gateway: str = "gw-1") -> Receipt:
    (receipt,) = collector.ingest(frame, gateway=gateway, meter=None, over="https").receipts
    return Receipt.from_bytes(receipt)


def told(collector: Collector, frame: bytes) -> str:
    with pytest.raises(RefusalError) as caught:
        send(collector, frame)
    return caught.value.code


def logged(app: App) -> list[bytes]:
    """The frames in the log, in its order."""
    with app.store.read() as session:
        return [ReadingLeaf.from_bytes(log.leaf(session, n)).frame.to_bytes() for n in range(log.size(session))]


class Senders:
    """Gateways that send a reading each, again and again where the answer says so, until they are told to end."""

    def __init__(self, collector: Collector, meters: list[Any]) -> None:
        self._collector = collector
        self._over = threading.Event()
        self.kept: dict[str, list[tuple[bytes, Receipt]]] = {meter.gateway: [] for meter in meters}
        self.refused: list[str] = []
        self._threads = [threading.Thread(target=self._send, args=(meter,)) for meter in meters]
        for thread in self._threads:
            thread.start()

    def _send(self, meter: Any) -> None:
        while not self._over.is_set():
            frame = meter.next()
            while True:
                try:
                    receipt = send(self._collector, frame, meter.gateway)
                except RefusalError as error:
                    self.refused.append(error.code)
                    time.sleep(0.05)
                    continue
                break
            self.kept[meter.gateway].append((frame, receipt))
            time.sleep(0.01)

    def wait_for_receipts(self) -> None:
        before = {gateway: len(receipts) for gateway, receipts in self.kept.items()}
        while any(len(receipts) < before[gateway] + AT_EACH_TIME for gateway, receipts in self.kept.items()):
            assert all(thread.is_alive() for thread in self._threads)
            time.sleep(0.01)

    def wait_for_a_refusal(self) -> None:
        before = len(self.refused)
        while len(self.refused) == before:
            time.sleep(0.01)

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.timeout(600)
def test_a_server_that_goes_and_comes_back_loses_and_doubles_nothing(
    app: App, cluster: ArchivedPostgres, add_meter: AddMeter
) -> None:
    senders = Senders(Collector(app), [add_meter("pv", gateway=f"gw-{n}") for n in range(4)])
    try:
        for _ in range(OUTAGES):
            senders.wait_for_receipts()
            cluster.stop()
            senders.wait_for_a_refusal()
            cluster.start()
        senders.wait_for_receipts()
    finally:
        senders.end()
    assert set(senders.refused) == {"unavailable"}
    kept = [pair for each in senders.kept.values() for pair in each]
    assert {receipt.verdict for _, receipt in kept} == {VERDICT_ACCEPTED}
    in_order = sorted(kept, key=lambda pair: pair[1].log_index)
    assert [receipt.log_index for _, receipt in in_order] == list(range(len(kept)))
    assert [frame for frame, _ in in_order] == logged(app)
    for frames in senders.kept.values():
        assert frames == sorted(frames, key=lambda pair: pair[1].sequence)


@contextmanager
def locked(app: App) -> Iterator[None]:
    """Another process writes into the SQLite store and does not end."""
    other = sqlite3.connect(app.home.path / "authority.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


def test_a_store_that_another_writes_to_for_long_is_told_and_for_short_is_waited_for(
    app: App, add_meter: AddMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = add_meter()
    frame = meter.next()
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.2)
    hasty = App.open(app.home.path, app.clock)
    try:
        with locked(app):
            assert told(Collector(hasty), frame) == "unavailable"
        assert logged(app) == []
    finally:
        hasty.store.close()
    answers: list[Receipt] = []
    waiting = threading.Thread(target=lambda: answers.append(send(Collector(app), frame)))
    with locked(app):
        waiting.start()
        time.sleep(0.2)
        assert answers == []
    waiting.join()
    assert (answers[0].verdict, answers[0].log_index) == (VERDICT_ACCEPTED, 0)


def test_a_store_that_is_full_receipts_nothing_until_there_is_room(app: App, add_meter: AddMeter) -> None:
    meter, collector = add_meter(), Collector(app)
    room = {"pages": 0}

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {room['pages'] or 2**31}")

    def reopen(pages: int) -> None:
        room["pages"] = pages
        app.store.engine.dispose()

    event.listen(app.store.engine, "connect", limit)
    with app.store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    reopen(pages + 8)
    receipts: list[Receipt] = []
    frames: list[bytes] = []

    def send_for_ever() -> None:
        while True:
            frames.append(meter.next())
            receipts.append(send(collector, frames[-1]))

    with pytest.raises(RefusalError) as caught:
        send_for_ever()
    assert caught.value.code == "unavailable"
    assert len(receipts) > 0
    assert told(collector, frames[-1]) == "unavailable"
    assert logged(app) == frames[:-1]
    reopen(0)
    receipts.append(send(collector, frames[-1]))
    assert [receipt.log_index for receipt in receipts] == list(range(len(frames)))
    assert logged(app) == frames


@pytest.fixture
def serve(app: App) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts `authority serve` with the collector alone."""
    app.home.save(replace(app.home.settings, collector=CollectorSettings(port=free_port(), threads=2)))
    app.home.renew_certificates(int(time.time()))
    without = [word for name in ORDER if name != "collector" for word in ("--without", name)]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "authority.cli", "serve", "--home", str(app.home.path), *without]
        with (app.home.path / "serve.log").open("ab") as log_file:
            started.append(subprocess.Popen(command, cwd=ROOT, stdout=log_file, stderr=log_file))
        return started[0]

    yield start
    for process in started:
        process.terminate()
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_database_that_is_lost_for_longer_than_a_lease_is_waited_for(
    app: App, cluster: ArchivedPostgres, add_meter: AddMeter, certify: Callable[[str], Path], link: Any, serve: Any
) -> None:
    """The collector gives its lease up, ends, and is started again until the database is there."""
    meter = add_meter()
    directory = certify("gw-1")
    running = serve()

    def posted(frame: bytes) -> list[Receipt]:
        """The answer's receipts; none where there is no answer, or one that says to send again."""
        gateway = link(directory)
        try:
            status, body = gateway.call("POST", "/api/v1/gateways/gw-1/readings", frame)
        except (OSError, http.client.HTTPException):
            return []
        finally:
            gateway.close()
        assert status in (200, 503), body
        return split_receipts(body) if status == 200 else []

    def until_taken(frame: bytes) -> Receipt:
        while not (receipts := posted(frame)):
            assert running.poll() is None
            time.sleep(0.2)
        return receipts[0]

    frames = [meter.next(), meter.next()]
    receipts = [until_taken(frames[0])]
    cluster.stop()
    assert posted(frames[1]) == []
    while "a process ended" not in (app.home.path / "serve.log").read_text():
        assert posted(frames[1]) == []
        time.sleep(1)
    time.sleep(30)
    assert posted(frames[1]) == []
    cluster.start()
    receipts.append(until_taken(frames[1]))
    assert [receipt.log_index for receipt in receipts] == [0, 1]
    assert logged(app) == frames
