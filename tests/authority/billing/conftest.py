"""Fixtures of billing's tests: the campus of settlement's, on the embedded validator with the real programs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from billing_campus import command_of

_SETTLEMENT = Path(__file__).parents[1] / "settlement" / "conftest.py"
_spec = importlib.util.spec_from_file_location("campus_of_settlement", _SETTLEMENT)
assert _spec is not None
assert _spec.loader is not None
settlement = importlib.util.module_from_spec(_spec)
sys.modules["campus_of_settlement"] = settlement
_spec.loader.exec_module(settlement)

campus = settlement.campus
make_campus = settlement.make_campus


@pytest.fixture
def billing(campus: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs `authority billing ... --json`, and gives what it printed; its exit status must be the one given."""
    return command_of(campus, capsys)


proxy = settlement.proxy
