"""The client's side of an HDLC link in normal response mode (Green Book 8.4): SNRM, I frames, RR, DISC.

Bytes in, bytes out, no clock: `connect`, `send` and `disconnect` give the bytes to write, `receive` takes what
arrived and returns events, `on_silence` says what to write when the answer did not come in time. Half duplex: after
each write the server has the line until it returns the final bit.
"""

from __future__ import annotations

from edge_agent.dlms import llc
from edge_agent.dlms.errors import DecodeError, DlmsError, LinkError, ProtocolError
from edge_agent.dlms.hdlc.address import decode_address
from edge_agent.dlms.hdlc.frame import DISC, FINAL, INFORMATION, REJ, RR, SNRM, HdlcFrame
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.hdlc.reader import FrameReader

DISCONNECTED = "disconnected"
CONNECTING = "connecting"
IDLE = "idle"
SENDING = "sending"
AWAITING = "awaiting"
DELIVERING = "delivering"
DISCONNECTING = "disconnecting"

TRANSITIONS = {
    (DISCONNECTED, "connect"): CONNECTING,
    (IDLE, "connect"): CONNECTING,
    (SENDING, "connect"): CONNECTING,
    (AWAITING, "connect"): CONNECTING,
    (DELIVERING, "connect"): CONNECTING,
    (CONNECTING, "connect"): CONNECTING,
    (CONNECTING, "UA"): IDLE,
    (CONNECTING, "DM"): DISCONNECTED,
    (IDLE, "send"): SENDING,
    (IDLE, "listen"): AWAITING,
    (SENDING, "acknowledged"): SENDING,
    (SENDING, "all sent"): AWAITING,
    (AWAITING, "segment"): AWAITING,
    (AWAITING, "complete"): IDLE,
    (AWAITING, "more"): DELIVERING,
    (AWAITING, "listen"): AWAITING,
    (AWAITING, "given up"): IDLE,
    (DELIVERING, "given up"): IDLE,
    (DELIVERING, "listen"): AWAITING,
    (DELIVERING, "send"): SENDING,
    (IDLE, "DM"): DISCONNECTED,
    (SENDING, "DM"): DISCONNECTED,
    (AWAITING, "DM"): DISCONNECTED,
    (DELIVERING, "DM"): DISCONNECTED,
    (SENDING, "FRMR"): DISCONNECTED,
    (AWAITING, "FRMR"): DISCONNECTED,
    (DELIVERING, "FRMR"): DISCONNECTED,
    (IDLE, "disconnect"): DISCONNECTING,
    (SENDING, "disconnect"): DISCONNECTING,
    (AWAITING, "disconnect"): DISCONNECTING,
    (DELIVERING, "disconnect"): DISCONNECTING,
    (CONNECTING, "disconnect"): DISCONNECTING,
    (DISCONNECTING, "UA"): DISCONNECTED,
    (DISCONNECTING, "DM"): DISCONNECTED,
}
"""(state, event) -> next state. An event that has no row here is a ProtocolError.

`delivering`: a whole APDU has come, and the server keeps the line, so more may follow.
"""

MAX_APDU = 1 << 20
"""A segmented APDU longer than this is refused (`too_long`)."""

MAX_IDLE_POLLS = 64
"""How often the server may say "ready" in answer to a request before it is given up."""


class Connected:
    """The server answered SNRM; `parameters` are its own, as it sent them."""

    def __init__(self, parameters: LinkParameters) -> None:
        self.parameters = parameters


class Received:
    """A whole APDU, without LLC header."""

    def __init__(self, apdu: bytes) -> None:
        self.apdu = apdu


class Pushed:
    """An APDU in an unnumbered information frame: the server spoke unasked."""

    def __init__(self, apdu: bytes) -> None:
        self.apdu = apdu


class Disconnected:
    """The link is down."""


class Write:
    """Bytes that the link wants written now."""

    def __init__(self, data: bytes) -> None:
        self.data = data


class Damaged:
    """Something on the line was not a frame; the answer may have been in it, so `on_silence` need not wait. Or a frame
    that costs no answer: one that comes again (`doubled_frame`), one that says "not ready" (`busy`), or the first of
    this side's own that comes back (`echo`: a half-duplex adapter hears what it sends)."""

    def __init__(self, error: DlmsError) -> None:
        self.error = error


def _doubled(what: str) -> ProtocolError:
    return ProtocolError("doubled_frame", f"{what} came a second time and is ignored")


class HdlcClientLink:
    """One client, one server address. `parameters` are what this side proposes."""

    def __init__(self, client: bytes, server: bytes, parameters: LinkParameters | None = None) -> None:
        self.client = client
        self.server = server
        self.parameters = parameters or LinkParameters()
        self.state = DISCONNECTED
        self.reader = FrameReader()
        self._max_transmit = 128
        self._window = 1
        self._send = 0  # V(S)
        self._receive = 0  # V(R)
        self._queue: list[tuple[bytes, bool]] = []  # segments not yet acknowledged, and whether more follow
        self._in_flight = 0
        self._assembly = b""
        self._assembling = False
        self._last_write = b""
        self._progress = False
        self._polls = 0
        self._taken: list[bytes | None] = [None] * 8  # what the last frames brought, by N(S)
        self._echoes = False

    def _move(self, event: str) -> None:
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise ProtocolError("unexpected_event", f"{event} is not possible while the link is {self.state}")
        self.state = following

    def _write(self, data: bytes) -> bytes:
        self._last_write = data
        self._progress = False
        return data

    def _frame(self, control: int, information: bytes = b"", segmented: bool = False) -> bytes:
        return HdlcFrame(self.server, self.client, control, information, segmented).to_bytes()

    def connect(self) -> bytes:
        """SNRM with this side's parameters."""
        self._move("connect")
        self.reader.clear()
        self._queue = []
        self._assembly = b""
        self._assembling = False
        defaults = self.parameters == LinkParameters()
        return self._write(self._frame(SNRM | FINAL, b"" if defaults else self.parameters.to_bytes()))

    def send(self, *apdus: bytes) -> bytes:
        """The first window of the APDU's segments; of several APDUs that go out in a row."""
        self._move("send")
        size = self._max_transmit
        self._queue = []
        for apdu in apdus:
            data = llc.wrap(apdu, True)
            self._queue += [(data[at : at + size], at + size < len(data)) for at in range(0, len(data), size)]
        self._polls = 0
        return self._send_window()

    def listen(self) -> bytes:
        """RR: the server is given the line without a request, for an APDU that it has yet to send. Nothing where it
        has the line already."""
        idle = self.state == IDLE
        self._move("listen")
        self._polls = 0
        return self._poll() if idle else b""

    def disconnect(self) -> bytes:
        """DISC."""
        self._move("disconnect")
        return self._write(self._frame(DISC | FINAL))

    def _send_window(self) -> bytes:
        out = b""
        self._in_flight = min(self._window, len(self._queue))
        for index in range(self._in_flight):
            segment, more = self._queue[index]
            final = FINAL if index == self._in_flight - 1 else 0
            number = (self._send + index) & 7
            out += self._frame(self._receive << 5 | final | number << 1, segment, more)
        return self._write(out)

    def _poll(self, control: int = RR) -> bytes:
        self._polls += 1
        if self._polls > MAX_IDLE_POLLS:
            if self.state == AWAITING:
                self._move("given up")
            raise LinkError("no_progress", "the meter acknowledges the request and never answers it")
        return self._write(self._frame(self._receive << 5 | FINAL | control))

    def on_silence(self) -> bytes:
        """What to write when the server's answer did not come, or came damaged."""
        if self.state == AWAITING and self._progress:
            return self._poll()
        return self._last_write

    def receive(self, data: bytes) -> list[object]:
        """Events for these bytes: Write, Connected, Received, Pushed, Disconnected, Damaged."""
        return self._events(self.reader.receive(data))

    def flush(self) -> list[object]:
        """As `receive`, when the line has gone quiet in the middle of what looked like a frame."""
        return self._events(self.reader.flush())

    def _events(self, items: list[HdlcFrame | DecodeError]) -> list[object]:
        events: list[object] = []
        for item in items:
            if isinstance(item, DecodeError):
                events.append(Damaged(item))
            elif item.source == self.client and self._is_echo(item):
                if not self._echoes:
                    self._echoes = True
                    events.append(Damaged(ProtocolError("echo", "the line echoes what is sent, which does no harm")))
            elif item.destination == self.client and self._is_server(item.source):
                self._take(item, events)
            # A pushed frame comes from the same meter to another client, or a broadcast.
            elif item.kind == "UI":
                self._push(item, events)
            else:
                message = f"a frame from {item.source.hex()} to {item.destination.hex()} is not for this link"
                events.append(Damaged(ProtocolError("wrong_address", message)))
        return events

    def _is_echo(self, frame: HdlcFrame) -> bool:
        """Whether a frame from our address is what was sent here. Where the meter has the same address, a "ready" that
        looks like ours may as well be the meter's, and is taken for that."""
        if self.client != self.server or frame.kind in ("SNRM", "DISC"):
            return True
        return frame.kind == INFORMATION and frame.to_bytes() in self._last_write

    def _is_server(self, source: bytes) -> bool:
        """Whether a frame comes from our meter, which may write its address in another size than we do."""
        if source == self.server:
            return True
        if len(source) == len(self.server) or source == self.client:
            return False
        try:
            ours, theirs = decode_address(self.server), decode_address(source)
        except DecodeError:
            return False
        return ours[0] == theirs[0] and (None in (ours[1], theirs[1]) or ours[1] == theirs[1])

    def _push(self, frame: HdlcFrame, events: list[object]) -> None:
        try:
            events.append(Pushed(llc.unwrap(frame.information)))
        except DecodeError as error:
            events.append(Damaged(error))

    def _take(self, frame: HdlcFrame, events: list[object]) -> None:
        kind = frame.kind
        if kind == INFORMATION:
            self._take_information(frame, events)
        elif kind in ("RR", "RNR", "REJ"):
            self._take_supervisory(frame, events)
        elif kind == "UI":
            self._push(frame, events)
        elif kind == "UA":
            if self.state == CONNECTING:
                self._connected(frame, events)
            elif self.state == DISCONNECTING:
                self._move("UA")
                events.append(Disconnected())
            else:
                events.append(Damaged(_doubled("UA")))
        elif kind in ("DM", "FRMR"):
            self._take_refusal(kind, events)
        else:
            events.append(Damaged(ProtocolError("unexpected_frame", f"a server does not send {kind}")))

    def _take_refusal(self, kind: str, events: list[object]) -> None:
        if (self.state, kind) not in TRANSITIONS:
            return
        was = self.state
        self._move(kind)
        if was == CONNECTING:
            raise LinkError("refused", "the meter refused the link (DM): check the client and server addresses")
        if was != DISCONNECTING:
            raise LinkError("disconnected", f"the meter dropped the link ({kind}) in the middle of the conversation")
        events.append(Disconnected())

    def _connected(self, frame: HdlcFrame, events: list[object]) -> None:
        theirs = LinkParameters.from_bytes(frame.information)
        self._move("UA")
        self._max_transmit = min(self.parameters.max_transmit, theirs.max_receive)
        self._window = min(self.parameters.window_transmit, theirs.window_receive)
        self._send = self._receive = 0
        self._taken = [None] * 8
        events.append(Connected(theirs))

    def _acknowledge(self, number: int) -> None:
        """N(R) from the server: drop the segments that it has."""
        count = (number - self._send) & 7
        if self.state == SENDING and count <= self._in_flight:
            self._queue = self._queue[count:]
            self._send = (self._send + count) & 7
            self._in_flight -= count
            if not self._queue:
                self._move("all sent")

    def _take_supervisory(self, frame: HdlcFrame, events: list[object]) -> None:
        if self.state == DELIVERING and frame.final:
            self._move("given up")  # nothing more follows
        if self.state not in (SENDING, AWAITING):
            return
        before = len(self._queue)
        self._acknowledge(frame.receive_number)
        if not frame.final:
            return
        if self.state == SENDING:
            if len(self._queue) == before or frame.kind == "REJ":
                self._polls += 1
                if self._polls > 16:
                    raise LinkError("no_progress", "the meter keeps refusing the request's frames")
            if frame.kind == "RNR":
                events.append(Write(self._poll()))
            else:
                events.append(Write(self._send_window()))
        else:
            events.append(Write(self._poll()))
        if frame.kind == "RNR":
            events.append(Damaged(ProtocolError("busy", "the meter was not ready for the request: it is asked again")))

    def _take_information(self, frame: HdlcFrame, events: list[object]) -> None:
        if self.state == DELIVERING:
            self._move("listen")
        number = frame.send_number
        if number != self._receive and self._taken[number] == frame.information:
            # Of eight numbers a frame after a gap may have the same; neither is taken, and silence is asked again.
            events.append(Damaged(_doubled(f"frame {number}")))
            return
        if self.state not in (SENDING, AWAITING):
            return
        if number != self._receive:
            # One that came before; or one after a gap, which is asked for again.
            if (self._receive - number) & 7 != 1 or frame.final:
                message = f"frame {number} came where {self._receive} was due"
                events.append(Damaged(ProtocolError("missing_segment", message)))
            return
        self._acknowledge(frame.receive_number)
        if self.state == SENDING:
            # It answers without having acknowledged all segments: take what it says for the acknowledgement.
            self._queue = []
            self._move("all sent")
        self._receive = (number + 1) & 7
        self._progress = True
        self._polls = 0
        self._taken[number] = frame.information
        self._assembly += frame.information
        self._assembling = frame.segmented
        if len(self._assembly) > MAX_APDU:
            raise LinkError("too_long", f"an APDU of more than {MAX_APDU} bytes is refused")
        if frame.segmented:
            self._move("segment")
            if frame.final:
                events.append(Write(self._poll()))
            return
        self._move("complete" if frame.final else "more")
        data, self._assembly = self._assembly, b""
        events.append(Received(llc.unwrap(data)))

    def reject(self) -> bytes:
        """RR from where the gap is: the server sends again from there."""
        return self._poll(REJ if self._window > 1 else RR)
