"""The gate into the log: text passes in the forms of its fields alone, and none of them can name anybody."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from every_leaf import every_leaf
from sqlalchemy import delete, select

from authority.app import App
from authority.chain.artifacts import idl_path
from authority.governance.acts import ACTIVITIES
from authority.home.settings import ParameterSettings
from authority.log import gate, log
from authority.log.gate import FORMS, WITHIN, NamesPossiblyError
from authority.log.nameless import NamesSomebodyError
from authority.market.transfers import ACTS, ASSETS
from authority.operations.desk import STATUS_WORDS
from authority.operations.news import AUDIENCES
from authority.operations.tickets import REASONS, STATES
from authority.people import dangerous, roles, webhooks
from authority.settlement.worker import SKIPPED_REFUSALS
from authority.store.log import Act, ActWords, LogName
from authority.store.metering import Gateway
from edge_agent.wire.reading import CODES, SOURCES
from edge_agent.wire.reading import ROLES as METER_ROLES

HASH, WALLET = "ab" * 32, "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM"
PROGRAMS = ("energy_token", "governance", "oracle", "registry", "trading")
NAMES = ("Dora Lovelace", "dormitory_a", "Dormitory A", "1KFM0000000001", "dora@campus.example", "dora")


def idl_of(program: str) -> Any:
    return json.loads(idl_path(program).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_no_field_takes_a_name(app: App, name: str) -> None:
    for field in (*FORMS, "anything"):
        if field == "what" and name in ("dora", "dormitory_a"):
            continue  # a page's own word, which no person writes
        if field == gate.REASON:
            continue
        for value in (name, [name], {"size": name}, {name: 1}, [{field: name}]):
            with app.store.write() as session, pytest.raises(NamesPossiblyError):
                log.record_act(session, "something_done", "settlement", 1, {field: value})
            with app.store.write() as session, pytest.raises(NamesPossiblyError):
                log.record_act(session, "something_done", "settlement", 1, {name: 1, field: [value]})
        if field == "wallet":
            break
    with app.store.read() as session:
        assert log.size(session) == 0, "what is refused is not logged in part"


def test_the_words_of_the_service_pass(app: App) -> None:
    """A word that is not in the gate's vocabulary would be refused while the service runs."""
    words = {
        "act": ACTS, "asset": ASSETS, "audience": AUDIENCES, "code": CODES.values(), "error": SKIPPED_REFUSALS,
        "events": (
            *webhooks.EVENTS, *(each["name"] for name in PROGRAMS for each in idl_of(name)["events"]),
        ),
        "kind": dangerous.KINDS, "outcome": STATES[2:], "paused": ACTIVITIES, "reason": REASONS,
        "role": (*roles.ROLES, *METER_ROLES), "scopes": roles.SCOPES, "side": ("bid", "ask"), "source": SOURCES,
        "status": STATUS_WORDS.values(),
    }  # fmt: skip
    for field, its in words.items():
        missing = [each for each in its if not FORMS[field](each)]
        assert not missing, (field, missing)


def test_a_login_at_the_machine_is_a_pseudonym_that_the_store_forgets(app: App) -> None:
    with app.store.write() as session:
        for _ in range(2):
            log.record_act(session, "something_done", "dora", 1, {"wallet": WALLET})
        actors = set(session.scalars(select(Act.actor)))
    assert len(actors) == 1
    (actor,) = actors
    with app.store.write() as session:
        assert gate.name_of(session, actor) == "dora"
        assert dangerous.behind(session, actor) is not None
        session.execute(delete(LogName))
    with app.store.read() as session:
        assert gate.name_of(session, actor) is None
        assert b"dora" not in every_leaf(session)


def test_a_reason_stays_in_the_store_and_the_log_holds_to_it(app: App) -> None:
    said = {"meter_id": HASH, "reason": "Dora moved out"}
    with app.store.write() as session:
        index = log.record_act(session, "meter_suspended", "settlement", 1, said)
    with app.store.read() as session:
        act, kept = session.get_one(Act, index), session.get_one(ActWords, index)
        assert act.data == {"meter_id": HASH, gate.DIGEST: gate.reason_digest(kept.salt, "Dora moved out")}
        assert gate.words_of(session, act) == "Dora moved out"
        assert b"Dora" not in every_leaf(session)


def test_an_act_of_an_earlier_release_is_read_as_it_stands(app: App) -> None:
    with app.store.write() as session:
        session.add(
            Act(log_index=9, kind="gateway_revoked", actor="x", time=1, data={"gateway": "gw-1", "reason": "old"})
        )
        session.add(Gateway(name="gw-1"))
    with app.store.write() as session:
        act = session.get_one(Act, 9)
        assert gate.words_of(session, act) == "old"
        assert gate.is_gateway(session, act.data["gateway"], "gw-1")
        assert gate.is_gateway(session, gate.gateway_of(session, "gw-1"), "gw-1")
        assert not gate.is_gateway(session, gate.gateway_of(session, "gw-2"), "gw-1")


def test_a_reason_that_is_printed_on_a_bill_names_no_gateway_either(app: App) -> None:
    said = {"bill": 1, "line": 1, "amount": 1, "wallet": WALLET, "reason": "the meter at dorm-a stood still"}
    with app.store.write() as session:
        session.add(Gateway(name="dorm-a"))
    with app.store.write() as session, pytest.raises(NamesSomebodyError):
        log.record_act(session, "bill_corrected", "settlement", 1, said)


def test_parameters_have_names_that_the_gate_knows() -> None:
    assert {field.name for field in fields(ParameterSettings)} <= WITHIN
