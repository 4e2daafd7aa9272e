"""What the authority refuses over HTTP or MQTT, and at its commands: one class a cause, with the code that is answered.

The status of each is in edge_agent.wire.problems.
"""

from __future__ import annotations

from authority.errors import AuthorityError


class RefusalError(AuthorityError):
    """A request that is refused; whoever sent it is told the code and the message."""


class MalformedError(RefusalError):
    """What came is not what it should be: no frames, no JSON that can be kept, a field that is missing or wrong."""

    code = "malformed"


class UnauthorisedError(RefusalError):
    """The claim code is unknown, used or too old; which of them is not told. HTTP says `not_authenticated`."""

    code = "unauthorised"


class NotAuthenticatedError(RefusalError):
    """No gateway of this authority, a revoked one, or not by its current certificate."""

    code = "not_authenticated"


class WrongGatewayError(RefusalError):
    """A gateway speaks for another."""

    code = "wrong_gateway"


class NotFoundError(RefusalError):
    """There is nothing of that name or number, or it is not the asker's."""

    code = "not_found"


class ConflictError(RefusalError):
    """It contradicts what is already there or decided."""

    code = "conflict"


class TooManyError(RefusalError):
    """More frames at once than the collector takes."""

    code = "too_many"


class RateLimitedError(RefusalError):
    """Too many wrong claim codes from one address: come back later."""

    code = "rate_limited"


class BusyError(RefusalError):
    """The collector has as much waiting as it can hold: try again soon."""

    code = "busy"


class UnavailableError(RefusalError):
    """The store does not answer, or the collector is stopping: send the same again."""

    code = "unavailable"
