"""/api/v1/readings/held: readings that wait for a decision, with the evidence; the pages show the same.

Who looks at them is in the log. Energies are Wh, times Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from apiflask import APIBlueprint, fields
from apiflask.validators import Length
from flask import Response

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.paging import AT_ONCE, ONWARD, OnwardQuery, cut
from authority.api.schemas import schema_of
from authority.app import App
from authority.collector import evidence, held
from authority.collector.evidence import Evidence
from authority.collector.held import HeldReading
from authority.people import reads
from authority.people.roles import READ_OPERATIONS, SEES_WHAT_WAITS, Principal
from edge_agent.wire.rules import REGISTERS

RULES: Mapping[str, Rule] = {
    "readings.listed": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
    "readings.shown": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
}
HELD = "held readings"
"""What the log says that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """A reading that waits for an operator's decision."""

    log_index: int = described("Its entry in the log.")
    meter: str = described("GATEWAY/METER.")
    serial: str = described("The meter's serial number.")
    sequence: int = described("The reading's own number.")
    interval_end: int = described("The end of its interval.")
    received_at: int = described("When it came.")
    code: str = described("Why it is held, for programs.")
    cause: str = described("The same for people.")
    generation_wh: int = described("The meter's register of what was generated.")
    consumption_wh: int = described("Of what was drawn.")
    charge_wh: int = described("Of what was put into the storage.")
    discharge_wh: int = described("Of what was taken out of it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRows:
    """Readings that wait for a decision, the oldest first."""

    readings: tuple[HeldRow, ...] = described("At most 50.")
    next: str | None = described(ONWARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterMoved:
    """A register of a reading beside the same of the reading before."""

    register: str = described("generation, consumption, charge or discharge.")
    before_wh: int | None = described("In the reading before; null where there is none.")
    now_wh: int = described("In this one.")
    may_move: bool = described("Whether it may move in this meter's role.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldEvidence:
    """A reading that is or was held, and what it is judged by."""

    log_index: int = described("Its entry in the log.")
    meter: str = described("GATEWAY/METER.")
    serial: str = described("The meter's serial number.")
    role: str = described("What the meter measures.")
    source: str = described("The source that the reading names.")
    planned_source: str = described("The source in the campus plan.")
    nameplate_w: int = described("The installation's power.")
    storage_wh: int = described("What its storage holds.")
    sequence: int = described("The reading's own number.")
    interval_end: int = described("The end of its interval.")
    interval_seconds: int = described("How long that is.")
    received_at: int = described("When it came.")
    code: str = described("Why it was held, for programs.")
    cause: str = described("The same for people.")
    reset: bool = described("Whether the meter says that its registers were reset.")
    clock_deviation_seconds: int | None = described("The gateway's clock less the meter's; null: not known.")
    record_sha256: str = described("The record's hash, which its leaf has.")
    before_ended_at: int | None = described("When the reading before it ended that passed; null: there is none.")
    most_wh: int | None = described("The most that the installation can make in between; null: nothing bounds it.")
    registers: tuple[RegisterMoved, ...] = described("The registers, before and now.")
    held_after: int = described("Later readings of the meter that wait too.")
    state: str = described("held: it waits; else accepted, released or void.")
    superseded: str | None = described("Why it can go to the chain no more; null where it can, or is on its way.")
    decided_at: int | None = described("When it was decided; null while it waits.")
    decided_by: str | None = described("By whom: a pseudonym, or a part of the service.")
    reason: str | None = described("Why.")
    decision_leaf: int | None = described("The decision's entry in the log.")


class HeldQuery(OnwardQuery):
    """Which held readings."""

    code = fields.String(
        load_default=None, validate=Length(1, 64), metadata={"description": "Those that are held for this cause alone."}
    )
    meter = fields.String(
        load_default=None,
        validate=Length(1, 129),
        metadata={"description": "Those of this meter, GATEWAY/METER, alone."},
    )


EXAMPLE_HELD = {
    "log_index": 812,
    "meter": "gw-1/pv",
    "serial": "PV-0042",
    "sequence": 97,
    "interval_end": 1_782_030_600,
    "received_at": 1_782_030_602,
    "code": "exceeds_nameplate",
    "cause": evidence.CAUSES["exceeds_nameplate"],
    "generation_wh": 40_120_000,
    "consumption_wh": 0,
    "charge_wh": 0,
    "discharge_wh": 0,
}
EXAMPLE_EVIDENCE = {
    "log_index": 812,
    "meter": "gw-1/pv",
    "serial": "PV-0042",
    "role": "generation",
    "source": "solar",
    "planned_source": "solar",
    "nameplate_w": 10_000,
    "storage_wh": 0,
    "sequence": 97,
    "interval_end": 1_782_030_600,
    "interval_seconds": 900,
    "received_at": 1_782_030_602,
    "code": "exceeds_nameplate",
    "cause": evidence.CAUSES["exceeds_nameplate"],
    "reset": False,
    "clock_deviation_seconds": 1,
    "record_sha256": "5d" * 32,
    "before_ended_at": 1_782_029_700,
    "most_wh": 2_750,
    "registers": [{"register": "generation", "before_wh": 120_000, "now_wh": 40_120_000, "may_move": True}],
    "held_after": 1,
    "state": "held",
    "superseded": None,
    "decided_at": None,
    "decided_by": None,
    "reason": None,
    "decision_leaf": None,
}


class HeldReadings:
    """The query layer over an opened authority."""

    def __init__(self, app: App) -> None:
        self._app = app

    def note(self, who: Principal, whose: str = reads.EVERYBODY) -> None:
        """Log that held readings are looked at, or those of one member, before they are given out."""
        reads.note(self._app.store, who, HELD, whose, self._app.clock())

    def whose(self, log_index: int) -> str:
        """The wallet of the member whose reading it is."""
        with self._app.store.read() as session:
            return reads.whose_reading(session, log_index)

    def whose_meter(self, meter: str | None) -> str:
        """The same of GATEWAY/METER; EVERYBODY where none is named."""
        gateway, _, name = (meter or "").partition("/")
        with self._app.store.read() as session:
            return reads.whose_meter(session, gateway, name)

    def listed(self, chosen: held.Chosen) -> tuple[Sequence[HeldReading], str | None]:
        """A page of those that wait for a decision, the oldest first, and where the next goes on; NotFoundError."""
        with self._app.store.read() as session:
            found = held.held(session, chosen, AT_ONCE + 1)
        return cut(found, lambda row: row.log_index, AT_ONCE)

    def evidence(self, log_index: int) -> Evidence:
        """One with its evidence; NotFoundError."""
        with self._app.store.read() as session:
            return evidence.of_reading(session, log_index, self._app.home.settings.parameters.nameplate_tolerance_bps)


def _row(found: HeldReading) -> HeldRow:
    return HeldRow(
        log_index=found.log_index,
        meter=f"{found.gateway}/{found.meter}",
        serial=found.serial,
        sequence=found.sequence,
        interval_end=found.interval_end,
        received_at=found.received_at,
        code=found.code,
        cause=evidence.CAUSES.get(found.code, found.code),
        **{f"{name}_wh": now for name, now in zip(REGISTERS, found.registers, strict=True)},
    )


def _evidence(found: Evidence) -> HeldEvidence:
    return HeldEvidence(
        log_index=found.log_index,
        meter=found.meter,
        serial=found.serial,
        role=found.role,
        source=found.source,
        planned_source=found.planned_source,
        nameplate_w=found.nameplate_w,
        storage_wh=found.storage_wh,
        sequence=found.sequence,
        interval_end=found.interval_end,
        interval_seconds=found.interval_seconds,
        received_at=found.received_at,
        code=found.code,
        cause=found.cause,
        reset=found.reset,
        clock_deviation_seconds=found.clock_deviation,
        record_sha256=found.record_hash,
        before_ended_at=found.since,
        most_wh=found.most,
        registers=tuple(
            RegisterMoved(register=each.name, before_wh=each.before, now_wh=each.now, may_move=each.may_move)
            for each in found.steps
        ),
        held_after=found.held_after,
        state=found.disposition,
        superseded=found.superseded,
        decided_at=found.resolved_at,
        decided_by=found.resolved_by,
        reason=found.resolution,
        decision_leaf=found.resolution_log_index,
    )


def blueprint(its: HeldReadings) -> APIBlueprint:
    """The resources over the query layer."""
    readings = APIBlueprint("readings", __name__, url_prefix="/api/v1/readings", tag="Operations")

    @readings.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @readings.get("/held")
    @readings.input(HeldQuery, location="query", arg_name="query")
    @readings.output(
        schema_of(HeldRows), description="The readings.", example={"readings": [EXAMPLE_HELD], "next": None}
    )
    @readings.doc(
        operation_id="list_held_readings",
        summary="Readings that wait for an operator's decision, the oldest first",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def listed(query: dict[str, Any]) -> dict[str, Any]:
        its.note(gate.principal(), its.whose_meter(query["meter"]))
        rows, more = its.listed(held.Chosen(meter=query["meter"], code=query["code"], after=query["cursor"]))
        return asdict(HeldRows(readings=tuple(map(_row, rows)), next=more))

    @readings.get("/held/<int:log_index>")
    @readings.output(schema_of(HeldEvidence), description="The evidence.", example=EXAMPLE_EVIDENCE)
    @readings.doc(
        operation_id="get_held_reading",
        summary="A reading that is or was held, with the evidence, and what was decided",
        responses=NOT_YOURS,
    )
    def shown(log_index: int) -> dict[str, Any]:
        found = its.evidence(log_index)
        its.note(gate.principal(), its.whose(log_index))
        return asdict(_evidence(found))

    return readings
