"""What an operator does on the pages: each act by the service that the command of the same name uses.

Every act is logged with the operator's pseudonym. Sent twice it does nothing the second time. What needs a key that the
pages' process has not got is asked for here, and carried out by the process that has it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from flask import Blueprint, Response, request, url_for
from sqlalchemy.orm import Session

from authority.api import gate
from authority.api.gate import Rule
from authority.billing import spreadsheet
from authority.collector import held
from authority.enrolment import approvals, requests
from authority.errors import MailOffError
from authority.home.home import Home
from authority.operations import wallet_requests
from authority.operations.errors import OperationError
from authority.people import inviting, leave_requests, sent_forms
from authority.people.desk import address
from authority.people.errors import ActUnclearError, ListInvalidError, PeopleError
from authority.people.inviting import Invited, Row
from authority.people.reasons import reason_of
from authority.people.roles import OPERATES
from authority.refusals import RefusalError
from authority.store.enrolments import ENROLMENT_REJECTED
from authority.store.metering import DISPOSITION_RELEASED, DISPOSITION_VOID, Frame
from authority.web.answers import redirect, status_of
from authority.web.codes import qr
from authority.web.operator_pages import Shown, enrolment_of

RULES: Mapping[str, Rule] = dict.fromkeys(
    (
        "acts.decide_reading",
        "acts.decide_readings",
        "acts.decide_enrolment",
        "acts.claim",
        "acts.invite",
        "acts.invite_list",
        "acts.invite_again",
        "acts.decide_wallet",
        "acts.decide_leaving",
    ),
    Rule(OPERATES),
)


def blueprint(shown: Shown) -> Blueprint:
    """The acts over an opened authority."""
    acts = Blueprint("acts", __name__, url_prefix="/op")
    app = shown.app

    def words(session: Session) -> str:
        return reason_of(session, request.form.get("reason", ""))

    def confirmed() -> None:
        if request.form.get("confirm") != "yes":
            raise ActUnclearError("nothing is done yet: tick the box to say that it is meant")

    @acts.post("/held/<int:log_index>")
    def decide_reading(log_index: int) -> Response:
        """Release a held reading, or void it; or release a void one after all. It has to be confirmed."""
        decisions: dict[str, tuple[Callable[..., int], str]] = {
            "release": (held.release, DISPOSITION_RELEASED),
            "void": (held.void, DISPOSITION_VOID),
            "after-all": (held.release_after_all, DISPOSITION_RELEASED),
        }
        chosen, who = decisions.get(request.form.get("act", "")), gate.principal()
        given = request.form.get("reason", "")
        try:
            if chosen is None:
                raise ActUnclearError("say whether it is released or void")
            confirmed()
            held.tidy(app.store, app.clock())
            with app.store.write() as session:
                frame = session.get(Frame, log_index)
                if frame is None or (frame.disposition, frame.resolved_by) != (chosen[1], who.actor):
                    chosen[0](session, log_index, actor=who.actor, reason=words(session), now=app.clock())
        except (PeopleError, RefusalError) as error:
            return shown.reading(log_index, str(error), status_of(error), given)
        return redirect(url_for("operator.reading", log_index=log_index))

    @acts.post("/held")
    def decide_readings() -> Response:
        """Release or void what was shown of a cause, of a meter, or all that is held: each is an act of its own."""
        form, who, now = request.form, gate.principal(), app.clock()
        decisions: dict[str, Callable[..., int]] = {"release": held.release, "void": held.void}
        decide, given = decisions.get(form.get("act", "")), form.get("reason", "")
        last = form.get("last", "")
        try:
            if decide is None or not (last.isascii() and last.isdigit() and len(last) < 19):
                raise ActUnclearError("say whether they are released or void")
            confirmed()
            held.tidy(app.store, now)
            chosen = held.Chosen(meter=form.get("meter") or None, code=form.get("code") or None)
            with app.store.read() as session:
                reason = words(session)
                indexes = [each.log_index for each in held.held(session, chosen) if each.log_index <= int(last)]
            for _ in held.in_groups(app.store, decide, indexes, actor=who.actor, reason=reason, now=now):
                pass
        except (PeopleError, RefusalError) as error:
            return shown.held_readings(str(error), status_of(error), given)
        return redirect(url_for("operator.held_readings"))

    @acts.post("/enrolments/<enrolment_id>")
    def decide_enrolment(enrolment_id: str) -> Response:
        """Approve an enrolment as it was shown, refuse it, or take an approval back that is not carried out yet."""
        act, actor, now = request.form.get("act", ""), gate.principal().actor, app.clock()
        given = request.form.get("reason", "")
        with app.store.read() as session:
            enrolment_of(session, enrolment_id)
        try:
            with app.store.write() as session:
                enrolment = enrolment_of(session, enrolment_id)
                if act == "approve":
                    confirmed()
                    approvals.ask(session, enrolment, _digest(request.form.get("seen", "")), actor=actor, now=now)
                elif act == "take-back":
                    approvals.take_back(session, enrolment, actor=actor, now=now)
                elif act == "reject":
                    confirmed()
                    reason = words(session)
                    approvals.take_back(session, enrolment, actor=actor, now=now)
                    if (enrolment.state, enrolment.decided_by) != (ENROLMENT_REJECTED, actor):
                        requests.reject(session, enrolment, actor=actor, reason=reason, now=now)
                else:
                    raise ActUnclearError("say whether it is approved or refused")
        except (PeopleError, RefusalError) as error:
            return shown.enrolment(enrolment_id, str(error), status_of(error), given)
        return redirect(url_for("operator.enrolment", enrolment_id=enrolment_id))

    @acts.post("/wallets/<int:number>")
    def decide_wallet(number: int) -> Response:
        """Approve a member's request for another wallet as it was shown, or refuse it, also after an approval."""
        act, who, given = request.form.get("act", ""), gate.principal(), request.form.get("reason", "")
        try:
            if act == "approve":
                confirmed()
                wallet_requests.approve(app, number, request.form.get("seen", ""), actor=who.actor)
            elif act == "refuse":
                with app.store.read() as session:
                    reason = words(session)
                wallet_requests.refuse(app, number, reason, actor=who.actor)
            else:
                raise ActUnclearError("say whether it is approved or refused")
        except (PeopleError, RefusalError, OperationError) as error:
            return shown.wallets(str(error), status_of(error), given)
        return redirect(url_for("operator.wallets"))

    @acts.post("/leaving/<int:number>")
    def decide_leaving(number: int) -> Response:
        """Approve that a person leaves, or refuse it, also after an approval that nothing was done for yet."""
        act, who, given = request.form.get("act", ""), gate.principal(), request.form.get("reason", "")
        try:
            if act == "approve":
                confirmed()
                leave_requests.approve(app, number, actor=who.actor)
            elif act == "refuse":
                with app.store.read() as session:
                    reason = words(session)
                leave_requests.refuse(app, number, reason, actor=who.actor)
            else:
                raise ActUnclearError("say whether it is approved or refused")
        except (PeopleError, RefusalError) as error:
            return shown.leaving(str(error), status_of(error), given)
        return redirect(url_for("operator.leaving"))

    @acts.post("/claims")
    def claim() -> Response:
        """A claim code for a gateway of the plan, shown once."""
        gateway, now = request.form.get("gateway", ""), app.clock()
        try:
            with app.store.write() as session:
                sent_forms.spend(session, request.form.get("once", ""), now)
                actor = gate.principal().actor
                code = requests.claim(session, app.home, gateway, actor=actor, now=now, random=os.urandom)
        except (PeopleError, RefusalError) as error:
            return shown.enrolments(str(error), status_of(error))
        ends = now + requests.CLAIM_SECONDS
        return shown.enrolments(claim={"gateway": gateway, "code": code, "qr": qr(code), "ends": ends})

    def by_mail() -> Home | None:
        return app.home if request.form.get("mail") == "yes" else None

    def show_invited(invited: list[Invited], message: str = "") -> Response:
        if invited and by_mail() is not None:
            return shown.members(message, mailed=invited)
        found = []
        for each in invited:
            link = f"{address(app.home)}/invite/{each.secret}"
            found.append({"name": each.name, "login": each.login, "link": link, "qr": qr(link)})
        return shown.members(message, invited=found, asked=True)

    @acts.post("/members/invite")
    def invite() -> Response:
        """Invite one member."""
        row = Row(**{name: request.form.get(name, "").strip() for name in inviting.COLUMNS})
        try:
            with app.store.write() as session:
                planned = inviting.plan(session, [row], now=app.clock())
                if planned.wrong:
                    raise ListInvalidError(planned.rows[0].words)
                _, invited = inviting.invite_all(
                    session, [row], planned.digest, by=gate.principal().actor, now=app.clock(), mail=by_mail()
                )
        except (PeopleError, MailOffError) as error:
            return shown.members(str(error), status_of(error), form=row)
        return show_invited(invited)

    @acts.post("/members/list")
    def invite_list() -> Response:
        """Try a list, or do what was shown when it was tried."""
        text, agreed = request.form.get("csv", ""), request.form.get("agreed", "")
        try:
            text = _file() or text
            if not text.strip():
                raise ListInvalidError("choose a file, or type the list: its first line is id,login,name,member")
            rows = inviting.parse(text)
            if not agreed:
                with app.store.read() as session:
                    planned = inviting.plan(session, rows, now=app.clock())
                return shown.members(plan=planned, csv=text)
            with app.store.write() as session:
                _, invited = inviting.invite_all(
                    session, rows, agreed, by=gate.principal().actor, now=app.clock(), mail=by_mail()
                )
        except (PeopleError, MailOffError) as error:
            return shown.members(str(error), status_of(error), csv=text)
        return show_invited(invited)

    @acts.post("/members/<pseudonym>/invitation")
    def invite_again(pseudonym: str) -> Response:
        """A new link for a member; for one who has signed in before by mail alone."""
        now = app.clock()
        try:
            with app.store.write() as session:
                sent_forms.spend(session, request.form.get("once", ""), now)
                invited = inviting.invite_again(session, pseudonym, by=gate.principal().actor, now=now, mail=by_mail())
        except (PeopleError, MailOffError) as error:
            return shown.members(str(error), status_of(error))
        return show_invited([invited])

    return acts


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _file() -> str:
    """The text of a file that came with the form; empty where none did. ListInvalidError."""
    file = request.files.get("file")
    data = b"" if file is None else file.read()
    if file is not None and file.filename and not data.strip():
        raise ListInvalidError("this file is empty: choose the one that has the list")
    if data.startswith(spreadsheet.OWN_FILES):
        raise ListInvalidError(
            "this is a spreadsheet's own file: in the spreadsheet save it as CSV UTF-8, and send that"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ListInvalidError("the file is not in UTF-8: save it as CSV UTF-8") from error
