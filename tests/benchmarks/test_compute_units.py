"""The programs' compute units stay within their budgets, and within 2 % of the committed baseline; on Agave too."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # compute_units

import agave_units
import compute_units
from agave_validator import AgaveUnavailableError

BUDGETS = {
    "reading": 2_400,
    "reading_fixed": 1_200,
    "settle_surplus": 5_500,
    "place_best": 1_500,
    "place_worst": 6_000,
    "cancel_worst": 3_000,
    "clear_and_pay_per_order": 260,
}
WITH_OLDER_TOKEN = BUDGETS | {"settle_surplus": 10_500}
ONE_TRANSACTION = 1_400_000
on_agave = [pytest.mark.agave, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def all_measured() -> dict[str, dict[str, int]]:
    return compute_units.measure()


@pytest.fixture(scope="module")
def measured(all_measured: dict[str, dict[str, int]]) -> dict[str, int]:
    return all_measured["litesvm"]


def test_the_largest_book_is_cleared_and_paid_in_one_transaction(all_measured: dict[str, dict[str, int]]) -> None:
    """4,096 orders a side, the worst of them."""
    assert all_measured["litesvm_more"]["clear_and_pay_4096_and_4096"] <= ONE_TRANSACTION


@pytest.mark.parametrize("operation", BUDGETS)
def test_no_operation_costs_more_than_its_budget(measured: dict[str, int], operation: str) -> None:
    assert measured[operation] <= BUDGETS[operation]


@pytest.mark.parametrize("operation", BUDGETS)
def test_no_operation_costs_more_than_it_did(measured: dict[str, int], operation: str) -> None:
    baseline = json.loads(compute_units.BASELINE.read_text())["litesvm"][operation]
    assert measured[operation] * 100 <= baseline * 102, "dearer than the baseline: save it, or compute_units.py --write"


@pytest.fixture(scope="module")
def measured_on_agave(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    try:
        return agave_units.measure(tmp_path_factory.mktemp("units"))
    except AgaveUnavailableError as reason:
        pytest.skip(f"not measured on Agave: {reason}")


@pytest.mark.parametrize("operation", [pytest.param(name, marks=on_agave) for name in WITH_OLDER_TOKEN])
def test_no_operation_costs_more_than_its_budget_with_the_older_token(
    measured_on_agave: dict[str, int], operation: str
) -> None:
    assert measured_on_agave[operation] <= WITH_OLDER_TOKEN[operation]


@pytest.mark.parametrize("operation", [pytest.param(name, marks=on_agave) for name in WITH_OLDER_TOKEN])
def test_no_operation_costs_more_on_agave_than_it_did(measured_on_agave: dict[str, int], operation: str) -> None:
    baseline = json.loads(compute_units.BASELINE.read_text())["agave"]
    assert baseline is not None, "the baseline was written where Agave could not run: compute_units.py --write"
    assert measured_on_agave[operation] * 100 <= baseline[operation] * 102


@pytest.mark.parametrize("operation", [name for name in BUDGETS if name not in ("settle_surplus", "cancel_worst")])
def test_where_no_tokens_move_both_validators_count_the_same(operation: str) -> None:
    """Of the cancellations fewer are tried on Agave, so that the dearest there may be another one."""
    baseline = json.loads(compute_units.BASELINE.read_text())
    assert baseline["agave"][operation] == baseline["litesvm"][operation]
