"""/api/v1/me/certificates: that energy was retired for what a member drew, by billing period."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from authority.api import gate, tags
from authority.api.certificates import Certificates, CertificateView, MemberCertificates
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.paging import PageQuery, whole_address
from authority.api.schemas import schema_of
from authority.app import App
from authority.people.roles import OF_A_MEMBER, READ_MONEY

RULES: Mapping[str, Rule] = {
    "me_certificates.listed": Rule(OF_A_MEMBER, READ_MONEY),
    "me_certificates.one": Rule(OF_A_MEMBER, READ_MONEY),
}
EXAMPLE = {
    "bill": 17,
    "period": 3,
    "starts_at": 1_779_314_400,
    "ends_at": 1_781_992_800,
    "wh": 12_400,
    "own_wh": 9_100,
    "bought_wh": 5_000,
    "untold_wh": 0,
    "link": "https://energy.campus.example/certificates/17-a8VbG1rTzq2mYk0dJ4sWcg",
    "retired": [{"wh": 12_400, "signature": "5" * 88, "log_index": 90_210}],
}


def link_to(app: App, secret: str) -> str:
    """Where the code of a certificate leads."""
    return whole_address(app, "certificates.check", secret=secret)


def blueprint(app: App, certificates: MemberCertificates) -> APIBlueprint:
    """The resources over the query layer."""
    me = APIBlueprint("me_certificates", __name__, url_prefix="/api/v1/me/certificates", tag="Me")
    link = functools.partial(link_to, app)

    @me.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @me.get("")
    @me.input(PageQuery, location="query", arg_name="query")
    @me.output(
        schema_of(Certificates),
        description="The certificates.",
        example={"certificates": [EXAMPLE], "next": None},
    )
    @me.doc(
        operation_id="list_my_certificates",
        summary="Certificates of retirement: renewable energy that was used up for what you drew",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def listed(query: dict[str, Any]) -> dict[str, Any]:
        return asdict(certificates.listed(gate.own_member(app, "bills"), link, query["cursor"]))

    @me.get("/<int:number>")
    @me.output(schema_of(CertificateView), description="The certificate.")
    @me.doc(operation_id="get_my_certificate", summary="One certificate, by its bill's number", responses=NOT_YOURS)
    def one(number: int) -> dict[str, Any]:
        return asdict(certificates.one(gate.own_member(app, "bills"), number, link))

    return me
