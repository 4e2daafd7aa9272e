"""What every process of the authority opens at its start: the home, the store and a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from authority.home.clock import clock_of
from authority.home.home import Home
from authority.store import Store
from authority.tries import Tries

Clock = Callable[[], int]
"""Unix seconds now."""


def system_clock() -> int:
    """The machine's clock, in whole Unix seconds."""
    return int(time.time())


@dataclass(frozen=True)
class App:
    """An opened authority. Close the store when done. tries: what is counted of those who come too often."""

    home: Home
    store: Store
    clock: Clock = system_clock
    tries: Tries = field(default_factory=Tries)

    @classmethod
    def open(
        cls, path: Path, clock: Clock | None = None, *, process: str | None = None, tries: Tries | None = None
    ) -> App:
        """Open the home at `path` and its store, migrated, and tied to the home's network id.

        Without a clock, the home's own tells the time (authority.home.clock).
        A process that serves names itself, and gets its own keys alone; one of several has their `tries`.
        Raises HomeError and StoreError.
        """
        home = Home.open(path, process)
        seconds = clock_of(home.path)
        store = Store.open(home.store_url)
        store.claim(home.network_id)
        return cls(home, store, clock or (lambda: int(seconds())), tries or Tries())
