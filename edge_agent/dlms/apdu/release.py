"""RLRQ and RLRE (Green Book 9.4.2): the association is released and the release acknowledged."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import Apdu
from edge_agent.dlms.apdu.ber import element, read_elements, unwrap

NORMAL = 0


def _to_bytes(tag: int, reason: int | None, user_information: bytes) -> bytes:
    out = b"" if reason is None else element(0x80, bytes((reason,)))
    if user_information:
        out += element(0xBE, element(0x04, user_information))
    return element(tag, out)


def _from_bytes(tag: int, what: str, data: bytes) -> tuple[int | None, bytes]:
    fields = read_elements(unwrap(data, tag, what))
    reason = fields[0x80][0] if fields.get(0x80) else None
    return reason, unwrap(fields[0xBE], 0x04, "user information") if 0xBE in fields else b""


class ReleaseRequest(Apdu):
    """RLRQ; under ciphering it carries an InitiateRequest again."""

    TAG = 0x62
    FIELDS = ("reason", "user_information")

    def __init__(self, reason: int | None = NORMAL, user_information: bytes = b"") -> None:
        self.reason = reason
        self.user_information = user_information

    def to_bytes(self) -> bytes:
        """62."""
        return _to_bytes(self.TAG, self.reason, self.user_information)

    @classmethod
    def from_bytes(cls, data: bytes) -> ReleaseRequest:
        """Read an APDU with its tag; DecodeError."""
        return cls(*_from_bytes(cls.TAG, "an RLRQ", data))


class ReleaseResponse(Apdu):
    """RLRE."""

    TAG = 0x63
    FIELDS = ("reason", "user_information")

    def __init__(self, reason: int | None = NORMAL, user_information: bytes = b"") -> None:
        self.reason = reason
        self.user_information = user_information

    def to_bytes(self) -> bytes:
        """63."""
        return _to_bytes(self.TAG, self.reason, self.user_information)

    @classmethod
    def from_bytes(cls, data: bytes) -> ReleaseResponse:
        """Read an APDU with its tag; DecodeError."""
        return cls(*_from_bytes(cls.TAG, "an RLRE", data))
