"""Signing in by the campus's OpenID provider: to it, back from it, and out of it again. Only where one is configured.

Whatever goes wrong there leads to the page to sign in with a sentence of it; passkeys and passwords need no provider.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, render_template, request, url_for

from authority.api.gate import PUBLIC, Rule
from authority.app import App
from authority.people import oidc_sign_in
from authority.people.errors import OidcAwayError, OidcRefusedError
from authority.people.limits import AddressLimit
from authority.people.oidc import Provider
from authority.refusals import NotFoundError
from authority.web import answers, people_pages
from authority.web.answers import page, redirect, status_of
from authority.web.people_pages import VIA_OIDC

RULES: Mapping[str, Rule] = {
    "oidc.leave": PUBLIC,
    "oidc.returned": PUBLIC,
    "oidc.signed_out": PUBLIC,
}
SECURE_COOKIE, LOOPBACK_COOKIE = "__Host-campus-oidc", "campus-oidc-here"


def blueprint(app: App, provider: Provider, limit: AddressLimit | None = None) -> Blueprint:
    """The pages over an opened authority and its provider."""
    oidc = Blueprint("oidc", __name__)
    tries = limit or AddressLimit()
    secure = bool(app.home.settings.web.origin)
    cookie = SECURE_COOKIE if secure else LOOPBACK_COOKIE

    def redirect_uri() -> str:
        """Where the provider sends browsers back to: it is registered there."""
        if not provider.name:
            raise NotFoundError("no OpenID provider is configured")
        return people_pages.here(app).origin + url_for("oidc.returned")

    def take() -> None:
        address = people_pages.address_of()
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
            where = began.where
            if not provider.answers_as_itself(given.get("iss")):
                raise OidcRefusedError(f"this answer is not of {provider.name}: begin again")
            if "code" not in given:
                raise OidcRefusedError(f"{provider.name} did not sign you in")
            subject = provider.subject(given["code"], back, began.nonce, began.verifier)
            with app.store.write() as session:
                person_id = oidc_sign_in.enter(session, subject, app.clock())
        except (OidcAwayError, OidcRefusedError) as error:
            return keep(people_pages.login_page(app, str(error), status_of(error), next_=where), "")
        return keep(people_pages.begin(app, person_id, VIA_OIDC, where), "")

    @oidc.get("/signed-out")
    def signed_out() -> Response:
        """After signing out here: the provider may still know the browser."""
        redirect_uri()
        take()
        url = provider.logout_url(f"{people_pages.here(app).origin}/")
        return page(render_template("signed_out.html", provider=provider.name, url=url))

    return oidc
