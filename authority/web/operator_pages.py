"""The operator's pages: what waits, held readings with their evidence, enrolments, meters with their gaps, people.

They are read by the roles that see what waits, and each reading is logged. What is done there is
authority.web.operator_acts'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api import gate
from authority.api.gate import Rule
from authority.api.held import HELD, HeldReadings
from authority.api.meter_days import METERS, MeterDays, day_of
from authority.app import App
from authority.billing.calendar import local
from authority.chain.client import ChainClient
from authority.collector import evidence, held
from authority.enrolment import approvals, requests
from authority.operations import chain_state, gaps, wallet_requests
from authority.people import invitation_mails, leave_requests, reads, records, sent_forms
from authority.people.roles import OPERATES, SEES_WHAT_WAITS
from authority.refusals import NotFoundError
from authority.status import facts, judgement
from authority.store.enrolments import Approval, Enrolment
from authority.store.metering import Gateway, Meter
from authority.store.people import User
from authority.web import answers, meter_map, ranges
from authority.web.answers import page
from authority.web.waiting import WAITING, Waits

RULES: Mapping[str, Rule] = dict.fromkeys(
    (
        "operator.waiting",
        "operator.held_readings",
        "operator.reading",
        "operator.enrolments",
        "operator.enrolment",
        "operator.meters",
        "operator.meter",
        "operator.meter_day",
        "operator.wallets",
        "operator.leaving",
    ),
    Rule(SEES_WHAT_WAITS),
) | {"operator.members": Rule(OPERATES)}
"""Of who may sign in nothing is left without names and logins, so that page is for who sees them."""
GAP_SECONDS = 14 * 86_400
"""How far back a meter's gaps are looked for."""
SHOWN_APPROVALS = 20


class Shown:
    """Renders the operator's pages; the acts show them too, with a message. What is read is logged first."""

    def __init__(self, app: App, client: Callable[[], ChainClient], waits: Waits, held: HeldReadings) -> None:
        self.app = app
        self.client = client
        self.waits = waits
        self.held = held
        self.zone = ZoneInfo(app.home.settings.site.zone)
        self.days = MeterDays(app)

    def _page(
        self, template: str, what: str, message: str, status: int, *, whose: str = reads.EVERYBODY, **words: Any
    ) -> Response:
        """A page; `what` is what the log says was read."""
        reads.note(self.app.store, gate.principal(), what, whose, self.app.clock())
        text = render_template(
            template,
            message=message,
            at=self._at,
            may_act=bool(OPERATES & gate.principal().roles),
            sees_names=gate.principal().sees_names,
            zone=self.zone.key,
            age=judgement.age,
            **words,
        )
        return page(text, status)

    def _at(self, seconds: int) -> str:
        """A moment on the site's clock; a record's may be no moment at all."""
        try:
            return ranges.written(local(seconds, self.zone), "%-d %b %Y, %H:%M:%S")
        except (ValueError, OverflowError, OSError):
            return str(seconds)

    def waiting(self) -> Response:
        """What waits for a person, the most urgent first."""
        gathered, problems = self.waits.waiting(gate.principal())
        meters = {judgement.meter_subject(each): each for each in gathered.meters}
        return self._page("op.html", WAITING, "", 200, facts=gathered, problems=problems, meters=meters)

    def held_readings(self, message: str = "", status: int = 200, reason: str = "") -> Response:
        """The readings that wait for a decision, of a cause or a meter where that is asked for, and how many there are.

        Those up to `last` are decided together: what comes meanwhile waits.
        """
        code, meter = (request.values.get(name) or None for name in ("code", "meter"))
        found, more = self.held.listed(held.Chosen(meter=meter, code=code, after=answers.place("after")))
        with self.app.store.read() as session:
            count, last = held.count(session, held.Chosen(meter=meter, code=code))
        return self._page(
            "op_held.html",
            HELD,
            message,
            status,
            whose=self.held.whose_meter(meter),
            readings=found,
            more=more,
            count=count,
            last=last,
            code=code,
            meter=meter,
            causes=evidence.CAUSES,
            reason=reason,
        )

    def reading(self, log_index: int, message: str = "", status: int = 200, reason: str = "") -> Response:
        """One reading with its evidence."""
        found = self.held.evidence(log_index)
        whose = self.held.whose(log_index)
        return self._page("op_reading.html", HELD, message, status, whose=whose, reading=found, reason=reason)

    def enrolments(self, message: str = "", status: int = 200, **words: Any) -> Response:
        """Gateways that wait for a decision, approvals on their way, and the form for a claim."""
        with self.app.store.read() as session:
            waiting = requests.pending(session)
            asked = select(Approval).where(Approval.enrolment_id.in_([each.id for each in waiting]))
            open_ = {each.enrolment_id for each in session.scalars(asked) if _is_open(each)}
            on_their_way = session.execute(
                select(Approval, Enrolment.gateway_name)
                .join(Enrolment, Enrolment.id == Approval.enrolment_id)
                .order_by(Approval.asked_at.desc())
                .limit(SHOWN_APPROVALS)
            ).all()
            gateways = session.scalars(select(Gateway).order_by(Gateway.name)).all()
            return self._page(
                "op_enrolments.html",
                "enrolments",
                message,
                status,
                waiting=[each for each in waiting if each.id not in open_],
                approvals=on_their_way,
                gateways=gateways,
                once=sent_forms.fresh(),
                **words,
            )

    def enrolment(self, enrolment_id: str, message: str = "", status: int = 200, reason: str = "") -> Response:
        """One enrolment with its meters, keys and maps."""
        with self.app.store.read() as session:
            found = enrolment_of(session, enrolment_id)
            approval = session.get(Approval, enrolment_id)
            meters = {row.meter_pk: session.get_one(Meter, row.meter_pk) for row in found.meters}
            return self._page(
                "op_enrolment.html",
                "enrolments",
                message,
                status,
                enrolment=found,
                meters=meters,
                members={pk: meter.user.name for pk, meter in meters.items()},
                approval=approval,
                is_open=_is_open(approval),
                seen=approvals.digest(found).hex(),
                reason=reason,
            )

    def meters(self) -> Response:
        """Every meter in use: its last reading, and what is wrong with it."""
        gathered, problems = self.waits.waiting(gate.principal())
        wrong: dict[str, list[str]] = {}
        for problem in problems:
            kind, _, name = problem.subject.partition(" ")
            if kind in ("meter", "gateway"):
                wrong.setdefault(name.partition(" ")[0], []).append(problem.text)
        after, last = request.args.get("after", "")[:129], ranges.day_of(request.args.get("to", ""), self.days.today())
        shown = self.days.map(last, after, names=gate.principal().sees_names)
        first, to = (date.fromisoformat(shown.days[place]) for place in (0, -1))
        next_ = min(to + timedelta(days=len(shown.days)), self.days.today())
        return self._page(
            "op_meters.html",
            METERS,
            "",
            200,
            facts=gathered,
            wrong=wrong,
            map=shown,
            map_sentence=meter_map.sentence(shown),
            map_cell=meter_map.cell,
            map_levels=meter_map.LEVELS,
            map_page=after,
            map_before=first - timedelta(days=1),
            map_next=next_ if next_ > to else None,
            **self._day_names(),
        )

    def meter_day(self, gateway: str, meter_name: str, day: str) -> Response:
        """One meter's day: where readings are missing, and why."""
        found = self.days.of_day(gateway, meter_name, day_of(day))
        with self.app.store.read() as session:
            told = facts.told_problems(session.get_one(Gateway, gateway).status)
        return self._page(
            "op_meter_day.html",
            METERS,
            "",
            200,
            whose=self.days.whose(gateway, meter_name),
            found=found,
            causes=gaps.CAUSE_WORDS,
            told=told,
            **self._day_names(),
        )

    def _day_names(self) -> dict[str, Any]:
        def named(form: str) -> Callable[[str], str]:
            return lambda day: ranges.written(date.fromisoformat(day), form)

        def clock(seconds: int) -> str:
            return ranges.written(local(seconds, self.zone), "%H:%M")

        return {"day_short": named("%-d.%-m."), "day_long": named("%-d %b %Y"), "clock": clock}

    def meter(self, gateway: str, meter_name: str) -> Response:
        """One meter with its gaps, and what its gateway says."""
        settings, now = self.app.home.settings, self.app.clock()
        epoch = settings.epoch.seconds
        with self.app.store.read() as session:
            meter = chain_state.meter_of(session, f"{gateway}/{meter_name}")
            found = gaps.of_meter(
                session, meter, now - GAP_SECONDS, now, epoch, 2 * epoch + settings.parameters.grace_seconds
            )
            return self._page(
                "op_meter.html",
                METERS,
                "",
                200,
                whose=self.days.whose(gateway, meter_name),
                meter=meter,
                gateway=session.get_one(Gateway, gateway),
                told=facts.told_problems(session.get_one(Gateway, gateway).status),
                gaps=found,
                held=chain_state.held(session, meter),
                waiting=chain_state.waiting(session, meter),
                now=now,
                days=GAP_SECONDS // 86_400,
            )

    def wallets(self, message: str = "", status: int = 200, reason: str = "") -> Response:
        """Wallets that members asked for in the place of those that they have."""
        with self.app.store.read() as session:
            rows = wallet_requests.listed(session, names=gate.principal().sees_names)
        return self._page(
            "op_wallets.html",
            "wallet requests",
            message,
            status,
            asked=rows,
            open_states=wallet_requests.OPEN,
            request_words=wallet_requests.WORDS,
            reason=reason,
        )

    def leaving(self, message: str = "", status: int = 200, reason: str = "") -> Response:
        """People who asked to leave, and what stands in the way of those that were approved."""
        now = self.app.clock()
        with self.app.store.read() as session:
            rows = leave_requests.listed(session, names=gate.principal().sees_names)
        return self._page(
            "op_leaving.html",
            "leave requests",
            message,
            status,
            asked=rows,
            may_return=leave_requests.MAY_RETURN,
            leave_words=leave_requests.WORDS,
            to_come=lambda each: (each.leaves_at or 0) > now and each.state in leave_requests.MAY_RETURN,
            on=lambda seconds: ranges.written(local(seconds, self.zone), "%-d %B %Y"),
            reason=reason,
        )

    def members(self, message: str = "", status: int = 200, **words: Any) -> Response:
        """Who may sign in, and the forms to invite members."""
        with self.app.store.read() as session:
            people = records.listed(session, self.app.clock())
            accounts = session.scalars(select(User.name).where(User.left_at.is_(None)).order_by(User.name)).all()
        words = {"form": {}, "plan": None, "csv": "", "invited": (), "asked": False, "mailed": (), **words}
        return self._page(
            "op_members.html",
            "people",
            message,
            status,
            people=people,
            accounts=accounts,
            once=sent_forms.fresh(),
            now=self.app.clock(),
            mails=invitation_mails.possible(self.app.home),
            **words,
        )


def enrolment_of(session: Session, id: str) -> Enrolment:
    """The enrolment with this id; NotFoundError."""
    found = session.get(Enrolment, id)
    if found is None:
        raise NotFoundError("there is no such enrolment; see the list of those that wait")
    return found


def _is_open(approval: Approval | None) -> bool:
    """Whether an approval is asked for and not carried out yet."""
    return approval is not None and approval.ended_at is None and approval.certified_at is None


def blueprint(shown: Shown) -> Blueprint:
    """The pages over an opened authority."""
    operator = Blueprint("operator", __name__, url_prefix="/op")

    for rule, endpoint, view in (
        ("", "waiting", shown.waiting),
        ("/held", "held_readings", shown.held_readings),
        ("/held/<int:log_index>", "reading", shown.reading),
        ("/enrolments", "enrolments", shown.enrolments),
        ("/enrolments/<enrolment_id>", "enrolment", shown.enrolment),
        ("/meters", "meters", shown.meters),
        ("/meters/<gateway>/<meter_name>", "meter", shown.meter),
        ("/meters/<gateway>/<meter_name>/days/<day>", "meter_day", shown.meter_day),
        ("/members", "members", shown.members),
        ("/wallets", "wallets", shown.wallets),
        ("/leaving", "leaving", shown.leaving),
    ):
        operator.add_url_rule(rule, endpoint, view)
    return operator
