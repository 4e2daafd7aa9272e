"""Meters in use: list, show, suspend, resume, retire, and give to another member (a change of tenant)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from solders.pubkey import Pubkey
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from authority.chain import programs
from authority.chain.accounts import MeterRole, Status, UserRole
from authority.chain.errors import ProgramError
from authority.chain.in_force import parameters_in
from authority.enrolment import exchanges, meter_sets
from authority.enrolment.registration import (
    ChainDiffersError,
    ReadingsPendingError,
    Registration,
    set_status_instruction,
)
from authority.enrolment.steps import Done
from authority.log import log
from authority.operations import chain_state
from authority.operations.chain_state import MeterOnChain, full_name, member_of, meter_of, meter_on_chain
from authority.operations.desk import ACTIVE, CLOSED, STATUS_WORDS, SUSPENDED, Desk
from authority.operations.errors import MemberNotActiveError, NoMapError, NotInUseError, RetiredError, SetRefusedError
from authority.store import metering
from authority.store.metering import Frame, Meter, MeterTenure
from authority.store.people import User
from edge_agent.wire.reading import Record

POLL_SECONDS = 0.5


def listed(desk: Desk) -> list[dict[str, Any]]:
    """Every meter of the campus, as a person looks for it; the store's words alone."""
    with desk.app.store.read() as session:
        query = select(Meter).options(joinedload(Meter.user)).order_by(Meter.gateway_name, Meter.name)
        found = []
        for meter in session.scalars(query):
            last = _last_record(session, meter)
            found.append(
                {
                    "meter": full_name(meter),
                    "serial": meter.serial,
                    "role": meter.role,
                    "source": meter.source,
                    "member": meter.user.name,
                    "installation": meter.installation_n,
                    "state": meter.state,
                    "on_chain": meter.registered_at is not None,
                    "last_interval_end": None if last is None else last.interval_end,
                    "waiting": chain_state.waiting(session, meter),
                    "held": chain_state.held(session, meter),
                }
            )
    return found


def shown(desk: Desk, name: str) -> dict[str, Any]:
    """One meter with all that is known of it, the chain's word included. NotFoundError."""
    with desk.app.store.read() as session:
        meter = meter_of(session, name)
        last = _last_record(session, meter)
        told: dict[str, Any] = {
            "meter": full_name(meter),
            "serial": meter.serial,
            "role": meter.role,
            "source": meter.source,
            "member": meter.user.name,
            "building": meter.user.building,
            "installation": meter.installation_n,
            "nameplate_w": meter.installation.nameplate_w,
            "storage_wh": meter.installation.storage_wh,
            "state": meter.state,
            "meter_id": meter.meter_id.hex(),
            "key": None if meter.public_key is None else meter.public_key.hex(),
            "last_interval_end": None if last is None else last.interval_end,
            "registers_wh": None if last is None else list(last.registers),
            "waiting": chain_state.waiting(session, meter),
            "held": chain_state.held(session, meter),
            "exchanged": exchanges.last_exchange(session, meter),
        }
    on_chain = meter_on_chain(desk.client, meter)
    told["chain"] = None
    if on_chain is not None:
        state = on_chain.state
        told["chain"] = {
            "address": str(programs.meter_address(meter.meter_id)),
            "status": STATUS_WORDS.get(on_chain.meter.status, str(on_chain.meter.status)),
            "key_is_the_approved_one": on_chain.meter.key == meter.public_key,
            "map_is_the_approved_one": on_chain.meter.map_hash == meter.map_hash,
            "interval_end": state.interval_end if state is not None and state.interval_end else None,
            "registers_wh": None if state is None else list(state.registers),
            "settled_until": state.settled_end if state is not None and state.settled_end else None,
        }
    return told


def shown_map(desk: Desk, name: str) -> dict[str, Any]:
    """The approved map of a meter, and whether the chain has its hash. NotFoundError, NoMapError."""
    with desk.app.store.read() as session:
        meter = meter_of(session, name)
    if meter.map is None or meter.map_hash is None:
        raise NoMapError(f"{name} has no approved map yet: authority enrol approve {meter.gateway_name}")
    on_chain = meter_on_chain(desk.client, meter)
    return {
        "meter": full_name(meter),
        "map": meter.map,
        "hash": meter.map_hash.hex(),
        "on_chain": on_chain is not None and on_chain.meter.map_hash == meter.map_hash,
    }


def _last_record(session: Any, meter: Meter) -> Record | None:
    newest = session.scalar(
        select(Frame.frame).where(Frame.meter_pk == meter.id).order_by(Frame.log_index.desc()).limit(1)
    )
    return None if newest is None else Record.from_bytes(newest[:96])


# Status


def suspend(desk: Desk, name: str) -> Done:
    """Have a meter take no part: its readings are held, and its member settles without it. Undone by resume."""
    return _set_status(desk, name, "suspend", metering.METER_SUSPENDED, SUSPENDED)


def resume(desk: Desk, name: str) -> Done:
    """Have a suspended meter take part again; its next span is a baseline."""
    return _set_status(desk, name, "resume", metering.METER_ACTIVE, ACTIVE)


def retire(desk: Desk, name: str, *, discard: bool = False) -> Done:
    """Take a meter out for good: what it drew is booked, nothing more is awaited, its member goes on without it.

    ReadingsPendingError while accepted readings are on their way to the chain, unless they are discarded.
    """
    with desk.app.store.read() as session:
        meter = meter_of(session, name)
        waiting = chain_state.waiting(session, meter)
    if waiting and not discard and meter.state != metering.METER_RETIRED:
        raise ReadingsPendingError(
            f"{waiting} accepted readings of {name} are still on their way to the chain: let settlement carry them, "
            "and do this again; with --discard they are left out, and what they say is billed to nobody",
        )
    return _set_status(desk, name, "retire", metering.METER_RETIRED, CLOSED)


def _set_status(desk: Desk, name: str, act: str, state: str, status: Status) -> Done:
    done = desk.begin(act, name)
    with desk.app.store.read() as session:
        meter = meter_of(session, name)
    if meter.state in (metering.METER_EXPECTED, metering.METER_APPROVED) and act != "retire":
        raise NotInUseError(f"{name} is {meter.state}: it takes no part yet; see: authority enrol list")
    if meter.state == metering.METER_RETIRED and act != "retire":
        raise RetiredError(f"{name} was retired for good; plan a new meter under another name")
    on_chain = meter_on_chain(desk.client, meter)
    if on_chain is not None and on_chain.meter.status == CLOSED and act != "retire":
        raise RetiredError(f"{name} is closed on the chain for good; plan a new meter under another name")
    to_chain = act == "resume"
    if to_chain:  # the chain first: what is accepted must find it open
        _status_on_chain(desk, done, meter, on_chain, status)
    if meter.state == state:
        desk.note(done, "readings", f"were {state} before")
    else:
        if not desk.dry_run:
            _store_state(desk, meter, state, act)
        word = "accepted" if act == "resume" else "held"
        said = f"would be {word}" if desk.dry_run else f"are {word}" + ("" if act == "resume" else " from now on")
        desk.note(done, "readings", said, changed=True)
    if not to_chain:
        _status_on_chain(desk, done, meter, on_chain, status)
    return done


def _store_state(desk: Desk, meter: Meter, state: str, act: str) -> None:
    kinds = {"suspend": "meter_suspended", "resume": "meter_resumed", "retire": "meter_taken_out"}
    with desk.app.store.write() as session:
        log.lock(session)  # no frame may slip in between
        session.get_one(Meter, meter.id).state = state
        data = {"meter_id": meter.meter_id.hex(), "reason": desk.reason}
        log.record_act(session, kinds[act], desk.actor, desk.app.clock(), data)


def _status_on_chain(
    desk: Desk, done: Done, meter: Meter, on_chain: chain_state.MeterOnChain | None, status: Status
) -> None:
    word = STATUS_WORDS[status]
    if on_chain is None:
        desk.note(done, "chain", "is not there yet")
    elif on_chain.meter.status == status:
        desk.note(done, "chain", f"was {word} before")
    elif desk.dry_run:
        desk.note(done, "chain", f"would be {word}")
    else:
        signature = desk.send(
            set_status_instruction(desk.client, desk.operator.pubkey(), meter, meter.user.wallet, status)
        )
        data = {"address": str(programs.meter_address(meter.meter_id)), "signature": signature, "status": word}
        desk.log("meter_status_set", data)
        done.facts["signature"] = signature
        desk.note(done, "chain", word, changed=True)


# A change of tenant


def reassign(
    desk: Desk,
    names: Sequence[str],
    to: str,
    *,
    wait_seconds: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Done:
    """Give meters to another member, each once all that it measured is settled; the new one's next span is a baseline.

    Waits for the settlement worker for at most wait_seconds; what could not be done by then is a step that says so.
    NotFoundError, SetRefusedError (the meters would not settle beside the member's others), NotInUseError.
    """
    done = desk.begin("reassign", ", ".join(names))
    with desk.app.store.read() as session:
        meters = [meter_of(session, name) for name in names]
        member = member_of(session, to)
        _check_new_set(session, meters, member)
    for meter in meters:
        if meter.registered_at is None:
            raise NotInUseError(f"{full_name(meter)} is not on the chain yet; correct the campus plan")
    _prepare(desk, done, member, meters)
    end = monotonic() + wait_seconds
    for meter in meters:
        while not _reassign(desk, done, meter, member, last=monotonic() >= end):
            sleep(POLL_SECONDS)
    return done


def _check_new_set(session: Any, meters: Sequence[Meter], member: User) -> None:
    moved = {meter.id for meter in meters}
    own = session.scalars(select(Meter).where(Meter.user_id == member.id, Meter.state == metering.METER_ACTIVE))
    roles = [meter.role for meter in own if meter.id not in moved]
    roles += [meter.role for meter in meters if meter.state == metering.METER_ACTIVE]
    fault = meter_sets.conflict(roles)
    if fault is not None:
        raise SetRefusedError(
            f"{member.name} cannot have these meters beside its own: {fault}; retire or reassign those first",
        )


def _prepare(desk: Desk, done: Done, member: User, meters: Sequence[Meter]) -> None:
    """Have the new member on the chain, with an account for its energy, and a role that may generate."""
    if desk.dry_run:
        if member.registered_at is None:
            desk.note(done, f"member {member.name}", "would be put on the chain")
        return
    Registration(desk.app, desk.client, actor=desk.actor, report=lambda _: None).member(member)
    user = chain_state.member_on_chain(desk.client, member)
    if user is None:
        raise ChainDiffersError(f"{member.name} is not on the chain, though it was registered there")
    if user.user.status != ACTIVE:
        raise MemberNotActiveError(
            f"{member.name} is {STATUS_WORDS.get(user.user.status)}: authority members resume {member.name!r} first",
        )
    address = programs.user_address(Pubkey.from_string(member.wallet))
    produces = any(meter.source != "none" for meter in meters)
    if produces and user.user.role < UserRole.PROSUMER:
        role = desk.instruction("registry", "set_user_role", {"role": UserRole.PROSUMER}, user=address)
        signature = desk.send(role)
        desk.log("member_role_set", {"role": "prosumer", "signature": signature, "wallet": member.wallet})
        desk.note(done, f"member {member.name}", "may generate", changed=True)
    if user.energy is None:
        energy = programs.energy_account_address(Pubkey.from_string(member.wallet))
        desk.send(desk.instruction("oracle", "open_energy_account", {}, user=address, energy_account=energy))


def _reassign(desk: Desk, done: Done, meter: Meter, member: User, *, last: bool) -> bool:
    """One look, and the act where it can be done; whether there is nothing more to wait for."""
    name, what = full_name(meter), f"meter {full_name(meter)}"
    on_chain = meter_on_chain(desk.client, meter)
    if on_chain is None:
        raise ChainDiffersError(f"{name} is not on the chain, though it was registered there")
    target = Pubkey.from_string(member.wallet)
    if on_chain.meter.user == target:
        before = meter.user_id == member.id
        if not before and not desk.dry_run:  # broken off between the chain and the store
            _store_member(desk, meter, member, None, on_chain)
        desk.note(done, what, f"is {member.name}'s", changed=not before)
        return True
    if not on_chain.settled:
        if not last:
            return False
        again = f"authority meters reassign {name} --to {member.name!r}"
        todo = f"what {name} measured is not settled yet; once settlement has caught up, or with --wait: {again}"
        desk.note(done, what, "not_settled", todo)
        return True
    if desk.dry_run:
        _tell_unread(desk, done, what, on_chain)
        desk.note(done, what, f"would be {member.name}'s")
        return True
    try:
        signature = desk.send(
            desk.instruction(
                "registry",
                "reassign_meter",
                {},
                meter=programs.meter_address(meter.meter_id),
                from_user=programs.user_address(on_chain.meter.user),
                to_user=programs.user_address(target),
                meter_state=programs.meter_state_address(meter.meter_id),
            )
        )
    except ProgramError as error:
        if error.name == "NotAtSettledBoundary" and not last:  # a reading came in between
            return False
        raise
    _store_member(desk, meter, member, signature, on_chain)
    _tell_unread(desk, done, what, on_chain)
    desk.note(done, what, f"is {member.name}'s", changed=True)
    return True


def _tell_unread(desk: Desk, done: Done, what: str, on_chain: MeterOnChain) -> None:
    """Say where a meter was silent for long before it changes hands: what it draws until its next reading is nobody's.

    Whoever moves out could pull its gateway's plug a month before. What was settled within the last netting_epochs goes
    on from there as the new member's (reassign_meter), and nothing is lost.
    """
    if on_chain.state is None or not on_chain.state.interval_end or on_chain.meter.role is MeterRole.SUBMETER:
        return
    config = desk.config()
    first, end = on_chain.state.interval_end // config.epoch_seconds, desk.epoch()
    silent = desk.client.clock().unix_timestamp - on_chain.state.interval_end
    if silent > parameters_in(config, end).netting_epochs * config.epoch_seconds:
        desk.note(
            done,
            what,
            f"was not read in epochs {first} to {end - 1}: what it drew in them, and until its next reading, is billed "
            "to nobody, unless you enter it (authority billing estimate add)",
        )


def _store_member(desk: Desk, meter: Meter, member: User, signature: str | None, on_chain: MeterOnChain) -> None:
    boundary = 0 if on_chain.state is None else on_chain.state.interval_end
    with desk.app.store.write() as session:
        kept = session.get_one(Meter, meter.id)
        before = session.get_one(User, kept.user_id).wallet
        tenure = session.scalar(
            select(MeterTenure).where(MeterTenure.meter_pk == kept.id, MeterTenure.until_end.is_(None))
        )
        if tenure is None:
            tenure = MeterTenure(meter_pk=kept.id, user_id=kept.user_id)
            session.add(tenure)
        tenure.until_end = boundary
        session.add(MeterTenure(meter_pk=kept.id, user_id=member.id, since_end=boundary))
        kept.user_id = member.id
        data = {
            "from": before,
            "meter_id": meter.meter_id.hex(),
            "reason": desk.reason,
            "signature": signature,
            "to": member.wallet,
        }
        log.record_act(session, "meter_reassigned", desk.actor, desk.app.clock(), data)
