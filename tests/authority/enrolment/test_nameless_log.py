"""A campus lives through many kinds of acts, and no leaf of the log names anybody or anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from enrolling_gateway import GatewayHand
from every_leaf import named_in_the_log, names_of
from people_site import no_chain
from solders.keypair import Keypair
from sqlalchemy import select

from authority.app import App
from authority.collector.http import create_app
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.enrolment import approvals, plan, requests
from authority.log import gate
from authority.market import policies
from authority.market.prices import MarketPrices
from authority.market.standing_orders import StandingOrder
from authority.operations import meters, news, suspensions, tickets, wallet_requests
from authority.operations.desk import Desk
from authority.people import dangerous, invitations, leave_requests, proposals, reads, records, sessions, tokens
from authority.people.roles import Principal
from authority.store.enrolments import Enrolment
from authority.store.log import Act
from authority.store.metering import Gateway, Meter
from authority.store.people import User
from authority.store.persons import Person

PLAN = b"""
user = [{name = "Zebra Dormitory", building = "Zebra Hall"}]
installation = [{n = 1, building = "Zebra Hall", kind = "mixed", nameplate_w = 10000, since = 2020-01-01}]

[[meter]]
name = "pv"
gateway = "zebra_hall"
serial = "1KFM0000000042"
role = "generation"
source = "solar"
user = "Zebra Dormitory"
installation = 1

[[meter]]
name = "load"
gateway = "zebra_hall"
serial = "1KFM0000000043"
role = "load"
user = "Zebra Dormitory"
installation = 1
"""
LOGIN, REASON = "grace", "Somebody's cousin in flat 7 asked"


def test_no_leaf_names_anybody(app: App) -> None:
    now = app.clock()
    enrol(app)
    operator = live(app, now)
    kinds = set()
    with app.store.read() as session:
        kinds = set(session.scalars(select(Act.kind)))
        assert {"Ada Lovelace", "ada@campus.example", "Zebra Hall", "1KFM0000000042", "zebra_hall", LOGIN} <= names_of(
            session
        )
        assert named_in_the_log(session, REASON, "flat 7", "erased@campus.example", "Charles Babbage", "ZEBRA") == set()
        for act in session.scalars(select(Act).where(Act.data.is_not(None))):
            assert act.actor == operator or act.actor.startswith(("person-", "operator-")), act.actor
        approved = session.scalars(select(Act).where(Act.kind == "gateway_approved")).one()
        assert gate.name_of(session, str(approved.data["gateway"])) == "zebra_hall", "the store says which it is"
    assert kinds >= {
        "campus_plan", "claim_issued", "approval_asked", "approval_taken_back", "gateway_approved", "gateway_revoked",
        "enrolment_rejected", "standing_order_set", "standing_order_removed", "ticket_opened", "announcement_made",
        "wallet_asked", "wallet_refused", "leave_asked", "leave_refused", "role_granted", "role_withdrawn",
        "person_invited", "person_erased", "signed_in", "token_made", "token_ended", "data_read", "proposal_made",
        "meter_suspended", "member_status_asked",
    }, kinds  # fmt: skip


def enrol(app: App) -> None:
    """A gateway is claimed, rejected, claimed again, approved, and revoked, by who is at the machine."""
    now = app.clock()
    with app.store.write() as session:
        plan.apply(session, plan.parse(PLAN), app.home, actor=LOGIN, now=now, random=os.urandom)
    for decide in (rejected, approved):
        with app.store.write() as session:
            code = requests.claim(session, app.home, "zebra_hall", actor=LOGIN, now=now, random=os.urandom)
        hand = GatewayHand(create_app(app, Collector(app), Live(app)).test_client(), code, "zebra_hall")
        hand.serials = {"pv": "1KFM0000000042", "load": "1KFM0000000043"}
        asked = hand.ask().json
        assert hand.prove(asked).status_code == 202
        with app.store.write() as session:
            decide(session, app, session.get_one(Enrolment, str(asked["enrolment"])))


def rejected(session: Any, app: App, enrolment: Enrolment) -> None:
    requests.reject(session, enrolment, actor=LOGIN, reason=REASON, now=app.clock())


def approved(session: Any, app: App, enrolment: Enrolment) -> None:
    now, seen = app.clock(), approvals.digest(enrolment)
    approvals.ask(session, enrolment, seen, actor=LOGIN, now=now)
    approvals.take_back(session, enrolment, actor=LOGIN, now=now)
    requests.approve(session, app.home, enrolment, actor=LOGIN, now=now)


def live(app: App, now: int) -> str:
    """People come, do what they do, and go; the actor that is no person."""
    with app.store.write() as session:
        member = session.scalars(select(User)).one()
        people, cookies = {}, {}
        for name, login, role in (
            ("Ada Lovelace", "ada@campus.example", "member"),
            ("Charles Babbage", "erased@campus.example", "operator"),
            ("Emmy Noether", "emmy@campus.example", "authority"),
        ):
            person = people[role] = records.add(session, login, name, now=now)
            records.grant(session, person, role, by=LOGIN, now=now, member=member if role == "member" else None)
            invitations.make(session, person, by=LOGIN, now=now)
            cookies[role] = sessions.begin(session, person, "password", "Ada's browser", now)
        ada, emmy = (signed_in(session, cookies[role], now) for role in ("member", "authority"))
        token, _ = tokens.make(session, ada, "Ada's script", ["energy:read"], 30, now)
        tokens.end(session, ada, token, now)
        order = StandingOrder(sell_at=100_000, buy_at=250_000)
        prices = MarketPrices(80_000, 300_000, 280_000, 20_000, 100, 100)
        policies.change_standing_order(session, member.name, order, by=ada.actor, now=now, prices=prices)
        policies.end_standing_order(session, member.name, by=ada.actor, now=now)
        member.registered_at = now
        member_id, wallet, ada_id = member.id, member.wallet, people["member"].id
    reads.note(app.store, emmy, "bill", wallet, now)
    about = tickets.About(now - 3600, now - 1800)
    tickets.ask(app, member_id, about, "energy", "I, Ada, was away", actor=ada.actor, person_id=ada_id)
    news.publish(app, "Zebra Hall", "Dear people of Zebra Hall", now, now + 60, "building", "Zebra Hall", actor=LOGIN)
    wallet_requests.ask(app, member_id, str(Keypair().pubkey()), actor=ada.actor)
    wallet_requests.refuse(app, 1, REASON, actor=LOGIN)
    suspensions.ask(app, wallet, "suspended", REASON, actor=LOGIN)
    leave_requests.ask(app, ada, forfeit=False)
    leave_requests.refuse(app, 1, REASON, actor=LOGIN)
    data = {"person": people["operator"].pseudonym}
    proposals.propose(app, emmy, dangerous.ERASE, data, REASON, via="page")
    with desk(app) as its, app.store.read() as session:
        meter = session.scalars(select(Meter).where(Meter.name == "pv")).one()
        meters._store_state(its, meter, "suspended", "suspend")
    with app.store.write() as session:
        requests.revoke(session, "zebra_hall", actor=LOGIN, reason=REASON, now=now)
        person = session.get_one(Person, people["operator"].id)
        records.withdraw(session, person, "operator", by=LOGIN, now=now)
        records.erase(session, person, by=LOGIN, now=now)
        assert session.get(Gateway, "zebra_hall") is not None
        return gate.actor_of(session, LOGIN)


def signed_in(session: Any, cookie: str, now: int) -> Principal:
    found = sessions.look_up(session, cookie, now)
    assert found is not None
    return found[0]


@contextmanager
def desk(app: App) -> Iterator[Desk]:
    client = no_chain()
    yield Desk(app, client, LOGIN, REASON)
    client.close()
