"""Leases: one collector, one settlement worker, one embedded validator per deployment, whoever starts them where.

A lease is a row with an owner and an end; its owner renews it well before. A process that was killed leaves its lease
behind: on the same machine (and in the same PID namespace) the next one sees that the owner is gone and takes over at
once, elsewhere it waits for the end. `term` rises with each owner.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from authority.errors import AuthorityError
from authority.store.engine import Store
from authority.store.leases import Lease as LeaseRow
from edge_agent.wire import processes
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)
LEASE_SECONDS = 30
RENEW_SECONDS = 5


class LeaseError(AuthorityError):
    """Something that only one process may do."""


class LeaseHeldError(LeaseError):
    """Another process runs this already."""

    code = "lease_held"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _place() -> str:
    """This boot of this machine and this PID namespace: where process numbers mean the same."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()} {_read('/proc/sys/kernel/random/boot_id')} {namespace}"


def this_process() -> str:
    """A name for this process that no other has had or will have."""
    pid = os.getpid()
    return f"{_place()} {pid} {processes.started(pid)}"


def _is_gone(owner: str) -> bool:
    """Whether an owner is certainly gone: it was here, and no process with its number and start is."""
    place, _, started = owner.rpartition(" ")
    place, _, pid = place.rpartition(" ")
    if place != _place() or not started or not pid.isdigit():
        return False
    return processes.started(int(pid)) != started


class Lease:
    """Holds a lease and renews it from a thread of its own, until `release` or the loss of it, which calls `lost`."""

    def __init__(self, store: Store, clock: Callable[[], int], name: str, *, lost: Callable[[], None]) -> None:
        self._store, self._clock = store, clock
        self._name = name
        self._owner = this_process()
        self._lost = lost
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.term = 0

    def acquire(self) -> None:
        """Take the lease; LeaseHeldError where a living or distant owner has it."""
        now = self._clock()
        try:
            with self._store.write() as session:
                row = session.scalar(select(LeaseRow).where(LeaseRow.name == self._name).with_for_update())
                if row is None:
                    row = LeaseRow(name=self._name, owner=self._owner, term=0, expires_at=0)
                    session.add(row)
                elif row.owner != self._owner and row.expires_at > now and not _is_gone(row.owner):
                    host = row.owner.split(" ", maxsplit=1)[0]
                    raise LeaseHeldError(
                        f"the {self._name} runs already, on {host}; stop it first, or wait {row.expires_at - now} s if "
                        "that machine is down",
                    )
                row.owner, row.term, row.expires_at = self._owner, row.term + 1, now + LEASE_SECONDS
                self.term = row.term
        except IntegrityError as error:
            raise LeaseHeldError(f"the {self._name} is being started by another process") from error
        self._thread = threading.Thread(target=self._renew, name=f"lease-{self._name}", daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        expires = self._clock() + LEASE_SECONDS
        while not self._stop.wait(RENEW_SECONDS):
            now = self._clock()
            try:
                with self._store.write() as session:
                    row = session.scalar(select(LeaseRow).where(LeaseRow.name == self._name).with_for_update())
                    mine = row is not None and (row.owner, row.term) == (self._owner, self.term)
                    if mine and row is not None:
                        row.expires_at = expires = now + LEASE_SECONDS
                why = "another process has taken it"
            except SQLAlchemyError:
                mine = now < expires - RENEW_SECONDS  # the store may come back before anybody else may take over
                why = "the store has been away for so long that another process may take it"
            if not mine:
                LOG.error("a lease is lost; stopping", lease=self._name, reason=why)
                self._lost()
                return

    def release(self) -> None:
        """Give the lease back, so that the next process starts at once; without the store it ends by itself."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        try:
            with self._store.write() as session:
                row = session.scalar(select(LeaseRow).where(LeaseRow.name == self._name).with_for_update())
                if row is not None and (row.owner, row.term) == (self._owner, self.term):
                    row.expires_at = 0
        except SQLAlchemyError as error:
            LOG.warning("a lease is not given back: it ends by itself", lease=self._name, reason=type(error).__name__)
