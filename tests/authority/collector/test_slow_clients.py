"""Clients that are slow or silent, on purpose or not, at a real collector: nobody waits for them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slow_clients import end_of, slow_clients

from authority.app import App

COUNT = 40

HEAD = b"GET /api/v1/ca HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST /api/v1/enrolments HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
CHUNKS = b"POST /api/v1/enrolments HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"
EXPECT = b"POST /api/v1/enrolments HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n"


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def tls(app: App) -> ssl.SSLContext:
    """A stranger's: no client certificate."""
    return ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))


@pytest.mark.finding("ops-12")
@pytest.mark.parametrize(
    ("head", "drip", "encrypted"),
    [
        (b"", b"", False),
        (b"\x16\x03\x01", b"\x00", False),
        (b"", b"", True),
        (HEAD, b"x", True),
        (HEAD, b"", True),
        (BODY, b"x", True),
        (CHUNKS, b"x", True),
        (EXPECT, b"", True),
    ],
    ids=["silent", "half-a-handshake", "tls-and-silent", "headers", "half-a-head", "body", "chunks", "expect"],
)
def test_slow_strangers_hold_nobody_up(
    app: App,
    add_meter: Any,
    certify: Callable[[str], Path],
    collector_process: Any,
    link: Any,
    tls: ssl.SSLContext,
    head: bytes,
    drip: bytes,
    encrypted: bool,
) -> None:
    meter = add_meter()
    directory = certify("gw-1")
    collector_process.start()
    with slow_clients(collector_process.port, COUNT, head, drip, tls if encrypted else None):
        gateway, stranger = link(directory), link(None)
        for _ in range(3):
            assert gateway.call("POST", "/api/v1/gateways/gw-1/readings", meter.next())[0] == 200
            assert stranger.call("GET", "/api/v1/ca")[0] == 200
            assert link(None).call("POST", "/api/v1/enrolments", b"{}")[0] == 401
    assert collector_process.stop() == 0


@pytest.mark.finding("ops-12")
@pytest.mark.slow
def test_slow_clients_are_ended(app: App, collector_process: Any, tls: ssl.SSLContext) -> None:
    collector_process.start()

    def connect(head: bytes) -> socket.socket:
        link = tls.wrap_socket(
            socket.create_connection(("127.0.0.1", collector_process.port), 60), server_hostname="localhost"
        )
        link.sendall(head)
        return link

    silent = socket.create_connection(("127.0.0.1", collector_process.port), 60)
    slow = [connect(head) for head in (b"", HEAD, BODY, CHUNKS)]
    expecting = connect(EXPECT)
    assert end_of(silent) == b""
    assert [end_of(link) for link in slow] == [b""] * 4
    assert end_of(expecting) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.finding("ops-12")
def test_what_is_too_large_is_refused_before_it_has_come(collector_process: Any, tls: ssl.SSLContext) -> None:
    collector_process.start()
    for sent, status in (
        (b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 200000000\r\n\r\n", b"413"),
        (b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 200000000\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"431"),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", b"413"),
    ):
        link = tls.wrap_socket(
            socket.create_connection(("127.0.0.1", collector_process.port), 60), server_hostname="localhost"
        )
        link.sendall(sent)
        answer = end_of(link)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"application/problem+json" in answer


def test_requests_come_whole_however_they_are_cut(collector_process: Any, tls: ssl.SSLContext) -> None:
    """In pieces, several at once, chunked with a trailer, after empty lines: each gets its answer, in order."""
    collector_process.start()
    link = tls.wrap_socket(
        socket.create_connection(("127.0.0.1", collector_process.port), 60), server_hostname="localhost"
    )
    get = b"GET /api/v1/ca HTTP/1.1\r\nHost: h\r\n\r\n"
    chunked = b"POST /api/v1/enrolments HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nT: 1\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    for byte in get[:20]:
        link.sendall(bytes([byte]))
    link.sendall(get[20:] + get + b"\r\n\r\n" + chunked[:90])
    link.sendall(chunked[90:] + last)
    answers = end_of(link)
    statuses = [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"200", b"401", b"404"]
