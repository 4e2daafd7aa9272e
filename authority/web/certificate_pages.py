"""Certificates of retirement: the member's own pages, the paper, and the check for whoever has its code."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from flask import Blueprint, Response, jsonify, render_template, url_for

from authority.api import days, gate
from authority.api.certificates import TRANSACTIONS_AT_ONCE, MemberCertificates
from authority.api.gate import PUBLIC, Rule
from authority.api.me_certificates import link_to
from authority.api.member import Members
from authority.app import App
from authority.language.reading import marked
from authority.people.limits import AddressLimit
from authority.people.roles import OF_A_MEMBER
from authority.web import answers
from authority.web.answers import page
from authority.web.codes import qr

RULES: Mapping[str, Rule] = {
    "my_certificates.listed": Rule(OF_A_MEMBER),
    "my_certificates.one": Rule(OF_A_MEMBER),
    "my_certificates.pdf": Rule(OF_A_MEMBER),
    "certificates.check": PUBLIC,
    "certificates.proof": PUBLIC,
}
STEP_WORDS = {
    "document": marked("The log says that the bill was issued with this document, by its SHA-256."),
    "entries": marked("Every entry that the certificate names is in the log, under a signed checkpoint."),
    "pinned": marked("The chain pins that checkpoint."),
    "transactions": marked("The transactions burnt this energy for this account and period."),
    "sum": marked("Together they are what the certificate says."),
}


def blueprint(app: App, members: Members, certificates: MemberCertificates) -> Blueprint:
    """The member's own pages."""
    mine = Blueprint("my_certificates", __name__, url_prefix="/me/certificates")
    link = functools.partial(link_to, app)

    @mine.get("")
    def listed() -> Response:
        its = gate.own_member(app, "bills")
        found = certificates.listed(its, link, answers.place("cursor"))
        text = render_template("certificates.html", account=its.name, found=found, members=members, days=days)
        return page(text)

    @mine.get("/<int:number>")
    def one(number: int) -> Response:
        its = gate.own_member(app, "bills")
        found = certificates.one(its, number, link)
        text = render_template(
            "certificate.html",
            account=its.name,
            found=found,
            members=members,
            days=days,
            qr=qr,
            shown=TRANSACTIONS_AT_ONCE,
        )
        return page(text)

    @mine.get("/<int:number>.pdf")
    def pdf(number: int) -> Response:
        data = certificates.pdf(gate.own_member(app, "bills"), number, link)
        kept = f'attachment; filename="certificate-{number}.pdf"'
        headers = {"Cache-Control": "no-store", "Content-Disposition": kept}
        return Response(data, 200, headers, content_type="application/pdf")

    return mine


def public_blueprint(app: App, members: Members, certificates: MemberCertificates) -> Blueprint:
    """The check, for anybody with the code."""
    public = Blueprint("certificates", __name__, url_prefix="/certificates")
    tries = AddressLimit(app.tries, "certificates")

    def count() -> None:
        """Each try counts, so that nobody guesses codes."""
        if address := gate.address_of():
            tries.take(address)

    @public.after_request
    def keep_to_yourself(response: Response) -> Response:
        """The address is a secret: no other site is told it, no search engine lists it, no cache keeps the answer."""
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        response.headers["Cache-Control"] = "no-store"
        return response

    @public.get("/<secret>")
    def check(secret: str) -> Response:
        count()
        found = certificates.check(secret, answers.place("first") or 0)
        after = found.first + found.looked_at
        text = render_template(
            "certificate_check.html",
            found=found,
            step_words=STEP_WORDS,
            members=members,
            days=days,
            proof_url=url_for("certificates.proof", secret=secret, first=found.first or None),
            following=url_for("certificates.check", secret=secret, first=after)
            if after < len(found.certificate.retired)
            else None,
        )
        return page(text)

    @public.get("/<secret>/proof")
    def proof(secret: str) -> Response:
        """What the page's script checks, of the same transactions."""
        count()
        return jsonify(certificates.proof(secret, answers.place("first") or 0))

    return public
