"""Meters by days: which readings came, where they are missing, and why: the same for pages and /api/v1/meters."""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint, Schema, fields
from apiflask.validators import Length
from flask import Response
from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session, joinedload

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.days import EARLIEST
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.schemas import schema_of
from authority.app import App
from authority.billing.calendar import days_between, local, midnight
from authority.operations import gaps
from authority.operations.chain_state import meter_of
from authority.people import reads
from authority.people.roles import READ_OPERATIONS, SEES_WHAT_WAITS
from authority.refusals import NotFoundError
from authority.store.metering import METER_RETIRED, Meter

RULES: Mapping[str, Rule] = {
    "meters.by_days": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
    "meters.of_day": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
}
MOST_METERS, MOST_DAYS, MOST_BOUNDARIES = 40, 14, 60_000
"""What one map shows at most; where epochs are short, fewer days."""
METERS = "meters"
"""What the log says that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDay:
    """One meter's day."""

    due: int = described("Boundaries at which a reading was due: after the meter was approved, and long enough ago.")
    came: int = described("At how many of them one came and passed.")
    stopped: int = described("At how many others one came and did not pass: held back, or voided.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRow:
    """One meter's days."""

    meter: str = described("GATEWAY/METER.")
    member: str | None = described("Whose it is; null for who is not an operator.")
    state: str = described("approved, active or suspended.")
    days: tuple[MeterDay, ...] = described("As `days` of the answer.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterMap:
    """Meters by days."""

    zone: str = described("The site's time zone, whose days these are.")
    days: tuple[str, ...] = described("The days, in order; fewer than 14 where epochs are short.")
    meters: tuple[MeterRow, ...] = described("At most 40, by their names.")
    meters_in_use: int = described("How many meters are in use.")
    after: str | None = described("`after` of the next meters; null where there are none.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Boundaries without a reading that passed, one after the other."""

    first: int = described("The first of them.")
    last: int = described("The last.")
    missing: int = described("How many.")
    cause: Literal["held", "void", "refused", "parked", "clock", "away", "silent"] = described(
        "held, void: came and did not pass; refused, parked: came and is in no log; clock: one was wrong or set; away: "
        "no meter of the gateway was read; silent: others of it were."
    )
    readings: tuple[int, ...] = described("Log entries of those that came and did not pass.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedReading:
    """A reading that came and that the chain refuses."""

    log_index: int = described("Its entry in the log.")
    boundary: int = described("The end of its interval.")
    error: str = described("What the program answered.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfMeter:
    """One meter's day, with its gaps."""

    meter: str = described("GATEWAY/METER.")
    day: str = described("The day.")
    zone: str = described("The site's time zone.")
    count: MeterDay = described("In short.")
    gaps: tuple[Gap, ...] = described("Where readings are missing.")
    refused_by_chain: tuple[RefusedReading, ...] = described("Readings that came and that the chain refuses.")


class MapQuery(Schema):
    """Which days and meters."""

    last = fields.Date(data_key="to", load_default=None, metadata={"description": "The last day; today."})
    after = fields.String(
        load_default="", validate=Length(max=129), metadata={"description": "Meters after this GATEWAY/METER."}
    )


EXAMPLE_MAP = {
    "zone": "Asia/Bangkok",
    "days": ["2026-11-28", "2026-11-29"],
    "meters": [
        {
            "meter": "gw-1/pv",
            "member": "Dormitory A",
            "state": "active",
            "days": [{"due": 96, "came": 94, "stopped": 1}, {"due": 80, "came": 80, "stopped": 0}],
        }
    ],
    "meters_in_use": 1,
    "after": None,
}
EXAMPLE_DAY = {
    "meter": "gw-1/pv",
    "day": "2026-11-28",
    "zone": "Asia/Bangkok",
    "count": {"due": 96, "came": 94, "stopped": 1},
    "gaps": [
        {"first": 1_782_000_000, "last": 1_782_000_000, "missing": 1, "cause": "held", "readings": [812]},
        {"first": 1_782_009_000, "last": 1_782_009_000, "missing": 1, "cause": "away", "readings": []},
    ],
    "refused_by_chain": [],
}


class MeterDays:
    """The query layer over an opened authority."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.zone = ZoneInfo(app.home.settings.site.zone)

    @property
    def _epoch(self) -> int:
        return self._app.home.settings.epoch.seconds

    def _until(self) -> int:
        """Up to when readings are due by now."""
        return self._app.clock() - 2 * self._epoch - self._app.home.settings.parameters.grace_seconds

    def today(self) -> date:
        """Today at the site."""
        return local(self._app.clock(), self.zone).date()

    def map(self, last: date | None, after: str = "", *, names: bool) -> MeterMap:
        """The days up to `last` of the meters after a name; names: with whose they are."""
        to = min(max(last or self.today(), EARLIEST + timedelta(days=MOST_DAYS)), self.today())
        with self._app.store.read() as session:
            shown, count, more = self._meters(session, after)
            a_day = max(1, len(shown)) * (86_400 // self._epoch)
            wanted = max(1, min(MOST_DAYS, MOST_BOUNDARIES // a_day))
            first = to - timedelta(days=wanted - 1)
            begin, end = midnight(first, self.zone), midnight(to + timedelta(days=1), self.zone)
            edges = list(days_between(begin, end, self.zone))
            counts = gaps.by_days(session, shown, edges, self._epoch, self._until())
            rows = tuple(
                MeterRow(
                    meter=f"{meter.gateway_name}/{meter.name}",
                    member=meter.user.name if names else None,
                    state=meter.state,
                    days=tuple(_day(each) for each in counts[meter.id]),
                )
                for meter in shown
            )
        return MeterMap(
            zone=self.zone.key,
            days=tuple(local(start, self.zone).date().isoformat() for start, _ in edges),
            meters=rows,
            meters_in_use=count,
            after=rows[-1].meter if more else None,
        )

    def _meters(self, session: Session, after: str) -> tuple[list[Meter], int, bool]:
        in_use = (Meter.public_key.is_not(None), Meter.state != METER_RETIRED)
        count = session.scalar(select(func.count()).select_from(Meter).where(*in_use)) or 0
        query = select(Meter).where(*in_use).options(joinedload(Meter.user)).order_by(Meter.gateway_name, Meter.name)
        gateway, _, name = after.partition("/")
        if after:
            query = query.where(tuple_(Meter.gateway_name, Meter.name) > tuple_(gateway, name))
        found = list(session.scalars(query.limit(MOST_METERS + 1)))
        return found[:MOST_METERS], count, len(found) > MOST_METERS

    def whose(self, gateway: str, meter_name: str) -> str:
        """The wallet of the member whose meter it is, by which a reading of it is logged; EVERYBODY for nobody's."""
        with self._app.store.read() as session:
            return reads.whose_meter(session, gateway, meter_name)

    def of_day(self, gateway: str, meter_name: str, day: date) -> DayOfMeter:
        """One meter's day with its gaps; NotFoundError."""
        if not EARLIEST <= day <= self.today():
            raise NotFoundError("there is nothing of this day: it has not come, or is too long ago")
        start, end = midnight(day, self.zone), midnight(day + timedelta(days=1), self.zone)
        with self._app.store.read() as session:
            meter = meter_of(session, f"{gateway}/{meter_name}")
            found = gaps.of_day(session, meter, start, end, self._epoch, self._until())
        return DayOfMeter(
            meter=f"{gateway}/{meter_name}",
            day=day.isoformat(),
            zone=self.zone.key,
            count=_day(found.count),
            gaps=tuple(Gap(**asdict(each)) for each in found.holes),
            refused_by_chain=tuple(
                RefusedReading(log_index=index, boundary=at, error=error) for index, at, error in found.refused_by_chain
            ),
        )


def _day(count: gaps.DayCount) -> MeterDay:
    return MeterDay(due=count.due, came=count.came, stopped=count.stopped)


def blueprint(app: App, its: MeterDays) -> APIBlueprint:
    """The resources over the query layer."""
    meters = APIBlueprint("meters", __name__, url_prefix="/api/v1/meters", tag="Operations")

    @meters.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    def note(whose: str = reads.EVERYBODY) -> None:
        reads.note(app.store, gate.principal(), METERS, whose, app.clock())

    @meters.get("/days")
    @meters.input(MapQuery, location="query", arg_name="query")
    @meters.output(schema_of(MeterMap), description="The map.", example=EXAMPLE_MAP)
    @meters.doc(
        operation_id="get_meter_days",
        summary="Meters by days: how many of the readings that were due came",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def by_days(query: dict[str, Any]) -> dict[str, Any]:
        note()
        return asdict(its.map(query["last"], query["after"], names=gate.principal().sees_names))

    @meters.get("/<gateway>/<meter_name>/days/<day>")
    @meters.output(schema_of(DayOfMeter), description="The day.", example=EXAMPLE_DAY)
    @meters.doc(
        operation_id="get_meter_day",
        summary="One meter's day: where readings are missing, and why",
        responses=dict(NOT_YOURS),
    )
    def of_day(gateway: str, meter_name: str, day: str) -> dict[str, Any]:
        found = its.of_day(gateway, meter_name, day_of(day))
        note(its.whose(gateway, meter_name))
        return asdict(found)

    return meters


def day_of(text: str) -> date:
    """The day that an address names; NotFoundError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NotFoundError("there is nothing of this day: write it like 2026-11-28") from None
