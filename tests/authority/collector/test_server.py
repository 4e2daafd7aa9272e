"""The real collector process: TLS, client certificates, and what a kill -9 in the middle of ingest leaves."""

from __future__ import annotations

import http.client
import json
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authority.app import App
from authority.home import certificates
from authority.log import log, merkle
from authority.store.metering import Gateway
from edge_agent.wire.reading import Receipt, split_receipts

AddMeter = Callable[..., Any]
Link = Callable[[Path | None], Any]


def test_only_the_certified_gateway_is_taken(
    app: App, add_meter: AddMeter, certify: Callable[[str], Path], collector_process: Any, link: Link, tmp_path: Path
) -> None:
    meter = add_meter()
    directory = certify("gw-1")
    collector_process.start()
    gateway = link(directory)
    frame = meter.next()
    status, body = gateway.call("POST", "/api/v1/gateways/gw-1/readings", frame)
    assert status == 200
    assert Receipt.from_bytes(body).verdict == 1
    assert (
        gateway.call("POST", "/api/v1/gateways/gw-1/live", b'{"meters": {"pv": {"power_w": 5, "time": 9}}}')[0] == 204
    )
    assert gateway.call("GET", "/api/v1/gateways/gw-1/meters/pv/head") == (200, frame + body)
    anonymous = link(None)
    assert anonymous.call("GET", "/api/v1/ca")[0] == 200
    status, body = anonymous.call("POST", "/api/v1/gateways/gw-1/readings", frame)
    assert (status, json.loads(body)["code"]) == (401, "not_authenticated")

    other_ca_key = certificates.new_key()
    other_ca = certificates.make_ca(other_ca_key, "Somebody else", int(time.time()))
    key = certificates.new_key()
    forged = certificates.issue_client(other_ca_key, other_ca, key, "gw-1", int(time.time()))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "gateway.key").write_bytes(certificates.key_to_pem(key))
    (foreign / "gateway.pem").write_bytes(certificates.certificate_to_pem(forged))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        link(foreign).call("POST", "/api/v1/gateways/gw-1/readings", frame)
    assert collector_process.stop() == 0
    with app.store.read() as session:
        assert session.get_one(Gateway, "gw-1").seen_at is not None


def test_a_second_collector_is_refused_and_a_killed_one_replaced_at_once(app: App, collector_process: Any) -> None:
    collector_process.start()
    second = subprocess.run(
        [sys.executable, "-m", "authority.cli", "collector", "--home", app.home.path],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert "lease_held" in second.stderr
    collector_process.kill()
    collector_process.start()
    assert collector_process.stop() == 0
    collector_process.start()
    assert collector_process.stop() == 0


def test_a_client_that_says_nothing_holds_nobody_up(
    app: App, add_meter: AddMeter, certify: Callable[[str], Path], collector_process: Any, link: Link
) -> None:
    meter = add_meter()
    directory = certify("gw-1")
    collector_process.start()
    silent = [socket.create_connection(("127.0.0.1", collector_process.port)) for _ in range(3)]
    try:
        gateway = link(directory)
        assert gateway.call("POST", "/api/v1/gateways/gw-1/readings", meter.next())[0] == 200
    finally:
        for connection in silent:
            connection.close()


def test_kill_nine_loses_nothing_that_was_receipted(
    app: App, add_meter: AddMeter, certify: Callable[[str], Path], collector_process: Any, link: Link
) -> None:
    """Two gateways send without pause while the collector is killed and started again; every receipt that arrived is
    given again byte for byte, every record is in the log once, and the log is whole."""
    gateways = ("gw-1", "gw-2")
    meters = {name: add_meter("pv", gateway=name) for name in gateways}
    directories = {name: certify(name) for name in gateways}
    sent: dict[str, list[bytes]] = {name: [] for name in gateways}
    received: dict[bytes, bytes] = {}
    stop = threading.Event()

    def run(name: str) -> None:
        gateway = link(directories[name])
        batch: list[bytes] = []
        while not stop.is_set():
            if not batch:
                batch = [meters[name].next() for _ in range(random.SystemRandom().randint(1, 8))]
                sent[name] += batch
            try:
                status, body = gateway.call("POST", f"/api/v1/gateways/{name}/readings", b"".join(batch))
            except (OSError, http.client.HTTPException):
                gateway.close()
                time.sleep(0.05)
                continue
            if status != 200:
                continue
            for frame, receipt in zip(batch, split_receipts(body), strict=True):
                assert receipt.verdict == 1
                received[frame] = receipt.to_bytes()
            batch = []

    collector_process.start()
    threads = [threading.Thread(target=run, args=(name,)) for name in gateways]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = len(received)
        while len(received) < before + 20:
            time.sleep(0.01)
        collector_process.kill()
        collector_process.start()
    stop.set()
    for thread in threads:
        thread.join()

    assert len(received) >= 60
    for name in gateways:
        gateway = link(directories[name])
        for start in range(0, len(sent[name]), 64):
            frames = sent[name][start : start + 64]
            status, body = gateway.call("POST", f"/api/v1/gateways/{name}/readings", b"".join(frames))
            assert status == 200
            for frame, receipt in zip(frames, split_receipts(body), strict=True):
                assert receipt.verdict == 1
                assert received.get(frame, receipt.to_bytes()) == receipt.to_bytes()
    everything = {frame for frames in sent.values() for frame in frames}
    with app.store.read() as session:
        size = log.size(session)
        leaves = list(log.leaves(session, 0, size))
        assert sorted(leaf.data[12:] for leaf in leaves) == sorted(everything)
        frontier: list[bytes] = []
        for leaf in leaves:
            frontier, _ = merkle.extend(leaf.log_index, frontier, merkle.leaf_hash(leaf.data))
        assert merkle.frontier_root(frontier) == log.root(session)
