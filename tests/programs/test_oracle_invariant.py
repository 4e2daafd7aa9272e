"""Every instruction that changes an account of the oracle ends by checking it: an inconsistent one stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from campus import EPOCH_SECONDS, START, Campus, Member, SimulatedMeter

from authority.chain import programs
from edge_agent.wire.reading import FLAG_REGISTER_RESET

EPOCH = START // EPOCH_SECONDS


@pytest.fixture
def member(campus: Campus) -> Member:
    return campus.register_user("alice")


@pytest.fixture
def house(campus: Campus, member: Member) -> SimulatedMeter:
    """A building meter, settled at two boundaries, 600 Wh minted."""
    meter = campus.add_meter(member, "house", "building", "solar")
    campus.round(member, campus.boundary(1), (meter, (0, 0)))
    campus.round(member, campus.boundary(2), (meter, (1_000, 400)))
    campus.set_time(campus.boundary(3))
    return meter


def checkpoint(campus: Campus) -> None:
    args = {"epoch": EPOCH, "log_size": 1, "log_root": bytes(32), "book_hash": bytes(32)}
    accounts = {
        "operator": campus.operator.pubkey(),
        "checkpoint": programs.checkpoint_address(EPOCH),
        "book": programs.book_address(EPOCH),
    }
    campus.send(campus.instruction("oracle", "checkpoint_epoch", args, accounts))


@pytest.mark.parametrize("damage", [{"version": 2}, {"bump": 1}, {"has_checkpoint": 2}], ids=str)
def test_inconsistent_totals_are_not_changed(
    campus: Campus, member: Member, house: SimulatedMeter, refused, damage: dict[str, Any]
) -> None:
    campus.change("oracle", programs.oracle_authority(), **damage)
    campus.submit((house, house.read(campus.boundary(3), 10)))
    with refused("OracleInvariant"):
        campus.settle(member, campus.boundary(3), house)
    if "has_checkpoint" not in damage:
        with refused("OracleInvariant"):
            checkpoint(campus)


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"minted": 10_000},
        {"bank": 10_000},
        {"withdrawals_previous": 1},
        {"minted": 2**64 - 1, "bank": 1},
    ],
    ids=str,
)
def test_an_inconsistent_energy_account_is_not_changed(
    campus: Campus, member: Member, house: SimulatedMeter, refused, damage: dict[str, Any]
) -> None:
    campus.change("oracle", member.energy_account, **damage)
    campus.submit((house, house.read(campus.boundary(3))))
    with refused("EnergyAccountInvariant"):
        campus.settle(member, campus.boundary(3), house)


def test_an_inconsistent_state_takes_no_reading(campus: Campus, house: SimulatedMeter, refused) -> None:
    campus.change("oracle", house.state, version=2)
    with refused("MeterStateInvariant"):
        campus.submit((house, house.sign(house.record(campus.boundary(3)))))


def test_more_settled_than_read_is_noticed(campus: Campus, house: SimulatedMeter, refused) -> None:
    campus.change("oracle", house.state, settled=[2_000, 400, 0, 0])
    with refused("MeterStateInvariant"):
        campus.submit((house, house.sign(house.record(campus.boundary(3)))))


def test_an_inconsistent_state_is_neither_settled_nor_rebased(
    campus: Campus, member: Member, house: SimulatedMeter, refused
) -> None:
    campus.submit((house, house.read(campus.boundary(3), 10)))
    campus.change("oracle", house.state, version=2)
    with refused("MeterStateInvariant"):
        campus.settle(member, campus.boundary(3), house)
    campus.set_time(campus.boundary(4))
    frame = house.read(campus.boundary(4), flags=FLAG_REGISTER_RESET, register_epoch=1)
    accounts = {"operator": campus.operator.pubkey(), "meter": house.meter, "meter_state": house.state}
    with refused("MeterStateInvariant"):
        campus.send(programs.ed25519_frames([frame]), campus.instruction("oracle", "rebase_meter", {}, accounts))


def test_more_tokens_than_were_minted_are_not_checkpointed(campus: Campus, house: SimulatedMeter, refused) -> None:
    campus.change("oracle", programs.oracle_authority(), minted=599)
    with refused("CheckpointInvariant"):
        checkpoint(campus)


@pytest.mark.parametrize("total", ["minted", "surplus"])
def test_totals_do_not_wrap(campus: Campus, member: Member, house: SimulatedMeter, refused, total: str) -> None:
    values = {"minted": 2**64 - 600, "surplus": 2**64 - 600} if total == "minted" else {"surplus": 2**64 - 600}
    campus.change("oracle", member.energy_account, **values)
    campus.submit((house, house.read(campus.boundary(3), 700)))
    with refused("EnergyOverflow"):
        campus.settle(member, campus.boundary(3), house)
