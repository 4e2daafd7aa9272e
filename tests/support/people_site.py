"""The web application over a real store, with people of every role who are signed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from sample_campus import Source
from solders.keypair import Keypair
from sqlalchemy import select

from authority.api.feed import CampusFeed
from authority.api.log_tiles import ServedLog
from authority.app import App
from authority.chain.client import ChainClient
from authority.people import records, sessions, tokens
from authority.people.outside import Outside
from authority.people.roles import DELEGATE, OF_A_MEMBER, ROLES, SCOPES
from authority.status.facts import gather
from authority.status.metrics import Metrics
from authority.store.people import Installation, User
from authority.store.persons import Person
from authority.web.application import People, create_app
from authority.web.health import Health

ORIGIN = "http://localhost"
NOBODY_LISTENS = "http://127.0.0.1:9"


def no_chain() -> ChainClient:
    """A validator that does not answer."""
    return ChainClient(NOBODY_LISTENS, attempts=1, timeout=1)


@dataclass
class SignedIn:
    """The application, and people who are signed in: a session's cookie by role."""

    flask: Any
    cookies: dict[str, str]

    def client(self, role: str | None = None) -> Any:
        """A browser: of a stranger, or of the person of a role. It sends what browsers send."""
        client = self.flask.test_client()
        client.environ_base["HTTP_ORIGIN"] = ORIGIN
        client.environ_base["HTTP_ACCEPT"] = "text/html"
        if role is not None:
            client.set_cookie("campus-here", self.cookies[role], domain="localhost")
        return client

    def form(self, role: str, **fields: Any) -> dict[str, Any]:
        """A form of that person's own pages."""
        return {"form_token": sessions.form_token(self.cookies[role]), **fields}


@dataclass
class PeopleSite(SignedIn):
    """Two members, and a person of each role."""

    app: App
    members: dict[str, User]
    people: dict[str, Person]
    tokens: dict[str, str]


def application(app: App, client: Callable[[], ChainClient], outside: Outside | None = None, **options: Any) -> Any:
    """The web application over a store, its public page from a made-up campus."""
    source, asking = Source(), client()
    return create_app(
        source,
        feed=CampusFeed(source, interval=0.01),
        health=Health(lambda: None, Metrics(lambda: gather(app, asking)), "metrics"),
        log=ServedLog(app.store, "auditor"),
        people=People(app, client, outside or Outside()),
        **options,
    )


def build(app: App, client: Any = no_chain, first_installation: int = 1, **options: Any) -> PeopleSite:
    """A site with members Dormitory A and Dormitory B; the member and the delegate are of A, `other` is B's member."""
    now, members, people, cookies, given = app.clock(), {}, {}, {}, {}
    with app.store.write() as session:
        for name in ("Dormitory A", "Dormitory B"):
            members[name] = User(name=name, building=name, wallet=str(Keypair().pubkey()))
            session.add(members[name])
        session.add(
            Installation(
                n=first_installation, building="Dormitory A", kind="mixed", nameplate_w=10_000, storage_wh=0, since=0
            )
        )
        session.flush()
        for role in (*ROLES, "nobody", "other"):
            person = people[role] = records.add(session, f"{role}@campus.example", f"The {role.title()}", now=now)
            of = members["Dormitory A"] if role in OF_A_MEMBER else None
            until = now + 86_400 if role == DELEGATE else None
            if role in ROLES:
                records.grant(session, person, role, by="test", now=now, member=of, until=until)
            elif role == "other":
                records.grant(session, person, "member", by="test", now=now, member=members["Dormitory B"])
            cookies[role] = sessions.begin(session, person, "password", "Chrome on Linux", now)
        owner = records.principal(session, people["member"], "s", now)
        for scope in SCOPES:
            given[scope] = tokens.make(session, owner, f"only {scope}", [scope], 30, now)[1]
    return PeopleSite(application(app, client, **options), cookies, app, members, people, given)


def sign_in(app: App, flask: Any, role: str) -> tuple[Person, Any, str]:
    """A new person of a role at a browser of its own: the person, the browser, and what its forms carry."""
    now = app.clock()
    with app.store.write() as session:
        member = session.scalars(select(User).order_by(User.id)).first() if role in OF_A_MEMBER else None
        person = records.add(session, f"{role}-{token_hex(4)}@campus.example", f"The {role.title()}", now=now)
        records.grant(session, person, role, by="test", now=now, member=member)
        cookie = sessions.begin(session, person, "password", "Chrome on Linux", now)
        session.expunge_all()
    client = flask.test_client()
    client.environ_base.update(HTTP_ORIGIN=ORIGIN, HTTP_ACCEPT="text/html")
    client.set_cookie("campus-here", cookie, domain="localhost")
    return person, client, sessions.form_token(cookie)
