"""A member's energy as a Green Button download: what is drawn from the campus grid and given to it, by quarters.

A reading is of a quarter of an hour where the meters stand at its ends, and of the whole span between two readings
where some are missing: nothing is made up in between. What flowed where a register was reset is not there. Estimates
that bills have for dead meters are readings of their own, marked as such.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api import days, espi
from authority.app import App
from authority.billing import views
from authority.billing.calendar import local, midnight
from authority.billing.money import Currency
from authority.people.roles import MemberAccount
from authority.settlement import day_sums, member_meters
from authority.store.billing import BillingPeriod, IssuedBill

MICRO_PER_HUNDRED_THOUSANDTH = 10


def feed(app: App, member: MemberAccount, first: date, last: date) -> espi.Feed:
    """The download of the days first to last, both included; DaysInvalidError."""
    settings, now = app.home.settings, app.clock()
    zone, seconds = ZoneInfo(settings.site.zone), settings.epoch.seconds
    begin, end = days.span(first, last, days.DAY, zone)
    length = max(days.QUARTER_SECONDS, seconds)
    with app.store.read() as session:
        roles = member_meters.settling(session, member.id)
        its = day_sums.readings(session, roles, begin, end, seconds)
        spans = list(quarters(day_sums.spans(roles, its)))
        counted = sum(each.awaited(begin, end) for each in roles.values())
        estimated = [each for each in _estimates(session, member, seconds) if each.start < end and each.end > begin]
        bills = list(_summaries(session, member, begin, end, seconds, Currency.of(settings.billing)))
    qualities = (espi.QUESTIONABLE,) if len(its) < counted else ()
    series = [
        espi.Series(title, direction, length, espi.VALIDATED, list(_blocks(spans, zone, side, qualities)))
        for title, direction, side in (
            ("Drawn from the campus grid", espi.FORWARD, "drawn_wh"),
            ("Given to the campus grid", espi.REVERSE, "given_wh"),
        )
    ]
    if estimated:
        blocks = [(each.start, each.end, [each]) for each in estimated]
        series.append(espi.Series("Estimated, for a meter that failed", espi.FORWARD, length, espi.ESTIMATED, blocks))
    network = app.home.network_id.hex()
    customer = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{espi.ESPI}/{network}/{member.wallet}"))
    return espi.Feed(customer, member.name, now, zone, local(begin, zone).year, series, bills)


def quarters(pieces: Iterable[day_sums.Piece]) -> Iterator[day_sums.Piece]:
    """Pieces put together where they lie in one quarter of an hour and touch; longer ones stay as they are."""
    held: day_sums.Piece | None = None
    for piece in pieces:
        if held is not None and held.end == piece.start and piece.end <= _quarter_end(held.start):
            both = day_sums.add(held.flows, piece.flows)
            assert both is not None  # noqa: S101 - neither is nothing
            held = day_sums.Piece(held.start, piece.end, held.measured_seconds + piece.measured_seconds, both)
            continue
        if held is not None:
            yield held
        held = piece
    if held is not None:
        yield held


def _quarter_end(at: int) -> int:
    return at - at % days.QUARTER_SECONDS + days.QUARTER_SECONDS


def _blocks(
    spans: Iterable[day_sums.Piece], zone: ZoneInfo, side: str, qualities: tuple[int, ...]
) -> Iterator[tuple[int, int, list[espi.Reading]]]:
    """A block for each day of the site in which a reading begins; one that goes on into the next day ends with it."""
    by_day: dict[date, list[espi.Reading]] = {}
    for piece in spans:
        reading = espi.Reading(piece.start, piece.end, int(getattr(piece.flows, side)), qualities)
        by_day.setdefault(local(piece.start, zone).date(), []).append(reading)
    for day, readings in by_day.items():
        starts, ends = midnight(day, zone), midnight(day + timedelta(days=1), zone)
        yield starts, max(ends, readings[-1].end), readings


def _estimates(session: Session, member: MemberAccount, seconds: int) -> Iterator[espi.Reading]:
    for each in reversed(views.estimates(session)):
        if each.wallet == member.wallet and each.taken_back is None:
            start, end = each.first_epoch * seconds, each.end_epoch * seconds
            yield espi.Reading(start, end, each.wh, (espi.EDITED, espi.ESTIMATED))


def _summaries(
    session: Session, member: MemberAccount, begin: int, end: int, seconds: int, currency: Currency
) -> Iterator[espi.Summary]:
    bills = session.execute(
        select(IssuedBill, BillingPeriod)
        .join(BillingPeriod, BillingPeriod.period == IssuedBill.period)
        .where(
            IssuedBill.wallet == member.wallet,
            BillingPeriod.first_epoch * seconds < end,
            BillingPeriod.end_epoch * seconds > begin,
        )
        .order_by(IssuedBill.number)
    )
    for bill, period in bills:
        lines: list[dict[str, Any]] = json.loads(bill.document)["lines"]
        estimated = any(line["kind"] == "estimate" for line in lines)
        number = espi.CURRENCIES.get(currency.code)
        yield espi.Summary(
            number=bill.number,
            start=period.first_epoch * seconds,
            end=period.end_epoch * seconds,
            issued_at=bill.issued_at,
            wh=sum(int(line["wh"]) for line in lines if line["kind"] == "withdrawn"),
            quality=espi.MIXED if estimated else espi.VALIDATED,
            amount=currency.payable(bill.due) // MICRO_PER_HUNDRED_THOUSANDTH if number is not None else None,
            currency=number,
        )


def file_name(first: date, last: date) -> str:
    """What the download is called."""
    return f"green-button-{first}-{last}.xml"
