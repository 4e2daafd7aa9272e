"""A member disputes a line of a bill or a day; the department answers and closes it: pages, API, command, log."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from every_leaf import every_leaf
from kwh_site import opened
from people_site import build, no_chain, sign_in
from sqlalchemy import func, select

from authority.billing import issuing
from authority.cli import main
from authority.log import merkle
from authority.log.log import open_checkpoint
from authority.operations import tickets
from authority.people import records, tokens
from authority.people.roles import AUDITOR, DELEGATE, MEMBER, OPERATOR, TREASURER
from authority.status import judgement
from authority.status.facts import gather
from authority.store.desk import TicketWords
from authority.store.log import Act
from authority.store.persons import Person

TEXT = "My daughter Ada was away.\nNothing was on."


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: Any, clock: Any, sample_month: Any) -> Any:
    clock.now += 17 * 3_600
    made = build(app)
    sample_month(made)
    return made


def send(site: Any, role: str, url: str, **fields: Any) -> Any:
    return site.client(role).post(url, data=site.form(role, **fields))


def ask(site: Any, **fields: Any) -> str:
    answer = send(site, MEMBER, "/me/tickets", **{"bill": 1, "line": 3, "reason": "energy", "text": TEXT, **fields})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def acts(app: Any) -> list[tuple[str, dict[str, Any]]]:
    with app.store.read() as session:
        rows = session.scalars(select(Act).where(Act.kind.like("ticket_%")).order_by(Act.log_index)).all()
    return [(row.kind, dict(row.data)) for row in rows]


def test_a_line_is_disputed_answered_and_closed_by_a_correction(site: Any) -> None:
    bill = site.client(MEMBER).get("/me/bills/1").text
    link = re.search(r'href="(/me/tickets/new\?bill=1&amp;line=3)"', bill)
    assert link
    assert "Bill 1, line 3" in site.client(MEMBER).get(link[1].replace("&amp;", "&")).text
    url = ask(site)
    assert ask(site) == url, "the same again is the same dispute"
    number = int(url.rpartition("/")[2])
    assert "waits for the department" in site.client(MEMBER).get(url).text
    facts = gather(site.app, no_chain())
    assert [each.text for each in judgement.problems(facts) if each.code == "dispute_waits"] == [
        f"dispute {number} of a member waits for an answer: authority tickets show {number}"
    ]
    assert "disputes.listed" not in site.client(OPERATOR).get("/op").text
    assert 'href="/disputes"' in site.client(OPERATOR).get("/op").text
    assert "1 dispute waits for an answer" in site.client(TREASURER).get("/treasury").text
    shown = site.client(TREASURER).get(f"/disputes/{number}").text
    for words in ("Dormitory A", "My daughter Ada was away.<br>Nothing was on.", "21.200 kWh", "6.36"):
        assert words in shown, words
    days = re.findall(rf'href="(/disputes/{number}/days/[\d-]+)"', shown)
    assert len(days) == 4
    day = site.client(OPERATOR).get(days[1]).text
    assert day.count("<time ") == 96
    assert "1 of 1 meters were heard" in day
    answered = send(site, OPERATOR, f"/disputes/{number}", act="answer", text="We look at the meter.")
    assert answered.status_code == 303
    send(site, OPERATOR, f"/disputes/{number}", act="answer", text="We look at the meter.")
    member = site.client(MEMBER).get(url).text
    assert member.count("We look at the meter.") == 1
    assert "was answered" in member
    family = "Thank you \U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert "U+202E" in send(site, MEMBER, url, text="Thank \u202eyou").text
    assert send(site, MEMBER, url, text=family + "\N{ZERO WIDTH SPACE}").status_code == 303
    assert family in site.client(MEMBER).get(url).text
    assert "waits for the department" in site.client(MEMBER).get(url).text
    close = {"act": "close", "outcome": "1/1"}
    assert send(site, TREASURER, f"/disputes/{number}", **close).status_code == 400, "nothing was corrected yet"
    issuing.correct(site.app, 1, 3, -1_000_000, "read again", actor="x")
    assert 'value="1/1"' in site.client(TREASURER).get(f"/disputes/{number}").text
    for _ in range(2):
        assert send(site, TREASURER, f"/disputes/{number}", **close).status_code == 303
    late = send(site, TREASURER, f"/disputes/{number}", act="close", outcome="settled")
    assert (late.status_code, "closed already" in late.text) == (409, True)
    assert send(site, MEMBER, url, text="and now?").status_code == 409
    closed = site.client(MEMBER).get(url).text
    for words in ("is closed: corrected", "Correction 1/1", "-1.00 credits", "on the next bill"):
        assert words in closed.replace("\N{MINUS SIGN}", "-"), words
    wallet = site.members["Dormitory A"].wallet
    kinds = ["ticket_opened", "ticket_answered", "ticket_added_to", "ticket_closed"]
    assert [kind for kind, _ in acts(site.app)] == kinds
    assert all(data["wallet"] == wallet for _, data in acts(site.app))
    with site.app.store.read() as session:
        leaves = every_leaf(session)
    assert [word for word in (b"Ada", b"daughter", b"look at the meter", b"Dormitory") if word in leaves] == []


def test_a_second_dispute_may_be_as_long_as_the_first(site: Any) -> None:
    url = ask(site)
    sent = {"bill": 1, "line": 3, "reason": "price", "text": "x" * 1_000}
    again, twice = (send(site, MEMBER, "/me/tickets", **sent).headers["Location"] for _ in range(2))
    assert (again, twice) == (f"{url}?added=1", url), "the same form sent twice adds once"
    assert site.client(MEMBER).get(url).text.count("x" * 1_000) == 1


def test_a_second_dispute_of_the_same_is_added_to_the_open_one(site: Any) -> None:
    """What somebody writes is not thrown away because it wrote before."""
    url = ask(site)
    new = "/me/tickets/new?bill=1&line=3"
    number = int(url.rpartition("/")[2])
    told = site.client(MEMBER).get(new).text
    assert f'<a href="{url}">dispute {number}</a> is open' in told
    answered = send(site, OPERATOR, f"/disputes/{number}", act="answer", text="We look at the meter.")
    assert answered.status_code == 303
    sent = {"bill": 1, "line": 3, "reason": "price", "text": "And the price is last year's."}
    again, twice = (send(site, MEMBER, "/me/tickets", **sent).headers["Location"] for _ in range(2))
    assert (again, twice) == (f"{url}?added=1", url), "the same form sent twice adds once"
    page = site.client(MEMBER).get(again).text
    assert "You disputed this already" in page
    assert page.count("The price is not right<br>And the price is last year&#39;s.") == 1
    assert "waits for the department" in page
    assert f"/disputes/{number}" in site.client(OPERATOR).get("/disputes").text
    assert [kind for kind, _ in acts(site.app)] == ["ticket_opened", "ticket_answered", "ticket_added_to"]
    long = send(site, MEMBER, "/me/tickets", bill=1, line=3, reason="price", text="x" * 1_001)
    assert (long.status_code, "x" * 1_001 in long.text) == (400, True), "the form comes back with what was written"
    api = site.client(MEMBER).post(
        "/api/v1/me/tickets",
        json={"bill": 1, "line": 3, "reason": "energy", "text": "By a program."},
        headers={"X-Form-Token": site.form(MEMBER)["form_token"], "Accept": "application/json"},
    )
    assert (api.status_code, api.json) == (201, {"number": number, "opened": False})
    assert "By a program." in site.client(MEMBER).get(url).text


def test_a_day_is_disputed_from_my_energy(site: Any) -> None:
    with site.app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(TicketWords)) == 0
    today = site.client(MEMBER).get("/me/energy").text
    link = re.search(r'href="(/me/tickets/new\?day=([\d-]+))"', today)
    assert link
    day = link[2]
    assert "Energy of" in site.client(MEMBER).get(link[1]).text
    url = ask(site, bill="", line="", day=day, text="")
    number = url.rpartition("/")[2]
    shown = site.client(OPERATOR).get(f"/disputes/{number}").text
    assert f"/disputes/{number}/days/{day}" in shown
    assert "Nothing yet." in shown
    assert site.client(OPERATOR).get(f"/disputes/{number}/days/2020-01-01").status_code == 404
    assert site.client(OPERATOR).get(f"/disputes/{number}/days/2020-01-01/proof.json").status_code == 404
    assert send(site, OPERATOR, f"/disputes/{number}", act="close", outcome="settled").status_code == 303
    assert "is closed: settled" in site.client(MEMBER).get(url).text


WRONG = (
    ({"bill": 2}, 404),
    ({"line": 99}, 404),
    ({"bill": "", "line": ""}, 400),
    ({"bill": "", "line": "", "day": "2199-01-01"}, 400),
    ({"reason": "envy"}, 400),
    ({"text": "x" * 1_001}, 400),
    ({"text": "\x07"}, 400),
)


def test_what_nobody_can_dispute_is_refused_in_words(site: Any) -> None:
    for fields, status in WRONG:
        sent = {"bill": 1, "line": 3, "reason": "energy", "text": "", **fields}
        assert send(site, MEMBER, "/me/tickets", **sent).status_code == status, fields
    assert acts(site.app) == []
    for place in range(tickets.MOST_OPEN):
        ask(site, bill="", line="", day=f"2026-05-{place + 1:02d}")
    full = send(site, MEMBER, "/me/tickets", bill=1, line=3, reason="energy")
    assert (full.status_code, "20 open disputes" in full.text) == (400, True)


def test_it_is_the_members_and_the_departments_alone_and_goes_with_the_person(site: Any) -> None:
    url = ask(site)
    number = url.rpartition("/")[2]
    assert site.client("other").get(url).status_code == 404
    assert send(site, "other", url, text="mine too").status_code == 404
    assert site.client(DELEGATE).get(url).status_code == 200
    for role in (AUDITOR, MEMBER):
        assert site.client(role).get(f"/disputes/{number}").status_code == 404
    with site.app.store.write() as session:
        records.erase(session, session.get_one(Person, site.people[MEMBER].id), by="x", now=site.app.clock())
    with site.app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(TicketWords)) == 0
    assert "Ada" not in site.client(OPERATOR).get(f"/disputes/{number}").text


def test_programs_read_and_people_write(site: Any) -> None:
    member, headers = site.client(MEMBER), {"X-Form-Token": site.form(MEMBER)["form_token"]}
    made = member.post("/api/v1/me/tickets", json={"bill": 1, "line": 3, "reason": "energy"}, headers=headers)
    assert made.status_code == 201, made.text
    number = made.json["number"]
    wrong = member.post("/api/v1/me/tickets", json={"bill": 1, "reason": "energy"}, headers=headers)
    assert (wrong.status_code, wrong.json["code"]) == (400, "ticket_invalid")
    bearer = {"Authorization": f"Bearer {site.tokens['money:read']}"}
    program = site.flask.test_client()
    assert program.get("/api/v1/me/tickets", headers=bearer).json["disputes"][0]["number"] == number
    assert program.post("/api/v1/me/tickets", json={}, headers=bearer).status_code == 403
    with site.app.store.write() as session:
        now = site.app.clock()
        owner = records.principal(session, session.get_one(Person, site.people[OPERATOR].id), "s", now)
        token = tokens.make(session, owner, "board", ["operations:read"], 30, now)[1]
    bearer = {"Authorization": f"Bearer {token}"}
    shown = program.get(f"/api/v1/tickets/{number}", headers=bearer).json
    assert (shown["head"]["member"], shown["line_kind"], shown["line_wh"]) == ("Dormitory A", "remainder", 21_200)
    day = program.get(f"/api/v1/tickets/{number}/energy?day={shown['days'][1]}", headers=bearer).json
    assert len(day["steps"]) == 96
    closing = f"/api/v1/tickets/{number}/close"
    assert program.post(closing, json={}, headers=bearer).json["code"] == "scope_missing"
    desk, headers = site.client(OPERATOR), {"X-Form-Token": site.form(OPERATOR)["form_token"]}
    assert desk.post(closing, json={"bill": 1}, headers=headers).status_code == 400
    assert desk.post(closing, json={}, headers=headers).json["head"]["state"] == "settled"
    assert program.get("/api/v1/tickets?cursor=1", headers=bearer).json == {"disputes": [], "next": None}


def test_the_command_does_the_same(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    number, home = ask(site).rpartition("/")[2], str(site.app.home.path)

    def told(*words: str) -> Any:
        assert main(["tickets", "--home", home, *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    (row,) = told("list")
    assert (row["dispute"], row["state"], row["about"]) == (int(number), "waiting", "bill 1, line 3")
    assert told("show", number)["words"][0]["text"] == TEXT
    assert told("answer", number, "--text", "It is right.", "--dry-run")["changed"] is False
    assert told("show", number)["state"] == "waiting"
    assert told("answer", number, "--text", "It is right.")["changed"] is True
    assert main(["tickets", "--home", home, "close", number, "--correction", "1/1"]) == 1
    assert "no correction 1/1" in capsys.readouterr().err
    assert told("close", number, "--settled")["steps"][0]["outcome"] == "is closed as settled"
    assert told("list") == []
    assert [each["state"] for each in told("list", "--all")] == ["settled"]


def test_whoever_answers_has_the_proof_of_a_days_readings(tmp_path: Path) -> None:
    with opened(tmp_path, epochs=2, members="AC") as campus:
        day = datetime.fromtimestamp(campus.boundaries[-1], UTC).date().isoformat()
        member = campus.client(MEMBER)
        url = member.post("/me/tickets", data=campus.form(MEMBER, day=day, reason="missing")).headers["Location"]
        number = url.rpartition("/")[2]
        _, desk, _ = sign_in(campus.campus.app, campus.flask, OPERATOR)
        answer = desk.get(f"/disputes/{number}/days/{day}/proof.json")
        assert answer.status_code == 200, answer.text
        assert "attachment" in answer.headers["Content-Disposition"]
        proof = answer.json
        assert desk.get(f"/api/v1/tickets/{number}/proof?day={day}").json == proof
    size, root = open_checkpoint(
        proof["checkpoint"]["note"].encode(),
        bytes.fromhex(proof["network_id"]),
        bytes.fromhex(proof["checkpoint"]["key"]),
    )
    assert [meter["role"] for meter in proof["meters"]] == ["generation", "storage", "load"]
    for each in proof["readings"]:
        leaf = merkle.leaf_hash(bytes.fromhex(each["head"] + each["frame"]))
        merkle.verify_inclusion(leaf, each["log_index"], size, [bytes.fromhex(x) for x in each["path"]], root)
