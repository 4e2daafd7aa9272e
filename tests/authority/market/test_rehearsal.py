"""A standing order rehearsed over steps that are worked out by hand."""

from authority.market.prices import MarketPrices
from authority.market.rehearsal import Rehearsal, Step, rehearse
from authority.market.standing_orders import StandingOrder

MARKET = MarketPrices(lowest=80_000, highest=300_000, worth_up_to=280_000, wheeling=20_000, least_wh=100, fee_bps=100)


def test_surplus_is_sold_where_the_price_reaches_the_limit_and_kept_until_then() -> None:
    order = StandingOrder(sell_at=150_000, reserve_wh=200)
    steps = [Step(500, 0, [140_000]), Step(700, 0, [200_000]), Step(50, 0, [200_000])]
    assert rehearse(order, steps, MARKET) == Rehearsal(1_000, 198_000), "the last is less than the least order"


def test_what_lacks_is_bought_at_or_below_the_limit() -> None:
    order = StandingOrder(buy_at=150_000)
    steps = [Step(0, 500, [200_000]), Step(0, 500, [150_000, 100_000])]
    assert rehearse(order, steps, MARKET) == Rehearsal(0, 0, 1_000, 170_000)


def test_whoever_buys_covers_its_own_use_first() -> None:
    order = StandingOrder(sell_at=100_000, buy_at=300_000)
    assert rehearse(order, [Step(600, 1_000, [200_000]), Step(700, 0, [200_000])], MARKET) == Rehearsal(
        700, 138_600, 400, 88_000
    )
    assert rehearse(StandingOrder(sell_at=100_000), [Step(600, 1_000, [200_000])], MARKET).sold_wh == 600


def test_what_is_fed_in_is_not_sold() -> None:
    order = StandingOrder(sell_at=200_000, feed_in_above_wh=300)
    assert rehearse(order, [Step(1_000, 0, [150_000]), Step(0, 0, [200_000])], MARKET).sold_wh == 300
    assert rehearse(order, [], MARKET) == Rehearsal()
