"""The gate: every route by every role and by strangers, tokens by scope, cookies, forms, fixation, other sites."""

import json
import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from every_leaf import every_leaf
from people_site import build, no_chain
from sqlalchemy import select

from authority.api import gate
from authority.api.gate import LOOPBACK_COOKIE, SECURE_COOKIE, Rule
from authority.app import App
from authority.home.home import Home
from authority.home.settings import AlertSettings, Settings, WebSettings
from authority.log import log
from authority.people import invitations, passwords, reads, sessions
from authority.people.errors import SignInClosedError
from authority.people.limits import AddressLimit
from authority.people.roles import AUDITOR, AUTHORITY, DELEGATE, MEMBER, OPERATOR, ROLES, SCOPES, TREASURER
from authority.store.billing import BillMail
from authority.store.log import Act
from authority.store.persons import Person, PersonSession
from authority.tries import Tries
from authority.web import access
from authority.web.answers import is_here
from authority.web.application import People, create_app

GOOD = "violet kettle under seven"
VALUES = {
    "secret": "x",
    "passkey": "x",
    "number": 1,
    "line": 1,
    "period": 0,
    "wallet": "x",
    "session_id": "x",
    "token": "x",
    "link": "x",
    "level": "0",
    "place": "000",
    "filename": "x.css",
    "log_index": 1,
    "enrolment_id": "x",
    "gateway": "x",
    "meter_name": "x",
    "pseudonym": "x",
    "proposal": "x",
    "object_id": "x",
    "code": "x",
    "day": "2026-06-01",
    "hook": "x",
}
ASKERS = (*ROLES, "nobody", None)
OPEN_TO = {
    "me": {MEMBER, DELEGATE},
    "me_export": {*ROLES, "nobody"},
    "me_files": {MEMBER, DELEGATE},
    "me_leaving": {*ROLES, "nobody"},
    "me_mails": {*ROLES, "nobody"},
    "leave": {*ROLES, "nobody"},
    "mails": {*ROLES, "nobody"},
    "me_wallet": {MEMBER, DELEGATE},
    "me_transfers": {MEMBER},
    "me_transfers.listed": {MEMBER, DELEGATE},
    "wallet": {MEMBER},
    "wallet.own": {MEMBER, DELEGATE},
    "openadr": {*ROLES, "nobody"},
    "me_webhooks": {MEMBER},
    "webhooks": {MEMBER},
    "me_certificates": {MEMBER, DELEGATE},
    "my_certificates": {MEMBER, DELEGATE},
    "member": {MEMBER, DELEGATE},
    "proofs": {MEMBER},
    "payout": {MEMBER},
    "estimates": {TREASURER},
    "operator": {OPERATOR, AUTHORITY, AUDITOR},
    "operator.members": {OPERATOR},
    "treasurer": {TREASURER},
    "acts": {OPERATOR},
    "accounts": {OPERATOR, AUTHORITY, AUDITOR},
    "account_pages": {OPERATOR, AUTHORITY, AUDITOR},
    "account_pages.decide": {OPERATOR},
    "role_pages": {AUTHORITY},
    "delegates": {MEMBER},
    "delegates.shown": {MEMBER, DELEGATE},
    "me_delegates": {MEMBER},
    "me_delegates.listed": {MEMBER, DELEGATE},
    "audit": {AUDITOR, AUTHORITY},
    "audits": {AUDITOR, AUTHORITY},
    "log_reading": {AUDITOR, AUTHORITY},
    "billing": {TREASURER},
    "operations": {OPERATOR, AUTHORITY, AUDITOR},
    "readings": {OPERATOR, AUTHORITY, AUDITOR},
    "audits.comparisons": {TREASURER, AUDITOR, AUTHORITY},
    "audits.comparison": {TREASURER, AUDITOR, AUTHORITY},
    "audits.comparing": {TREASURER, AUDITOR, AUTHORITY},
    "audits.bills": {TREASURER, AUDITOR, AUTHORITY},
    "approvals": {TREASURER, AUDITOR, AUTHORITY},
    "me_tickets": {MEMBER, DELEGATE},
    "my_disputes": {MEMBER, DELEGATE},
    "tickets": {OPERATOR, TREASURER},
    "disputes": {OPERATOR, TREASURER},
    "meters": {OPERATOR, AUTHORITY, AUDITOR},
    "meter_exchange": {OPERATOR},
    "meter_exchange.shown": {OPERATOR, AUTHORITY, AUDITOR},
    "exchange_pages.shown": {OPERATOR, AUTHORITY, AUDITOR},
    "exchange_pages.act": {OPERATOR},
    "epochs": {OPERATOR, AUTHORITY, AUDITOR},
    "epochs.retry": {OPERATOR},
    "epoch_pages": {OPERATOR, AUTHORITY, AUDITOR},
    "epoch_pages.retry": {OPERATOR},
    "my_news": {*ROLES, "nobody"},
    "news_desk": {OPERATOR},
    "news_desk.listed": {OPERATOR, AUTHORITY, AUDITOR},
    "news_pages": {OPERATOR},
    "news_pages.listed": {OPERATOR, AUTHORITY, AUDITOR},
    "tariffs": {OPERATOR, AUTHORITY, AUDITOR},
    "tariffs.propose": {AUTHORITY},
    "tariffs.propose_cancel": {AUTHORITY},
    "tariff_pages": {OPERATOR, AUTHORITY, AUDITOR},
    "tariff_pages.propose": {AUTHORITY},
    "account": {*ROLES, "nobody"},
    "readers": {*ROLES, "nobody"},
}
"""Who comes in, written down a second time: by the beginning of a route's name."""
FOR_ALL_SIGNED_IN = {"me.whoami", "me.list_tokens", "me.make_token", "me.end_token", "people.logout", "people.home",
                     "oidc.account", "oidc.link", "oidc.unlink"}  # fmt: skip


@pytest.fixture
def store_url():
    return ""


@pytest.fixture
def site(app):
    return build(app)


def expected(endpoint):
    """Who may come in, or None for everybody."""
    if endpoint in FOR_ALL_SIGNED_IN or (endpoint in access.people_pages.RULES and "account" in url_of(endpoint)):
        return OPEN_TO["account"]
    return OPEN_TO.get(endpoint) or OPEN_TO.get(endpoint.partition(".")[0])


URLS = {}


def url_of(endpoint):
    return URLS.get(endpoint, "")


def routes(flask):
    for rule in flask.url_map.iter_rules():
        methods = sorted(rule.methods - {"HEAD", "OPTIONS"})
        with flask.test_request_context():
            adapter = flask.url_map.bind("localhost")
            URLS[rule.endpoint] = adapter.build(rule.endpoint, {name: VALUES[name] for name in rule.arguments})
        for method in methods:
            yield rule.endpoint, method, URLS[rule.endpoint]


@pytest.mark.slow
def test_every_route_by_every_role_and_by_strangers(site):
    """404 for what is not there for you, sign in where you are a stranger; whoever may come in meets the view."""
    walked = 0
    for endpoint, method, url in list(routes(site.flask)):
        may = expected(endpoint)
        if may is None or endpoint == "people.logout":
            continue
        for asker in ASKERS:
            client = site.client(asker)
            fields = {} if asker is None else site.form(asker)
            headers = {} if asker is None else {"X-Form-Token": fields["form_token"]}
            answer = client.open(url, method=method, headers=headers)
            walked += 1
            if asker is None and url.startswith("/api/"):
                assert answer.status_code == 401, (endpoint, asker)
                assert answer.headers["WWW-Authenticate"] == "Bearer"
            elif asker is None:
                assert answer.status_code == 303, (endpoint, asker)
                assert answer.headers["Location"].startswith("/login?next=")
            elif asker not in may:
                assert answer.status_code == 404, (endpoint, asker)
                assert b"nothing here" in answer.data
            else:
                assert b"nothing here" not in answer.data, (endpoint, asker)
                assert answer.status_code not in (401, 403, 405, 500), (endpoint, asker, answer.text)
    assert walked > 150
    with site.app.store.read() as session:
        read = {act.data["what"] for act in session.scalars(select(Act).where(Act.kind == "data_read"))}
    assert read <= reads.WORDS.keys(), "a person is not told in words what was read"
    assert len(read) > 15


def test_the_table_has_every_route_and_none_that_is_not_there(site):
    gate.check_rules(site.flask, access.RULES)
    site.flask.add_url_rule("/forgotten", "forgotten", lambda: "open")
    with pytest.raises(KeyError, match="forgotten"):
        gate.check_rules(site.flask, access.RULES)
    assert site.client(AUTHORITY).get("/forgotten").status_code == 404


def test_public_routes_stay_public_and_change_nothing(site):
    public = [(method, url) for name, method, url in routes(site.flask) if access.RULES[name].roles is None]
    for method, url in public:
        if method == "GET" and url not in ("/live", "/api/v1/campus/stream"):
            assert site.client().get(url).status_code in ((303,) if url == "/language" else (200, 401, 404)), url
        elif method != "GET":
            assert site.client().open(url, method=method, headers={"Origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_does_what_its_scope_says_and_no_more(site, scope):
    client, bearer = site.flask.test_client(), {"Authorization": f"Bearer {site.tokens[scope]}"}
    for endpoint, method, url in list(routes(site.flask)):
        rule = access.RULES[endpoint]
        if rule.roles is None:
            continue
        answer = client.open(url, method=method, headers=bearer)
        if not url.startswith("/api/"):
            assert answer.status_code == 303, url  # pages are for people
        elif rule.roles and MEMBER not in rule.roles:
            assert (answer.status_code, answer.json["code"]) == (404, "not_found"), url
        elif rule.scope in (scope, gate.ANY_SCOPE):
            assert answer.status_code not in (401, 403), (url, answer.text)
        else:
            assert (answer.status_code, answer.json["code"]) == (403, "scope_missing"), url
    assert client.get("/api/v1/me", headers={"Authorization": "Bearer x"}).status_code == 401


def test_decisions_are_closed_where_nothing_opens_them(site):
    assert gate.decide(None, None) is gate.Outcome.NOT_THERE
    assert gate.decide(Rule(frozenset({TREASURER})), None) is gate.Outcome.SIGN_IN


def log_in(client, password=GOOD, **fields):
    return client.post("/login", data={"login": "member@campus.example", "password": password, **fields})


@pytest.fixture
def with_password(site):
    with site.app.store.write() as session:
        session.get_one(Person, site.people[MEMBER].id).password_hash = passwords.hashed(GOOD)
    return site


def cookie(answer):
    found = re.match(r"(?P<name>[\w-]+)=(?P<value>[^;]*)", answer.headers["Set-Cookie"])
    return found["name"], found["value"], answer.headers["Set-Cookie"]


def test_signing_in_gives_a_new_session_whatever_the_browser_brought(with_password):
    site, client = with_password, with_password.client()
    client.set_cookie(LOOPBACK_COOKIE, "planted-by-somebody", domain="localhost")
    answer = log_in(client, next="/me/energy?view=month")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/me/energy?view=month")
    name, first, text = cookie(answer)
    assert name == LOOPBACK_COOKIE
    assert first != "planted-by-somebody"
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(text.split("; "))
    again = cookie(log_in(client))[1]
    old = site.flask.test_client()
    old.set_cookie(LOOPBACK_COOKIE, first, domain="localhost")
    assert old.get("/me").status_code == 303, "the session that was open in this browser has ended"
    assert client.get("/home").headers["Location"] == "/me"
    assert again != first


@pytest.mark.parametrize("where", ["//evil.example", "https://evil.example", "/\\evil.example", "/\n/x", "x", ""])
def test_nobody_is_sent_to_another_site(with_password, where):
    assert not is_here(where)
    answer = log_in(with_password.client(), next=where)
    assert answer.headers["Location"] == "/home"
    assert "evil" not in with_password.client().get("/login", query_string={"next": where}).text


def test_wrong_passwords_are_told_alike_and_close_the_login(with_password):
    client = with_password.client()
    wrong = log_in(client, "wrong").text
    unknown = client.post("/login", data={"login": "member@campus.example2", "password": "wrong"}).text
    assert wrong == unknown.replace("example2", "example")
    for _ in range(passwords.FREE_TRIES):
        log_in(client, "wrong")
    closed = log_in(client)
    assert closed.status_code == 429
    assert int(closed.headers["Retry-After"]) == passwords.FIRST_CLOSED_SECONDS


def test_one_address_cannot_try_for_ever(site):
    client, answers = site.client(), []
    for number in range(40):
        sent = {"X-Forwarded-For": f"192.0.2.{number}, 198.51.100.7"}
        answers.append(client.get(f"/invite/{number}", headers=sent).status_code)
    assert answers[0] == 404
    assert answers[-1] == 429
    assert client.get("/invite/x", headers={"X-Forwarded-For": "198.51.100.8"}).status_code == 404
    assert client.get("/invite/x").status_code == 404, "a proxy that says nothing counts by itself"
    assert AddressLimit(Tries(), "here", 2, 10).take("a") is None


def test_one_host_has_one_ipv6_network_and_no_more_tries_for_all_its_addresses(site):
    client, answers = site.client(), []
    for number in range(40):
        sent = {"X-Forwarded-For": f"2001:db8::{number:x}:1"}
        answers.append(client.get(f"/invite/{number}", headers=sent).status_code)
    assert (answers[0], answers[-1]) == (404, 429)
    assert client.get("/invite/x", headers={"X-Forwarded-For": "2001:db8:0:1::1"}).status_code == 404
    straight = {"REMOTE_ADDR": "2001:db8::ffff"}
    assert client.get("/invite/x", environ_overrides=straight).status_code == 429


def test_a_house_full_of_people_who_know_their_passwords_gets_in_behind_one_address(with_password):
    """A lecture hall signs in, and looks at its invitations; who guesses meanwhile is stopped as ever."""
    site, client = with_password, with_password.client()
    with site.app.store.write() as session:
        other = session.get_one(Person, site.people["other"].id)
        secret = invitations.make(session, other, by="test", now=site.app.clock())
    for number in range(80):
        sent = {"X-Forwarded-For": "198.51.100.7"}
        if number % 8:
            assert client.get(f"/invite/{secret}", headers=sent).status_code == 200, number
        else:
            fields = {"login": "member@campus.example", "password": GOOD}
            assert client.post("/login", data=fields, headers=sent).status_code == 303, number
    wrong = [client.get(f"/invite/{number}", headers=sent).status_code for number in range(32)]
    assert set(wrong[:29]) == {404}
    assert wrong[-1] == 429
    assert client.get(f"/invite/{secret}", headers=sent).status_code == 429


def test_however_its_tries_end_an_address_has_an_end_of_them():
    now = 0.0
    limit = AddressLimit(Tries(), "here", 2, 10.0, monotonic=lambda: now)
    for _ in range(AddressLimit.MOST_AT_ONCE):
        limit.take("a")
        limit.succeeded("a")
    with pytest.raises(SignInClosedError):
        limit.take("a")
    limit.take("b")
    now = 1.0
    limit.take("a")
    limit.take("c")
    limit.take("c")
    with pytest.raises(SignInClosedError):
        limit.take("c")


def change(client, site, current, new, role=MEMBER):
    return client.post("/account/password", data=site.form(role, current=current, password=new))


def test_a_person_changes_its_password_and_is_signed_out_everywhere_else(with_password):
    site, here, new = with_password, with_password.client(MEMBER), "another kettle over nine"
    elsewhere = with_password.client()
    log_in(elsewhere)
    assert elsewhere.get("/me").status_code == 200
    assert "Change the password" in here.get("/account").text
    for current, given, status, words in (
        ("wrong", new, 403, "That is not your current password: nothing was changed."),
        (GOOD, "short", 400, "12 to 128 characters"),
        (GOOD, GOOD, 400, "the password that you have"),
    ):
        answer = change(here, site, current, given)
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert elsewhere.get("/me").status_code == 200
    done = change(here, site, GOOD, new)
    assert (done.status_code, done.headers["Location"]) == (303, "/account?changed=password")
    assert "Your password is changed." in here.get(done.headers["Location"]).text
    assert here.get("/me").status_code == 200
    assert elsewhere.get("/me").status_code == 303
    assert log_in(site.client()).status_code == 403
    assert log_in(site.client(), new).status_code == 303
    with site.app.store.read() as session:
        acts = session.scalars(select(Act).where(Act.kind == "password_changed")).all()
        assert [(act.actor, act.data) for act in acts] == [
            (site.people[MEMBER].pseudonym, {"person": site.people[MEMBER].pseudonym})
        ]
        assert new.encode() not in every_leaf(session)


def test_an_open_browser_is_no_place_to_guess_at_a_password(with_password):
    site, client = with_password, with_password.client(MEMBER)
    for _ in range(passwords.FREE_TRIES + 1):
        assert change(client, site, "wrong", "another kettle over nine").status_code == 403
    assert change(client, site, GOOD, "another kettle over nine").status_code == 429
    assert log_in(site.client()).status_code == 429, "it is the same lock"
    assert "Change the password" not in site.client("other").get("/account").text, "who has none changes none"
    assert change(site.client("other"), site, "", "another kettle over nine", "other").status_code == 403


def test_a_password_that_an_invitation_set_meanwhile_is_not_overwritten(with_password, monkeypatch):
    site, matches = with_password, passwords._matches
    with site.app.store.read() as session:
        encoded = session.get_one(Person, site.people[MEMBER].id).password_hash

    def meanwhile(given, password):
        right = matches(given, password)
        with site.app.store.write() as session:
            session.get_one(Person, site.people[MEMBER].id).password_hash = "x"
        return right

    monkeypatch.setattr(passwords, "_matches", meanwhile)
    assert change(site.client(MEMBER), site, GOOD, "another kettle over nine").status_code == 403
    with site.app.store.read() as session:
        assert session.get_one(Person, site.people[MEMBER].id).password_hash == "x" != encoded


def test_nobody_fills_the_log_by_changing_the_same_again_and_again(site):
    client, answers = site.client(MEMBER), []
    for number in range(gate.CHANGES_AT_ONCE + 20):
        act = "pause" if number % 2 else "resume"
        answers.append(client.post("/me/trading", data=site.form(MEMBER, act=act)))
    statuses = [answer.status_code for answer in answers]
    assert 429 not in statuses[: gate.CHANGES_AT_ONCE]
    assert statuses[-1] == 429
    assert "you ask too often" in answers[-1].text.lower()
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= gate.CHANGE_SECONDS
    assert client.get("/me").status_code == 200, "a person may look on"
    assert site.client("other").post("/me/trading", data=site.form("other", act="pause")).status_code != 429


def test_a_program_that_asks_without_end_is_told_to_wait(site):
    client, scope = site.flask.test_client(), "energy:read"
    ask = {"headers": {"Authorization": f"Bearer {site.tokens[scope]}"}}
    answers = [client.get("/api/v1/me", **ask) for _ in range(gate.READS_AT_ONCE + 300)]
    assert answers[0].status_code == 200
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert (refused[0].status_code, refused[0].json["code"]) == (429, "too_often")
    assert refused[0].headers["Retry-After"] == "1"


@pytest.mark.parametrize("old", [sessions.FRESH_SECONDS, 86_400])
def test_whoever_finds_an_open_browser_adds_or_removes_no_passkey(site, clock, old):
    client, headers = site.client(MEMBER), {"X-Form-Token": site.form(MEMBER)["form_token"]}
    unknown = client.post("/account/passkeys/x/remove", headers=headers)
    assert unknown.status_code == 404
    assert client.post("/account/passkey/options", headers=headers).status_code == 200
    assert "Add a passkey" in client.get("/account").text
    clock.now += old
    for url, sent in (
        ("/account/passkey/options", {}),
        ("/account/passkey", {"json": {"ticket": "x", "answer": {"rawId": "x"}}}),
        ("/account/passkeys/x/remove", {}),
    ):
        refused = client.post(url, headers={**headers, "Accept": "application/json"}, **sent)
        assert (refused.status_code, refused.json["code"]) == (403, "sign_in_again")
    page = client.get("/account").text
    assert "Add a passkey" not in page
    assert "/login?next=/account" in page


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:1"}]
)
def test_another_site_changes_nothing(with_password, headers):
    site, client = with_password, with_password.client(MEMBER)
    for url, fields in (
        ("/login", {"login": "member@campus.example", "password": GOOD}),
        ("/logout", site.form(MEMBER)),
        ("/me/trading", site.form(MEMBER, act="save", sell_at="0.2")),
        ("/account/tokens", site.form(MEMBER, name="x", scope="energy:read", days="1")),
    ):
        assert client.post(url, data=fields, headers=headers).status_code == 403, url
    del client.environ_base["HTTP_ORIGIN"]
    assert client.post("/logout", data=site.form(MEMBER)).status_code == 403, "neither Origin nor Sec-Fetch-Site"
    fetched = {"Sec-Fetch-Site": "same-origin"}
    assert client.post("/logout", data=site.form(MEMBER), headers=fetched).status_code == 303


@pytest.mark.parametrize(("limit", "warns"), [("0.28", False), ("0.281", True)])
def test_a_limit_at_which_the_grid_would_be_cheaper_is_told(site, limit, warns):
    """Retail is 0.300 and wheeling 0.020, which comes on top of the market's price alone."""
    shown = site.client(MEMBER).post("/me/trading", data=site.form(MEMBER, act="preview", buy_at=limit)).text
    assert "above 0.280 you would pay more than the grid" in shown
    assert ("At your limit you may pay more" in shown) is warns


def test_a_form_without_its_token_or_with_anothers_changes_nothing(site):
    client = site.client(MEMBER)
    for fields in ({}, {"form_token": "x"}, site.form("other")):
        assert client.post("/me/trading", data={**fields, "act": "save", "sell_at": "0.2"}).status_code == 403
        assert client.put("/api/v1/me/standing-order", json={"sell_at": 200_000, **fields}).status_code == 403
    made = client.put(
        "/api/v1/me/standing-order",
        json={"sell_at": 200_000},
        headers={"X-Form-Token": site.form(MEMBER)["form_token"]},
    )
    assert (made.status_code, made.json["sell_at"]) == (200, 200_000)


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ("http://localhost/op/held", "/op/held"),
        ("http://localhost/op/members?role=member", "/op/members?role=member"),
        ("http://localhost", "/"),
        ("http://evil.example/op/held", "/home"),
        ("http://localhost//evil.example/", "/home"),
        ("http://localhost/logout", "/home"),  # nothing to be read there
        ("http://localhost/nowhere", "/home"),
        ("http://[", "/home"),
        (None, "/home"),
    ],
)
def test_who_sends_a_form_after_the_session_ended_is_told_so_and_finds_the_page_again(site, clock, referer, back):
    clock.now += sessions.STAFF_IDLE_SECONDS
    client, headers = site.client(OPERATOR), {} if referer is None else {"Referer": referer}
    answer = client.post("/op/news", data=site.form(OPERATOR, title="x"), headers=headers)
    assert answer.status_code == 303
    asked = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert asked == {"next": [back], "lost": ["1"]}
    page = client.get(answer.headers["Location"]).text
    assert "Your session has ended, so what you just sent was not done." in page
    assert f'name="next" value="{back}"' in page
    assert "session has ended" not in client.get("/login?next=/op").text


def test_a_form_that_is_too_old_is_a_page_to_people_and_a_problem_to_programs(site):
    client, sent = site.client(MEMBER), {"act": "save", "form_token": "x"}
    answer = client.post("/me/trading", data=sent, headers={"Referer": "http://localhost/me/trading?x=1"})
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    assert "Nothing was done" in answer.text
    assert 'href="/me/trading?x=1"' in answer.text
    assert "Your pages" in answer.text
    foreign = {"Origin": "http://evil.example", "Referer": "http://evil.example/me/trading"}
    answer = site.client().post("/login", data={"login": "x"}, headers=foreign)
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    assert "evil" not in answer.text
    for url, headers in (("/me/trading", {"Accept": "application/json"}), ("/api/v1/me/tokens", {})):
        answer = client.post(url, json=sent, headers=headers)
        assert (answer.status_code, answer.mimetype) == (403, "application/problem+json"), url
        assert answer.json["code"] == "foreign_request"


def test_sessions_are_shown_and_ended_by_their_owner_alone(site):
    with site.app.store.read() as session:
        mine = session.scalars(select(PersonSession.id).where(PersonSession.person_id == site.people[MEMBER].id)).one()
    for other in (AUTHORITY, "other"):
        assert site.client(other).post(f"/account/sessions/{mine}/end", data=site.form(other)).status_code == 404
    assert mine not in site.client("other").get("/account").text
    assert site.client(MEMBER).get("/me").status_code == 200
    assert site.client(MEMBER).post(f"/account/sessions/{mine}/end", data=site.form(MEMBER)).status_code == 303
    assert site.client(MEMBER).get("/me").status_code == 303


def test_an_invitation_is_looked_at_freely_and_accepted_once(site):
    with site.app.store.write() as session:
        person = session.get_one(Person, site.people["other"].id)
        secret = invitations.make(session, person, by="test", now=site.app.clock())
    client = site.client()
    for _ in range(2):
        assert "The Other" in client.get(f"/invite/{secret}").text
    weak = client.post(f"/invite/{secret}", data={"password": "short"})
    assert (weak.status_code, "12 to 128 characters" in weak.text) == (400, True)
    accepted = client.post(f"/invite/{secret}", data={"password": GOOD})
    assert (accepted.status_code, accepted.headers["Location"]) == (303, "/home")
    assert "Dormitory B" in client.get("/me").text
    assert site.client("other").get("/me").status_code == 303, "who had a session before has to sign in again"
    for answer in (client.get(f"/invite/{secret}"), client.post(f"/invite/{secret}", data={"password": GOOD})):
        assert answer.status_code == 404
        assert "too old" in answer.text


def test_only_an_entrance_enters(site):
    with site.app.store.write() as session:
        person, now = session.get_one(Person, site.people[OPERATOR].id), site.app.clock()
        entrance = invitations.make_entrance(session, person, by="test", now=now, seconds=60)
        usual = invitations.make(session, session.get_one(Person, site.people[MEMBER].id), by="test", now=now)
    for _ in range(2):
        client = site.client()
        assert client.get(f"/enter/{entrance}").headers["Location"] == "/home"
        assert client.get("/home").headers["Location"] == "/op"
    assert site.client().get(f"/enter/{usual}").status_code == 404
    assert site.client().get(f"/invite/{entrance}").status_code == 404


def test_what_a_delegate_and_an_operator_read_is_in_the_log_by_pseudonym(site):
    def read():
        with site.app.store.read() as session:
            acts = session.scalars(select(Act).where(Act.kind == "data_read").order_by(Act.log_index)).all()
        return [(act.actor, act.data["what"], act.data["subject"]) for act in acts]

    site.client(MEMBER).get("/me")
    site.client(MEMBER).get("/api/v1/me/bills")
    assert read() == []
    site.client(DELEGATE).get("/api/v1/me/bills")
    site.client(DELEGATE).get("/me/bills")
    site.client(OPERATOR).get("/op")
    wallet = site.members["Dormitory A"].wallet
    assert read() == [
        (site.people[DELEGATE].pseudonym, "bills", wallet),
        (site.people[OPERATOR].pseudonym, "waiting", "everybody"),
    ]
    with site.app.store.read() as session:
        leaves = every_leaf(session)
    assert [word for word in (b"campus.example", b"Dormitory", b"The Member") if word in leaves] == []


def test_a_member_sees_who_read_its_data_and_a_stranger_or_another_does_not(site):
    def told(role, query=""):
        page = site.client(role).get(f"/account/readers{query}").text
        return re.findall(r"<li><span><strong>(.*?)</span></li>", page, re.DOTALL)

    assert told(MEMBER) == []
    site.client(DELEGATE).get("/me/bills")
    site.client(OPERATOR).get("/op")
    (row,) = told(MEMBER)
    assert row.startswith("Bills and payments<")
    assert f"{site.people[DELEGATE].pseudonym}, a delegate" in row
    assert [each.partition("<")[0] for each in told(MEMBER, "?everybody=1")] == [
        "What waits at the department",
        "Bills and payments",
    ]
    assert told("other") == told(DELEGATE) == []
    assert site.client().get("/account/readers").status_code == 303
    for odd in ("?before=x", "?before=-1", f"?before={10**30}", "?everybody=%00"):
        assert site.client(MEMBER).get(f"/account/readers{odd}").status_code == 200


def test_readers_are_told_a_page_at_a_time_and_who_left_has_no_role(site, monkeypatch):
    wallet = site.members["Dormitory A"].wallet
    with site.app.store.write() as session:
        for n in range(60):
            data = {"subject": wallet, "what": "energy"}
            log.record_act(session, "data_read", f"person-{n:016x}", 1_780_000_000 + n, data)
    first = site.client(MEMBER).get("/account/readers").text
    older = re.search(r'href="(/account/readers[?]before=[0-9]+)"', first)[1]
    rest = site.client(MEMBER).get(older).text
    assert (first.count("log entry"), rest.count("log entry")) == (50, 10)
    assert "person-0000000000000000; log entry" in " ".join(rest.split())


def test_a_page_of_readers_goes_through_so_many_acts_and_no_more(site, monkeypatch):
    """They are of all people: with one's own long ago, a page says so and goes on."""
    monkeypatch.setattr(reads, "LOOKED_AT", 20)
    wallet = site.members["Dormitory A"].wallet
    with site.app.store.write() as session:
        for n in range(45):
            data = {"subject": wallet if n == 2 else site.members["Dormitory B"].wallet, "what": "energy"}
            log.record_act(session, "data_read", f"person-{n:016x}", 1_780_000_000 + n, data)
    client, url, pages = site.client(MEMBER), "/account/readers", []
    while url:
        pages.append(client.get(url).text)
        found = re.search(r'href="(/account/readers[?]before=[0-9]+)"', pages[-1])
        url = found and found[1]
    assert ["Nobody in this part of the log" in each for each in pages] == [True, True, False]
    assert [each.count("log entry") for each in pages] == [0, 0, 1]


def test_what_is_kept_is_told_to_everybody_and_on_the_invitation(site):
    stranger = site.client().get("/privacy")
    assert stranger.status_code == 200
    assert "at least 3 members" in stranger.text
    assert "/account/readers" not in stranger.text
    assert "/account/readers" in site.client(MEMBER).get("/privacy").text
    with site.app.store.write() as session:
        secret = invitations.make(session, session.merge(site.people["nobody"]), by="test", now=site.app.clock())
    assert 'href="/privacy"' in site.client().get(f"/invite/{secret}").text


def test_a_bill_as_pdf_is_its_members_its_delegates_and_the_treasurers(site, sample_month):
    sample_month(site)
    member, delegate = (site.client(role).get("/me/bills/1.pdf") for role in (MEMBER, DELEGATE))
    treasurer = site.client(TREASURER).get("/treasury/bills/1.pdf")
    assert member.data[:5] == b"%PDF-"
    assert member.data == delegate.data == treasurer.data
    assert member.headers["Content-Disposition"] == 'attachment; filename="bill-1.pdf"'
    assert (member.content_type, member.headers["Cache-Control"]) == ("application/pdf", "no-store")
    assert site.client("other").get("/me/bills/1.pdf").status_code == 404
    assert site.client(OPERATOR).get("/treasury/bills/1.pdf").status_code == 404
    wallet = site.members["Dormitory A"].wallet
    with site.app.store.read() as session:
        acts = session.scalars(select(Act).where(Act.kind == "data_read").order_by(Act.log_index)).all()
    assert [(act.actor, act.data["subject"]) for act in acts] == [
        (site.people[role].pseudonym, wallet) for role in (DELEGATE, TREASURER)
    ]


def test_bills_are_mailed_and_one_is_sent_again_on_the_page(app, sample_month):
    app.home.save(replace(app.home.settings, alerts=AlertSettings(mail_from="bills@campus.example")))
    site = build(replace(app, home=Home.open(app.home.path)))
    sample_month(site)
    client, url = site.client(TREASURER), "/treasury/periods/0/mail"
    assert "Mail 1 bill now" in client.get(url).text
    for _ in range(2):
        assert client.post(url, data=site.form(TREASURER, act="all")).status_code == 303
    assert "member@campus.example: waits to be sent" in client.get(url).text
    with site.app.store.write() as session:
        row = session.scalars(select(BillMail)).one()
        row.state, row.sent_at, person = "sent", 1_782_000_000, row.person_id
    assert "taken by the mail server" in client.get(url).text
    resend = site.form(TREASURER, act="again", bill=1, person=person)
    assert client.post(url, data=resend).status_code == 303
    assert client.post(url, data={**resend, "person": 10_000}).status_code == 404
    assert "waits to be sent" in client.get(url).text
    with site.app.store.read() as session:
        kinds = session.scalars(select(Act.kind).where(Act.kind.like("bill%_mailed%")).order_by(Act.log_index)).all()
    assert kinds == ["bills_mailed", "bill_mailed_again"]


def https_site(tmp_path, clock):
    home = Home.create(
        tmp_path / "https", Settings(web=WebSettings(origin="https://energy.campus.example")), now=clock()
    )
    return App.open(home.path, clock)


def test_over_https_the_cookie_is_the_hosts_alone(tmp_path, clock):
    app = https_site(tmp_path, clock)
    site = build(app)
    with app.store.write() as session:
        session.get_one(Person, site.people[MEMBER].id).password_hash = passwords.hashed(GOOD)
    client = site.flask.test_client()
    client.environ_base["HTTP_ORIGIN"] = "https://energy.campus.example"
    name, value, text = cookie(log_in(client))
    assert name == SECURE_COOKIE
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(text.split("; "))
    assert "Domain" not in text
    plain = site.flask.test_client()
    plain.set_cookie(LOOPBACK_COOKIE, value, domain="localhost")
    assert plain.get("/me").status_code == 303, "the cookie for this machine alone is not looked at"
    app.store.close()


def test_without_an_origin_nobody_signs_in_from_elsewhere(with_password):
    client = with_password.client(MEMBER)
    elsewhere = {"base_url": "http://energy.campus.example"}
    assert "Nobody can sign in at this address" in client.get("/login", **elsewhere).text
    assert client.get("/me", **elsewhere).status_code == 303
    sent = {"login": "member@campus.example", "password": GOOD}
    headers = {"Origin": "http://energy.campus.example"}
    assert client.post("/login", data=sent, headers=headers, **elsewhere).status_code == 403


def test_the_pages_ask_nothing_of_anybody_else(site):
    """No script, style or picture from elsewhere, and a policy that lets none in."""
    for role, url in ((MEMBER, "/me"), (OPERATOR, "/op"), (None, "/login"), (AUDITOR, "/account")):
        answer = site.client(role).get(url)
        assert answer.status_code == 200, url
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert re.findall(r'(?:src|href|action)="(?!/|#)[^"]+', answer.text) == []
        assert re.findall(r"<script(?! src)|\son\w+=|\sstyle=", answer.text) == []


def test_without_people_there_is_no_way_in(app):
    source = build(app).flask.extensions["campus_feed"]
    client = create_app(source._source).test_client()
    assert client.get("/login").status_code == 404
    assert client.get("/me").status_code == 404
    assert json.dumps(People(app, no_chain).app.home.settings.web.origin) == '""'
