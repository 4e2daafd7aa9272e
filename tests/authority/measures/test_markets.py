"""The market rules by an example that was worked out by hand, and what each keeps on any campus."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.market.clearing import Order
from authority.measures.markets import (
    RULES,
    WITHOUT_LIMITS,
    Deal,
    Epoch,
    Limits,
    OwnRule,
    RuleInfeasibleError,
    Terms,
    compare,
    orders_of,
    require_feasible,
)

TERMS = Terms(retail=300_000, feed_in=100_000, wheeling=0, fee_bps=0)
LIMITS = {
    1: Limits(sell_at=120_000, buy_at=None),
    2: Limits(sell_at=200_000, buy_at=None),
    3: Limits(sell_at=None, buy_at=260_000),
    4: Limits(sell_at=None, buy_at=180_000),
}
EPOCH = Epoch(surplus={1: 1_000, 2: 1_000}, need={3: 1_500, 4: 1_500}, terms=TERMS)
"""Sorted: bids 260,000 x 1,500 and 180,000 x 1,500, asks 120,000 x 1,000 and 200,000 x 1,000.

3 takes all of 1 and half of 2; 4 does not reach 2. So 1,500 Wh trade; any price from 200,000 to 260,000 clears them,
but for what is left of 2 (at 200,000), which holds it at 200,000.
"""


def dealt(name: str) -> list[Deal]:
    rule = RULES[name]
    bids, asks = orders_of(EPOCH, LIMITS, bounded=rule not in WITHOUT_LIMITS)
    return sorted(rule(bids, asks, TERMS, 250_000), key=lambda deal: (deal.member, deal.price))


def test_each_rule_by_hand() -> None:
    assert dealt("feed_in_only") == []
    at = 200_000
    assert dealt("auction") == [Deal(1, False, 1_000, at), Deal(2, False, 500, at), Deal(3, True, 1_500, at)]
    middle = 230_000  # of 260,000 and 200,000
    assert dealt("last_pair") == [
        Deal(1, False, 1_000, middle),
        Deal(2, False, 500, middle),
        Deal(3, True, 1_000, middle),
        Deal(3, True, 500, middle),
    ]
    assert {deal.price for deal in dealt("pay_as_bid")} == {260_000}
    assert [deal.wh for deal in dealt("pay_as_bid")] == [deal.wh for deal in dealt("last_pair")]
    shared = [(1, 1_000), (2, 1_000), (3, 1_000), (4, 1_000)]  # 2,000 Wh for a need of 3,000
    for name, price in (("mid_market_rate", 200_000), ("supply_demand_ratio", 128_571)):
        # 300,000 x 100,000 / (200,000 x 2/3 + 100,000) = 128,571.4
        assert [(deal.member, deal.wh) for deal in dealt(name)] == shared
        assert {deal.price for deal in dealt(name)} == {price}


def test_what_members_pay_by_hand() -> None:
    found = {each.rule: each for each in compare([EPOCH], LIMITS, LIMITS)}
    assert found["feed_in_only"].paid == {1: -100_000, 2: -100_000, 3: 450_000, 4: 450_000}
    auction = found["auction"]
    assert auction.paid == {1: -200_000, 2: -100_000 - 50_000, 3: 300_000, 4: 450_000}
    assert auction.gains == {1: 100_000, 2: 50_000, 3: 150_000, 4: 0}
    assert (auction.traded_wh, auction.department, auction.prices.mean) == (1_500, 0, 200_000.0)
    assert auction.gini == 0.416667  # sorted 0, 50, 100, 150: (0 x -3 + 50 x -1 + 100 x 1 + 150 x 3) / (4 x 300)
    assert auction.as_row()["members_worse_off"] == 0
    rate = found["mid_market_rate"]
    assert rate.paid == {1: -200_000, 2: -200_000, 3: 350_000, 4: 350_000}
    assert rate.gini == 0.0


def test_rules_without_limits_give_energy_to_those_who_want_it_less() -> None:
    found = {each.rule: each.welfare for each in compare([EPOCH], LIMITS, LIMITS)}
    best = 1_000 * 140_000 + 500 * 60_000
    assert {each.possible for each in found.values()} == {best}
    assert found["feed_in_only"].reached == 0
    for name in ("auction", "last_pair", "pay_as_bid"):
        assert found[name].efficiency == 1.0
    # all of both sellers; the buyers of 260,000 and of 180,000 get 1,000 Wh each
    shared = 1_000 * (260_000 + 180_000 - 120_000 - 200_000)
    for name in ("mid_market_rate", "supply_demand_ratio"):
        assert found[name].reached == shared < best


def test_wheeling_and_fee_go_to_the_department() -> None:
    terms = Terms(300_000, 100_000, wheeling=20_000, fee_bps=100)
    (_, auction, *_) = compare([Epoch(EPOCH.surplus, EPOCH.need, terms)], LIMITS, LIMITS)
    assert auction.department == 1_500 * 20 + 2_000 + 1_000  # 1 % of 200,000 and of 100,000


prices, energies = st.integers(80_000, 320_000), st.integers(0, 5_000)
limits_ = st.builds(Limits, sell_at=st.none() | prices, buy_at=st.none() | prices)
epochs_ = st.builds(
    Epoch,
    surplus=st.dictionaries(st.integers(0, 5), energies),
    need=st.dictionaries(st.integers(0, 5), energies),
    terms=st.just(Terms(300_000, 100_000, 20_000, 100)),
)


@pytest.mark.parametrize("name", RULES)
@given(epoch=epochs_, limits=st.dictionaries(st.integers(0, 5), limits_, max_size=6))
def test_energy_balances_and_nobody_trades_more_than_it_has_or_beyond_its_limit(
    name: str, epoch: Epoch, limits: dict[int, Limits]
) -> None:
    rule = RULES[name]
    bounded = rule not in WITHOUT_LIMITS
    bids, asks = orders_of(epoch, limits, bounded=bounded)
    deals = rule(bids, asks, epoch.terms, 200_000)
    assert sum(deal.wh for deal in deals if deal.buys) == sum(deal.wh for deal in deals if not deal.buys)
    for orders, buys in ((bids, True), (asks, False)):
        for order in orders:
            mine = [deal for deal in deals if (deal.member, deal.buys) == (order.member, buys)]
            assert sum(deal.wh for deal in mine) <= order.quantity
            if bounded:
                assert all((deal.price - order.price) * (-1 if buys else 1) >= 0 for deal in mine)
    assert all(epoch.terms.feed_in <= deal.price <= epoch.terms.retail for deal in deals)


BIDS, ASKS = (Order(260_000, 1_500, 3), Order(180_000, 1_500, 4)), (Order(120_000, 1_000, 1), Order(200_000, 1_000, 2))


@pytest.mark.parametrize(
    ("deals", "message"),
    [
        ([Deal(3, True, 500, 270_000), Deal(1, False, 500, 270_000)], "member 3 bid no more than 260000"),
        ([Deal(3, True, 500, 110_000), Deal(1, False, 500, 110_000)], "member 1 asked for 120000 or more"),
        ([Deal(3, True, 500, 200_000), Deal(1, False, 400, 200_000)], "500 Wh are bought, but 400 Wh are sold"),
        ([Deal(3, True, 500, 200_000)], "500 Wh are bought, but 0 Wh are sold"),
        (
            [Deal(3, True, 900, 200_000), Deal(3, True, 700, 200_000), Deal(1, False, 1_600, 200_000)],
            "member 3 ordered 1500 Wh in all",
        ),
        ([Deal(3, True, 500, 180_000), Deal(1, False, 500, 200_000)], "buyers pay 90000.000 .* sellers get 100000.000"),
        ([Deal(3, True, 500, 250_000), Deal(1, False, 500, 200_000)], "buyers pay 125000.000"),
        ([Deal(3, False, 500, 200_000)], "member 3 gave no ask"),
        ([Deal(9, True, 500, 200_000)], "member 9 gave no bid"),
        ([Deal(3, True, 0, 200_000)], "whole number from 1"),
        ([Deal(3, True, 500, 2e5)], "whole number from 1"),  # type: ignore[arg-type]
        ([("3", True, 500, 200_000)], "is no deal"),
    ],
)
def test_a_rule_of_ones_own_deals_only_what_can_be(deals: list[Deal], message: str) -> None:
    with pytest.raises(RuleInfeasibleError, match=message):
        require_feasible(deals, BIDS, ASKS, within_limits=True)
    with pytest.raises(RuleInfeasibleError, match=f"market rule mine, in epoch 2 of 2: .*{message}"):
        compare(
            [Epoch({}, {}, TERMS), EPOCH], LIMITS, LIMITS, {"mine": OwnRule(lambda bids, *_: deals if bids else [])}
        )


def test_the_knifes_edge_by_hand() -> None:
    # Asks of 1,000 Wh at 120,000 and 200,000 meet just the bids of 1,000 Wh at 260,000 and 240,000. With a Wh less of
    # either, a Wh of the second bid is left over, below which the price cannot fall: 240,000 instead of 200,000.
    limits = {**LIMITS, 3: Limits(None, 260_000), 4: Limits(None, 240_000)}
    balanced = Epoch(surplus={1: 1_000, 2: 1_000}, need={3: 1_000, 4: 1_000}, terms=TERMS)
    uneven = Epoch(surplus={1: 1_000, 2: 1_000}, need={3: 1_000, 4: 1_500}, terms=TERMS)
    found = {each.rule: each for each in compare([balanced, uneven, Epoch({}, {}, TERMS)], limits, limits, edges=True)}
    assert [price for price, _ in found["auction"].by_epoch] == [200_000, 240_000, None]
    assert found["auction"].edges == [40_000, 0]
    assert found["last_pair"].edges == found["mid_market_rate"].edges == [0, 0]
    assert found["feed_in_only"].edges == []
    rows = {name: each.as_row() for name, each in found.items()}
    assert (rows["auction"]["one_wh_moves_share"], rows["auction"]["one_wh_moves_at_most"]) == (0.5, 40_000)
    assert (rows["feed_in_only"]["one_wh_moves_share"], rows["feed_in_only"]["one_wh_moves_at_most"]) == (None, None)
    unasked = compare([balanced], limits, limits)[1]
    assert unasked.edges is None
    assert unasked.as_row()["one_wh_moves_at_most"] is None


def test_an_ask_of_one_wh_may_go_altogether() -> None:
    alone = Epoch(surplus={1: 1}, need={3: 1}, terms=TERMS)
    assert [each.edges for each in compare([alone], LIMITS, LIMITS, edges=True)][1:] == [[0]] * (len(RULES) - 1)


def test_limits_may_be_each_epochs_own() -> None:
    dear, nobody = LIMITS | {3: Limits(sell_at=None, buy_at=250_000)}, dict[int, Limits]()
    each = {rule.rule: rule.by_epoch for rule in compare([EPOCH] * 3, [LIMITS, dear, nobody], LIMITS)}
    assert each["pay_as_bid"] == [(260_000, 1_500), (250_000, 1_500), (None, 0)]
    of_all = compare([EPOCH] * 3, LIMITS, LIMITS)
    assert of_all == compare([EPOCH] * 3, [LIMITS] * 3, LIMITS)
    with pytest.raises(ValueError, match="shorter"):
        compare([EPOCH] * 3, [LIMITS] * 2, LIMITS)


def test_without_a_promise_limits_may_be_passed_and_prices_are_rounded_in_the_departments_favour() -> None:
    beyond = [Deal(3, True, 500, 270_000), Deal(1, False, 500, 270_000)]
    require_feasible(beyond, BIDS, ASKS, within_limits=False)
    rounded = [Deal(3, True, 3, 200_000), Deal(1, False, 1, 199_999), Deal(2, False, 2, 200_000)]
    require_feasible(rounded, BIDS, ASKS, within_limits=True)


@given(st.data())
def test_the_rules_that_stand_pass_the_check_of_ones_own(data: st.DataObject) -> None:
    price = st.none() | st.integers(100_000, 300_000)
    limits = {
        member: Limits(sell_at=data.draw(price), buy_at=data.draw(price))
        for member in range(data.draw(st.integers(1, 6)))
    }
    amounts = st.dictionaries(st.sampled_from(sorted(limits)), st.integers(0, 5_000))
    epoch = Epoch(data.draw(amounts), data.draw(amounts), TERMS)
    own = {f"own {name}": OwnRule(rule, rule not in WITHOUT_LIMITS) for name, rule in RULES.items()}
    found = compare([epoch], limits, limits, own)
    for built_in, again in zip(found, found[len(RULES) :], strict=False):
        assert again.rule == f"own {built_in.rule}"
        assert (again.paid, again.gains, again.by_epoch) == (built_in.paid, built_in.gains, built_in.by_epoch)
