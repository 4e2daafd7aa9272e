"""AARE (Green Book 9.4.2): the server grants or refuses the association."""

from __future__ import annotations

from edge_agent.dlms.apdu.acse import (
    CONTEXT_LN,
    CONTEXT_OID,
    DIAGNOSTIC_NULL,
    MECHANISM_NONE,
    MECHANISM_OID,
    RESULT_ACCEPTED,
    SOURCE_PROVIDER,
    SOURCE_USER,
    read_oid,
)
from edge_agent.dlms.apdu.base import Apdu
from edge_agent.dlms.apdu.ber import element, read_elements, unwrap
from edge_agent.dlms.errors import DecodeError


class AssociationResponse(Apdu):
    """AARE.

    `diagnostic` counts within `diagnostic_source` (1 user, 2 provider); `authentication` is the server's challenge.
    """

    TAG = 0x61
    FIELDS = ("result", "diagnostic", "user_information", "context", "mechanism", "authentication", "system_title")

    def __init__(
        self,
        result: int,
        diagnostic: int = DIAGNOSTIC_NULL,
        user_information: bytes = b"",
        context: int = CONTEXT_LN,
        mechanism: int = MECHANISM_NONE,
        authentication: bytes | None = None,
        system_title: bytes | None = None,
        diagnostic_source: int = SOURCE_USER,
    ) -> None:
        self.result = result
        self.diagnostic = diagnostic
        self.user_information = user_information
        self.context = context
        self.mechanism = mechanism
        self.authentication = authentication
        self.system_title = system_title
        self.diagnostic_source = diagnostic_source

    def to_bytes(self) -> bytes:
        """61."""
        out = element(0xA1, element(0x06, CONTEXT_OID + bytes((self.context,))))
        out += element(0xA2, bytes((0x02, 0x01, self.result)))
        source = 0xA2 if self.diagnostic_source == SOURCE_PROVIDER else 0xA1
        out += element(0xA3, element(source, bytes((0x02, 0x01, self.diagnostic))))
        if self.system_title is not None:
            out += element(0xA4, element(0x04, self.system_title))
        if self.mechanism != MECHANISM_NONE:
            out += b"\x88\x02\x07\x80"
            out += element(0x89, MECHANISM_OID + bytes((self.mechanism,)))
        if self.authentication is not None:
            out += element(0xAA, element(0x80, self.authentication))
        if self.user_information:
            out += element(0xBE, element(0x04, self.user_information))
        return element(self.TAG, out)

    @classmethod
    def from_bytes(cls, data: bytes) -> AssociationResponse:
        """Read an APDU with its tag; DecodeError."""
        fields = read_elements(unwrap(data, cls.TAG, "an AARE"))
        if 0xA2 not in fields:
            raise DecodeError("missing_field", "an AARE without a result", len(data))
        result = int.from_bytes(unwrap(fields[0xA2], 0x02, "a result"), "big")
        diagnostic, source = DIAGNOSTIC_NULL, SOURCE_USER
        if fields.get(0xA3):
            source = SOURCE_PROVIDER if fields[0xA3][0] == 0xA2 else SOURCE_USER
            inner = unwrap(fields[0xA3], 0xA2 if source == SOURCE_PROVIDER else 0xA1, "a diagnostic")
            diagnostic = int.from_bytes(unwrap(inner, 0x02, "a diagnostic"), "big")
        context = CONTEXT_LN
        if 0xA1 in fields:
            context = read_oid(unwrap(fields[0xA1], 0x06, "a context name"), CONTEXT_OID, "an application context")
        mechanism = MECHANISM_NONE
        if 0x89 in fields:
            mechanism = read_oid(fields[0x89], MECHANISM_OID, "an authentication mechanism")
        authentication = unwrap(fields[0xAA], 0x80, "an authentication value") if 0xAA in fields else None
        title = unwrap(fields[0xA4], 0x04, "a system title") if 0xA4 in fields else None
        information = unwrap(fields[0xBE], 0x04, "user information") if 0xBE in fields else b""
        return cls(result, diagnostic, information, context, mechanism, authentication, title, source)


def is_accepted(response: AssociationResponse) -> bool:
    """Whether the association is open (under HLS, up to the four-pass authentication)."""
    return response.result == RESULT_ACCEPTED
