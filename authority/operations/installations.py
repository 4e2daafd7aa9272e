"""What is built: installations, and a change of nameplate and storage from a later epoch on.

The chain takes the change at its epoch by itself; readings are bounded by what holds in theirs, here as there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.chain import accounts, programs
from authority.enrolment.plan import MAX_NAMEPLATE_W
from authority.enrolment.steps import Done
from authority.errors import OutOfRangeError
from authority.governance.acts import NothingToChangeError
from authority.log import log
from authority.operations.chain_state import full_name
from authority.operations.desk import Desk
from authority.operations.errors import NotInUseError
from authority.refusals import NotFoundError
from authority.store.metering import METER_RETIRED, Meter
from authority.store.people import Installation

FURTHEST_EPOCHS = 366 * 96
"""How far ahead a change may be staged (registry, stage_installation)."""
MAX_STORAGE_WH = 2**32 - 1


def listed(desk: Desk) -> list[dict[str, Any]]:
    """Every installation, with what is staged for it and the meters that stand there."""
    with desk.app.store.read() as session:
        return [_told(session, row) for row in session.scalars(select(Installation).order_by(Installation.n))]


def _told(session: Session, row: Installation) -> dict[str, Any]:
    meters = session.scalars(
        select(Meter).where(Meter.installation_n == row.n).order_by(Meter.gateway_name, Meter.name)
    )
    return {
        "n": row.n,
        "building": row.building,
        "kind": row.kind,
        "nameplate_w": row.nameplate_w,
        "storage_wh": row.storage_wh,
        "on_chain": row.registered_at is not None,
        "staged": None
        if row.staged_from is None
        else {
            "nameplate_w": row.staged_nameplate_w,
            "storage_wh": row.staged_storage_wh,
            "from_epoch": row.staged_from,
        },
        "meters": [full_name(meter) for meter in meters],
    }


def change(
    desk: Desk,
    n: int,
    *,
    nameplate_w: int | None = None,
    storage_wh: int | None = None,
    from_epoch: int | None = None,
    from_time: int | None = None,
) -> Done:
    """Have another nameplate (W) and storage (Wh) hold from an epoch on, the next one unless told; what was staged is
    replaced. NotFoundError, NotInUseError, OutOfRangeError, NothingToChangeError.
    """
    done = desk.begin("change", f"installation {n}")
    with desk.app.store.read() as session:
        row = session.get(Installation, n)
        if row is None:
            raise NotFoundError(f"there is no installation {n}; see: authority installations list")
        meters = list(
            session.scalars(
                select(Meter).where(Meter.installation_n == n, Meter.state != METER_RETIRED).order_by(Meter.id)
            )
        )
    address = programs.installation_address(n)
    account = desk.client.account(accounts.Installation, address)
    if account is None:
        raise NotInUseError(f"installation {n} is not on the chain yet: correct it in the campus plan")
    config, epoch = desk.config(), desk.epoch()
    if from_time is not None:
        from_epoch = -(-from_time // config.epoch_seconds)
    start = epoch + 1 if from_epoch is None else from_epoch
    holds = account.staged_from != 0 and account.staged_from <= epoch
    now_w, now_wh = (
        (account.staged_nameplate, account.staged_storage) if holds else (account.nameplate, account.storage)
    )
    wanted = (now_w if nameplate_w is None else nameplate_w, now_wh if storage_wh is None else storage_wh)
    _check(row, wanted, start, epoch)
    staged = (account.staged_nameplate, account.staged_storage, account.staged_from)
    done.facts |= {
        "nameplate_w": {"from": now_w, "to": wanted[0]},
        "storage_wh": {"from": now_wh, "to": wanted[1]},
        "from_epoch": start,
        "from_time": start * config.epoch_seconds,
    }
    if wanted == (now_w, now_wh) and (account.staged_from == 0 or holds):
        raise NothingToChangeError(f"installation {n} has {now_w} W and {now_wh} Wh already")
    what = f"installation {n}"
    told = f"{wanted[0]} W, {wanted[1]} Wh from epoch {start}"
    same = staged[:2] == wanted and not holds and (staged[2] == start or (from_epoch is None and staged[2] > 0))
    if same:
        start = staged[2]
        done.facts |= {"from_epoch": start, "from_time": start * config.epoch_seconds}
        desk.note(done, what, "was staged before")
    elif desk.dry_run:
        desk.note(done, what, f"would have {told}")
        return done
    else:
        args = {"nameplate_w": wanted[0], "storage_wh": wanted[1], "from_epoch": start}
        signature = desk.send(desk.instruction("registry", "stage_installation", args, installation=address))
        done.facts["signature"] = signature
        desk.note(done, what, f"has {told}", changed=True)
    if not desk.dry_run:
        _store(desk, row, (now_w, now_wh), wanted, start, None if same else str(done.facts["signature"]))
    _follow(desk, done, meters, (*wanted, start))
    return done


def _check(row: Installation, wanted: tuple[int, int], start: int, epoch: int) -> None:
    if not 1 <= wanted[0] <= MAX_NAMEPLATE_W:
        raise OutOfRangeError(f"a nameplate is 1 to {MAX_NAMEPLATE_W} W, not {wanted[0]}")
    if not 0 <= wanted[1] <= MAX_STORAGE_WH or (wanted[1] and row.kind not in ("storage", "mixed")):
        raise OutOfRangeError(
            f"storage is 0 to {MAX_STORAGE_WH} Wh, of a kind storage or mixed; installation {row.n} is {row.kind}",
        )
    if not epoch < start <= epoch + FURTHEST_EPOCHS:
        raise OutOfRangeError(f"it can hold from epoch {epoch + 1} to {epoch + FURTHEST_EPOCHS}")


def _store(
    desk: Desk, row: Installation, now: tuple[int, int], wanted: tuple[int, int], start: int, signature: str | None
) -> None:
    """The collector bounds readings by the same figures, from the same epoch on."""
    with desk.app.store.write() as session:
        kept = session.get_one(Installation, row.n)
        kept.nameplate_w, kept.storage_wh = now
        kept.staged_nameplate_w, kept.staged_storage_wh, kept.staged_from = *wanted, start
        if signature is not None:
            data = {
                "from_epoch": start,
                "installation": row.n,
                "nameplate_w": wanted[0],
                "reason": desk.reason,
                "signature": signature,
                "storage_wh": wanted[1],
            }
            log.record_act(session, "installation_staged", desk.actor, desk.app.clock(), data)


def _follow(desk: Desk, done: Done, meters: list[Meter], staged: tuple[int, int, int]) -> None:
    """The oracle reads meters alone: each takes over what is staged where it stands."""
    addresses = [programs.meter_address(meter.meter_id) for meter in meters]
    for meter, found in zip(meters, desk.client.accounts_at(accounts.Meter, addresses), strict=True):
        if found is None:
            continue
        what = f"meter {full_name(meter)}"
        if (found.staged_nameplate, found.staged_storage, found.staged_from) == staged:
            desk.note(done, what, "follows")
        elif desk.dry_run:
            desk.note(done, what, "would follow")
        else:
            address = programs.installation_address(meter.installation_n)
            meter_address = programs.meter_address(meter.meter_id)
            desk.send(
                desk.instruction("registry", "follow_installation", {}, installation=address, meter=meter_address)
            )
            desk.note(done, what, "follows", changed=True)
