"""Memory of a process that serves for a long time: what it is made of is not looked through again and again.

Python's collector looks through all objects whenever enough new ones outlived two younger generations. What a process
has when it begins to serve (modules, tables, prepared statements: some 300,000 objects) stays until its end, and a
group of readings or a round of settlement makes thousands of objects that die soon and are in no circle. Left alone,
looking at these takes a tenth of the collector's processor time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 50_000
"""New objects after which the youngest are looked through: more than a large group of readings makes."""
OLDER = (20, 50)
"""How many times the younger generation is, before the next older one is."""


def settle() -> None:
    """Call this when everything is made that stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *OLDER)


@contextmanager
def seldom_searched() -> Iterator[None]:
    """While this is entered: for work that makes millions of objects which die soon, and no circles of them."""
    before = gc.get_threshold()
    gc.set_threshold(YOUNG, *OLDER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
