"""Campuses on a validator, and what stands between them and it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from agave_validator import released
from whole_campus import Campus, RealWall, ValidatorProcess

from authority.chain.artifacts import PROGRAM_NAMES, artifacts_directory
from authority.home.home import Home


class Proxy:
    """A TCP proxy before the validator that loses what a test says.

    judge gets each JSON-RPC request (of a batch the first call, and as `calls` how many there are) and returns PASS,
    DROP (the connection ends before the request goes on), SWALLOW (the validator gets it, the answer is lost), PART
    (it gets the first half of a batch, and the connection ends) or a callable, which is called once the validator has
    answered and before the answer goes back.
    """

    PASS, DROP, SWALLOW, PART = "pass", "drop", "swallow", "part"

    def __init__(self, port: int, judge: Callable[[dict[str, Any]], Any]) -> None:
        self.upstream = port
        self.judge = judge
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            stream = connection.makefile("rb")
            with socket.create_connection(("127.0.0.1", self.upstream)) as upstream:
                answers = upstream.makefile("rb")
                while (request := _message(stream)) is not None:
                    body = json.loads(request.partition(b"\r\n\r\n")[2])
                    calls = body if isinstance(body, list) else [body]
                    verdict = self.judge({**calls[0], "calls": len(calls)})
                    if verdict == self.DROP:
                        return
                    if verdict == self.PART:
                        half = json.dumps(calls[: len(calls) // 2]).encode()
                        head = b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                        upstream.sendall(head % len(half) + half)
                        _message(answers)
                        return
                    upstream.sendall(request)
                    answer = _message(answers)
                    if verdict == self.SWALLOW or answer is None:
                        return
                    if callable(verdict):
                        verdict()
                    connection.sendall(answer)


def _message(stream: BinaryIO) -> bytes | None:
    """One HTTP message with a Content-Length; None at the end of the stream."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return None
        head += line
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    return head + stream.read(length)


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[Campus]:
    """A deployed campus, at the beginning of an epoch."""
    missing = [name for name in PROGRAM_NAMES if not (artifacts_directory() / f"{name}.so").is_file()]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)}")
    made = Campus(tmp_path)
    made.next_epoch()
    yield made
    made.close()


@pytest.fixture
def make_campus(tmp_path: Path) -> Iterator[Callable[[Sequence[Any]], Campus]]:
    """Makes campuses of plans of their own, each at the beginning of an epoch."""
    made: list[Campus] = []

    def make(plan: Sequence[Any]) -> Campus:
        made.append(Campus(tmp_path / str(len(made)), plan=plan))
        made[-1].next_epoch()
        return made[-1]

    yield make
    for campus in made:
        campus.close()


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[Campus]:
    """A deployed campus on a validator in a process of its own: validator.stop() is kill -9."""
    made = Campus(tmp_path, ValidatorProcess)
    made.next_epoch()
    yield made
    made.close()


class Agave:
    """A real Agave validator with a home's authority as the programs' upgrade authority."""

    def __init__(self, start: Callable[..., Any], home: Home) -> None:
        self.url: str = start(released(str(home.authority.pubkey())), str(home.operator.pubkey())).url

    def stop(self) -> None:
        """The session's fixture ends it."""


@pytest.fixture
def agave_campus(tmp_path: Path, start_agave: Callable[..., Any]) -> Iterator[Campus]:
    """A deployed campus on Agave, with epochs of 40 s of the machine's clock."""
    made = Campus(tmp_path, lambda home, _: Agave(start_agave, home), RealWall(), 40)
    yield made
    made.close()


@pytest.fixture
def small_agave_campus(tmp_path: Path, start_agave: Callable[..., Any]) -> Iterator[Campus]:
    """The same with one member, one meter, small books and epochs of 20 s: what an upgrade needs."""
    wall, plan = RealWall(), Campus.PLAN[6:7]
    made = Campus(tmp_path, lambda home, _: Agave(start_agave, home), wall, 20, plan=plan, orders_per_side=16)
    yield made
    made.close()


@pytest.fixture
def proxy(campus: Campus) -> Iterator[Callable[[Callable[[dict[str, Any]], Any]], Proxy]]:
    """Makes proxies before the campus's validator."""
    made: list[Proxy] = []

    def make(judge: Callable[[dict[str, Any]], Any]) -> Proxy:
        made.append(Proxy(campus.validator.port, judge))
        return made[-1]

    yield make
    for one in made:
        one.close()
