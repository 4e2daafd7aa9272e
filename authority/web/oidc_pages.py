"""Signing in by the campus's OpenID provider: to it, back from it, and out of it again. Only where one is configured.

Whatever goes wrong there leads to the page to sign in with a sentence of it; passkeys and passwords need no provider.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.gate import PUBLIC, Rule
from authority.app import App
from authority.language.reading import gettext
from authority.people import oidc_sign_in, sessions
from authority.people.errors import OidcAwayError, OidcRefusedError, PeopleError, SignInAgainError
from authority.people.limits import AddressLimit
from authority.people.oidc import Provider, Subject
from authority.people.oidc_sign_in import LINKS, VIA_OIDC, Returned
from authority.refusals import NotFoundError
from authority.web import answers, people_pages
from authority.web.answers import page, redirect, status_of

RULES: Mapping[str, Rule] = {
    "oidc.leave": PUBLIC,
    "oidc.returned": PUBLIC,
    "oidc.signed_out": PUBLIC,
    "oidc.account": Rule(frozenset()),
    "oidc.link": Rule(frozenset()),
    "oidc.unlink": Rule(frozenset()),
}
SECURE_COOKIE, LOOPBACK_COOKIE = "__Host-campus-oidc", "campus-oidc-here"


def blueprint(app: App, provider: Provider, limit: AddressLimit | None = None) -> Blueprint:
    """The pages over an opened authority and its provider."""
    oidc = Blueprint("oidc", __name__)
    tries = limit or AddressLimit(app.tries, "oidc")
    secure = bool(app.home.settings.web.origin)
    cookie = SECURE_COOKIE if secure else LOOPBACK_COOKIE

    def redirect_uri() -> str:
        """Where the provider sends browsers back to: it is registered there."""
        if not provider.name:
            raise NotFoundError("no OpenID provider is configured")
        return people_pages.here(app).origin + url_for("oidc.returned")

    def take() -> None:
        address = gate.address_of()
        if address:
            tries.take(address)

    def keep(response: Response, secret: str) -> Response:
        """Tie the sign-in that begins to this browser; an empty secret unties it."""
        response.set_cookie(
            cookie,
            secret,
            max_age=oidc_sign_in.SIGN_IN_SECONDS if secret else 0,
            path="/",
            secure=secure,
            httponly=True,
            samesite="Lax",
        )
        return response

    @oidc.get("/login/oidc")
    def leave() -> Response:
        """Send the browser to the provider."""
        back = redirect_uri()
        take()
        where = request.args.get("next", "")
        where = where if answers.is_here(where) else ""
        try:
            begun = oidc_sign_in.begin(app.store, provider, back, where, app.clock())
        except OidcAwayError as error:
            return people_pages.login_page(app, str(error), status_of(error))
        return keep(redirect(begun.url), begun.browser)

    @oidc.get("/login/oidc/return")
    def returned() -> Response:
        """The browser comes back, with a code or with a refusal."""
        back, given = redirect_uri(), request.args
        take()
        where = ""
        try:
            with app.store.write() as session:
                began = oidc_sign_in.returned(
                    session, given.get("state", ""), request.cookies.get(cookie, ""), app.clock()
                )
            if began.linking is not None:
                return keep(link_returned(began, back), "")
            where = began.where
            subject = vouched(began, back)
            with app.store.write() as session:
                person_id = oidc_sign_in.enter(session, subject, app.clock())
        except (OidcAwayError, OidcRefusedError) as error:
            return keep(people_pages.login_page(app, str(error), status_of(error), next_=where), "")
        tries.succeeded(gate.address_of(), 2)  # leaving for the provider was one too
        return keep(people_pages.begin(app, person_id, VIA_OIDC, where), "")

    def vouched(began: Returned, back: str) -> Subject:
        """Who the provider says came back. OidcAwayError, OidcRefusedError."""
        given = request.args
        if not provider.answers_as_itself(given.get("iss")):
            raise OidcRefusedError(f"this answer is not of {provider.name}: begin again")
        if "code" not in given:
            raise OidcRefusedError(f"{provider.name} did not sign you in")
        return provider.subject(given["code"], back, began.nonce, began.verifier)

    # Linking and unlinking, by who is signed in

    def link_returned(began: Returned, back: str) -> Response:
        """The browser comes back with the account that its signed-in person wants to link."""
        now = app.clock()
        with app.store.read() as session:
            found = sessions.look_up(session, request.cookies.get(gate.cookie_name(app), ""), now)
        if found is None or found[0].session != began.linking:
            raise OidcRefusedError("you are not signed in any more as who began this: sign in, and link it again")
        who, message, status = found[0], "", 200
        try:
            subject = vouched(began, back)
            with app.store.write() as session:
                oidc_sign_in.link(session, who.person_id, subject, now)
        except (OidcAwayError, OidcRefusedError) as error:
            message, status = str(error), status_of(error)
        if not message:
            return redirect(url_for("oidc.account"))
        return page(render_template("error.html", status=status, title=gettext("Not linked"), message=message), status)

    def account_page(message: str = "", status: int = 200, url: str = "", *, again: bool = False) -> Response:
        with app.store.read() as session:
            link = oidc_sign_in.linked(session, gate.principal().person_id)
        text = render_template(
            "account_oidc.html",
            provider=provider.name,
            link=link,
            message=message,
            url=url,
            again=again,
            now=app.clock(),
        )
        return page(text, status)

    @oidc.get("/account/oidc")
    def account() -> Response:
        redirect_uri()
        return account_page()

    @oidc.post("/account/oidc/link")
    def link() -> Response:
        """Show the way to the provider: a form may not lead to another site, a link may."""
        back, who, now = redirect_uri(), gate.principal(), app.clock()
        take()
        try:
            with app.store.read() as session:
                sessions.require_fresh(session, who.session, now)
            begun = oidc_sign_in.begin(app.store, provider, back, f"{LINKS}{who.session}", now)
        except (SignInAgainError, OidcAwayError) as error:
            return account_page(str(error), status_of(error), again=isinstance(error, SignInAgainError))
        return keep(account_page(url=begun.url), begun.browser)

    @oidc.post("/account/oidc/unlink")
    def unlink() -> Response:
        redirect_uri()
        who, now = gate.principal(), app.clock()
        try:
            with app.store.write() as session:
                sessions.require_fresh(session, who.session, now)
                oidc_sign_in.unlink(session, who.person_id, who.session, now)
        except PeopleError as error:
            return account_page(str(error), status_of(error), again=isinstance(error, SignInAgainError))
        return redirect(url_for("oidc.account"))

    @oidc.get("/signed-out")
    def signed_out() -> Response:
        """After signing out here: the provider may still know the browser."""
        redirect_uri()
        take()
        url = provider.logout_url(f"{people_pages.here(app).origin}/")
        return page(render_template("signed_out.html", provider=provider.name, url=url))

    return oidc
