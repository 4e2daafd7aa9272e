"""What keeps a standing order from trading, told for what the chain has of a member."""

from types import SimpleNamespace
from typing import Any

import pytest

from authority.api.order_state import OrderState, state_of
from authority.chain.accounts import Status
from authority.market.standing_orders import StandingOrder
from authority.operations.chain_state import Balances

BOTH = StandingOrder(sell_at=150_000, buy_at=200_000, reserve_wh=500)
LEAST, WHEELING = 100, 20_000
COST = 22_000
"""What 0.1 kWh at the limit may cost, wheeling included."""


def told(
    order: StandingOrder = BOTH, refused: Any = (), *, status: Status = Status.ACTIVE, own: bool = False, **has: int
) -> OrderState:
    nothing = dict.fromkeys(("wallet_wh", "wallet_credit", "locked_wh", "locked_credit"), 0)
    balances = Balances(**{**nothing, "seat_wh": 600, "seat_credit": COST, **has}, orders=())
    found: Any = SimpleNamespace(user=SimpleNamespace(status=status), balances=balances)
    return state_of(order, found, dict(refused), signs_here=not own, least_wh=LEAST, wheeling=WHEELING)


def test_nothing_is_told_of_an_order_that_can_trade() -> None:
    state = told()
    assert state == OrderState(signs_here=True)
    assert not state.is_held_up


@pytest.mark.parametrize("has", [{"seat_credit": COST - 1}, {"seat_credit": 0, "wallet_credit": COST - 1}])
def test_an_order_that_buys_without_credits_buys_nothing(has: Any) -> None:
    state = told(**has)
    assert (state.credit, state.is_held_up) == (COST - 1, True)
    assert told(StandingOrder(sell_at=150_000), **has).credit is None, "one that only sells needs none"
    assert told(**has, locked_credit=1).credit is None, "they are in an order that stands"


def test_an_order_that_sells_without_energy_beyond_what_is_kept_sells_nothing() -> None:
    state = told(seat_wh=599)
    assert (state.energy, state.is_held_up) == (599, False), "nobody has to do anything about that"
    assert told(seat_wh=300, wallet_wh=300).energy is None
    assert told(StandingOrder(buy_at=200_000), seat_wh=0).energy is None
    assert told(seat_wh=0, locked_wh=600).energy is None


def test_a_refusal_is_told_in_words_and_of_the_order_s_own_sides() -> None:
    state = told(refused={"bid": "UserNotActive", "ask": "Strange"})
    assert state.refused == {
        "ask": "the market's program answers Strange",
        "bid": "your account is suspended",
    }
    assert told(StandingOrder(buy_at=200_000), {"ask": "Strange"}).refused == {}


def test_a_suspended_account_and_an_own_wallet_are_told() -> None:
    assert told(status=Status.SUSPENDED).suspended
    assert told(own=True).rests
