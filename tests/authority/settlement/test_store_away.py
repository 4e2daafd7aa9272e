"""Settlement while its database goes and comes back: nothing is minted, sold or paid twice, and nothing is left out."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from whole_campus import Campus

from authority.audit.conservation import conservation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def campus(cluster, tmp_path):
    made = Campus(tmp_path, store_url=cluster.url)
    made.next_epoch()
    yield made
    made.close()


def wait_for(condition, thread):
    """Until it holds; pytest's own time limit ends a test in which it never does."""
    while not condition():
        assert thread.is_alive()
        time.sleep(0.05)


def test_the_database_is_lost_in_the_middle_of_epochs(campus, cluster, caplog):
    campus.start_market()
    worker = campus.worker()
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))

    def lose_it():
        """Long enough that the worker has met it."""
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            cluster.stop()
            wait_for(lambda: "settlement waits" in caplog.text, thread)
            cluster.start()

    thread.start()
    try:
        campus.read_all(campus.epoch * 60, moving=False)
        lose_it()
        wait_for(lambda: campus.energy("A").boundary, thread)
        boundary = campus.next_epoch()
        campus.read_all(boundary)
        wait_for(lambda: campus.state("A.solar").interval_end == boundary, thread)
        lose_it()
        wait_for(lambda: (book := campus.book(boundary // 60)) is not None and book.bid_count == 2, thread)
        wait_for(lambda: (book := campus.book(boundary // 60)) is not None and book.ask_count == 2, thread)
        campus.next_epoch()
        lose_it()
        wait_for(lambda: campus.balances() == campus.after_one_market(), thread)
    finally:
        stop.set()
        thread.join()
    assert conservation(campus.client).ok
    assert campus.audit() == 0
