"""Which meters of a member settle together (docs/ARCHITECTURE.md); the registry program enforces the same."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.chain.accounts import MAX_SETTLING_METERS
from authority.store.metering import METER_ACTIVE, Meter
from edge_agent.wire.reading import ROLES


def conflict(roles: Sequence[str]) -> str | None:
    """Why the registry would refuse meters of these roles beside each other; None where it takes them."""
    count = {role: sum(each == role for each in roles) for role in ROLES}
    parts = count["generation"] + count["storage"] + count["load"] + count["grid"]
    if count["building"] > 1 or (count["building"] and parts):
        return "a building meter settles alone, without others but submeters"
    if count["grid"] > 1 or (count["grid"] and count["load"]):
        return "has either load meters or one grid meter"
    if parts + count["building"] > MAX_SETTLING_METERS:
        return f"settles at most {MAX_SETTLING_METERS} meters together: name another member for the others"
    return None


def fault(roles: Sequence[str]) -> str | None:
    """Why meters of these roles never settle; None where they do."""
    found = conflict(roles)
    parts = {role for role in roles if role in ("generation", "storage")}
    if found is None and parts and not {"grid", "load"} & set(roles):
        return "generation or storage settles only with load or grid meters"
    return found


def beside(session: Session, meter: Meter) -> list[Meter]:
    """The other meters of its member that take part now."""
    query = select(Meter).where(Meter.user_id == meter.user_id, Meter.state == METER_ACTIVE, Meter.id != meter.id)
    return list(session.scalars(query.order_by(Meter.gateway_name, Meter.name)))
