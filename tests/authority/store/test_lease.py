"""Leases: one owner at a time, renewal, loss, and taking over from the dead."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from authority.app import App
from authority.store import lease as lease_module
from authority.store.lease import Lease, LeaseError, this_process
from authority.store.leases import Lease as LeaseRow


def ignore() -> None:
    pass


def test_one_owner_at_a_time(app: App) -> None:
    first = Lease(app.store, app.clock, "settlement", lost=ignore)
    first.acquire()
    with app.store.write() as session:  # as another living process would have left it
        session.get_one(LeaseRow, "settlement").owner = "elsewhere boot ns 1 1"
    second = Lease(app.store, app.clock, "settlement", lost=ignore)
    with pytest.raises(LeaseError, match="elsewhere") as caught:
        second.acquire()
    assert caught.value.code == "lease_held"
    Lease(app.store, app.clock, "another", lost=ignore).acquire()
    first.release()


def test_a_released_lease_is_free_and_the_term_rises(app: App) -> None:
    terms = []
    for _ in range(3):
        lease = Lease(app.store, app.clock, "settlement", lost=ignore)
        lease.acquire()
        terms.append(lease.term)
        lease.release()
    assert terms == [1, 2, 3]


def test_a_distant_owners_lease_ends_by_itself(app: App) -> None:
    with app.store.write() as session:
        session.add(LeaseRow(name="settlement", owner="elsewhere boot ns 1 1", term=4, expires_at=app.clock() + 10))
    with pytest.raises(LeaseError):
        Lease(app.store, app.clock, "settlement", lost=ignore).acquire()
    app.clock.now += 10  # type: ignore[attr-defined]
    lease = Lease(app.store, app.clock, "settlement", lost=ignore)
    lease.acquire()
    assert lease.term == 5
    lease.release()


def test_a_dead_process_of_this_machine_is_followed_at_once(app: App) -> None:
    code = "from authority.store.lease import this_process; print(this_process())"
    owner = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert owner != this_process()
    with app.store.write() as session:
        session.add(LeaseRow(name="settlement", owner=owner, term=1, expires_at=app.clock() + 1_000))
    lease = Lease(app.store, app.clock, "settlement", lost=ignore)
    lease.acquire()
    lease.release()


def test_a_living_process_of_this_machine_is_not(app: App) -> None:
    code = "from authority.store.lease import this_process; print(this_process(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        owner = other.stdout.readline().strip()
        with app.store.write() as session:
            session.add(LeaseRow(name="settlement", owner=owner, term=1, expires_at=app.clock() + 1_000))
        with pytest.raises(LeaseError):
            Lease(app.store, app.clock, "settlement", lost=ignore).acquire()
        other.communicate("\n")


def test_its_owner_renews_it_and_learns_of_its_loss(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.01)
    lost = threading.Event()
    lease = Lease(app.store, app.clock, "settlement", lost=lost.set)
    lease.acquire()
    clock: Any = app.clock
    clock.now += 20
    expected = clock.now + lease_module.LEASE_SECONDS

    def expires() -> int:
        with app.store.read() as session:
            return session.get_one(LeaseRow, "settlement").expires_at

    while expires() != expected:
        pass
    assert not lost.is_set()
    with app.store.write() as session:
        session.get_one(LeaseRow, "settlement").term += 1
    assert lost.wait(60)
    lease.release()
    assert expires() == expected  # not ours to free any more


def test_where_the_store_is_away_for_long_its_owner_stops_and_needs_no_store_for_it(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.01)
    lost = threading.Event()
    lease = Lease(app.store, app.clock, "settlement", lost=lost.set)
    lease.acquire()

    @contextmanager
    def away() -> Iterator[None]:
        raise OperationalError("BEGIN", None, Exception("the server has gone"))
        yield

    monkeypatch.setattr(type(app.store), "write", lambda _store: away())
    assert not lost.wait(0.2), "it may come back"
    app.clock.now += lease_module.LEASE_SECONDS  # type: ignore[attr-defined]
    assert lost.wait(60)
    lease.release()
    told = [record.getMessage() for record in caplog.records]
    assert any("a lease is lost" in each for each in told)
    assert any("ends by itself" in each for each in told)
