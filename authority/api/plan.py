"""The buildings on the campus grid: what flowed between each and the grid in the last interval that was measured.

Only signed readings; a building of which none is known lately has no figures, and a public dwelling's are of a quarter
of an hour at least and told 15 minutes late. Buildings whose members keep to
themselves are one sum, of at least LEAST_MEMBERS of them, an epoch later. Energies are Wh, times Unix seconds, places
per cent from the left and the top.
"""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api import tags
from authority.api.campus import described
from authority.api.campus_source import LATE_SECONDS, QUARTER_SECONDS
from authority.api.schemas import schema_of
from authority.app import App
from authority.market.disclosure import LEAST_MEMBERS
from authority.measures.indicators import Flow
from authority.measures.public_days import Metered, metered
from authority.store.people import User

INTERVALS = 4
"""So many of the last intervals are looked at: an hour, where an epoch is a quarter of one."""
KEPT_SECONDS = 30
GRID = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFlow:
    """What one building, or several together, did in an interval; all null where that is not known."""

    began_at: int | None = described("The interval's beginning.")
    ended_at: int | None = described("Its end.")
    generation_wh: int | None = described("Generated.")
    consumption_wh: int | None = described("Used, without what went into batteries.")
    charge_wh: int | None = described("Into batteries.")
    discharge_wh: int | None = described("Out of them.")
    given_wh: int | None = described("Given to the campus grid; what flowed is this less drawn_wh.")
    drawn_wh: int | None = described("Drawn from it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanBuilding:
    """One public building."""

    name: str = described("The building.")
    across: int | None = described("Its place from the left, per cent; null where it has none.")
    down: int | None = described("Its place from the top.")
    flow: PlanFlow = described("Its public members' meters together, in the last interval known.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The campus grid and what is on it."""

    time: int = described("When it was made.")
    interval_seconds: int = described("How long an interval is.")
    intervals: int = described("How many of the last intervals were looked at.")
    least_members: int = described("The others are at least so many who keep to themselves.")
    grid_across: int = described("The grid's own place from the left, per cent.")
    grid_down: int = described("Its place from the top.")
    buildings: tuple[PlanBuilding, ...] = described("The public buildings.")
    others: PlanFlow = described("All other members together; null where they are too few, or not all were measured.")


UNKNOWN = PlanFlow(
    began_at=None, ended_at=None, generation_wh=None, consumption_wh=None, charge_wh=None, discharge_wh=None,
    given_wh=None, drawn_wh=None,
)  # fmt: skip


def _flow(ended: int, its: Flow, seconds: int) -> PlanFlow:
    return PlanFlow(
        began_at=ended - seconds,
        ended_at=ended,
        generation_wh=its.generation,
        consumption_wh=its.consumption,
        charge_wh=its.charge,
        discharge_wh=its.discharge,
        given_wh=max(0, its.net),
        drawn_wh=max(0, -its.net),
    )


def _last(found: Metered, seconds: int) -> PlanFlow:
    """The newest interval in which all of them were measured."""
    if found.measured < found.members or not found.known:
        return UNKNOWN
    ended, its = found.known[-1]
    return _flow(ended, sum(its.values(), Flow()), seconds)


def _late(session: Session, now: int, seconds: int, users: Sequence[int]) -> PlanFlow:
    """Of a dwelling: no interval shorter than a quarter of an hour, and none that ended less than that ago."""
    step = seconds if seconds >= QUARTER_SECONDS else math.lcm(seconds, QUARTER_SECONDS)
    end = (now - LATE_SECONDS) // step * step
    return _last(metered(session, end - INTERVALS * step, end, step, users), step)


class CampusPlan:
    """The query layer over an opened authority. Read at most every KEPT_SECONDS, the others once an epoch."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._newest: Plan | None = None
        self._others: tuple[int, PlanFlow] = (-1, UNKNOWN)

    @property
    def zone(self) -> str:
        """The site's time zone."""
        return self._app.home.settings.site.zone

    def now(self) -> Plan:
        """The plan, as it was a few seconds ago at most."""
        with self._lock:
            if self._newest is None or not 0 <= self._app.clock() - self._newest.time < KEPT_SECONDS:
                self._newest = self._made()
            return self._newest

    def _made(self) -> Plan:
        now, settings = self._app.clock(), self._app.home.settings
        seconds, places = settings.epoch.seconds, settings.plan.by_name()
        end = now // seconds * seconds
        begin = end - INTERVALS * seconds
        with self._app.store.read() as session:
            buildings: dict[str, list[int]] = defaultdict(list)
            homes: set[str] = set()
            public = (
                select(User.id, User.building, User.dwelling)
                .where(User.public, User.left_at.is_(None))
                .order_by(User.id)
            )
            for user, building, dwelling in session.execute(public):
                buildings[building].append(user)
                if dwelling:
                    homes.add(building)
            shown = tuple(
                PlanBuilding(
                    name=name,
                    across=places[name][0] if name in places else None,
                    down=places[name][1] if name in places else None,
                    flow=_late(session, now, seconds, users)
                    if name in homes
                    else _last(metered(session, begin, end, seconds, users), seconds),
                )
                for name, users in buildings.items()
            )
            if self._others[0] != end:
                private = session.scalars(select(User.id).where(~User.public, User.left_at.is_(None))).all()
                found = metered(session, begin - seconds, end - seconds, seconds, private)
                last = Metered(found.members, found.measured, 1, found.known[-1:])
                told = last.balance(()) is not None
                self._others = (end, _last(last, seconds) if told else UNKNOWN)
        across, down = places.get(GRID, (50, 50))
        return Plan(
            time=now,
            interval_seconds=seconds,
            intervals=INTERVALS,
            least_members=LEAST_MEMBERS,
            grid_across=across,
            grid_down=down,
            buildings=shown,
            others=self._others[1],
        )


EXAMPLE_FLOW = {
    "began_at": 1_782_028_800,
    "ended_at": 1_782_029_700,
    "generation_wh": 9_200,
    "consumption_wh": 4_100,
    "charge_wh": 1_000,
    "discharge_wh": 0,
    "given_wh": 4_100,
    "drawn_wh": 0,
}
EXAMPLE = {
    "time": 1_782_029_730,
    "interval_seconds": 900,
    "intervals": INTERVALS,
    "least_members": LEAST_MEMBERS,
    "grid_across": 50,
    "grid_down": 50,
    "buildings": [{"name": "Dormitory A", "across": 20, "down": 35, "flow": EXAMPLE_FLOW}],
    "others": asdict(UNKNOWN),
}


def blueprint(plan: CampusPlan) -> APIBlueprint:
    """The public resource."""
    public = APIBlueprint("plan", __name__, url_prefix="/api/v1", tag="Public")

    @public.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PUBLIC)

    @public.get("/plan")
    @public.output(schema_of(Plan), description="The plan.", example=EXAMPLE)
    @public.doc(
        operation_id="get_plan",
        summary="The public buildings with what flowed between each and the campus grid",
        description="Of the last interval that was measured, within the last four; from signed readings alone.",
    )
    def buildings() -> dict[str, Any]:
        return asdict(plan.now())

    return public
