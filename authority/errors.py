"""The base of the authority's typed errors."""

from __future__ import annotations


class AuthorityError(Exception):
    """A cause with a `code` for programs and a message that tells a person what to do; commands print it and exit 1."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
