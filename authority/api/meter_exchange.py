"""The exchange of a meter, step by step: what both displays showed, a preview, the record, and what remains to do.

It is what `authority meters exchange` does, by the same service. What was written down is kept until it is recorded or
dropped, so whoever is called away goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

from apiflask import APIBlueprint, fields
from apiflask.validators import Length, Range
from flask import Response

from authority.api import gate, tags
from authority.api.asking import asking
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.schemas import Body, schema_of
from authority.app import App
from authority.chain.client import ChainClient
from authority.enrolment import exchanges
from authority.operations import exchange
from authority.operations.chain_state import held, meter_of
from authority.operations.desk import Desk
from authority.operations.errors import SerialInvalidError
from authority.people import reads
from authority.people.errors import ActUnclearError
from authority.people.reasons import reason_of
from authority.people.roles import OPERATES, READ_OPERATIONS, SEES_WHAT_WAITS, Principal
from edge_agent.wire.reading import Record
from edge_agent.wire.rules import REGISTERS

RULES: Mapping[str, Rule] = {
    "meter_exchange.shown": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
    "meter_exchange.keep": Rule(OPERATES),
    "meter_exchange.drop": Rule(OPERATES),
    "meter_exchange.preview": Rule(OPERATES),
    "meter_exchange.record": Rule(OPERATES),
}
LAST, FIRST, PREVIEW = STEPS = ("last", "first", "preview")
"""The wizard's steps: the old device's registers, the new one's with serial and reason, and the preview."""
MOST_WH = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterWh:
    """A register."""

    name: str = described("generation, consumption, charge or discharge.")
    wh: int = described("What it shows, Wh.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeState:
    """How far an exchange is."""

    meter: str = described("GATEWAY/METER.")
    serial: str = described("The serial that the plan has now.")
    registers: tuple[str, ...] = described("The registers that have to be written down.")
    signed: tuple[RegisterWh, ...] = described("What was signed last; empty where nothing was.")
    signed_at: int | None = described("The end of that reading's interval.")
    held: int = described("Readings that wait for a decision, which comes first.")
    step: Literal["last", "first", "preview"] = described("What comes next.")
    new_serial: str = described("The new device's serial, as far as it is written down.")
    last: tuple[RegisterWh, ...] = described("The old device's last registers, as far as they are written down.")
    first: tuple[RegisterWh, ...] = described("The new device's first registers, as far as they are written down.")
    reason: str = described("Why, as far as it is written down.")
    begun_at: int | None = described("When that was written down; null where nothing was begun.")
    recorded_at: int | None = described("When the last exchange of this meter was recorded.")
    next: tuple[str, ...] = described("What remains to be done at the gateway after that exchange.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangedRegister:
    """One register through the exchange, Wh."""

    name: str = described("Its name.")
    signed: int | None = described("What was signed last.")
    last: int = described("What the old display showed.")
    first: int = described("What the new display shows.")
    goes_on: int = described("What the signed register goes on from on the chain.")
    between: int | None = described("What flowed through the old device since the last signed reading.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangePreview:
    """What an exchange would come to."""

    serial: str = described("The new device's serial.")
    registers: tuple[ExchangedRegister, ...] = described("Its registers.")
    offsets: tuple[RegisterWh, ...] = described("What the new map adds to what the meter shows.")
    next: tuple[str, ...] = described("What remains to be done at the gateway.")


class DraftInput(Body):
    """What is written down; what is left out stays."""

    serial = fields.String(load_default=None, validate=Length(1, exchange.MAX_SERIAL))
    last = fields.Dict(
        keys=fields.String(), values=fields.Integer(strict=True, validate=Range(0, MOST_WH)), load_default=None,
        metadata={"description": "The old device's registers when it was taken out, Wh by name."},
    )  # fmt: skip
    first = fields.Dict(
        keys=fields.String(), values=fields.Integer(strict=True, validate=Range(0, MOST_WH)), load_default=None,
        metadata={"description": "The new device's registers when it was put in, Wh by name."},
    )  # fmt: skip
    reason = fields.String(
        load_default=None, validate=Length(1, 400), metadata={"description": "Logged: names nobody."}
    )


class ForceInput(Body):
    """Whether a rise that the nameplate does not explain is believed."""

    believe = fields.Boolean(load_default=False, metadata={"description": "Believe what the nameplate does not allow."})


REFUSED: Mapping[int | str, Any] = {
    400: "What is asked for is malformed, or the reason names somebody.",
    409: "It cannot be recorded so: the code says why.",
    503: "The validator does not answer.",
    **dict[int | str, Any](NOT_YOURS.items()),
}
EXAMPLE_STATE = {
    "meter": "gw-1/load", "serial": "OLD-1", "registers": ["consumption"],
    "signed": [{"name": "consumption", "wh": 8_120_000}], "signed_at": 1_782_000_000, "held": 0, "step": "preview",
    "new_serial": "NEW-1", "last": [{"name": "consumption", "wh": 8_123_400}],
    "first": [{"name": "consumption", "wh": 0}], "reason": "display broken", "begun_at": 1_782_003_000,
    "recorded_at": None, "next": [],
}  # fmt: skip
EXAMPLE_PREVIEW = {
    "serial": "NEW-1",
    "registers": [
        {
            "name": "consumption", "signed": 8_120_000, "last": 8_123_400, "first": 0, "goes_on": 8_123_400,
            "between": 3_400,
        }
    ],
    "offsets": [{"name": "consumption", "wh": 8_123_400}],
    "next": ["authority enrol claim gw-1, and with that code at the gateway: edge-agent enrol --claim CODE --wait"],
}  # fmt: skip


class MeterExchange:
    """The query layer and the acts over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client = app, client

    def note(self, who: Principal, name: str) -> None:
        """Log that a meter is read, as a reading of its member's data."""
        gateway, _, meter_name = name.partition("/")
        with self._app.store.read() as session:
            whose = reads.whose_meter(session, gateway, meter_name)
        reads.note(self._app.store, who, "meters", whose, self._app.clock())

    def shown(self, name: str) -> ExchangeState:
        """How far it is; NotFoundError."""
        with self._app.store.read() as session:
            meter = meter_of(session, name)
            signed, draft = exchange.last_signed(session, meter), exchange.draft_of(session, meter)
            act = exchanges.last_exchange_act(session, meter)
            wanted = exchange.registers_of(meter)
            step = LAST
            if draft is not None and all(each in draft.last_wh for each in wanted):
                step = PREVIEW if draft.serial and all(each in draft.first_wh for each in wanted) else FIRST
            return ExchangeState(
                meter=name,
                serial=meter.serial,
                registers=tuple(wanted),
                signed=() if signed is None else _of_record(signed, wanted),
                signed_at=None if signed is None else signed.interval_end,
                held=held(session, meter),
                step=step,  # type: ignore[arg-type]  # of STEPS
                new_serial=draft.serial if draft else "",
                last=_registers(draft.last_wh if draft else {}),
                first=_registers(draft.first_wh if draft else {}),
                reason=draft.reason if draft else "",
                begun_at=draft.changed_at if draft else None,
                recorded_at=act.time if act else None,
                next=exchange.still_at_the_gateway(session, meter),
            )

    def keep(self, who: Principal, name: str, given: Mapping[str, Any]) -> None:
        """Keep what is written down; NotFoundError, SerialInvalidError, ActUnclearError, NamesSomebodyError."""
        changes: dict[str, Any] = {}
        with self._app.store.read() as session:
            wanted = exchange.registers_of(meter_of(session, name))
            if given.get("reason") is not None:
                changes["reason"] = reason_of(session, given["reason"])
        if given.get("serial") is not None:
            changes["serial"] = _serial(given["serial"])
        for field, column in (("last", "last_wh"), ("first", "first_wh")):
            registers = given.get(field)
            if registers is None:
                continue
            if set(registers) != set(wanted):
                raise ActUnclearError("write down each register of this meter, and no others")
            changes[column] = dict(registers)
        exchange.keep_draft(self._desk(who, self._no_client), name, **changes)

    def drop(self, who: Principal, name: str) -> None:
        """Forget what was begun; NotFoundError."""
        exchange.drop_draft(self._desk(who, self._no_client), name)

    def preview(self, who: Principal, name: str, *, believe: bool = False) -> ExchangePreview:
        """What it would come to; OperationErrors of `exchange`, ChainAwayError."""
        with self._asked(who) as desk:
            draft = self._written(name)
            planned = exchange.plan(desk, name, draft[0], last=draft[1], first=draft[2], force=believe)
        return ExchangePreview(
            serial=planned.serial,
            registers=tuple(ExchangedRegister(**asdict(each)) for each in planned.steps),
            offsets=_registers(planned.offset_wh),
            next=planned.next,
        )

    def record(self, who: Principal, name: str, *, believe: bool = False) -> None:
        """Record it, once; errors as `preview`, ActUnclearError where no reason is given."""
        serial, last, first, reason = self._written(name)
        with self._app.store.read() as session:
            reason = reason_of(session, reason)
        with self._asked(who, reason) as desk:
            exchange.exchange(desk, name, serial, last=last, first=first, force=believe)
            exchange.drop_draft(desk, name)

    def _written(self, name: str) -> tuple[str, dict[str, int], dict[str, int], str]:
        with self._app.store.read() as session:
            draft = exchange.draft_of(session, meter_of(session, name))
        if draft is None:
            raise ActUnclearError("nothing is written down yet: begin with the old meter's last registers")
        return draft.serial, _numbers(draft.last_wh), _numbers(draft.first_wh), draft.reason

    @contextmanager
    def _asked(self, who: Principal, reason: str = "") -> Iterator[Desk]:
        with asking(self._client) as client:
            yield Desk(self._app, client, who.actor, reason)

    def _no_client(self) -> ChainClient:
        return ChainClient(self._app.home.rpc_url)

    def _desk(self, who: Principal, client: Callable[[], ChainClient]) -> Desk:
        return Desk(self._app, client(), who.actor)


def _serial(text: str) -> str:
    serial = text.strip()
    if not serial or len(serial) > exchange.MAX_SERIAL or not serial.isprintable():
        raise SerialInvalidError(f"a serial is 1 to {exchange.MAX_SERIAL} characters, as on the plate")
    return serial


def _numbers(kept: Mapping[str, object]) -> dict[str, int]:
    return {name: int(str(wh)) for name, wh in kept.items()}


def _registers(kept: Mapping[str, object]) -> tuple[RegisterWh, ...]:
    return tuple(RegisterWh(name=name, wh=wh) for name, wh in _numbers(kept).items())


def _of_record(record: Record, wanted: list[str]) -> tuple[RegisterWh, ...]:
    return tuple(RegisterWh(name=each, wh=record.registers[REGISTERS.index(each)]) for each in wanted)


def blueprint(its: MeterExchange) -> APIBlueprint:
    """The resources."""
    meters = APIBlueprint("meter_exchange", __name__, url_prefix="/api/v1/meters", tag="Operations")
    path = "/<gateway>/<meter_name>/exchange"

    @meters.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @meters.get(path)
    @meters.output(schema_of(ExchangeState), description="How far it is.", example=EXAMPLE_STATE)
    @meters.doc(
        operation_id="get_meter_exchange",
        summary="The exchange of a meter: what is written down, and what remains",
        responses=dict(NOT_YOURS),
    )
    def shown(gateway: str, meter_name: str) -> dict[str, Any]:
        found = its.shown(f"{gateway}/{meter_name}")
        its.note(gate.principal(), found.meter)
        return asdict(found)

    @meters.put(path)
    @meters.input(
        DraftInput,
        arg_name="given",
        example={
            "serial": "NEW-1",
            "last": {"consumption": 8_123_400},
            "first": {"consumption": 0},
            "reason": "broken",
        },
    )
    @meters.output(schema_of(ExchangeState), description="How far it is.", example=EXAMPLE_STATE)
    @meters.doc(
        operation_id="keep_meter_exchange",
        summary="Write down what the displays showed",
        description="Nothing is recorded yet. No token may do this: it takes a session and X-Form-Token.",
        responses=dict(REFUSED),
    )
    def keep(gateway: str, meter_name: str, given: dict[str, Any]) -> dict[str, Any]:
        its.keep(gate.principal(), f"{gateway}/{meter_name}", given)
        return asdict(its.shown(f"{gateway}/{meter_name}"))

    @meters.delete(path)
    @meters.output(schema_of(ExchangeState), description="How far it is.", example=EXAMPLE_STATE)
    @meters.doc(operation_id="drop_meter_exchange", summary="Forget what was written down", responses=dict(REFUSED))
    def drop(gateway: str, meter_name: str) -> dict[str, Any]:
        its.drop(gate.principal(), f"{gateway}/{meter_name}")
        return asdict(its.shown(f"{gateway}/{meter_name}"))

    @meters.post(f"{path}/preview")
    @meters.input(ForceInput, arg_name="given", example={"believe": False})
    @meters.output(schema_of(ExchangePreview), description="The preview.", example=EXAMPLE_PREVIEW)
    @meters.doc(
        operation_id="preview_meter_exchange", summary="What the exchange would come to", responses=dict(REFUSED)
    )
    def preview(gateway: str, meter_name: str, given: dict[str, bool]) -> dict[str, Any]:
        return asdict(its.preview(gate.principal(), f"{gateway}/{meter_name}", believe=given["believe"]))

    @meters.post(f"{path}/record")
    @meters.input(ForceInput, arg_name="given", example={"believe": False})
    @meters.output(schema_of(ExchangeState), description="How far it is.", example=EXAMPLE_STATE)
    @meters.doc(operation_id="record_meter_exchange", summary="Record the exchange", responses=dict(REFUSED))
    def record(gateway: str, meter_name: str, given: dict[str, bool]) -> dict[str, Any]:
        its.record(gate.principal(), f"{gateway}/{meter_name}", believe=given["believe"])
        return asdict(its.shown(f"{gateway}/{meter_name}"))

    return meters
