"""What two people agreed on reaches a real chain by a command with the authority's key, once, and only as agreed."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from people_site import sign_in
from sample_campus import Source
from solders.keypair import Keypair
from sqlalchemy import select

from authority.api.feed import CampusFeed
from authority.app import App, system_clock
from authority.chain.client import ChainClient
from authority.governance import acts
from authority.home.errors import KeyWithheldError
from authority.home.home import Home
from authority.home.settings import PeopleSettings
from authority.people import records
from authority.people.proposals import LOCK_NAME
from authority.people.roles import AUTHORITY
from authority.store.log import Act
from authority.store.persons import Proposal
from authority.web.application import People, create_app

pytestmark = pytest.mark.finding("ops-5")
REASON = ("--reason", "as the board decided")


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def agreed(app: App, run: Any) -> Callable[..., str]:
    """Ada proposes and Grace approves, both of the authority, by commands; the proposal's id."""
    with app.store.write() as session:
        for name in ("ada", "grace"):
            person = records.add(session, f"{name}@campus.example", f"{name} of the authority", now=1)
            records.grant(session, person, AUTHORITY, by="test", now=1)

    def agree(*words: str) -> str:
        made = run("approvals", "propose", *words, *REASON, "--person", "ada@campus.example")
        assert "same_person" in run("approvals", "approve", made["id"], "--person", "ada@campus.example", exits=1)
        approved = run("approvals", "approve", made["id"], "--person", "grace@campus.example")
        assert approved["state"] == "approved", "no key is needed to approve, and none is used"
        return str(made["id"])

    return agree


def acts_of(app: App, kind: str) -> list[Act]:
    with app.store.read() as session:
        return list(session.scalars(select(Act).where(Act.kind == kind)))


def state(app: App, id: str) -> tuple[str, str]:
    with app.store.read() as session:
        row = session.get_one(Proposal, id)
        return row.state, row.told


def test_parameters_are_staged_once_as_they_were_approved(
    app: App, chain: ChainClient, run: Any, agreed: Callable[..., str]
) -> None:
    before = acts.read(chain)
    words = ["parameters", "--feed-in-price", "90000", "--from-epoch", str(before.epoch + 60)]
    refused = run("approvals", "propose", "parameters", "--feed-in-price", "300001", *REASON, "--person", "x", exits=1)
    assert "person_unknown" in refused
    id = agreed(*words)
    assert acts.read(chain).staged is None
    assert [each["id"] for each in run("approvals", "run", "--dry-run")["proposals"]] == [id]
    assert acts.read(chain).staged is None
    told = run("approvals", "run")
    assert [each["state"] for each in told["proposals"]] == ["done"]
    now = acts.read(chain)
    assert now.staged is not None
    assert (now.staged["feed_in_price"], now.staged_from) == (90_000, before.epoch + 60)
    assert run("approvals", "run")["proposals"] == []
    run("approvals", "run", id)
    (staged,) = acts_of(app, "parameters_staged")
    with app.store.read() as session:
        assert staged.actor == session.get_one(Proposal, id).proposed_by
    assert len(acts_of(app, "proposal_done")) == 1
    # broken off after the chain took it: the same command finds it done, and stages nothing again
    with app.store.write() as session:
        session.get_one(Proposal, id).state = "approved"
    assert [each["state"] for each in run("approvals", "run")["proposals"]] == ["done"]
    assert len(acts_of(app, "parameters_staged")) == 1


def test_what_changed_since_is_not_done_and_the_others_go_on(
    app: App, chain: ChainClient, run: Any, agreed: Callable[..., str]
) -> None:
    epoch = acts.read(chain).epoch
    id = agreed("parameters", "--feed-in-price", "90000", "--from-epoch", str(epoch + 60))
    other = agreed_operator = str(Keypair().pubkey())
    second = run("approvals", "propose", "operator", other, *REASON, "--person", "grace@campus.example")["id"]
    run("approvals", "approve", second, "--person", "ada@campus.example")
    run("parameters", "stage", "--wheeling", "30000", "--from-epoch", str(epoch + 50))  # a command acts alone here
    refused = run("approvals", "run", exits=1)
    assert "proposal_changed" in refused
    assert state(app, id)[0] == "failed"
    assert "staged meanwhile" in state(app, id)[1]
    assert state(app, second) == ("done", "")
    assert acts.read(chain).operator == agreed_operator
    now = acts.read(chain)
    assert now.staged is not None
    assert now.staged["feed_in_price"] == now.parameters["feed_in_price"]


def test_another_authority_is_proposed_by_two_and_everywhere_means_commands_too(
    app: App, chain: ChainClient, run: Any, agreed: Callable[..., str]
) -> None:
    app.home.save(replace(app.home.settings, people=PeopleSettings("everywhere")))
    new = str(Keypair().pubkey())
    epoch = acts.read(chain).epoch
    for words, how in (
        (("handover", "propose", new), "propose handover"),
        (("operator", "set", new, *REASON), "propose operator"),
        (("parameters", "stage", "--feed-in-price", "1", "--from-epoch", str(epoch + 9)), "propose parameters"),
        (("upgrade", "announce"), "propose upgrade"),
    ):
        refused = run(*words, exits=1)
        assert "two_people_needed" in refused
        assert how in refused
    assert "nothing_to_change" in run(
        "approvals", "propose", "upgrade", *REASON, "--person", "ada@campus.example", exits=1
    )
    id = agreed("handover", new)
    run("approvals", "run", id)
    assert state(app, id) == ("done", "")
    (proposed,) = acts_of(app, "authority_proposed")
    assert proposed.data["pending"] == new
    assert run("parameters", "cancel")["cancelled"] is None, "taking back what is staged takes one person"


def test_a_lost_role_a_dead_chain_and_a_second_command(
    app: App, chain: ChainClient, run: Any, agreed: Callable[..., str], validator: Any
) -> None:
    epoch = acts.read(chain).epoch
    id = agreed("parameters", "--feed-in-price", "90000", "--from-epoch", str(epoch + 60))
    with (app.home.path / LOCK_NAME).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "already_running" in run("approvals", "run", exits=1)
    with pytest.raises(KeyWithheldError):
        _ = Home.open(app.home.path, "web").authority
    validator.stop()
    assert run("approvals", "run", id, exits=1)
    assert state(app, id)[0] == "approved", "a chain that does not answer decides nothing"
    with app.store.write() as session:
        records.withdraw(session, records.find(session, "grace@campus.example"), AUTHORITY, by="test", now=2)
    validator.start()
    refused = run("approvals", "run", id, exits=1)
    assert "role_missing" in refused
    assert state(app, id)[0] == "failed"
    assert acts_of(app, "parameters_staged") == []


def test_the_pages_propose_and_approve_parameters_and_say_what_to_type(app: App, chain: ChainClient, run: Any) -> None:
    source, now = Source(), replace(app, clock=system_clock)  # as the commands have it
    flask = create_app(source, feed=CampusFeed(source), people=People(now, lambda: ChainClient(app.home.rpc_url)))
    (ada, one, ada_token), (_, other, token) = (sign_in(now, flask, AUTHORITY) for _ in range(2))
    shown = one.get("/approvals").text
    assert re.search(r"feed-in price, now 0\.080?\b", shown.lower())
    form = {"form_token": ada_token, "kind": "parameters", "reason": "new tariff", "days": "3"}
    for wrong, status, words in (
        ({"feed_in_price": "0.31"}, 409, "must not be above"),
        ({"feed_in_price": "x"}, 400, "write a number"),
        ({"fee_bps": "0.005"}, 400, "2 decimals"),
        ({"days": "366"}, 400, "within 365 days"),
        ({}, 409, "say what is to change"),
    ):
        answer = one.post("/approvals", data={**form, **wrong})
        told = re.search(r'id="wrong">(.*?)</p>', answer.text)
        assert told is not None
        assert (answer.status_code, words in told[1].lower()) == (status, True), told[1]
    url = one.post("/approvals", data={**form, "feed_in_price": "0,09", "max_orders_per_member": "9"}).headers[
        "Location"
    ]
    with app.store.read() as session:
        proposal = session.scalars(select(Proposal)).one()
    assert proposal.proposed_by == ada.pseudonym
    assert proposal.data["changes"] == {"feed_in_price": [80_000, 90_000], "max_orders_per_member": [8, 9]}
    page = other.get(url).text
    assert re.search("0.08( credits per kWh)? \N{RIGHTWARDS ARROW} 0.09 credits per kWh", " ".join(page.split()))
    fields = {"form_token": token, "act": "approve", "confirm": "yes", "seen": proposal.digest.hex()}
    assert other.post(url, data=fields).status_code == 303
    assert f"authority approvals run {proposal.id}" in other.get(url).text
    assert acts.read(chain).staged is None
    assert run("approvals", "run", proposal.id)["proposals"][0]["state"] == "done"
    staged = acts.read(chain).staged
    assert staged is not None
    assert (staged["feed_in_price"], staged["max_orders_per_member"]) == (90_000, 9)
    assert "is done" in one.get(url).text
