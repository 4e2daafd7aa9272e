"""The rules of a step stand in edge_agent.wire.rules and in the oracle program: both run here on the same inputs."""

from __future__ import annotations

from functools import cache

from campus import Campus, Refusal, SimulatedMeter
from hypothesis import example, given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from authority.chain import programs
from edge_agent.wire.reading import FLAG_REGISTER_RESET, ROLES, SOURCE_SOLAR, ZERO_HASH, Record
from edge_agent.wire.rules import GREATEST_STEP_WH, REGISTERS, ROLE_REGISTERS, check_step, greatest_step_wh

CODES = {
    "NeedsRebase": "register_decreased",
    "RegisterEpoch": "register_decreased",
    "RegisterDecreased": "register_decreased",
    "RegisterNotPermitted": "register_not_permitted",
    "ExceedsNameplate": "exceeds_nameplate",
    "ExceedsStorage": "exceeds_storage",
}
"""The program's refusals by the receipt's code for the same cause."""
FIRST_END = 900 * 1_000
U64 = 2**64 - 1
FULL_PROFILE = settings(max_examples=400, deadline=None)


@cache
def campus_with_a_meter() -> tuple[Campus, SimulatedMeter, Pubkey]:
    campus = Campus()
    meter = campus.add_meter(campus.register_user("alice"), "any", "building", "solar")
    return campus, meter, programs.config_address()


@st.composite
def steps(draw: st.DrawFn) -> dict[str, object]:
    """A meter and a step of it, near the rules' edges as often as not."""
    role = draw(st.sampled_from([*ROLES, "building", "storage"]))
    nameplate = draw(st.sampled_from([1, 5_000, 20_000, 100_000_000]) | st.integers(1, 100_000_000))
    storage = draw(st.sampled_from([0, 10_000]) | st.integers(0, 2**32 - 1))
    tolerance = draw(st.sampled_from([0, 1, 1_000, 3_333, 10_000]))
    epochs = draw(st.integers(1, 100) | st.integers(1, 2**33 // 900))
    limit = greatest_step_wh(nameplate, epochs * 900, tolerance)
    bounded = storage + storage * tolerance // 10_000 + 1
    any_step = (
        st.integers(0, limit)
        | st.sampled_from([limit, GREATEST_STEP_WH]).flatmap(lambda edge: st.integers(edge - 1, edge + 2))
        | st.integers(-1, U64)
    )

    def moved(name: str) -> int:
        usual = any_step if name in ROLE_REGISTERS[role] else st.just(0)
        return draw(st.just(0) | usual | usual if draw(st.integers(0, 9)) else any_step)

    generation, consumption, charge = moved("generation"), moved("consumption"), moved("charge")
    discharge = draw(st.integers(-2, 2)) + charge + bounded if draw(st.booleans()) else moved("discharge")
    if draw(st.booleans()):
        charge = 2 * (discharge + bounded) + draw(st.integers(-2, 2))
    return {
        "role": role,
        "nameplate_w": nameplate,
        "storage_wh": storage,
        "tolerance_bps": tolerance,
        "epochs": epochs,
        "before": draw(st.sampled_from([0, 1_000, U64 // 2])),
        "steps": (generation, consumption, charge, discharge),
        "flags": draw(st.sampled_from([0, 1])) if draw(st.integers(0, 19)) else FLAG_REGISTER_RESET,
        "register_epochs": (
            draw(st.sampled_from([0, 255])),
            draw(st.sampled_from([0, 1])) if draw(st.integers(0, 19)) else draw(st.integers(2, 255)),
        ),
    }


def case(role: str, *moved: int, nameplate_w: int = 5_000, storage_wh: int = 10_000) -> dict[str, object]:
    """One epoch's step at the usual tolerance."""
    return {
        "role": role,
        "nameplate_w": nameplate_w,
        "storage_wh": storage_wh,
        "tolerance_bps": 1_000,
        "epochs": 1,
        "before": 1_000,
        "steps": (*moved, 0, 0, 0, 0)[:4],
        "flags": 0,
        "register_epochs": (0, 0),
    }


@FULL_PROFILE
@given(steps())
@example(case("building", 0, 2_000))  # a roof of 5 kW under a building that draws 8 kW
@example(case("building", 1_377, 2_000))
@example(case("building", 0, GREATEST_STEP_WH + 1))
@example(case("grid", 0, 2_000))
@example(case("storage", 0, 0, 22_002, nameplate_w=1_000_000))
@example(case("storage", 0, 0, 22_003, nameplate_w=1_000_000))
@example(case("storage", 0, 0, 5_000, 16_001, nameplate_w=1_000_000))
@example(case("storage", 0, 0, 5_000, 16_002, nameplate_w=1_000_000))
@example(case("submeter", 0, 0, 0, 1_000, storage_wh=0))
def test_policy_and_program_judge_a_step_alike(step: dict) -> None:
    campus, meter, config = campus_with_a_meter()
    before = tuple(min(step["before"], U64) for _ in REGISTERS)
    after = tuple(min(max(0, now + moved), U64) for now, moved in zip(before, step["steps"], strict=True))
    first_epoch, moved_epochs = step["register_epochs"]
    end = FIRST_END + 900 * step["epochs"]
    last = record(meter, FIRST_END, before, register_epoch=first_epoch)
    this = record(
        meter,
        end,
        after,
        sequence=2,
        register_epoch=(first_epoch + moved_epochs) & 0xFF,
        flags=step["flags"],
    )
    rules = {name: step[name] for name in ("role", "nameplate_w", "storage_wh", "tolerance_bps")}

    campus.set_time(end)
    parameters = campus.account("governance", config)["parameters"]
    parameters |= {"nameplate_tolerance_bps": step["tolerance_bps"]}
    campus.change("governance", config, parameters=parameters, staged=parameters)
    campus.change(
        "registry",
        meter.meter,
        role=ROLES.index(step["role"]),
        source=SOURCE_SOLAR,
        nameplate=step["nameplate_w"],
        storage=step["storage_wh"],
    )
    campus.change(
        "oracle",
        meter.state,
        sequence=1,
        interval_end=FIRST_END,
        registers=list(before),
        register_epoch=first_epoch,
        hash=ZERO_HASH,
        settled_end=0,
        settled=list(before),
    )
    try:
        campus.submit((meter, meter.sign(this)))
        answer = "ok"
    except Refusal as refusal:
        answer = CODES[refusal.name]

    assert check_step(this, last, **rules) == answer


def record(meter: SimulatedMeter, end: int, registers: tuple[int, ...], **changes: int) -> Record:
    return meter.record(
        end,
        source=SOURCE_SOLAR,
        previous_hash=ZERO_HASH,
        **{"sequence": 1, **dict(zip(REGISTERS, registers, strict=True)), **changes},
    )
