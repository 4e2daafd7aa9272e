"""The WebSocket door of subscriptions (RFC 6455): JSON-RPC requests in, answers and notifications out.

Clients look for it at the RPC's port + 1. It holds against those that ask for too much: so many connections, messages
of at most 4 KiB, one message of a connection at a time, and a reader who does not keep up is sent away with a reason.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import threading
from collections import deque
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from authority.validator.bank import Bank
from authority.validator.subscriptions import Notifier

MAX_CONNECTIONS = 256
MAX_MESSAGE = 4_096
"""Bytes of a client's message, as Agave has it; a larger one ends its connection with 1009."""
MAX_WAITING = 4_096
MAX_WAITING_SIZE = 16 * 1024 * 1024
"""Notifications, and their characters, that may wait for a reader; one more ends its connection with 1008."""
HANDSHAKE_SECONDS = 10
PING_SECONDS = 20
"""How often a silent client is asked whether it is there, and how long it has for its answer."""
CLOSE_SECONDS = 2
"""How long a client has to answer a close frame, or to read so far, before its connection is cut."""
TOO_SLOW = "notifications were not read fast enough: subscribe to less, or read faster"

_log = logging.getLogger(__name__)
_library_log = logging.getLogger(f"{__name__}.library")
_library_log.setLevel(logging.WARNING)


class PubSubServer:
    """The listening server, in threads of its own from `start` to `stop`. OSError where the address is taken.

    Without `browsers` it refuses what a web page's script opens, as the RPC does.
    """

    def __init__(self, address: tuple[str, int], bank: Bank, *, browsers: bool = False) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.create_server(address, family=family, backlog=128)
        self._browsers = browsers
        self._notifier = Notifier(bank)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="pubsub", daemon=True)
        self._serving = threading.Event()
        self._stopping = asyncio.Event()
        self._held: set[ServerConnection] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to serve; returns when it does."""
        self._notifier.start()
        self._thread.start()
        self._serving.wait()

    def stop(self) -> None:
        """Tell every client that this goes away (1001), and end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._notifier.stop()
        self._socket.close()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with serve(
            self._handle,
            sock=self._socket,
            create_connection=functools.partial(_Connection, held=self._held),  # type: ignore[arg-type]  # any factory
            process_request=self._turned_away,
            origins=None if self._browsers else [None],
            compression=None,
            server_header="authority-validator",
            open_timeout=HANDSHAKE_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=CLOSE_SECONDS,
            max_size=MAX_MESSAGE,
            max_queue=1,
            logger=_library_log,
        ):
            self._serving.set()
            await self._stopping.wait()

    def _turned_away(self, connection: ServerConnection, _: Request) -> Response | None:
        """The refusal of a handshake for which there is no room."""
        full = len(self._held) > MAX_CONNECTIONS
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections\n") if full else None

    async def _handle(self, connection: ServerConnection) -> None:
        reader = _Reader(connection, self._loop)
        writing = self._loop.create_task(reader.write())
        try:
            async for message in connection:
                answered = self._loop.create_future()
                body = message.encode() if isinstance(message, str) else message
                self._notifier.request(reader, body, lambda done=answered: self._done(done))  # type: ignore[misc]
                await answered
        except ConnectionClosed:
            _log.debug("a connection ended", extra={"fields": {"peer": str(connection.remote_address)}})
        finally:
            self._notifier.leave(reader)
            writing.cancel()

    def _done(self, answered: asyncio.Future[None]) -> None:
        """Let the connection's next message in; called by the Notifier."""

        def set_result() -> None:
            if not answered.done():
                answered.set_result(None)

        self._loop.call_soon_threadsafe(set_result)


class _Connection(ServerConnection):
    """A connection that is turned away where there are too many, those that have not shaken hands included.

    The first beyond the bound are told why; where there are as many again, nobody is.
    """

    def __init__(self, *arguments: Any, held: set[ServerConnection], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._held = held

    def connection_made(self, transport: Any) -> None:
        """Begin the handshake, or end it."""
        if len(self._held) >= 2 * MAX_CONNECTIONS:
            transport.abort()
            return
        self._held.add(self)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Nothing is read of who was turned away."""
        if self in self._held:
            super().data_received(data)

    def eof_received(self) -> None:
        """Nothing is left to do for who was turned away."""
        if self in self._held:
            super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place back."""
        if self in self._held:
            self._held.remove(self)
            super().connection_lost(exc)


class _Reader:
    """What waits for one connection; `send` is the Notifier's, the rest the event loop's."""

    def __init__(self, connection: ServerConnection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._waiting: deque[str] = deque()
        self._size = 0
        self._more = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None

    def send(self, text: str) -> None:
        """Have a text sent, without waiting for it."""
        self._loop.call_soon_threadsafe(self._offer, text)

    def _offer(self, text: str) -> None:
        if self._ending is not None:
            return
        self._waiting.append(text)
        self._size += len(text)
        self._more.set()
        if len(self._waiting) > MAX_WAITING or self._size > MAX_WAITING_SIZE:
            _log.warning(
                "a slow reader was sent away", extra={"fields": {"peer": str(self._connection.remote_address)}}
            )
            self._waiting.clear()
            self._ending = self._loop.create_task(self._end())

    async def _end(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close(CloseCode.POLICY_VIOLATION, TOO_SLOW)
        except TimeoutError:
            self._connection.transport.abort()

    async def write(self) -> None:
        """Send what waits, for as long as the connection lives."""
        try:
            while True:
                while self._waiting:
                    text = self._waiting.popleft()
                    self._size -= len(text)
                    await self._connection.send(text)
                self._more.clear()
                await self._more.wait()
        except ConnectionClosed:
            _log.debug("a connection ended", extra={"fields": {"peer": str(self._connection.remote_address)}})
