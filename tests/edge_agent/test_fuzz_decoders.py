"""A slice of the fuzzing of every decoder; fuzz_decoders.py runs all of it. FUZZ_SLICE=3/100 names another slice."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fuzz_decoders

TOTAL = 100_000_000


@pytest.mark.slow
def test_a_slice_of_damaged_bytes():
    index, slices = (int(part) for part in os.environ.get("FUZZ_SLICE", "1/50").split("/"))
    found = fuzz_decoders.run(TOTAL, index, slices)
    assert found["bytes"] >= TOTAL // slices
    assert found["cases"] > 1000
