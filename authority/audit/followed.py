"""A log in the store that tells how far its leaves were taken, for whoever waits for an audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from authority.audit.verify import BATCH, StoreLog
from authority.log.log import Leaf


@dataclass(frozen=True)
class FollowedLog(StoreLog):
    """The same log; tell is called with how many leaves were taken, and how many there are."""

    tell: Callable[[int, int], None]

    @classmethod
    def follow(cls, log: StoreLog, tell: Callable[[int, int], None]) -> FollowedLog:
        """Another log that tells."""
        return cls(log.session, log.length, log.last_signed, log.frontier, tell)

    def leaves_from(self, start: int) -> Iterator[Leaf]:
        """The leaves from one on; tells after each batch, and at the end."""
        for taken, leaf in enumerate(super().leaves_from(start), start=start):
            if taken % BATCH == 0:
                self.tell(taken, self.length)
            yield leaf
        self.tell(self.length, self.length)
