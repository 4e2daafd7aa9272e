"""Fixtures of the trading program's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from trading_world import TradingWorld


@pytest.fixture
def world() -> Iterator[TradingWorld]:
    """A market with the current epoch's book open; its tokens must conserve when the test is over."""
    world = TradingWorld()
    world.open()
    yield world
    world.check()
