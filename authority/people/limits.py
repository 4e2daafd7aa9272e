"""How often one address may try: a bucket of tries for each, filled again with time. In memory, for one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from authority.people.errors import SignInClosedError

MOST_ADDRESSES = 10_000


class AddressLimit:
    """At most `tries` at once from one address, and one more for each `seconds` that pass. For any thread."""

    def __init__(
        self, tries: int = 30, seconds: float = 10.0, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._tries, self._seconds, self._monotonic = tries, seconds, monotonic
        self._lock = threading.Lock()
        self._full_at: dict[str, float] = {}
        """When each address has all its tries again."""

    def take(self, address: str) -> None:
        """Count a try; SignInClosedError where there is none left."""
        now = self._monotonic()
        with self._lock:
            if len(self._full_at) >= MOST_ADDRESSES:
                self._full_at = {each: full for each, full in self._full_at.items() if full > now}
            full = max(now, self._full_at.get(address, now)) + self._seconds
            if full - now > self._tries * self._seconds:
                raise SignInClosedError(int(self._seconds) + 1)
            self._full_at[address] = full
