"""The worker killed, the line cut, the validator restarted: the chain ends where it would have ended anyway."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select
from whole_campus import persist

from authority.audit.conservation import conservation
from authority.cli import main
from authority.home.settings import ValidatorSettings
from authority.store.log import Act
from authority.store.settlement import SettledSpan

REPOSITORY = Path(__file__).resolve().parents[3]
SLOW_SECONDS = 3
"""What a slow validator's answer takes; the worker waits a second less."""


def settlement_process(campus, url, *words):
    """`authority settlement` as it runs in service, on this campus by way of that URL."""
    campus.home.save(replace(campus.home.settings, validator=ValidatorSettings(url=url)))
    arguments = [sys.executable, "-m", "authority.cli", "settlement", *words, "--home", str(campus.home_path)]
    return subprocess.Popen(arguments, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


class Killer:
    """Kills the worker whenever it sends: in turn before anything goes on, when half has landed, and when all has."""

    def __init__(self):
        self.process = None
        self.started = threading.Event()  # the worker may send before start() has returned here
        self.sent = 0
        self.lock = threading.Lock()

    def __call__(self, request):
        if request["method"] != "sendTransaction":
            return "pass"
        with self.lock:
            self.sent += 1
            assert self.started.wait(60)
            turn = self.sent % 3
            if turn == 0:
                return self.process.kill
            self.process.kill()
            return "part" if turn == 2 and request["calls"] > 1 else "drop"


def run_until_done(campus, killer, url):
    """Start the worker again and again until it finds nothing more to do; how often it was killed.

    Each is forked from a server that has its modules loaded, so that a kill costs little.
    """
    campus.home.save(replace(campus.home.settings, validator=ValidatorSettings(url=url)))
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["authority.settlement.command"])
    for kills in range(150):
        process = forks.Process(target=main, args=(["settlement", "once", "--home", str(campus.home_path)],))
        killer.started.clear()
        process.start()
        killer.process = process
        killer.started.set()
        process.join()
        if process.exitcode == 0:
            return kills
        assert process.exitcode == -signal.SIGKILL
    raise AssertionError("the worker never came to an end")


@pytest.mark.slow
@pytest.mark.timeout(900)  # some fifty workers, one after the other
def test_killed_at_every_transaction(campus, proxy):
    campus.start_market()
    killer = Killer()
    url = proxy(killer).url
    campus.read_all(campus.epoch * 60, moving=False)
    kills = run_until_done(campus, killer, url)
    boundary = campus.next_epoch()
    campus.read_all(boundary)
    kills += run_until_done(campus, killer, url)
    campus.next_epoch()
    kills += run_until_done(campus, killer, url)
    assert kills >= 20
    assert campus.balances() == campus.after_one_market()
    assert conservation(campus.client).ok
    assert campus.audit() == 0
    with campus.app.store.read() as session:
        minted = session.scalars(select(func.sum(SettledSpan.minted_wh))).one()
        orders = session.scalars(select(Act).where(Act.kind == "place_order")).all()
    assert minted == 3_500
    assert {order.data["wallet"] for order in orders} == {str(wallet) for wallet in campus.wallets.values()}


def test_lost_requests_and_lost_answers_change_nothing(campus, proxy):
    campus.start_market()
    chance = random.Random(4)  # noqa: S311

    def judge(_):
        return chance.choices(("pass", "drop", "swallow", "part"), (75, 10, 10, 5))[0]

    worker = campus.worker(proxy(judge).url)
    campus.read_all(campus.epoch * 60, moving=False)
    persist(worker)
    campus.read_all(campus.next_epoch())
    persist(worker)
    campus.next_epoch()
    persist(worker)
    assert campus.balances() == campus.after_one_market()
    assert conservation(campus.client).ok
    assert campus.audit() == 0


def test_answers_that_come_later_than_the_worker_waits_change_nothing(campus, proxy):
    """Two of three times the validator has done what was sent, and is heard of it after the worker has given up."""
    campus.start_market()
    sent = itertools.count()
    late = []

    def judge(request):
        if request["method"] != "sendTransaction" or next(sent) % 3 == 2:
            return "pass"
        late.append(request["calls"])
        return lambda: time.sleep(SLOW_SECONDS)

    worker = campus.worker(proxy(judge).url, timeout=SLOW_SECONDS - 1)
    campus.read_all(campus.epoch * 60, moving=False)
    persist(worker)
    campus.read_all(campus.next_epoch())
    persist(worker)
    campus.next_epoch()
    persist(worker)
    assert len(late) > 6
    assert campus.balances() == campus.after_one_market()
    assert conservation(campus.client).ok
    assert campus.audit() == 0


def test_the_validator_is_killed_in_the_middle(killable):
    campus = killable
    campus.start_market()
    worker = campus.worker()
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        campus.read_all(campus.epoch * 60, moving=False)
        campus.validator.stop()
        campus.validator.start()
        wait_for(lambda: campus.energy("A").boundary)
        boundary = campus.next_epoch()
        campus.read_all(boundary)
        wait_for(lambda: campus.state("A.solar").interval_end == boundary)
        campus.validator.stop()
        campus.validator.start()
        wait_for(lambda: (book := campus.book(boundary // 60)) is not None and book.bid_count == 2)
        wait_for(lambda: (book := campus.book(boundary // 60)) is not None and book.ask_count == 2)
        campus.next_epoch()
        campus.validator.stop()
        campus.validator.start()
        wait_for(lambda: campus.balances() == campus.after_one_market())
    finally:
        stop.set()
        thread.join()
    assert conservation(campus.client).ok
    assert campus.audit() == 0


def wait_for(condition):
    """Until it holds; pytest's own time limit ends a test in which it never does."""
    while not condition():
        time.sleep(0.05)


def test_one_worker_at_a_time_and_a_clean_end(campus):
    first = settlement_process(campus, campus.validator.url)
    campus.read_all(campus.epoch * 60, moving=False)
    wait_for(lambda: campus.energy("A").boundary)
    second = settlement_process(campus, campus.validator.url, "once")
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 1
    assert "lease_held" in errors
    first.terminate()
    _, errors = first.communicate(timeout=120)
    assert first.returncode == 0, errors
    third = settlement_process(campus, campus.validator.url, "once")
    _, errors = third.communicate(timeout=120)
    assert third.returncode == 0, errors
