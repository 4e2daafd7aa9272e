"""The indicators by examples that were worked out by hand."""

from __future__ import annotations

from authority.market.clearing import buyer_pays, seller_gets, seller_gross
from authority.measures.indicators import (
    Balance,
    Flow,
    Prices,
    Rounding,
    co2_g,
    gini,
    peak_w,
    rounding_of_ask,
    rounding_of_bid,
    share,
    without_market,
)

DAY = [
    Flow(consumption=100),  # night: all from the grid
    Flow(generation=300, consumption=100, charge=150),  # noon: 150 into the battery, 50 to the grid
    Flow(consumption=200, discharge=120),  # evening: 120 from the battery, 80 from the grid
]


def test_self_sufficiency_and_self_consumption_of_a_day_with_a_battery() -> None:
    balance = Balance.of(DAY)
    assert balance == Balance(generation=300, consumption=400, used_locally=220, imported=180, exported=50)
    assert balance.self_sufficiency == 0.55  # (0 + 100 + 120) / 400
    assert balance.self_consumption == 0.733333  # 220 / 300: 50 were exported, 30 the battery lost


def test_gsy_es_worked_example() -> None:
    """Grid Singularity's, for its own simulator: gridsingularity.github.io/gsy-e/self-sufficiency-self-consumption.

    House 1 has a panel (10 kWh), a storage and a load, house 2 a load. Of the panel's energy 1 kWh goes to the house's
    own load, 5 kWh into its storage and 4 kWh to house 2; of the storage's 2 kWh to its own load and 3 kWh to house 2.
    """
    one = [
        Flow(generation=10_000, consumption=1_000, charge=5_000),
        Flow(consumption=2_000, discharge=5_000),
    ]
    two = [Flow(consumption=4_000), Flow(consumption=3_000)]
    house = Balance.of(one)
    assert (house.used_locally, house.self_sufficiency, house.self_consumption) == (3_000, 1.0, 0.3)
    grid = Balance.of([mine + theirs for mine, theirs in zip(one, two, strict=True)])
    assert (grid.used_locally, grid.self_sufficiency, grid.self_consumption) == (10_000, 1.0, 1.0)


def test_co2_is_of_what_the_grid_delivers() -> None:
    assert co2_g(Balance.of(DAY), 380) == (68, 84)  # 180 Wh drawn: 68.4 g; 400 Wh used: 152 g
    loaded_from_the_grid = Balance.of([Flow(consumption=1_000, charge=500)])
    assert co2_g(loaded_from_the_grid, 400) == (600, -200)
    assert co2_g(Balance.of([]), 380) == (0, 0)


def test_a_battery_that_is_charged_from_the_grid_is_not_used_locally() -> None:
    balance = Balance.of([Flow(generation=50, consumption=100, charge=80)])
    assert (balance.used_locally, balance.imported) == (0, 130)


def test_two_that_complement_each_other_are_sufficient_together() -> None:
    one, other = Flow(generation=200, consumption=50), Flow(consumption=150)
    assert Balance.of([one, other]).self_sufficiency == 0.25
    assert Balance.of([one + other]).self_sufficiency == 1.0


def test_without_generation_there_is_no_share_of_it() -> None:
    assert Balance.of([Flow(consumption=5)]).self_consumption is None
    assert share(1, 3) == 0.333333


def test_peaks_are_mean_power() -> None:
    assert peak_w(DAY, 900, imported=True) == 400  # 100 Wh in a quarter of an hour
    assert peak_w(DAY, 900, imported=False) == 200
    assert peak_w([], 900, imported=True) == 0


def test_price_level_and_volatility() -> None:
    # (200 x 1 + 260 x 3) / 4; deviations of 200, 260, 230 from 230 are 30, 30, 0; steps are 60 and 30
    prices = Prices.of([(200, 1), (260, 3), (230, 0)])
    assert (prices.epochs, prices.mean, prices.lowest, prices.highest) == (3, 245.0, 200, 260)
    assert prices.deviation == 24.494897  # the square root of 600
    assert prices.mean_step == 45.0
    assert Prices.of([(7, 2)]) == Prices(1, 7.0, 7, 7, 0.0, None)
    assert Prices.of([]) == Prices(0, None, None, None, None, None)


def test_gini() -> None:
    assert gini([5, 5, 5]) == 0.0
    assert gini([0, 0, 0, 8]) == 0.75  # one of n has all: 1 - 1 / n
    assert gini([3, 1]) == 0.25  # |3 - 1| twice over 2 x 2 x 4
    assert gini([1, -1]) is None
    assert gini([5, -1, 2]) is None, "with one who loses it could be any number from 0 up"
    assert gini([0, 0]) is None
    assert gini([]) is None


def test_without_a_market_each_price_is_rounded_once() -> None:
    spans = [(3, 0, 300_001, 80_000), (4, 0, 300_001, 80_000), (0, 10, 300_001, 80_000), (1, 0, 500_500, 80_000)]
    # 7 Wh x 300001 / 1000 = 2100.007, 1 Wh x 500500 / 1000 = 500.5; 10 Wh x 80000 / 1000 = 800
    assert without_market(spans) == 2_100 + 500 - 800


def test_rounding_of_a_trade() -> None:
    wh, price, wheeling, fee_bps = 7, 123_457, 20_000, 100
    paid = buyer_pays(wh, price, wheeling)  # 1004.199 up to 1005
    assert rounding_of_bid(wh, price, wheeling, paid) == Rounding(buyers=801)
    gross = seller_gross(wh, price)  # 864.199 down to 864; 1 % of it is 8.64, down to 8
    fee = gross - seller_gets(wh, price, fee_bps)
    assert rounding_of_ask(wh, price, fee_bps, gross, fee) == Rounding(sellers=199, fees=640)
    assert Rounding(buyers=801) + Rounding(sellers=199, fees=640) == Rounding(801, 199, 640)
