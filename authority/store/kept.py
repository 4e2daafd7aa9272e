"""What was read of some tables, kept for as long as nobody has written to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from authority.store.engine import Store

_T = TypeVar("_T")


class Kept(Generic[_T]):
    """The answer of a read, which depends on nothing but these tables.

    Where other processes write to the store too, it is read every time (`Store.writes_of`).
    """

    def __init__(self, store: Store, tables: tuple[str, ...], read: Callable[[Session], _T]) -> None:
        self._store, self._tables, self._read = store, tables, read
        self._found: tuple[tuple[int, ...], _T] | None = None

    def get(self) -> _T:
        """What the tables say now; who asks must not change it."""
        written = self._store.writes_of(*self._tables)
        if self._found is not None and self._found[0] == written:
            return self._found[1]
        with self._store.read() as session:
            found = self._read(session)
        self._found = None if written is None else (written, found)
        return found
