"""The benchmarks that share a campus or a store run to their end on a small one and print their figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("words", "figures"),
    [
        ("stored_bytes.py --members 2 --epochs 1", {"gigabytes_a_year", "gigabytes_a_year_pruned", "pruned"}),
        ("settlement.py --meters 6 --epochs 3", {"epoch", "rss_mib", "validator_start"}),
        pytest.param(
            "flows.py --only F1_campus F3 --by pointer",
            {"flows"},
            marks=pytest.mark.skipif(CHROMIUM is None, reason="no chromium"),
            id="flows",
        ),
        ("intake.py --quick --meters 10 --only sqlite", {"sqlite", "raw_per_cpu_second"}),
    ],
    ids=lambda value: value.partition(".")[0] if isinstance(value, str) else "",
)
def test_it_runs_and_prints_its_figures(words: str, figures: set[str]) -> None:
    name, *options = words.split()
    done = subprocess.run([sys.executable, HERE / name, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    assert figures <= json.loads(done.stdout).keys()
