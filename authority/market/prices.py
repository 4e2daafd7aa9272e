"""The market's bounds, for whoever is about to give an order: its lowest and its highest price."""

from __future__ import annotations

from authority.app import App
from authority.chain import programs
from authority.chain.accounts import Config
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError


def market_prices(app: App) -> tuple[int, int]:
    """The market's lowest and highest price: governance's on the chain, or the home's where no validator answers.

    Where a change is staged, the wider of both, so that an order for later is not refused.
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
        return parameters.feed_in_price, parameters.retail_price
    known = [config.parameters, *([config.staged] if config.staged_from else [])]
    return min(each.feed_in_price for each in known), max(each.retail_price for each in known)
