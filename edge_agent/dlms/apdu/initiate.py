"""xDLMS InitiateRequest and InitiateResponse (Green Book 9.4.2): what AARQ and AARE carry as user information."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import Apdu, read_present
from edge_agent.dlms.apdu.conformance import DEFAULT, read_conformance, write_conformance
from edge_agent.dlms.axdr import Reader, write_length

DLMS_VERSION = 6
VAA_NAME_LN = 0x0007
VAA_NAME_SN = 0xFA00


class InitiateRequest(Apdu):
    """The client's proposal: conformance, largest APDU it takes (0: any), a dedicated key or None."""

    TAG = 0x01
    FIELDS = ("conformance", "max_pdu", "dedicated_key", "quality", "response_allowed")

    def __init__(
        self,
        conformance: int = DEFAULT,
        max_pdu: int = 0xFFFF,
        dedicated_key: bytes | None = None,
        quality: int | None = None,
        response_allowed: bool = True,
        version: int = DLMS_VERSION,
    ) -> None:
        self.conformance = conformance
        self.max_pdu = max_pdu
        self.dedicated_key = dedicated_key
        self.quality = quality
        self.response_allowed = response_allowed
        self.version = version

    def to_bytes(self) -> bytes:
        """01."""
        out = bytes((self.TAG,))
        key = self.dedicated_key
        out += b"\x00" if key is None else b"\x01" + write_length(len(key)) + key
        out += b"\x00" if self.response_allowed else b"\x01\x00"
        out += b"\x00" if self.quality is None else bytes((1, self.quality))
        return out + bytes((self.version,)) + write_conformance(self.conformance) + self.max_pdu.to_bytes(2, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> InitiateRequest:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        reader.expect(cls.TAG, "an InitiateRequest")
        key = reader.octets() if read_present(reader) else None
        allowed = reader.u8() != 0 if read_present(reader) else True
        quality = reader.u8() if read_present(reader) else None
        version = reader.u8()
        conformance = read_conformance(reader)
        max_pdu = reader.u16()
        return cls(conformance, max_pdu, key, quality, allowed, version)


class InitiateResponse(Apdu):
    """What the server grants: conformance and the largest APDU that it takes."""

    TAG = 0x08
    FIELDS = ("conformance", "max_pdu", "quality", "version", "vaa_name")

    def __init__(
        self,
        conformance: int,
        max_pdu: int,
        quality: int | None = None,
        version: int = DLMS_VERSION,
        vaa_name: int = VAA_NAME_LN,
    ) -> None:
        self.conformance = conformance
        self.max_pdu = max_pdu
        self.quality = quality
        self.version = version
        self.vaa_name = vaa_name

    def to_bytes(self) -> bytes:
        """08."""
        out = bytes((self.TAG,)) + (b"\x00" if self.quality is None else bytes((1, self.quality)))
        out += bytes((self.version,)) + write_conformance(self.conformance)
        return out + self.max_pdu.to_bytes(2, "big") + self.vaa_name.to_bytes(2, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> InitiateResponse:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        reader.expect(cls.TAG, "an InitiateResponse")
        quality = reader.u8() if read_present(reader) else None
        version = reader.u8()
        conformance = read_conformance(reader)
        max_pdu = reader.u16()
        vaa_name = reader.u16() if reader.left() >= 2 else VAA_NAME_LN
        return cls(conformance, max_pdu, quality, version, vaa_name)
