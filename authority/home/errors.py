"""What can be wrong with a home directory."""

from __future__ import annotations

from authority.errors import USAGE, AuthorityError


class HomeError(AuthorityError):
    """A home directory that cannot be used."""


class HomeConfigError(HomeError):
    """authority.toml cannot be used; the message names the entry."""

    code = "config_invalid"
    exit_status = USAGE


class HomeExistsError(HomeError):
    """The directory holds a home already."""

    code = "home_exists"


class HomeMissingError(HomeError):
    """The directory is not a home."""

    code = "home_missing"


class HomeUnwritableError(HomeError):
    """The home cannot be written."""

    code = "home_unwritable"


class KeyExposedError(HomeError):
    """A key file can be read by other users."""

    code = "key_exposed"


class KeyMissingError(HomeError):
    """A key file is missing."""

    code = "key_missing"


class KeyUnreadableError(HomeError):
    """A key file cannot be read as the key that it should be."""

    code = "key_unreadable"


class KeyWithheldError(HomeError):
    """A process asked for a key that it is not given."""

    code = "key_withheld"
