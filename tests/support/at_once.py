"""Do something in several threads at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def at_once(what: Callable[[], Result], times: int = 6) -> list[Result | Exception]:
    """What each of so many calls came to, its result or its exception; all start together."""
    barrier = threading.Barrier(times)

    def one(_: int) -> Result | Exception:
        barrier.wait()
        try:
            return what()
        except Exception as error:
            return error

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))
