"""Drives the sans-io client over a line: links, timeouts, and a bounded number of repeats."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from edge_agent.dlms.axdr import INT8
from edge_agent.dlms.client import CLOSED, Client
from edge_agent.dlms.errors import DecodeError, DlmsError, LinkError
from edge_agent.dlms.hdlc.client_link import (
    Connected,
    Damaged,
    Disconnected,
    HdlcClientLink,
    Received,
    Write,
)
from edge_agent.dlms.wrapper import HEADER_SIZE, WrapperUnit, read_unit
from edge_agent.meters.errors import (
    BadAnswerError,
    ConnectionLostError,
    MeterError,
    MeterTimeoutError,
    NotDlmsError,
    RequestLostError,
    meter_error,
)
from edge_agent.meters.faults import Faults
from edge_agent.meters.transport import NetworkTransport, Transport

if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data
    from edge_agent.dlms.client import Conversation
    from edge_agent.dlms.cosem.base import CosemObject

INTER_OCTET = 1.0
"""Seconds without a byte after which what looked like the start of a frame is taken for cut short."""

SETTLE = 0.2
"""Seconds that a line is given to fall quiet after a damaged frame, before the request is repeated."""

FIRST_BYTES = 4096
"""Bytes among which a telegram of another protocol is looked for, while there is no connection yet."""
BABBLE = 16384
"""Bytes in one try after which a line that never falls quiet no longer postpones the timeout."""

LOST_ANSWER = ("bad_fcs", "bad_hcs", "truncated_frame", "missing_segment", "bad_llc", "bad_address", "no_flag")
"""Damage that has eaten the answer, so there is nothing more to wait for."""


AFTER_CLOSE = 0.5
"""Seconds that a network module is given to notice that a connection has ended, before the next."""

BROKEN = (MeterTimeoutError, ConnectionLostError, NotDlmsError, BadAnswerError)
"""What a new connection may repair, of a link that repeats nothing by itself."""


class Link(Protocol):
    """A data link that carries APDUs there and back, over its transport."""

    transport: Transport
    faults: Faults
    """What went wrong on the way and was repaired or dropped, by code."""
    repeats: bool
    """Whether it asks again by itself where an answer stays away or is damaged."""

    def note(self, code: str) -> None:
        """Add to `faults`."""
        self.faults.append(code)

    def open(self) -> None:
        """Set the link up."""

    def exchange(self, apdu: bytes | list[bytes]) -> bytes:
        """Send an APDU, or several in a row, and wait for the next that arrives. Nothing is sent for an empty one;
        then the answer is empty where the meter has nothing more."""

    def shut(self) -> None:
        """Take the link down, as well as it goes."""


class HdlcLine(Link):
    """An HDLC link over a transport. Damage and silence cost at most `retries` repeats, each of `timeout` seconds."""

    repeats = True

    def __init__(
        self,
        transport: Transport,
        link: HdlcClientLink,
        timeout: float = 3.0,
        retries: int = 2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.transport = transport
        self.link = link
        self.timeout = timeout
        self.retries = retries
        self.faults = Faults()
        self._clock = clock
        self._ready: list[bytes] = []

    def open(self) -> None:
        """SNRM and UA."""
        self.transport.discard()
        self._ready = []
        try:
            self._converse(self.link.connect(), Connected)
        except LinkError as error:
            # A meter that was left in the middle of a conversation may refuse once, and then be ready.
            if error.code != "refused":
                raise
            self._converse(self.link.connect(), Connected)

    def exchange(self, apdu: bytes | list[bytes]) -> bytes:
        """One APDU there, or several in a row, and one back; none where nothing was sent and nothing more comes."""
        if apdu:
            self._ready = []
            apdus = [apdu] if isinstance(apdu, bytes) else apdu
            self._converse(self.link.send(*apdus), Received)
        elif not self._ready:
            try:
                self._converse(self.link.listen(), Received)
            except LinkError as error:
                if error.code != "no_progress":
                    raise
                return b""
        return self._ready.pop(0)

    def shut(self) -> None:
        """DISC; a meter that does not answer is left to its own timeout."""
        if self.link.state == "disconnected":
            return
        try:
            if self.link.state in ("sending", "awaiting"):
                self._let_finish()
            self.retries, kept = 0, self.retries
            try:
                self._converse(self.link.disconnect(), Disconnected, patient=False)
            finally:
                self.retries = kept
        except (MeterError, DlmsError):
            self.link.state = "disconnected"

    def _let_finish(self) -> None:
        """Wait while the meter is speaking: on a line of two wires a DISC would not be heard."""
        until = self._clock() + self.timeout
        while self._clock() < until and self.transport.read(SETTLE):
            pass

    def _converse(self, data: bytes, wanted: type, *, patient: bool = True) -> None:
        """Write, read, answer, until an event of the `wanted` kind has come.

        Whoever is patient waits longer while something comes: not at the end, for a meter that speaks by itself.
        """
        if data:
            self.transport.write(data)
        tries = 0
        heard = heard_in_try = 0
        first = b""
        damage: DlmsError | None = None
        deadline = self._clock() + self.timeout
        while True:
            now = self._clock()
            if now >= deadline:
                tries += 1
                if tries > self.retries:
                    raise self._gave_up(heard, damage, tries)
                if heard_in_try == 0:
                    self.note("no_answer")
                elif damage is None:
                    self.note("not_dlms")
                self.transport.write(self.link.on_silence())
                heard_in_try = 0
                deadline = self._clock() + self.timeout
                continue
            pending = self.link.reader.pending
            arrived = self.transport.read(min(deadline - now, INTER_OCTET) if pending else deadline - now)
            heard += len(arrived)
            heard_in_try += len(arrived)
            if self.link.state == "connecting" and arrived and len(first) < FIRST_BYTES:
                first += arrived
                _require_silence(first)
            if patient and arrived and heard_in_try < BABBLE:
                deadline = self._clock() + self.timeout
            done = False
            for event in self.link.receive(arrived) if arrived else self.link.flush():
                if isinstance(event, Write):
                    self.transport.write(event.data)
                    tries = heard_in_try = 0
                    deadline = self._clock() + self.timeout
                elif isinstance(event, Damaged):
                    self.note(event.error.code)
                    if event.error.code == "echo":
                        continue
                    damage = event.error
                    if damage.code in LOST_ANSWER:
                        deadline = min(deadline, self._clock() + SETTLE)
                elif isinstance(event, Received):
                    self._ready.append(event.apdu)
                done = done or isinstance(event, wanted)
            if done:
                return

    def _gave_up(self, heard: int, damage: DlmsError | None, tries: int) -> MeterError:
        if heard == 0:
            return MeterTimeoutError(
                f"no answer from the meter after {tries} tries: check the wiring, the line's speed and the addresses"
            )
        if self.link.state == "connecting":
            what = damage or "an echo of what was sent, or nothing with a frame in it"
            return NotDlmsError(
                f"something answers, but not in HDLC ({what}): check the line's speed and format, "
                "or whether the meter speaks another protocol"
            )
        if damage is not None:
            return BadAnswerError(f"the meter's answers stay damaged after {tries} tries: {damage}", damage.code)
        return MeterTimeoutError(f"the meter stopped answering after {tries} tries")


def _require_silence(data: bytes) -> None:
    """NotDlmsError where a meter sends telegrams of another protocol instead of answering."""
    if b"\x1b\x1b" not in data and b"/" not in data:
        return
    from edge_agent.dlms.push.diagnosis import speaks_unasked  # noqa: PLC0415 - few need it, memory is short

    unasked = speaks_unasked(data)
    if unasked is not None:
        raise NotDlmsError(f'the meter sends {unasked} by itself: read it with --push, or protocol = "push"')


class WrapperLine(Link):
    """The wrapper over TCP, where nothing is lost but the connection. For UDP there is `datagrams.DatagramLine`.

    Each association has a connection of its own: `shut` closes it and `open` makes the next, so that no answer to the
    last one is ever heard. Within one, what came before a request answers none: such units are dropped (`late_answer`).
    """

    repeats = False

    def __init__(
        self,
        transport: NetworkTransport,
        client: int,
        server: int,
        timeout: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.transport = transport
        self.client = client
        self.server = server
        self.timeout = timeout
        self.faults = Faults()
        self._network = transport
        self._clock = clock
        self._sleep = sleep
        self._buffer = b""
        self._used = self._stale = False

    def open(self) -> None:
        """A connection that nothing has come over yet; NoConnectionError."""
        self._buffer = b""
        self._stale = False
        if self._used:
            self._sleep(AFTER_CLOSE)
            self._network.renew()
        self._used = True

    def exchange(self, apdu: bytes | list[bytes]) -> bytes:
        """One APDU there, or several in a row, and one back; none where nothing was sent and nothing more comes."""
        try:
            return self._exchange(apdu)
        except ConnectionLostError as error:
            if self._buffer:
                raise ConnectionLostError(f"{error} (in the middle of an answer)") from error
            raise

    def _exchange(self, apdu: bytes | list[bytes]) -> bytes:
        apdus = [apdu] if isinstance(apdu, bytes) else apdu
        units = [WrapperUnit(self.client, self.server, item).to_bytes() for item in apdus if item]
        if units:
            self._drop_stale()
        for unit in units:
            self.transport.write(unit)
        deadline = self._clock() + self.timeout
        while True:
            found = self._next_unit()
            if found is not None:
                if found.source == self.server and found.destination == self.client:
                    return found.apdu
                continue
            left = deadline - self._clock()
            if left <= 0:
                if len(self._buffer) >= HEADER_SIZE:
                    raise BadAnswerError("the meter's answer is cut short", "cut_short")
                if not units:
                    return b""
                raise MeterTimeoutError(f"no answer from the meter in {self.timeout:g} s: check the wrapper ports")
            self._buffer += self.transport.read(left)

    def _next_unit(self) -> WrapperUnit | None:
        while True:
            try:
                found, end = read_unit(self._buffer, 0)
            except DecodeError as error:
                raise NotDlmsError(f"something answers, but not with the DLMS wrapper: {error}") from error
            if found is None:
                return None
            self._buffer = self._buffer[end:]
            if not self._stale:
                return found
            self._stale = False
            self.note("late_answer")

    def _drop_stale(self) -> None:
        """Of what came before a request, whole units are dropped at once, one that has begun as soon as it is whole."""
        self._buffer += self.transport.read(0)
        while self._next_unit() is not None:
            self.note("late_answer")
        self._stale = bool(self._buffer)

    def shut(self) -> None:
        """Close the connection, so that the module is free for the next."""
        self.transport.close()


class Connection:
    """An open association over a link: what the driver and `edge-agent read` talk to."""

    def __init__(self, link: Link, client: Client) -> None:
        self.link = link
        self.client = client
        client.noted = link.note

    def open(self) -> None:
        """Set up link and association, once more where the meter lost them on the way; MeterError."""
        try:
            self._open()
        except MeterError as error:
            known = error.code in ("disconnected", "no_progress", "unexpected_apdu")
            if not known and (self.link.repeats or not isinstance(error, BROKEN)):
                raise
            self.link.note(error.code)
            self._open()

    def _open(self) -> None:
        try:
            self.link.open()
            self.run(self.client.associate())
        except DlmsError as error:
            self.abandon()
            raise meter_error(error) from error
        except BaseException:  # an interruption too leaves the meter free for the next reader
            self.abandon()
            raise

    def run(self, conversation: Conversation) -> Any:
        """Drive one of the client's conversations to its result; DlmsError and MeterError pass through."""
        try:
            apdu = next(conversation)
            while True:
                try:
                    answer = self.link.exchange(apdu)
                except (LinkError, RequestLostError) as error:
                    apdu = conversation.throw(error)
                else:
                    apdu = conversation.send(answer)
        except StopIteration as end:
            return end.value
        finally:
            conversation.close()

    def read(self, item: CosemObject, name: str) -> Any:
        """An attribute by its name, as a Python value."""
        return item.decode(name, self.run(self.client.get(item.attribute(name))))

    def write(self, item: CosemObject, name: str, value: Any) -> None:
        """Set an attribute by its name from a Python value."""
        self.run(self.client.set(item.attribute(name), item.encode(name, value)))

    def call(self, item: CosemObject, name: str, parameters: Data | None = None) -> Data | None:
        """Call a method by its name. Most methods without parameters are sent integer 0, as the Blue Book has it."""
        returned: Data | None = self.run(self.client.action(item.method(name), parameters or (INT8, 0)))
        return returned

    def close(self) -> None:
        """Release the association, the link and the line; whatever goes wrong on the way no longer matters."""
        try:
            if self.client.state != CLOSED:
                self.run(self.client.release())
        except (DlmsError, MeterError):
            pass
        self.abandon()
        self.link.transport.close()

    def abandon(self) -> None:
        """Take the link down without a release."""
        self.client.lost()
        with contextlib.suppress(DlmsError, MeterError):
            self.link.shut()
