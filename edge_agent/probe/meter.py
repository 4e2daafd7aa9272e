"""A probe's way to its meter: one DLMS association over HDLC on a serial line, registers read one after another.

The line is anything with `write(data)` and `read(milliseconds)`, which gives what has arrived, empty after that time.
"""

from __future__ import annotations

import hashlib

from edge_agent.dlms.client import Client
from edge_agent.dlms.cosem.clock import Clock
from edge_agent.dlms.cosem.data import DataObject
from edge_agent.dlms.cosem.register import Register
from edge_agent.dlms.errors import LinkError, ProtocolError
from edge_agent.dlms.hdlc.address import encode_address, server_address
from edge_agent.dlms.hdlc.client_link import Connected, Disconnected, HdlcClientLink, Received, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from edge_agent.dlms.client import Conversation
    from edge_agent.dlms.cosem.base import CosemObject

    class Line(Protocol):
        """A serial line."""

        def write(self, data: bytes) -> None:
            """Write all of it."""

        def read(self, milliseconds: int) -> bytes:
            """What has arrived; empty after that time."""


LOGICAL_DEVICE_NAME = "0-0:42.0.0.255"
CLOCK = "0-0:1.0.0.255"
WATT_HOURS = 30
"""The unit's number (IEC 62056-6-2, 4.3.2)."""


class ProbeMeter:
    """One meter on a line; `open` before anything is read. password: the LLS secret, None for no authentication.

    LinkError or ProtocolError where the meter does not answer, or not as it should: close it and try again later.
    """

    def __init__(
        self, line: Line, client: int = 16, server: int = 1, password: bytes | None = None, timeout: int = 3000
    ) -> None:
        self._line = line
        self._timeout = timeout
        self._link = HdlcClientLink(encode_address(client), server_address(server))
        self._client = Client(password, received=self._take)
        self._hash: Any = None

    def open(self) -> None:
        """Link and association."""
        while self._line.read(0):
            pass  # what was left of another conversation
        self._converse(self._link.connect(), Connected)
        self._run(self._client.associate())

    def close(self) -> None:
        """Take the link down; a meter that does not answer is left to its own timeout."""
        self._client.lost()
        if self._link.state != "disconnected":
            try:
                self._converse(self._link.disconnect(), Disconnected)
            except (LinkError, ProtocolError):
                self._link = HdlcClientLink(self._link.client, self._link.server)

    def name(self) -> str:
        """The logical device name."""
        tag, value = self._get(DataObject(LOGICAL_DEVICE_NAME), "value")
        if tag not in (9, 10):
            raise ProtocolError("bad_name", f"the meter's name has type {tag}")
        return value if isinstance(value, str) else bytes(value).decode()

    def time(self) -> int:
        """The meter's clock in Unix seconds."""
        unix = self._get(Clock(CLOCK), "time").unix()
        if unix is None:
            raise ProtocolError("bad_time", "the meter's clock does not say what time it is in UTC")
        return int(unix)

    def energy(self, obis: str) -> int:
        """A register in whole Wh, rounded down; ProtocolError `bad_register` where it is none of Wh."""
        register = Register(obis)
        scaler, unit = self._get(register, "scaler_unit")
        _tag, value = self._get(register, "value")
        if unit != WATT_HOURS or not isinstance(value, int) or value < 0:
            raise ProtocolError("bad_register", f"{obis} shows {value!r} with unit {unit}, and Wh are wanted")
        return int(value * 10**scaler) if scaler >= 0 else int(value // 10**-scaler)

    def begin_evidence(self) -> None:
        """From now on every APDU that the meter sends counts for the next `evidence`."""
        self._hash = hashlib.sha256()

    def evidence(self) -> bytes:
        """The first 16 bytes of the SHA-256 over those APDUs; it is over with that."""
        hash_, self._hash = self._hash, None
        return bytes(hash_.digest()[:16])

    def _take(self, apdu: bytes) -> None:
        if self._hash is not None:
            self._hash.update(apdu)

    def _get(self, item: CosemObject, name: str) -> Any:
        return item.decode(name, self._run(self._client.get(item.attribute(name))))

    def _run(self, conversation: Conversation) -> Any:
        """Carry the client's requests over the link until it has what it wants."""
        try:
            request = next(conversation)
            while True:
                apdus = [request] if isinstance(request, bytes) else request
                request = conversation.send(self._converse(self._link.send(*apdus), Received).apdu)
        except StopIteration as done:
            return done.value

    def _converse(self, out: bytes, wanted: Any) -> Any:
        """Write, and read until the event that is wanted; silence is answered twice with what the link repeats."""
        silences = 0
        self._line.write(out)
        while True:
            data = self._line.read(self._timeout)
            events = self._link.receive(data) if data else self._link.flush()
            found = None
            for event in events:
                if isinstance(event, Write):
                    self._line.write(event.data)
                elif isinstance(event, wanted):
                    found = event
            if found is not None:
                return found
            if not data:
                silences += 1
                if silences > 2:
                    raise LinkError("no_answer", "the meter does not answer: check the line, its speed and address")
                self._line.write(self._link.on_silence())
