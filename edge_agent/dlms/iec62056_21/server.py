"""The meter's side of IEC 62056-21: identification, read-out, and mode E's hand-over. Bytes in, bytes out."""

from __future__ import annotations

from edge_agent.dlms.iec62056_21.messages import ACK, NAK, Identification, option_select, readout, strip_parity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

IDLE = "idle"
IDENTIFIED = "identified"
HDLC = "hdlc"

TRANSITIONS = {
    (IDLE, "request"): IDENTIFIED,
    (IDENTIFIED, "request"): IDENTIFIED,
    (HDLC, "request"): IDENTIFIED,
    (IDENTIFIED, "readout"): IDLE,
    (IDENTIFIED, "hdlc"): HDLC,
    (IDENTIFIED, "refuse"): IDLE,
}
"""(state, event) -> next state. In `hdlc` the bytes are no longer this server's until a sign-on."""


class Iec21Server:
    """`lines` gives the read-out's lines when they are asked for; `address` is what a sign-on may name."""

    def __init__(self, identification: Identification, lines: Callable[[], list[str]], address: str = "") -> None:
        self.identification = identification
        self.lines = lines
        self.address = address
        self.state = IDLE
        self._buffer = b""

    def receive(self, data: bytes) -> bytes:
        """The answers to these bytes."""
        self._buffer = (self._buffer + strip_parity(data))[-256:]
        out = b""
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            out += self._take(line.rstrip(b"\r"))
        return out

    def _take(self, line: bytes) -> bytes:
        start = line.find(b"/?")
        if start >= 0 and line.endswith(b"!"):
            wanted = line[start + 2 : -1].decode("ascii", "replace").lstrip("0")
            if wanted and wanted != self.address.lstrip("0"):
                return b""
            self.state = TRANSITIONS[(self.state, "request")]
            return self.identification.to_bytes()
        start = line.find(bytes((ACK,)))
        if start < 0 or self.state != IDENTIFIED or len(line) - start < 4:
            return b""
        protocol, baud, option = [chr(byte) for byte in line[start + 1 : start + 4]]
        if option == "0":
            self.state = TRANSITIONS[(self.state, "readout")]
            return readout(self.lines())
        if option == "2" and protocol == "2" and self.identification.offers_hdlc:
            self.state = TRANSITIONS[(self.state, "hdlc")]
            return option_select(baud, option, protocol)
        self.state = TRANSITIONS[(self.state, "refuse")]
        return bytes((NAK,))
