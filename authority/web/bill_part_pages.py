"""What a line of a member's bill is made of: that line's own times, which add up to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.bill_parts import BillParts, LineParts, Row
from authority.api.gate import Rule
from authority.api.member import Members
from authority.app import App
from authority.billing.calendar import local
from authority.people.roles import SEES_BILLS
from authority.web import answers, ranges
from authority.web.answers import page
from authority.web.member_pages import LINE_WORDS

RULES: Mapping[str, Rule] = {
    "bill_parts.of_bill": Rule(SEES_BILLS),
    "bill_parts.of_bill_so_far": Rule(SEES_BILLS),
}


def blueprint(app: App, parts: BillParts, members: Members) -> Blueprint:
    """The pages over the query layer."""
    pages = Blueprint("bill_parts", __name__, url_prefix="/me/bills")

    def shown(account: str, found: LineParts, number: int | None, back: str, address: str) -> Response:
        who = gate.principal()
        text = render_template(
            "bill_parts.html",
            account=account,
            found=found,
            number=number,
            back=back,
            address=address,
            words=LINE_WORDS.get(found.line["kind"], found.line["kind"]),
            day=request.args.get("day", ""),
            label=label,
            has_energy=bool(found.line["wh"]),
            has_amounts=any(row.amount for row in found.rows or ()),
            proofs=who.is_own and who.former is None and not found.line["kind"].startswith("estimate"),
        )
        return page(text)

    def label(row: Row) -> str:
        """The day of a row, or from when until when it is."""
        first, last = local(row.starts_at, members.zone), local(row.ends_at, members.zone)
        if row.day is not None:
            return ranges.written(first, "%-d %b %Y")
        until = ranges.written(last, "%H:%M" if first.date() == last.date() else "%-d %b %H:%M")
        return f"{ranges.written(first, '%-d %b %H:%M')}\N{EN DASH}{until}"

    @pages.get("/<int:number>/lines/<int:line>")
    def of_bill(number: int, line: int) -> Response:
        its = gate.account_of_bills(app)
        found = parts.of_bill(its, number, line, _day())
        address = url_for("bill_parts.of_bill", number=number, line=line)
        return shown(its.name, found, number, url_for("member.bill", number=number), address)

    @pages.get("/so-far/lines/<int:line>")
    def of_bill_so_far(line: int) -> Response:
        its, period = gate.account_of_bills(app), answers.place("period")
        found = parts.of_bill_so_far(its, period, line, _day())
        address = url_for("bill_parts.of_bill_so_far", line=line, period=period)
        return shown(its.name, found, None, url_for("member.bill_so_far", period=period), address)

    return pages


def _day() -> date | None:
    """The day that the address names; DaysInvalidError."""
    text = request.args.get("day", "")
    return ranges.as_day(text) if text else None
