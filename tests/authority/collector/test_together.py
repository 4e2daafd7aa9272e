"""Readings that are answered together: on the wire nothing differs from an endpoint that takes them one by one."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authority.app import App
from edge_agent.wire.reading import VERDICT_ACCEPTED, split_receipts

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
USUAL = "X-Other: 1\r\n"
"""A header with which a request takes the usual way, through a thread and the endpoint."""


def post(gateway: str, body: bytes, more: str = "") -> bytes:
    head = f"POST /api/v1/gateways/{gateway}/readings HTTP/1.1\r\nHost: localhost\r\n{more}Content-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Wire:
    """A gateway's TLS connection, byte by byte."""

    def __init__(self, app: App, directory: Path) -> None:
        context = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
        context.load_cert_chain(directory / "gateway.pem", directory / "gateway.key")
        plain = socket.create_connection(("localhost", app.home.settings.collector.port), timeout=60)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self._file = self.socket.makefile("rb")

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while (line := self._file.readline().decode().strip()) != "":
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return status, headers, self._file.read(int(headers["content-length"]))

    def ended(self) -> bool:
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def test_requests_in_pieces_in_a_row_and_with_answers_that_are_read_late(
    app: App, collector_process: Any, add_meter: Callable[..., Any], certify: Callable[[str], Path]
) -> None:
    meter, other = add_meter(), add_meter("pv", "gw-2")
    collector_process.start()
    wire, beside = Wire(app, certify("gw-1")), Wire(app, certify("gw-2"))
    piecewise = post("gw-1", meter.next())
    for at in range(0, len(piecewise), 50):
        wire.socket.sendall(piecewise[at : at + 50])
    assert wire.answer()[0] == 200
    many = [post("gw-1", b"".join(meter.next() for _ in range(256))) for _ in range(3)]
    wire.socket.sendall(b"".join(many) + post("gw-1", meter.next(), USUAL) + post("gw-1", meter.next()))
    for _ in range(2):  # nobody waits for one who does not read
        beside.socket.sendall(post("gw-2", other.next()))
        assert beside.answer()[0] == 200
    for count in (256, 256, 256, 1, 1):
        status, headers, body = wire.answer()
        assert (status, headers["content-type"]) == (200, "application/octet-stream")
        assert [receipt.verdict for receipt in split_receipts(body)] == [VERDICT_ACCEPTED] * count
    wire.socket.sendall(post("gw-1", meter.next(), "Connection: close\r\n"))
    assert wire.answer()[0] == 200
    assert wire.ended()
    wire.close()
    beside.close()


def test_a_refusal_is_the_same_either_way(
    app: App, collector_process: Any, add_meter: Callable[..., Any], certify: Callable[[str], Path]
) -> None:
    meter = add_meter()
    add_meter("pv", "gw-2")
    collector_process.start()
    wire = Wire(app, certify("gw-1"))
    certify("gw-2")
    frame = meter.next()
    codes = set()
    for gateway, body in (
        ("gw-2", frame), ("gw-9", frame), ("gw-1", frame[:-1]), ("gw-1", b""), ("gw-1", frame * 257), ("gw-2", b""),
    ):  # fmt: skip
        answers = []
        for more in ("", USUAL):
            wire.socket.sendall(post(gateway, body, more))
            status, headers, problem = wire.answer()
            answers.append((status, headers["content-type"], headers.get("retry-after"), problem))
        assert answers[0] == answers[1]
        assert answers[0][0] >= 400
        codes.add(answers[0][3])
    assert len(codes) >= 4
    wire.close()
