"""The base of the chain client's typed errors."""

from __future__ import annotations

from typing import ClassVar

from authority.errors import AuthorityError


class ChainError(AuthorityError):
    """Anything between the authority and its programs that did not work; each cause is a class with its own code."""

    cause: ClassVar[str] = "chain"

    def __init__(self, message: str) -> None:
        super().__init__(self.cause, message)
