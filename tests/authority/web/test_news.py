"""Announcements: for whom and when they are shown, on pages and by the API; plain text; withdrawn."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from every_leaf import every_leaf
from people_site import build
from sqlalchemy import select

from authority.cli import main
from authority.people.roles import AUDITOR, MEMBER, OPERATOR
from authority.store.log import Act

HOUR = 3_600


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: Any) -> Any:
    return build(app)


def moment(site: Any, hours: int) -> str:
    return datetime.fromtimestamp(site.app.clock() + hours * HOUR, UTC).strftime("%Y-%m-%dT%H:%M")


def announce(site: Any, title: str, audience: str = "everybody", status: int = 303, **fields: Any) -> Any:
    sent = {
        "title": title, "text": "A <b>line</b> of Ada's.\nAnother one.", "audience": audience,
        "starts_at": moment(site, -1), "ends_at": moment(site, 2), **fields,
    }  # fmt: skip
    answer = site.client(OPERATOR).post("/op/news", data=site.form(OPERATOR, **sent))
    assert answer.status_code == status, answer.text
    return answer


def seen(site: Any, role: str | None, url: str, *titles: str) -> list[str]:
    page = site.client(role).get(url).text
    return [title for title in titles if title in page]


def test_each_reader_sees_what_is_for_it_while_it_lasts(site: Any, clock: Any) -> None:
    titles = ("For all", "For members", "For house B", "For later")
    announce(site, "For all")
    announce(site, "For all")
    announce(site, "For members", "members")
    announce(site, "For house B", "building", building="Dormitory B")
    announce(site, "For later", starts_at=moment(site, 1))
    assert seen(site, None, "/", *titles) == ["For all"]
    assert seen(site, MEMBER, "/me", *titles) == ["For all", "For members"]
    assert seen(site, "other", "/me", *titles) == ["For all", "For members", "For house B"]
    assert seen(site, AUDITOR, "/audit", *titles) == ["For all"]
    page = site.client(None).get("/").text
    assert page.count("For all") == 1
    assert "A &lt;b&gt;line&lt;/b&gt; of Ada&#39;s.<br>Another one." in page
    public = site.flask.test_client().get("/api/v1/announcements").json["announcements"]
    assert [each["title"] for each in public] == ["For all"]
    assert public[0]["text"] == "A <b>line</b> of Ada's.\nAnother one."
    token = {"Authorization": f"Bearer {site.tokens['energy:read']}"}
    mine = site.flask.test_client().get("/api/v1/me/announcements", headers=token).json["announcements"]
    assert [each["title"] for each in mine] == ["For members", "For all"]
    assert seen(site, OPERATOR, "/op/news", *titles) == list(titles)
    clock.now += HOUR + 60
    assert seen(site, MEMBER, "/me", *titles) == ["For all", "For members", "For later"]
    clock.now += HOUR
    assert seen(site, MEMBER, "/me", *titles) == []


def test_one_is_withdrawn_and_the_log_has_no_words(site: Any) -> None:
    announce(site, "To be withdrawn")
    headers = {"X-Form-Token": site.form(OPERATOR)["form_token"]}
    (each,) = site.client(OPERATOR).get("/api/v1/announcements/all").json["announcements"]
    url = f"/op/news/{each['told']['number']}/withdraw"
    assert site.client(AUDITOR).post(url, data=site.form(AUDITOR)).status_code == 404
    for _ in range(2):
        assert site.client(OPERATOR).post(url, data=site.form(OPERATOR)).status_code == 303
    assert site.client(OPERATOR).post("/api/v1/announcements/99/withdraw", headers=headers).status_code == 404
    assert seen(site, None, "/", "To be withdrawn") == []
    assert "withdrawn" in site.client(AUDITOR).get("/op/news").text
    with site.app.store.read() as session:
        acts = session.scalars(select(Act).where(Act.kind.like("announcement_%")).order_by(Act.log_index)).all()
        assert [act.kind for act in acts] == ["announcement_made", "announcement_withdrawn"]
        assert acts[0].actor == site.people[OPERATOR].pseudonym
        leaves = every_leaf(session)
    assert [word for word in (b"Ada", b"To be withdrawn") if word in leaves] == []


def test_what_is_no_announcement_is_refused_in_words(site: Any) -> None:
    for fields, words in (
        ({"text": " "}, "1 to 2000 characters"),
        ({"text": "x\x07"}, "the character U+0007: it cannot be shown"),
        ({"ends_at": moment(site, -2)}, "end after it begins"),
        ({"ends_at": moment(site, 9_000)}, "within a year"),
        ({"starts_at": "soon"}, "site&#39;s clock"),
        ({"audience": "nobody"}, "for whom"),
        ({"audience": "building", "building": "Nowhere"}, "no such building"),
    ):
        assert words in announce(site, "Never", status=400, **fields).text, fields
    assert site.client(OPERATOR).get("/api/v1/announcements/all").json["announcements"] == []


def test_the_command_does_what_the_page_does(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def command(*words: str, status: int = 0) -> Any:
        assert main(["announcements", *words, "--json", "--home", str(site.app.home.path)]) == status
        return json.loads(capsys.readouterr().out)

    make = ("make", "--title", "By command", "--text", "Two\nlines", "--from", "2026-06-01T00:00")
    far = ("--until", "2099-01-01T00:00")
    assert main(["announcements", *make, *far, "--to", "members", "--home", str(site.app.home.path)]) == 1
    assert "within a year" in capsys.readouterr().err
    year = ("--from", "2098-06-01T00:00", *far)  # as this command goes by the machine's clock
    tried = command(*make, *year, "--to", "members", "--dry-run")
    assert (tried["dry_run"], tried["changed"], "announcement" in tried) == (True, False, False)
    assert command("list") == []
    made = command(*make, *year, "--to", "members")
    assert (made["changed"], made["announcement"]) == (True, 1)
    assert command(*make, *year, "--to", "members")["changed"] is False
    assert command(*make, *year, "--building", "Dormitory B")["announcement"] == 2
    assert "By command" in site.client(OPERATOR).get("/op/news").text
    told = [(each["announcement"], each["state"], each["audience"], each["building"]) for each in command("list")]
    assert told == [(2, "to come", "building", "Dormitory B"), (1, "to come", "members", None)]
    assert [each["announcement"] for each in command("list", "--before", "2")] == [1]
    assert command("withdraw", "1", "--dry-run")["steps"][0]["outcome"] == "would be withdrawn"
    assert [command("withdraw", "1")["changed"] for _ in range(2)] == [True, False]
    assert [each["state"] for each in command("list")] == ["to come", "withdrawn"]
    assert main(["announcements", "list", "--home", str(site.app.home.path)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["ANNOUNCEMENT", "STATE", "AUDIENCE", "BUILDING", "TITLE", "STARTS", "AT", "ENDS", "AT"]
    assert shown[1].split()[-4:] == ["2098-06-01", "00:00:00Z", "2099-01-01", "00:00:00Z"]
