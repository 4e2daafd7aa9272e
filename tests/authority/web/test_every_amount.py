"""Every amount on every page of members and treasurer, after a billing period of a simulated campus, is the chain's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlsplit

import pytest
from billed_site import NAMES, BilledSite, billed
from chain_amounts import ChainAmounts, Known, figures, unknown

from authority.log import log
from authority.people.roles import TREASURER
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.market import StandingOrderPolicy
from authority.store.people import User

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MOST_PAGES = 120


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BilledSite]:
    with billed(tmp_path_factory.mktemp("campus")) as made:
        yield made


@pytest.fixture(scope="module")
def amounts(site: BilledSite) -> ChainAmounts:
    with site.campus.app.store.read() as session:
        leaves = [leaf.data for leaf in log.leaves(session, 0, log.size(session))]
    return ChainAmounts(site.campus.client, leaves)


def asked_for(site: BilledSite, name: str) -> Known:
    """What no chain has: what a member wants of its standing order, and how much it may give away."""
    known, most = Known(), site.campus.home.settings.transfers
    known.money(most.credits_a_day, most.sign_in_above_credits)
    known.energy(most.energy_a_day_wh, most.sign_in_above_wh)
    with site.campus.app.store.read() as session:
        wallet = str(site.campus.wallets[name])
        user = next(each for each in session.query(User).all() if each.wallet == wallet)
        policy = session.get(StandingOrderPolicy, user.id)
        if policy is not None:
            known.money(policy.sell_at or 0, policy.buy_at or 0)
            known.energy(policy.reserve_wh, policy.feed_in_above_wh or 0)
    return known


def pages(site: BilledSite, who: str, *starts: str) -> dict[str, str]:
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
            if not url.netloc and inside and not url.path.endswith((".pdf", ".csv", ".xlsx")):
                waiting.append(url.path + (f"?{url.query}" if url.query else ""))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_amount_on_every_page_of_a_member_is_the_chains(
    site: BilledSite, amounts: ChainAmounts, name: str
) -> None:
    known = amounts.member(str(site.campus.wallets[name])) | asked_for(site, name)
    seen = pages(site, name, "/me")
    assert {"/me", "/me/money", "/me/trading", "/me/bills", f"/me/bills/{NAMES.index(name) + 1}"} <= set(seen)
    assert [path for path in seen if path.startswith("/me/energy")]
    wrong = {path: found for path, page in seen.items() if (found := unknown(page, known))}
    assert wrong == {}
    assert sum(1 for page in seen.values() for _ in figures(page)) > 100


def test_every_amount_on_every_page_of_the_treasurer_is_the_chains(site: BilledSite, amounts: ChainAmounts) -> None:
    seen = pages(site, TREASURER, "/treasury")
    assert {"/treasury/periods/0", "/treasury/bills/4", "/treasury/credits"} <= set(seen)
    assert [path for path in seen if "/members/" in path], "bills as they come to so far"
    wrong = {path: found for path, page in seen.items() if (found := unknown(page, amounts.all))}
    assert wrong == {}
    assert sum(1 for page in seen.values() for _ in figures(page)) > 100


def test_an_amount_that_is_not_the_chains_is_found(site: BilledSite, amounts: ChainAmounts) -> None:
    for table, key, who, start in ((IssuedBill, 4, "D", "/me/bills"), (BillingPeriod, 0, TREASURER, "/treasury")):
        with site.campus.app.store.write() as session:
            session.get_one(table, key).due += 1
        try:
            found = [path for path, page in pages(site, who, start).items() if unknown(page, amounts.all)]
        finally:
            with site.campus.app.store.write() as session:
                session.get_one(table, key).due -= 1
        assert start in found
