"""What the published ESPI schema (espiDerived.xsd, version 0.7.20150119) and RFC 4287 ask of a feed, as checks.

The schema itself is NAESB's and is not here: these are its sequences, types and bounds, written down for the elements
that a download has.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

ATOM, ESPI = "{http://www.w3.org/2005/Atom}", "{http://naesb.org/espi}"
Check = Callable[[str], bool]


def whole(least: int, most: int) -> Check:
    """A whole number within bounds, as XML Schema writes it."""
    return lambda text: bool(re.fullmatch(r"[+-]?\d+", text)) and least <= int(text) <= most


UINT8, UINT16, UINT32 = whole(0, 2**8 - 1), whole(0, 2**16 - 1), whole(0, 2**32 - 1)
INT48, TIME = whole(-(2**47), 2**47), whole(-(2**63), 2**63 - 1)
RULE: Check = lambda text: bool(re.fullmatch(r"[0-9A-Fa-f]{8}", text))  # noqa: E731
QUALITY: Check = lambda text: int(text) in {0, *range(7, 20)}  # noqa: E731
MULTIPLIER: Check = lambda text: int(text) in {-12, -9, -6, -3, -2, -1, 0, 1, 2, 3, 6, 9}  # noqa: E731
FLOW: Check = lambda text: int(text) in {0, 1, 2, 3, 4, 5, *range(7, 22)}  # noqa: E731

# name: (type, least, most), in the order of the sequence; a type is a check of the text, or the name of a sequence
SEQUENCES: Mapping[str, tuple[tuple[str, Check | str, int, int | None], ...]] = {
    "DateTimeInterval": (("duration", UINT32, 1, 1), ("start", TIME, 1, 1)),
    "ServiceCategory": (("kind", UINT16, 1, 1),),
    "ReadingQuality": (("quality", QUALITY, 1, 1),),
    "SummaryMeasurement": (
        ("powerOfTenMultiplier", MULTIPLIER, 0, 1),
        ("timeStamp", TIME, 0, 1),
        ("uom", UINT16, 0, 1),
        ("value", INT48, 0, 1),
    ),
    "UsagePoint": (("roleFlags", UINT16, 0, 1), ("ServiceCategory", "ServiceCategory", 0, 1), ("status", UINT8, 0, 1)),
    "MeterReading": (),
    "ReadingType": (
        ("accumulationBehaviour", UINT16, 0, 1),
        ("commodity", UINT16, 0, 1),
        ("consumptionTier", UINT16, 0, 1),
        ("currency", UINT16, 0, 1),
        ("dataQualifier", UINT16, 0, 1),
        ("defaultQuality", QUALITY, 0, 1),
        ("flowDirection", FLOW, 0, 1),
        ("intervalLength", UINT32, 0, 1),
        ("kind", UINT16, 0, 1),
        ("phase", UINT16, 0, 1),
        ("powerOfTenMultiplier", MULTIPLIER, 0, 1),
        ("timeAttribute", UINT16, 0, 1),
        ("tou", UINT16, 0, 1),
        ("uom", UINT16, 0, 1),
    ),
    "IntervalBlock": (("interval", "DateTimeInterval", 0, 1), ("IntervalReading", "IntervalReading", 0, None)),
    "IntervalReading": (
        ("cost", INT48, 0, 1),
        ("ReadingQuality", "ReadingQuality", 0, None),
        ("timePeriod", "DateTimeInterval", 0, 1),
        ("value", INT48, 0, 1),
    ),
    "UsageSummary": (
        ("billingPeriod", "DateTimeInterval", 0, 1),
        ("billLastPeriod", INT48, 0, 1),
        ("billToDate", INT48, 0, 1),
        ("costAdditionalLastPeriod", INT48, 0, 1),
        ("currency", UINT16, 0, 1),
        ("overallConsumptionLastPeriod", "SummaryMeasurement", 0, 1),
        ("currentBillingPeriodOverAllConsumption", "SummaryMeasurement", 0, 1),
        ("qualityOfReading", QUALITY, 0, 1),
        ("statusTimeStamp", TIME, 1, 1),
        ("commodity", UINT16, 0, 1),
    ),
    "LocalTimeParameters": (("dstEndRule", RULE, 1, 1), ("dstOffset", TIME, 1, 1), ("dstStartRule", RULE, 1, 1),
                            ("tzOffset", TIME, 1, 1)),
}  # fmt: skip


def checked(data: bytes) -> Element:
    """The feed, where it is as the schema asks; AssertionError says what is not."""
    root = ElementTree.fromstring(data)  # noqa: S314 - our own
    assert root.tag == f"{ATOM}feed", root.tag
    entries = root.findall(f"{ATOM}entry")
    assert [each.tag for each in root] == [f"{ATOM}{name}" for name in ("id", "title", "updated", "link")] + [
        f"{ATOM}entry"
    ] * len(entries)
    names = [_head(each) for each in (root, *entries)]
    assert len(set(names)) == len(names), "every id is one of its own"
    own = [_links(entry, "self")[0] for entry in entries]
    assert len(set(own)) == len(own)
    parents = {_links(entry, "up")[0] for entry in entries}
    for entry in entries:
        (content,) = entry.findall(f"{ATOM}content")
        assert content.get("type") == "application/xml"
        (resource,) = content
        name = resource.tag.removeprefix(ESPI)
        assert resource.tag == ESPI + name
        assert f"/{name}/" in _links(entry, "self")[0]
        _sequence(resource, name)
        for related in _links(entry, "related"):
            assert related in own or related in parents, f"{related} leads nowhere"
    return root


def resources(root: Element, name: str) -> list[tuple[Element, Element]]:
    """The entries of a kind, each with its resource."""
    found = [(entry, entry.find(f"{ATOM}content/{ESPI}{name}")) for entry in root.findall(f"{ATOM}entry")]
    return [(entry, resource) for entry, resource in found if resource is not None]


def number(element: Element, path: str) -> int:
    """A whole number inside an element."""
    text = element.findtext("/".join(ESPI + each for each in path.split("/")))
    assert text is not None, path
    return int(text)


def _head(element: Element) -> str:
    name = element.findtext(f"{ATOM}id", "")
    assert name.startswith("urn:uuid:"), name
    uuid.UUID(name.removeprefix("urn:uuid:"))
    assert element.findtext(f"{ATOM}title")
    assert datetime.fromisoformat(element.findtext(f"{ATOM}updated", "").replace("Z", "+00:00")).tzinfo is not None
    return name


def _links(entry: Element, relation: str) -> list[str]:
    return [each.get("href", "") for each in entry.findall(f"{ATOM}link") if each.get("rel") == relation]


def _sequence(element: Element, name: str) -> None:
    left = list(element)
    for field, kind, least, most in SEQUENCES[name]:
        count = 0
        while left and left[0].tag == ESPI + field and (most is None or count < most):
            each = left.pop(0)
            count += 1
            if isinstance(kind, str):
                _sequence(each, kind)
            else:
                assert not len(each), f"{name}/{field} has no elements"
                assert kind((each.text or "").strip()), f"{name}/{field}: {each.text!r}"
        assert count >= least, f"{name} lacks {field}"
    assert not left, f"{name}: {left[0].tag} is not where the schema has it"
