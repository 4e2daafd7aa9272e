"""A meter is exchanged: the new device goes on where the old one ended, to the Wh.

The Meter on the chain, its key and its sequence stay. What the operator writes down is the old device's last registers
and the new one's first, as both displays show them. The difference becomes the map's offset, so the signed registers go
on from the old device's last value: between the last signed boundary and the first of the new device lies exactly what
flowed through both. The new map makes the span in which it is approved a baseline: it books what was drawn, and
credits nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authority.enrolment import exchanges
from authority.log import log
from authority.operations.chain_state import full_name, held, meter_of
from authority.operations.desk import Desk, Done
from authority.operations.errors import (
    HeldReadingsError,
    ImplausibleError,
    NotInUseError,
    RegisterFellError,
    RegistersMissingError,
    SerialInvalidError,
    SerialTakenError,
)
from authority.store import metering
from authority.store.desk import ExchangeDraft
from authority.store.enrolments import ENROLMENT_APPROVED, Enrolment, EnrolmentMeter
from authority.store.metering import Frame, Meter
from edge_agent.wire.reading import Record, meter_id
from edge_agent.wire.rules import REGISTERS, ROLE_REGISTERS, greatest_step_wh

MAX_SERIAL = 64


def exchange(
    desk: Desk,
    name: str,
    serial: str,
    *,
    last: Mapping[str, int],
    first: Mapping[str, int],
    force: bool = False,
) -> Done:
    """Record an exchange: `last` are the old device's registers when it was taken out, `first` the new one's, in Wh.

    What follows is done at the gateway, by a person, and is in `facts["next"]`. NotFoundError,
    NotInUseError, RegistersMissingError, RegisterFellError, ImplausibleError (unless `force`),
    SerialTakenError, HeldReadingsError.
    """
    done = desk.begin("exchange", name)
    with desk.app.store.read() as session:
        meter = meter_of(session, name)
        now = max(desk.app.clock(), desk.client.clock().unix_timestamp)
        offsets = _checked(session, meter, serial, last, first, force, now + desk.app.home.settings.epoch.seconds)
        taken = _of_serial(session, meter, serial)
        recorded = meter.serial == serial and exchanges.offsets(session, meter) == offsets
        gateway = meter.gateway_name
    done.facts["offset_wh"] = offsets
    done.facts["next"] = _next(gateway, meter.name, serial, offsets)
    if recorded:
        desk.note(done, f"meter {name}", f"was exchanged for {serial} before")
        return done
    if not desk.dry_run:
        with desk.app.store.write() as session:
            _record(session, desk, meter, taken, serial, last, first, offsets)
    would = "would be" if desk.dry_run else "is"
    desk.note(done, f"meter {name}", f"{would} exchanged for {serial}", changed=True)
    return done


@dataclass(frozen=True)
class RegisterStep:
    """One register through an exchange, Wh: what was signed last (None: nothing was), what both displays show, what
    the signed register goes on from, and what flowed through the old device since the last signed reading.
    """

    name: str
    signed: int | None
    last: int
    first: int
    goes_on: int
    between: int | None


@dataclass(frozen=True)
class Planned:
    """An exchange as it would be recorded: its registers, the map's offset, and what a person does at the gateway."""

    serial: str
    steps: tuple[RegisterStep, ...]
    offset_wh: Mapping[str, int]
    next: tuple[str, ...]


def plan(
    desk: Desk, name: str, serial: str, *, last: Mapping[str, int], first: Mapping[str, int], force: bool = False
) -> Planned:
    """What an exchange would come to, and nothing is changed. Errors as `exchange`."""
    done = exchange(
        replace(desk, dry_run=True, tell=lambda step: None), name, serial, last=last, first=first, force=force
    )
    with desk.app.store.read() as session:
        meter = meter_of(session, name)
        signed, before = last_signed(session, meter), exchanges.offsets(session, meter)
    steps = []
    for each in [register for register in REGISTERS if register in last]:
        value = None if signed is None else signed.registers[REGISTERS.index(each)]
        goes_on = last[each] + before.get(each, 0)
        steps.append(
            RegisterStep(each, value, last[each], first[each], goes_on, None if value is None else goes_on - value)
        )
    return Planned(serial, tuple(steps), done.facts["offset_wh"], tuple(done.facts["next"]))


def registers_of(meter: Meter) -> list[str]:
    """The registers that an exchange names: those of its approved map, else of its role."""
    approved = meter.map.get("registers") if meter.map is not None else None
    wanted = [each for each in REGISTERS if each in (approved if isinstance(approved, Mapping) else ())]
    return wanted or [each for each in REGISTERS if each in ROLE_REGISTERS[meter.role]]


def still_at_the_gateway(session: Session, meter: Meter) -> tuple[str, ...]:
    """What a person has still to do at the gateway after the last exchange; nothing once its map was approved."""
    act = exchanges.last_exchange_act(session, meter)
    if act is None:
        return ()
    offsets = exchanges.offsets(session, meter)
    approved = meter.map.get("offset_wh") if meter.map is not None else None
    done = select(Enrolment.id).where(
        Enrolment.gateway_name == meter.gateway_name,
        Enrolment.state == ENROLMENT_APPROVED,
        Enrolment.decided_at >= act.time,
    )
    same = (dict(approved) if isinstance(approved, Mapping) else {}) == offsets
    if same and session.scalars(done.limit(1)).first() is not None:
        return ()
    return tuple(_next(meter.gateway_name, meter.name, meter.serial, offsets))


def _checked(
    session: Session,
    meter: Meter,
    serial: str,
    last: Mapping[str, int],
    first: Mapping[str, int],
    force: bool,
    now: int,
) -> dict[str, int]:
    """The new offsets, once everything that a slip of the pen can do is looked at."""
    name = full_name(meter)
    if meter.state not in (metering.METER_ACTIVE, metering.METER_SUSPENDED) or meter.registered_at is None:
        raise NotInUseError(
            f"{name} is {meter.state}: nothing was signed for it yet, so correct its serial in the campus plan",
        )
    if not serial.strip() or len(serial) > MAX_SERIAL or not serial.isprintable():
        raise SerialInvalidError(f"a serial is 1 to {MAX_SERIAL} characters, as on the plate")
    wanted = registers_of(meter)
    for option, given in (("--last", last), ("--first", first)):
        missing = [each for each in wanted if each not in given]
        if missing or set(given) - set(wanted):
            raise RegistersMissingError(
                f"{option} must name the registers of {name}, {', '.join(wanted)}, such as {option} {wanted[0]}=1234",
            )
    before = exchanges.offsets(session, meter)
    if meter.serial == serial:  # recorded already: the figures must be those that were written down
        act = exchanges.last_exchange(session, meter)
        if act is not None and act.get("last_wh") == dict(last) and act.get("first_wh") == dict(first):
            return before
        raise SerialTakenError(
            f"{name} has the serial {serial} already"
            + ("" if act is None else f"; its exchange was recorded with other registers: {act.get('last_wh')} Wh"),
        )
    waiting = held(session, meter)
    if waiting:
        raise HeldReadingsError(
            f"{waiting} readings of {name} wait for a decision, and what they say belongs to the old meter: decide "
            f"them first: authority collector held --meter {name}",
        )
    signed = last_signed(session, meter)
    for register in wanted:
        _check_register(meter, register, last[register] + before.get(register, 0), signed, force, now)
    offsets = {each: last[each] + before.get(each, 0) - first[each] for each in wanted}
    return {each: wh for each, wh in offsets.items() if wh}


def _check_register(meter: Meter, register: str, value: int, signed: Record | None, force: bool, now: int) -> None:
    if signed is None:
        return
    name, before = full_name(meter), signed.registers[REGISTERS.index(register)]
    if value < before:
        raise RegisterFellError(
            f"the last signed {register} of {name} is {before} Wh, and --last says {value} Wh: a register never falls. "
            "Write what the old display showed when it was taken out, in Wh or with its unit (1234.5kWh)",
        )
    most = greatest_step_wh(meter.installation.nameplate_w, max(0, now - signed.interval_end), 10_000)
    if value - before > most and not force:
        raise ImplausibleError(
            f"--last says that the {register} of {name} rose by {value - before} Wh since its last reading, which is "
            f"more than {most} Wh, twice what its nameplate allows: look at it again, or say --force",
        )


def last_signed(session: Session, meter: Meter) -> Record | None:
    """The last reading that was signed and not voided."""
    newest = session.scalar(
        select(Frame.frame)
        .where(Frame.meter_pk == meter.id, Frame.disposition != metering.DISPOSITION_VOID)
        .order_by(Frame.log_index.desc())
        .limit(1)
    )
    return None if newest is None else Record.from_bytes(newest[:96])


def _of_serial(session: Session, meter: Meter, serial: str) -> Meter | None:
    """Another entry of the plan with the new serial: one that nobody has enrolled is taken over."""
    other = session.scalar(select(Meter).where(Meter.serial == serial, Meter.id != meter.id))
    if other is not None and other.public_key is not None:
        raise SerialTakenError(
            f"{serial} is enrolled as {full_name(other)} already. Where it took the place of {full_name(meter)}: "
            f"authority meters retire {full_name(meter)}, then authority enrol register {other.gateway_name}",
        )
    return other


def _record(
    session: Session,
    desk: Desk,
    meter: Meter,
    taken: Meter | None,
    serial: str,
    last: Mapping[str, int],
    first: Mapping[str, int],
    offsets: Mapping[str, int],
) -> None:
    log.lock(session)
    if taken is not None:
        session.execute(delete(EnrolmentMeter).where(EnrolmentMeter.meter_pk == taken.id))
        session.execute(delete(ExchangeDraft).where(ExchangeDraft.meter_pk == taken.id))
        session.execute(delete(Meter).where(Meter.id == taken.id))
        session.flush()
    session.get_one(Meter, meter.id).serial = serial
    data = {
        "device": meter_id(desk.app.home.meter_salt, serial).hex(),
        "first_wh": dict(first),
        "last_wh": dict(last),
        "meter_id": meter.meter_id.hex(),
        "offset_wh": dict(offsets),
        "reason": desk.reason,
    }
    log.record_act(session, exchanges.EXCHANGED_ACT, desk.actor, desk.app.clock(), data)


def _next(gateway: str, meter: str, serial: str, offsets: Mapping[str, int]) -> list[str]:
    """What a person does at the gateway now."""
    lines = [
        f"in gateway.toml at {gateway}: the entry {meter} gets serial = {serial!r}, and its map the new meter's name "
        "and codes",
    ]
    if offsets:
        lines.append(f"its map also gets: {exchanges.offset_lines(offsets).replace(chr(10), '; ')}")
    return [
        *lines,
        f"authority enrol claim {gateway}, and with that code at the gateway: edge-agent enrol --claim CODE --wait",
        f"one command at the gateway does all of that, with the code: {_command(meter, serial, offsets)}",
        f"authority enrol approve {gateway}; then restart the agent. In the campus plan, write the new serial",
    ]


def _command(meter: str, serial: str, offsets: Mapping[str, int]) -> str:
    words = ["edge-agent", "exchange-meter", meter, "--serial", serial]
    for name, wh in offsets.items():
        words += ["--offset", f"{name}={wh}"]
    return shlex.join([*words, "--claim", "CODE", "--wait"])


# On the pages: what was begun


def draft_of(session: Session, meter: Meter) -> ExchangeDraft | None:
    """What was written down of an exchange and is not recorded yet."""
    return session.get(ExchangeDraft, meter.id)


def keep_draft(desk: Desk, name: str, **changes: object) -> None:
    """Keep what is written down of an exchange: serial, last_wh, first_wh, reason; the wizard goes on from there."""
    with desk.app.store.write() as session:
        meter = meter_of(session, name)
        draft = draft_of(session, meter)
        if draft is None:
            draft = ExchangeDraft(meter_pk=meter.id, serial="", last_wh={}, first_wh={}, reason="")
            session.add(draft)
        for field, value in changes.items():
            setattr(draft, field, value)
        draft.changed_at, draft.changed_by = desk.app.clock(), desk.actor


def drop_draft(desk: Desk, name: str) -> None:
    """Forget what was begun."""
    with desk.app.store.write() as session:
        session.execute(delete(ExchangeDraft).where(ExchangeDraft.meter_pk == meter_of(session, name).id))


def parse_registers(words: list[str]) -> dict[str, int]:
    """`consumption=1234` (Wh) or `consumption=1234.5kWh`, several of them; RegistersMissingError."""
    found: dict[str, int] = {}
    for word in ",".join(words).split(","):
        name, _, text = word.strip().partition("=")
        factor = 1
        for unit, wh in (("kWh", 1_000), ("MWh", 1_000_000), ("Wh", 1)):
            if text.endswith(unit):
                text, factor = text.removesuffix(unit).strip(), wh
                break
        value = _whole_wh(text, factor)
        if name not in REGISTERS or value is None or name in found:
            raise RegistersMissingError(
                f"{word!r} is no register: write it like consumption=1234567 (Wh) or consumption=1234.567kWh; the "
                f"registers are {', '.join(REGISTERS)}",
            )
        found[name] = value
    return found


def _whole_wh(text: str, factor: int) -> int | None:
    whole, point, part = text.partition(".")
    if not whole.isdecimal() or (point and not part.isdecimal()) or len(text) > 24:
        return None
    scaled: int = 10 ** len(part)
    return int(whole + part) * factor // scaled
