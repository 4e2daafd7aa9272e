"""What waits for the department: /api/v1/operations/waiting, and what the operator's pages show of it.

It is what `authority status` knows. Who looks at it is in the log. Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.schemas import schema_of
from authority.app import App
from authority.chain.client import ChainClient
from authority.people import reads
from authority.people.roles import READ_OPERATIONS, SEES_WHAT_WAITS, Principal
from authority.status import facts, judgement
from authority.status.facts import Facts
from authority.status.judgement import Problem

RULES: Mapping[str, Rule] = {"operations.waiting": Rule(SEES_WHAT_WAITS, READ_OPERATIONS)}
WAITING = "waiting"
"""What the log says that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingThing:
    """Something that needs a person."""

    code: str = described("What it is, for programs, such as held or meter_silent.")
    subject: str = described("Whom or what it is about.")
    text: str = described("What is wrong, and what to do, in a sentence.")
    about: str = described("Tells things of one code and subject apart; often empty.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterWaiting:
    """A meter, and what waits of its readings."""

    meter: str = described("GATEWAY/METER.")
    member: str | None = described("The member's name; null for who is not an operator.")
    state: str = described("planned, active, suspended or retired.")
    last_interval_end: int | None = described("The end of its last interval; null where none came.")
    on_the_way: int = described("Readings that passed and are not on the chain yet.")
    held: int = described("Readings that wait for an operator.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits for the department, and the figures beside it."""

    time: int = described("When this was looked at.")
    things: tuple[WaitingThing, ...] = described("What needs a person, the most urgent first.")
    gateways: int = described("Gateways.")
    gateways_heard: int = described("Those of them that were heard lately.")
    readings_held: int = described("Readings that wait for an operator.")
    enrolments_waiting: int = described("Gateways that wait to be let in.")
    disputes_waiting: int = described("Disputes that wait for an answer.")
    settlement_alerts: int = described("Alerts of settlement.")
    epochs_behind: int = described("Epochs whose grace is over, and that have no checkpoint.")
    operator_lamports: int | None = described("What the operator's wallet has; null where the chain does not answer.")
    operator_days_left: float | None = described("For how many days that lasts; null where it is not known.")
    backup_at: int | None = described("When the last backup was made; null: never.")
    paused: tuple[str, ...] | None = described("What governance has stopped; null where the validator does not answer.")
    meters: tuple[MeterWaiting, ...] = described("Every meter in use.")


EXAMPLE_WAITING = {
    "time": 1_782_030_600,
    "things": [
        {
            "code": "held",
            "subject": "gw-1/pv",
            "text": "2 readings are held for exceeds_nameplate: look at them",
            "about": "exceeds_nameplate",
        }
    ],
    "gateways": 3,
    "gateways_heard": 3,
    "readings_held": 2,
    "enrolments_waiting": 0,
    "disputes_waiting": 1,
    "settlement_alerts": 0,
    "epochs_behind": 0,
    "operator_lamports": 4_210_000_000,
    "operator_days_left": 210.5,
    "backup_at": 1_782_000_000,
    "paused": [],
    "meters": [
        {
            "meter": "gw-1/pv", "member": "Dormitory A", "state": "active", "last_interval_end": 1_782_030_600,
            "on_the_way": 1, "held": 2,
        }
    ],
}  # fmt: skip


class Waits:
    """The query layer over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self.app, self._client = app, client

    def waiting(self, who: Principal) -> tuple[Facts, list[Problem]]:
        """What is known of the campus, as who asks may see it, and what of it waits, the most urgent first."""
        asking = self._client()
        try:
            gathered = facts.gather(self.app, asking, names=who.sees_names)
        finally:
            asking.close()
        return gathered, judgement.problems(gathered)


def _waiting(gathered: Facts, problems: list[Problem]) -> Waiting:
    chain = gathered.chain
    return Waiting(
        time=gathered.time,
        things=tuple(WaitingThing(**asdict(each)) for each in problems),
        gateways=len(gathered.gateways),
        gateways_heard=sum(each.online for each in gathered.gateways),
        readings_held=sum(gathered.held_by_code.values()),
        enrolments_waiting=len(gathered.enrolments_waiting),
        disputes_waiting=len(gathered.disputes),
        settlement_alerts=len(gathered.alerts),
        epochs_behind=gathered.epochs_behind,
        operator_lamports=chain.lamports,
        operator_days_left=chain.days_left,
        backup_at=gathered.backup_at,
        paused=tuple(chain.paused) if chain.error is None else None,
        meters=tuple(
            MeterWaiting(
                meter=f"{each.gateway}/{each.name}",
                member=each.member,
                state=each.state,
                last_interval_end=each.last_interval_end,
                on_the_way=each.waiting,
                held=each.held,
            )
            for each in gathered.meters
        ),
    )


def blueprint(its: Waits) -> APIBlueprint:
    """The resource over the query layer."""
    operations = APIBlueprint("operations", __name__, url_prefix="/api/v1/operations", tag="Operations")

    @operations.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @operations.get("/waiting")
    @operations.output(schema_of(Waiting), description="What waits.", example=EXAMPLE_WAITING)
    @operations.doc(
        operation_id="get_waiting",
        summary="What waits for the department, with the figures that its first page shows",
        description="The things are those of `authority status`.",
        responses=NOT_YOURS,
    )
    def waiting() -> dict[str, Any]:
        who = gate.principal()
        reads.note(its.app.store, who, WAITING, reads.EVERYBODY, its.app.clock())
        return asdict(_waiting(*its.waiting(who)))

    return operations
