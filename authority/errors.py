"""The root of the authority's typed errors, and causes that several rooms share. docs/CODES.md has all codes."""

from __future__ import annotations

from typing import ClassVar

FAILED, USAGE = 1, 2  # exit statuses, as edge_agent.wire.command has them


class AuthorityError(Exception):
    """What stops a command or a request; the message says what to do.

    Each cause is a class, which says its `code` for programs. A class that other errors derive from is a family: it has
    no code and is never raised.
    """

    code: ClassVar[str]
    exit_status = FAILED

    def __init__(self, message: str) -> None:
        super().__init__(message)


class OutOfRangeError(AuthorityError):
    """A number that is not between the bounds that the message names, such as a leaf that the log does not have."""

    code = "out_of_range"


class MailOffError(AuthorityError):
    """Something is to be mailed, and this authority cannot send mail: [alerts] mail_from or [web] origin is missing."""

    code = "mail_off"


class TwoPeopleNeededError(AuthorityError):
    """An act that takes two people here: [people] two_persons says so, and one alone wanted to do it."""

    code = "two_people_needed"


class MeterUnknownError(AuthorityError):
    """There is no such meter, in the log or on the chain."""

    code = "meter_unknown"
