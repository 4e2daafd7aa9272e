"""Clients that send nothing, or a byte now and then, and never end by themselves."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator


class SlowClients:
    """`count` connections to a port of this machine, TLS where a context is given, that drip `head` byte by byte."""

    def __init__(
        self, port: int, count: int, head: bytes, drip: bytes = b"x", tls: ssl.SSLContext | None = None
    ) -> None:
        self._drip = drip
        self._stop = threading.Event()
        self.open = threading.Barrier(count + 1)
        self._threads = [threading.Thread(target=self._hold, args=(port, head, tls), daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()
        self.open.wait(120)

    def _hold(self, port: int, head: bytes, tls: ssl.SSLContext | None) -> None:
        link: socket.socket | None = None
        with contextlib.suppress(OSError):
            link = socket.create_connection(("127.0.0.1", port), 60)
            if tls is not None:
                link = tls.wrap_socket(link, server_hostname="localhost")
            link.sendall(head)
        self.open.wait(120)
        while link is not None and not self._stop.wait(0.2):
            try:
                if self._drip:
                    link.sendall(self._drip)
            except OSError:
                with contextlib.suppress(OSError):
                    link.close()
                link = None
        if link is not None:
            link.close()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


@contextlib.contextmanager
def slow_clients(
    port: int, count: int, head: bytes, drip: bytes = b"x", tls: ssl.SSLContext | None = None
) -> Iterator[SlowClients]:
    """Connected when this begins, ended when it ends."""
    clients = SlowClients(port, count, head, drip, tls)
    try:
        yield clients
    finally:
        clients.close()


def end_of(link: socket.socket) -> bytes:
    """What the other side sends until it ends the connection."""
    link.settimeout(60)
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while some := link.recv(4096):
            received += some
    return received
