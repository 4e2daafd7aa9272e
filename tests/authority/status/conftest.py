"""Fixtures of the status tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from campus_fixtures import campus
from whole_campus import Campus

from authority.cli import main

__all__ = ["campus"]


@dataclass(frozen=True)
class Traded:
    """A bundle of a campus that traded for some epochs, and what its members were minted (Wh)."""

    bundle: Path
    receipt_key: bytes
    minted_wh: int


@pytest.fixture(scope="session")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Traded:
    """A baseline, three epochs with trade, and a signed checkpoint, in a bundle; campus and validator are gone."""
    directory = tmp_path_factory.mktemp("traded")
    made = Campus(directory)
    try:
        made.next_epoch()
        made.start_market()
        worker = made.worker()
        made.run_epoch(worker, moving=False)
        for _ in range(3):
            made.run_epoch(worker)
        made.next_epoch()
        worker.settle_down()
        home = ["--home", str(made.home_path)]
        assert main(["audit", *home, "checkpoint", "--out", str(directory / "checkpoint")]) == 0
        bundle = directory / "bundle"
        assert main(["audit", *home, "export", "--bundle", str(bundle), "--url", made.validator.url]) == 0
        minted = sum(made.energy(name).minted for name in "ABCD")
        receipt_key = bytes(made.home.receipt_key.pubkey())
    finally:
        made.close()
    return Traded(bundle, receipt_key, minted)
