"""When all tokens are accounted for, and when not: in wallets, in seats, in books, as fees, retired."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authority.audit.conservation import Conservation, TokenTotals

ENERGY = TokenTotals(minted=100, supply=90, held=30, escrow=60, in_seats=40, in_books=20, counted=60)
CREDIT = TokenTotals(minted=70, supply=70, held=20, escrow=50, in_seats=25, in_books=20, fees=5, counted=50)


def test_all_is_accounted_for():
    sums = Conservation(ENERGY, CREDIT, 100)
    assert sums.ok
    found = sums.as_json()
    assert found["minted_wh"] == found["held_wh"] + found["seats_wh"] + found["books_wh"] + found["retired_wh"]
    assert found["credit_supply"] == 20 + found["credit_seats"] + found["credit_books"] + found["credit_fees"]


def test_what_strangers_sent_to_a_vault_belongs_to_nobody():
    assert replace(ENERGY, held=29, escrow=61).ok


@pytest.mark.finding("chain-12")
@pytest.mark.parametrize(
    "changed",
    [
        {"held": 31},  # more than was minted
        {"held": 29},  # less
        {"in_seats": 41},  # the seats say more than the market's own sum
        {"in_books": 0},  # the books were not read
        {"counted": 61},
        {"in_seats": 41, "counted": 61},  # the vault holds less than is owed
        {"supply": 101, "held": 41},  # more than was ever minted
    ],
)
def test_what_is_missing_is_seen(changed):
    assert not replace(ENERGY, **changed).ok
    assert not Conservation(replace(ENERGY, **changed), CREDIT, 100).ok


def test_members_totals_are_the_oracles():
    assert not Conservation(ENERGY, CREDIT, 99).ok
