"""How often one may: a bucket for each address or person, filled again with time. In memory, for one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from authority.people.errors import SignInClosedError

MOST_NAMES = 10_000


class Bucket:
    """At most `tries` at once by one name, and one more for each `seconds` that pass. For any thread."""

    def __init__(self, tries: int, seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tries, self._seconds, self._monotonic = tries, seconds, monotonic
        self._lock = threading.Lock()
        self._full_at: dict[str, float] = {}
        """When each name has all its tries again."""

    def wait(self, name: str) -> float:
        """Count a try: 0, or the seconds until there is one again."""
        now = self._monotonic()
        with self._lock:
            if len(self._full_at) >= MOST_NAMES:
                self._full_at = {each: full for each, full in self._full_at.items() if full > now}
            full = max(now, self._full_at.get(name, now)) + self._seconds
            beyond = full - now - self._tries * self._seconds
            if beyond <= 0:
                self._full_at[name] = full
            return max(0.0, beyond)


class AddressLimit:
    """How often one address may try to get in: at most `tries` at once, and one more for each `seconds` that pass."""

    def __init__(
        self, tries: int = 30, seconds: float = 10.0, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._bucket, self._seconds = Bucket(tries, seconds, monotonic=monotonic), seconds

    def take(self, address: str) -> None:
        """Count a try; SignInClosedError where there is none left."""
        if self._bucket.wait(address) > 0:
            raise SignInClosedError(int(self._seconds) + 1)
