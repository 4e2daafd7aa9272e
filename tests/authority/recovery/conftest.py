"""Fixtures of the recovery's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from recovery_campus import RecoveryCampus
from whole_campus import ValidatorProcess


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[RecoveryCampus]:
    """A campus on a validator process, with a market that has run for two epochs."""
    made = RecoveryCampus(tmp_path, ValidatorProcess)
    try:
        made.next_epoch()
        made.start_market()
        worker = made.worker()
        made.run_epoch(worker, moving=False)
        made.run_epoch(worker)
        yield made
    finally:
        made.close()
