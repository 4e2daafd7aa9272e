"""The pages' server under clients that are slow or silent: `authority web` as a process, over real sockets."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from free_ports import free_port
from sample_campus import Source
from slow_clients import end_of, slow_clients

from authority.home.home import Home
from authority.home.settings import WebSettings
from authority.web.application import create_app
from authority.web.server import ENDLESS, Turns

THREADS, STREAMS = 2, 2
GET = b"GET /api/v1/campus HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def port(home: Home) -> Iterator[int]:
    """Where the pages of a fresh home are."""
    port = free_port()
    home.save(replace(home.settings, web=WebSettings(port=port, threads=THREADS, streams=STREAMS)))
    process = subprocess.Popen(
        [sys.executable, "-m", "authority.cli", "web", "--home", home.path], cwd=Path(__file__).parents[3]
    )
    end = time.monotonic() + 120
    while True:
        try:
            probe(port)
            break
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
    yield port
    process.terminate()
    assert process.wait(60) == 0


def probe(port: int) -> int:
    """The status of a reader's request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/openapi.json")
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.finding("ops-12")
@pytest.mark.parametrize(
    ("head", "drip"),
    [(b"", b""), (GET, b""), (GET + b"X: ", b"x"), (GET + b"Content-Length: 1000\r\n\r\n", b"x")],
    ids=["silent", "half-a-head", "headers", "body"],
)
def test_slow_readers_hold_nobody_up(port: int, head: bytes, drip: bytes) -> None:
    with slow_clients(port, 40, head, drip):
        assert [probe(port) for _ in range(5)] == [200] * 5


@pytest.mark.finding("ops-12")
@pytest.mark.slow
def test_slow_readers_are_ended(port: int) -> None:
    links = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(3)]
    for link, sent in zip(links, (b"", GET, GET + b"Content-Length: 9\r\n\r\n"), strict=True):
        link.sendall(sent)
    assert [end_of(link) for link in links] == [b""] * 3


@pytest.mark.finding("ops-12")
def test_readers_that_do_not_hang_up_hold_nobody_up(port: int) -> None:
    """Nobody waits for a client that leaves an answered connection open, or that does not read."""
    links = []
    for _ in range(20):
        link = socket.create_connection(("127.0.0.1", port), 60)
        link.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        links.append(link)
    assert [probe(port) for _ in range(5)] == [200] * 5
    for link in links:
        assert end_of(link).startswith(b"HTTP/1.1 200")


def test_every_event_stream_is_known_to_be_endless() -> None:
    """Any other answer that takes long is taken from its thread."""
    streams = {
        rule.rule
        for rule in create_app(Source()).url_map.iter_rules()
        if rule.endpoint.rpartition(".")[2] in ("stream", "live_events")
    }
    assert streams == ENDLESS


def test_so_many_requests_are_answered_at_once_and_streams_are_not_counted() -> None:
    inside, go_on, begun = threading.Semaphore(0), threading.Semaphore(0), []

    def app(environ: dict[str, str], _start: object) -> list[bytes]:
        begun.append(environ["PATH_INFO"])
        inside.release()
        assert go_on.acquire(timeout=60)
        if environ["PATH_INFO"] == "/fails":
            raise ValueError
        return [b""]

    turns = Turns(app, 2, {"/live"})

    def ask(path: str) -> None:
        with suppress(ValueError):
            turns({"PATH_INFO": path}, None)

    threads = [threading.Thread(target=ask, args=(path,)) for path in ("/fails", "/fails", "/", "/", "/live", "/live")]
    for thread in threads:
        thread.start()
    for _ in range(4):  # both streams, and two of the others
        assert inside.acquire(timeout=60)
    assert begun.count("/live") == 2
    assert not inside.acquire(timeout=0.2)
    for _ in threads:
        go_on.release()
    for thread in threads:
        thread.join(60)
    assert sorted(begun) == ["/", "/", "/fails", "/fails", "/live", "/live"]
