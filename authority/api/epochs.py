"""Epochs on their way: readings in, settled, cleared, paid, checkpointed, with the time of each, and what waits."""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from apiflask import APIBlueprint
from flask import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.paging import AT_ONCE, LAST_PLACE, NEXT, PageQuery, cut
from authority.api.schemas import schema_of
from authority.app import App
from authority.people import reads
from authority.people.roles import OPERATES, READ_OPERATIONS, SEES_WHAT_WAITS, Principal
from authority.refusals import NotFoundError
from authority.settlement import retrying
from authority.store.metering import (
    CHAIN_PENDING,
    CHAIN_SUBMITTED,
    DISPOSITION_HELD,
    METER_ACTIVE,
    PASSED,
    Frame,
    Meter,
)
from authority.store.settlement import SettlementEpoch

RULES: Mapping[str, Rule] = {
    "epochs.listed": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
    "epochs.shown": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
    "epochs.retry": Rule(OPERATES),
}
STAGES: Mapping[str, str] = {
    "ended": "ended_ms",
    "readings_in": "submitted_ms",
    "settled": "minted_ms",
    "cleared": "cleared_ms",
    "paid": "settled_ms",
    "checkpointed": "checkpointed_ms",
}
"""The stages of an epoch in order, and the column that says when each was seen complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of an epoch."""

    name: Literal["ended", "readings_in", "settled", "cleared", "paid", "checkpointed"] = described(
        "ended: its time is over; readings_in: their signatures are checked on the chain; settled: surplus is minted; "
        "cleared: the book has its price; paid: all orders are; checkpointed: the log is pinned."
    )
    done_at_ms: int | None = described("When it was seen complete, Unix milliseconds; null where it is not yet.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """One epoch in short."""

    epoch: int = described("Its number.")
    starts_at: int = described("Its beginning.")
    ends_at: int = described("Its end.")
    state: str = described("collecting, submitted, minted, clearing, settled or checkpointed: the last complete step.")
    stages: tuple[Stage, ...] = described("Its stages, in order.")
    readings_on_chain: int = described("Readings of its end on the chain.")
    bids: int = described("Orders to buy in its book.")
    asks: int = described("Orders to sell.")
    traded_wh: int = described("What was traded.")
    clearing_price_micro_credits_per_kwh: int | None = described("At what price; null where nothing was.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRows:
    """Epochs, the newest first."""

    epochs: tuple[EpochRow, ...] = described("At most 50.")
    next: str | None = described(NEXT)
    refused_readings: int = described("Readings that the chain refused and that wait to be sent again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingReading:
    """A reading of the epoch's end that is not on the chain."""

    meter: str = described("GATEWAY/METER.")
    why: Literal["missing", "held", "on_the_way", "refused"] = described(
        "missing: none came; held: it waits for an operator; on_the_way: it goes to the chain; refused: the chain did."
    )
    log_index: int | None = described("Its entry in the log; null where none came.")
    error: str | None = described("What the chain answered.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochView:
    """One epoch, with what waits."""

    row: EpochRow = described("In short.")
    waiting: tuple[WaitingReading, ...] = described("Readings of its end that are not on the chain.")
    refused_readings: int = described("Readings of any epoch that the chain refused and that wait to be sent again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What was sent again."""

    readings: tuple[int, ...] = described("The log entries of the readings.")


EXAMPLE_ROW = {
    "epoch": 1_980_033,
    "starts_at": 1_782_029_700,
    "ends_at": 1_782_030_600,
    "state": "minted",
    "stages": [
        {"name": "ended", "done_at_ms": 1_782_030_600_120},
        {"name": "readings_in", "done_at_ms": 1_782_030_609_400},
        {"name": "settled", "done_at_ms": 1_782_030_612_000},
        {"name": "cleared", "done_at_ms": None},
        {"name": "paid", "done_at_ms": None},
        {"name": "checkpointed", "done_at_ms": None},
    ],
    "readings_on_chain": 8,
    "bids": 3,
    "asks": 2,
    "traded_wh": 0,
    "clearing_price_micro_credits_per_kwh": None,
}
EXAMPLE_VIEW = {
    "row": EXAMPLE_ROW,
    "waiting": [{"meter": "gw-1/pv", "why": "refused", "log_index": 812, "error": "RegisterDecreased"}],
    "refused_readings": 1,
}


class Epochs:
    """The query layer over an opened authority."""

    def __init__(self, app: App) -> None:
        self._app = app

    def note(self, who: Principal) -> None:
        """Log that epochs are read."""
        reads.note(self._app.store, who, "epochs", reads.EVERYBODY, self._app.clock())

    def rows(self, before: int | None) -> EpochRows:
        """Epochs, the newest first."""
        query = select(SettlementEpoch).order_by(SettlementEpoch.epoch.desc()).limit(AT_ONCE + 1)
        with self._app.store.read() as session:
            found = session.scalars(query.where(SettlementEpoch.epoch < (before or LAST_PLACE))).all()
            refused = len(retrying.waiting(session))
        shown, more = cut(found, lambda row: row.epoch)
        return EpochRows(epochs=tuple(map(self._row, shown)), next=more, refused_readings=refused)

    def one(self, epoch: int) -> EpochView:
        """One with what waits; NotFoundError."""
        with self._app.store.read() as session:
            found = session.get(SettlementEpoch, epoch)
            if found is None:
                raise NotFoundError(f"settlement does not know epoch {epoch}")
            waiting = self._waiting(session, found)
            refused = len(retrying.waiting(session))
        return EpochView(row=self._row(found), waiting=waiting, refused_readings=refused)

    def _row(self, found: SettlementEpoch) -> EpochRow:
        seconds = self._app.home.settings.epoch.seconds
        return EpochRow(
            epoch=found.epoch,
            starts_at=found.epoch * seconds,
            ends_at=(found.epoch + 1) * seconds,
            state=found.state,
            stages=tuple(
                Stage(name=name, done_at_ms=getattr(found, column))  # type: ignore[arg-type]  # of STAGES
                for name, column in STAGES.items()
            ),
            readings_on_chain=found.readings_on_chain,
            bids=found.bids,
            asks=found.asks,
            traded_wh=found.traded_wh,
            clearing_price_micro_credits_per_kwh=found.clearing_price,
        )

    def _waiting(self, session: Session, found: SettlementEpoch) -> tuple[WaitingReading, ...]:
        """Readings of the epoch's end that are not on the chain; of active meters, as they are now."""
        boundary = (found.epoch + 1) * self._app.home.settings.epoch.seconds
        frames: dict[int, list[Frame]] = {}
        for frame in session.scalars(select(Frame).where(Frame.interval_end == boundary)):
            frames.setdefault(frame.meter_pk, []).append(frame)
        active = (Meter.state == METER_ACTIVE, Meter.public_key.is_not(None))
        meters = session.scalars(select(Meter).where(*active).order_by(Meter.gateway_name, Meter.name)).all()
        rows = []
        for meter in meters:
            its = frames.get(meter.id, [])
            passed = [each for each in its if each.disposition in PASSED]
            held = [each for each in its if each.disposition == DISPOSITION_HELD]
            name = f"{meter.gateway_name}/{meter.name}"
            if any(each.chain_status not in (CHAIN_PENDING, CHAIN_SUBMITTED) for each in passed):
                continue
            if passed:
                error = passed[-1].chain_error
                why: Literal["refused", "on_the_way"] = "on_the_way" if error is None else "refused"
                rows.append(WaitingReading(meter=name, why=why, log_index=passed[-1].log_index, error=error))
            elif held:
                rows.append(WaitingReading(meter=name, why="held", log_index=held[-1].log_index, error=None))
            elif not its:
                rows.append(WaitingReading(meter=name, why="missing", log_index=None, error=None))
        return tuple(rows)

    def retry(self, who: Principal) -> list[int]:
        """Send again what the chain refused; the log entries."""
        return retrying.retry(self._app.store, actor=who.actor, now=self._app.clock())


def blueprint(its: Epochs) -> APIBlueprint:
    """The resources over the query layer."""
    epochs = APIBlueprint("epochs", __name__, url_prefix="/api/v1/epochs", tag="Operations")

    @epochs.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @epochs.get("")
    @epochs.input(PageQuery, location="query", arg_name="query")
    @epochs.output(
        schema_of(EpochRows),
        description="The epochs.",
        example={"epochs": [EXAMPLE_ROW], "next": None, "refused_readings": 1},
    )
    @epochs.doc(
        operation_id="list_epochs",
        summary="Epochs with their stages",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def listed(query: dict[str, Any]) -> dict[str, Any]:
        its.note(gate.principal())
        return asdict(its.rows(query["cursor"]))

    @epochs.get("/<int:number>")
    @epochs.output(schema_of(EpochView), description="The epoch.", example=EXAMPLE_VIEW)
    @epochs.doc(operation_id="get_epoch", summary="One epoch, with what waits", responses=NOT_YOURS)
    def shown(number: int) -> dict[str, Any]:
        its.note(gate.principal())
        return asdict(its.one(number))

    @epochs.post("/retry")
    @epochs.output(schema_of(Retried), description="What was sent again.", example={"readings": [812]})
    @epochs.doc(
        operation_id="retry_readings",
        summary="Send again the readings that the chain refused",
        description="As `authority settlement retry`. No token may do this: it takes a session and X-Form-Token.",
        responses=dict(NOT_YOURS),
    )
    def retry() -> Retried:
        return Retried(readings=tuple(its.retry(gate.principal())))

    return epochs
