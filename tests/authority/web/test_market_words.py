"""What the market's page says of a range of books in a sentence."""

import pytest

from authority.api.market import MarketStep
from authority.web.market_pages import sentence


def books(**found):
    nothing = {"traded_wh": 0, "price_micro_credits_per_kwh": None}
    prices = {"lowest_price_micro_credits_per_kwh": None, "highest_price_micro_credits_per_kwh": None}
    when = {"starts_at": 0, "ends_at": 900, "starts": "1970-01-01T00:00:00+00:00"}
    return MarketStep(**{**when, "epochs": 3, "epochs_known": 3, "epochs_withheld": 0, **nothing, **prices, **found})


@pytest.mark.parametrize("traded_wh", [0, None])
def test_a_range_whose_only_trades_are_left_out_is_not_said_to_have_none(traded_wh):
    assert sentence(books(traded_wh=traded_wh, epochs_withheld=1)).startswith("Members traded, but so few")


def test_a_range_without_trades_and_one_without_figures():
    assert sentence(books()) == "Nothing was traded."
    assert sentence(books(traded_wh=None)) == "There are no figures for this time."
