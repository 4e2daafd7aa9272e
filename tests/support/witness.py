"""A witness for tests, written from the C2SP texts alone (tlog-witness, tlog-cosignature, signed-note, RFC 6962).

It shares no code with the authority: its own note parser, its own consistency check, and Ed25519 from another library.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class Witness:
    """One witness on a port of this machine. `logs`: origin to the log's Ed25519 key (32 bytes)."""

    def __init__(self, name: str, logs: dict[str, bytes], clock: Callable[[], float] = time.time) -> None:
        self.name, self.logs, self.clock = name, logs, clock
        self.key = Ed25519PrivateKey.generate()
        self.latest: dict[str, tuple[int, bytes]] = {}
        self.asked: list[bytes] = []
        self.answer: Callable[[bytes], tuple[int, str, bytes]] = self.add_checkpoint
        """What a request gets; a test may put something else here."""
        self._lock = threading.Lock()
        witness = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                witness.asked.append(body)
                if self.path != "/add-checkpoint":
                    status, kind, answer = 404, "text/plain", b""
                else:
                    status, kind, answer = witness.answer(body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def vkey(self) -> str:
        """The verifier key of its cosignatures: signature type 0x04."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([4]) + self.public_key).decode()}"

    @property
    def setting(self) -> str:
        """As authority.toml names it."""
        return f"{self.url} {self.vkey}"

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n\x04" + self.public_key).digest()[:4]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def add_checkpoint(self, body: bytes) -> tuple[int, str, bytes]:
        """tlog-witness, add-checkpoint: status, content type, body."""
        head, _, checkpoint = body.partition(b"\n\n")
        lines = head.decode().split("\n")
        if not lines[0].startswith("old ") or len(lines) > 64:
            return 400, "text/plain", b""
        old, proof = int(lines[0][4:]), [base64.b64decode(line, validate=True) for line in lines[1:]]
        text, _, signatures = checkpoint.rpartition(b"\n\n")
        text += b"\n"
        origin, size_line, root_line = text.decode().split("\n")[:3]
        size, root = int(size_line), base64.b64decode(root_line, validate=True)
        if origin not in self.logs:
            return 404, "text/plain", b""
        if not any(self._log_signed(line, origin, text) for line in signatures.decode().splitlines()):
            return 403, "text/plain", b""
        if old > size:
            return 400, "text/plain", b""
        with self._lock:
            known, known_root = self.latest.get(origin, (0, b""))
            if old != known:
                return 409, "text/x.tlog.size", f"{known}\n".encode()
            if old == size and known_root and root != known_root:
                return 409, "text/x.tlog.size", f"{known}\n".encode()
            if old != size and not consistent(old, size, known_root, root, proof):
                return 422, "text/plain", b""
            self.latest[origin] = size, root
        return 200, "text/plain", self.cosign(text)

    def cosign(self, text: bytes) -> bytes:
        """A cosignature/v1 of a note's text, as a signature line."""
        now = int(self.clock())
        signature = self.key.sign(b"cosignature/v1\n" + f"time {now}\n".encode() + text)
        raw = self.key_id + struct.pack(">Q", now) + signature
        return f"— {self.name} {base64.b64encode(raw).decode()}\n".encode()

    def _log_signed(self, line: str, origin: str, text: bytes) -> bool:
        _, name, encoded = line.split(" ")
        raw, key = base64.b64decode(encoded, validate=True), self.logs[origin]
        key_id = hashlib.sha256(name.encode() + b"\n\x01" + key).digest()[:4]
        if name != origin or raw[:4] != key_id:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(raw[4:], text)
        except InvalidSignature:
            return False
        return True


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
    """RFC 6962, 2.1.2, by its own recursion: what the proof makes of both roots."""
    if old == 0:
        return not proof
    rest = list(proof)

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    def subproof(m: int, n: int, whole: bool) -> tuple[bytes, bytes]:
        if m == n:
            value = old_root if whole else rest.pop(0)
            return value, value
        k = 1
        while 2 * k < n:
            k *= 2
        if m <= k:
            first, second = subproof(m, k, whole)
            return first, node(second, rest.pop(0))
        first, second = subproof(m - k, n - k, False)
        left = rest.pop(0)
        return node(left, first), node(left, second)

    try:
        first, second = subproof(old, new, True)
    except IndexError:
        return False
    return not rest and (first, second) == (old_root, new_root)
