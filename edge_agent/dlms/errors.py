"""Typed errors of the protocol core: `code` names the cause, `offset` the byte at which it was found."""

from __future__ import annotations

from edge_agent.errors import EdgeError


class DlmsError(EdgeError):
    """Anything that goes wrong between two DLMS peers.

    A class says who has to do something, `code` which check failed: a class for each of the hundred checks would cost a
    microcontroller its memory.
    """

    def __init__(self, code: str, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.code = code
        self.message = message
        self.offset = offset


class DecodeError(DlmsError):
    """Bytes that are not what they claim to be; `offset` counts from the first byte given to the codec."""


class EncodeError(DlmsError):
    """A value that its type cannot carry."""


class ProtocolError(DlmsError):
    """A well-formed unit that has no place in the present state of the connection."""


class LinkError(DlmsError):
    """The data link failed: refused, disconnected, or frames that stay wrong after the retries."""


class SecurityError(DlmsError):
    """Deciphering or authentication failed: `wrong_key`, `wrong_system_title`, `replayed_counter`, `not_ciphered`."""


class AssociationRejectedError(DlmsError):
    """The peer refused the association; `result` and `diagnostic` are the AARE's own numbers."""

    def __init__(self, code: str, message: str, result: int, diagnostic: int) -> None:
        super().__init__(code, message)
        self.result = result
        self.diagnostic = diagnostic


class DataAccessError(DlmsError):
    """The peer answered a GET, SET or ACTION with a data-access-result or action-result; `result` is its number."""

    def __init__(self, code: str, message: str, result: int) -> None:
        super().__init__(code, message)
        self.result = result


class ServiceError(DlmsError):
    """The peer answered with an exception-response or a confirmed-service-error.

    `least_counter` is the invocation counter that the peer wants at least, where it says so.
    """

    def __init__(self, code: str, message: str, least_counter: int | None = None) -> None:
        super().__init__(code, message)
        self.least_counter = least_counter
