"""The proof of a kWh: a page without an account, for whoever has a link, and the links that a member gives out.

The address holds a secret of 256 bits and shows one span of one member's readings, so nobody finds it by counting.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, jsonify, render_template, request, url_for

from authority.api import days, gate
from authority.api.gate import PUBLIC, Rule
from authority.api.kwh import ProofMissingError, Proofs
from authority.api.member import Members
from authority.api.paging import whole_address
from authority.app import App
from authority.billing.calendar import local
from authority.chain.client import ChainClient
from authority.people import proof_links
from authority.people.errors import ProofLinkInvalidError
from authority.people.proof_links import OpenLink
from authority.people.roles import MEMBER
from authority.web.answers import page, redirect
from authority.web.codes import qr

RULES: Mapping[str, Rule] = {
    "kwh.blank": PUBLIC,
    "kwh.shown": PUBLIC,
    "kwh.proof": PUBLIC,
    "proofs.links": Rule(frozenset({MEMBER})),
    "proofs.make_link": Rule(frozenset({MEMBER})),
    "proofs.end_link": Rule(frozenset({MEMBER})),
}
"""A delegate gives out no links: whose readings they are decides."""


def blueprint(app: App, client: Callable[[], ChainClient]) -> Blueprint:
    """The pages for anybody."""
    kwh, proofs = Blueprint("kwh", __name__, url_prefix="/kwh"), Proofs(app, client)
    zone = ZoneInfo(app.home.settings.site.zone)

    def opened(secret: str) -> OpenLink:
        with app.store.read() as session:
            return proof_links.open_one(session, secret, app.clock())

    @kwh.after_request
    def keep_to_yourself(response: Response) -> Response:
        """The address is a secret: no other site is told it, no search engine lists it, no cache keeps the page."""
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        response.headers["Cache-Control"] = "no-store"
        return response

    @kwh.get("")
    def blank() -> Response:
        """The same page, for a proof from a file."""
        return page(render_template("kwh.html", secret=""))

    @kwh.get("/<secret>")
    def shown(secret: str) -> Response:
        found = opened(secret)
        text = render_template(
            "kwh.html",
            secret=secret,
            link=whole_address(app, "kwh.shown", secret=secret),
            expires_at=found.expires_at,
            local=functools.partial(local, zone=zone),
            qr=qr,
        )
        return page(text)

    @kwh.get("/<secret>/proof")
    def proof(secret: str) -> Response:
        return jsonify(proofs.document(opened(secret)))

    return kwh


def links_blueprint(app: App, members: Members, client: Callable[[], ChainClient]) -> Blueprint:
    """The member's own page of links."""
    made, proofs = Blueprint("proofs", __name__, url_prefix="/me/proofs"), Proofs(app, client)

    def links_page(given: Mapping[str, str], message: str = "", status: int = 200) -> Response:
        its, shown = gate.own_member(app, "proofs"), None
        if "from" in given and not message:
            try:
                shown = proofs.disclosure(its.id, *_span(given))
            except (ProofLinkInvalidError, ProofMissingError) as error:
                message, status = str(error), 409
        with app.store.read() as session:
            text = render_template(
                "proofs.html",
                account=its.name,
                shown=shown,
                message=message,
                links=proof_links.listed(session, gate.principal().person_id, app.clock()),
                lasts=proof_links.DAYS,
                now=app.clock(),
                members=members,
                days=days,
            )
        return page(text, status)

    @made.get("")
    def links() -> Response:
        return links_page(request.args)

    @made.post("")
    def make_link() -> Response:
        its = gate.own_member(app, "proofs")
        try:
            shown = proofs.disclosure(its.id, *_span(request.form))
            with app.store.write() as session:
                secret = proof_links.make(session, gate.principal(), its, shown.starts_at, shown.ends_at, app.clock())
        except (ProofLinkInvalidError, ProofMissingError) as error:
            return links_page({}, str(error), 409)
        return redirect(url_for("kwh.shown", secret=secret))

    @made.post("/<link>/end")
    def end_link(link: str) -> Response:
        with app.store.write() as session:
            proof_links.end(session, gate.principal(), link, app.clock())
        return redirect(url_for("proofs.links"))

    return made


def _span(given: Mapping[str, str]) -> tuple[int, int]:
    """The span that an address or a form names, Unix seconds; ProofLinkInvalidError."""
    numbers = [given.get(name, "") for name in ("from", "to")]
    if not all(number.isascii() and number.isdigit() and len(number) < 12 for number in numbers):
        raise ProofLinkInvalidError("a proof is of a time: choose it under My energy")
    starts_at, ends_at = map(int, numbers)
    return starts_at, ends_at
