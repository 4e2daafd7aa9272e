"""Whole epochs on a real Agave validator: the same worker, the same end."""

from __future__ import annotations

import pytest

from authority.audit.conservation import conservation


@pytest.mark.agave
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whole_epochs_on_agave(agave_campus):
    campus = agave_campus
    campus.start_market()
    worker = campus.worker()
    campus.read_all(campus.epoch * campus.epoch_seconds, moving=False)
    worker.settle_down()
    metered = campus.run_epoch(worker)
    assert campus.book(metered + 1).ask_count == 2
    assert conservation(campus.client).ok
    assert campus.audit() == 0  # orders rest in a book
    campus.next_epoch()
    worker.settle_down()
    assert campus.balances() == campus.after_one_market()
    assert conservation(campus.client).ok
    assert worker.journal.epoch(metered).state == "checkpointed"
    assert campus.audit() == 0  # log and chain agree in everything, down to every account and seat
