"""Green Button: the Atom feed of the Energy Services Provider Interface (NAESB REQ.21 ESPI), as text. Pure.

Values are Wh (uom 72, powerOfTenMultiplier 0), times Unix seconds; the calendar of the site is told by
LocalTimeParameters. The order of elements is that of the published schema (espiDerived.xsd), which has sequences.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

ATOM, ESPI = "http://www.w3.org/2005/Atom", "http://naesb.org/espi"
CONTENT_TYPE = "application/atom+xml"
FORWARD, REVERSE = 1, 19
"""FlowDirectionKind: delivered to the customer, received from it."""
EDITED, ESTIMATED, QUESTIONABLE, MIXED, VALIDATED = 7, 8, 10, 13, 17
"""QualityOfReading: edited by hand, estimated, not all that should be in it, partly estimated, checked."""
NO_DST = "FFFFFFFF"
_DELTA, _SECONDARY_METERED, _NORMAL, _ENERGY, _WATT_HOURS = 4, 1, 12, 12, 72
_DAYS_OF_WEEK, _LAST = 7, 7
_YEARS_COMPARED = 8
CURRENCIES = {
    "AUD": 36, "BGN": 975, "BRL": 986, "CAD": 124, "CHF": 756, "CNY": 156, "CZK": 203, "DKK": 208, "EUR": 978,
    "GBP": 826, "HUF": 348, "IDR": 360, "ILS": 376, "INR": 356, "ISK": 352, "JPY": 392, "KRW": 410, "MXN": 484,
    "MYR": 458, "NOK": 578, "NZD": 554, "PHP": 608, "PLN": 985, "RON": 946, "SEK": 752, "SGD": 702, "THB": 764,
    "TRY": 949, "TWD": 901, "USD": 840, "VND": 704, "ZAR": 710,
}  # fmt: skip
"""Numbers of currencies (ISO 4217)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Energy (Wh) of a span [start, end) that was measured or estimated; qualities where it is not merely checked."""

    start: int
    end: int
    wh: int
    qualities: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """Readings of one kind, in blocks: a title, their direction, their usual length (seconds) and their blocks.

    Each block is (start, end, readings).
    """

    title: str
    direction: int
    length: int
    quality: int
    blocks: Sequence[tuple[int, int, Sequence[Reading]]]


@dataclass(frozen=True, slots=True)
class Summary:
    """A bill: its period [start, end), when it was issued, what was drawn (Wh), and what it asks.

    amount is hundred-thousandths of the currency; it and currency (an ISO 4217 number) are None without one.
    """

    number: int
    start: int
    end: int
    issued_at: int
    wh: int
    quality: int
    amount: int | None
    currency: int | None


@dataclass(frozen=True, slots=True)
class Feed:
    """What a member downloads: of whom (an opaque id), titled how, made when, in which zone, and what is in it."""

    customer: str
    title: str
    made_at: int
    zone: ZoneInfo
    year: int
    series: Sequence[Series]
    summaries: Sequence[Summary]


def written(feed: Feed) -> bytes:
    """The feed as XML."""
    ElementTree.register_namespace("", ATOM)
    ElementTree.register_namespace("espi", ESPI)
    root = ElementTree.Element(f"{{{ATOM}}}feed")
    own = f"RetailCustomer/{feed.customer}"
    _head(root, own, f"{feed.title}: Green Button", feed.made_at)
    _link(root, "self", f"/espi/1_1/resource/{own}/DownloadMyData")
    point = f"{own}/UsagePoint/1"
    readings = [f"{point}/MeterReading/{number}" for number in range(1, len(feed.series) + 1)]
    summaries = [f"{point}/UsageSummary/{each.number}" for each in feed.summaries]
    clock = "LocalTimeParameters/1"
    up = f"{own}/UsagePoint"
    related = [f"{point}/MeterReading", *([f"{point}/UsageSummary"] if summaries else []), clock]
    _entry(root, feed, point, up, related, "Connection", _point())
    for number, (path, series) in enumerate(zip(readings, feed.series, strict=True), 1):
        kind = f"ReadingType/{number}"
        related = [*([f"{path}/IntervalBlock"] if series.blocks else []), kind]
        _entry(root, feed, path, f"{point}/MeterReading", related, series.title, _of("MeterReading"))
        _entry(root, feed, kind, "ReadingType", [], series.title, _kind(series))
        for at, block in enumerate(series.blocks, 1):
            where = f"{path}/IntervalBlock/{at}"
            _entry(root, feed, where, f"{path}/IntervalBlock", [], series.title, _block(*block))
    _entry(root, feed, clock, "LocalTimeParameters", [], str(feed.zone), _clock(feed.zone, feed.year))
    for path, summary in zip(summaries, feed.summaries, strict=True):
        _entry(root, feed, path, f"{point}/UsageSummary", [], f"Bill {summary.number}", _summary(summary))
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


# Atom


def _head(parent: ElementTree.Element, path: str, title: str, at: int) -> None:
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{ESPI}/{path}")
    _put(parent, ATOM, "id", f"urn:uuid:{name}")
    _put(parent, ATOM, "title", title)
    _put(parent, ATOM, "updated", datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _link(parent: ElementTree.Element, relation: str, href: str) -> None:
    ElementTree.SubElement(parent, f"{{{ATOM}}}link", {"rel": relation, "href": href})


def _entry(
    root: ElementTree.Element,
    feed: Feed,
    path: str,
    up: str,
    related: Iterable[str],
    title: str,
    content: ElementTree.Element,
) -> None:
    entry = ElementTree.SubElement(root, f"{{{ATOM}}}entry")
    base = "/espi/1_1/resource/"
    own = path if path.startswith("RetailCustomer") else f"RetailCustomer/{feed.customer}/{path}"
    _head(entry, own, title, feed.made_at)
    _link(entry, "self", base + path)
    _link(entry, "up", base + up)
    for each in related:
        _link(entry, "related", base + each)
    ElementTree.SubElement(entry, f"{{{ATOM}}}content", {"type": "application/xml"}).append(content)


# ESPI


def _of(name: str) -> ElementTree.Element:
    return ElementTree.Element(f"{{{ESPI}}}{name}")


def _put(parent: ElementTree.Element, space: str, name: str, value: object) -> None:
    ElementTree.SubElement(parent, f"{{{space}}}{name}").text = str(value)


def _fill(name: str, fields: Iterable[tuple[str, object]]) -> ElementTree.Element:
    element = _of(name)
    for field, value in fields:
        if isinstance(value, ElementTree.Element):
            element.append(value)
        else:
            _put(element, ESPI, field, value)
    return element


def _span(name: str, start: int, end: int) -> ElementTree.Element:
    return _fill(name, (("duration", end - start), ("start", start)))


def _point() -> ElementTree.Element:
    return _fill("UsagePoint", (("", _fill("ServiceCategory", (("kind", 0),))), ("status", 1)))


def _kind(series: Series) -> ElementTree.Element:
    fields = (
        ("accumulationBehaviour", _DELTA),
        ("commodity", _SECONDARY_METERED),
        ("dataQualifier", _NORMAL),
        ("defaultQuality", series.quality),
        ("flowDirection", series.direction),
        ("intervalLength", series.length),
        ("kind", _ENERGY),
        ("powerOfTenMultiplier", 0),
        ("uom", _WATT_HOURS),
    )
    return _fill("ReadingType", fields)


def _block(start: int, end: int, readings: Iterable[Reading]) -> ElementTree.Element:
    block = _fill("IntervalBlock", (("", _span("interval", start, end)),))
    for each in readings:
        qualities = [("", _fill("ReadingQuality", (("quality", quality),))) for quality in each.qualities]
        fields = (*qualities, ("", _span("timePeriod", each.start, each.end)), ("value", each.wh))
        block.append(_fill("IntervalReading", fields))
    return block


def _summary(bill: Summary) -> ElementTree.Element:
    drawn = (("powerOfTenMultiplier", 0), ("uom", _WATT_HOURS), ("value", bill.wh))
    money: Iterator[tuple[str, object]] = iter(())
    code: Iterator[tuple[str, object]] = iter(())
    if bill.amount is not None and bill.currency is not None:
        money, code = iter((("billLastPeriod", bill.amount),)), iter((("currency", bill.currency),))
    fields = (
        ("", _span("billingPeriod", bill.start, bill.end)),
        *money,
        *code,
        ("", _fill("overallConsumptionLastPeriod", drawn)),
        ("qualityOfReading", bill.quality),
        ("statusTimeStamp", bill.issued_at),
        ("commodity", _SECONDARY_METERED),
    )
    return _fill("UsageSummary", fields)


# The calendar


def _clock(zone: ZoneInfo, year: int) -> ElementTree.Element:
    standard, saving, starts, ends = clock_rules(zone, year)
    fields = (("dstEndRule", ends), ("dstOffset", saving), ("dstStartRule", starts), ("tzOffset", standard))
    return _fill("LocalTimeParameters", fields)


def clock_rules(zone: ZoneInfo, year: int) -> tuple[int, int, str, str]:
    """A zone's offset from UTC and its summer time's from that (seconds), and the rules by which that starts and ends.

    Where the clock does not change just twice in the year there is no rule (NO_DST), and the offset is that of its end.
    """
    changes = _changes(zone, year)
    up = [each for each in changes if each[1] > each[0]]
    down = [each for each in changes if each[1] < each[0]]
    if len(up) != 1 or len(down) != 1:
        return _offset(zone, datetime(year, 12, 31, 12, tzinfo=UTC)), 0, NO_DST, NO_DST
    before, after, _ = up[0]
    starts, ends = (_rule(zone, year, rising=rising) for rising in (True, False))
    return before, after - before, starts, ends


def _offset(zone: ZoneInfo, at: datetime) -> int:
    return int((at.astimezone(zone).utcoffset() or timedelta()).total_seconds())


def _changes(zone: ZoneInfo, year: int) -> list[tuple[int, int, datetime]]:
    """The changes of a zone's clock in a year: offset before, offset after, and what the clock showed just then."""
    found, at, end = [], datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    while at < end:
        following = at + timedelta(minutes=15)  # every change of today's zones falls on a quarter of an hour
        day = at + timedelta(days=1)
        if _offset(zone, at) == _offset(zone, day):
            at = day
            continue
        before, after = _offset(zone, at), _offset(zone, following)
        if before != after:
            found.append((before, after, following.replace(tzinfo=None) + timedelta(seconds=before)))
        at = following
    return found


def _rule(zone: ZoneInfo, year: int, *, rising: bool) -> str:
    """The change of a year as a rule (DstRuleType): as its neighbours have it, or else on the day of the month."""
    change = _change(zone, year, rising=rising)
    assert change is not None  # noqa: S101 - the caller has seen it
    neighbours = [_change(zone, other, rising=rising) for other in range(year, year + _YEARS_COMPARED)]
    known = [each for each in neighbours if each is not None]
    place = (change.day - 1) // _DAYS_OF_WEEK
    weekly = all((each.month, each.weekday()) == (change.month, change.weekday()) for each in known)
    if weekly and all((each.day - 1) // _DAYS_OF_WEEK == place for each in known):
        return _encoded(change, operator=place + 2, weekday=True)
    if weekly and all((each + timedelta(days=_DAYS_OF_WEEK)).month != each.month for each in known):
        return _encoded(change, operator=_LAST, weekday=True)
    return _encoded(change, operator=0, weekday=False)


def _change(zone: ZoneInfo, year: int, *, rising: bool) -> datetime | None:
    found = [each[2] for each in _changes(zone, year) if (each[1] > each[0]) == rising]
    return found[0] if len(found) == 1 else None


def _encoded(change: datetime, *, operator: int, weekday: bool) -> str:
    day = (change.isoweekday() << 17) if weekday else (change.day << 20)
    rule = change.month << 28 | operator << 25 | day | change.hour << 12 | (change.minute * 60 + change.second)
    return f"{rule:08X}"
