"""ConfirmedServiceError (Green Book 9.4.2): how older services, and a refused InitiateRequest, are turned down."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import Apdu
from edge_agent.dlms.axdr import Reader
from edge_agent.dlms.errors import ServiceError

SERVICE_INITIATE = 1
SERVICE_READ = 5
SERVICE_WRITE = 6

KIND_APPLICATION_REFERENCE = 0
KIND_HARDWARE_RESOURCE = 1
KIND_VDE_STATE = 2
KIND_SERVICE = 3
KIND_DEFINITION = 4
KIND_ACCESS = 5
KIND_INITIATE = 6

_KINDS = {
    0: ("application", ("other", "time elapsed", "unreachable", "invalid", "provider error", "deciphering error")),
    1: ("hardware resource", ("other", "memory unavailable", "processor unavailable", "mass storage unavailable")),
    2: ("VDE state", ("other", "no DLMS context", "loading data set", "not changeable", "inoperable")),
    3: ("service", ("other", "PDU size", "service unsupported")),
    4: ("definition", ("other", "object undefined", "object class inconsistent", "attribute inconsistent")),
    5: ("access", ("other", "scope violated", "object access violated", "hardware fault", "object unavailable")),
    6: ("initiate", ("other", "DLMS version too low", "incompatible conformance", "PDU size too short", "refused")),
}


class ConfirmedServiceError(Apdu):
    """The service, the kind of error, and its value."""

    TAG = 0x0E
    FIELDS = ("service", "kind", "value")

    def __init__(self, service: int, kind: int, value: int) -> None:
        self.service = service
        self.kind = kind
        self.value = value

    def to_bytes(self) -> bytes:
        """0E."""
        return bytes((self.TAG, self.service, self.kind, self.value))

    @classmethod
    def from_bytes(cls, data: bytes) -> ConfirmedServiceError:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        reader.expect(cls.TAG, "a ConfirmedServiceError")
        error = cls(reader.u8(), reader.u8(), reader.u8())
        reader.end()
        return error

    def error(self) -> ServiceError:
        """As a typed error: `service_error_initiate_refused` and so on."""
        kind, values = _KINDS.get(self.kind, (f"kind {self.kind}", ()))
        value = values[self.value] if self.value < len(values) else f"value {self.value}"
        code = f"service_error_{kind}_{value}".lower().replace(" ", "_")
        return ServiceError(code, f"the meter refused the service: {kind}, {value}")
