"""What a line of a bill is made of: its own times alone, which add up to the line, by quarters of an hour and by days.

They are worked out by the rule that makes the bill, from the same facts of the chain and leaves of the log. Where that
comes to another line than the bill has, nothing is shown but that. Energies are Wh, amounts micro-credits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from authority.api.asking import opened_book
from authority.api.member import SO_FAR_AT_ONCE, SO_FAR_SECONDS, Members
from authority.app import App
from authority.billing import issuing
from authority.billing.bill import Bill, Part
from authority.billing.calendar import local
from authority.chain.client import ChainClient
from authority.language.reading import marked
from authority.people.errors import TooOftenError
from authority.people.limits import Bucket
from authority.people.roles import MemberAccount
from authority.refusals import NotFoundError

HISTORY_AWAY = marked(
    "what a line is made of cannot be told now, for the department has to look at the chain's history first; nothing "
    "is lost"
)
FEW_DAYS = 2
"""So many days are shown by their quarters of an hour at once; more by day first."""


@dataclass(frozen=True, slots=True)
class Row:
    """A day or a span of a line, Unix seconds; amount is None where the line is priced only as a whole."""

    starts_at: int
    ends_at: int
    wh: int
    amount: int | None
    day: date | None
    """The day that the row has all of; None of a span."""


@dataclass(frozen=True, slots=True)
class LineParts:
    """A line of a bill's document, and its rows: None where they cannot be worked out so that they are the line."""

    line: Mapping[str, Any]
    rows: tuple[Row, ...] | None


class BillParts:
    """The query layer over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient], members: Members) -> None:
        self._app, self._client, self._members = app, client, members
        self._limit = Bucket(app.tries, "bill parts", SO_FAR_AT_ONCE, SO_FAR_SECONDS)

    def of_bill(self, member: MemberAccount, number: int, line: int, day: date | None = None) -> LineParts:
        """A line of an issued bill, of one day where one is named.

        NotFoundError where there is no such bill, line or day; ChainAwayError, TooOftenError.
        """
        _, document = self._members.bill(member, number)
        said, period = _line_of(document, line), int(document["period"])
        self._count(member)
        with opened_book(self._app, self._client, period, HISTORY_AWAY) as book:
            bill = issuing.so_far(self._app, book, period, member.wallet, parts=True)
        return self._of(bill, said, day)

    def of_bill_so_far(self, member: MemberAccount, period: int | None, line: int, day: date | None) -> LineParts:
        """The same of a bill that is still to come, errors as `Members.bill_so_far` has them too."""
        bill = self._members.lines_so_far(member, period)
        said = _line_of(bill.as_json(0, self._app.home.network_id), line)
        self._count(member)
        return self._of(bill, said, day)

    def _count(self, member: MemberAccount) -> None:
        """TooOftenError for who has lines taken apart too often, for it is work."""
        if (wait := self._limit.wait(member.wallet)) > 0:
            raise TooOftenError(wait)

    def _of(self, bill: Bill, said: Mapping[str, Any], day: date | None) -> LineParts:
        made = [line for place, line in enumerate(bill.lines, 1) if line.as_json(place) == said]
        if not made:
            return LineParts(said, None)
        rows = rows_of(made[0].parts, bill.epoch_seconds, self._members.zone, day)
        if not rows:
            raise NotFoundError(f"the line has nothing of {day}")
        return LineParts(said, rows)


def _line_of(document: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """A line of a bill's document that has times; NotFoundError."""
    said: Mapping[str, Any] | None = next((line for line in document["lines"] if line["line"] == number), None)
    if said is None or not said["epochs"]:
        raise NotFoundError(f"the bill has no line {number} that is made of times")
    return said


def rows_of(parts: Iterable[Part], epoch_seconds: int, zone: ZoneInfo, day: date | None = None) -> tuple[Row, ...]:
    """A line's parts in order, those of the same epochs together: by day where there are many, or those of one day.

    A span that goes on after midnight is of the day on which it begins.
    """
    spans: dict[tuple[int, int], list[Part]] = {}
    for part in parts:
        spans.setdefault((part.first, part.last), []).append(part)
    by_day: dict[date, list[Row]] = {}
    for (first, last), some in sorted(spans.items()):
        at = local(first * epoch_seconds, zone).date()
        row = Row(first * epoch_seconds, (last + 1) * epoch_seconds, sum(each.wh for each in some), _sum(some), None)
        by_day.setdefault(at, []).append(row)
    if day is None and len(by_day) > FEW_DAYS:
        return tuple(
            Row(rows[0].starts_at, max(row.ends_at for row in rows), sum(row.wh for row in rows), _sum(rows), at)
            for at, rows in by_day.items()
        )
    return tuple(row for at, rows in by_day.items() if day in (None, at) for row in rows)


def _sum(some: Iterable[Part | Row]) -> int | None:
    amounts = [each.amount for each in some]
    return None if None in amounts else sum(amount for amount in amounts if amount is not None)
