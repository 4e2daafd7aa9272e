"""What can be wrong with a home directory."""

from __future__ import annotations

from authority.errors import FAILED, USAGE, AuthorityError


class HomeError(AuthorityError):
    """home_missing, home_exists, config_invalid, key_missing, key_unreadable, key_exposed or key_withheld."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.exit_status = USAGE if code == "config_invalid" else FAILED
