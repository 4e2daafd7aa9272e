"""Approved meters on a real chain: users, installations, keys proved to the registry, and being broken off anywhere."""

from __future__ import annotations

import os
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import select

from authority.app import App
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.enrolment import closing, plan
from authority.enrolment.registration import Registered, Registration, RegistrationError
from authority.store.log import Act
from authority.store.metering import Frame, Gateway, Meter, MeterKey
from authority.store.people import Installation, User
from edge_agent.wire.reading import possession_message

PLAN = b"""
user = [{name = "P", building = "A"}, {name = "C", building = "B"}]
installation = [
  {n = 1, building = "A", kind = "solar", nameplate_w = 10000, since = 2020-01-01},
  {n = 2, building = "A", kind = "load", nameplate_w = 20000, since = 2020-01-01},
  {n = 3, building = "B", kind = "load", nameplate_w = 30000, since = 2020-01-01},
]
meter = [
  {name = "pv", gateway = "gw-1", serial = "S1", role = "generation", source = "solar", user = "P", installation = 1},
  {name = "load", gateway = "gw-1", serial = "S2", role = "load", user = "P", installation = 2},
  {name = "load", gateway = "gw-2", serial = "S3", role = "load", user = "C", installation = 3},
]
"""


@pytest.fixture
def approved(app: App) -> dict[str, Keypair]:
    """The plan applied, and all of its meters with keys as an approval leaves them."""
    keys = {}
    with app.store.write() as session:
        plan.apply(session, plan.parse(PLAN), app.home, actor="operator", now=1, random=os.urandom)
        for meter in session.scalars(select(Meter)):
            key = keys[meter.serial] = Keypair()
            map_hash = os.urandom(32)
            message = possession_message(
                first_sequence=1, network_id=app.home.network_id, meter_id=meter.meter_id, map_hash=map_hash
            )
            meter.map_hash, meter.public_key, meter.state = map_hash, bytes(key.pubkey()), "active"
            session.add(
                MeterKey(
                    public_key=bytes(key.pubkey()),
                    meter_pk=meter.id,
                    first_sequence=1,
                    next_sequence=1,
                    possession=bytes(key.sign_message(message)),
                    approved_at=1,
                )
            )
        for gateway in session.scalars(select(Gateway)):
            gateway.state = "enrolled"
    return keys


def run(app: App, chain: ChainClient, gateway: str | None = None) -> list[Registered]:
    done: list[Registered] = []
    Registration(app, chain, actor="operator", report=done.append).run(gateway)
    return done


def test_meters_come_onto_the_chain_once(app: App, chain: ChainClient, approved: dict[str, Keypair]) -> None:
    done = run(app, chain, "gw-1")
    assert [(item.kind, item.name) for item in done] == [
        ("user", "P"),
        ("installation", "1 (A)"),
        ("meter", "gw-1/pv"),
        ("installation", "2 (A)"),
        ("meter", "gw-1/load"),
    ]
    assert run(app, chain, "gw-1") == []
    assert [item.kind for item in run(app, chain)] == ["user", "installation", "meter"]
    with app.store.read() as session:
        for meter in session.scalars(select(Meter)):
            on_chain: Any = chain.account(accounts.Meter, programs.meter_address(meter.meter_id))
            assert bytes(on_chain.key) == bytes(approved[meter.serial].pubkey())
            assert (on_chain.role, on_chain.source) == (meter.role_code, meter.source_code)
            assert bytes(on_chain.map_hash) == meter.map_hash
            assert str(on_chain.user) == meter.user.wallet
            assert chain.account(accounts.MeterState, programs.meter_state_address(meter.meter_id)) is not None
            assert meter.registered_at == app.clock()
        users = {user.name: user for user in session.scalars(select(User))}
        assert sorted(user.member_index for user in users.values() if user.member_index is not None) == [0, 1]
        for user, role in (("P", 1), ("C", 0)):
            wallet = Pubkey.from_string(users[user].wallet)
            account: Any = chain.account(accounts.User, programs.user_address(wallet))
            assert account.role == role
            assert chain.token_balance(programs.associated_token_address(wallet, programs.energy_mint())) == 0
            assert chain.token_balance(programs.associated_token_address(wallet, programs.credit_mint())) == 0
        acts = session.scalars(select(Act).where(Act.kind == "registered_on_chain")).all()
        assert len(acts) == 2 + 3 + 3


def test_what_the_chain_has_already_is_noted_and_not_done_again(
    app: App, chain: ChainClient, approved: dict[str, Keypair]
) -> None:
    """As after a kill between the chain's confirmation and the store's commit."""
    run(app, chain)
    with app.store.write() as session:
        for row in (
            *session.scalars(select(Meter)),
            *session.scalars(select(User)),
            *session.scalars(select(Installation)),
        ):
            row.registered_at = None
    signatures = chain.signatures(app.home.operator.pubkey())
    again = run(app, chain)
    assert len(again) == 8
    assert {item.signature for item in again} == {None}
    assert chain.signatures(app.home.operator.pubkey()) == signatures


def test_a_validator_that_is_down_is_said_so_and_the_rest_follows(
    app: App, chain: ChainClient, validator: Any, approved: dict[str, Keypair]
) -> None:
    run(app, chain, "gw-1")
    validator.stop()
    with pytest.raises(ChainError):
        run(app, ChainClient(app.home.rpc_url, attempts=1), "gw-2")
    validator.start()
    assert [item.kind for item in run(app, chain)] == ["user", "installation", "meter"]


def new_key(app: App, serial: str, first_sequence: int, map_hash: bytes | None = None) -> Keypair:
    """Put a new key to use, as the approval after a lost disk does."""
    key = Keypair()
    with app.store.write() as session:
        meter = session.scalars(select(Meter).where(Meter.serial == serial)).one()
        meter.map_hash = map_hash or meter.map_hash
        assert meter.map_hash is not None
        message = possession_message(
            first_sequence=first_sequence,
            network_id=app.home.network_id,
            meter_id=meter.meter_id,
            map_hash=meter.map_hash,
        )
        meter.public_key = bytes(key.pubkey())
        session.add(
            MeterKey(
                public_key=bytes(key.pubkey()),
                meter_pk=meter.id,
                first_sequence=first_sequence,
                next_sequence=first_sequence,
                possession=bytes(key.sign_message(message)),
                approved_at=2,
            )
        )
    return key


def on_chain(app: App, chain: ChainClient, serial: str) -> Any:
    with app.store.read() as session:
        meter = session.scalars(select(Meter).where(Meter.serial == serial)).one()
    return chain.account(accounts.Meter, programs.meter_address(meter.meter_id))


def test_a_new_key_and_map_take_over_on_the_chain(app: App, chain: ChainClient, approved: dict[str, Keypair]) -> None:
    run(app, chain)
    key = new_key(app, "S1", 5, map_hash=b"m" * 32)
    assert [(item.kind, item.name) for item in run(app, chain)] == [("meter_key", "gw-1/pv")]
    meter = on_chain(app, chain, "S1")
    assert (bytes(meter.key), meter.first_sequence) == (bytes(key.pubkey()), 5)
    assert bytes(meter.map_hash) == b"m" * 32
    with app.store.write() as session:
        session.scalars(select(Meter).where(Meter.serial == "S1")).one().map_hash = b"n" * 32
    assert [item.kind for item in run(app, chain)] == ["meter_map"]
    assert bytes(on_chain(app, chain, "S1").map_hash) == b"n" * 32
    assert run(app, chain) == []


def test_readings_under_the_old_key_go_first(app: App, chain: ChainClient, approved: dict[str, Keypair]) -> None:
    run(app, chain)
    old = approved["S1"]
    with app.store.write() as session:
        meter = session.scalars(select(Meter).where(Meter.serial == "S1")).one()
        session.add(
            Frame(
                log_index=1_000,
                meter_pk=meter.id,
                public_key=bytes(old.pubkey()),
                sequence=1,
                interval_end=900,
                record_hash=bytes(32),
                frame=bytes(192),
                verdict="accepted",
                code="ok",
                receipt=bytes(168),
                received_at=1,
                over="https",
                disposition="accepted",
                chain_status="pending",
            )
        )
    key = new_key(app, "S1", 2)
    with pytest.raises(RegistrationError) as caught:
        run(app, chain)
    assert caught.value.code == "readings_pending"
    assert bytes(on_chain(app, chain, "S1").key) == bytes(old.pubkey())
    with app.store.write() as session:
        session.get_one(Frame, 1_000).chain_status = "confirmed"
    assert [item.kind for item in run(app, chain)] == ["meter_key"]
    assert bytes(on_chain(app, chain, "S1").key) == bytes(key.pubkey())


def test_another_installation_under_the_same_number_is_not_passed_over(
    app: App, chain: ChainClient, approved: dict[str, Keypair]
) -> None:
    run(app, chain)
    with app.store.write() as session:
        installation = session.get_one(Installation, 3)
        installation.nameplate_w, installation.registered_at = 1, None
        session.scalars(select(Meter).where(Meter.serial == "S3")).one().registered_at = None
    with pytest.raises(RegistrationError) as caught:
        run(app, chain, "gw-2")
    assert caught.value.code == "chain_differs"


def test_a_proof_that_the_chain_refuses_registers_nothing(
    app: App, chain: ChainClient, approved: dict[str, Keypair]
) -> None:
    with app.store.write() as session:
        session.get_one(MeterKey, bytes(approved["S3"].pubkey())).possession = bytes(64)
    with pytest.raises(ChainError):
        run(app, chain, "gw-2")
    with app.store.read() as session:
        assert session.scalars(select(Meter.registered_at).where(Meter.serial == "S3")).one() is None


def revoke(app: App, chain: ChainClient) -> list[tuple[str, str]]:
    closed = closing.revoke(app, "gw-1", actor="operator", reason="stolen", client=chain)
    assert closed.complete
    return [(step.what, step.outcome) for step in closed.steps]


@pytest.mark.finding("ops-1")
def test_a_revoked_gateways_meters_lose_their_right_on_the_chain_and_get_it_back(
    app: App, chain: ChainClient, approved: dict[str, Keypair]
) -> None:
    run(app, chain)
    assert revoke(app, chain)[-2:] == [("meter gw-1/load", "suspended"), ("meter gw-1/pv", "suspended")]
    assert [on_chain(app, chain, serial).status for serial in ("S1", "S2", "S3")] == [2, 2, 1]
    assert revoke(app, chain)[-1] == ("meter gw-1/pv", "was suspended before")
    assert run(app, chain) == []  # nothing brings it back but an approval
    with app.store.write() as session:
        session.scalars(select(Meter).where(Meter.serial == "S1")).one().state = "active"  # as `approve` leaves it
    key = new_key(app, "S1", 5)
    assert [(item.kind, item.name) for item in run(app, chain)] == [
        ("meter_status", "gw-1/pv"),
        ("meter_key", "gw-1/pv"),
    ]
    meter = on_chain(app, chain, "S1")
    assert (meter.status, meter.key) == (1, bytes(key.pubkey()))


@pytest.mark.finding("ops-1")
def test_a_revocation_that_the_chain_did_not_hear_of_says_so_and_is_completed(
    app: App, chain: ChainClient, validator: Any, approved: dict[str, Keypair]
) -> None:
    run(app, chain)
    validator.stop()
    client = ChainClient(app.home.rpc_url, attempts=1)
    closed = closing.revoke(app, "gw-1", actor="operator", reason="stolen", client=client)
    assert not closed.complete
    assert [step.outcome for step in closed.steps[-2:]] == ["validator_unreachable"] * 2
    assert "authority enrol revoke" in closed.steps[-1].todo
    validator.start()
    assert revoke(app, chain)[0] == ("certificate", "was revoked before")
    assert on_chain(app, chain, "S1").status == 2
