"""The server's side of an HDLC link in normal response mode: what a meter answers to one client's frames.

Frames in, bytes out. The server speaks only when polled, repeats what the client has not acknowledged, and answers
DM outside a connection.
"""

from __future__ import annotations

from edge_agent.dlms import llc
from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.hdlc.frame import DM, FINAL, FRMR, INFORMATION, RNR, RR, UA, UI, HdlcFrame
from edge_agent.dlms.hdlc.parameters import LinkParameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DISCONNECTED = "disconnected"
CONNECTED = "connected"

TRANSITIONS = {
    (DISCONNECTED, "SNRM"): CONNECTED,
    (CONNECTED, "SNRM"): CONNECTED,
    (CONNECTED, "DISC"): DISCONNECTED,
    (DISCONNECTED, "DISC"): DISCONNECTED,
}
"""(state, command) -> next state; I and supervisory frames live within `connected` and get DM outside of it."""

MAX_APDU = 1 << 16


class HdlcServerLink:
    """The link between one server address and one client address.

    `handle` gets each whole APDU and returns what to send in answer, in a row (nothing where it has nothing to say);
    without it the client is not known here, and every command is answered DM. `parameters` bound what is agreed.
    """

    def __init__(
        self,
        server: bytes,
        client: bytes,
        handle: Callable[[bytes], list[bytes]] | None,
        parameters: LinkParameters | None = None,
        on_reset: Callable[[], None] | None = None,
    ) -> None:
        self.server = server
        self.client = client
        self.limits = parameters or LinkParameters(1024, 1024, 7, 7)
        self.state = DISCONNECTED
        self.busy = False  # the next answer is RNR
        self._handle = handle
        self._on_reset = on_reset
        self._reset()

    def _reset(self) -> None:
        self._send = 0
        self._receive = 0
        self._assembly = b""
        self._pending: list[tuple[bytes, bool]] = []  # segments that the client has not acknowledged
        self._max_transmit = 128
        self._window = 1
        if self._on_reset is not None:
            self._on_reset()

    def _frame(self, control: int, information: bytes = b"", segmented: bool = False) -> bytes:
        return HdlcFrame(self.client, self.server, control, information, segmented).to_bytes()

    def take(self, frame: HdlcFrame) -> bytes:
        """The bytes to write in answer to one frame; nothing where it asks for nothing."""
        kind = frame.kind
        if self._handle is None:
            return self._frame(DM | FINAL) if frame.final else b""
        following = TRANSITIONS.get((self.state, kind))
        if following is not None:
            was, self.state = self.state, following
            self._reset()
            if kind == "DISC" and was == DISCONNECTED:
                return self._frame(DM | FINAL)
            return self._frame(UA | FINAL, self._agree(frame.information) if kind == "SNRM" else b"")
        if self.state == DISCONNECTED:
            return self._frame(DM | FINAL) if frame.final else b""
        if kind == INFORMATION:
            return self._take_information(frame)
        if kind in ("RR", "RNR", "REJ"):
            self._acknowledge(frame.receive_number)
            return self._answer() if frame.final else b""
        if kind == "UI":
            return b""
        # FRMR: the rejected control byte, V(S), V(R), and "undefined control".
        status = bytes((frame.control, self._receive << 5 | self._send << 1, 0x01))
        return self._frame(FRMR | FINAL, status)

    def _agree(self, information: bytes) -> bytes:
        try:
            theirs = LinkParameters.from_bytes(information)
        except DecodeError:
            theirs = LinkParameters()
        agreed = LinkParameters(
            min(self.limits.max_transmit, theirs.max_receive),
            min(self.limits.max_receive, theirs.max_transmit),
            min(self.limits.window_transmit, theirs.window_receive),
            min(self.limits.window_receive, theirs.window_transmit),
        )
        self._max_transmit = agreed.max_transmit
        self._window = agreed.window_transmit
        return agreed.to_bytes()

    def _acknowledge(self, number: int) -> None:
        count = (number - self._send) & 7
        if count <= len(self._pending):
            self._pending = self._pending[count:]
            self._send = (self._send + count) & 7

    def _take_information(self, frame: HdlcFrame) -> bytes:
        if frame.send_number != self._receive:
            # A repeated frame: its answer was lost, so it goes again. Or a gap: RR says what is due.
            return self._answer() if frame.final else b""
        self._receive = (self._receive + 1) & 7
        self._acknowledge(frame.receive_number)
        self._pending = []
        self._assembly += frame.information
        if len(self._assembly) > MAX_APDU:
            self._assembly = b""
            return self._frame(FRMR | FINAL, bytes((frame.control, self._receive << 5 | self._send << 1, 0x04)))
        if not frame.segmented:
            data, self._assembly = self._assembly, b""
            try:
                answers = [] if self._handle is None else self._handle(llc.unwrap(data))
            except DecodeError:
                answers = []
            size = self._max_transmit
            for answer in answers:
                whole = llc.wrap(answer, False)
                self._pending += [(whole[at : at + size], at + size < len(whole)) for at in range(0, len(whole), size)]
        return self._answer() if frame.final else b""

    def _answer(self) -> bytes:
        """The next window of what is pending, else RR; RNR once where the server was made busy."""
        if self.busy:
            self.busy = False
            return self._frame(self._receive << 5 | FINAL | RNR)
        if not self._pending:
            return self._frame(self._receive << 5 | FINAL | RR)
        out = b""
        count = min(self._window, len(self._pending))
        for index in range(count):
            segment, more = self._pending[index]
            final = FINAL if index == count - 1 else 0
            out += self._frame(self._receive << 5 | final | ((self._send + index) & 7) << 1, segment, more)
        return out

    def push(self, apdu: bytes) -> bytes:
        """An unasked APDU in one UI frame."""
        return self._frame(UI, llc.wrap(apdu, False))
