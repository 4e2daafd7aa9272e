"""A DLMS client over UDP, where datagrams are lost, doubled and late: by what an answer is told, what is asked again.

The wrapper's ports say only who speaks. A datagram is the answer to the request that waits when

- it comes to the UDP port of this association: each AARQ goes out from a port of its own, so an AARE that is late
  reaches nobody;
- its APDU is of the kind that answers the request, with the request's invoke-id, and in a transfer the block that is
  due; or, ciphered, with an invocation counter above that of the last answer, which a copy never has.

What is not, is dropped; a meter that does not repeat the invoke-id cannot be read so. There are but fifteen of them:
that of a request without an answer is not used again while the answer may still be on its way. An exception names no
request, so a GET that gets one is asked once more.

No APDU is sent twice: a request without an answer is made again, with its own invoke-id and invocation counter. In
a transfer the block that is due is asked for again first; a meter that has moved on refuses that, and the transfer
starts over. That is done for GET and the association alone: nobody can tell whether a SET or an ACTION was carried out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from edge_agent.dlms.apdu.conformance import DEFAULT, GENERAL_BLOCK_TRANSFER
from edge_agent.dlms.apdu.get_request import GetRequestNext
from edge_agent.dlms.apdu.get_response import GetResponseBlock
from edge_agent.dlms.client import Client
from edge_agent.dlms.errors import DecodeError, LinkError, ProtocolError, ServiceError
from edge_agent.dlms.security import DED_TAGS, GENERAL_DED, GENERAL_GLO, GLO_TAGS, CipheredUnit
from edge_agent.dlms.wrapper import WrapperUnit
from edge_agent.meters.connection import Link
from edge_agent.meters.errors import MeterTimeoutError, RequestLostError
from edge_agent.meters.faults import Faults
from edge_agent.meters.transport import NetworkTransport

if TYPE_CHECKING:
    from edge_agent.dlms.apdu.base import CosemAttribute, Selection
    from edge_agent.dlms.client import Conversation
    from edge_agent.dlms.security import Security

LIFETIME = 60.0
"""Seconds for which the answer to a request may be on its way."""

RETRIES = 3
"""How often a request is made again."""

_AARQ, _EXCEPTIONS = 0x60, (0xD8, 0x0E)
_GET_NEXT, _BLOCK = b"\xc0\x02", b"\xc4\x02"
_PLAIN = {0xC0: 0xC4, 0xC1: 0xC5, 0xC3: 0xC7}
_CIPHERED = {0xC8: 0xCC, 0xC9: 0xCD, 0xCB: 0xCF, 0xD0: 0xD4, 0xD1: 0xD5, 0xD3: 0xD7}
_ANSWERS = {0x60: 0x61, 0x62: 0x63, **_PLAIN, **_CIPHERED, GENERAL_GLO: GENERAL_GLO, GENERAL_DED: GENERAL_DED}
"""The tag of a request -> that of its answer."""


class DatagramLine(Link):
    """The wrapper over UDP as a link."""

    repeats = True

    def __init__(
        self,
        transport: NetworkTransport,
        client: int,
        server: int,
        timeout: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.transport = transport
        self._udp = transport
        self.client = client
        self.server = server
        self.timeout = timeout
        self.faults = Faults()
        self._clock = clock
        self._request = b""
        self._counters: dict[bool, int] = {}

    def open(self) -> None:
        """Nothing: an association starts with its AARQ."""

    def shut(self) -> None:
        """Nothing: the transport closes."""

    def exchange(self, apdu: bytes | list[bytes]) -> bytes:
        """One APDU there and its answer back, or for an empty one the next answer; RequestLostError."""
        for item in [apdu] if isinstance(apdu, bytes) else apdu:
            if item:
                self._send(item)
        deadline = self._clock() + self.timeout
        stray = 0
        while (left := deadline - self._clock()) > 0:
            datagram = self.transport.read(left)
            if not datagram:
                continue
            try:
                unit = WrapperUnit.from_bytes(datagram)
            except DecodeError as error:
                self.note(error.code)
                continue
            if (unit.source, unit.destination) != (self.server, self.client):
                self.note("wrong_port")
            elif self._answers(unit.apdu):
                return unit.apdu
            else:
                self.note("late_answer")
                stray += 1
        self.note("no_answer")
        if stray:
            raise RequestLostError(f"in {self.timeout:g} s the meter sent {stray} APDUs that answer another request")
        raise RequestLostError(f"no answer from the meter in {self.timeout:g} s: check address and wrapper ports")

    def _send(self, apdu: bytes) -> None:
        if apdu[0] == _AARQ:
            self._udp.renew()
            self._counters.clear()
        self._request = apdu
        self.transport.write(WrapperUnit(self.client, self.server, apdu).to_bytes())

    def _answers(self, apdu: bytes) -> bool:
        """Whether this is the answer to the request that waits, as far as can be told without the keys."""
        request = self._request
        if not apdu or apdu[0] in _EXCEPTIONS:
            return bool(apdu)
        if apdu[0] != _ANSWERS.get(request[0]):
            return False
        if apdu[0] in GLO_TAGS or apdu[0] in DED_TAGS or apdu[0] in (GENERAL_GLO, GENERAL_DED):
            return self._is_new(apdu)
        if request[0] not in _PLAIN or len(apdu) < 3:
            return True
        if apdu[2] & 0x0F != request[2] & 0x0F:
            return False
        if request[0] == _GET_NEXT[0] and apdu[:2] == _BLOCK and len(apdu) > 7:
            asked = int.from_bytes(request[3:7], "big") if request[:2] == _GET_NEXT else 0
            # A last block that only says why there are no more has the number of the one that was asked from.
            return int.from_bytes(apdu[4:8], "big") == asked + 1 or apdu[8:9] == b"\x01"
        return True

    def _is_new(self, apdu: bytes) -> bool:
        try:
            unit = CipheredUnit.from_bytes(apdu)
        except DecodeError:
            return False
        dedicated = unit.tag in DED_TAGS or unit.tag == GENERAL_DED
        if unit.counter <= self._counters.get(dedicated, -1):
            return False
        self._counters[dedicated] = unit.counter
        return True


class DatagramClient(Client):
    """A client whose GETs and association are made again when the line says that the answer was lost."""

    def __init__(
        self,
        password: bytes | None = None,
        security: Security | None = None,
        received: Callable[[bytes], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(password, security, DEFAULT & ~GENERAL_BLOCK_TRANSFER, received=received)
        self._echoes = True
        self._clock = clock
        self._unanswered: dict[int, float] = {}

    def _next_invoke(self) -> int:
        for _ in range(15):
            invoke = super()._next_invoke()
            if self._unanswered.get(invoke, -LIFETIME) + LIFETIME <= self._clock():
                return invoke
        raise LinkError("too_many_lost", "so many answers of the meter are lost that late ones could not be told apart")

    def associate(self) -> Conversation:
        """As the client's own, from the AARQ on where anything is lost."""
        self._unanswered.clear()  # what is late does not reach the new association's port
        return self._again(super().associate, restart=True)

    def get(self, attribute: CosemAttribute, selection: Selection | None = None) -> Conversation:
        """As the client's own."""
        make = super().get
        return self._again(lambda: make(attribute, selection))

    def get_list(self, items: list[tuple[CosemAttribute, Selection | None]]) -> Conversation:
        """As the client's own."""
        make = super().get_list
        return self._again(lambda: make(items))

    def _ask(self, request: Any) -> Conversation:
        """As the client's own; the next block is asked for once more."""
        try:
            return (yield from super()._ask(request))
        except ServiceError:
            self._unanswered[request.invoke] = self._clock()
            raise
        except RequestLostError:
            self._unanswered[request.invoke] = self._clock()
            if not isinstance(request, GetRequestNext):
                raise
        answer = yield from super()._ask(request)
        if not isinstance(answer, GetResponseBlock) or answer.raw is None:
            raise RequestLostError("the meter does not send a block of its answer again")
        return answer

    def _again(
        self, make: Callable[[], Conversation], restart: bool = False
    ) -> Generator[bytes | list[bytes], bytes, Any]:
        refused = 0
        for attempt in range(RETRIES + 1):
            try:
                return (yield from make())
            except RequestLostError as error:
                if restart:
                    self.lost()
                if attempt == RETRIES:
                    raise MeterTimeoutError(f"{error} (asked {RETRIES + 1} times)") from error
            except ProtocolError as error:
                if error.code != "missing_block" or attempt == RETRIES:
                    raise
            except ServiceError as error:
                refused += 1
                if restart or refused > 1 or attempt == RETRIES or error.least_counter is not None:
                    raise
        raise AssertionError("the last attempt returns or raises")
