"""The channel between verifiers and sequencer: a Unix socket in the home, for who holds the verifiers' key alone.

Both sides prove the key to each other first, over nonces of this connection, and derive one key for each direction.
After that each message is

    length u32 (of the body)   number u64   body   HMAC-SHA256 (32) of all before it

little-endian. Numbers begin at 1 in each direction and rise by one, so a message that is forged, repeated, left out,
out of its order, too long or cut short is seen as what it is, each by its own code. The sequencer tells the code and
ends the connection; what was sent and not answered is sent again over a new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

from authority.errors import AuthorityError

SOCKET_NAME = "sequencer.sock"
GREETING = b"AVS1"
NONCE_SIZE = MAC_SIZE = 32
MAX_BODY = 1 << 20
"""Bytes of one message to the sequencer: 2,048 frames with their names are less than half of it."""
MAX_ANSWER = 1 << 28
"""Of one to a verifier: a receipt holds a path, and a frame that was missing lets in others that were parked."""
MAX_REFUSAL = 1 << 16
"""Bytes of a refusal; what comes after them is not read."""
GREETING_SECONDS = 5.0
_HEADER = struct.Struct("<IQ")
_REFUSED = b"AVR1"


class ChannelError(AuthorityError):
    """What comes over the channel between verifiers and sequencer is not taken."""


class VerifierForgedError(ChannelError):
    """Who connects does not prove the channel's key, or a message does not."""

    code = "verifier_forged"


class SequencerForgedError(ChannelError):
    """Who listens at the sequencer's socket does not prove the channel's key."""

    code = "sequencer_forged"


class VerifierDoubledError(ChannelError):
    """A verifier of the same number is connected already."""

    code = "verifier_doubled"


class BatchReplayedError(ChannelError):
    """A message with a number that came before."""

    code = "batch_replayed"


class BatchOrderError(ChannelError):
    """A message that comes before one that is still missing."""

    code = "batch_out_of_order"


class BatchTooLongError(ChannelError):
    """A message that says that it is longer than any may be."""

    code = "batch_too_long"


class BatchCutError(ChannelError):
    """The connection ended within a message, or its greeting took too long."""

    code = "batch_cut"


class BatchMalformedError(ChannelError):
    """A message that is not laid out as a batch, or not as the answer to one."""

    code = "batch_malformed"


_BY_CODE: dict[str, type[ChannelError]] = {
    cls.code: cls
    for cls in (
        VerifierForgedError,
        VerifierDoubledError,
        BatchReplayedError,
        BatchOrderError,
        BatchTooLongError,
        BatchCutError,
        BatchMalformedError,
    )
}


class Channel:
    """One side of a connection whose other side has proved the key. One thread may read while others send."""

    def __init__(
        self,
        connection: socket.socket,
        sends: bytes,
        takes: bytes,
        *,
        most: int = MAX_BODY,
        forged: type[ChannelError] = VerifierForgedError,
    ) -> None:
        self._socket = connection
        self._file = cast(BufferedReader, connection.makefile("rb", buffering=1 << 18))
        self._sends, self._takes = hmac.new(sends, digestmod=hashlib.sha256), hmac.new(takes, digestmod=hashlib.sha256)
        self._most, self._forged = most, forged
        self._lock = threading.Lock()
        self._sent = self._taken = 0

    def send(self, body: bytes, before: Callable[[int], None] = lambda _: None) -> int:
        """Send a message; its number, which `before` is told while nothing of it has left. OSError."""
        with self._lock:
            self._sent += 1
            before(self._sent)
            message = _HEADER.pack(len(body), self._sent) + body
            self._socket.sendall(message + _mac(self._sends, message))
            return self._sent

    def receive(self) -> tuple[int, bytes] | None:
        """The next message's number and body; None where the other side has ended between two messages.

        ChannelError where it is not what comes next, or a refusal by the other side, as it said it.
        """
        header = self._read(_HEADER.size, may_end=True)
        if not header:
            return None
        if header[:4] == _REFUSED:
            raise _told(header + _rest(self._file.read1))
        length, number = _HEADER.unpack(header)
        if length > self._most:
            raise BatchTooLongError(f"a message has at most {self._most} bytes, this one says {length}")
        body = self._read(length)
        if not hmac.compare_digest(self._read(MAC_SIZE), _mac(self._takes, header + body)):
            raise self._forged(f"message {number} was not made with this connection's key")
        if number <= self._taken:
            raise BatchReplayedError(f"message {number} came before: the last was {self._taken}")
        if number != self._taken + 1:
            raise BatchOrderError(f"message {number} comes before {self._taken + 1}")
        self._taken = number
        return number, body

    def refuse(self, error: ChannelError) -> None:
        """Tell the other side why this ends."""
        with self._lock:
            _tell(self._socket, error)

    def close(self) -> None:
        """End the connection; whoever reads from it is woken."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _read(self, size: int, *, may_end: bool = False) -> bytes:
        try:
            data = self._file.read(size) or b""
        except (OSError, ValueError) as error:
            raise BatchCutError(f"the connection ended: {error}") from error
        if len(data) != size and not (may_end and not data):
            raise BatchCutError(f"the connection ended {size - len(data)} bytes before the end of a message")
        return data


def connect(directory: Path, key: bytes, verifier: int) -> Channel:
    """A verifier's channel to the sequencer of the home at a directory.

    OSError where nobody listens, SequencerForgedError where that is not the sequencer, or the sequencer's refusal.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(directory) as path:
            connection.connect(path)
        connection.settimeout(GREETING_SECONDS)
        hello = GREETING + struct.pack("<H", verifier) + os.urandom(NONCE_SIZE)
        connection.sendall(hello)
        answer = _exactly(connection, len(GREETING) + NONCE_SIZE + MAC_SIZE)
        transcript = hello + answer[:-MAC_SIZE]
        if not hmac.compare_digest(answer[-MAC_SIZE:], _proof(key, b"sequencer", transcript)):
            raise SequencerForgedError(
                f"who listens at {directory / SOCKET_NAME} does not have this home's verifiers.key: end that process"
            )
        connection.sendall(_proof(key, b"verifier", transcript))
        taken = _exactly(connection, MAC_SIZE)
        if not hmac.compare_digest(taken, _proof(key, b"taken", transcript)):
            raise SequencerForgedError("who answers for the sequencer does not have the verifiers' key")
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return Channel(
        connection,
        _proof(key, b"from verifier", transcript),
        _proof(key, b"from sequencer", transcript),
        most=MAX_ANSWER,
        forged=SequencerForgedError,
    )


def accept(
    connection: socket.socket, key: bytes, may_come: Callable[[int], ChannelError | None]
) -> tuple[int, Channel]:
    """The sequencer's side of a new connection: the verifier's number, and the channel to it.

    `may_come` says why that verifier is not taken, None where it is. ChannelError, which the other side is told.
    """
    try:
        connection.settimeout(GREETING_SECONDS)
        hello = _exactly(connection, len(GREETING) + 2 + NONCE_SIZE)
        if not hello.startswith(GREETING):
            raise VerifierForgedError("who connects does not speak as a verifier does")
        answer = GREETING + os.urandom(NONCE_SIZE)
        transcript = hello + answer
        connection.sendall(answer + _proof(key, b"sequencer", transcript))
        if not hmac.compare_digest(_exactly(connection, MAC_SIZE), _proof(key, b"verifier", transcript)):
            raise VerifierForgedError("who connects does not have this home's verifiers.key")
        (verifier,) = struct.unpack_from("<H", hello, len(GREETING))
        refusal = may_come(verifier)
        if refusal is not None:
            raise refusal
        connection.sendall(_proof(key, b"taken", transcript))
        connection.settimeout(None)
    except ChannelError as error:
        _tell(connection, error)
        raise
    except OSError as error:
        raise BatchCutError(f"the connection ended in its greeting: {error}") from error
    channel = Channel(connection, _proof(key, b"from sequencer", transcript), _proof(key, b"from verifier", transcript))
    return verifier, channel


def listen(directory: Path) -> socket.socket:
    """The sequencer's socket, for the owner alone. Who holds the collector's lease may take the place of an old one."""
    (directory / SOCKET_NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with _short(directory) as path:
            listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


def answers(directory: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, _short(directory) as path:
        return probe.connect_ex(path) == 0


@contextmanager
def _short(directory: Path) -> Iterator[str]:
    """The socket's path, by the directory's descriptor where it is longer than the 107 bytes of an address."""
    whole = str(directory / SOCKET_NAME)
    if len(os.fsencode(whole)) < 100:
        yield whole
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


def _proof(key: bytes, role: bytes, transcript: bytes) -> bytes:
    return hmac.digest(key, role + b"\0" + transcript, "sha256")


def _mac(keyed: hmac.HMAC, message: bytes) -> bytes:
    made = keyed.copy()
    made.update(message)
    return made.digest()


def _exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes of a greeting; a refusal that comes instead is raised."""
    data = b""
    while len(data) < size:
        some = connection.recv(size - len(data))
        if not some:
            break
        data += some
    if data.startswith(_REFUSED):
        raise _told(data + _rest(connection.recv))
    if len(data) != size:
        raise BatchCutError("the connection ended in its greeting")
    return data


def _rest(read: Callable[[int], bytes]) -> bytes:
    """What is left of a refusal. A side that ends with bytes unread resets the connection after what it has told."""
    data = b""
    with contextlib.suppress(OSError, ValueError):
        while len(data) < MAX_REFUSAL and (some := read(4096)):
            data += some
    return data


def _tell(connection: socket.socket, error: ChannelError) -> None:
    told = json.dumps({"code": error.code, "message": str(error)}).encode()
    try:
        connection.settimeout(1.0)
        connection.sendall(_REFUSED + told)
    except OSError:
        return


def _told(data: bytes) -> ChannelError:
    try:
        told = json.loads(data[len(_REFUSED) :])
        return _BY_CODE[told["code"]](f"the sequencer says: {told['message']}")
    except (ValueError, KeyError, TypeError):
        return BatchCutError("the connection ended in a refusal")
