"""What a member's pages say of its standing order, its credits and its bills, over a campus on a real validator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from flask import render_template_string
from kwh_site import KwhSite, opened
from sqlalchemy import select

from authority.api.order_state import OrderState
from authority.people.roles import MEMBER
from authority.store.people import User
from authority.store.settlement import Alert

BUYER = "other"
"""Member C, who has credits, an order that buys and one in the book."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KwhSite]:
    with opened(tmp_path_factory.mktemp("campus"), members="ABCD", trades=True) as found:
        order = {"side": "bid", "quantity": "0.5", "price": "0.13", "act": "place", "key": "by hand 1"}
        given = found.client(BUYER).post("/me/trading/orders", data=found.form(BUYER, **order))
        assert given.status_code == 303, given.text
        found.campus.worker().settle_down()
        yield found


def page(site: KwhSite, path: str, who: str = BUYER) -> str:
    """A page's text, without its tags."""
    answer = site.client(who).get(path)
    assert answer.status_code == 200, answer.text
    return words(answer.text)


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_an_open_order_has_its_number(site: KwhSite) -> None:
    number = site.client(BUYER).get("/api/v1/me/orders").json["open"][0]["number"]
    row = re.search(r"<tbody>\s*<tr>(.*?)</tr>", site.client(BUYER).get("/me/trading").text, re.DOTALL)
    assert row is not None
    assert f'<td class="right wide">{number}</td>' in row[1]
    assert f"Number: {number}</span>" in row[1], "on a phone"


def test_what_the_market_refuses_is_told_on_both_pages(site: KwhSite) -> None:
    wallet = str(site.campus.wallets["C"])
    alert = {"code": "UserNotActive", "subject": f"bid of {wallet}", "message": "x", "count": 3}
    with site.campus.app.store.write() as session:
        session.add(Alert(**alert, first_at=1, last_at=1))
    try:
        for path in ("/me", "/me/trading"):
            told = page(site, path)
            assert "Nothing is bought: the market refuses the order. The reason: your account is suspended." in told
            assert "change the order" in told
    finally:
        with site.campus.app.store.write() as session:
            session.delete(session.get_one(Alert, (alert["code"], alert["subject"])))
    assert "Nothing is bought" not in page(site, "/me")


def held_up(site: KwhSite, state: OrderState, **order: Any) -> str:
    """What is told of a standing order that buys and sells."""
    standing = {"exists": True, "paused": False, "reserve_wh": 0, **order}
    source = "{% from 'order_state.html' import held_up with context %}{{ held_up(standing, state, '') }}"
    with site.flask.test_request_context("/me"):
        return words(render_template_string(source, standing=standing, state=state))


def test_an_order_without_credits_or_energy_says_so_and_what_to_do(site: KwhSite) -> None:
    told = held_up(site, OrderState(signs_here=True, credit=0))
    assert told == "Nothing is bought: you have no credits. How to get credits"
    assert "you have 0.002 credits" in held_up(site, OrderState(signs_here=True, credit=2_000))
    assert "you have 0.050 kWh in free" in held_up(site, OrderState(signs_here=True, energy=50))
    assert "and keep 0.200 kWh" in held_up(site, OrderState(signs_here=True, energy=50), reserve_wh=200)
    assert "account is suspended" in held_up(site, OrderState(signs_here=True, suspended=True))
    assert held_up(site, OrderState(signs_here=True, credit=0), paused=True) == ""
    assert held_up(site, OrderState(signs_here=True)) == ""


def test_money_says_how_credits_are_got_and_cashed(site: KwhSite) -> None:
    told = page(site, "/me/money", MEMBER)
    assert "How to get credits" in told
    assert "credits for A" in told
    assert "Where you are paid" in told
    assert "You hold your wallet's key yourself" not in told


def test_an_order_rests_once_the_wallet_is_the_member_s_own(site: KwhSite) -> None:
    with site.campus.app.store.write() as session:
        user = session.scalars(select(User).where(User.name == "C")).one()
        kept, user.sealed_key = user.sealed_key, None
    try:
        for path in ("/me", "/me/trading"):
            told = page(site, path)
            assert "It rests: Buy what I lack" in told
            assert "nobody here can sign this order" in told
        assert "give them at My wallet" in page(site, "/me/trading")
        options = re.findall(r'<option value="(\d+)">\s*Order', site.client(BUYER).get("/me/wallet").text)
        open_ = site.client(BUYER).get("/api/v1/me/orders").json["open"]
        assert options == [str(each["number"]) for each in open_ if each["epoch"] == site.campus.epoch]
        assert options
        assert "your wallet has to give the credits back" in page(site, "/me/money")
    finally:
        with site.campus.app.store.write() as session:
            session.get_one(User, user.id).sealed_key = kept
