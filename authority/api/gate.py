"""The one gate: who may come through which route, decided before any view is called.

Every route of the application has a rule; one without is open to nobody. Who is not signed in is sent to sign in (a
page) or told so (the API); what is not one's own is not there (404), so nobody learns what others have. A request that
changes something comes from the site's own pages, or from a program with a token.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from flask import Flask, Response, current_app, g, redirect, request
from werkzeug.exceptions import HTTPException

from authority.anteroom import counted_by
from authority.api import idempotency
from authority.app import App
from authority.people import reads, sessions, tokens
from authority.people.errors import ForeignRequestError, TooOftenError
from authority.people.limits import Bucket
from authority.people.passkeys import Site
from authority.people.roles import MemberAccount, Principal
from authority.problems import problem
from authority.refusals import NotFoundError

SAFE = ("GET", "HEAD", "OPTIONS")
CHANGES_AT_ONCE, CHANGE_SECONDS = 120, 2.0
"""What a person may change at once, and how long until one change more."""
READS_AT_ONCE, READ_SECONDS = 600, 0.2
"""The same of what a token reads."""
STRANGERS_AT_ONCE, STRANGER_SECONDS = 3_000, 0.01
"""The same of what everybody may read of the API, behind one address: a lecture hall is behind one."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SECURE_COOKIE, LOOPBACK_COOKIE = "__Host-campus", "campus-here"
FORM_FIELD, FORM_HEADER = "form_token", "X-Form-Token"
HOME = "/home"
"""Where everybody who is signed in finds its own pages."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Whose a route is. roles None: anybody's, strangers included; empty: everybody's who is signed in.

    scope is what a program's token needs; None: no token comes here; ANY_SCOPE: every token does.
    """

    roles: frozenset[str] | None
    scope: str | None = None


PUBLIC = Rule(None)
ANY_SCOPE = ""


class Outcome(Enum):
    """What the gate says."""

    OPEN = auto()
    SIGN_IN = auto()
    NOT_THERE = auto()
    SCOPE_MISSING = auto()


def decide(rule: Rule | None, principal: Principal | None) -> Outcome:
    """The decision, as a pure function of the rule and of who asks."""
    if rule is None:
        return Outcome.NOT_THERE
    if rule.roles is None:
        return Outcome.OPEN
    if principal is None:
        return Outcome.SIGN_IN
    if rule.roles and not rule.roles & principal.roles:
        return Outcome.NOT_THERE
    if principal.scopes is not None and rule.scope != ANY_SCOPE and rule.scope not in principal.scopes:
        return Outcome.SCOPE_MISSING
    return Outcome.OPEN


def principal() -> Principal:
    """Who asks, in a view of a rule with roles."""
    found: Principal = g.principal
    return found


def own_member(app: App, what: str) -> MemberAccount:
    """The member's account that who asks may see. Where it is not the person's own, the reading is logged first."""
    who = principal()
    if who.member is None:
        raise NotFoundError("you are no member of the market")
    if not who.is_own:
        reads.note(app.store, who, what, who.member.wallet, app.clock())
    return who.member


def account_of_bills(app: App) -> MemberAccount:
    """The account whose bills who asks may see: as `own_member`, or the one that it was the member of, which ended."""
    former = principal().former
    return own_member(app, "bills") if former is None else former


def site(app: App) -> Site | None:
    """The site as browsers know it; None where nobody can sign in: from elsewhere, without [web] origin.

    Browsers keep a `Secure` cookie for HTTPS alone. The demonstration has none, so on this machine itself, and where no
    origin is set, a cookie of another name does without.
    """
    settings = app.home.settings
    if settings.web.origin:
        domain = urllib.parse.urlsplit(settings.web.origin).hostname or ""
        return Site(settings.network.organisation, domain, settings.web.origin)
    host = request.host.rpartition(":")[0] if not request.host.endswith("]") and ":" in request.host else request.host
    if host not in LOOPBACK:
        return None
    return Site(settings.network.organisation, "localhost" if host == "localhost" else "", f"http://{request.host}")


def cookie_name(app: App) -> str:
    """The session cookie's name: with its prefix browsers take it over HTTPS, for this host and every path alone."""
    return SECURE_COOKIE if app.home.settings.web.origin else LOOPBACK_COOKIE


def set_cookie(app: App, response: Response, secret: str) -> None:
    """Give the browser a session; an empty secret takes it away."""
    response.set_cookie(
        cookie_name(app),
        secret,
        max_age=sessions.LONGEST_SECONDS if secret else 0,
        path="/",
        secure=bool(app.home.settings.web.origin),
        httponly=True,
        samesite="Lax",
    )


def address_of() -> str:
    """By what address who asks is counted; empty where a proxy on this machine does not say for whom: it counts them
    itself."""
    address = request.remote_addr or ""
    if ipaddress.ip_address(address or "127.0.0.1").is_loopback:
        said = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        return counted_by(said) or said
    return counted_by(address)


def is_api() -> bool:
    """Whether a program asks."""
    return request.path.startswith("/api/")


def install(flask: Flask, app: App, rules: Mapping[str, Rule]) -> None:
    """Put the gate before every view. KeyError for a route without a rule: it is found at the start, not in service."""

    changed = Bucket(app.tries, "changes", CHANGES_AT_ONCE, CHANGE_SECONDS)
    read = Bucket(app.tries, "reads", READS_AT_ONCE, READ_SECONDS)
    strangers = Bucket(app.tries, "strangers", STRANGERS_AT_ONCE, STRANGER_SECONDS)

    def count(who: Principal) -> None:
        """TooOftenError for a person who changes too much, for each change is in the log; or for a hasty program."""
        if request.method not in SAFE:
            wait = changed.wait(who.pseudonym)
        else:
            wait = 0.0 if who.scopes is None else read.wait(who.session)
        if wait > 0:
            raise TooOftenError(wait)

    def count_stranger() -> None:
        """TooOftenError for an address behind which too much is read of the API."""
        address = address_of() if is_api() else ""
        if address and (wait := strangers.wait(address)) > 0:
            raise TooOftenError(wait)

    @flask.before_request
    def gate() -> Response | None:
        g.principal, g.session_secret = None, ""
        g.has_cookie = cookie_name(app) in request.cookies
        rule = rules.get(request.endpoint or "")
        if request.endpoint is None or (rule is not None and rule.roles is None):
            if g.has_cookie and _for_a_person():
                g.principal = _who(app)  # everybody may see it, and who is known finds its own pages from there
            if request.endpoint is not None and request.method not in SAFE and not from_own_page(app):
                raise ForeignRequestError
            count_stranger()
            return None
        g.principal = _who(app)
        outcome = decide(rule, g.principal)
        if outcome is Outcome.SIGN_IN:
            count_stranger()
            return _sign_in(app)
        if outcome is Outcome.NOT_THERE:
            raise NotFoundError("there is nothing here for you")
        if outcome is Outcome.SCOPE_MISSING:
            needed = rule.scope if rule else None
            detail = f"a token with the scope {needed} may do this" if needed else "no token may do this: sign in"
            return problem(403, "scope_missing", detail)
        if request.method not in SAFE and g.principal.scopes is None and not _own_form(app):
            raise ForeignRequestError
        count(g.principal)
        if is_api() and request.method not in SAFE:
            return idempotency.first(app, g.principal)
        return None


def check_rules(flask: Flask, rules: Mapping[str, Rule]) -> None:
    """KeyError where a route has no rule, or a rule no route."""
    routes = {rule.endpoint for rule in flask.url_map.iter_rules()}
    if routes != set(rules):
        raise KeyError(f"the gate's table and the routes differ in {sorted(routes ^ set(rules))}")


def _who(app: App) -> Principal | None:
    now, given = app.clock(), request.headers.get("Authorization", "")
    if is_api() and given.startswith("Bearer "):
        with app.store.read() as session:
            found = tokens.look_up(session, given.removeprefix("Bearer "), now)
        if found is not None and found[1]:
            with app.store.write() as session:
                tokens.note_use(session, found[0].session, now)
        return None if found is None else found[0]
    secret = request.cookies.get(cookie_name(app), "")
    if not secret or site(app) is None:
        return None
    with app.store.read() as session:
        found = sessions.look_up(session, secret, now)
    if found is None:
        return None
    if found[1]:
        with app.store.write() as session:
            sessions.note_use(session, found[0].session, now)
    g.session_secret = secret
    return found[0]


def from_own_page(app: App) -> bool:
    """Whether a request comes from a page of this site: every browser says so of a request that changes something."""
    here = site(app)
    if here is None:
        return False
    origin = request.headers.get("Origin")
    return origin == here.origin if origin is not None else request.headers.get("Sec-Fetch-Site") == "same-origin"


def _own_form(app: App) -> bool:
    given = request.headers.get(FORM_HEADER) or ("" if request.is_json else request.form.get(FORM_FIELD, ""))
    return from_own_page(app) and sessions.is_form_token(g.session_secret, given)


def came_from(app: App) -> str:
    """The page of this site from which a request came, as its path with what it asks for; empty where it is none."""
    here, routes = site(app), current_app.create_url_adapter(request)
    try:
        given = urllib.parse.urlsplit(request.headers.get("Referer", ""))
        if here is None or routes is None or f"{given.scheme}://{given.netloc}" != here.origin:
            return ""
        routes.match(given.path or "/", method="GET")
    except (ValueError, HTTPException):
        return ""
    return (given.path or "/") + (f"?{given.query}" if given.query else "")


def _for_a_person() -> bool:
    """Whether a browser asks for a page, and not for what is on one, nor a program."""
    return not is_api() and "text/html" in request.headers.get("Accept", "")


def _sign_in(app: App) -> Response:
    """Where who is not signed in goes: afterwards on to where it wanted, or back to the page whose form is lost."""
    if is_api():
        answer = problem(401, "not_authenticated", "sign in, or send a token: Authorization: Bearer ...")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    if request.method == "GET":
        asked = {"next": request.full_path.removesuffix("?")}
    else:
        asked = {"next": came_from(app) or HOME, "lost": "1"}
    made = redirect(f"/login?{urllib.parse.urlencode(asked)}", 303)
    assert isinstance(made, Response)  # noqa: S101
    return made
