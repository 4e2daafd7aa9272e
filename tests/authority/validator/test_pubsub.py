"""The WebSocket door, as clients and hostile ones meet it: real sockets, and the clients of other projects."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from solana.rpc.websocket_api import SolanaWsClient
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction, VersionedTransaction
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from authority.validator import pubsub
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis
from authority.validator.ledger import Ledger
from authority.validator.pubsub import MAX_MESSAGE, PubSubServer

PATIENCE = 60
SLOTS = '{"jsonrpc":"2.0","id":1,"method":"slotSubscribe","params":[]}'


@pytest.fixture
def bank(tmp_path: Path, payer: Keypair) -> Iterator[Bank]:
    ledger = Ledger(tmp_path / "validator")
    yield Bank(ledger, Genesis(balances={payer.pubkey(): 10**15}))
    ledger.close()


@pytest.fixture
def door(bank: Bank) -> Iterator[PubSubServer]:
    made = PubSubServer(("127.0.0.1", 0), bank)
    made.start()
    yield made
    made.stop()


def url(door: PubSubServer) -> str:
    return f"ws://127.0.0.1:{door.port}"


def pay(bank: Bank, payer: Keypair, to: Pubkey, lamports: int) -> Transaction:
    instruction = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))
    return Transaction.new_signed_with_payer([instruction], payer.pubkey(), [payer], bank.latest_blockhash()[0])


def land(bank: Bank, transaction: Transaction) -> None:
    bank.process(VersionedTransaction.from_legacy(transaction))


def works(door: PubSubServer) -> None:
    """Somebody else is served as ever."""
    with connect(url(door)) as connection:
        connection.send(SLOTS)
        assert "result" in json.loads(connection.recv(PATIENCE))
        assert json.loads(connection.recv(PATIENCE))["method"] == "slotNotification"


def opened(door: PubSubServer) -> socket.socket:
    """A connection that has shaken hands, to send frames by hand."""
    raw = socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE)
    key = base64.b64encode(os.urandom(16)).decode()
    raw.sendall(
        f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += raw.recv(1)
    assert head.startswith(b"HTTP/1.1 101")
    return raw


def frame(first: int, payload: bytes, *, masked: bool = True, length: int | None = None) -> bytes:
    """A frame with its first byte as given; `length` is what it says of itself."""
    said = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    if said < 126:
        head = bytes([first, bit | said])
    elif said < 65_536:
        head = struct.pack(">BBH", first, bit | 126, said)
    else:
        head = struct.pack(">BBQ", first, bit | 127, said)
    return head + (bytes(4) if masked else b"") + payload


def close_code(raw: socket.socket) -> int | None:
    """The close frame's code, read past what comes before; None where the connection just ends."""
    with raw:
        received = b""
        with contextlib.suppress(OSError):
            while chunk := raw.recv(65_536):
                received += chunk
    at = 0
    while at + 2 <= len(received):
        opcode, size = received[at] & 0x0F, received[at + 1] & 0x7F
        at += 2
        if size == 126:
            size = int.from_bytes(received[at : at + 2], "big")
            at += 2
        elif size == 127:
            size = int.from_bytes(received[at : at + 8], "big")
            at += 8
        if opcode == 8:
            return int.from_bytes(received[at : at + 2], "big")
        at += size
    return None


class TestHostile:
    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (frame(0x81, b"{}", masked=False), 1002),
            (frame(0x81, b"\xff\xfe"), 1007),
            (frame(0x83, b"x"), 1002),
            (frame(0xF1, b"x"), 1002),
            (frame(0xC1, b"x"), 1002),
            (frame(0x80, b"x"), 1002),
            (frame(0x89, b"x" * 126), 1002),
            (frame(0x09, b"x"), 1002),
            (frame(0x88, b"\x00"), 1002),
            (frame(0x88, struct.pack(">H", 1005)), 1002),
            (frame(0x81, b"x" * (MAX_MESSAGE + 1)), 1009),
            (frame(0x81, b"", length=2**62), 1009),
            (frame(0x01, b"x" * MAX_MESSAGE) + frame(0x80, b"x"), 1009),
        ],
        ids=[
            "unmasked",
            "no UTF-8",
            "reserved opcode",
            "reserved bits",
            "compressed unasked",
            "continuation of nothing",
            "long ping",
            "fragmented ping",
            "close of one byte",
            "close with a code that is never sent",
            "too large",
            "too large by its word",
            "too large in parts",
        ],
    )
    def test_a_frame_ends_its_connection_with_a_reason(self, door: PubSubServer, sent: bytes, code: int) -> None:
        raw = opened(door)
        raw.sendall(sent)
        assert close_code(raw) == code
        works(door)

    @pytest.mark.parametrize(
        "noise",
        [
            b"\x00" * 100,
            b"GET / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"GET / HTTP/1.1\r\nX: " + b"A" * 100_000 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
        ],
    )
    def test_noise_instead_of_a_handshake(self, door: PubSubServer, noise: bytes) -> None:
        with socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE) as raw, contextlib.suppress(OSError):
            raw.sendall(noise)
            raw.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := raw.recv(65_536):
                answer += chunk
            assert b" 101 " not in answer
        works(door)

    def test_a_web_pages_script_is_not_served(self, door: PubSubServer, bank: Bank) -> None:
        with pytest.raises(InvalidStatus) as refused:
            connect(url(door), origin="http://localhost:8899")  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        open_door = PubSubServer(("127.0.0.1", 0), bank, browsers=True)
        open_door.start()
        with connect(url(open_door), origin="https://explorer.example") as connection:  # type: ignore[arg-type]
            connection.send(SLOTS)
            assert "result" in json.loads(connection.recv(PATIENCE))
        open_door.stop()

    def test_connections_have_a_bound_handshaken_or_not(
        self, door: PubSubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pubsub, "MAX_CONNECTIONS", 3)
        silent = [socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE) for _ in range(2)]
        with connect(url(door)) as connection:
            connection.send(SLOTS)
            connection.recv(PATIENCE)
            with pytest.raises(InvalidStatus) as refused:
                connect(url(door))
            assert refused.value.response.status_code == 503
        for one in silent:
            one.close()
        works(door)

    def test_a_handshake_has_a_deadline(self, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pubsub, "HANDSHAKE_SECONDS", 0.2)
        door = PubSubServer(("127.0.0.1", 0), bank)
        door.start()
        with socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE) as dripping:
            dripping.sendall(b"GET / HTTP/1.1\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert dripping.recv(1) == b""
        door.stop()

    def test_who_does_not_answer_a_ping_is_let_go(self, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pubsub, "PING_SECONDS", 0.2)
        door = PubSubServer(("127.0.0.1", 0), bank)
        door.start()
        assert close_code(opened(door)) == 1011
        door.stop()

    def test_a_slow_reader_is_sent_away_and_others_hear_all(
        self, door: PubSubServer, bank: Bank, payer: Keypair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pubsub, "MAX_WAITING", 8)
        target = Keypair().pubkey()
        slow = opened(door)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        for number in range(15):
            wanted = [str(Pubkey.default()), {"encoding": "base64", "filters": [{"dataSize": 0}] * (number % 5)}]
            wanted[1]["commitment"] = ["processed", "confirmed", "finalized"][number // 5 % 3]
            call = {"jsonrpc": "2.0", "id": number, "method": "programSubscribe", "params": wanted}
            slow.sendall(frame(0x81, json.dumps(call).encode()))
        with connect(url(door)) as quick:
            call = {"jsonrpc": "2.0", "id": 1, "method": "accountSubscribe", "params": [str(target)]}
            quick.send(json.dumps(call))
            number = json.loads(quick.recv(PATIENCE))["result"]
            for _ in range(3):
                land(bank, pay(bank, payer, target, 10**9 + _))
            last = 0
            while last < 3 * 10**9 + 3:
                note = json.loads(quick.recv(PATIENCE))["params"]
                assert note["subscription"] == number
                last = note["result"]["value"]["lamports"]
        assert close_code(slow) == 1008
        works(door)

    def test_one_message_of_a_connection_at_a_time(self, door: PubSubServer) -> None:
        """However much a client sends at once, it is answered in order, and another is served meanwhile."""
        calls = [{"jsonrpc": "2.0", "id": number, "method": "nothing"} for number in range(2_000)]
        with connect(url(door)) as connection:
            for call in calls:
                connection.send(json.dumps(call))
            works(door)
            assert [json.loads(connection.recv(PATIENCE))["id"] for _ in calls] == list(range(2_000))


class TestClients:
    def test_its_end_is_told(self, bank: Bank) -> None:
        door = PubSubServer(("127.0.0.1", 0), bank)
        door.start()
        with connect(url(door)) as connection:
            connection.send(SLOTS)
            connection.recv(PATIENCE)
            door.stop()
            with contextlib.suppress(ConnectionClosed):
                while True:
                    connection.recv(PATIENCE)
            assert connection.close_code == 1001

    def test_a_port_that_is_taken(self, bank: Bank) -> None:
        port = free_port()
        with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match="in use"):
            PubSubServer(("127.0.0.1", port), bank)

    @pytest.mark.parametrize("kind", [str, bytes], ids=["text", "binary"])
    def test_both_kinds_of_message_are_taken(self, door: PubSubServer, kind: type) -> None:
        with connect(url(door)) as connection:
            connection.send(SLOTS if kind is str else SLOTS.encode())
            answer = connection.recv(PATIENCE)
            assert isinstance(answer, str)
            assert "result" in json.loads(answer)

    def test_a_ping_without_an_id_is_not_answered(self, door: PubSubServer) -> None:
        """What web3.js and kit send to keep a connection alive."""
        with connect(url(door)) as connection:
            connection.send('{"jsonrpc":"2.0","method":"ping"}')
            connection.send(SLOTS)
            assert json.loads(connection.recv(PATIENCE))["id"] == 1

    def test_solana_py(self, door: PubSubServer, bank: Bank, payer: Keypair) -> None:
        """The client that anchorpy builds on too reads every kind of notification with its own types."""
        target = Keypair().pubkey()
        sent = pay(bank, payer, target, 10**9)

        async def follow() -> dict[str, Any]:
            heard: dict[str, Any] = {}
            async with SolanaWsClient(url(door)) as client:
                await client.signature_subscribe(signature=sent.signatures[0])
                await client.account_subscribe(pubkey=target)
                await client.logs_subscribe()
                await client.program_subscribe(program_id=Pubkey.default(), filters=[0])
                await client.slot_subscribe()
                await client.root_subscribe()
                await asyncio.to_thread(land, bank, sent)
                async with asyncio.timeout(PATIENCE):
                    while len(heard) < 6:
                        note = await client.recv()
                        heard[type(note).__name__] = note
            return heard

        heard = asyncio.run(follow())
        assert heard["SignatureNotification"].result.value.err is None
        assert heard["AccountNotification"].result.value.lamports == 10**9
        assert heard["LogsNotification"].result.value.signature == sent.signatures[0]
