"""Prices and budgets for buildings: what is told, and to whom a real broker gives it."""

from __future__ import annotations

import json
import queue
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from kwh_site import KwhSite, opened
from mqtt_gateway import connected
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from authority.app import App
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.collector.announcing import Announcer
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.store.metering import Meter
from authority.store.people import User

PRICE, BUDGET = "campus/v1/market/price", "campus/v1/gateways/{}/budget"


@pytest.fixture
def store_url() -> str:
    return ""


class Controller:
    """A building's controller at the broker, with a certificate: it keeps what comes on what it asked for."""

    def __init__(self, app: App, name: str, directory: Path, port: int, wanted: list[str]) -> None:
        self.messages: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self.granted: queue.Queue[Any] = queue.Queue()
        context = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
        context.load_cert_chain(directory / "gateway.pem", directory / "gateway.key")
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.tls_set_context(context)
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_connect = lambda *_: self.client.subscribe([(topic, 1) for topic in wanted])
        self.client.on_subscribe = lambda *given: self.granted.put(given)
        self.client.connect("localhost", port)
        self.client.loop_start()
        self.granted.get(timeout=60)

    def take(self) -> tuple[str, Any, bool]:
        message = self.messages.get(timeout=60)
        return message.topic, json.loads(message.payload) if message.payload else None, message.retain

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.mark.mosquitto
def test_who_connects_later_has_prices_and_its_own_budget_at_once_and_no_other(
    app: App, add_meter: Callable[..., Any], certify: Callable[[str], Path], mosquitto: Any
) -> None:
    for gateway in ("gw-1", "gw-2"):
        add_meter("pv", gateway=gateway)
    with connected(app, Collector(app), Live(app)) as connection:
        for topic, body in ((PRICE, {"epoch": 1}), (BUDGET.format("gw-1"), {"credit": 5}), (BUDGET.format("gw-2"), {})):
            connection.retain(topic, json.dumps(body).encode(), 600)
        wanted = [PRICE, BUDGET.format("gw-1"), BUDGET.format("gw-2")]
        controller = Controller(app, "gw-1", certify("gw-1"), mosquitto.port, wanted)
        try:
            got = {topic: (body, kept) for topic, body, kept in (controller.take(), controller.take())}
            assert got == {PRICE: ({"epoch": 1}, True), BUDGET.format("gw-1"): ({"credit": 5}, True)}
            controller.client.publish(PRICE, b'{"epoch": 666}', qos=1, retain=True).wait_for_publish(60)
            controller.client.publish(BUDGET.format("gw-1"), b"{}", qos=1, retain=True).wait_for_publish(60)
            connection.retain(BUDGET.format("gw-1"), b"", 600)
            connection.retain(PRICE, b'{"epoch": 2}', 600)
            assert controller.take() == (BUDGET.format("gw-1"), None, False)
            assert controller.take() == (PRICE, {"epoch": 2}, False), "nobody but the collector tells prices"
        finally:
            controller.close()
        late = Controller(app, "gw-2", certify("gw-2"), mosquitto.port, ["campus/v1/#"])
        try:
            got = {topic: (body, kept) for topic, body, kept in (late.take(), late.take())}
            assert got == {PRICE: ({"epoch": 2}, True), BUDGET.format("gw-2"): ({}, True)}
            late.client.publish("ami/v1/gw-2/status", b"{}", qos=1).wait_for_publish(60)
            assert late.messages.empty()
        finally:
            late.close()


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[KwhSite]:
    with opened(tmp_path, members="ABCD", trades=True) as found:
        yield found


def test_what_is_told_is_the_chains_and_changes_with_it(campus: KwhSite) -> None:
    chain, told = campus.campus, []
    announcer = Announcer(
        chain.app,
        lambda *message: told.append(message),
        lambda: ChainClient(chain.validator.url, attempts=1, timeout=5),
    )
    messages = announcer.messages()
    price = messages[PRICE]
    parameters = chain.home.settings.parameters
    assert (price["highest_micro_credits_per_kwh"], price["lowest_micro_credits_per_kwh"]) == (
        parameters.retail_price,
        parameters.feed_in_price,
    )
    assert (price["epoch"], price["ends_at"] - price["starts_at"]) == (chain.epoch, chain.epoch_seconds)
    assert {topic for topic in messages if topic != PRICE} == {BUDGET.format(f"gw_{name}") for name in "abcd"}
    budget = messages[BUDGET.format("gw_c")]
    seat = chain.seat("C")
    assert (budget["credit_micro_credits"], budget["energy_wh"]) == (seat.credit, seat.energy)

    announcer.tell()
    assert {topic for topic, _, _ in told} == set(messages)
    assert {expires for _, _, expires in told} == {3 * chain.epoch_seconds}
    told.clear()
    announcer.tell()
    assert told == [], "what has not changed is not told again"

    with chain.app.store.write() as session:  # a second member's meter at the gateway of C
        meter = session.query(Meter).filter(Meter.gateway_name == "gw_a").first()
        meter.gateway_name, meter.name = "gw_c", "another"
        assert session.query(User).filter_by(name="A").one().id == meter.user_id
    announcer.tell()
    assert (BUDGET.format("gw_c"), b"", 3 * chain.epoch_seconds) in told
    chain.next_epoch()
    told.clear()
    announcer.tell()
    assert PRICE in {topic for topic, _, _ in told}


def test_a_chain_that_is_away_leaves_what_was_told(campus: KwhSite) -> None:
    told: list[Any] = []
    away = Announcer(
        campus.campus.app, lambda *message: told.append(message), lambda: ChainClient("http://127.0.0.1:9", attempts=1)
    )
    with pytest.raises(ChainError):
        away.tell()
    assert told == []
    away.start()
    away.stop()
    assert told == []
