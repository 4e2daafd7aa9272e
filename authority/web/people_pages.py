"""Pages by which people come in and leave: signing in, invitations, the account with its sessions and tokens."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, render_template, request, url_for

from authority.api import gate
from authority.api.gate import PUBLIC, Rule
from authority.app import App
from authority.language.reading import gettext, marked
from authority.people import invitations, passkeys, passwords, records, sessions, tokens
from authority.people.errors import (
    OnlyWayInError,
    PasskeyRefusedError,
    PasswordWeakError,
    PasswordWrongError,
    SignInAgainError,
    SignInClosedError,
    SignInRefusedError,
    TokenInvalidError,
)
from authority.people.limits import AddressLimit
from authority.people.oidc_sign_in import VIA_OIDC
from authority.people.passkeys import Site
from authority.people.roles import FORMER, OF_A_MEMBER, SCOPES, SEES_WHAT_WAITS, TREASURER, usable
from authority.refusals import NotFoundError
from authority.store.persons import Person, PersonSession
from authority.web import languages
from authority.web.answers import is_here, page, redirect, status_of

RULES: Mapping[str, Rule] = {
    "people.login": PUBLIC,
    "people.sign_in": PUBLIC,
    "people.passkey_options": PUBLIC,
    "people.passkey_sign_in": PUBLIC,
    "people.invitation": PUBLIC,
    "people.accept": PUBLIC,
    "people.invited_passkey_options": PUBLIC,
    "people.invited_passkey": PUBLIC,
    "people.enter": PUBLIC,
    "people.logout": Rule(frozenset()),
    "people.home": Rule(frozenset()),
    "people.account": Rule(frozenset()),
    "people.end_session": Rule(frozenset()),
    "people.make_token": Rule(frozenset()),
    "people.end_token": Rule(frozenset()),
    "people.new_passkey_options": Rule(frozenset()),
    "people.new_passkey": Rule(frozenset()),
    "people.remove_passkey": Rule(frozenset()),
    "people.change_password": Rule(frozenset()),
}
SCOPE_WORDS = {
    "energy:read": marked("read your energy"),
    "money:read": marked("read your tokens, orders and bills"),
    "trading:write": marked("change your standing order"),
    "money:write": marked("move your tokens and credits, and give them away"),
    "operations:read": marked("read what the department sees: meters, epochs, tariffs, disputes, bills, audits"),
    "billing:read": marked("read what the treasurer sees: billing periods and everybody's bills"),
    "audit:read": marked("read the log, its checkpoints, and who read what"),
    "audit:run": marked("have books, chain and bills computed again"),
}


def here(app: App) -> Site:
    """The site, where anybody can sign in at this address; NotFoundError."""
    found = gate.site(app)
    if found is None:
        raise NotFoundError("nobody signs in at this address")
    return found


def ways_in(app: App) -> dict[str, bool]:
    """For a template: whether anybody signs in at this address, and whether with a passkey."""
    site = gate.site(app)
    return {"possible": site is not None, "passkeys": site is not None and bool(site.domain)}


def begin(app: App, person_id: int, via: str, where: str) -> Response:
    """Sign in: a new session, whatever the browser brought; an open one of the same browser ends."""
    now, brought = app.clock(), request.cookies.get(gate.cookie_name(app), "")
    with app.store.write() as session:
        before = sessions.look_up(session, brought, now) if brought else None
        if before is not None:
            sessions.end(session, before[0].session, by=before[0].actor, now=now)
        person = session.get_one(Person, person_id)
        secret, language = sessions.begin(session, person, via, _browser(), now), person.language
    response = redirect(where if is_here(where) else url_for("people.home"))
    gate.set_cookie(app, response, secret)
    if language is not None:
        languages.set_cookie(response, language, secure=bool(app.home.settings.web.origin))
    return response


def login_page(app: App, message: str = "", status: int = 200, login: str = "", next_: str | None = None) -> Response:
    """The page to sign in; next_ is where it leads afterwards, as the request says it where none is given."""
    where = request.values.get("next", "") if next_ is None else next_
    where = where if is_here(where) else ""
    shown = {"message": message, "login": login, "next": where, "lost": bool(request.args.get("lost"))}
    return page(render_template("login.html", **shown, **ways_in(app)), status)


def blueprint(app: App, limit: AddressLimit | None = None) -> Blueprint:
    """The pages over an opened authority."""
    people = Blueprint("people", __name__)
    tries = limit or AddressLimit(app.tries, "sign in")
    passkeys_at_once = threading.BoundedSemaphore(4)

    def take() -> None:
        """Count a try of the address that asks."""
        address = gate.address_of()
        if address:
            tries.take(address)

    def succeeded(counted: int = 1) -> None:
        """Have what the address tried count as no failure."""
        tries.succeeded(gate.address_of(), counted)

    @people.get("/login")
    def login() -> Response:
        if g.principal is not None and not is_here(request.args.get("next", "")):
            return redirect(gate.HOME)
        return login_page(app)

    @people.post("/login")
    def sign_in() -> Response:
        name = request.form.get("login", "")
        try:
            take()
            person_id = passwords.check(app.store, name, request.form.get("password", ""), app.clock())
        except SignInClosedError as error:
            response = login_page(app, str(error), 429, name)
            response.headers["Retry-After"] = str(error.seconds)
            return response
        except SignInRefusedError as error:
            return login_page(app, str(error), 403, name)
        succeeded()
        return begin(app, person_id, "password", request.form.get("next", ""))

    @people.post("/login/passkey/options")
    def passkey_options() -> dict[str, Any]:
        take()
        with app.store.write() as session:
            asked = passkeys.ask_sign_in(session, here(app), app.clock())
        return {"ticket": asked.ticket, "options": asked.options}

    @people.post("/login/passkey")
    def passkey_sign_in() -> Response:
        take()
        ticket, answer, where = _answer()
        with passkeys_at_once, app.store.write() as session:
            person = passkeys.sign_in(session, here(app), ticket, answer, app.clock()).id
        succeeded(2)  # its question was one too
        return _sent_on(begin(app, person, "passkey", where))

    @people.get("/invite/<secret>")
    def invitation(secret: str) -> Response:
        take()
        return invitation_page(secret, invited(secret))

    def invited(secret: str) -> Person:
        """Whom an invitation that still holds invites, as a copy of the record."""
        with app.store.write() as session:
            _, person = invitations.open_one(session, secret, app.clock())
            session.expunge_all()
        succeeded()
        return person

    def invitation_page(secret: str, person: Person, message: str = "", status: int = 200) -> Response:
        text = render_template(
            "invite.html", message=message, person=person, secret=secret, shortest=passwords.SHORTEST, **ways_in(app)
        )
        return page(text, status)

    @people.post("/invite/<secret>")
    def accept(secret: str) -> Response:
        password = request.form.get("password", "")
        take()
        person = invited(secret)
        try:
            passwords.require_strong(password, person)
        except PasswordWeakError as error:
            return invitation_page(secret, person, str(error), 400)
        encoded = passwords.hashed(password)
        with app.store.write() as session:
            found, person = invitations.open_one(session, secret, app.clock())
            person.password_hash = encoded
            invitations.use(session, found, person, app.clock())
            records.end_all(session, person, app.clock())
            number = person.id
        return begin(app, number, "invitation", "")

    @people.post("/invite/<secret>/passkey/options")
    def invited_passkey_options(secret: str) -> dict[str, Any]:
        take()
        with app.store.write() as session:
            _, person = invitations.open_one(session, secret, app.clock())
            asked = passkeys.ask_new(session, here(app), person, app.clock())
        succeeded()
        return {"ticket": asked.ticket, "options": asked.options}

    @people.post("/invite/<secret>/passkey")
    def invited_passkey(secret: str) -> Response:
        take()
        ticket, answer, _ = _answer()
        with passkeys_at_once, app.store.write() as session:
            found, person = invitations.open_one(session, secret, app.clock())
            passkeys.add(session, here(app), person, ticket, answer, app.clock())
            invitations.use(session, found, person, app.clock())
            records.end_all(session, person, app.clock())
            number = person.id
        succeeded()
        return _sent_on(begin(app, number, "invitation", ""))

    @people.get("/enter/<secret>")
    def enter(secret: str) -> Response:
        """A demonstration's link: it signs in by itself."""
        take()
        here(app)
        with app.store.write() as session:
            _, person = invitations.open_one(session, secret, app.clock(), enters=True)
            number = person.id
        succeeded()
        return begin(app, number, "link", "")

    @people.post("/logout")
    def logout() -> Response:
        who = gate.principal()
        with app.store.write() as session:
            via = session.get_one(PersonSession, who.session).via
            sessions.end(session, who.session, by=who.actor, now=app.clock())
        response = redirect(url_for("oidc.signed_out") if via == VIA_OIDC else "/")
        gate.set_cookie(app, response, "")
        return response

    @people.get("/home")
    def home() -> Response:
        """Where a person goes after signing in."""
        roles = gate.principal().roles
        where = (
            "member.today"
            if roles & OF_A_MEMBER
            else "operator.waiting"
            if roles & SEES_WHAT_WAITS
            else "treasurer.overview"
            if TREASURER in roles
            else "member.bills"
            if FORMER in roles
            else "people.account"
        )
        return redirect(url_for(where))

    def account_page(message: str = "", status: int = 200, secret: str = "") -> Response:
        who, now, again = gate.principal(), app.clock(), ""
        with app.store.read() as session:
            try:
                sessions.require_fresh(session, who.session, now)
            except SignInAgainError as error:
                again = str(error)
            person = session.get_one(Person, who.person_id)
            text = render_template(
                "account.html",
                message=message,
                secret=secret,
                sessions=sessions.listed(session, who.person_id, now),
                tokens=tokens.listed(session, who.person_id, now),
                keys=passkeys.listed(session, who.person_id),
                has_password=person.password_hash is not None,
                login=person.login,
                changed=request.method == "GET" and request.args.get("changed") == "password",
                shortest=passwords.SHORTEST,
                again=again,
                scope_words=SCOPE_WORDS,
                scopes=usable(who.roles),
                now=now,
                **ways_in(app),
            )
        return page(text, status)

    @people.get("/account")
    def account() -> Response:
        return account_page()

    @people.post("/account/sessions/<session_id>/end")
    def end_session(session_id: str) -> Response:
        who = gate.principal()
        with app.store.write() as session:
            sessions.end(session, session_id, by=who.actor, now=app.clock(), person_id=who.person_id)
        return redirect(url_for("people.account"))

    @people.post("/account/tokens")
    def make_token() -> Response:
        scopes = [scope for scope in SCOPES if scope in request.form.getlist("scope")]
        days = request.form.get("days", "")
        try:
            tokens.require_usable(gate.principal(), scopes)
            with app.store.write() as session:
                name, length = request.form.get("name", ""), int(days) if days.isascii() and days.isdigit() else 0
                _, secret = tokens.make(session, gate.principal(), name, scopes, length, app.clock())
        except TokenInvalidError as error:
            return account_page(str(error), 400)
        return account_page(secret=secret)

    @people.post("/account/tokens/<token>/end")
    def end_token(token: str) -> Response:
        with app.store.write() as session:
            tokens.end(session, gate.principal(), token, app.clock())
        return redirect(url_for("people.account"))

    @people.post("/account/passkey/options")
    def new_passkey_options() -> dict[str, Any]:
        who = gate.principal()
        with app.store.write() as session:
            sessions.require_fresh(session, who.session, app.clock())
            person = session.get_one(Person, who.person_id)
            asked = passkeys.ask_new(session, here(app), person, app.clock())
        return {"ticket": asked.ticket, "options": asked.options}

    @people.post("/account/passkey")
    def new_passkey() -> Response:
        who, (ticket, answer, _) = gate.principal(), _answer()
        with passkeys_at_once, app.store.write() as session:
            sessions.require_fresh(session, who.session, app.clock())
            person = session.get_one(Person, who.person_id)
            passkeys.add(session, here(app), person, ticket, answer, app.clock())
        return _sent_on(redirect(url_for("people.account")))

    @people.post("/account/passkeys/<passkey>/remove")
    def remove_passkey(passkey: str) -> Response:
        who = gate.principal()
        try:
            with app.store.write() as session:
                sessions.require_fresh(session, who.session, app.clock())
                passkeys.remove(session, who.person_id, passkey, app.clock())
        except OnlyWayInError as error:
            return account_page(str(error), 409)
        return redirect(url_for("people.account"))

    @people.post("/account/password")
    def change_password() -> Response:
        who, current, new = gate.principal(), request.form.get("current", ""), request.form.get("password", "")
        try:
            take()
            passwords.change(app.store, who.person_id, current, new, besides=who.session, now=app.clock())
        except (PasswordWeakError, PasswordWrongError, SignInClosedError) as error:
            return account_page(str(error), status_of(error))
        succeeded()
        return redirect(url_for("people.account", changed="password"))

    return people


def _sent_on(response: Response) -> Response:
    """The same for a script: it goes where it is told, with the cookie."""
    where = response.headers.pop("Location")
    response.status_code = 200
    response.set_data(json.dumps({"next": where}))
    response.mimetype = "application/json"
    return response


def _answer() -> tuple[str, dict[str, Any], str]:
    """A script's ticket, the authenticator's answer, and where the person wanted to go; PasskeyRefusedError."""
    given = request.get_json(silent=True)
    if not isinstance(given, dict) or not isinstance(given.get("answer"), dict):
        raise PasskeyRefusedError
    where = given.get("next")
    return str(given.get("ticket", "")), given["answer"], where if isinstance(where, str) else ""


def _browser() -> str:
    """What a person knows a browser by; the whole User-Agent is nobody's business."""
    given = request.headers.get("User-Agent", "")
    known = (("Firefox/", "Firefox"), ("Edg/", "Edge"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
    browser = next((name for mark, name in known if mark in given), gettext("another browser"))
    systems = (
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    )
    system = next((name for mark, name in systems if mark in given), "")
    return gettext("%(browser)s on %(system)s", browser=browser, system=system) if system else browser
