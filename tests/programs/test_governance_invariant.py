"""Every instruction that changes the Config ends by checking it: an inconsistent one stays as it is."""

from __future__ import annotations

import pytest
from campus import EPOCH_SECONDS, PARAMETERS, START, Campus, key

from authority.chain import programs

EPOCH = START // EPOCH_SECONDS
INSTRUCTIONS = {
    "set_paused": ("authority", {"bits": 1}),
    "stage_parameters": ("authority", {"parameters": PARAMETERS, "from_epoch": EPOCH + 17}),
    "propose_authority": ("authority", {"pending": key("heir").pubkey()}),
    "set_operator": ("authority", {"operator": key("night shift").pubkey()}),
    "open_billing_period": ("operator", {}),
}


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_a_config_of_another_version_is_not_changed(refused, name) -> None:
    campus = Campus(parameters={"billing_period_epochs": 16})
    if name == "open_billing_period":
        campus.set_time(campus.boundary(16))
    signer, args = INSTRUCTIONS[name]
    keypair = getattr(campus, signer)
    campus.change("governance", programs.config_address(), version=2)
    with refused("ConfigInvariant"):
        campus.send(campus.instruction("governance", name, args, {signer: keypair.pubkey()}))


def test_an_authority_is_not_accepted_into_an_inconsistent_config(campus: Campus, refused) -> None:
    heir = key("heir")
    campus.change("governance", programs.config_address(), version=2, pending_authority=heir.pubkey())
    with refused("ConfigInvariant"):
        campus.send(
            campus.instruction("governance", "accept_authority", {}, {"pending": heir.pubkey()}), signers=[heir]
        )


@pytest.mark.parametrize(
    "damage",
    [{"billing_period_end": EPOCH}, {"billing_period_start": EPOCH - 1}, {"bump": 1}],
    ids=str,
)
def test_a_config_that_contradicts_itself_is_not_changed(campus: Campus, refused, damage) -> None:
    campus.change("governance", programs.config_address(), **damage)
    with refused("ConfigInvariant"):
        campus.set_paused(1)


def test_what_is_staged_keeps_its_bounds(campus: Campus, refused) -> None:
    staged = PARAMETERS | {"fee_bps": 5_000}
    campus.change("governance", programs.config_address(), staged=staged, staged_from=EPOCH + 3)
    with refused("FeeOutOfBounds"):
        campus.set_paused(1)
