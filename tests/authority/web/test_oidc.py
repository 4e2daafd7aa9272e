"""Signing in by an OpenID provider: a real one over HTTP with real signatures, and one that lies in every way."""

import re
import urllib.parse
from dataclasses import replace

import pytest
from browser import CHROMIUM, Browser
from every_leaf import every_leaf
from openid_provider import CLIENT, SECRET, OpenIdProvider, rsa_key
from people_site import build
from served import served
from sqlalchemy import func, select

from authority.home.errors import HomeConfigError
from authority.home.settings import OidcSettings, Settings
from authority.people import invitations, oidc, oidc_sign_in, passwords, records
from authority.people.roles import MEMBER, OPERATOR
from authority.store.log import Act
from authority.store.persons import Invitation, OidcLink, OidcSignIn, Person

GOOD = "violet kettle under seven"


@pytest.fixture
def store_url():
    return ""


@pytest.fixture
def provider(clock):
    made = OpenIdProvider(clock)
    yield made
    made.stop()


@pytest.fixture
def site(app, provider):
    """A site with the provider configured, and somebody invited as new@campus.example."""
    app.home.save(replace(app.home.settings, oidc=OidcSettings(provider.issuer, CLIENT, "Campus login")))
    app.home.keys.make("oidc-client-secret", SECRET.encode() + b"\n")
    made = build(app)
    with app.store.write() as session:
        person = records.add(session, "new@campus.example", "Ada", now=app.clock())
        records.grant(session, person, MEMBER, by="test", now=app.clock(), member=made.members["Dormitory A"])
        invitations.make(session, person, by="test", now=app.clock())
        made.people["new"] = person
    return made


def leave(client, where="/me/bills"):
    """Begin at the site's button; where the provider is."""
    answer = client.get("/login/oidc", query_string={"next": where})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def sign_in(site, provider, client=None):
    """The whole way; the site's answer to the browser that comes back."""
    client = client or site.client()
    return client.get(provider.back_from(leave(client)))


def links(site):
    with site.app.store.read() as session:
        return {each.subject: each.person_id for each in session.scalars(select(OidcLink))}


def refused(site, answer, words="", status=403):
    assert answer.status_code == status, answer.text
    assert 'role="alert"' in answer.text
    assert words.casefold() in answer.text.casefold()
    assert "campus-here" not in answer.headers.get("Set-Cookie", "").partition("=")[0]
    return True


def test_an_invited_person_comes_in_and_is_known_from_then_on(site, provider):
    client = site.client()
    assert "Sign in with Campus login" in client.get("/login?next=/me/bills").text
    answer = sign_in(site, provider, client)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/me/bills")
    assert client.get("/me").status_code == 200
    assert links(site) == {"u-1": site.people["new"].id}
    provider.claims = {"sub": "u-1", "email": "ada.king@elsewhere.example", "email_verified": False}
    assert sign_in(site, provider).headers["Location"] == "/me/bills"
    with site.app.store.read() as session:
        kinds = ("oidc_linked", "invitation_accepted")
        acts = session.scalars(select(Act).where(Act.kind.in_(kinds)).order_by(Act.log_index)).all()
        leaves = every_leaf(session)
        assert session.scalar(select(func.count()).select_from(OidcSignIn)) == 0
    who = site.people["new"].pseudonym
    assert [(act.kind, act.actor, act.data) for act in acts] == [
        ("oidc_linked", who, {"person": who}),
        ("invitation_accepted", who, {"person": who}),
    ]
    assert [word for word in (b"campus.example", b"u-1", b"elsewhere") if word in leaves] == []


def test_the_browser_is_sent_with_all_that_protects_the_way(site, provider):
    client = site.client()
    answer = client.get("/login/oidc?next=//evil.example")
    asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers["Location"]).query))
    assert asked["redirect_uri"] == "http://localhost/login/oidc/return"
    assert asked["code_challenge_method"] == "S256"
    assert len({asked[name] for name in ("state", "nonce", "code_challenge")}) == 3
    assert all(len(asked[name]) >= 43 for name in ("state", "nonce", "code_challenge"))
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"} <= set(cookie.split("; "))
    assert not any(value in cookie for value in asked.values() if len(value) >= 43)
    back = client.get(provider.back_from(answer.headers["Location"]))
    assert back.headers["Location"] == "/home", "nobody is sent to another site"
    with site.app.store.write() as session:
        person = session.get_one(Person, site.people["new"].id)
        records.erase(session, person, by="test", now=site.app.clock())
    assert links(site) == {}


LIES = {
    "another nonce": {"nonce": "x" * 43},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "somebody else"},
    "no audience": {"aud": None},
    "issued for us and to another": {"aud": [CLIENT, "somebody else"], "azp": "somebody else"},
    "for several without saying to whom": {"aud": [CLIENT, "somebody else"]},
    "another issuer": {"iss": "https://login.elsewhere.example"},
    "no issuer": {"iss": None},
    "expired": {"exp": 1_782_000_000 - 61},
    "without an end": {"exp": None},
    "an end in words": {"exp": "tomorrow"},
    "issued in the future": {"iat": 1_782_000_000 + 3_600},
    "without a beginning": {"iat": None},
    "of nobody": {"sub": None},
    "of nobody's name": {"sub": ""},
    "a name that is a number": {"sub": 7},
    "another access token's": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


def test_an_id_token_that_is_not_for_this_sign_in_is_not_believed(site, provider):
    for lie, changes in LIES.items():
        provider.changes = changes
        assert refused(site, sign_in(site, provider)), lie
        assert links(site) == {}, lie
    provider.changes = {}
    assert sign_in(site, provider).status_code == 303


def test_an_id_token_that_is_not_the_providers_is_not_believed(site, provider):
    for forged in (
        provider.unsigned,
        provider.with_a_cut_signature,
        provider.by_a_strange_key,
        provider.by_an_unknown_key,
        provider.by_the_public_key_as_a_secret,
        provider.by_the_clients_secret,
        *((lambda claims, text=text: text) for text in ("", "x", "a.b.c", "eyJhbGciOiJSUzI1NiJ9.W10.eA")),
    ):
        provider.sign = forged
        assert refused(site, sign_in(site, provider), "is not believed"), forged
        assert links(site) == {}, forged
    provider.sign = None
    assert sign_in(site, provider).status_code == 303


def test_a_state_is_good_once_and_for_ten_minutes(site, provider, clock):
    client = site.client()
    back = provider.back_from(leave(client))
    assert client.get(back).status_code == 303
    assert refused(site, client.get(back), "begin again")
    late = provider.back_from(leave(client))
    clock.now += oidc_sign_in.SIGN_IN_SECONDS
    assert refused(site, client.get(late), "begin again")
    for query in ("", "?state=x&code=y", "?code=y"):
        assert refused(site, client.get(f"/login/oidc/return{query}"), "begin again")


def test_another_browsers_answer_signs_nobody_in(site, provider):
    """Who sends somebody the end of its own sign-in would have them act in its account."""
    attacker, victim, third = site.client(), site.client(), site.client()
    back = provider.back_from(leave(attacker))
    leave(victim)
    for client in (victim, third):
        assert refused(site, client.get(back), "another browser")
    assert attacker.get(back).status_code == 303, "what others tried used nothing up"


def test_a_code_of_another_sign_in_is_not_taken(site, provider):
    """A stolen code, put into a sign-in of the thief's own: PKCE ties it to the one that it was given for."""
    owner, thief = site.client(), site.client()
    stolen = urllib.parse.parse_qs(provider.back_from(leave(owner)).partition("?")[2])["code"][0]
    own = urllib.parse.parse_qs(provider.back_from(leave(thief)).partition("?")[2])["state"][0]
    query = urllib.parse.urlencode({"code": stolen, "state": own})
    assert refused(site, thief.get(f"/login/oidc/return?{query}"), "begin again")
    assert links(site) == {}


def test_an_answer_of_another_provider_is_not_taken(site, provider):
    provider.says_issuer = "https://login.elsewhere.example"
    assert refused(site, sign_in(site, provider), "not of Campus login")
    provider.says_issuer = provider.issuer
    assert sign_in(site, provider).status_code == 303


def test_a_provider_that_says_who_it_is_must_say_so(site, provider):
    provider.described = {"authorization_response_iss_parameter_supported": True}
    assert refused(site, sign_in(site, provider), "not of Campus login")


UNINVITED = (
    {"email": "new@campus.example", "email_verified": False},
    {"email": "new@campus.example"},
    {"email": "new@campus.example", "email_verified": "true"},
    {"email": "new@campus.example", "email_verified": 1},
    {"email": ["new@campus.example"], "email_verified": True},
    {"email_verified": True},
    {"email": "nobody.knows@campus.example", "email_verified": True},
    {"email": "member@campus.example", "email_verified": True},
    {"email": "operator@campus.example", "email_verified": True},
)


def test_only_an_invited_and_verified_address_opens_an_account(site, provider):
    """Neither an address that anybody may claim, nor one without an open invitation; and nobody is added."""
    with site.app.store.read() as session:
        before = session.scalar(select(func.count()).select_from(Person))
    for claims in UNINVITED:
        provider.claims = {"sub": "u-1", **claims}
        assert refused(site, sign_in(site, provider)), claims
        assert links(site) == {}, claims
    with site.app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Person)) == before


def test_an_invitation_that_does_not_hold_opens_nothing(site, provider, clock):
    for change in ({"used_at": 1}, {"withdrawn_at": 1}, {"enters": True}, {"expires_at": clock()}):
        with site.app.store.write() as session:
            person = session.get_one(Person, site.people["new"].id)
            invitations.make(session, person, by="test", now=clock())
            newest = session.scalar(select(Invitation).order_by(Invitation.id.desc()).limit(1))
            for name, value in change.items():
                setattr(newest, name, value)
        assert refused(site, sign_in(site, provider), "no open invitation"), change


def test_another_subject_with_the_same_address_needs_an_invitation_of_its_own(site, provider):
    sign_in(site, provider)
    provider.claims = {**provider.claims, "sub": "u-2"}
    assert refused(site, sign_in(site, provider), "no open invitation")
    with site.app.store.write() as session:
        person = session.get_one(Person, site.people["new"].id)
        invitations.make(session, person, by="test", now=site.app.clock())
    assert sign_in(site, provider).status_code == 303
    assert links(site) == {"u-2": site.people["new"].id}, "the former subject opens nothing any more"


def test_the_address_may_stand_at_the_userinfo_endpoint(site, provider):
    provider.claims = {"sub": "u-1"}
    provider.userinfo = {"sub": "u-2", "email": "new@campus.example", "email_verified": True}
    assert refused(site, sign_in(site, provider), "two different people")
    provider.userinfo["sub"] = "u-1"
    assert sign_in(site, provider).status_code == 303


def test_a_new_key_of_the_provider_is_found(site, provider, monkeypatch):
    sign_in(site, provider)
    provider.keys = [rsa_key("new")]
    assert refused(site, sign_in(site, provider), "is not believed"), "not more often than every half minute"
    monkeypatch.setattr(oidc, "KEYS_AGAIN_SECONDS", 0.0)
    assert sign_in(site, provider).status_code == 303
    assert provider.asked.count("/.well-known/openid-configuration") == 1


def test_a_refusal_at_the_provider_is_said(site, provider):
    client = site.client()
    state = urllib.parse.parse_qs(provider.back_from(leave(client)).partition("?")[2])["state"][0]
    answer = client.get(f"/login/oidc/return?error=access_denied&state={state}&error_description=%3Cb%3Ex")
    assert refused(site, answer, "Campus login did not sign you in")
    assert "<b>x" not in answer.text


def with_password(site):
    with site.app.store.write() as session:
        session.get_one(Person, site.people[MEMBER].id).password_hash = passwords.hashed(GOOD)
    return site.client().post("/login", data={"login": "member@campus.example", "password": GOOD})


def test_where_the_provider_is_down_passwords_and_passkeys_work(site, provider):
    provider.fails = True
    answer = site.client().get("/login/oidc?next=/me/bills")
    assert refused(site, answer, "Campus login does not answer", 503)
    assert 'name="next" value="/me/bills"' in answer.text
    assert 'class="passkey"' in answer.text
    assert with_password(site).status_code == 303
    provider.fails = False
    client = site.client()
    back = provider.back_from(leave(client))
    provider.fails = True
    assert refused(site, client.get(back), "does not answer", 503)


UNUSABLE = (
    ({"issuer": "https://login.elsewhere.example"}, "calls itself"),
    ({"token_endpoint": None}, "does not describe its token_endpoint"),
    ({"token_endpoint": "http://192.0.2.1/token"}, "does not describe its token_endpoint"),
    ({"authorization_endpoint": "javascript:alert(1)"}, "does not describe its authorization_endpoint"),
    ({"jwks_uri": "file:///etc/passwd"}, "does not describe its jwks_uri"),
    ({"code_challenge_methods_supported": ["plain"]}, "does not take PKCE"),
    ({"jwks_uri": "{issuer}/moved"}, "does not answer as it should"),
    ({"jwks_uri": "{issuer}/endless"}, "does not answer with what it should"),
    ({"jwks_uri": "{issuer}/authorize/nothing"}, "does not answer as it should"),
    ({"jwks_uri": "{issuer}/.well-known/openid-configuration"}, "keys that cannot be read"),
)


def test_a_description_that_cannot_be_used_is_told(site, provider, monkeypatch):
    monkeypatch.setattr(oidc, "DISCOVERED_SECONDS", 0.0)
    for described, words in UNUSABLE:
        provider.described = {
            name: value.replace("{issuer}", provider.issuer) if isinstance(value, str) else value
            for name, value in described.items()
        }
        assert refused(site, site.client().get("/login/oidc"), words, 503), described
    provider.described = {}
    assert site.client().get("/login/oidc").status_code == 303


def test_without_the_clients_secret_nobody_signs_in_there(site, provider):
    site.app.home.key_path("oidc-client-secret").unlink()
    assert refused(site, sign_in(site, provider), "oidc-client-secret is missing", 503)
    site.app.home.keys.make("oidc-client-secret", b"wrong")
    assert refused(site, sign_in(site, provider), "begin again")


def test_signing_out_tells_of_the_provider(site, provider):
    client = site.client()
    sign_in(site, provider, client)
    token = re.search(r'name="form_token" value="(\w+)"', client.get("/account").text)[1]
    answer = client.post("/logout", data={"form_token": token})
    assert answer.headers["Location"] == "/signed-out"
    assert client.get("/me").status_code == 303
    page = client.get("/signed-out").text
    url = re.search(r'href="(http[^"]+)"', page)[1].replace("&amp;", "&")
    assert url.startswith(f"{provider.issuer}/logout?")
    assert provider.back_from(url) == "/?"
    assert site.client(OPERATOR).post("/logout", data=site.form(OPERATOR)).headers["Location"] == "/"


def test_where_none_is_configured_there_is_nothing_of_it(app):
    site = build(app)
    assert "/login/oidc" not in site.client().get("/login").text
    for url in ("/login/oidc", "/login/oidc/return?state=x&code=y", "/signed-out"):
        assert site.client().get(url).status_code == 404


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('issuer = "http://login.campus.example"\nclient_id = "x"', "issuer is https://"),
        ('issuer = "login.campus.example"\nclient_id = "x"', "issuer is https://"),
        ('issuer = "https://login.campus.example"', "go together"),
        ('client_id = "x"', "go together"),
    ],
)
def test_settings_that_cannot_work_are_refused(text, words):
    with pytest.raises(HomeConfigError, match=words):
        Settings.from_toml(f"[oidc]\n{text}\n")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_in_a_real_browser_from_the_invitation_to_the_bills(site, provider, tmp_path):
    """Cookies across sites, the site's content policy and the provider's own page, as they are."""
    import axe

    provider.interactive = True
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        faults = []
        for width, dark in ((390, True), (1280, False)):
            browser.emulate(width, 900, dark=dark)
            browser.open(f"{address}/login?next=/me/bills")
            faults += axe.faults(browser)
            axe.picture(browser, f"oidc-login-{width}-{'dark' if dark else 'light'}")
        browser.evaluate("document.querySelector('a.button').click()")
        browser.until("document.title === 'Campus login' && document.readyState === 'complete'")
        browser.evaluate("document.querySelector('button').click()")
        browser.until("location.pathname === '/me/bills' && document.readyState === 'complete'")
        browser.evaluate("document.querySelector('header form button').click()")
        browser.until("location.pathname === '/signed-out' && document.readyState === 'complete'")
        faults += axe.faults(browser)
        axe.picture(browser, "oidc-signed-out-1280-light")
        browser.evaluate("document.querySelector('main a').click()")
        browser.until(f"location.href === '{address}/' && document.readyState === 'complete'")
        assert faults == []
        assert [line for line in browser.messages if "favicon" not in line] == []
