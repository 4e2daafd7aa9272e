"""ExceptionResponse (Green Book 9.4.2): the server cannot take the service at all."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import Apdu
from edge_agent.dlms.axdr import Reader
from edge_agent.dlms.errors import ServiceError

STATE_NOT_ALLOWED = 1
STATE_UNKNOWN = 2

SERVICE_NOT_POSSIBLE = 1
SERVICE_NOT_SUPPORTED = 2
SERVICE_OTHER_REASON = 3
SERVICE_PDU_TOO_LONG = 4
SERVICE_DECIPHERING_ERROR = 5
SERVICE_INVOCATION_COUNTER_ERROR = 6

_SERVICES = {
    1: "operation not possible",
    2: "service not supported",
    3: "other reason",
    4: "PDU too long",
    5: "deciphering error",
    6: "invocation counter error",
}


class ExceptionResponse(Apdu):
    """`invocation_counter` is the one that the server expects at least, with service error 6."""

    TAG = 0xD8
    FIELDS = ("state_error", "service_error", "invocation_counter")

    def __init__(self, state_error: int, service_error: int, invocation_counter: int | None = None) -> None:
        self.state_error = state_error
        self.service_error = service_error
        self.invocation_counter = invocation_counter

    def to_bytes(self) -> bytes:
        """D8."""
        out = bytes((self.TAG, self.state_error, self.service_error))
        return out if self.invocation_counter is None else out + self.invocation_counter.to_bytes(4, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> ExceptionResponse:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        reader.expect(cls.TAG, "an ExceptionResponse")
        state = reader.u8()
        service = reader.u8()
        counter = reader.u32() if reader.left() >= 4 else None
        reader.end()
        return cls(state, service, counter)

    def error(self) -> ServiceError:
        """As a typed error: `exception_deciphering_error` and so on."""
        reason = _SERVICES.get(self.service_error, f"service error {self.service_error}")
        state = "service not allowed" if self.state_error == STATE_NOT_ALLOWED else "service unknown"
        code = "exception_" + reason.lower().replace(" ", "_")
        hint = "" if self.invocation_counter is None else f"; it wants a counter from {self.invocation_counter}"
        if self.service_error == SERVICE_DECIPHERING_ERROR and self.state_error == STATE_NOT_ALLOWED:
            hint = "; its security policy may demand more protection than the request had: check --ciphering"
        message = f"the meter answered with an exception: {state}, {reason}{hint}"
        return ServiceError(code, message, self.invocation_counter)
