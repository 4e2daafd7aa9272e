"""A deadline for a whole exchange: a socket's own is for each wait, which a byte now and then outlives."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol


class Link(Protocol):
    """What has a socket, once it is connected."""

    sock: socket.socket | None


@contextmanager
def hung_up_after(link: Link, seconds: float) -> Iterator[None]:
    """End a connection that goes on beyond its deadline: TimeoutError, whatever part of an answer came before."""
    over = threading.Event()

    def hang_up() -> None:
        over.set()
        if link.sock is not None:
            with suppress(OSError):
                link.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if over.is_set():
            raise TimeoutError(f"no whole answer within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
    if over.is_set():
        raise TimeoutError(f"no whole answer within {seconds:g} s")
