"""The alert rules and the dashboard speak of metrics that there are, and of every one that matters."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from status_facts import WELL

from authority.status.facts import AlertFacts
from authority.status.metrics import Metrics

DIRECTORY = Path(__file__).parents[3] / "authority/monitoring"
OPERATIONS = (Path(__file__).parents[3] / "docs/OPERATIONS.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def metrics() -> set[str]:
    """The names of all metrics."""
    facts = replace(WELL, held_by_code={"x": 1}, alerts=(AlertFacts("X", "x", 1, 1),))
    return set(re.findall(r"^# TYPE (\w+) gauge$", Metrics(lambda: facts).text().decode(), re.MULTILINE))


@pytest.mark.parametrize("name", ["campus-alerts.yml", "campus-dashboard.json"])
def test_every_metric_that_is_spoken_of_is_there(name: str, metrics: set[str]) -> None:
    text = (DIRECTORY / name).read_text(encoding="utf-8")
    spoken_of = set(re.findall(r"\bcampus_\w+", text))
    assert spoken_of
    assert spoken_of <= metrics
    assert f"authority/monitoring/{name}" in OPERATIONS


def test_what_needs_a_person_has_a_rule(metrics: set[str]) -> None:
    rules = (DIRECTORY / "campus-alerts.yml").read_text(encoding="utf-8")
    shown_alone = {"campus_problems", "campus_chain_slot", "campus_gateway_online"}
    assert metrics - set(re.findall(r"\bcampus_\w+", rules)) == shown_alone


def test_the_dashboard_is_one() -> None:
    dashboard = json.loads((DIRECTORY / "campus-dashboard.json").read_text(encoding="utf-8"))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) > 10
