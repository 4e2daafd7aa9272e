"""A meter was reset: the held records that say so are let go on, and the chain takes the new baseline, in one act.

The gateway's side is `edge-agent reset-meter`. Its next record says that the registers were reset, and is held; so are
those after it, for they are compared with the registers before. Here the first is released and rebases the meter on the
chain, and the later ones follow it.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from authority.chain import programs
from authority.chain.errors import ProgramError
from authority.collector import held
from authority.enrolment.registration import ChainDiffersError, ReadingsPendingError
from authority.enrolment.steps import Done
from authority.operations import chain_state
from authority.operations.chain_state import full_name, meter_of, meter_on_chain
from authority.operations.desk import Desk
from authority.operations.errors import NotARebaseError, NothingHeldError
from authority.settlement.chain import SettlementChain
from authority.settlement.lookup_tables import LookupTables
from authority.store import metering
from authority.store.metering import Frame, Meter
from edge_agent.wire.reading import FLAG_REGISTER_RESET
from edge_agent.wire.reading import Frame as SignedFrame

ALREADY = "goes on from its new registers already"


def reset(desk: Desk, name: str) -> Done:
    """Let a meter go on after its reset: release its held records from the one that says so, and rebase the chain.

    What is held before that record is void: the registers that it speaks of are gone. NotFoundError,
    NothingHeldError (no record says that registers were reset), ReadingsPendingError (earlier ones are carried first).
    """
    done = desk.begin("reset", name)
    with desk.app.store.read() as session:
        meter = meter_of(session, name)
        record = _reset_record(session, meter)
        if record is None:
            raise NothingHeldError(
                f"no record of {name} says that its registers were reset: at the gateway, `edge-agent reset-meter "
                f"{meter.name}` lets it sign one, and the next boundary brings it",
            )
        earlier, later = _held_around(session, meter, record)
        before = chain_state.waiting(session, meter) if record.disposition == metering.DISPOSITION_HELD else 0
    if before:
        raise ReadingsPendingError(
            f"{before} readings of {name} from before its reset are on their way to the chain, and go first: let "
            "settlement carry them, and do this again",
        )
    done.facts["readings"] = {
        "void": [frame.log_index for frame in earlier],
        "released": [frame.log_index for frame in (record, *later)],
    }
    if desk.dry_run:
        desk.note(done, f"reading {record.log_index}", "would be released, and rebase the meter")
        return done
    for frame in earlier:
        _decide(desk, frame.log_index, release=False)
        desk.note(done, f"reading {frame.log_index}", "void: from before the reset", changed=True)
    if record.disposition == metering.DISPOSITION_HELD:
        _decide(desk, record.log_index, release=True)
        desk.note(done, f"reading {record.log_index}", "released", changed=True)
    _rebase(desk, done, meter, record)
    for frame in later:
        _decide(desk, frame.log_index, release=True)
        desk.note(done, f"reading {frame.log_index}", "released", changed=True)
    return done


def rebase(desk: Desk, log_index: int) -> Done:
    """Let a meter go on from the registers of a released record that says that they were reset. NotARebaseError."""
    done = desk.begin("rebase", f"reading {log_index}")
    with desk.app.store.read() as session:
        record = session.get(Frame, log_index, options=[joinedload(Frame.meter)])
        waits = record is not None and (
            record.chain_error is not None or record.chain_status == metering.CHAIN_CONFIRMED
        )
        if record is None or not waits or not record.record.flags & FLAG_REGISTER_RESET:
            raise NotARebaseError(
                f"leaf {log_index} is not a record that waits and says that its registers were reset; see the alerts",
            )
        meter = record.meter
    if record.chain_status == metering.CHAIN_CONFIRMED:
        desk.note(done, f"meter {full_name(meter)}", ALREADY)
    elif desk.dry_run:
        desk.note(done, f"meter {full_name(meter)}", "would go on from its new registers")
    else:
        _rebase(desk, done, meter, record)
    return done


def _reset_record(session: Session, meter: Meter) -> Frame | None:
    """The newest record that says so and was not carried yet, held or released."""
    waits = metering.held_back(Frame) | metering.waiting_for_the_chain(Frame)
    newest = session.scalars(select(Frame).where(Frame.meter_pk == meter.id, waits).order_by(Frame.log_index.desc()))
    return next((frame for frame in newest if frame.record.flags & FLAG_REGISTER_RESET), None)


def _held_around(session: Session, meter: Meter, record: Frame) -> tuple[list[Frame], list[Frame]]:
    """What is held before the record, and what is held after it only because its registers are lower."""
    query = select(Frame).where(Frame.meter_pk == meter.id, metering.held_back(Frame)).order_by(Frame.log_index)
    frames = [frame for frame in session.scalars(query) if frame.log_index != record.log_index]
    later = [frame for frame in frames if frame.log_index > record.log_index and frame.code == "register_decreased"]
    return [frame for frame in frames if frame.log_index < record.log_index], later


def _decide(desk: Desk, log_index: int, *, release: bool) -> None:
    with desk.app.store.write() as session:
        decide = held.release if release else held.void
        reason = desk.reason or "the meter was reset"
        decide(session, log_index, actor=desk.actor, reason=reason, now=desk.app.clock())


def _rebase(desk: Desk, done: Done, meter: Meter, record: Frame) -> None:
    """Have the chain go on from the record's registers; what it has already, it has."""
    name, signed = full_name(meter), SignedFrame.from_bytes(record.frame)
    on_chain = meter_on_chain(desk.client, meter)
    if on_chain is None or on_chain.state is None:
        raise ChainDiffersError(f"{name} is not on the chain yet: authority enrol register")
    if on_chain.state.hash == record.record_hash[: len(on_chain.state.hash)]:
        desk.note(done, f"meter {name}", ALREADY)
        return
    desk.log("meter_rebased", {"reading": record.log_index, "reason": desk.reason})
    tables = LookupTables(
        desk.client, desk.operator, desk.app.store, list(programs.common_accounts().values()), desk.app.clock
    )
    try:
        signature = SettlementChain(desk.client, desk.operator, tables).rebase(meter.meter_id, signed)
    except ProgramError as error:
        if error.name != "SequenceNotRising":  # the worker's word, or another's, came first
            raise
        desk.note(done, f"meter {name}", ALREADY)
        return
    done.facts["signature"] = signature
    desk.note(done, f"meter {name}", "goes on from its new registers; its next span is a baseline", changed=True)
