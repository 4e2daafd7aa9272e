"""Every amount on every page of members and treasurer is the chain's: of a tests' campus, and of a simulated month."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from billed_site import NAMES, billed
from chain_amounts import ChainAmounts, Known, figures, unknown
from people_site import SignedIn, application

from authority.app import App
from authority.billing import issuing
from authority.chain.client import ChainClient
from authority.chain.direct import DirectClient
from authority.log import log
from authority.people import records, sessions
from authority.people.roles import MEMBER, TREASURER
from authority.simulation import campus_home
from authority.simulation.clock import VirtualClock
from authority.simulation.scenario import Scenario
from authority.simulation.seeds import Seed
from authority.simulation.simulation import Out, Request, Simulation
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.market import StandingOrderPolicy
from authority.store.people import User

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MOST_PAGES = int(os.environ.get("EVERY_AMOUNT_PAGES", "50"))
"""Of a person, the nearest ones first; 1000 are all."""
HOURLY = "epoch_seconds = 3600\n[parameters]\nbilling_period_epochs = 672\n"


@dataclass
class Site(SignedIn):
    """Pages over a chain; a session of each member by its name, and of a treasurer."""

    app: App
    client_of_chain: ChainClient
    wallets: dict[str, str]


@pytest.fixture(scope="module")
def of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A billing period of four members, with epochs of a minute."""
    with billed(tmp_path_factory.mktemp("campus")) as made:
        wallets = {name: str(made.campus.wallets[name]) for name in NAMES}
        yield Site(made.flask, made.cookies, made.campus.app, made.campus.client, wallets)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Thirty days of six members in four buildings, with epochs of an hour; four weeks are billed."""
    path: Path = tmp_path_factory.mktemp("month") / "home"
    request = Request(30, 4, 6, 11, campus_home.start_of("2026-06-01"), Scenario.parse(HOURLY))
    with Out(path, request) as out:
        Simulation(request, out, lambda *_: None).run()
    home = campus_home.open_home(path, request.campus(), Seed(11), VirtualClock(request.end + 60))
    try:
        app, client, cookies = home.app, home.chain.client, {}
        issuing.close(app, issuing.open_book(app, client, only=0), 0, actor="test")
        issuing.issue(app, issuing.open_book(app, client, only=0), 0, actor="test")
        with app.store.write() as session:
            wallets = {user.name: user.wallet for user in session.query(User).all()}
            for number, name in enumerate((*wallets, TREASURER)):
                person = records.add(session, f"person-{number}@campus.example", name, now=app.clock())
                of = records.member_named(session, name) if name in wallets else None
                records.grant(session, person, MEMBER if of else name, by="test", now=app.clock(), member=of)
                cookies[name] = sessions.begin(session, person, "password", "Chrome on Linux", app.clock())
        flask = application(app, lambda: DirectClient(app.home.rpc_url, home.chain.bank))
        yield Site(flask, cookies, app, client, wallets)
    finally:
        home.close()


@pytest.fixture(params=["of_tests", "simulated"], scope="module")
def site(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def amounts(site: Site) -> ChainAmounts:
    with site.app.store.read() as session:
        leaves = [leaf.data for leaf in log.leaves(session, 0, log.size(session))]
    return ChainAmounts(site.client_of_chain, leaves)


def asked_for(site: Site, name: str) -> Known:
    """What no chain has: what a member wants of its standing order, and how much it may give away."""
    known, most = Known(), site.app.home.settings.transfers
    known.money(most.credits_a_day, most.sign_in_above_credits)
    known.energy(most.energy_a_day_wh, most.sign_in_above_wh)
    with site.app.store.read() as session:
        user = next(each for each in session.query(User).all() if each.wallet == site.wallets[name])
        policy = session.get(StandingOrderPolicy, user.id)
        if policy is not None:
            known.money(policy.sell_at or 0, policy.buy_at or 0)
            known.energy(policy.reserve_wh, policy.feed_in_above_wh or 0)
    return known


def pages(site: Site, who: str, *starts: str) -> dict[str, str]:
    """Every page below the first ones' paths to which links lead."""
    found: dict[str, str] = {}
    waiting = list(starts)
    while waiting and len(found) < MOST_PAGES:
        path = waiting.pop(0)
        if path in found:
            continue
        answer = site.client(who).get(path)
        if answer.mimetype != "text/html" or answer.status_code != 200:
            continue
        found[path] = str(answer.text)
        for link in re.findall(r'href="([^"#]+)', answer.text):
            url = urlsplit(unescape(link))
            inside = any(url.path == start or url.path.startswith(f"{start}/") for start in starts)
            elsewhere = "/lines/" in url.path  # test_bill_parts.py holds them against the bills
            if not url.netloc and inside and not elsewhere and not url.path.endswith((".pdf", ".csv", ".xlsx")):
                waiting.append(url.path + (f"?{url.query}" if url.query else ""))
    return found


def test_every_amount_on_every_page_of_a_member_is_the_chains(site: Site, amounts: ChainAmounts) -> None:
    wrong: dict[tuple[str, str], list[str]] = {}
    for name, wallet in site.wallets.items():
        known = amounts.member(wallet) | asked_for(site, name)
        seen = pages(site, name, "/me")
        assert {"/me", "/me/money", "/me/trading", "/me/bills"} <= set(seen)
        assert [path for path in seen if re.fullmatch(r"/me/bills/[0-9]+", path)]
        assert [path for path in seen if path.startswith("/me/energy")]
        for path, page in seen.items():
            days = re.fullmatch(r".*[?&]from=([0-9]{4}-[0-9-]+)&to=([0-9-]+)", path)
            its = known | amounts.days(wallet, *map(date.fromisoformat, days.groups())) if days else known
            if found := unknown(page, its):
                wrong[name, path] = found
        assert sum(1 for page in seen.values() for _ in figures(page)) > 100
    assert wrong == {}


def test_every_amount_on_every_page_of_the_treasurer_is_the_chains(site: Site, amounts: ChainAmounts) -> None:
    seen = pages(site, TREASURER, "/treasury")
    assert {"/treasury/periods/0", "/treasury/bills/1", "/treasury/credits"} <= set(seen)
    assert [path for path in seen if "/members/" in path], "bills as they come to so far"
    wrong = {path: found for path, page in seen.items() if (found := unknown(page, amounts.all))}
    assert wrong == {}
    assert sum(1 for page in seen.values() for _ in figures(page)) > 100


def test_an_amount_that_is_not_the_chains_is_found(site: Site, amounts: ChainAmounts) -> None:
    with site.app.store.read() as session:
        bill = session.get_one(IssuedBill, 1)
    who_of = {wallet: name for name, wallet in site.wallets.items()}
    places = (IssuedBill, 1, who_of[bill.wallet], "/me/bills"), (BillingPeriod, 0, TREASURER, "/treasury")
    for table, key, who, start in places:
        with site.app.store.write() as session:
            session.get_one(table, key).due += 1
        try:
            found = [path for path, page in pages(site, who, start).items() if unknown(page, amounts.all)]
        finally:
            with site.app.store.write() as session:
                session.get_one(table, key).due -= 1
        assert start in found
