"""OpenADR 3: the market's prices as events, for buildings' controllers; a read-only VTN of /programs and /events.

Resources are those of the OpenADR 3.0.1 specification. There are two programs. `campus-tariff` has one event, today's
and tomorrow's bounds: what energy costs at most (PRICE, the grid's) and brings at least (EXPORT_PRICE, for feed-in).
`campus-market` has an event a day of the last week: each cleared book's price, as far as it is public; an interval of
which nothing traded, or nothing may be told, is left out. Prices are in the site's currency per kWh, or credits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from apiflask import APIBlueprint, Schema, fields
from apiflask.validators import Length, Range
from flask import Response, jsonify

from authority.api import days, espi, tags
from authority.api.asking import asking
from authority.api.gate import ANY_SCOPE, Rule
from authority.api.market import Market
from authority.api.me import NOT_YOURS
from authority.app import App
from authority.billing.calendar import midnight
from authority.billing.money import MICRO_DIGITS, Currency
from authority.chain import programs
from authority.chain.accounts import Config
from authority.chain.client import ChainClient
from authority.refusals import NotFoundError

RULES: Mapping[str, Rule] = dict.fromkeys(
    ("openadr.programs", "openadr.program", "openadr.events", "openadr.event"), Rule(frozenset(), ANY_SCOPE)
)
"""For everybody who is signed in, and every program's token: the market's prices are no secret."""
BASE = "/api/openadr3/3.0.1"
TARIFF, MARKET = "campus-tariff", "campus-market"
MARKET_DAYS = 7
TARIFF_DAYS = 2
MOST = 50
OBJECT_ID = r"^[a-zA-Z0-9_-]{1,128}$"
PRICE, EXPORT_PRICE = "PRICE", "EXPORT_PRICE"
MICRO = 10**MICRO_DIGITS


class PageQuery(Schema):
    """Which of them; of targets the objects have their program's name alone (PROGRAM_NAME)."""

    skip = fields.Integer(load_default=0, validate=Range(0), metadata={"description": "How many to pass over."})
    limit = fields.Integer(load_default=MOST, validate=Range(0, MOST), metadata={"description": "How many at most."})
    target_type = fields.String(data_key="targetType", load_default=None, validate=Length(max=128))
    target_values = fields.List(fields.String(), data_key="targetValues", load_default=None)


class EventsQuery(PageQuery):
    """Of which program."""

    program = fields.String(data_key="programID", load_default=None, metadata={"description": "Of this program."})


class Vtn:
    """The objects, from the market's public figures and governance's parameters on the chain."""

    def __init__(self, app: App, market: Market, client: Callable[[], ChainClient]) -> None:
        self._app, self._market, self._client = app, market, client
        self._currency = Currency.of(app.home.settings.billing).code or None

    def programs(self) -> list[dict[str, Any]]:
        """Both programs."""
        organisation = self._app.home.settings.network.organisation
        told = (
            (TARIFF, "What energy costs at most, and brings at least", (PRICE, EXPORT_PRICE)),
            (MARKET, "What the market's books were cleared at", (PRICE,)),
        )
        zone = self._market.zone
        return [
            {
                **self._head(name, "PROGRAM", 0),
                "programName": name,
                "programLongName": words,
                "retailerName": organisation,
                "programType": "PRICING_TARIFF",
                "timeZoneOffset": duration(espi.clock_rules(zone, self._market.today().year)[0]),
                "bindingEvents": name == MARKET,
                "localPrice": False,
                "payloadDescriptors": [self._descriptor(kind) for kind in kinds],
            }
            for name, words, kinds in told
        ]

    def program(self, id: str) -> dict[str, Any]:
        """One of them; NotFoundError."""
        return _one(self.programs(), id)

    def events(self, program: str | None) -> list[dict[str, Any]]:
        """Events, the tariff's first, then the market's from the newest day on. ChainAwayError."""
        tariff = [self._tariff()] if program in (None, TARIFF) else []
        return tariff + (list(self._markets()) if program in (None, MARKET) else [])

    def event(self, id: str) -> dict[str, Any]:
        """One of them; NotFoundError, ChainAwayError."""
        return _one(self.events(TARIFF if id.startswith("tariff-") else MARKET), id)

    def _tariff(self) -> dict[str, Any]:
        """From today's midnight to the end of tomorrow: an interval up to a staged change of prices, one from it on."""
        today, zone = self._market.today(), self._market.zone
        begin, end = midnight(today, zone), midnight(today + timedelta(days=TARIFF_DAYS), zone)
        with asking(self._client) as client:
            config = client.account(Config, programs.config_address())
        if config is None:
            raise NotFoundError("there is no governance on this chain")
        change = config.staged_from * self._app.home.settings.epoch.seconds if config.staged_from else end
        spans = [(begin, min(change, end), config.parameters), (max(begin, change), end, config.staged)]
        intervals = [
            _interval(number, start, stop, ((PRICE, each.retail_price), (EXPORT_PRICE, each.feed_in_price)))
            for number, (start, stop, each) in enumerate(span for span in spans if span[0] < span[1])
        ]
        return self._event(f"tariff-{today}", TARIFF, begin, end, (PRICE, EXPORT_PRICE), intervals, begin)

    def _markets(self) -> Iterator[dict[str, Any]]:
        today = self._market.today()
        for back in range(MARKET_DAYS):
            event = self._market_day(today - timedelta(days=back))
            if event is not None:
                yield event

    def _market_day(self, day: date) -> dict[str, Any] | None:
        steps = self._market.prices(day, day, days.QUARTER).steps
        priced = [each for each in steps if each.price_micro_credits_per_kwh is not None]
        if not priced:
            return None
        intervals = [
            _interval(number, each.starts_at, each.ends_at, ((PRICE, each.price_micro_credits_per_kwh or 0),))
            for number, each in enumerate(priced)
        ]
        begin, end = steps[0].starts_at, steps[-1].ends_at
        return self._event(f"market-{day}", MARKET, begin, end, (PRICE,), intervals, priced[-1].ends_at)

    def _event(
        self,
        id: str,
        program: str,
        begin: int,
        end: int,
        kinds: Sequence[str],
        intervals: Sequence[dict[str, Any]],
        changed: int,
    ) -> dict[str, Any]:
        return {
            **self._head(id, "EVENT", begin, changed),
            "programID": program,
            "eventName": id,
            "priority": None,
            "targets": None,
            "reportDescriptors": None,
            "payloadDescriptors": [self._descriptor(kind) for kind in kinds],
            "intervalPeriod": _period(begin, end),
            "intervals": list(intervals),
        }

    def _head(self, id: str, kind: str, created: int, changed: int | None = None) -> dict[str, Any]:
        modified = moment(created if changed is None else changed)
        return {"id": id, "createdDateTime": moment(created), "modificationDateTime": modified, "objectType": kind}

    def _descriptor(self, kind: str) -> dict[str, Any]:
        descriptor = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": "KWH"}
        return {**descriptor, "currency": self._currency}


def moment(seconds: int) -> str:
    """A moment by RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: int) -> str:
    """A span by ISO 8601, in hours, minutes and seconds: PT15M, -PT5H."""
    hours, rest = divmod(abs(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    parts = "".join(f"{value}{unit}" for value, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if value)
    return f"{'-' if seconds < 0 else ''}PT{parts or '0S'}"


def _interval(number: int, start: int, end: int, prices: Sequence[tuple[str, int]]) -> dict[str, Any]:
    payloads = [{"type": kind, "values": [price / MICRO]} for kind, price in prices]
    return {"id": number, "intervalPeriod": _period(start, end), "payloads": payloads}


def _period(start: int, end: int) -> dict[str, Any]:
    return {"start": moment(start), "duration": duration(end - start)}


def _one(objects: Sequence[dict[str, Any]], id: str) -> dict[str, Any]:
    if re.fullmatch(OBJECT_ID, id):
        for each in objects:
            if each["id"] == id:
                return each
    raise NotFoundError(f"there is no object {id[:128]!r} here")


def blueprint(vtn: Vtn) -> APIBlueprint:
    """The resources."""
    openadr = APIBlueprint("openadr", __name__, url_prefix=BASE, tag="OpenADR 3")
    answers: dict[int | str, Any] = {
        200: {"description": "As the OpenADR 3.0.1 specification has it.", "content": {"application/json": {}}},
        400: "The query is wrong.",
        401: NOT_YOURS[401],
        429: NOT_YOURS[429],
        503: "The validator does not answer.",
    }
    one: dict[int | str, Any] = {**answers, 404: "There is no such object."}

    @openadr.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    def page(objects: Sequence[dict[str, Any]], query: dict[str, Any]) -> Response:
        kind, values = query["target_type"], query["target_values"]
        if kind is not None or values is not None:
            by_name = values or () if kind == "PROGRAM_NAME" else ()
            objects = [each for each in objects if each.get("programName", each.get("programID")) in by_name]
        return jsonify(objects[query["skip"] : query["skip"] + query["limit"]])

    @openadr.get("/programs")
    @openadr.input(PageQuery, location="query", arg_name="query")
    @openadr.doc(operation_id="list_openadr_programs", summary="OpenADR 3: programs", responses=answers)
    def programs(query: dict[str, Any]) -> Response:
        return page(vtn.programs(), query)

    @openadr.get("/programs/<object_id>")
    @openadr.doc(operation_id="get_openadr_program", summary="OpenADR 3: a program", responses=one)
    def program(object_id: str) -> Response:
        return jsonify(vtn.program(object_id))

    @openadr.get("/events")
    @openadr.input(EventsQuery, location="query", arg_name="query")
    @openadr.doc(operation_id="list_openadr_events", summary="OpenADR 3: price events", responses=answers)
    def events(query: dict[str, Any]) -> Response:
        return page(vtn.events(query["program"]), query)

    @openadr.get("/events/<object_id>")
    @openadr.doc(operation_id="get_openadr_event", summary="OpenADR 3: a price event", responses=one)
    def event(object_id: str) -> Response:
        return jsonify(vtn.event(object_id))

    return openadr
