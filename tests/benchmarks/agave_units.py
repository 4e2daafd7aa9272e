"""The fixed figures of compute_units.py on a real Agave validator, whose SPL Token is the older one.

The states are the same as in LiteSVM: made there, taken over into Agave's genesis, and only the transactions that are
measured run on Agave. Its clock cannot be set, so the book for placing orders closes far in the future.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [
    str(TESTS.parent),
    str(TESTS / "support"),
    str(TESTS / "programs"),
    str(TESTS / "programs" / "trading"),
    str(TESTS.parent / "docs" / "labs" / "worlds"),
]

import campus as campus_module  # noqa: E402
import trading_units  # noqa: E402
import trading_world  # noqa: E402
from agave_validator import start_agave_validator  # noqa: E402
from live_campus import LiveCampus, LiveOutcome  # noqa: E402
from solders.address_lookup_table_account import AddressLookupTableAccount  # noqa: E402
from solders.instruction import Instruction  # noqa: E402
from solders.keypair import Keypair  # noqa: E402
from solders.litesvm import LiteSVM  # noqa: E402
from validators import agave_genesis  # noqa: E402

from authority.chain import programs  # noqa: E402
from authority.chain.client import ChainClient  # noqa: E402

FAR = 2**40
CLEARING, BEST, WORST = trading_world.EPOCH, trading_world.EPOCH + 1, trading_world.EPOCH + 2
ALL_UNITS = 1_400_000
COMPUTE_BUDGET_UNITS = trading_units.COMPUTE_BUDGET_UNITS


class Plan:
    """What to run on Agave, by the figure it gives, and the accounts that it starts from."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, list[Instruction], list[Keypair]]] = []
        self.worlds: list[LiteSVM] = []
        self.campus = campus_module.Campus()
        self.tables: list[AddressLookupTableAccount] = []
        self.metering()
        self.trading()

    def step(self, figure: str, instructions: Sequence[Instruction], *signers: Keypair) -> None:
        """Run these, and call what the last of them used so."""
        self.steps.append((figure, list(instructions), list(signers)))

    def metering(self) -> None:
        """Four readings, one reading, and settle_surplus with a mint over three meters."""
        campus = self.campus
        alice = campus.register_user("alice")
        solar = campus.add_meter(alice, "pv", "generation", "solar")
        battery = campus.add_meter(alice, "battery", "storage")
        load = campus.add_meter(alice, "load", "load")
        campus.round(alice, campus.boundary(1), (solar, (0,)), (battery, (0,)), (load, (0,)))
        bob = campus.register_user("bob")
        meters = [campus.add_meter(bob, f"load {n}", "load") for n in range(4)]
        campus.set_time(campus.boundary(1))
        campus.submit(*((meter, meter.read(campus.boundary(1), 0, 100)) for meter in meters))
        campus.set_time(campus.boundary(2))
        for meter, step in ((solar, (5_000,)), (battery, (0, 0, 500, 0)), (load, (0, 1_000))):
            campus.submit((meter, meter.read(campus.boundary(2), *step)))
        self.step("settle_surplus", [campus.settle_instruction(alice, campus.boundary(2), (solar, battery, load))])
        for n, count in ((2, 4), (3, 1)):
            frames = [meter.read(campus.boundary(n), 0, 100) for meter in meters[:count]]
            submission = [programs.ed25519_frames(frames), campus.submit_instruction(meters[:count])]
            self.step(f"submit_{count}", submission)
        addresses = [address for meter in meters for address in (meter.meter, meter.state)]
        self.tables.append(campus.lookup_table(addresses))
        self.worlds.append(campus.svm)

    def trading(self) -> None:
        """A full book's clearing, which pays; orders into the best and the worst place of a full book; cancelling.

        Three books of one market. In the one for the worst cases all prices are alike, and a delegate acts.
        """
        world = trading_world.TradingWorld(parameters={"max_orders_per_member": 64})
        side, bid, ask = trading_world.SIDE, trading_world.BID, trading_world.ASK
        trading_units.worst_to_clear(world, epoch=CLEARING)
        for epoch in (BEST, WORST):
            world.set_time(epoch * campus_module.EPOCH_SECONDS)
            world.open(epoch)
        trading_units.rest(world, side - 1, side, epoch=BEST)
        trading_units.rest(world, side, side, alike=True, epoch=WORST)
        helper = campus_module.key("delegate")
        until = {"delegate": helper.pubkey(), "delegate_until": FAR}
        newcomer, hemmed = world.member(), world.member(**until)
        trading_units.hem_in(world, hemmed, WORST)
        best = world.place_instruction(newcomer, bid, 150_000, 500, epoch=BEST)
        self.step("place_best", [best], newcomer.wallet)
        place = world.place_instruction(
            hemmed, bid, trading_units.ASK_PRICE, 500, epoch=WORST, authority=helper.pubkey()
        )
        self.step("place_worst", [place], helper)
        asks = world.book(WORST).asks
        for place_of in trading_units.CANCELLED:
            order = asks[place_of]
            owner = world.members[order.member]
            world.update_member(owner, **until)
            cancel = world.cancel_instruction(
                owner, ask, order.price, order.number, epoch=WORST, authority=helper.pubkey()
            )
            self.step(f"cancel_{place_of}", [cancel], helper)
        for epoch in (BEST, WORST):
            book = world.book(epoch)
            book.fields |= {"cutoff_at": FAR, "closes_at": FAR}
            world.put_book(epoch, book)
        named = {"book": programs.book_address(CLEARING)}
        args = {"epoch": CLEARING, "limit": trading_world.ALL}
        self.step("clear", [self.campus.instruction("oracle", "trigger_clearing", args, named)])
        self.worlds.append(world.svm)

    def write_accounts(self, directory: Path) -> None:
        """Every account that the transactions name, as Agave's --account-dir reads them; the campus's go first."""
        named = {meta.pubkey for _, instructions, _ in self.steps for item in instructions for meta in item.accounts}
        for address in {*named, *(table.key for table in self.tables)}:
            found = next((account for world in self.worlds if (account := world.get_account(address))), None)
            if found is None or found.executable or str(found.owner).startswith(("Sysvar", "Native")):
                continue
            if address == self.campus.operator.pubkey():
                continue  # Agave's own genesis funds it
            account = {
                "lamports": found.lamports,
                "data": [base64.b64encode(bytes(found.data)).decode(), "base64"],
                "owner": str(found.owner),
                "executable": False,
                "rentEpoch": 2**64 - 1,
                "space": len(found.data),
            }
            text = json.dumps({"pubkey": str(address), "account": account})
            (directory / f"{address}.json").write_text(text)


def measure(directory: Path) -> dict[str, int]:
    """The fixed figures. AgaveUnavailableError where this machine cannot run it."""
    plan = Plan()
    accounts = directory / "accounts"
    accounts.mkdir()
    plan.write_accounts(accounts)
    funded = str(plan.campus.operator.pubkey())
    validator = start_agave_validator(directory, agave_genesis(), funded, accounts=accounts)
    try:
        live = LiveCampus(ChainClient(validator.url))
        used: dict[str, LiveOutcome] = {}
        for figure, instructions, signers in plan.steps:
            outcome = live.send(*instructions, signers=signers, tables=plan.tables, units=ALL_UNITS)
            used[figure] = outcome
    finally:
        validator.stop()
    return figures(used)


def figures(used: dict[str, LiveOutcome]) -> dict[str, int]:
    """The figures from what ran."""
    units = {figure: outcome.compute_units - COMPUTE_BUDGET_UNITS for figure, outcome in used.items()}
    (clearing,) = [item.units for item in used["clear"].executions if item.name == "clear_epoch"]
    reading = (units["submit_4"] - units["submit_1"]) // 3
    return {
        "reading": reading,
        "reading_fixed": units["submit_1"] - reading,
        "settle_surplus": units["settle_surplus"],
        "place_best": units["place_best"],
        "place_worst": units["place_worst"],
        "cancel_worst": max(units[f"cancel_{place}"] for place in trading_units.CANCELLED),
        "clear_and_pay_per_order": -(-clearing // (2 * trading_world.SIDE)),
    }
