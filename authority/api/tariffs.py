"""Tariffs: what holds on the chain, what is staged and from when, what held before; previews, and proposals to change.

The pages' process has no key, so a change is proposed, approved by another person as [people] two_persons says, and
carried out where the authority's key is (authority.people.proposals).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint, Schema, fields
from apiflask.validators import Length, Range
from flask import Response
from sqlalchemy import select

from authority.api import gate, tags
from authority.api.asking import asking
from authority.api.campus import described
from authority.api.days import EARLIEST, LATEST
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.schemas import Body, schema_of
from authority.app import App
from authority.billing.calendar import first_epoch_at, local, midnight
from authority.chain.client import ChainClient
from authority.errors import OutOfRangeError
from authority.governance import acts
from authority.people import dangerous, proposals, reads
from authority.people.dangerous import PARAMETERS
from authority.people.proposals import ON_PAGE
from authority.people.roles import AUTHORITY, READ_OPERATIONS, SEES_WHAT_WAITS, Principal
from authority.store.log import Act
from authority.store.persons import Proposal

RULES: Mapping[str, Rule] = {
    "tariffs.shown": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
    "tariffs.preview": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
    "tariffs.propose": Rule(frozenset({AUTHORITY})),
    "tariffs.propose_cancel": Rule(frozenset({AUTHORITY})),
}
TARIFFS = "tariffs"
"""What the log says that was read."""
MOST_STAGINGS = 100
USUAL_DAYS = 7
"""In how many days a change is to hold where nobody says when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterNow:
    """A parameter of the market."""

    name: str = described("Its name, as in governance.")
    value: int = described("What holds: prices in micro-credits per kWh, bps in 1/10 000.")
    staged: int | None = described("What will hold; null where nothing is staged for it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterChange:
    """A parameter that changed."""

    name: str = described("Its name.")
    before: int | None = described("What held before; null where the log does not say.")
    after: int = described("What holds from then on.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffSpan:
    """What was in force when, as the log says."""

    state: Literal["over", "in_force", "to_come"] = described("Whether it holds.")
    from_epoch: int = described("Its first epoch.")
    starts_at: int = described("When that begins.")
    ends_at: int | None = described("Until when; null where nothing else is known to follow.")
    changes: tuple[ParameterChange, ...] = described("What is other than before.")
    staged_at: int = described("When it was staged.")
    staged_by: str = described("By whom, as the log says.")
    log_index: int = described("The act's entry in the log.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProposal:
    """A change that is proposed and not carried out."""

    proposal: str = described("Its id.")
    state: Literal["waiting", "approved"] = described("waiting: for another person; approved: for who has the key.")
    from_epoch: int = described("From which epoch it is to hold.")
    starts_at: int = described("When that begins.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariffs:
    """The market's tariffs."""

    zone: str = described("The site's time zone.")
    epoch: int = described("The running epoch.")
    epoch_seconds: int = described("The length of an epoch.")
    parameters: tuple[ParameterNow, ...] = described("What holds, and what is staged.")
    staged_from: int | None = described("The epoch from which what is staged holds; null where nothing is.")
    staged_starts_at: int | None = described("When that begins.")
    proposals: tuple[OpenProposal, ...] = described("Changes that are proposed.")
    history: tuple[TariffSpan, ...] = described("What was in force when, the newest first.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffPreview:
    """A change as it would be, in the light of last week."""

    changes: tuple[ParameterChange, ...] = described("What would change.")
    from_epoch: int = described("From which epoch on.")
    starts_at: int = described("When that begins.")
    replaces: int | None = described("The epoch of what is staged now and would be replaced.")
    traded_epochs: int = described("In how many epochs of the last week something was traded.")
    traded_wh: int = described("How much.")
    outside: int = described("How many of them cleared at a price outside the new bounds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A proposal that was made, or is open already."""

    proposal: str = described("Its id: look at it at /approvals/ID.")


def _numbers() -> dict[str, Any]:
    names = acts.PARAMETER_NAMES
    return {name: fields.Integer(load_default=None, validate=Range(0, 2**63 - 1)) for name in names}


PreviewQuery: type[Schema] = type(
    "PreviewQuery",
    (Schema,),
    {
        "__doc__": "What is to change, and from when.",
        **_numbers(),
        "day": fields.Date(load_default=None, metadata={"description": "The day at the site with which it holds."}),
    },
)


class ChangesInput(Body):
    """What is to change, from when, and why."""

    changes = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(strict=True, validate=Range(0, 2**63 - 1)),
        required=True,
        metadata={"description": "The parameters that change, by their names."},
    )
    day = fields.Date(load_default=None, metadata={"description": "The day at the site with which it holds."})
    reason = fields.String(required=True, validate=Length(1, 400), metadata={"description": "Logged: names nobody."})


class ReasonInput(Body):
    """Why."""

    reason = fields.String(required=True, validate=Length(1, 400), metadata={"description": "Logged: names nobody."})


REFUSED: Mapping[int | str, Any] = {
    400: "What is asked for is malformed, or the reason names somebody.",
    409: "It cannot be staged so: the code says why.",
    503: "The validator does not answer.",
    **dict[int | str, Any](NOT_YOURS.items()),
}
EXAMPLE_PREVIEW = {
    "changes": [{"name": "feed_in_price", "before": 80_000, "after": 90_000}],
    "from_epoch": 1_980_672,
    "starts_at": 1_782_604_800,
    "replaces": None,
    "traded_epochs": 412,
    "traded_wh": 1_204_500,
    "outside": 3,
}


class TariffBook:
    """The query layer over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client = app, client
        self.zone = ZoneInfo(app.home.settings.site.zone)

    @property
    def epoch_seconds(self) -> int:
        """The length of an epoch."""
        return self._app.home.settings.epoch.seconds

    @property
    def needs_two(self) -> bool:
        """Whether another person has to approve what one proposes."""
        return self._app.home.settings.people.two_persons != "no"

    def usual_day(self) -> date:
        """The day with which a change holds where nobody says another one."""
        return local(self._app.clock(), self.zone).date() + timedelta(days=USUAL_DAYS)

    def note(self, who: Principal) -> None:
        """Log that it is read."""
        reads.note(self._app.store, who, TARIFFS, reads.EVERYBODY, self._app.clock())

    def shown(self) -> Tariffs:
        """All of it; ChainAwayError."""
        with asking(self._client) as client:
            governance = acts.read(client)
        staged, seconds = governance.staged, governance.epoch_seconds
        return Tariffs(
            zone=self.zone.key,
            epoch=governance.epoch,
            epoch_seconds=seconds,
            parameters=tuple(
                ParameterNow(
                    name=name, value=value, staged=None if staged is None or staged[name] == value else staged[name]
                )
                for name, value in governance.parameters.items()
            ),
            staged_from=governance.staged_from,
            staged_starts_at=None if governance.staged_from is None else governance.starts(governance.staged_from),
            proposals=tuple(self._open()),
            history=tuple(self.history()),
        )

    def _open(self) -> list[OpenProposal]:
        with self._app.store.read() as session:
            found = [each for each in proposals.undecided(session, self._app.clock()) if each.kind == PARAMETERS]
        return [self._opened(each) for each in found]

    def _opened(self, each: Proposal) -> OpenProposal:
        epoch = int(str(each.data["from_epoch"]))
        return OpenProposal(
            proposal=each.id,
            state="approved" if each.state == proposals.APPROVED else "waiting",
            from_epoch=epoch,
            starts_at=epoch * self._app.home.settings.epoch.seconds,
        )

    def history(self) -> list[TariffSpan]:
        """What was in force when, the newest first: a staging that another one replaced in time never held."""
        query = select(Act).where(Act.kind == "parameters_staged").order_by(Act.log_index.desc()).limit(MOST_STAGINGS)
        with self._app.store.read() as session:
            rows = session.scalars(query).all()
        seconds, now = self._app.home.settings.epoch.seconds, self._app.clock()
        kept: list[TariffSpan] = []
        values: list[Mapping[str, int]] = []
        for act in reversed(rows):
            while kept and kept[-1].starts_at > act.time:
                kept.pop()
                values.pop()
            data: dict[str, Any] = dict(act.data)
            parameters, before = data["parameters"], values[-1] if values else None
            starts = data["from_epoch"] * seconds
            changes = tuple(
                ParameterChange(name=name, before=None if before is None else before.get(name), after=value)
                for name, value in parameters.items()
                if before is None or before.get(name) != value
            )
            if before is not None and not changes:
                continue
            if kept:
                kept[-1] = replace(kept[-1], ends_at=starts)
            values.append(parameters)
            kept.append(
                TariffSpan(
                    state="in_force", from_epoch=data["from_epoch"], starts_at=starts, ends_at=None, changes=changes,
                    staged_at=act.time, staged_by=act.actor, log_index=act.log_index,
                )
            )  # fmt: skip
        return [replace(each, state=_state(each, now)) for each in reversed(kept)]

    def preview(self, changes: Mapping[str, int], day: date | None) -> TariffPreview:
        """What a change would be; GovernanceError, OutOfRangeError, ChainAwayError."""
        with asking(self._client) as client:
            governance = acts.read(client)
            data = dangerous.parameters(client, _known(changes), self._epoch(day, governance.epoch_seconds))
        week = acts.preview(
            self._app,
            governance,
            {**governance.parameters, **{name: each[1] for name, each in data["changes"].items()}},
        )
        return TariffPreview(
            changes=tuple(
                ParameterChange(name=name, before=before, after=after)
                for name, (before, after) in data["changes"].items()
            ),
            from_epoch=data["from_epoch"],
            starts_at=governance.starts(data["from_epoch"]),
            replaces=data["replaces"],
            traded_epochs=week.traded_epochs,
            traded_wh=week.traded_wh,
            outside=week.outside,
        )

    def propose(self, who: Principal, changes: Mapping[str, int], day: date | None, reason: str) -> str:
        """Propose a change; the proposal's id. Errors as `preview`, and PeopleErrors."""
        with asking(self._client) as client:
            seconds = acts.read(client).epoch_seconds
            data = dangerous.parameters(client, _known(changes), self._epoch(day, seconds))
        return proposals.propose(self._app, who, PARAMETERS, data, reason, via=ON_PAGE).id

    def propose_cancel(self, who: Principal, reason: str) -> str:
        """Propose that what is staged is taken back; the proposal's id. Errors as `dangerous.unstaging`."""
        with asking(self._client) as client:
            data = dangerous.unstaging(client)
        return proposals.propose(self._app, who, PARAMETERS, data, reason, via=ON_PAGE).id

    def _epoch(self, day: date | None, epoch_seconds: int) -> int:
        """The first epoch that begins with that day at the site or later."""
        when = day or self.usual_day()
        if not EARLIEST <= when <= LATEST:
            raise OutOfRangeError("parameters change within a year: choose a day of it")
        return first_epoch_at(midnight(when, self.zone), epoch_seconds)


def _known(changes: Mapping[str, int]) -> Mapping[str, int]:
    for name in changes:
        if name not in acts.PARAMETER_NAMES:
            raise acts.NothingToChangeError(f"there is no parameter {name}")
    return changes


def _state(span: TariffSpan, now: int) -> Literal["over", "in_force", "to_come"]:
    if span.starts_at > now:
        return "to_come"
    return "in_force" if span.ends_at is None or span.ends_at > now else "over"


def blueprint(book: TariffBook) -> APIBlueprint:
    """The resources over the query layer."""
    tariffs = APIBlueprint("tariffs", __name__, url_prefix="/api/v1/tariffs", tag="Operations")

    @tariffs.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @tariffs.get("")
    @tariffs.output(schema_of(Tariffs), description="The tariffs.")
    @tariffs.doc(
        operation_id="get_tariffs",
        summary="What is in force, staged, proposed, and was in force",
        responses={409: "The programs are not on the chain yet.", 503: "The validator does not answer.", **NOT_YOURS},
    )
    def shown() -> dict[str, Any]:
        book.note(gate.principal())
        return asdict(book.shown())

    @tariffs.get("/preview")
    @tariffs.input(PreviewQuery, location="query", arg_name="query")
    @tariffs.output(schema_of(TariffPreview), description="The preview.", example=EXAMPLE_PREVIEW)
    @tariffs.doc(operation_id="preview_tariffs", summary="A change in the light of last week", responses=dict(REFUSED))
    def preview(query: dict[str, Any]) -> dict[str, Any]:
        day = query.pop("day")
        return asdict(book.preview({name: value for name, value in query.items() if value is not None}, day))

    @tariffs.post("")
    @tariffs.input(
        ChangesInput,
        arg_name="given",
        example={"changes": {"feed_in_price": 90_000}, "day": "2027-01-01", "reason": "new tariff of the grid"},
    )
    @tariffs.output(schema_of(Proposed), 201, description="The proposal.")
    @tariffs.doc(
        operation_id="propose_tariffs",
        summary="Propose other tariffs from a day on",
        description="Another person approves, as [people] two_persons says. No token may do this.",
        responses=dict(REFUSED),
    )
    def propose(given: dict[str, Any]) -> Proposed:
        return Proposed(proposal=book.propose(gate.principal(), given["changes"], given["day"], given["reason"]))

    @tariffs.post("/cancel")
    @tariffs.input(ReasonInput, arg_name="given", example={"reason": "the grid keeps its tariff"})
    @tariffs.output(schema_of(Proposed), 201, description="The proposal.")
    @tariffs.doc(
        operation_id="propose_tariff_cancellation",
        summary="Propose that what is staged is taken back",
        responses=dict(REFUSED),
    )
    def propose_cancel(given: dict[str, str]) -> Proposed:
        return Proposed(proposal=book.propose_cancel(gate.principal(), given["reason"]))

    return tariffs
