"""Who may speak: one rule for both uplinks and every message, with the real collector process and a real Mosquitto."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mqtt_gateway import GatewayClient, connected
from sqlalchemy import func, select

from authority.app import App
from authority.collector.frames import Sent
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.collector.standing import Shown
from authority.enrolment import requests
from authority.log import log
from authority.refusals import RefusalError
from authority.store.metering import Frame, Gateway, LivePower
from edge_agent.wire.reading import Receipt

AddMeter = Callable[..., Any]
Certify = Callable[[str], Path]


def revoke(app: App, gateway: str) -> None:
    with app.store.write() as session:
        requests.revoke(session, gateway, actor="operator", reason="stolen", now=app.clock())


def readings(app: App) -> int:
    with app.store.read() as session:
        return session.scalar(select(func.count()).select_from(Frame)) or 0


@pytest.mark.finding("ops-1")
@pytest.mark.parametrize("state", ["expected", "revoked"])
def test_frames_of_a_gateway_that_may_not_speak_are_not_taken(app: App, add_meter: AddMeter, state: str) -> None:
    meter, other = add_meter("pv"), add_meter("pv", gateway="gw-2")
    with app.store.write() as session:
        session.get_one(Gateway, "gw-1").state = state
    refused, taken, unknown = Collector(app).ingest_all(
        [
            Sent(meter.next(), "gw-1", "pv", "mqtt"),
            Sent(other.next(), "gw-2", "pv", "mqtt"),
            Sent(other.frame(), "gw-3", "pv", "mqtt"),
        ]
    )
    assert [getattr(refused, "code", None), getattr(unknown, "code", None)] == ["not_authenticated"] * 2
    assert not isinstance(taken, RefusalError)
    assert Receipt.from_bytes(taken.receipts[0]).log_index == 0
    assert readings(app) == 1


@pytest.mark.finding("ops-1")
def test_only_the_current_certificate_speaks(app: App, add_meter: AddMeter) -> None:
    meter = add_meter("pv")
    add_meter("pv", gateway="gw-2")
    with app.store.write() as session:
        session.get_one(Gateway, "gw-1").certificate_hash = b"c" * 32
        session.get_one(Gateway, "gw-2").certificate_hash = b"d" * 32
    collector, frame = Collector(app), meter.next()
    for shown, code in (
        (Shown(b"o" * 32), "not_authenticated"),
        (Shown(None), "not_authenticated"),
        (Shown(b"d" * 32), "wrong_gateway"),
    ):
        with pytest.raises(RefusalError) as caught:
            collector.ingest(frame, gateway="gw-1", meter=None, over="https", shown=shown)
        assert caught.value.code == code
    assert readings(app) == 0
    assert collector.ingest(frame, gateway="gw-1", meter=None, over="https", shown=Shown(b"c" * 32)).receipts


@pytest.mark.finding("ops-1")
def test_a_revoked_gateway_is_heard_over_https_no_more(
    app: App, add_meter: AddMeter, certify: Certify, collector_process: Any, link: Callable[[Path | None], Any]
) -> None:
    meter = add_meter("pv")
    directory = certify("gw-1")
    collector_process.start()
    gateway = link(directory)
    live = b'{"meters": {"pv": {"power_w": 7, "time": 9}}}'
    calls = [
        ("POST", "readings", meter.next()),
        ("POST", "live", live),
        ("POST", "status", b'{"online": true}'),
        ("GET", "meters/pv/head", None),
    ]
    assert [gateway.call(method, f"/api/v1/gateways/gw-1/{path}", body)[0] for method, path, body in calls] == [
        200,
        204,
        204,
        200,
    ]
    revoke(app, "gw-1")
    for method, path, body in [("POST", "readings", meter.next()), *calls[1:]]:
        status, answer = gateway.call(method, f"/api/v1/gateways/gw-1/{path}", body)
        assert (status, json.loads(answer)["code"]) == (401, "not_authenticated")
    assert readings(app) == 1


@pytest.mark.finding("ops-1")
@pytest.mark.mosquitto
def test_a_revoked_gateway_is_heard_over_mqtt_no_more(
    app: App, add_meter: AddMeter, certify: Certify, mosquitto: Any
) -> None:
    """It keeps its certificate and its connection to the broker; another gateway's message shows that all was read."""
    meter, other = add_meter("pv"), add_meter("pv", gateway="gw-2")
    client = GatewayClient(app, "gw-1", certify("gw-1"), mosquitto.port)
    witness = GatewayClient(app, "gw-2", certify("gw-2"), mosquitto.port)
    live = Live(app)
    try:
        with connected(app, Collector(app), live):
            client.publish("gw-1/pv/reading", meter.next())
            assert [receipt.verdict for receipt in client.take()] == [1]
            client.publish("gw-1/status", b'{"online": true, "version": "1"}')
            live.flush()
            revoke(app, "gw-1")
            app.clock.now += 60  # type: ignore[attr-defined]
            client.publish("gw-1/pv/reading", meter.next())
            client.publish("gw-1/readings", meter.frame())
            client.publish("gw-1/pv/live", b'{"power_w": 666, "time": 1000}')
            client.publish("gw-1/status", b'{"online": true, "version": "stolen"}')
            witness.publish("gw-2/pv/reading", other.next())
            assert [receipt.verdict for receipt in witness.take()] == [1]
            with pytest.raises(queue.Empty):
                client.receipts.get(timeout=1)
        live.flush()
    finally:
        client.close()
        witness.close()
    assert readings(app) == 2
    with app.store.read() as session:
        assert session.get(LivePower, meter.pk) is None
        gateway = session.get_one(Gateway, "gw-1")
        assert gateway.status != {"online": True, "version": "stolen"}
        assert gateway.seen_at != app.clock()
        assert log.size(session) == 3  # two readings and the revocation


@pytest.mark.finding("ops-1")
def test_what_a_revoked_gateway_says_of_itself_is_not_kept(app: App, add_meter: AddMeter) -> None:
    meter = add_meter("pv")
    with app.store.write() as session:
        session.get_one(Gateway, "gw-1").state = "revoked"
    live = Live(app)
    live.power("gw-1", {"pv": {"power_w": 5, "time": 100}})
    live.status("gw-1", {"online": True})
    live.flush()
    with app.store.read() as session:
        assert session.get(LivePower, meter.pk) is None
        row = session.get_one(Gateway, "gw-1")
        assert (row.status, row.seen_at, row.online) == (None, None, False)
