"""What is known of exchanged meters: the registers at which the old one ended and the new one began.

A Meter on the chain is a metering point: it keeps its id, its key and its history when the device is exchanged. The new
device's map adds an offset to what it shows, so that the signed registers go on from the old one's last to the Wh. The
exchange is an act in the log; the offset is the sum of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.store.log import Act
from authority.store.metering import Meter
from edge_agent.wire.meter_map import MeterMap

EXCHANGED_ACT = "meter_exchanged"


def last_exchange(session: Session, meter: Meter) -> Mapping[str, object] | None:
    """The act's data of a meter's last exchange; None where it was never exchanged."""
    act = last_exchange_act(session, meter)
    return None if act is None else act.data


def last_exchange_act(session: Session, meter: Meter) -> Act | None:
    """The act of a meter's last exchange; None where it was never exchanged."""
    for act in session.scalars(select(Act).where(Act.kind == EXCHANGED_ACT).order_by(Act.log_index.desc())):
        if act.data["meter_id"] == meter.meter_id.hex():
            return act
    return None


def offsets(session: Session, meter: Meter) -> dict[str, int]:
    """What a meter's map must add to its registers, Wh by register; empty for a meter that was never exchanged."""
    found = last_exchange(session, meter)
    kept = found.get("offset_wh") if found is not None else None
    return {name: int(wh) for name, wh in kept.items() if wh} if isinstance(kept, Mapping) else {}


def offset_lines(wanted: Mapping[str, int]) -> str:
    """The table that a meter's map in gateway.toml needs, as it is written there."""
    return "\n".join(["[meter.map.offset_wh]", *(f"{name} = {wh}" for name, wh in wanted.items())])


def offset_fault(session: Session, meter: Meter, meter_map: MeterMap) -> str | None:
    """Why a map does not fit the meter's exchanges, and what to write; None where it fits."""
    wanted = offsets(session, meter)
    if dict(meter_map.offset_wh) == wanted:
        return None
    if not wanted:
        return (
            f"the map of {meter.name} has offset_wh, and no exchange of this meter is recorded: record it with "
            "`authority meters exchange`, or take offset_wh out"
        )
    table = offset_lines(wanted).replace("\n", ", ")
    return f"{meter.name} was exchanged, so its registers go on from the old meter's: write {table} into gateway.toml"
