"""Asking the chain for a page: a client for one question, and one sentence where the validator does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.errors import AuthorityError


class ChainAwayError(AuthorityError):
    """The validator does not answer, so nothing can be said of what only the chain knows: try again."""

    code = "chain_away"


@contextmanager
def asking(client: Callable[[], ChainClient]) -> Iterator[ChainClient]:
    """A client of that maker for one question; ChainAwayError."""
    asked = client()
    try:
        yield asked
    except ChainError as error:
        raise ChainAwayError("the validator does not answer; nothing is lost, try again in a while") from error
    finally:
        asked.close()
