"""Approvals from the pages: of what was looked at and no other, carried out by the processes that have the keys."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from enrolling_gateway import PLAN, GatewayHand, meter_map
from sqlalchemy import select

from authority.app import App
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.collector.http import create_app
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.enrolment import approvals, plan, requests
from authority.enrolment.approvals import ChangedSinceError, Registrar
from authority.home.errors import KeyWithheldError
from authority.home.home import Home
from authority.operations.certificates import renew
from authority.refusals import ConflictError
from authority.store.enrolments import Approval, Enrolment
from authority.store.log import Act
from authority.store.metering import Meter

PERSON = "person-0123456789abcdef"


@pytest.fixture
def hand(app: App) -> GatewayHand:
    with app.store.write() as session:
        plan.apply(session, plan.parse(PLAN), app.home, actor="operator", now=1, random=os.urandom)
        code = requests.claim(session, app.home, "gw-1", actor="operator", now=app.clock(), random=os.urandom)
    return GatewayHand(create_app(app, Collector(app), Live(app)).test_client(), code)


@pytest.fixture
def waiting(hand: GatewayHand) -> str:
    """The id of an enrolment that is proved and undecided."""
    asked = hand.ask().json
    assert hand.prove(asked).status_code == 202
    return str(asked["enrolment"])


def seen(app: App, id: str) -> bytes:
    with app.store.read() as session:
        return approvals.digest(session.get_one(Enrolment, id))


def ask(app: App, id: str, digest: bytes | None = None) -> None:
    digest = seen(app, id) if digest is None else digest
    with app.store.write() as session:
        approvals.ask(session, session.get_one(Enrolment, id), digest, actor=PERSON, now=app.clock())


def approval(app: App, id: str) -> Approval:
    with app.store.read() as session:
        return session.get_one(Approval, id)


def acts(app: App) -> list[tuple[str, str]]:
    with app.store.read() as session:
        found = session.scalars(select(Act).order_by(Act.log_index)).all()
    return [(act.kind, act.actor) for act in found if act.actor != "operator"]


def as_process(app: App, name: str) -> App:
    """The same authority as a process of this name opens it."""
    return replace(app, home=Home.open(app.home.path, name))


def test_the_keeper_approves_what_was_asked_for(app: App, hand: GatewayHand, waiting: str) -> None:
    for _ in range(2):
        ask(app, waiting)
    assert hand.show(waiting).json == {"status": "pending"}
    with pytest.raises(KeyWithheldError):
        _ = as_process(app, "web").home.ca_key
    keeper = as_process(app, "certificates")
    assert approvals.certify_asked(as_process(app, "certificates")) == ["gw-1"]
    assert renew(keeper) == []
    assert hand.show(waiting).json["status"] == "approved"
    assert acts(app) == [("approval_asked", PERSON), ("gateway_approved", PERSON)]
    assert approval(app, waiting).certified_at == app.clock()
    ask(app, waiting)
    assert acts(app) == [("approval_asked", PERSON), ("gateway_approved", PERSON)]


def test_what_changed_since_it_was_looked_at_is_not_approved(app: App, hand: GatewayHand, waiting: str) -> None:
    before = seen(app, waiting)
    hand.maps["pv"] = meter_map("pv", ratio=[40, 1])
    hand.prove(hand.ask().json)
    with pytest.raises(ChangedSinceError, match="look at it again"):
        ask(app, waiting, before)
    ask(app, waiting)
    hand.maps["pv"] = meter_map("pv", ratio=[50, 1])
    hand.prove(hand.ask().json)
    assert approvals.certify_asked(app) == []
    assert hand.show(waiting).json == {"status": "pending"}
    told = approval(app, waiting)
    assert (told.ended_at, told.problem) == (app.clock(), approvals.CHANGED)
    ask(app, waiting)
    assert approvals.certify_asked(app) == ["gw-1"]
    assert approval(app, waiting).problem is None


def test_an_approval_is_taken_back_until_it_is_carried_out(app: App, hand: GatewayHand, waiting: str) -> None:
    ask(app, waiting)
    for _ in range(2):
        with app.store.write() as session:
            approvals.take_back(session, session.get_one(Enrolment, waiting), actor=PERSON, now=app.clock())
    assert approvals.certify_asked(app) == []
    assert hand.show(waiting).json == {"status": "pending"}
    ask(app, waiting)
    assert approvals.certify_asked(app) == ["gw-1"]
    with pytest.raises(ConflictError, match="authority enrol revoke gw-1"), app.store.write() as session:
        approvals.take_back(session, session.get_one(Enrolment, waiting), actor=PERSON, now=app.clock())
    kinds = [kind for kind, _ in acts(app)]
    assert kinds == ["approval_asked", "approval_taken_back", "approval_asked", "gateway_approved"]


def test_only_what_is_proved_and_undecided_is_approved(app: App, hand: GatewayHand) -> None:
    started = hand.ask().json["enrolment"]
    with pytest.raises(ConflictError, match="proved"):
        ask(app, started)
    hand.prove(hand.ask().json)
    ask(app, started)
    with app.store.write() as session:
        enrolment = session.get_one(Enrolment, started)
        requests.reject(session, enrolment, actor="operator", reason="no", now=app.clock())
    assert approvals.certify_asked(app) == []
    assert "rejected" in (approval(app, started).problem or "")
    assert hand.show(started).json["status"] == "rejected"


@pytest.mark.parametrize("store_url", [""])
def test_settlement_puts_the_meters_on_the_chain(app: App, waiting: str, chain: ChainClient) -> None:
    """With the operator's key, which the pages have not; a chain that is away is told, and tried again."""
    settlement = as_process(app, "settlement")
    away = Registrar(settlement, lambda: ChainClient("http://127.0.0.1:9", attempts=1, timeout=1))
    registrar = Registrar(settlement, lambda: ChainClient(app.home.rpc_url))
    assert registrar.once() == []
    ask(app, waiting)
    assert registrar.once() == [], "not before it has its certificate"
    approvals.certify_asked(app)
    assert away.once() == []
    assert "127.0.0.1:9" in (approval(app, waiting).problem or "")
    assert registrar.once() == ["gw-1"]
    assert registrar.once() == []
    told = approval(app, waiting)
    assert (told.on_chain_at, told.problem) == (app.clock(), None)
    with app.store.read() as session:
        meters = session.scalars(select(Meter).where(Meter.gateway_name == "gw-1")).all()
    for meter in meters:
        on_chain: Any = chain.account(accounts.Meter, programs.meter_address(meter.meter_id))
        assert bytes(on_chain.key) == meter.public_key
    registered = [actor for kind, actor in acts(app) if kind == "registered_on_chain"]
    assert registered == [PERSON] * len(registered)
    assert len(registered) >= len(meters)
