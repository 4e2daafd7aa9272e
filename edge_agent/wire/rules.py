"""The rules that a reading's step must keep: which registers a role may move, and how far.

The oracle program has the same rules in Rust (programs/oracle/src/record.rs), and a test runs both on the same inputs.
All quantities are whole numbers: watt-hours, watts, seconds, basis points.
"""

from __future__ import annotations

from edge_agent.wire.reading import FLAG_REGISTER_RESET, Record

REGISTERS = ("generation", "consumption", "charge", "discharge")
"""The signed record's registers, in its order."""

ROLE_REGISTERS = {
    "building": frozenset(REGISTERS),
    "generation": frozenset({"generation"}),
    "storage": frozenset({"charge", "discharge"}),
    "load": frozenset({"consumption"}),
    "grid": frozenset({"generation", "consumption"}),
    "submeter": frozenset(REGISTERS),
}
"""The registers that may move in each role. At the grid connection, generation is export, consumption import."""

STORAGE_ROLES = ("building", "storage")
"""Roles whose charge and discharge are bounded by the installation's storage."""

BASIS_POINTS = 10_000
GREATEST_STEP_WH = 1_000_000_000_000
"""No register ever moves further in one step, so that a settlement's sums fit u64."""
ROUNDING_WH = 1
"""Registers are rounded down to whole Wh, so a step may show up to one Wh more than was metered."""
_GREATEST_SECONDS = 0xFFFF_FFFF


def greatest_step_wh(power_w: int, seconds: int, tolerance_bps: int = 0) -> int:
    """The most energy in Wh that a register can show for a power (W) over a time (s), with a tolerance on the power."""
    energy = power_w * min(seconds, _GREATEST_SECONDS) // 3_600
    return min(energy * (BASIS_POINTS + tolerance_bps) // BASIS_POINTS + ROUNDING_WH, GREATEST_STEP_WH)


def check_step(
    record: Record, last: Record, *, role: str, nameplate_w: int, storage_wh: int, tolerance_bps: int
) -> str:
    """The first rule that the step from the last accepted record to this one breaks; "ok" where it breaks none.

    The answer is a receipt's code (docs/PROTOCOL.md): register_decreased (also where the record says that registers
    were reset, or where the register epoch jumped), register_not_permitted, exceeds_nameplate or exceeds_storage. The
    record must end later than the last.
    """
    if record.flags & FLAG_REGISTER_RESET or (record.register_epoch - last.register_epoch) & 0xFF > 1:
        return "register_decreased"
    limit = greatest_step_wh(nameplate_w, record.interval_end - last.interval_end, tolerance_bps)
    before, after = last.registers, record.registers
    for place in range(4):
        step = after[place] - before[place]
        if not step:
            continue
        if step < 0:
            return "register_decreased"
        name = REGISTERS[place]
        if name not in ROLE_REGISTERS[role]:
            return "register_not_permitted"
        # A building draws more than its own plant's nameplate; a greater consumption mints nothing.
        if step > (GREATEST_STEP_WH if role == "building" and name == "consumption" else limit):
            return "exceeds_nameplate"
    charge, discharge = after[2] - before[2], after[3] - before[3]
    if (charge or discharge) and role in STORAGE_ROLES:
        storage = storage_wh + storage_wh * tolerance_bps // BASIS_POINTS + ROUNDING_WH
        # What came out was in it or went in; what went in came out, was lost (at most half), or is in it.
        if discharge > charge + storage or charge > 2 * (discharge + storage):
            return "exceeds_storage"
    return "ok"
