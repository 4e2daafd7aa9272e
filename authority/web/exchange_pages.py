"""The wizard for the exchange of a meter: old registers, new registers, preview, record, and what remains to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.asking import ChainAwayError
from authority.api.gate import Rule
from authority.api.meter_exchange import FIRST, LAST, PREVIEW, STEPS, ExchangePreview, MeterExchange
from authority.billing.calendar import local
from authority.errors import AuthorityError
from authority.language.reading import gettext, marked
from authority.operations.errors import ImplausibleError, OperationError
from authority.people.errors import ActUnclearError, PeopleError
from authority.people.roles import OPERATES, SEES_WHAT_WAITS
from authority.refusals import RefusalError
from authority.web import amounts, ranges, wording
from authority.web.answers import page, redirect, status_of

RULES: Mapping[str, Rule] = {
    "exchange_pages.shown": Rule(SEES_WHAT_WAITS),
    "exchange_pages.act": Rule(OPERATES),
}
KWH_DECIMALS = 3
_REFUSED = (PeopleError, RefusalError, OperationError, ChainAwayError, amounts.AmountInvalidError)
TITLES = {
    LAST: marked("The old meter"),
    FIRST: marked("The new meter"),
    PREVIEW: marked("Look at it, and record it"),
}
PAYS = ("consumption", "charge")
"""Registers whose rise a baseline bills; it credits none of the others."""


def blueprint(its: MeterExchange, zone: ZoneInfo) -> Blueprint:
    """The wizard over the query layer."""
    pages = Blueprint("exchange_pages", __name__, url_prefix="/op/meters/<gateway>/<meter_name>/exchange")

    def render(name: str, step: str = "", message: str = "", status: int = 200, **words: Any) -> Response:
        who = gate.principal()
        found = its.shown(name)
        its.note(who, name)
        step = step if step in STEPS and STEPS.index(step) <= STEPS.index(found.step) else found.step
        may_act = bool(OPERATES & who.roles)
        preview: ExchangePreview | None = None
        believe = words.pop("believe", False)
        if step == PREVIEW and may_act and not message:
            try:
                preview = its.preview(who, name)
            except ImplausibleError as error:
                believe, message, status = True, str(error), 409
                preview = _believed(its, who, name)
            except _REFUSED as error:
                message, status = str(error), status_of(error)
        elif step == PREVIEW and may_act:
            preview = _believed(its, who, name)
        text = render_template(
            "op_exchange.html",
            found=found,
            step=step,
            steps=STEPS,
            titles=TITLES,
            message=message,
            may_act=may_act,
            preview=preview,
            believe=believe,
            pays=PAYS,
            at=lambda seconds: ranges.written(local(seconds, zone), "%-d %b %Y, %H:%M"),
            typed=lambda wh: amounts.written(wh, KWH_DECIMALS),
            signed={each.name: each.wh for each in found.signed},
            kept={
                LAST: {each.name: each.wh for each in found.last},
                FIRST: {each.name: each.wh for each in found.first},
            },
            zone=zone.key,
            **{"form": {}, **words},
        )
        return page(text, status)

    @pages.get("")
    def shown(gateway: str, meter_name: str) -> Response:
        """The step that comes next, or an earlier one that the address names."""
        return render(f"{gateway}/{meter_name}", request.args.get("step", ""))

    @pages.post("")
    def act(gateway: str, meter_name: str) -> Response:
        """Write a step down, record the exchange, or forget what was begun."""
        who, form, name = gate.principal(), request.form, f"{gateway}/{meter_name}"
        did = form.get("act", "")
        try:
            if did == "drop":
                its.drop(who, name)
            elif did in (LAST, FIRST):
                given: dict[str, Any] = {did: _registers(its.shown(name).registers, form)}
                if did == FIRST:
                    given |= {"serial": form.get("serial", ""), "reason": form.get("reason", "")}
                its.keep(who, name, given)
            elif did == "record":
                if form.get("confirm") != "yes":
                    raise ActUnclearError("nothing is done yet: tick the box to say that it is meant")
                its.record(who, name, believe=form.get("believe") == "yes")
            else:
                raise ActUnclearError("say what is written down")
        except _REFUSED as error:
            step, believe = did if did in STEPS else PREVIEW, isinstance(error, ImplausibleError)
            return render(name, step, str(error), status_of(error), form=form, believe=believe)
        return redirect(url_for("exchange_pages.shown", gateway=gateway, meter_name=meter_name))

    return pages


def _believed(its: MeterExchange, who: Any, name: str) -> ExchangePreview | None:
    """The preview of figures that the nameplate does not explain; None where something else is wrong."""
    try:
        return its.preview(who, name, believe=True)
    except AuthorityError:
        return None


def _registers(wanted: tuple[str, ...], form: Mapping[str, str]) -> dict[str, int]:
    """The registers of a form, Wh by name. AmountInvalidError; ActUnclearError where one is missing."""
    found = {}
    for name in wanted:
        value = amounts.parse(form.get(name, ""), KWH_DECIMALS, wording.word(name))
        if value is None:
            raise ActUnclearError(gettext("write down what the display shows for each register"))
        found[name] = value
    return found
