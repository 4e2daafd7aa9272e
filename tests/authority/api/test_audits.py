"""/api/v1/audit over real campuses: books and chain compared, bills computed again, by whom and how often."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from billing_campus import command_of, run_epochs, two_flats
from campus_fixtures import campus, make_campus, proxy
from people_site import PeopleSite, build
from sample_month import issue
from sqlalchemy import select

from authority.app import App
from authority.audit import comparing
from authority.audit.comparing import ComparisonRunningError
from authority.chain.client import ChainClient
from authority.cli import main
from authority.people import records, tokens
from authority.people.roles import AUDITOR, AUTHORITY, OPERATOR, READ_OPERATIONS, RUN_AUDITS, TREASURER
from authority.store.billing import IssuedBill
from authority.store.comparisons import BooksComparison
from authority.store.log import Act

__all__ = ["campus", "make_campus", "proxy"]


class Program:
    """A program of a person of a role, with a token."""

    def __init__(self, site: PeopleSite, role: str, *scopes: str) -> None:
        now = site.app.clock()
        with site.app.store.write() as session:
            owner = records.principal(session, site.people[role], "s", now)
            self._token = tokens.make(session, owner, "audits", scopes, 30, now)[1]
        self._client = site.flask.test_client()

    def __call__(self, path: str, method: str = "GET", key: str = "") -> Any:
        headers = {"Authorization": f"Bearer {self._token}", **({"Idempotency-Key": key} if key else {})}
        return self._client.open(f"/api/v1/audit{path}", method=method, headers=headers)

    def ended(self, path: str) -> Any:
        """What is said at a path once its run has ended."""
        while (told := self(path).json)["run"]["state"] == "running":
            time.sleep(0.05)
        return told


@pytest.fixture
def ended(make_campus: Any) -> Any:
    return two_flats(make_campus)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_books_are_compared_and_a_bill_is_computed_again_for_a_program(
    ended: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    billing = command_of(ended, capsys)
    billing("close", 0)
    billing("issue", 0)
    run_epochs(ended, ended.billed_by, ended.epoch + 2)
    site = build(ended.app, lambda: ChainClient(ended.validator.url), first_installation=90)
    auditor = Program(site, AUDITOR, READ_OPERATIONS, RUN_AUDITS)

    bills = auditor("/bills").json["bills"]
    assert [each["number"] for each in bills] == [2, 1]
    assert {each["member"] for each in bills} == {str(wallet) for wallet in ended.wallets.values()}
    assert auditor("/bills/2/again").json == {
        "number": 2, "again": None,
        "run": {"state": "idle", "started_at": None, "ended_at": None, "taken": 0, "of": 0, "message": ""},
    }  # fmt: skip
    started = auditor("/bills/2/again", "POST", "bill 2, first")
    assert (started.status_code, started.json["run"]["state"]) == (202, "running")
    busy = auditor("/bills/1/again", "POST", "bill 1, first")
    assert (busy.status_code, busy.json["code"], busy.headers["Retry-After"]) == (503, "audit_busy", "5")
    assert auditor("/bills/2/again", "POST", "bill 2, other").json["run"]["started_at"]
    again = auditor.ended("/bills/2/again")
    assert (again["run"]["state"], again["again"]["problems"]) == ("done", [])
    assert 0 < again["run"]["taken"] <= again["run"]["of"]
    assert again["again"]["issued_due_micro_credits"] == bills[0]["due_micro_credits"]
    assert {each["kind"] for each in again["again"]["figures"]} == {"withdrawn", "remainder"}
    assert all(each["same"] for each in again["again"]["figures"])
    repeated = auditor("/bills/2/again", "POST", "bill 2, first")
    assert (repeated.json, repeated.headers["Idempotency-Replayed"]) == (started.json, "true"), "not done twice"
    assert auditor("/bills/2/again").json == again

    with ended.app.store.write() as session:
        bill = session.get_one(IssuedBill, 1)
        bill.document = bill.document.replace(b'"due":', b'"due":1', 1)
    auditor("/bills/1/again", "POST", "bill 1, later")
    assert "is not the one whose hash is in the log" in auditor.ended("/bills/1/again")["again"]["problems"][0]
    assert auditor("/bills/2/again").json["run"]["state"] == "idle", "one result is kept, of the last"

    assert auditor("/comparisons").json == {"comparisons": [], "next": None}
    assert auditor("/comparisons", "POST", "once tonight").status_code == 202
    done = auditor.ended("/comparisons/run")
    assert done["run"]["state"] == "done", done
    assert auditor("/comparisons", "POST", "once tonight").status_code == 202
    assert auditor("/comparisons/run").json == done, "not done twice"
    found = auditor(f"/comparisons/{done['comparison']}").json
    assert found["differences"] == len(found["found"]) > 0
    assert "bill 1" in {each["where"] for each in found["found"]}
    assert auditor("/comparisons").json["comparisons"] == [found]
    assert f"{found['differences']} things differ" in site.client(TREASURER).get("/treasury").text
    with ended.app.store.read() as session:
        acts = session.scalars(select(Act).where(Act.kind == "data_read")).all()
    read = {(act.actor, act.data["what"], act.data["subject"]) for act in acts}
    who = site.people[AUDITOR].pseudonym
    assert {(who, what, "everybody") for what in ("bills", "comparisons")} <= read
    assert {(who, "bill", each["member"]) for each in bills} <= read


@pytest.fixture
def site(app: App) -> PeopleSite:
    return build(app)


@pytest.fixture
def store_url() -> str:
    return ""


def test_reading_and_starting_are_two_scopes_and_each_is_of_its_roles(site: PeopleSite) -> None:
    issue(site.app, site.members["Dormitory A"].wallet, 1)
    reader, starter = Program(site, AUTHORITY, READ_OPERATIONS), Program(site, AUTHORITY, RUN_AUDITS)
    for path in ("/bills", "/bills/1/again", "/comparisons", "/comparisons/run"):
        assert reader(path).status_code == 200, path
        refused = starter(path)
        assert (refused.status_code, refused.json["code"]) == (403, "scope_missing"), path
        assert Program(site, OPERATOR, READ_OPERATIONS)(path).status_code == 404, path
    for path in ("/bills/1/again", "/comparisons"):
        assert reader(path, "POST", "a key of mine").status_code == 403
        assert Program(site, TREASURER, RUN_AUDITS)(path, "POST", "a key of mine").status_code == 404
        for key in ("", "short", "x" * 65):
            refused = starter(path, "POST", key)
            assert (refused.status_code, refused.json["code"]) == (400, "malformed"), key
    treasurer = Program(site, TREASURER, READ_OPERATIONS)
    assert (treasurer("/bills").status_code, treasurer("/bills/1/again").status_code) == (200, 404)
    for path in ("/bills/9/again", "/comparisons/9"):
        missing = reader(path)
        assert (missing.status_code, missing.json["code"]) == (404, "not_found")
    assert starter("/bills/9/again", "POST", "a key of mine").status_code == 404


def test_what_cannot_be_computed_says_why(site: PeopleSite) -> None:
    issue(site.app, site.members["Dormitory A"].wallet, 1)
    auditor = Program(site, AUDITOR, READ_OPERATIONS, RUN_AUDITS)
    auditor("/bills/1/again", "POST", "a key of mine")
    failed = auditor.ended("/bills/1/again")
    assert failed["run"]["state"] == "failed"
    assert failed["run"]["message"]
    assert failed["again"] is None


def test_comparisons_are_paged_while_others_are_made(site: PeopleSite) -> None:
    def compared(number: int) -> None:
        with site.app.store.write() as session:
            session.add(
                BooksComparison(
                    id=number, started_at=number, ended_at=number, entries=1, figures=1, until_epoch=1, differences=0,
                    found={"problems": []},
                )
            )  # fmt: skip

    for number in range(1, 121):
        compared(number)
    treasurer = Program(site, TREASURER, READ_OPERATIONS)
    told: list[int] = []
    cursor: str | None = str(200)
    while cursor is not None:
        page = treasurer(f"/comparisons?cursor={cursor}").json
        told += [each["comparison"] for each in page["comparisons"]]
        cursor = page["next"]
        compared(200 + len(told))
    assert told == list(range(120, 0, -1))
    assert treasurer("/comparisons?cursor=0").status_code == 400


def test_one_comparison_runs_at_a_time(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    with comparing.alone(app, wait=False):
        with pytest.raises(ComparisonRunningError), comparing.alone(app, wait=False):
            pass
        assert main(["audit", "compare", "--home", str(app.home.path), "--json"]) == 1
    assert "[comparison_running]" in capsys.readouterr().err
    assert main(["audit", "compare", "--home", str(app.home.path), "--json", "--if-due"]) == 0
    assert json.loads(capsys.readouterr().out) == {"due": False}
