#!/usr/bin/env python3
"""Compute units of the programs' operations, measured with the programs in programs/artifacts; JSON.

usage: compute_units.py [--write]   (--write: make what is measured the committed baseline, compute_units.json)

`litesvm` is what LiteSVM measures; `agave` what a real Agave validator does, with the older SPL Token, in a network
namespace of its own; null, with the reason on standard error, where this machine cannot run one.

`reading` is what a reading adds ((four a transaction - one) / 3), `reading_fixed` the rest of a submission;
`clear_and_pay_per_order` a full book's clearing, which pays, / 1,024 orders. `place_worst` and `cancel_worst` are the
worst of a book of 512 a side: all prices alike, by a delegate, an order displaced, the other side searched for the
member's own. `floor` is what no program of this shape goes below: the dispatch of an instruction that does next to
nothing, and SPL Token's part. Keys come from names, so the figures repeat exactly.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
BASELINE = Path(__file__).with_name("compute_units.json")
sys.path[:0] = [
    str(TESTS.parent),
    str(TESTS / "support"),
    str(TESTS / "benchmarks"),
    str(TESTS / "programs"),
    str(TESTS / "programs" / "trading"),
    str(TESTS.parent / "docs" / "labs" / "worlds"),
]

import agave_units  # noqa: E402
import campus as campus_module  # noqa: E402
import trading_units  # noqa: E402
from agave_validator import AgaveUnavailableError  # noqa: E402
from market_accounts import ORDER, SEAT, SEATS_PER_STEP  # noqa: E402
from trading_world import SIDE  # noqa: E402

from authority.chain.artifacts import PROGRAM_NAMES, program_bytes  # noqa: E402
from authority.chain.idl import Idl  # noqa: E402

FEE_PER_SIGNATURE = 5_000
TRADING_KEYS = ("place_best", "place_worst", "cancel_worst", "clear_and_pay_per_order")


def readings() -> tuple[int, int]:
    """What a reading adds, and what a submission costs besides."""
    campus = campus_module.Campus()
    alice = campus.register_user("alice")
    meters = [campus.add_meter(alice, f"load {n}", "load") for n in range(4)]
    units = []
    for n, count in ((1, 4), (2, 4), (3, 1)):
        campus.set_time(campus.boundary(n))
        frames = [(meter, meter.read(campus.boundary(n), 0, 100)) for meter in meters[:count]]
        units.append(campus.submit(*frames).compute_units)
    reading = (units[1] - units[2]) // 3
    return reading, units[2] - reading


SURPLUS, DEFICIT = ((5_000,), (0, 0, 500, 0), (0, 1_000)), ((0,), (0, 0, 500, 0), (0, 1_000))
"""What a member's solar, battery and load meters measure in an epoch."""


class Household:
    """A member with three meters, settled once."""

    def __init__(self, campus: campus_module.Campus, name: str) -> None:
        self.campus, self.member = campus, campus.register_user(name)
        kinds = (("generation", "solar"), ("storage", "none"), ("load", "none"))
        self.meters = [campus.add_meter(self.member, f"{name} {role}", role, source) for role, source in kinds]
        self.read(1, ((0,), (0,), (0,)))
        campus.settle(self.member, campus.boundary(1), *self.meters)

    def read(self, n: int, steps: tuple[tuple[int, ...], ...]) -> int:
        """Have the meters' readings at the n-th boundary on the chain; the boundary."""
        boundary = self.campus.boundary(n)
        self.campus.set_time(boundary)
        for meter, step in zip(self.meters, steps, strict=True):
            self.campus.submit((meter, meter.read(boundary, *step)))
        return boundary


def settlement() -> tuple[int, int]:
    """settle_surplus over three meters, with a mint and without."""
    house = Household(campus_module.Campus(), "alice")
    mint, plain = (
        house.campus.settle(house.member, house.read(n, steps), *house.meters).compute_units
        for n, steps in ((2, SURPLUS), (3, DEFICIT))
    )
    return mint, plain


def settlement_of_six() -> dict[str, int]:
    """Six members of three meters in one transaction, each with a mint: CU per member, and the transaction's bytes."""
    campus = campus_module.Campus()
    houses = [Household(campus, f"member {n}") for n in range(6)]
    boundary = max([house.read(2, SURPLUS) for house in houses])
    left_out = dict.fromkeys(("energy_vault", "seats", "trading_program"))
    instructions = [campus.settle_instruction(each.member, boundary, each.meters, **left_out) for each in houses]
    listed = {meta.pubkey: None for each in instructions for meta in each.accounts if not meta.is_signer}
    outcome = campus.send(*instructions, tables=[campus.lookup_table(listed)])
    return {"settle_surplus_of_six": outcome.compute_units // 6, "settle_six_bytes": outcome.size}


def floor() -> dict[str, int]:
    """What cannot be saved: the dispatch of an instruction that does next to nothing, and SPL Token's MintTo."""
    campus = campus_module.Campus()
    dispatch = campus.set_paused(0).compute_units
    alice = campus.register_user("alice")
    house = campus.add_meter(alice, "house", "building", "solar")
    campus.round(alice, campus.boundary(1), (house, (0, 0)))
    logs = campus.round(alice, campus.boundary(2), (house, (10, 0))).meta.logs()
    token = next(line for line in logs if line.startswith("Program Tokenkeg") and "consumed" in line)
    return {"set_paused": dispatch, "spl_mint_to": int(token.split(" consumed ")[1].split(" ")[0])}


def rent() -> dict[str, int]:
    """Lamports that each account type holds for its rent, by its size as made."""
    from solders.litesvm import LiteSVM

    svm = LiteSVM()
    found = {}
    for program in PROGRAM_NAMES:
        idl = Idl.load(program)
        for name in idl.account_names:
            size = len(idl.encode_account(name, idl.decode_account(idl.account_discriminator(name) + bytes(65_536))[1]))
            # What follows the heads of these two: the demo's orders a side, and the first seats.
            size += {"EpochBook": 2 * SIDE * ORDER.size, "Seats": SEATS_PER_STEP * SEAT.size}.get(name, 0)
            found[name] = svm.minimum_balance_for_rent_exemption(size)
    return found


def campus_day(meters: int = 13, members: int = 8) -> dict[str, int]:
    """Transactions and fees of a day of 96 epochs on the demo's campus, one order a member and epoch.

    A fee is 5,000 lamports for each signature, the precompile's included.
    """
    epochs = 96
    submissions = -(-meters // 4)
    # submit, settle_surplus, deposit with place_order, open_epoch, trigger_clearing, checkpoint
    transactions = submissions + members + members + 1 + 1 + 1
    signatures = transactions + meters
    return {"transactions": epochs * transactions, "fees_lamports": epochs * signatures * FEE_PER_SIGNATURE}


def agave() -> dict[str, int] | None:
    """The fixed figures on Agave; None, and the reason on standard error, where this machine cannot run it."""
    try:
        with tempfile.TemporaryDirectory() as directory:
            return agave_units.measure(Path(directory))
    except AgaveUnavailableError as reason:
        print(f"not measured on Agave: {reason}", file=sys.stderr)
        return None


def measure(on_agave: dict[str, int] | None = None) -> dict[str, Any]:
    """All figures; those on Agave are given, for they take a validator."""
    reading, fixed = readings()
    mint, plain = settlement()
    trading = trading_units.measure()
    return {
        "litesvm": {
            "reading": reading,
            "reading_fixed": fixed,
            "settle_surplus": mint,
            **{key: trading[key] for key in TRADING_KEYS},
        },
        "agave": on_agave,
        "litesvm_more": {
            "settle_surplus_without_mint": plain,
            **settlement_of_six(),
            **{key: value for key, value in trading.items() if key not in TRADING_KEYS},
        },
        "floor": floor(),
        "so_bytes": {program: len(program_bytes(program)) for program in PROGRAM_NAMES},
        "rent_lamports": rent(),
        "campus_day": campus_day(),
    }


def main() -> int:
    """Print the figures, or make them the baseline."""
    parser = argparse.ArgumentParser(description="Compute units of the programs' operations.")
    parser.add_argument("--write", action="store_true", help="make the figures the committed baseline")
    arguments = parser.parse_args()
    figures = json.dumps(measure(agave()), indent=2)
    if arguments.write:
        BASELINE.write_text(figures + "\n")
    print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
