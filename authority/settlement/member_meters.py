"""Whose readings a meter's are, and when: a member's own meters, those before a change of tenant, and retired ones."""

from __future__ import annotations

import bisect
import functools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, select
from sqlalchemy.orm import Session

from authority.store.log import Act
from authority.store.metering import METER_RETIRED, PASSED, Frame, Meter, MeterTenure

TAKEN_OUT = "meter_taken_out"
"""The act that retires a meter (authority.operations.meters)."""
EVER, NEVER = -1, 2**62
"""Before and after all boundaries."""


Tenures = tuple[tuple[int | None, int | None], ...]
"""Between which boundaries (since, until) a meter measures for a member; None: it has no such end."""


class Counted(NamedTuple):
    """What a meter measures, and between which boundaries (both included) it measures for the member.

    A tenure is (since, until), Unix seconds, None where it has no such end. Readings outside are another member's.
    begun is the boundary of the meter's first reading (None: it has none); ended that of its last one, and gone when it
    was taken out, where it was retired.
    """

    role: str
    tenures: Tenures = ((None, None),)
    begun: int | None = None
    ended: int | None = None
    gone: int | None = None

    def covers(self, boundary: int) -> bool:
        """Whether a reading at that boundary is the member's."""
        return any(
            (since is None or since <= boundary) and (until is None or boundary <= until)
            for since, until in self.tenures
        )

    def spans(self) -> Iterator[tuple[int, int]]:
        """Between which boundaries it measured for the member, from its first reading to its last."""
        yield from self._between(self.ended)

    def awaited(self, begin: int, end: int) -> bool:
        """Whether its readings of some time between begin and end are the member's, and were to come."""
        return any(since < end and begin < until for since, until in self.awaited_spans())

    def awaited_spans(self) -> Iterator[tuple[int, int]]:
        """Between which boundaries its readings were to come, and are the member's."""
        return self._between(self.gone)

    def lives(self, begin: int, end: int) -> bool:
        """Whether it measured for the member for some time between begin and end."""
        return any(since < end and begin < until for since, until in self.spans())

    def throughout(self, begin: int, end: int) -> bool:
        """Whether it measured for the member all the time from begin to end."""
        return any(since <= begin and end <= until for since, until in self.spans())

    def _between(self, last: int | None) -> Iterator[tuple[int, int]]:
        for since, until in self.tenures:
            begins = max(EVER if since is None else since, EVER if self.begun is None else self.begun)
            ends = min(NEVER if until is None else until, NEVER if last is None else last)
            if begins < ends:
                yield begins, ends


Roles = Mapping[int, Counted]
"""A member's meters that count, by Meter.id."""


def _passed(order: ColumnElement[int]) -> Select[int, int]:
    """The boundary of each meter's first reading that counts, in this order."""
    its = select(Frame.interval_end).where(Frame.meter_pk == Meter.id, Frame.disposition.in_(PASSED))
    first = its.order_by(order).limit(1).scalar_subquery()
    return select(Meter.id, first).where(Meter.id.in_(bindparam("pks", expanding=True)))


_FIRST, _LAST = _passed(Frame.log_index.asc()), _passed(Frame.log_index.desc())
_TENURES = (
    select(MeterTenure.meter_pk, MeterTenure.since_end, MeterTenure.until_end)
    .where(MeterTenure.user_id == bindparam("user"))
    .order_by(MeterTenure.id)
)
_ALWAYS = select(Meter.id).where(
    Meter.user_id == bindparam("user"),
    ~select(MeterTenure.meter_pk).where(MeterTenure.meter_pk == Meter.id).exists(),
)
_COUNTING = (
    select(Meter.id, Meter.role, Meter.state, Meter.meter_id)
    .where(Meter.id.in_(bindparam("pks", expanding=True)), Meter.role != "submeter")
    .order_by(Meter.id)
)
"""Statements of every page of a member's: to build one takes longer than to run it."""


def awaiting(roles: Roles) -> Callable[[int, int], int]:
    """How many of the meters are `awaited` between a begin and an end, for many spans of time one after the other."""
    spans = [list(counted.awaited_spans()) for counted in roles.values()]
    edges = sorted({edge for its in spans for span in its for edge in span})

    @functools.cache
    def among(after: int, before: int) -> int:
        """The same for all spans of time that begin after so many edges and end after so many."""
        begin, end = edges[after - 1] if after else EVER - 1, edges[before] if before < len(edges) else NEVER + 1
        return sum(any(since < end and begin < until for since, until in its) for its in spans)

    return lambda begin, end: among(bisect.bisect_right(edges, begin), bisect.bisect_left(edges, end))


def settling(session: Session, user_id: int) -> dict[int, Counted]:
    """The meters that count for the member: those that it had before a change of tenant too, and retired ones."""
    tenures = had(session, user_id)
    rows = session.execute(_COUNTING, {"pks": list(tenures)}).all()
    retired = {pk: meter_id for pk, _, state, meter_id in rows if state == METER_RETIRED}
    begun = _boundaries(session, [pk for pk, *_ in rows], _FIRST)
    ended = _boundaries(session, retired, _LAST)
    gone = _taken_out(session, retired)
    found = {}
    for pk, role, *_ in rows:
        if pk in retired and pk not in ended:
            continue
        its = tenures[pk]
        last = ended.get(pk)
        found[pk] = Counted(role, its, begun.get(pk), last, None if last is None else max(last, gone.get(pk, last)))
    return found


def had(session: Session, user_id: int) -> dict[int, Tenures]:
    """All meters that are or were the member's, submeters and retired ones too, and between which boundaries.

    One that went on to another, or back, at the boundary at which it came measured nothing for whoever had it between.
    """
    tenures: dict[int, list[tuple[int | None, int | None]]] = defaultdict(list)
    for pk, since, until in session.execute(_TENURES, {"user": user_id}):
        if since is not None and since == until:
            continue
        goes_on = tenures[pk] and since is not None and tenures[pk][-1][1] == since
        tenures[pk].append((tenures[pk].pop()[0] if goes_on else since, until))
    always = session.scalars(_ALWAYS, {"user": user_id})
    return {pk: tuple(some) for pk, some in tenures.items()} | dict.fromkeys(always, ((None, None),))


def begun(session: Session, pks: Collection[int]) -> dict[int, int]:
    """The boundary of each meter's first reading that counts, by Meter.id; meters without one are left out."""
    return _boundaries(session, pks, _FIRST)


def _boundaries(session: Session, pks: Collection[int], which: Select[int, int]) -> dict[int, int]:
    """The boundary of each meter's first or last reading that counts; meters without one are left out."""
    if not pks:
        return {}
    return {pk: end for pk, end in session.execute(which, {"pks": list(pks)}) if end is not None}


def _taken_out(session: Session, retired: Mapping[int, bytes]) -> dict[int, int]:
    """When meters were retired, as the log has it."""
    if not retired:
        return {}
    acts = session.execute(select(Act.time, Act.data).where(Act.kind == TAKEN_OUT).order_by(Act.log_index))
    times = {str(data["meter_id"]): time for time, data in acts}
    return {pk: times[meter_id.hex()] for pk, meter_id in retired.items() if meter_id.hex() in times}


def edges_of(roles: Roles, pks: Iterable[int]) -> list[int]:
    """When one of these meters joins or leaves, in order."""
    return sorted({edge for pk in pks for span in roles[pk].spans() for edge in span})


def inside(edges: Sequence[int], begin: int, end: int) -> Sequence[int]:
    """The edges that lie between begin and end."""
    return edges[bisect.bisect_right(edges, begin) : bisect.bisect_left(edges, end)]
