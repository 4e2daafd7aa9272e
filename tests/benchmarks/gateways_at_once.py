"""Many gateways at once, each with its certificate, over HTTPS and MQTT 5: as little client as measuring takes."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

HOST = "localhost"


@dataclass(frozen=True)
class Gateway:
    """A gateway's name, its TLS context, and what it sends."""

    name: str
    context: ssl.SSLContext
    frames: bytes


def context_of(ca: Path, directory: Path) -> ssl.SSLContext:
    """TLS with the certificate in a directory (gateway.pem, gateway.key)."""
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(directory / "gateway.pem", directory / "gateway.key")
    return context


class HttpsGateway:
    """A connection to the collector that is kept."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def connect(self, port: int) -> None:
        """TLS, with both certificates, and a first request, so that the connection waits among those that are kept."""
        self._reader, self._writer = await asyncio.open_connection(
            HOST, port, ssl=self._gateway.context, ssl_handshake_timeout=120
        )
        await self._ask(f"GET /api/v1/ca HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())

    async def publish(self) -> bytes:
        """Send the frames and read the receipts."""
        frames = self._gateway.frames
        head = (
            f"POST /api/v1/gateways/{self._gateway.name}/readings HTTP/1.1\r\nHost: {HOST}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {len(frames)}\r\n\r\n"
        )
        return await self._ask(head.encode() + frames)

    async def _ask(self, request: bytes) -> bytes:
        self._writer.write(request)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        size = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
        body = await self._reader.readexactly(size)
        assert lines[0].startswith("http/1.1 200"), (lines[0], body)
        return body

    def close(self) -> None:
        """End it without ceremony."""
        self._writer.transport.abort()


class MqttGateway:
    """A connection to the broker: CONNECT, SUBSCRIBE, PUBLISH at QoS 1, and what is published back."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def connect(self, port: int) -> None:
        """Until the broker has taken the subscription to the receipts."""
        self._reader, self._writer = await asyncio.open_connection(
            HOST, port, ssl=self._gateway.context, ssl_handshake_timeout=120
        )
        name = self._gateway.name.encode()
        self._send(0x10, _text(b"MQTT") + b"\x05\x02\x00\x3c\x00" + _text(name))
        assert (await self._packet())[0] == 0x20
        self._send(0x82, b"\x00\x01\x00" + _text(b"ami/v1/" + name + b"/receipt") + b"\x01")
        assert (await self._packet())[0] == 0x90

    async def publish(self) -> bytes:
        """Send the frames and wait for what comes back on the receipt topic."""
        topic = _text(f"ami/v1/{self._gateway.name}/readings".encode())
        self._send(0x32, topic + b"\x00\x07\x00" + self._gateway.frames)
        while True:
            kind, body = await self._packet()
            if kind & 0xF0 != 0x30:
                continue
            at = 2 + int.from_bytes(body[:2], "big")
            self._send(0x40, body[at : at + 2])
            properties, at = _length(body, at + 2)
            return body[at + properties :]

    def close(self) -> None:
        """End it without ceremony."""
        self._writer.transport.abort()

    def _send(self, kind: int, body: bytes) -> None:
        size, left = b"", len(body)
        while True:
            left, low = divmod(left, 128)
            size += bytes([low | (0x80 if left else 0)])
            if not left:
                break
        self._writer.write(bytes([kind]) + size + body)

    async def _packet(self) -> tuple[int, bytes]:
        kind = (await self._reader.readexactly(1))[0]
        size, shift = 0, 0
        while True:
            byte = (await self._reader.readexactly(1))[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return kind, await self._reader.readexactly(size)


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A variable length, and where what follows it begins."""
    size, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return size, at
