"""Emulated meters behind the DLMS wrapper: one loop for the TCP connections or the datagrams of all clients."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.wrapper import read_unit
from edge_agent.emulator.faults import FaultyLine
from edge_agent.emulator.line import WrapperConnection

MAX_CONNECTIONS = 256
MAX_UNREAD = 1 << 20
"""Bytes that a client may leave unread before its connection is closed."""

Address = tuple[str, int]


class Control(Protocol):
    """Where faults come in as commands, while the meters serve."""

    socket: socket.socket | None

    def take(self, line: FaultyLine) -> None:
        """Read the commands that wait."""


class _TcpClient:
    """One connection: what it has to get, and from when on."""

    def __init__(self, connection: WrapperConnection) -> None:
        self.connection = connection
        self.outgoing = b""
        self.busy_until = 0.0


class WrapperServer:
    """Serves the meters of one line on a TCP or UDP address. An answer that is late holds up no other client's."""

    def __init__(self, line: FaultyLine, address: Address, *, datagrams: bool) -> None:
        """Listen; OSError where the address cannot be had."""
        self.line = line
        self.datagrams = datagrams
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
        try:
            if not datagrams:
                self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(address)
            if not datagrams:
                self.listener.listen()
        except OSError:
            self.listener.close()
            raise
        self.listener.setblocking(False)
        self._clients: dict[socket.socket, _TcpClient] = {}
        self._peers: dict[str, WrapperConnection] = {}
        self._later: list[tuple[float, int, socket.socket | Address, bytes]] = []
        self._number = itertools.count()

    @property
    def name(self) -> str:
        """HOST:PORT as a client takes it."""
        host, port = self.listener.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Close the listener and every connection."""
        for client in list(self._clients):
            self._drop(client)
        self.listener.close()

    def serve(self, stopping: Callable[[], bool], wake: int, control: Control) -> None:
        """Answer until `stopping()`; `wake` becomes readable when that changes."""
        fixed: list[int | socket.socket] = [wake, self.listener]
        if control.socket is not None:
            fixed.append(control.socket)
        while not stopping():
            timeout = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
            unread = [client for client, state in self._clients.items() if state.outgoing]
            ready, writable, _ = select.select([*fixed, *self._clients], unread, [], timeout)
            self._send_due()
            for client in writable:
                self._send(client)
            if control.socket is not None and control.socket in ready:
                control.take(self.line)
            if self.listener in ready:
                if self.datagrams:
                    self._take_datagram()
                else:
                    self._accept()
            for client in [known for known in self._clients if known in ready]:
                self._read(client)

    def _send_due(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            _, _, target, data = heapq.heappop(self._later)
            self._put(target, data)

    def _schedule(self, target: socket.socket | Address, pieces: list[tuple[float, bytes]]) -> None:
        """Put each piece on its way, `delay` seconds after the one before it; over TCP also in order."""
        at = time.monotonic()
        client = self._clients.get(target) if isinstance(target, socket.socket) else None
        if client is not None:
            at = max(at, client.busy_until)
        for delay, piece in pieces:
            at += delay
            if at <= time.monotonic():
                self._put(target, piece)
            else:
                heapq.heappush(self._later, (at, next(self._number), target, piece))
        if client is not None:
            client.busy_until = at

    def _put(self, target: socket.socket | Address, data: bytes) -> None:
        if not isinstance(target, socket.socket):
            for datagram in _units(data):
                with contextlib.suppress(OSError):
                    self.listener.sendto(datagram, target)
        elif target in self._clients:
            self._clients[target].outgoing += data
            self._send(target)

    # TCP

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self.listener.accept()
            client.setblocking(False)
            if len(self._clients) >= MAX_CONNECTIONS:
                client.close()
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients[client] = _TcpClient(self.line.line.connect())

    def _drop(self, client: socket.socket) -> None:
        del self._clients[client]
        client.close()

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(65536)
            if not data:
                self._drop(client)
                return
            self._schedule(client, self.line.receive(data, self._clients[client].connection.receive))
        except BlockingIOError:
            pass
        except (OSError, DecodeError):
            if client in self._clients:
                self._drop(client)

    def _send(self, client: socket.socket) -> None:
        state = self._clients.get(client)
        if state is None:
            return
        try:
            state.outgoing = state.outgoing[client.send(state.outgoing) :]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        if len(state.outgoing) > MAX_UNREAD:
            self._drop(client)

    # UDP

    def _take_datagram(self) -> None:
        try:
            data, peer = self.listener.recvfrom(65536)
        except OSError:
            return
        # An association belongs to host and wrapper ports, whatever UDP port the next request comes from.
        if peer[0] not in self._peers:
            if len(self._peers) >= MAX_CONNECTIONS:
                self._peers.clear()
            self._peers[peer[0]] = self.line.line.connect()
        self._schedule(peer, self.line.receive(data, self._peers[peer[0]].receive_datagram))


def _units(data: bytes) -> Iterator[bytes]:
    """A datagram for each wrapper unit, and one for what is left."""
    position = 0
    while position < len(data):
        try:
            unit, end = read_unit(data, position)
        except DecodeError:
            unit, end = None, position
        if unit is None:
            end = len(data)
        yield data[position:end]
        position = end
