"""Top-ups and payouts asked for on the treasurer's page and booked by whoever has the keys, over the real programs."""

from __future__ import annotations

import threading

import pytest
from campus_fixtures import make_campus
from every_leaf import every_leaf
from people_site import sign_in
from sample_campus import Source
from sqlalchemy import select

from authority.api.feed import CampusFeed
from authority.billing import credit_requests, credits
from authority.chain.client import ChainClient
from authority.home.errors import KeyWithheldError
from authority.home.home import Home
from authority.home.keyring import OPERATOR
from authority.people.roles import TREASURER
from authority.store.billing import CreditRequest
from authority.store.log import Act
from authority.store.people import User
from authority.store.persons import Proposal
from authority.web.application import People, create_app
from authority.web.figures import credits as credits_text

__all__ = ["make_campus"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PLAN = (("D", "load", "load", "none", 0, 200_000_000, 0),)
MILLION = 1_000_000
PAID = {"member": "D", "way": "in", "amount": "5,25", "reference": "Transfer 17 of Dora"}


@pytest.fixture
def town(make_campus):
    return make_campus(PLAN)


class Page:
    def __init__(self, town):
        source = Source()
        flask = create_app(source, feed=CampusFeed(source), people=People(town.app, lambda: asking(town)))
        self.person, self.client, self.form_token = sign_in(town.app, flask, TREASURER)

    def text(self):
        return self.client.get("/treasury/credits").text

    def post(self, status, **fields):
        answer = self.client.post("/treasury/credits", data={"form_token": self.form_token, **fields})
        assert answer.status_code == status, answer.text
        return answer.text


def asking(town):
    return ChainClient(town.home.rpc_url, attempts=2)


def book(town):
    return credit_requests.book_waiting(town.app, town.client)


def test_a_transfer_is_previewed_asked_for_once_and_booked_in_the_treasurers_name(town):
    page = Page(town)
    assert "Nothing was booked yet" in page.text()
    for wrong, words in (
        ({"member": ""}, "Choose the member"),
        ({"member": "Zoe"}, "no member is called"),
        ({"way": ""}, "paid or is paid"),
        ({"amount": "0"}, "more than 0"),
        ({"amount": "x"}, "write a number"),
        ({"reference": " "}, "reference"),
    ):
        assert words.lower() in page.post(409, act="save", **{**PAID, **wrong}).lower().replace("&#39;", "'")
    assert "Nothing is booked yet" in page.post(200, act="preview", **PAID)
    assert book(town) == 0
    for _ in range(2):
        page.post(303, act="save", **PAID)
    assert "waiting" in page.text()
    assert town.credit("D") == 0
    assert [book(town), book(town)] == [1, 0]
    assert town.credit("D") == 5_250_000
    assert "booked already, for another" in page.post(409, act="save", **{**PAID, "amount": "6"})
    page.post(303, act="save", **{**PAID, "way": "out", "amount": "2", "reference": "Out 3"})
    more = {**PAID, "way": "out", "amount": "400", "reference": "Out 4"}
    for act in ("preview", "save"):
        assert "has 5.25 credits that are free, not 400.00 credits" in page.post(409, act=act, **more)
    previewed = page.post(200, act="preview", **{**more, "amount": "2"})
    assert "has 5.25 credits that are free" in previewed
    # what is gone meanwhile is refused when it is booked
    credit_requests.ask(town.app, "D", -400 * MILLION, "Out 4", None, actor=page.person.pseudonym)
    assert book(town) == 1
    assert town.credit("D") == 3_250_000
    told = page.text()
    assert "has 3.25 credits that are free, not 400.00 credits" in told
    assert told.count(">booked<") == 2
    assert told.count(">refused<") == 1
    with town.app.store.read() as session:
        acts = session.scalars(select(Act).where(Act.kind.in_(("credit_issued", "credit_redeemed")))).all()
        assert {(act.actor, act.data["amount"]) for act in acts} == {
            (page.person.pseudonym, 5_250_000),
            (page.person.pseudonym, 2 * MILLION),
        }
        assert b"Dora" not in every_leaf(session)
    # what was refused may be asked for again
    page.post(303, act="save", **{**PAID, "way": "out", "amount": "3.25", "reference": "Out 4"})
    assert book(town) == 1
    assert town.credit("D") == 0


def test_above_the_limit_the_amount_is_typed_again(town):
    page, big = Page(town), {**PAID, "amount": "2000"}
    assert "The amount again" in page.post(200, act="preview", **big)
    assert "type the amount again" in page.post(409, act="save", **big)
    assert "not the same" in page.post(409, act="save", again="200", **big)
    page.post(303, act="save", again="2000", **big)
    assert book(town) == 0, "another person has to approve it"
    _, client, form_token = sign_in(town.app, page.client.application, TREASURER)
    with town.app.store.read() as session:
        proposal = session.scalars(select(Proposal)).one()
    fields = {"form_token": form_token, "act": "approve", "seen": proposal.digest.hex(), "confirm": "yes"}
    shown = client.get(f"/approvals/{proposal.id}").text
    assert f"{credits_text(2_000 * MILLION)} credits" in shown
    assert "Transfer 17 of Dora" in shown
    assert client.post(f"/approvals/{proposal.id}", data=fields).status_code == 303
    assert book(town) == 1
    assert town.credit("D") == 2_000 * MILLION


def test_what_a_dead_validator_delays_is_booked_later_by_the_process_that_has_the_keys(town):
    with pytest.raises(KeyWithheldError):
        Home.open(town.home_path, "web").keys.path(OPERATOR)
    credit_requests.ask(town.app, "D", MILLION, "late", None, actor="person-1")
    away = ChainClient("http://127.0.0.1:9", attempts=1, timeout=1)
    assert credit_requests.book_waiting(town.app, away) == 0
    with town.app.store.read() as session:
        row = session.scalars(select(CreditRequest)).one()
        assert row.state == "waiting"
        assert row.told
        user = session.scalars(select(User)).one()
    stop = threading.Event()
    booking = threading.Thread(target=credit_requests.run, args=(town.app, lambda: asking(town), stop))
    booking.start()
    for _ in range(600):
        with town.app.store.read() as session:
            if session.scalars(select(CreditRequest.state)).one() == "booked":
                break
        stop.wait(0.05)
    stop.set()
    booking.join()
    assert town.credit("D") == MILLION
    # the same by command: the two know of each other
    assert credits.top_up(town.app, town.client, user, MILLION, "late", actor="x").state == "landed"
    assert town.credit("D") == MILLION
