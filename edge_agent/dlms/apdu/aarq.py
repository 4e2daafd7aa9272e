"""AARQ (Green Book 9.4.2): the client asks for an association."""

from __future__ import annotations

from edge_agent.dlms.apdu.acse import (
    CONTEXT_LN,
    CONTEXT_OID,
    MECHANISM_NONE,
    MECHANISM_OID,
    read_oid,
)
from edge_agent.dlms.apdu.base import Apdu
from edge_agent.dlms.apdu.ber import element, read_elements, unwrap


class AssociationRequest(Apdu):
    """AARQ.

    `authentication` is the LLS password or the client's HLS challenge; `user_information` an InitiateRequest's bytes,
    ciphered or not; `system_title` the client's, under ciphering.
    """

    TAG = 0x60
    FIELDS = ("user_information", "context", "mechanism", "authentication", "system_title")

    def __init__(
        self,
        user_information: bytes,
        context: int = CONTEXT_LN,
        mechanism: int = MECHANISM_NONE,
        authentication: bytes | None = None,
        system_title: bytes | None = None,
    ) -> None:
        self.user_information = user_information
        self.context = context
        self.mechanism = mechanism
        self.authentication = authentication
        self.system_title = system_title

    def to_bytes(self) -> bytes:
        """60."""
        out = element(0xA1, element(0x06, CONTEXT_OID + bytes((self.context,))))
        if self.system_title is not None:
            out += element(0xA6, element(0x04, self.system_title))
        if self.mechanism != MECHANISM_NONE:
            out += b"\x8a\x02\x07\x80"
            out += element(0x8B, MECHANISM_OID + bytes((self.mechanism,)))
            out += element(0xAC, element(0x80, self.authentication or b""))
        out += element(0xBE, element(0x04, self.user_information))
        return element(self.TAG, out)

    @classmethod
    def from_bytes(cls, data: bytes) -> AssociationRequest:
        """Read an APDU with its tag; DecodeError."""
        fields = read_elements(unwrap(data, cls.TAG, "an AARQ"))
        context = CONTEXT_LN
        if 0xA1 in fields:
            context = read_oid(unwrap(fields[0xA1], 0x06, "a context name"), CONTEXT_OID, "an application context")
        mechanism = MECHANISM_NONE
        if 0x8B in fields:
            mechanism = read_oid(fields[0x8B], MECHANISM_OID, "an authentication mechanism")
        authentication = unwrap(fields[0xAC], 0x80, "an authentication value") if 0xAC in fields else None
        title = unwrap(fields[0xA6], 0x04, "a system title") if 0xA6 in fields else None
        information = unwrap(fields[0xBE], 0x04, "user information") if 0xBE in fields else b""
        return cls(information, context, mechanism, authentication, title)
