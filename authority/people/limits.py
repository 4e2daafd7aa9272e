"""How often one may: a bucket for each address or person, filled again with time."""

from __future__ import annotations

import time
from collections.abc import Callable

from authority.people.errors import SignInClosedError
from authority.tries import Tries


class Bucket:
    """At most `tries` at once by one name, and one more for each `seconds` that pass. For any thread.

    `what` tells it from other buckets of the same table.
    """

    def __init__(
        self, table: Tries, what: str, tries: int, seconds: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._table, self._what, self._monotonic = table, what, monotonic
        self._tries, self._seconds = tries, seconds

    def wait(self, name: str) -> float:
        """Count a try: 0, or the seconds until there is one again."""
        return self._table.take(f"{self._what}:{name}", self._seconds, self._tries * self._seconds, self._monotonic())

    def give_back(self, name: str, tries: int = 1) -> None:
        """Count tries no more that were counted."""
        self._table.give_back(f"{self._what}:{name}", tries * self._seconds)


class AddressLimit:
    """How often one address may try to get in: at most `tries` at once, and one more for each `seconds` that pass.

    Who gets in has its try given back, since behind one address there may be a house full of people who know their
    passwords. However they end, an address has MOST_AT_ONCE tries at once, and one more for each MOST_SECONDS.
    """

    MOST_AT_ONCE, MOST_SECONDS = 300, 1.0

    def __init__(
        self,
        table: Tries,
        what: str,
        tries: int = 30,
        seconds: float = 10.0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failing, self._seconds = Bucket(table, f"{what} failing", tries, seconds, monotonic=monotonic), seconds
        self._all = Bucket(table, f"{what} all", self.MOST_AT_ONCE, self.MOST_SECONDS, monotonic=monotonic)

    def take(self, address: str) -> None:
        """Count a try; SignInClosedError where there is none left."""
        if self._failing.wait(address) > 0:
            raise SignInClosedError(int(self._seconds) + 1)
        if self._all.wait(address) > 0:
            self._failing.give_back(address)
            raise SignInClosedError(int(self.MOST_SECONDS) + 1)

    def succeeded(self, address: str, tries: int = 1) -> None:
        """What was tried was right: it counts among all tries alone."""
        self._failing.give_back(address, tries)
