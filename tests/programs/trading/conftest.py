"""Fixtures of the trading program's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # trading_world

from trading_world import TradingWorld


@pytest.fixture
def world() -> Iterator[TradingWorld]:
    """A market with the current epoch's book open; its tokens must conserve when the test is over."""
    world = TradingWorld()
    world.open()
    yield world
    world.check()
