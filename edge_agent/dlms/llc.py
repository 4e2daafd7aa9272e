"""The three LLC bytes before an APDU in HDLC (IEC 62056-46, clause 5): E6 E6 00 to the server, E6 E7 00 from it."""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError

COMMAND = b"\xe6\xe6\x00"
RESPONSE = b"\xe6\xe7\x00"


def wrap(apdu: bytes, command: bool) -> bytes:
    """The APDU with the header of a command (client) or a response (server)."""
    return (COMMAND if command else RESPONSE) + apdu


def unwrap(data: bytes) -> bytes:
    """The APDU without its LLC header, of either direction; DecodeError `bad_llc`."""
    if data[:3] in (COMMAND, RESPONSE):
        return data[3:]
    raise DecodeError("bad_llc", f"an LLC header is e6e600 or e6e700, found {data[:3].hex()}", 0)
