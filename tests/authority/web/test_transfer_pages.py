"""Tokens moved by hand on My wallet and by the API, over a campus on a real validator, and in a real Chromium."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe
import pytest
from browser import CHROMIUM, Browser
from kwh_site import KwhSite, opened
from people_site import sign_in
from served import served

from authority.people import sessions, tokens
from authority.people.roles import DELEGATE, MEMBER
from authority.store.persons import Person

GIVER = "other"
"""Member C, who has credits."""
GIFT = {"act": "give", "asset": "credit", "amount": "5.25", "to_name": "A"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[KwhSite]:
    with opened(tmp_path, members="ABCD", trades=True) as found:
        yield found


def ask(site: KwhSite, path: str = "/me/wallet", role: str = GIVER, **fields: str) -> Any:
    client = site.client(role)
    return client.post(path, data=site.form(role, **fields)) if fields else client.get(path)


def confirmed(preview: Any) -> dict[str, str]:
    """What the preview's form sends."""
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', preview.text)
    return {**{name: html.unescape(value) for name, value in hidden if name != "form_token"}, "step": "confirm"}


def test_a_member_previews_gives_and_takes_back_on_my_wallet(site: KwhSite) -> None:
    worker = site.campus.worker()
    page = ask(site)
    assert "Give to another member" in page.text
    assert "in 24 hours" in page.text
    for wrong, status, words in (
        ({"amount": "x"}, 400, "How much: write a number"),
        ({"amount": ""}, 400, "Say what to move, and how much"),
        ({"asset": "gold"}, 400, "energy tokens or credits"),
        ({"to_name": "a"}, 404, "Nobody can be given to by that"),
        ({"to_name": "C"}, 400, "That is your own account"),
        ({"amount": "500"}, 409, "You may give 100.00 credits in 24 hours"),
        ({"act": "withdraw", "amount": "90000"}, 409, "free in the market"),
    ):
        refused = ask(site, "/me/wallet/move", **{**GIFT, **wrong})
        assert (refused.status_code, words in refused.text) == (status, True), (wrong, refused.text)
    preview = ask(site, "/me/wallet/move", **GIFT)
    assert "Give 5.25 credits to •••." in preview.text, "its name is one letter long"
    assert "Nothing is done yet." in preview.text
    assert "You can take it back for 3 minutes" in preview.text
    form = confirmed(preview)
    assert "to_name" not in form
    for _ in range(2):  # the same form, sent twice
        sent = ask(site, "/me/wallet/move", **form)
        assert (sent.status_code, sent.headers["Location"]) == (303, "/me/wallet#moved-title")
    page = ask(site)
    assert page.text.count("waits, and can be taken back") == 1
    (path,) = re.findall(r'action="(/me/wallet/moves/\d+/take-back)"', page.text)
    assert ask(site, path, MEMBER, x="x").status_code == 404, "another member's is not there"
    assert ask(site, path, x="x").status_code == 303
    assert ">taken back<" not in page.text
    assert "taken back" in ask(site).text
    assert ask(site, "/me/wallet/move", **confirmed(ask(site, "/me/wallet/move", **GIFT))).status_code == 303
    site.campus.go_to(site.campus.app.clock() + 181)
    worker.settle_down()
    page = ask(site)
    assert "on the chain" in page.text
    assert "Transaction" in page.text
    gone = ask(site, re.sub(r"\d+", "2", path), x="x")
    assert gone.status_code == 409
    assert "cannot be taken back" in gone.text
    got = ask(site, role=MEMBER).text
    assert "received from" in got
    assert "5.25 credits" in got
    assert site.campus.audit() == 0


def test_a_code_leads_to_its_member_and_a_large_gift_takes_a_new_sign_in(site: KwhSite) -> None:
    link = site.client(MEMBER).get("/api/v1/me/code").json["link"]
    path = re.sub(r"^https?://[^/]+", "", link)
    assert path.startswith("/me/give/")
    assert "<svg" in ask(site, role=MEMBER).text
    stranger = site.flask.test_client().get(path)
    assert stranger.headers["Location"].startswith("/login?next=%2Fme%2Fgive%2F")
    shown = ask(site, path)
    assert "•••" in shown.text
    assert ask(site, path, MEMBER).status_code == 400, "its own"
    assert ask(site, "/me/give/x").status_code == 404
    code = path.rpartition("/")[2]
    large = {"act": "give", "asset": "credit", "amount": "50", "to_code": code}
    assert "Give it" in ask(site, "/me/wallet/move", **large).text, "its sign-in is of just now"
    site.campus.wall.go_to(site.campus.app.clock() + sessions.FRESH_SECONDS)
    preview = ask(site, "/me/wallet/move", **large)
    assert "Give it" not in preview.text
    (again,) = re.findall(r'href="(/login\?next=[^"]+)"', preview.text)
    assert "amount%3D50" in again, "nothing has to be typed again"
    refused = ask(site, "/me/wallet/move", **large, step="confirm", key="a key of ours")
    assert refused.status_code == 403
    assert "sign in once more" in refused.text
    assert "What was moved" not in ask(site).text
    prefilled = ask(site, f"{path}?asset=credit&amount=50").text
    assert 'value="50"' in prefilled
    assert ask(site, "/me/code", MEMBER, x="x").status_code == 303
    assert ask(site, path).status_code == 404, "a new code ends the former one"


def test_a_program_needs_the_scope_and_a_delegate_gives_nothing(site: KwhSite) -> None:
    app = site.campus.app
    with app.store.write() as session:
        person = session.query(Person).filter_by(pseudonym=site.pseudonyms[GIVER]).one()
        owner = tokens.records.principal(session, person, "s", app.clock())
        made = {
            scope: tokens.make(session, owner, f"for {scope}", [scope], 30, app.clock())[1]
            for scope in ("money:read", "money:write", "trading:write")
        }
    client, wish = site.flask.test_client(), {"act": "give", "asset": "credit", "amount": 2_000_000, "to_name": "A"}

    def send(scope: str, method: str = "POST", path: str = "", key: str = "program-1", **changed: Any) -> Any:
        headers = {"Authorization": f"Bearer {made[scope]}", "Idempotency-Key": key}
        body = {"json": {**wish, **changed}} if method == "POST" else {}
        return client.open(f"/api/v1/me/transfers{path}", method=method, headers=headers, **body)

    assert [send(scope).status_code for scope in ("money:read", "trading:write")] == [403, 403]
    assert send("money:read", path="/preview").json["take_back_seconds"] == 180
    first = send("money:write")
    assert (first.status_code, first.json["state"], first.json["other"]) == (202, "waiting", "•••")
    assert send("money:write").json == first.json
    assert send("money:write", amount=3).json["code"] == "idempotency_key_reused"
    large = send("money:write", key="program-2", amount=20_000_000)
    assert (large.status_code, large.json["code"]) == (403, "sign_in_again")
    assert send("money:write", key="program-3", amount=0).status_code == 400
    assert [each["id"] for each in send("money:read", "GET").json["transfers"]] == [first.json["id"]]
    assert send("money:read", "GET", "?cursor=1").json["transfers"] == []
    assert send("money:write", "DELETE", f"/{first.json['id']}", "program-4").json["state"] == "taken_back"
    _, delegate, form = sign_in(app, site.flask, DELEGATE)
    seen = delegate.get("/me/wallet")
    assert "Only the member itself moves tokens" in seen.text
    assert "Your code" not in seen.text
    assert delegate.post("/me/wallet/move", data={"form_token": form, **GIFT}).status_code == 404


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_my_wallet_with_transfers_is_accessible_and_fits(site: KwhSite, tmp_path: Path) -> None:
    assert ask(site, "/me/wallet/move", **confirmed(ask(site, "/me/wallet/move", **GIFT))).status_code == 303
    code = site.client(MEMBER).get("/api/v1/me/code").json["code"]
    faults = []
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        browser.sign_in(site.cookies[GIVER], address)
        for dark in (False, True):
            for width, height in ((390, 844), (1280, 900)):
                browser.emulate(width, height, dark=dark)
                for path in ("/me/wallet", f"/me/give/{code}"):
                    browser.open(f"{address}{path}")
                    faults += [(path, width, dark, fault) for fault in axe.faults(browser)]
                    axe.picture(browser, f"{path.split('/')[2]}-{width}-{'dark' if dark else 'light'}")
    assert faults == []
