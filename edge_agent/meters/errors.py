"""Why a meter could not be read: one error for each cause, with what to do about it."""

from __future__ import annotations

from edge_agent.dlms.errors import (
    AssociationRejectedError,
    DecodeError,
    DlmsError,
    LinkError,
    ProtocolError,
    SecurityError,
    ServiceError,
)
from edge_agent.errors import EdgeError


class MeterError(EdgeError):
    """Base; `code` names the cause and `retry` says whether the next boundary may do better by itself."""

    code = "meter_error"
    retry = True

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(code or self.code, message)


class PortUnavailableError(MeterError):
    """No such port, no permission, or another process holds it."""

    code = "no_port"


class NoConnectionError(PortUnavailableError):
    """A meter's network module takes no connection: no route, no answer, refused, or no such name."""

    code = "no_connection"


class ConnectionLostError(PortUnavailableError):
    """The other side closed the connection or broke it off; a new one may do better."""

    code = "connection_lost"


class MeterTimeoutError(MeterError):
    """The meter did not answer, after the retries."""

    code = "timeout"


class RequestLostError(MeterTimeoutError):
    """No answer to one datagram: where it does no harm, the request is made anew."""


class WrongPasswordError(MeterError):
    """The meter refused the password or key."""

    code = "wrong_password"
    retry = False


class MeterRefusedError(MeterError):
    """The meter answered, and said no: its link, association or access rights."""

    code = "refused"


class NotDlmsError(MeterError):
    """Something answers on the line, but not in DLMS."""

    code = "not_dlms"


class BadAnswerError(MeterError):
    """The meter's answers stay damaged or make no sense."""

    code = "bad_answer"


class WrongMeterError(MeterError):
    """The meter on the line is not the one that the map names."""

    code = "wrong_meter"
    retry = False


class MapMismatchError(MeterError):
    """The meter does not have what its map says: a register, the profile, the capture period."""

    code = "map_mismatch"
    retry = False


BROKE_OFF = (
    MeterTimeoutError,
    BadAnswerError,
    ConnectionLostError,
    NotDlmsError,
    LinkError,
    ProtocolError,
    DecodeError,
    SecurityError,
    ServiceError,  # the meter has dropped the association, but not the link
)
"""What a new association may mend: a meter that rebooted, an answer of which nothing can be made."""


def meter_error(error: DlmsError) -> MeterError:
    """A protocol error in the driver's terms; its own code is kept."""
    if isinstance(error, AssociationRejectedError) and error.code in ("wrong_password", "wrong_key"):
        return WrongPasswordError(str(error), error.code)
    if isinstance(error, SecurityError):
        return WrongPasswordError(str(error), error.code)
    if isinstance(error, LinkError):
        return MeterRefusedError(str(error), error.code)
    if error.code in ("authentication_required", "mechanism_not_supported", "context_not_supported"):
        return MeterRefusedError(str(error), error.code)
    if isinstance(error, AssociationRejectedError) or hasattr(error, "result"):
        return MeterRefusedError(str(error), error.code)
    return BadAnswerError(str(error), error.code)
