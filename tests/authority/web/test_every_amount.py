"""Every amount on every page of members and treasurer is the chain's: of a tests' campus, and of a simulated month."""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from billed_site import NAMES, billed
from chain_amounts import DAY_KEY, MOVED, ChainAmounts, Known, figures, unknown
from people_site import SignedIn, application

from authority.app import App
from authority.billing import issuing
from authority.chain.accounts import EpochBook
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
from authority.web.member_pages import LINE_WORDS

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


FLOWS = {
    "made": "made_wh",
    "from the battery": "from_battery_wh",
    "drawn from the campus": "drawn_wh",
    "used": "used_wh",
    "into the battery": "into_battery_wh",
    "given to the campus": "given_wh",
}
COLUMNS = {"Made": "made_wh", "Used": "used_wh", "Drawn": "drawn_wh", "Given": "given_wh"}
TRADES = {"Sold, for credits": ("sold", "received"), "Bought, for credits": ("bought", "paid")}
BOOK_LEAF, QUARTER_SECONDS = 3, 900
DAYS_APART = 6
"""Of a member's days each so many are looked at one by one."""


def number(text: str, unit: int) -> int:
    """A figure in base units: of kWh a thousand, of credits a million."""
    found = re.sub(r"[^0-9.\u2212-]", "", unescape(text)).replace("\u2212", "-")
    return int(Decimal(found) * unit)


def cells(page: str) -> list[dict[str, str]]:
    """The rows of a page's first table, by the names of its columns; what phones alone show is taken out."""
    table = re.sub(
        r'<span class="on-phones">.*?</span></span>', "", page.partition("<table")[2].partition("</table>")[0]
    )
    head = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', table)
    rows = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody")[2].partition("</tbody>")[0], re.DOTALL)
    return [dict(zip(head, re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL), strict=True)) for row in rows]


def test_my_energy_stands_beside_its_own_words_and_below_its_own_heads(site: Site, amounts: ChainAmounts) -> None:
    told = 0
    for name, wallet in site.wallets.items():
        steps = amounts.steps(wallet)
        for key in sorted(each for each in steps if len(each) == DAY_KEY)[::DAYS_APART]:
            page = site.client(name).get(f"/me/energy?day={date(*key)}&table=1").text
            equation = re.findall(r"<b>([^<]+)</b><small>([^<]+)</small>", page)
            assert {words: number(value, 1_000) for value, words in equation} == {
                words: steps[key][field] for words, field in FLOWS.items() if words in dict(map(reversed, equation))
            }, (name, key)  # fmt: skip
            sums = re.search(r"Sold (.+?) for (.+?) credits, bought (.+?) for (.+?) credits", page)
            assert sums is not None
            assert [number(each, unit) for each, unit in zip(sums.groups(), (1_000, 1_000_000) * 2, strict=True)] == [
                steps[key][field] for field in ("sold", "received", "bought", "paid")
            ], (name, key)  # fmt: skip
            for row in cells(page):
                hour, minute = map(int, re.search(r"(\d\d):(\d\d)</time>", row["From"]).groups())  # type: ignore[union-attr]
                its = steps[*key, hour, minute // 15]
                quarters = [minute // 15]
                if amounts.epoch_seconds > QUARTER_SECONDS:  # an epoch counts in the quarter in which it begins
                    quarters = [] if minute else [0, 1, 2, 3]
                traded = Counter[str]()
                for quarter in quarters:
                    traded.update(steps[*key, hour, quarter])
                for head, field in COLUMNS.items():
                    if any(char.isdigit() for char in row[head]):
                        assert number(row[head], 1_000) == its[field], (name, key, row)
                for head, (energy, money) in TRADES.items():
                    first, second = row[head].split("<br>")
                    if any(char.isdigit() for char in first):
                        assert (number(first, 1_000), number(re.sub("<.*?>", "", second), 1_000_000)) == (
                            traded[energy], traded[money],
                        ), (name, key, row)  # fmt: skip
                        told += 1
    assert told > 10


def test_a_bills_lines_have_the_figures_of_their_own_kind(site: Site, amounts: ChainAmounts) -> None:
    kinds = set()
    for name, wallet in site.wallets.items():
        (path,) = (each for each in pages(site, name, "/me/bills") if re.fullmatch("/me/bills/[0-9]+", each))
        account = amounts.reference.accounts[0, wallet]
        wh: Counter[str] = Counter()
        credits: Counter[str] = Counter()
        for row in cells(site.client(name).get(path).text):
            words = unescape(re.sub(r"^\s*\d+\. ", "", re.split("<| its", row["For"])[0])).strip()
            (kind,) = (each for each, said in LINE_WORDS.items() if said == words)
            kinds.add(kind)
            wh[kind] += number(row["kWh"], 1_000) if row["kWh"] else 0
            credits[kind] += number(row["Credits"], 1_000_000) if row["Credits"] else 0
        for kind in ("withdrawn", "late_withdrawal", "retired", "bought", "sold", "fed_in"):
            assert wh[kind] == account.wh[kind], (name, kind)
        for kind in MOVED:
            assert credits[kind] == account.amount[kind], (name, kind)
        assert wh["remainder"] == sum(account.owed.values()), name
        assert credits["remainder"] == sum(energy * price // 1_000 for (price, _), energy in account.owed.items()), name
    assert {"withdrawn", "retired", "bought", "sold", "wheeling", "fee"} <= kinds


def test_the_treasurers_sums_stand_under_their_own_words(site: Site, amounts: ChainAmounts) -> None:
    page = site.client(TREASURER).get("/treasury/periods/0").text
    told = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page))
    its = [account for (period, _), account in amounts.reference.accounts.items() if period == 0]
    dues = [account.due for account in its]
    assert number(told["Drawn from the campus"], 1_000) == sum(
        account.wh["withdrawn"] + account.wh["late_withdrawal"] for account in its
    )
    assert number(told["Covered"], 1_000) == sum(account.wh["retired"] for account in its)
    assert number(told["Members pay"], 1_000_000) == sum(due for due in dues if due > 0)
    assert number(told["Members are paid"], 1_000_000) == -sum(due for due in dues if due < 0)


def test_the_markets_rows_have_the_price_and_volume_of_their_own_books(simulated: Site) -> None:
    with simulated.app.store.read() as session:
        leaves = [leaf.data for leaf in log.leaves(session, 0, log.size(session))]
    heads = [EpochBook.from_account(zlib.decompress(leaf[5:])) for leaf in leaves if leaf[0] == BOOK_LEAF]
    by_moment = {head.epoch * 3_600: head for head in heads}
    told = 0
    for day in sorted({moment // 86_400 for moment in by_moment})[::DAYS_APART]:
        page = simulated.client().get(f"/market?day={datetime.fromtimestamp(day * 86_400, UTC).date()}&table=1").text
        for row in cells(page):
            starts = re.search(r'datetime="([^"]+)"', row["From"])
            assert starts is not None
            head = by_moment.get(int(datetime.fromisoformat(starts[1]).timestamp()))
            if any(char.isdigit() and char != "0" for char in row["Traded"]):
                assert head is not None
                assert number(row["Traded"], 1_000) == head.volume
                assert number(row["Credits per kWh"], 1_000_000) == head.price
                told += 1
    assert told > 3


def test_the_indicators_stand_beside_their_own_words(simulated: Site) -> None:
    """Their two shares are those of the energies below them, which are the sums of what every member has."""
    page = simulated.client().get("/indicators?view=month&day=2026-06-10").text
    told = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page))
    made, used, drawn, given = (
        number(told[words], 1_000) for words in ("Made", "Used", "Drawn from the grid", "Given to the grid")
    )
    assert made > 0
    assert abs(number(told["Self-sufficiency"], 10) - 1_000 * (used - drawn) / used) <= 1
    assert abs(number(told["Self-consumption"], 10) - 1_000 * (made - given) / made) <= 60, "less what batteries lose"
