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
    """Why a meter could not be read; `retry` says whether the next boundary may do better by itself."""

    retry = True


class _MeterSaysError(MeterError):
    """What a protocol error means for a meter; `code` is the protocol's where one is given, which says more."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


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
    """No answer to one datagram: where it does no harm, the request is made again."""

    code = "request_lost"


class WrongPasswordError(_MeterSaysError):
    """The meter refused the password or key."""

    code = "wrong_password"
    retry = False


class MeterRefusedError(_MeterSaysError):
    """The meter answered, and said no: its link, association or access rights."""

    code = "refused"


class NotDlmsError(_MeterSaysError):
    """Something answers on the line, but not in DLMS."""

    code = "not_dlms"


class BadAnswerError(_MeterSaysError):
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


class CounterFileError(MeterError):
    """The file that keeps a key's invocation counter cannot be read or written."""

    code = "counter_file"


class CounterExhaustedError(MeterError):
    """The key's invocation counter has run out: the meter needs a new key."""

    code = "counter_exhausted"


class CounterTooFarError(MeterError):
    """The meter wants an invocation counter that lies too far from ours to follow on its word alone."""

    code = "counter_too_far"


class IncrementsFileError(MeterError):
    """The file that keeps what a meter's increments add up to cannot be read or written."""

    code = "increments_file"


class MissingKeyError(MeterError):
    """A key, system title or place for counters that authentication needs was not given."""

    code = "missing_key"


class LayoutFileError(MeterError):
    """A file of a folder of layouts describes no layout."""

    code = "layout_file"


class BadAddressError(MeterError):
    """A client, server or network address that there cannot be."""

    code = "bad_address"


class BadObisError(MeterError):
    """Text that is not an OBIS code, with an attribute where one is asked for."""

    code = "bad_obis"


class NoSuchObjectError(MeterError):
    """The meter does not show this object to this client."""

    code = "no_such_object"


class OptionsError(MeterError):
    """Options of a command that do not go together."""

    code = "bad_option"


class RangeError(MeterError):
    """A range whose beginning lies after its end."""

    code = "bad_range"


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
"""What a new association may repair: a meter that rebooted, an answer of which nothing can be made."""


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
