"""One view of the campus for many readers: made at most once a second however many ask, and streamed on change."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

from authority.api.campus import Campus, CampusSource
from authority.errors import AuthorityError


class TooManyStreamsError(AuthorityError):
    """Every place for an event stream is taken."""

    code = "too_many_streams"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} event streams are open already; read /api/v1/campus instead, or come back")


class CampusFeed:
    """The source's newest view, shared by all requests of this process.

    held: why the view stays as it is, which it then says as its notice; None where it does not stay.
    """

    def __init__(
        self,
        source: CampusSource,
        *,
        history: int = 96,
        interval: float = 1.0,
        heartbeat: float = 5.0,
        streams: int = 32,
        monotonic: Callable[[], float] = time.monotonic,
        held: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.heartbeat, self.streams, self._interval = heartbeat, streams, interval
        self._source, self._history, self._monotonic, self._held = source, history, monotonic, held
        self._lock, self._places = threading.Lock(), threading.BoundedSemaphore(streams)
        self._stopped = threading.Event()
        self._newest: Campus | None = None
        self._content: object = None
        self._changes = 0
        self._changed: Campus | None = None
        self._read: Campus | None = None
        self._taken_at = 0.0

    def now(self) -> Campus:
        """The view, at most one interval old where it is not held. Raises CampusUnavailableError."""
        return self._now()[0]

    def _now(self) -> tuple[Campus, int]:
        """The view, and how often it has changed: compared once, however many streams wait for a change."""
        with self._lock:
            if self._newest is None or self._monotonic() - self._taken_at >= self._interval:
                why = self._held()
                if why is None or self._read is None:
                    self._read = self._source.now(self._history)
                self._newest = self._read if why is None else dataclasses.replace(self._read, notice=why, stands=True)
                self._taken_at = self._monotonic()
                content = _content(self._newest)
                if content != self._content:
                    self._content, self._changes, self._changed = content, self._changes + 1, self._newest
            return self._newest, self._changes

    def stop(self) -> None:
        """End every stream: the process is about to go."""
        self._stopped.set()

    def stream(self) -> Iterator[Campus | None]:
        """The view whenever it changed, None as a heartbeat. Its place is taken here and given back when it ends.

        Raises TooManyStreamsError at once, not at the first step.
        """
        if not self._places.acquire(blocking=False):
            raise TooManyStreamsError(self.streams)
        return _Stream(self._views(), self._places.release)

    def _views(self) -> Iterator[Campus | None]:
        shown = 0
        last = self._monotonic()
        while not self._stopped.is_set():
            newest, changes = self._now()
            if changes != shown:
                new_reader = not shown
                shown, last = changes, self._monotonic()
                yield newest if new_reader or self._changed is None else self._changed
            elif self._monotonic() - last >= self.heartbeat:
                last = self._monotonic()
                yield None
            self._stopped.wait(self._interval)


def _content(campus: Campus) -> object:
    """What a reader would call a change: the view without the moments at which it was made and the chain was read."""
    view = campus.as_json()
    del view["time"], view["service"]["slot"], view["service"]["chain_read_at"]
    return view


class _Stream(Iterator["Campus | None"]):
    """An iterator that gives its place back exactly once, also when it was never stepped (a generator would not)."""

    def __init__(self, views: Iterator[Campus | None], release: Callable[[], None]) -> None:
        self._views, self._release = views, release
        self._open = True

    def __next__(self) -> Campus | None:
        try:
            return next(self._views)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._open:
            self._open = False
            self._release()
