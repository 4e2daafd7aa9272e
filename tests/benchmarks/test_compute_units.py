"""The programs' compute units stay within their budgets, and within 2 % of the committed baseline."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # compute_units

import compute_units

BUDGETS = {
    "reading": 2_400,
    "reading_fixed": 1_200,
    "settle_surplus": 7_000,
    "place_best": 3_500,
    "place_worst": 16_000,
    "cancel": 3_500,
    "clear_per_order": 220,
    "settle_order": 3_500,
}


@pytest.fixture(scope="module")
def measured() -> dict[str, int]:
    return compute_units.measure()["litesvm"]


@pytest.mark.parametrize("operation", BUDGETS)
def test_no_operation_costs_more_than_its_budget(measured: dict[str, int], operation: str) -> None:
    assert measured[operation] <= BUDGETS[operation]


@pytest.mark.parametrize("operation", BUDGETS)
def test_no_operation_costs_more_than_it_did(measured: dict[str, int], operation: str) -> None:
    baseline = json.loads(compute_units.BASELINE.read_text())["litesvm"][operation]
    assert measured[operation] * 100 <= baseline * 102, "dearer than the baseline: save it, or compute_units.py --write"
