"""What a span entitles a user to: the netting rule of docs/ARCHITECTURE.md in plain integers.

The oracle program's settle_surplus is the one that mints. This module is the same rule in Python, which the tests
compare the chain with and the audit recomputes from. All quantities are watt-hours; nothing here is a float.

Generation is netted with consumption only over a span of at most netting_epochs, in which the same meters were read
with the same keys, users, maps and status, and without a doubtful reading. Any other span credits nothing, empties the
bank, and books what was drawn: so nobody gains by being silent, or by changing a key or a meter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from authority.chain.accounts import SpanKind
from authority.errors import AuthorityError
from edge_agent.wire.reading import ROLES, SOURCE_NONE
from edge_agent.wire.rules import BASIS_POINTS, REGISTERS, ROLE_REGISTERS

_MAY_MOVE = {role: tuple(register in permitted for register in REGISTERS) for role, permitted in ROLE_REGISTERS.items()}
"""By role, whether each register may move."""


def span_kind(epochs: int | None, netting_epochs: int, *, unchanged: bool) -> SpanKind:
    """How a span of so many epochs is settled.

    epochs is None where the user was never settled before. unchanged: the settling meters are the same as at the last
    boundary, all were settled there, and since then no key, user, map or status changed, no meter was rebased, and no
    reading was doubtful.
    """
    if epochs is None:
        return SpanKind.BASELINE
    if epochs > netting_epochs:
        return SpanKind.TOO_LONG
    return SpanKind.NETTED if unchanged else SpanKind.BASELINE


class SurplusError(AuthorityError):
    """A span that the rule does not cover; the message says what to change."""


class EfficiencyError(SurplusError):
    """The storage efficiency is not between 0 and 10,000 basis points."""

    code = "efficiency"


class MeterSetError(SurplusError):
    """The meters do not form a set that settles."""

    code = "meter_set"


class RegisterDecreasedError(SurplusError):
    """A register fell."""

    code = "register_decreased"


class RegisterNotPermittedError(SurplusError):
    """A register outside the meter's role moved."""

    code = "register_not_permitted"


class MeterSpan(NamedTuple):
    """One meter's part of a span: how far each register moved (Wh), and what the chain knows of the meter.

    storage_wh is the capacity of the storage behind the meter, as copied from its installation.
    """

    role: str
    source: int = SOURCE_NONE
    storage_wh: int = 0
    generation: int = 0
    consumption: int = 0
    charge: int = 0
    discharge: int = 0


class Span(NamedTuple):
    """What a span comes to, in Wh.

    surplus is renewable energy beyond consumption; into and out are what of it went into and came out of storage;
    bank is the renewable energy in storage at the end; net is what the user gave the campus (negative: took).
    """

    generation: int
    consumption: int
    charge: int
    discharge: int
    surplus: int
    into: int
    out: int
    bank: int
    net: int
    mint: int
    withdrawal: int


def permitted_meter_set(roles: Sequence[str]) -> bool:
    """Whether these roles may belong to one user.

    One building meter alone; or generation and storage meters in any number with either load meters or exactly one
    grid meter. Submeters go with any set.
    """
    return _permitted(tuple(roles))


@lru_cache(maxsize=4_096)
def _permitted(roles: tuple[str, ...]) -> bool:
    settling = [role for role in roles if role != "submeter"]
    if any(role not in ROLES for role in settling):
        return False
    if "building" in settling:
        return len(settling) == 1
    if "grid" in settling:
        return settling.count("grid") == 1 and "load" not in settling
    return True


def settle_span(
    meters: Sequence[MeterSpan],
    bank: int,
    efficiency_bps: int,
    kind: SpanKind = SpanKind.NETTED,
    earlier: Sequence[MeterSpan] = (),
) -> Span:
    """Net one user's meters over one span.

    meters are those that were settled where the span began. earlier are meters that were last settled before that: what
    they drew since then is withdrawn on top, and their presence makes the span no NETTED one. bank is the renewable
    energy (Wh) that the storage held at the span's start; efficiency_bps is the storage's efficiency in basis points,
    applied to what goes in and rounded down. MeterSetError for roles that
    may not stand together, `register_not_permitted` for a register outside its role, `register_decreased` for a
    negative step, `efficiency` outside 0 to 10,000.
    """
    if not _permitted(tuple([meter.role for meter in meters])):
        raise MeterSetError("a user has one building meter, or loads or one grid meter beside the rest")
    if not 0 <= efficiency_bps <= BASIS_POINTS:
        raise EfficiencyError(f"the efficiency is 0 to {BASIS_POINTS} basis points, not {efficiency_bps}")
    generation = consumption = charge = discharge = storage = 0
    grid: MeterSpan | None = None
    renewable = False
    for meter in meters:
        role, source, storage_wh, g, c, i, o = meter
        if role == "submeter":
            continue
        may_g, may_c, may_i, may_o = _MAY_MOVE[role]
        if (
            (g and (g < 0 or not may_g))
            or (c and (c < 0 or not may_c))
            or (i and (i < 0 or not may_i))
            or (o and (o < 0 or not may_o))
        ):
            raise _not_a_step(meter)
        renewable = renewable or (source != SOURCE_NONE and role in ("generation", "building"))
        if role == "grid":
            grid = meter
            continue
        generation += g
        consumption += c
        charge += i
        discharge += o
        storage += storage_wh
    if grid is not None:
        consumption = max(0, grid.consumption + generation + discharge - grid.generation - charge)

    surplus = max(0, generation - consumption) if renewable else 0
    net = generation + discharge - consumption - charge
    withdrawal = consumption + charge if kind is SpanKind.TOO_LONG else max(0, -net)
    for meter in earlier:
        withdrawal += meter.consumption + meter.charge
    if kind is not SpanKind.NETTED:
        return Span(generation, consumption, charge, discharge, 0, 0, 0, 0, net, 0, withdrawal)
    into = min(charge, surplus)
    filled = min(storage, bank + into * efficiency_bps // BASIS_POINTS)
    out = min(discharge, filled)
    mint = min(max(0, net), surplus - into + out) if renewable else 0
    return Span(generation, consumption, charge, discharge, surplus, into, out, filled - out, net, mint, withdrawal)


def _not_a_step(meter: MeterSpan) -> SurplusError:
    """Why a meter's registers cannot have moved so: the first that fell, or that its role does not let move."""
    steps = meter.generation, meter.consumption, meter.charge, meter.discharge
    for register, may_move, step in zip(REGISTERS, _MAY_MOVE[meter.role], steps, strict=True):
        if step < 0:
            return RegisterDecreasedError(f"{register} of the {meter.role} meter fell by {-step} Wh")
        if step and not may_move:
            break
    return RegisterNotPermittedError(f"a {meter.role} meter's {register} may not move")
