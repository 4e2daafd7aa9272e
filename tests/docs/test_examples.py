"""The examples of docs/examples that no test of what they are examples of runs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from authority.simulation.campus_home import start_of
from authority.simulation.errors import ProfileInvalidError
from authority.simulation.scenario import Scenario
from authority.simulation.simulation import Request

EXAMPLES = Path(__file__).parents[2] / "docs/examples"


def test_measured_days_are_profiles_that_a_simulation_takes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, EXAMPLES / "measured_days.py", tmp_path / "days"], check=True, timeout=60)
    scenario = Scenario.load(tmp_path / "days/scenario.toml")
    request = Request(13, 4, 4, 1, start_of("2016-07-21"), scenario)
    assert {member.name for member in request.campus().members} == set(scenario.profiles)
    noon = (
        start_of("2016-07-21") + 11 * 3_600
    )  # 12:00 in the rows, of which the first two columns are 87,252 and 44,214 W
    profile = scenario.profiles["Dormitory 01"]
    (row,) = (line for line in (tmp_path / "days/dormitory.csv").read_text().splitlines() if "21T12:00:00+" in line)
    assert profile.at(noon) == tuple(1_000 * int(float(wh) * 4) // 4 for wh in reversed(row.split(",")[1:]))
    with pytest.raises(ProfileInvalidError, match="covers 2016-07-20 23:00 UTC to 2016-08-03 23:00 UTC"):
        replace(request, days=14).campus()
