"""The Python client against served authorities: what it reads and writes, pages, keeps, waits for and refuses to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, redirect, request
from free_ports import free_port
from kwh_site import opened
from people_site import PeopleSite, build
from sample_month import issue
from scripts import loaded
from served import served
from solders.pubkey import Pubkey

from authority.api import gate, idempotency
from authority.app import App
from authority.client import (
    AnswerMalformedError,
    AuthorityAwayError,
    CampusClient,
    ClientError,
    ProblemError,
    schemas,
)
from authority.client.values import decoded, encoded
from authority.people import records, tokens
from authority.people.errors import KeyInFlightError
from authority.people.limits import Bucket
from authority.people.roles import MEMBER, READ_ENERGY, READ_MONEY, WRITE_TRADING
from authority.store.persons import Person

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs/examples/own_bills.py"


@pytest.fixture
def store_url() -> str:
    return ""


@dataclass
class Watched:
    """A served site, and the statuses of what it answered."""

    site: PeopleSite
    address: str = ""
    answered: list[tuple[str, int]] = field(default_factory=list)

    def client(self, *scopes: str, role: str = MEMBER, **options: Any) -> CampusClient:
        """A client with a new token of that role's person; without scopes, of a stranger."""
        token = ""
        if scopes:
            with self.site.app.store.write() as session:
                owner = records.principal(session, self.site.people[role], "s", self.site.app.clock())
                token = tokens.make(session, owner, "client", scopes, 30, self.site.app.clock())[1]
        return CampusClient(self.address, token, **options)

    def issue(self, number: int, due: int = 1_000_000) -> None:
        """A bill of the member's."""
        issue(self.site.app, self.site.members["Dormitory A"].wallet, number, due)


@pytest.fixture
def watch(app: App) -> Iterator[Callable[[], Watched]]:
    """Serves a site, as it is set by then."""
    with ExitStack() as stack:

        def serve() -> Watched:
            made = Watched(build(app))

            @made.site.flask.after_request
            def note(response: Any) -> Any:
                made.answered.append((request.path, response.status_code))
                return response

            made.address = stack.enter_context(served(made.site.flask))
            return made

        yield serve


def test_what_is_read_is_typed(watch: Callable[[], Watched]) -> None:
    watched = watch()
    watched.issue(7, -2_500_000)
    client = watched.client(READ_ENERGY, READ_MONEY)
    me = client.get_me()
    assert (me.member, me.roles, me.wallet) == (
        "Dormitory A", ("member",), watched.site.members["Dormitory A"].wallet,
    )  # fmt: skip
    assert Pubkey.from_string(me.wallet or "")
    day = date(2026, 6, 20)
    energy = client.get_my_energy(from_=day, to=day + timedelta(days=1), step="day")
    assert [step.starts[:10] for step in energy.steps] == ["2026-06-20", "2026-06-21"]
    assert isinstance(energy.total, schemas.EnergyStep)
    assert energy.total.flows is None
    (bill,) = client.list_my_bills().bills
    assert (bill.number, bill.due_micro_credits, bill.payment_state) == (7, -2_500_000, "open")
    assert client.get_my_bill(7) == {"number": 7}
    assert client.get_my_energy_csv(from_=day).startswith(b"starts,")
    stranger = CampusClient(watched.address)
    assert stranger.get_market_prices(step="month").step == "month"
    assert stranger.get_status()


def test_a_list_is_gone_through_page_by_page_while_it_grows(watch: Callable[[], Watched]) -> None:
    watched = watch()
    for number in range(1, 121):
        watched.issue(number)
    told = []
    for bill in watched.client(READ_MONEY).iterate_my_bills():
        told.append(bill.number)
        if len(told) % 40 == 0:
            watched.issue(200 + len(told))
    assert told == list(range(120, 0, -1))
    assert watched.answered == [("/api/v1/me/bills", 200)] * 3


def test_what_has_not_changed_is_not_sent_again(watch: Callable[[], Watched]) -> None:
    watched = watch()
    client = watched.client(READ_MONEY, WRITE_TRADING)
    first = client.get_my_standing_order()
    assert client.get_my_standing_order() == first
    assert [status for _, status in watched.answered] == [200, 304]
    wanted = schemas.StandingInput(sell_at=first.lowest_price + 1_000, paused=True)
    assert client.set_my_standing_order(wanted).paused
    assert client.get_my_standing_order().sell_at == wanted.sell_at
    client.end_my_standing_order()
    assert not client.get_my_standing_order().exists
    assert [status for _, status in watched.answered] == [200, 304, 200, 200, 204, 200]


def test_a_hasty_program_waits_as_long_as_it_is_told(
    watch: Callable[[], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "READS_AT_ONCE", 3)
    monkeypatch.setattr(gate, "READ_SECONDS", 0.6)
    passed = [0.0]

    def monotonic() -> float:
        passed[0] += 0.001  # a request takes this long, however busy the machine is
        return passed[0]

    monkeypatch.setattr(gate, "Bucket", partial(Bucket, monotonic=monotonic))
    watched, waited = watch(), list[float]()

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        passed[0] += seconds

    client = watched.client(READ_ENERGY, sleep=sleep)
    for _ in range(4):
        assert client.get_me().member == "Dormitory A"
    assert [status for _, status in watched.answered] == [200, 304, 304, 429, 304]
    assert waited == [1.0], "Retry-After is in whole seconds"
    impatient = watched.client(READ_ENERGY, longest_wait=0.5)
    for _ in range(3):
        impatient.get_me()
    with pytest.raises(ProblemError) as caught:
        impatient.get_me()
    assert (caught.value.status, caught.value.retry_after) == (429, 1.0)


def test_a_call_whose_first_try_is_under_way_still_is_asked_again(
    watch: Callable[[], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a lost answer, or a server that was restarted between the call's doing and its answer."""
    watched, waited = watch(), list[float]()
    under_way = [True, True, False]

    def first(*_: Any) -> None:
        if under_way.pop(0):
            raise KeyInFlightError

    monkeypatch.setattr(idempotency, "first", first)
    client = watched.client(READ_MONEY, WRITE_TRADING, sleep=waited.append)
    assert client.set_my_standing_order(schemas.StandingInput(sell_at=120_000)).sell_at == 120_000
    assert [status for _, status in watched.answered] == [409, 409, 200]
    assert waited == [10.0, 10.0]
    assert sum([10.0] * 4) > idempotency.DEAD_SECONDS, "the tries of a call outlast a process that died over it"


def test_a_problem_is_an_exception_with_its_code(watch: Callable[[], Watched]) -> None:
    watched = watch()
    client = watched.client(READ_MONEY)
    with pytest.raises(ProblemError) as caught:
        client.get_my_bill(99)
    problem = caught.value
    assert (problem.status, problem.code, problem.title) == (404, "not_found", "Not Found")
    assert problem.detail == "you have no bill 99"
    assert str(problem) == "you have no bill 99 [not_found]"
    with pytest.raises(ProblemError, match=r"\[scope_missing\]"):
        client.get_my_energy()
    with pytest.raises(ProblemError, match=r"\[not_authenticated\]"):
        CampusClient(watched.address).get_me()
    with pytest.raises(ProblemError, match=r"\[malformed\]"):
        client.list_my_bills(cursor=-1)
    assert [status for _, status in watched.answered] == [404, 403, 401, 400], "none of them is tried again"


def test_what_is_not_there_just_now_is_tried_again_where_that_does_no_harm(watch: Callable[[], Watched]) -> None:
    watched, waited = watch(), list[float]()  # whose validator does not answer
    client = watched.client(READ_MONEY, WRITE_TRADING, tries=4, sleep=waited.append)
    order = schemas.OrderInput(side="bid", price_micro_credits_per_kwh=250_000, quantity_wh=1_500)
    with pytest.raises(ProblemError, match=r"\[chain_away\]"):
        client.get_my_balances()
    assert waited == [0.5, 1.0, 2.0]
    with pytest.raises(ProblemError, match=r"\[chain_away\]"):
        client.place_my_order(order)
    assert len(waited) == 6, "it has an Idempotency-Key"
    with pytest.raises(ProblemError, match=r"\[chain_away\]"):
        client.preview_my_order(order)
    assert len(waited) == 9
    away = CampusClient(f"http://127.0.0.1:{free_port()}", "campus_x", sleep=waited.append, tries=2)
    with pytest.raises(AuthorityAwayError, match="gave no answer"):
        away.get_me()
    assert len(waited) == 10
    with pytest.raises(AuthorityAwayError):
        away.preview_my_order(order)
    assert len(waited) == 11, "nobody knows whether it arrived, and its key makes that harmless"


@pytest.mark.slow
def test_an_order_is_given_once_for_its_key(tmp_path: Path) -> None:
    with opened(tmp_path, members="ABCD", trades=True) as site, served(site.flask) as address:
        with site.campus.app.store.write() as session:
            person = session.query(Person).filter_by(login="other@campus.example").one()
            owner = records.principal(session, person, "s", site.campus.app.clock())
            token = tokens.make(
                session, owner, "client", [READ_MONEY, WRITE_TRADING], 30, site.campus.app.clock()
            )[1]  # fmt: skip
        client = CampusClient(address, token)
        assert client.get_running_book().epoch == site.campus.epoch
        order = schemas.OrderInput(side="bid", price_micro_credits_per_kwh=130_000, quantity_wh=500)
        locked = client.preview_my_order(order).locks_micro_credits
        given = client.place_my_order(order, key="order of the client")
        assert given == client.place_my_order(order, key="order of the client")
        with pytest.raises(ProblemError, match=r"\[idempotency_key_reused\]"):
            client.place_my_order(
                schemas.OrderInput(side="bid", price_micro_credits_per_kwh=130_000, quantity_wh=501),
                key="order of the client",
            )
        assert client.place_my_order(order).id != given.id, "a fresh key is another order"
        assert [each.state for each in client.iterate_my_hand_orders()] == ["waiting", "waiting"]
        site.campus.worker().settle_down()
        orders = client.get_my_orders().open
        assert len([each for each in orders if each.quantity_wh == 500]) >= 2
        assert locked > 0
        assert client.cancel_my_order(orders[-1].number).act == "cancel"
        fills = list(client.iterate_my_fills())
        assert fills
        assert [each.epoch for each in fills] == sorted((each.epoch for each in fills), reverse=True)


def test_a_token_stays_with_its_service() -> None:
    for wrong in ("energy.example", "ftp://energy.example", "https://", ""):
        with pytest.raises(ValueError, match="is no address"):
            CampusClient(wrong)
    with pytest.raises(ValueError, match="https alone"):
        CampusClient("http://energy.example", "campus_x")
    assert CampusClient("http://energy.example")
    assert "campus_x" not in repr(vars(CampusClient("https://energy.example", "campus_x")))
    elsewhere, seen = Flask("elsewhere"), list[str]()
    lures = Flask("lures")

    @elsewhere.route("/<path:_>")
    def caught(_: str) -> str:
        seen.append(request.headers["Authorization"])
        return "{}"

    with served(elsewhere) as other, served(lures) as address:
        lures.add_url_rule("/<path:_>", "away", lambda _: redirect(f"{other}/api/v1/me"))
        with pytest.raises(ClientError):
            CampusClient(address, "campus_x").get_me()
    assert seen == []


def test_values_are_what_the_schemas_say_or_are_refused() -> None:
    fill = {
        "epoch": 1, "ended_at": 900, "side": "bid", "filled_wh": 3, "price_micro_credits_per_kwh": 4,
        "amount_micro_credits": 5, "refund_micro_credits": 7, "returned_wh": 0, "book_leaf": 6, "clearing_leaf": None,
        "transaction": None,
    }  # fmt: skip
    page = decoded(schemas.Fills, {"fills": [{**fill, "from_a_newer_service": 1}], "next": None})
    assert page == schemas.Fills(fills=(schemas.Fill(**fill),), next=None)  # type: ignore[arg-type]
    assert decoded(schemas.Fill, {**fill, "side": "swap"}).side == "swap"
    for wrong in ({**fill, "epoch": "1"}, {**fill, "epoch": True}, {**fill, "side": None}, [fill], {"epoch": 1}):
        with pytest.raises(AnswerMalformedError):
            decoded(schemas.Fill, wrong)
    for kind, value in ((date, "2026-02-30"), (date, 20260601), (date | None, ""), (dict[str, int], {"a": None})):
        with pytest.raises(AnswerMalformedError):
            decoded(kind, value)
    assert encoded(schemas.StandingInput(sell_at=5)) == {"sell_at": 5, "reserve_wh": 0, "paused": False}
    assert encoded({"day": date(2026, 6, 1), "some": (1, None)}) == {"day": "2026-06-01", "some": [1, None]}


@pytest.mark.parametrize("body", ["", "<html>", "[" * 100_000, "[]", '{"member": 1}'])
def test_an_answer_that_is_none_of_the_service_is_refused(body: str) -> None:
    elsewhere = Flask("elsewhere")
    elsewhere.add_url_rule("/<path:_>", "page", lambda _: body)
    with served(elsewhere) as address, pytest.raises(AnswerMalformedError):
        CampusClient(address).get_me()


def test_the_example_runs(watch: Callable[[], Watched]) -> None:
    watched = watch()
    watched.issue(1, 2_500_000)
    with watched.site.app.store.write() as session:
        owner = records.principal(session, watched.site.people[MEMBER], "s", watched.site.app.clock())
        token = tokens.make(session, owner, "example", [READ_ENERGY, READ_MONEY], 30, watched.site.app.clock())[1]
    environment = {**os.environ, "CAMPUS_TOKEN": token}
    command = [sys.executable, str(EXAMPLE), watched.address]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["Dormitory A", "bill 1: 2.50 credits, 2.50 of it open"]
    assert len(lines) == 2 + 7
    assert lines[-1].endswith("used unknown, bought 0 Wh")
    environment["CAMPUS_TOKEN"] = "campus_x"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "[not_authenticated]" in done.stderr) == (1, True)


def test_it_needs_the_standard_library_alone(tmp_path: Path) -> None:
    (tmp_path / "authority").mkdir()
    shutil.copytree(ROOT / "authority/client", tmp_path / "authority/client")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from authority.client import CampusClient as C; C('https://e')"
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, timeout=60)


def test_it_is_what_the_description_makes_of_it() -> None:
    maker = loaded("docs/site/client.py")
    description = maker.description()
    for path, text in maker.files(description).items():
        assert path.read_text(encoding="utf-8") == text, "make docs writes the client again"
    scoped = [
        operation["operationId"]
        for path, methods in description["paths"].items()
        if path.startswith("/api/v1/")  # OpenADR's calls have clients of their own
        for operation in methods.values()
        if any("token" in each for each in operation.get("security", ()))
    ]
    assert len(scoped) > 40
    assert [name for name in scoped if not hasattr(CampusClient, name)] == []
    assert not hasattr(CampusClient, "make_my_token"), "no token makes tokens"
    assert not hasattr(CampusClient, "stream_campus")
