"""Fixtures of the programs' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from campus import Campus, Refusal


@pytest.fixture
def campus() -> Campus:
    """The programs, initialized."""
    return Campus()


@pytest.fixture
def bare() -> Campus:
    """The programs, deployed and nothing more."""
    return Campus(initialize=False)


@pytest.fixture
def refused() -> Callable[[str], AbstractContextManager[None]]:
    """`with refused("ErrorName"):` - the transaction within fails with exactly that error."""

    @contextmanager
    def expect(name: str) -> Iterator[None]:
        with pytest.raises(Refusal) as caught:
            yield
        assert caught.value.name == name, str(caught.value)

    return expect
