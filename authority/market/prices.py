"""The market's bounds, for whoever is about to give an order, and up to where buying is worth it."""

from __future__ import annotations

from typing import NamedTuple

from authority.app import App
from authority.chain import programs
from authority.chain.accounts import Config, Parameters
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.home.settings import ParameterSettings


class MarketPrices(NamedTuple):
    """Micro-credits per kWh: the market's lowest price (feed-in) and its highest (retail).

    worth_up_to is the greatest limit of a bid at which energy costs no more than the grid's: wheeling comes on top of
    the market's price, not of the grid's. least_wh is the least that an order may have.
    """

    lowest: int
    highest: int
    worth_up_to: int
    wheeling: int
    least_wh: int
    fee_bps: int


def market_prices(app: App) -> MarketPrices:
    """Governance's prices on the chain, or the home's where no validator answers.

    Where a change is staged, the wider bounds of both, so that an order for later is not refused.
    """
    parameters = app.home.settings.parameters
    client = ChainClient(app.home.rpc_url, attempts=1, timeout=3)
    try:
        config = client.account(Config, programs.config_address())
    except ChainError:
        config = None
    finally:
        client.close()
    if config is None:
        return prices_of(parameters)
    known = [config.parameters, *([config.staged] if config.staged_from else [])]
    lowest, highest = min(each.feed_in_price for each in known), max(each.retail_price for each in known)
    return prices_of(config.parameters)._replace(lowest=lowest, highest=highest)


def prices_of(parameters: Parameters | ParameterSettings) -> MarketPrices:
    """The prices that these parameters give."""
    return MarketPrices(
        lowest=parameters.feed_in_price,
        highest=parameters.retail_price,
        worth_up_to=parameters.retail_price - parameters.wheeling,
        wheeling=parameters.wheeling,
        least_wh=parameters.min_order_wh,
        fee_bps=parameters.fee_bps,
    )
