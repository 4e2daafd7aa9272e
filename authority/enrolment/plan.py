"""The campus plan: a TOML file of users, installations and the meters that are expected at each gateway.

    [[user]]          name, building, public (default false), dwelling (default true)
    [[installation]]  n, building, kind, nameplate_w, storage_wh (default 0), since (a date)
    [[meter]]         name, gateway, serial, role, source (default "none"), user, installation

Applying a plan adds and corrects; what is on the chain already cannot be changed by it, and nothing is ever removed.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority import typed
from authority.enrolment import meter_sets, wallets
from authority.errors import AuthorityError
from authority.home.home import Home
from authority.log import log
from authority.store.metering import Gateway, Meter
from authority.store.people import FORMER_MEMBER, Installation, User
from edge_agent.wire.names import NAME_RULE, is_name
from edge_agent.wire.reading import ROLES, SOURCES, meter_id

KINDS = ("load", "solar", "wind", "hydro", "other", "storage", "grid", "mixed")
"""An installation's kind, in the order of its code on the chain (docs/ARCHITECTURE.md)."""

MAX_NAMEPLATE_W = 100_000_000
MAX_BUILDING_BYTES = 32
"""What the chain's Installation has room for."""


class PlanError(AuthorityError):
    """A campus plan that cannot be used."""


class PlanConflictError(PlanError):
    """The plan contradicts what is on the chain already."""

    code = "plan_conflict"


class PlanInvalidError(PlanError):
    """The plan cannot be used; the message names the entry."""

    code = "plan_invalid"


class PlanUnreadableError(PlanError):
    """The plan's file cannot be read."""

    code = "plan_unreadable"


@dataclass(frozen=True)
class PlannedUser:
    """A member."""

    name: str
    building: str
    public: bool
    dwelling: bool


@dataclass(frozen=True)
class PlannedInstallation:
    """What is built: W, Wh, and Unix seconds of the first day."""

    n: int
    building: str
    kind: str
    nameplate_w: int
    storage_wh: int
    since: int


@dataclass(frozen=True)
class PlannedMeter:
    """A meter that is expected at a gateway."""

    name: str
    gateway: str
    serial: str
    role: str
    source: str
    user: str
    installation: int


@dataclass(frozen=True)
class Plan:
    """A checked plan; hash is the SHA-256 of the file."""

    users: tuple[PlannedUser, ...]
    installations: tuple[PlannedInstallation, ...]
    meters: tuple[PlannedMeter, ...]
    hash: bytes


_Check = Callable[[object], bool]


def _text(most: int) -> _Check:
    return lambda value: isinstance(value, str) and bool(value.strip()) and len(value) <= most and value.isprintable()


def _whole(low: int, high: int) -> _Check:
    return lambda value: type(value) is int and low <= value <= high


def _one_of(words: tuple[str, ...]) -> _Check:
    return lambda value: value in words


def _building(value: object) -> bool:
    return _text(128)(value) and isinstance(value, str) and len(value.encode()) <= MAX_BUILDING_BYTES


def _member(value: object) -> bool:
    return _text(64)(value) and isinstance(value, str) and not typed.line(value).startswith(FORMER_MEMBER)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _day(value: object) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


_FIELDS: Mapping[str, Mapping[str, tuple[_Check, str, object]]] = {
    "user": {
        "name": (_member, f"1 to 64 characters, and not begin with {FORMER_MEMBER!r}", None),
        "building": (_building, "1 to 32 bytes of text", None),
        "public": (_is_bool, "true or false", False),
        "dwelling": (_is_bool, "true or false", True),
    },
    "installation": {
        "n": (_whole(0, 0xFFFF_FFFF), "a whole number from 0", None),
        "building": (_building, "1 to 32 bytes of text", None),
        "kind": (_one_of(KINDS), f"one of {', '.join(KINDS)}", None),
        "nameplate_w": (_whole(1, MAX_NAMEPLATE_W), f"1 to {MAX_NAMEPLATE_W} W", None),
        "storage_wh": (_whole(0, 0xFFFF_FFFF), "0 to 4294967295 Wh", 0),
        "since": (_day, "a date such as 2024-05-01", None),
    },
    "meter": {
        "name": (is_name, NAME_RULE, None),
        "gateway": (is_name, NAME_RULE, None),
        "serial": (_text(64), "1 to 64 characters", None),
        "role": (_one_of(ROLES), f"one of {', '.join(ROLES)}", None),
        "source": (_one_of(SOURCES), f"one of {', '.join(SOURCES)}", "none"),
        "user": (_text(64), "a [[user]]'s name", None),
        "installation": (_whole(0, 0xFFFF_FFFF), "an [[installation]]'s n", None),
    },
}


def _entries(document: Mapping[str, object], kind: str) -> list[dict[str, Any]]:
    tables = document.get(kind, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PlanInvalidError(f"{kind}: write each as a table of its own, [[{kind}]]")
    read = []
    for number, table in enumerate(tables, 1):
        where = f"[[{kind}]] number {number}" + (f" ({table['name']!r})" if "name" in table else "")
        unknown = sorted(set(table) - set(_FIELDS[kind]))
        if unknown:
            raise PlanInvalidError(f"{where}: {unknown[0]} is not known; it has {', '.join(_FIELDS[kind])}")
        entry = {}
        for key, (check, rule, default) in _FIELDS[kind].items():
            value = table.get(key, default)
            if value is None or not check(value):
                found = f", not {value!r}" if key in table else ""
                raise PlanInvalidError(f"{where}: {key} must be {rule}{found}")
            entry[key] = value
        read.append(entry)
    return read


def _unique(kind: str, key: str, values: list[Any]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise PlanInvalidError(f"[[{kind}]]: {key} {value!r} is there twice")


def parse(data: bytes) -> Plan:
    """Read and check a plan; PlanInvalidError names the entry that is wrong and what it should be."""
    try:
        document = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanInvalidError(f"the plan is not TOML: {error}") from error
    for key in document:
        if key not in _FIELDS:
            raise PlanInvalidError(f"[[{key}]] is not known; a plan has {', '.join(_FIELDS)}")
    users = tuple(PlannedUser(**{**entry, "name": typed.line(entry["name"])}) for entry in _entries(document, "user"))
    installations = tuple(
        PlannedInstallation(
            **{**entry, "since": int(datetime.combine(entry["since"], datetime.min.time(), UTC).timestamp())}
        )
        for entry in _entries(document, "installation")
    )
    meters = tuple(
        PlannedMeter(**{**entry, "user": typed.line(entry["user"])}) for entry in _entries(document, "meter")
    )
    _unique("user", "name", [user.name for user in users])
    _unique("installation", "n", [installation.n for installation in installations])
    _unique("meter", "serial", [meter.serial for meter in meters])
    _unique("meter", "gateway and name", [(meter.gateway, meter.name) for meter in meters])
    for installation in installations:
        if installation.storage_wh and installation.kind not in ("storage", "mixed"):
            raise PlanInvalidError(f"[[installation]] {installation.n}: storage_wh needs the kind storage or mixed")
    kinds = {installation.n: installation.kind for installation in installations}
    for meter in meters:
        _check_meter(meter, {user.name for user in users}, kinds)
    for user in users:
        _check_set(user.name, [meter for meter in meters if meter.user == user.name])
    return Plan(users, installations, meters, hashlib.sha256(data).digest())


def _check_meter(meter: PlannedMeter, users: set[str], kinds: Mapping[int, str]) -> None:
    where = f"[[meter]] {meter.gateway}/{meter.name}"
    if meter.user not in users:
        raise PlanInvalidError(f"{where}: there is no [[user]] {meter.user!r}")
    if meter.installation not in kinds:
        raise PlanInvalidError(f"{where}: there is no [[installation]] {meter.installation}")
    if meter.role == "generation" and meter.source == "none":
        raise PlanInvalidError(f"{where}: a generation meter has a source: {', '.join(SOURCES[1:])}")
    if meter.role in ("storage", "load", "grid") and meter.source != "none":
        raise PlanInvalidError(f"{where}: a {meter.role} meter has no source of its own; leave source out")
    needed = None
    if meter.role in ("generation", "building") and meter.source != "none":
        needed = meter.source
    elif meter.role in ("storage", "grid"):
        needed = meter.role
    kind = kinds[meter.installation]
    if needed is not None and kind not in (needed, "mixed"):
        raise PlanInvalidError(
            f"{where}: is at installation {meter.installation} of kind {kind}, which must be {needed} or mixed",
        )


def _check_set(user: str, meters: list[PlannedMeter]) -> None:
    found = meter_sets.fault([meter.role for meter in meters])
    if found is not None:
        raise PlanInvalidError(f"user {user!r}: {found}")


@dataclass(frozen=True)
class Applied:
    """What a plan brought: new users, installations and meters, corrected ones, and the act's index in the log.

    Nothing is logged, and act is None, where the store has all of it already.
    """

    added: int
    corrected: int
    act: int | None


def apply(session: Session, plan: Plan, home: Home, *, actor: str, now: int, random: Callable[[int], bytes]) -> Applied:
    """Write a plan into the store, make wallets for new members, and log it.

    PlanConflictError where it would change what is on the chain already. Applying the same plan again changes nothing.
    """
    before = _size(session)
    corrected = 0
    for user in plan.users:
        kept = session.scalar(select(User).where(User.name == user.name))
        if kept is None:
            wallet, sealed = wallets.make(home.wallet_key, random)
            kept = User(name=user.name, wallet=wallet, sealed_key=sealed)
            session.add(kept)
        elif (kept.building, kept.public, kept.dwelling) != (user.building, user.public, user.dwelling):
            corrected += 1
        kept.building, kept.public, kept.dwelling = user.building, user.public, user.dwelling
    for installation in plan.installations:
        row = session.get(Installation, installation.n)
        values = {
            "building": installation.building,
            "kind": installation.kind,
            "nameplate_w": installation.nameplate_w,
            "storage_wh": installation.storage_wh,
            "since": installation.since,
        }
        if row is None:
            session.add(Installation(n=installation.n, **values))
            continue
        corrected += _change(row, values, row.registered_at is not None, f"installation {installation.n}")
    session.flush()
    for meter in plan.meters:
        corrected += _apply_meter(session, meter, home)
    session.flush()
    added = _size(session) - before
    if not added and not corrected:
        return Applied(0, 0, None)
    data = {
        "installations": len(plan.installations),
        "meters": [meter_id(home.meter_salt, meter.serial).hex() for meter in plan.meters],
        "plan": plan.hash.hex(),
        "users": len(plan.users),
    }
    return Applied(added, corrected, log.record_act(session, "campus_plan", actor, now, data))


def _size(session: Session) -> int:
    """How many users, installations and meters there are."""
    return sum(session.scalar(select(func.count()).select_from(table)) or 0 for table in (User, Installation, Meter))


def _apply_meter(session: Session, meter: PlannedMeter, home: Home) -> bool:
    """Whether it was there, and is another now."""
    if session.get(Gateway, meter.gateway) is None:
        session.add(Gateway(name=meter.gateway))
        session.flush()
    user = session.scalars(select(User).where(User.name == meter.user)).one()
    values = {
        "name": meter.name,
        "gateway_name": meter.gateway,
        "role": meter.role,
        "source": meter.source,
        "user_id": user.id,
        "installation_n": meter.installation,
    }
    row = session.scalar(select(Meter).where(Meter.serial == meter.serial))
    if row is None:
        identifier = meter_id(home.meter_salt, meter.serial)
        _require_free(session, meter, identifier)
        session.add(Meter(serial=meter.serial, meter_id=identifier, **values))
        return False
    where = f"{row.gateway_name}/{row.name}"
    if row.public_key is not None and row.user_id != user.id:
        raise PlanConflictError(
            f"meter {meter.serial} is {row.user.name}'s and in use; the plan says {meter.user!r}. Correct the plan, or "
            f"give it to {meter.user}: authority meters reassign {where} --to {meter.user!r}"
        )
    return _change(row, values, row.public_key is not None, f"meter {meter.serial}")


def _require_free(session: Session, meter: PlannedMeter, identifier: bytes) -> None:
    """PlanConflictError where the place of a new meter is another's, or its serial is what another is known by."""
    other = session.scalar(select(Meter).where(Meter.gateway_name == meter.gateway, Meter.name == meter.name))
    if other is not None:
        raise PlanConflictError(
            f"{meter.gateway}/{meter.name} is meter {other.serial} already: where that was exchanged for "
            f"{meter.serial}, authority meters exchange {meter.gateway}/{meter.name} --serial {meter.serial} "
            f"--last consumption=WH --first consumption=WH with all registers of both displays; where "
            f"it was exchanged before, write {other.serial} into the plan; else name {meter.serial} otherwise",
        )
    first = session.scalar(select(Meter).where(Meter.meter_id == identifier))
    if first is not None:
        raise PlanConflictError(
            f"{meter.serial} was the first device of {first.gateway_name}/{first.name}, which goes by that serial on "
            f"the chain for good, also since it was exchanged for {first.serial}: write a mark behind it here and in "
            f"gateway.toml, such as {meter.serial}-2",
        )


def _change(row: object, values: Mapping[str, object], fixed: bool, what: str) -> bool:
    """Whether anything of it changed."""
    changed = False
    for key, value in values.items():
        if getattr(row, key) == value:
            continue
        if fixed:
            raise PlanConflictError(
                f"{what}: {key} is {getattr(row, key)!r} and in use; the plan says {value!r}. Correct the plan, or "
                "reassign it on the chain first",
            )
        setattr(row, key, value)
        changed = True
    return changed
