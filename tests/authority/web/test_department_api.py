"""The department's resources of the API: what its pages show, page by page, to the roles that have the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from billed_site import over
from people_site import PeopleSite, build
from solders.keypair import Keypair

from authority.api import held as held_api
from authority.app import App
from authority.cli import main
from authority.people import reads, records, tokens
from authority.people.roles import AUDITOR, OPERATOR, READ_AUDIT, READ_BILLING, READ_OPERATIONS, SCOPES, TREASURER
from authority.store.people import User
from authority.store.persons import Person


class Program:
    """A program of a person with a token: what it is answered at a path of /api/v1."""

    def __init__(self, app: App, flask: Any, login: str, scope: str) -> None:
        with app.store.write() as session:
            owner = records.principal(session, records.find(session, login), "s", app.clock())
            self._token = tokens.make(session, owner, "desk", [scope], 30, app.clock())[1]
        self._client = flask.test_client()

    def answer(self, path: str, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self._token}", **headers}
        return self._client.get(f"/api/v1{path}", headers=sent)

    def __call__(self, path: str) -> Any:
        found = self.answer(path)
        assert found.status_code == 200, found.text
        return found.json

    def all(self, path: str, rows: str) -> list[Any]:
        """All rows of a list, a page at a time."""
        told, cursor = [], ""
        while cursor is not None:
            page = self(f"{path}{'&' if '?' in path else '?'}{cursor}")
            told += page[rows]
            cursor = None if page["next"] is None else f"cursor={page['next']}"
        return told


def program(site: PeopleSite, role: str, scope: str) -> Program:
    return Program(site.app, site.flask, f"{role}@campus.example", scope)


@pytest.fixture
def store_url() -> str:
    return ""


def test_what_waits_and_what_is_held_is_what_the_operators_pages_show(
    operated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, asked = operated, program(operated, OPERATOR, READ_OPERATIONS)
    waiting = asked("/operations/waiting")
    assert {each["code"] for each in waiting["things"]} >= {"held", "validator_unreachable"}
    assert waiting["paused"] is None
    assert {each["meter"] for each in waiting["meters"]} >= {"gw-3/roof"}
    page = site.client(OPERATOR).get("/op").text
    assert all(f"<code>{each['code']}</code>" in page for each in waiting["things"])

    monkeypatch.setattr(held_api, "AT_ONCE", 1)
    rows = asked.all("/readings/held", "readings")
    assert len(rows) == waiting["readings_held"] > 0
    assert [each["log_index"] for each in rows] == sorted(each["log_index"] for each in rows)
    found = next(each for each in rows if each["log_index"] == site.held)
    assert {each["code"] for each in asked.all(f"/readings/held?code={found['code']}", "readings")} == {found["code"]}
    assert asked("/readings/held?code=nothing")["readings"] == []
    shown = asked(f"/readings/held/{site.held}")
    assert (shown["state"], shown["cause"], shown["decided_at"]) == ("held", found["cause"], None)
    now = {each["register"]: each["now_wh"] for each in shown["registers"]}
    assert now == {name: found[f"{name}_wh"] for name in now}
    again = asked.answer("/readings/held", **{"If-None-Match": asked.answer("/readings/held").headers["ETag"]})
    assert again.status_code == 304
    assert asked.answer("/readings/held/999999").status_code == 404
    assert "held readings" in {each["what"] for each in program(site, AUDITOR, READ_AUDIT)("/audit/access")["access"]}


def test_an_auditor_reads_the_log_by_kind_and_who_read_what(app: App) -> None:
    site = build(app)
    asked = program(site, AUDITOR, READ_AUDIT)
    made = asked.all("/log/leaves?kind=token_made", "leaves")
    assert len(made) == len(SCOPES) + 1
    assert {*made[0]["data"]} == {"scopes", "token"}
    assert {each["kind"] for each in asked("/log/leaves")["leaves"]} > {"token_made", "role_granted"}
    assert asked("/log/leaves?from=2031-01-01")["leaves"] == []
    assert asked.answer("/log/leaves?from=yesterday").status_code == 400
    access = asked("/audit/access")["access"]
    who = site.people[AUDITOR].pseudonym
    assert {(each["reader"], each["what"], each["subject"]) for each in access} == {
        (who, what, "everybody") for what in ("access", "log")
    }
    assert asked("/log/checkpoints") == {"checkpoints": [], "next": None}
    with app.store.write() as session:
        principal = records.principal(session, session.get_one(Person, site.people[AUDITOR].id), "s", app.clock())
    wallets = [str(Keypair.from_seed(bytes([number]) * 32).pubkey()) for number in range(120)]
    for wallet in wallets:
        reads.note(app.store, principal, "bill", wallet, app.clock())
    subjects = [each["subject"] for each in asked.all("/audit/access", "access")]
    assert [each for each in subjects if each in wallets] == wallets[::-1]


def test_payments_and_credits_are_told_to_treasurers(app: App) -> None:
    site = build(app)
    asked = program(site, TREASURER, READ_BILLING)
    assert asked("/billing/credits") == {"bookings": [], "next": None}
    refused = asked.answer("/billing/periods/1")
    assert (refused.status_code, refused.json["code"], "Retry-After" in refused.headers) == (503, "chain_away", False)
    assert asked("/billing/periods") == {"periods": [], "next": None, "due": None, "chain_away": True}
    assert asked.answer("/billing/bills/9").status_code == 404


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_periods_with_checklist_totals_and_bills_are_what_the_treasurers_pages_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("authority.api.billing.AT_ONCE", 2)
    with over(tmp_path) as site:
        app = site.campus.app
        asked = Program(app, site.flask, "treasurer@campus.example", READ_BILLING)
        periods = asked.all("/billing/periods", "periods")
        assert [each["period"] for each in periods] == list(range(len(periods) - 1, -1, -1))
        assert (periods[-1]["state"], asked("/billing/periods")["due"]) == ("ended", 0)
        found = asked("/billing/periods/0")
        assert found["checklist"]["can_close"], found
        bills = asked.all("/billing/periods/0/bills", "bills")
        assert len(bills) == found["totals"]["bills"] > 2
        assert sum(each["drawn_wh"] for each in bills) == found["totals"]["drawn_wh"] > 0
        assert {(each["number"], each["payment_state"]) for each in bills} == {(None, None)}
        assert asked.answer("/billing/periods/77").status_code == 404
        so_far = "/api/v1/me/bills/so-far?period=0"
        its = site.client("A").get(so_far).json
        assert [each["due_micro_credits"] for each in bills if each["wallet"] == its["member"]] == [its["due"]]
        assert "its bill is not issued yet" in site.client("A").get("/me/bills/so-far").text
        for act in ("close", "issue"):
            assert main(["billing", act, "0", "--home", str(site.campus.home_path)]) == 0, capsys.readouterr()
        assert site.client("A").get(so_far).status_code == 404
        assert "its bill is not issued yet" not in site.client("A").get("/me/bills/so-far").text
        issued = asked("/billing/periods/0")
        assert (issued["checklist"], issued["totals"]) == (None, found["totals"])
        rows = asked.all("/billing/periods/0/bills", "bills")
        assert [each["number"] for each in rows] == [*range(1, len(bills) + 1)]
        with app.store.read() as session:
            names = {user.wallet: user.name for user in session.query(User)}
        assert {each["member"] for each in rows} == {names[each["wallet"]] for each in rows}
        bill = asked("/billing/bills/1")
        assert (bill["document"]["number"], bill["standing"]["member"]) == (1, rows[0]["member"])
        assert bill["document"]["due"] == rows[0]["due_micro_credits"]
        unsettled = asked.answer("/billing/payments")
        assert unsettled.status_code in (200, 409), unsettled.text
