"""Lines to a meter: a serial port (or pty) by pyserial, and TCP. They carry bytes and know no protocol."""

from __future__ import annotations

import contextlib
import socket
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import serial

from edge_agent.dlms.iec62056_21.messages import with_parity
from edge_agent.meters.errors import (
    ConnectionLostError,
    MeterTimeoutError,
    NoConnectionError,
    PortUnavailableError,
)


class LineSettings(Protocol):
    """What a serial line is opened by: a meter's entry, or a command's options (SerialLineOptions)."""

    @property
    def port(self) -> str:
        """A device, or a URL of pyserial."""

    @property
    def tcp(self) -> tuple[str, int] | None:
        """Host and port of a serial server, in place of port."""

    @property
    def baudrate(self) -> int:
        """Speed in baud."""

    @property
    def bytesize(self) -> int:
        """Data bits."""

    @property
    def parity(self) -> str:
        """N, E or O."""

    @property
    def stopbits(self) -> int:
        """Stop bits."""

    @property
    def timeout(self) -> float:
        """Seconds for an answer."""


@dataclass(frozen=True)
class SerialLineOptions:
    """A line as a command's options say."""

    port: str
    tcp: tuple[str, int] | None = None
    baudrate: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: int = 1
    timeout: float = 3.0


class Transport(Protocol):
    """What a conversation needs of a line."""

    def write(self, data: bytes) -> None:
        """Put the bytes on the line."""

    def read(self, timeout: float) -> bytes:
        """What has arrived, waiting at most `timeout` seconds for the first byte; empty after that."""

    def discard(self) -> None:
        """Forget what has arrived and was not read."""

    def close(self) -> None:
        """Give the line back."""


class NetworkTransport(Transport, Protocol):
    """A line that can be made again: what was on its way over the old one reaches nobody."""

    def renew(self) -> None:
        """Close what there is, and start over."""


LINE_GONE = (OSError, termios.error)
"""What a serial port raises whose adapter was pulled out; termios.error is not an OSError."""


POLL = 0.05
"""Seconds for which a port on the network is waited for at once."""


class SerialTransport:
    """A serial port, or one of a serial server by pyserial's URL (`rfc2217://10.0.0.5:2001`). PortUnavailableError
    where it cannot be opened or is gone (a cable pulled).

    7E1 is spoken as 8N1 with the parity bit made here, for many adapters and every pty can do no other. keep_parity:
    what arrives keeps that bit, for a listener that checks it. A pty carries bytes, whatever format is asked for.
    """

    def __init__(
        self,
        port: str,
        baudrate: int = 9600,
        bytesize: int = 8,
        parity: str = "N",
        stopbits: float = 1,
        *,
        keep_parity: bool = False,
    ) -> None:
        self.port = port
        self._parity_here = (bytesize, parity) == (7, "E")
        self._keep_parity = keep_parity
        self._is_pty = str(Path(port).resolve()).startswith("/dev/pts/")
        if self._parity_here or self._is_pty:
            bytesize, parity = 8, "N"
        try:
            # Over the network there is no lock, writing has no limit, and each change of a timeout would be negotiated.
            self._remote = "://" in port
            more = {"timeout": POLL} if self._remote else {"timeout": 0, "write_timeout": 10, "exclusive": True}
            self._serial = serial.serial_for_url(
                port,
                baudrate=baudrate,
                bytesize=bytesize,
                parity=parity,
                stopbits=stopbits,
                **more,
            )
        except (OSError, ValueError, NotImplementedError, termios.error) as error:
            raise PortUnavailableError(_why(port, error)) from error

    def write(self, data: bytes) -> None:
        """Put the bytes on the line and wait until they are out."""
        try:
            self._serial.write(with_parity(data) if self._parity_here else data)
            self._serial.flush()
        except serial.SerialTimeoutException as error:
            raise MeterTimeoutError(f"{self.port} takes no bytes: check the cable and the handshake lines") from error
        except LINE_GONE as error:
            raise PortUnavailableError(f"{self.port} is gone: {error}") from error

    def read(self, timeout: float) -> bytes:
        """What has arrived."""
        try:
            if not self._remote:
                self._serial.timeout = timeout
            first = self._serial.read(1)
            until = time.monotonic() + timeout
            while self._remote and not first and time.monotonic() < until:
                first = self._serial.read(1)
            data = first + self._serial.read(self._serial.in_waiting) if first else b""
            return bytes([byte & 0x7F for byte in data]) if self._parity_here and not self._keep_parity else data
        except LINE_GONE as error:
            raise PortUnavailableError(f"{self.port} is gone: {error}") from error

    def discard(self) -> None:
        """Forget what has arrived."""
        try:
            self._serial.reset_input_buffer()
        except LINE_GONE as error:
            raise PortUnavailableError(f"{self.port} is gone: {error}") from error

    def set_line(self, baudrate: int, bytesize: int, parity: str) -> None:
        """Change speed and format, as mode C and E of IEC 62056-21 do."""
        here = (bytesize, parity) == (7, "E")
        try:
            self._serial.baudrate = baudrate
            self._serial.bytesize = 8 if here or self._is_pty else bytesize
            self._serial.parity = "N" if here or self._is_pty else parity
        except (OSError, ValueError, termios.error) as error:
            raise PortUnavailableError(f"{self.port} cannot do {baudrate} {bytesize}{parity}1: {error}") from error
        self._parity_here = here

    def close(self) -> None:
        """Close the port."""
        with contextlib.suppress(*LINE_GONE):
            self._serial.close()


def _why(port: str, error: Exception) -> str:
    text = str(error)
    if "://" in port:
        return (
            f"{port} cannot be opened: {text}: check the serial server's address and port, that no other reader "
            "holds it, and that it speaks RFC 2217 (bare bytes: tcp = or socket://)"
        )
    if isinstance(error, FileNotFoundError) or "No such file" in text or getattr(error, "errno", None) == 2:
        return f"there is no port {port}: check the name and that the adapter is plugged in (`ls /dev/serial/by-id`)"
    if "Permission denied" in text:
        return f"no permission to open {port}: add this user to the group dialout"
    if "exclusively lock" in text or "Resource temporarily unavailable" in text or getattr(error, "errno", None) == 16:
        return f"{port} is in use by {_holders(port)}"
    return f"{port} cannot be opened as a serial port: {text}"


def _holders(port: str) -> str:
    """Which processes have a port open, as far as this user may see that, and what to do about the usual ones."""
    names = set()
    with contextlib.suppress(OSError):
        device = Path(port).resolve()
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            with contextlib.suppress(OSError):
                if link.resolve() == device and link.parts[2] != "self":
                    names.add((link.parents[1] / "comm").read_text().strip())
    remedies = {
        "agetty": "a login console (systemctl disable --now serial-getty@NAME)",
        "ModemManager": "ModemManager (systemctl mask --now ModemManager, or a udev rule with ID_MM_DEVICE_IGNORE)",
        "brltty": "brltty (apt-get remove brltty)",
        "edge-agent": "edge-agent itself: stop `edge-agent run` first",
    }
    told = [remedies.get(name, name) for name in sorted(names)]
    if told:
        return "another process: " + ", ".join(told)
    return "another process: stop `edge-agent run`, a login console (serial-getty), ModemManager or brltty"


class WatchedTransport:
    """A transport that tells how many bytes arrive on it."""

    def __init__(self, transport: Transport, seen: Callable[[int], None]) -> None:
        self._transport = transport
        self._seen = seen
        self.write = transport.write
        self.discard = transport.discard
        self.close = transport.close

    def read(self, timeout: float) -> bytes:
        """What has arrived."""
        data = self._transport.read(timeout)
        if data:
            self._seen(len(data))
        return data


def _not_reached(peer: str, error: Exception) -> NoConnectionError:
    if isinstance(error, socket.gaierror | UnicodeError):
        return NoConnectionError(f"{peer} cannot be reached: no such name ({error}); an address needs none")
    return NoConnectionError(f"{peer} cannot be reached: {error}: check the address and this gateway's network")


class WatchedNetworkTransport(WatchedTransport):
    """The same for one that can be made again."""

    def __init__(self, transport: NetworkTransport, seen: Callable[[int], None]) -> None:
        super().__init__(transport, seen)
        self.renew = transport.renew


REDIAL = 0.25
"""Seconds between two attempts at a module that refuses."""


KEEPALIVE = 60
"""Seconds of silence on a connection after which the other side is asked whether it is still there."""


def peer_name(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class TcpTransport:
    """A TCP connection to a meter or a terminal server. NoConnectionError where it cannot be made, ConnectionLostError
    where it ends.

    timeout: seconds for the connection to come about. patience: seconds for which a refused one is tried again, as a
    module that takes one at a time needs a moment after the last; monotonic and sleep measure and pass them.
    """

    def __init__(
        self,
        host: str,
        port: int,
        timeout: float = 5.0,
        *,
        patience: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.peer = peer_name(host, port)
        self._address = (host, port)
        self._timeout = timeout
        self._patience = patience
        self._monotonic = monotonic
        self._sleep = sleep
        self._socket = self._connect()

    def _connect(self) -> socket.socket:
        until = self._monotonic() + self._patience
        while True:
            try:
                made = socket.create_connection(self._address, self._timeout)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # A listener writes nothing, and would never learn that the other side is gone.
                made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE)
                return made
            except ConnectionRefusedError as error:
                if self._monotonic() < until:
                    self._sleep(REDIAL)
                    continue
                raise NoConnectionError(
                    f"{self.peer} refuses the connection: check the port's number, and that no other reader holds the "
                    "module, as many take one at a time"
                ) from error
            except TimeoutError as error:
                raise NoConnectionError(
                    f"{self.peer} does not answer: check the address, and the module's power and network cable"
                ) from error
            except (OSError, UnicodeError) as error:
                raise _not_reached(self.peer, error) from error

    def renew(self) -> None:
        """A new connection: nothing that came or comes over the old one is heard."""
        self._socket.close()
        self._socket = self._connect()

    def write(self, data: bytes) -> None:
        """Send the bytes."""
        try:
            self._socket.settimeout(10)
            self._socket.sendall(data)
        except OSError as error:
            raise self._lost(error) from error

    def read(self, timeout: float) -> bytes:
        """What has arrived, without waiting for a timeout of 0; ConnectionLostError where the peer has closed."""
        try:
            self._socket.settimeout(max(timeout, 0.0))
            data = self._socket.recv(65536)
        except (TimeoutError, BlockingIOError):
            return b""
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            raise ConnectionLostError(
                f"{self.peer} closed the connection: it may serve another reader, or have been restarted"
            )
        return data

    def _lost(self, error: OSError) -> ConnectionLostError:
        return ConnectionLostError(f"{self.peer} is gone: {error}: check the module's power and network cable")

    def discard(self) -> None:
        """Forget what has arrived."""
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):
            self._socket.recv(1 << 20)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class SerialServerTransport(TcpTransport):
    """The bytes of a serial line over TCP (ser2net's raw mode, esp-link, a Moxa). Speed and format are the server's.

    seven_bits: the server's line is set to 7E1; else it is 8N1, and the parity bit of 7E1 is made here.
    """

    def __init__(self, host: str, port: int, timeout: float = 5.0, *, seven_bits: bool = False) -> None:
        super().__init__(host, port, timeout)
        self._seven_bits = seven_bits
        self._parity_here = False

    def set_line(self, baudrate: int, bytesize: int, parity: str) -> None:
        """Nothing can be changed from here but whether characters carry a parity bit."""
        self._parity_here = (bytesize, parity) == (7, "E") and not self._seven_bits

    def write(self, data: bytes) -> None:
        """Send the bytes."""
        super().write(with_parity(data) if self._parity_here else data)

    def read(self, timeout: float) -> bytes:
        """What has arrived."""
        data = super().read(timeout)
        return bytes([byte & 0x7F for byte in data]) if self._parity_here else data


SerialLine = SerialTransport | SerialServerTransport
"""A line whose speed and format can be asked for."""


def open_line(settings: LineSettings, *, baudrate: int | None = None, keep_parity: bool = False) -> SerialLine:
    """The serial line of a meter's entry, here or behind a serial server; PortUnavailableError."""
    tcp = settings.tcp
    scheme, _, rest = settings.port.partition("://")
    if scheme == "socket":
        host, _, number = rest.partition("?")[0].rstrip("/").rpartition(":")
        tcp = (host.strip("[]"), int(number))
    if tcp is not None:
        return SerialServerTransport(*tcp, max(settings.timeout, 3.0), seven_bits=settings.bytesize == 7)
    return SerialTransport(
        settings.port,
        settings.baudrate if baudrate is None else baudrate,
        settings.bytesize,
        settings.parity,
        settings.stopbits,
        keep_parity=keep_parity,
    )


def open_listener(settings: LineSettings) -> Transport:
    """The line of a push meter, whose parity bits are kept as they show damage; PortUnavailableError."""
    return open_line(settings, keep_parity=True)


class UdpTransport:
    """Datagrams to and from one meter; whatever others send is not heard. NoConnectionError where none can go,
    ConnectionLostError where nobody listens there."""

    def __init__(self, host: str, port: int) -> None:
        self.peer = peer_name(host, port)
        try:
            (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise _not_reached(self.peer, error) from error
        self._where = (family, kind, protocol, address)
        self._socket = self._open()

    def _open(self) -> socket.socket:
        family, kind, protocol, address = self._where
        try:
            made = socket.socket(family, kind, protocol)
            try:
                made.connect(address)
            except OSError:
                made.close()
                raise
        except OSError as error:
            raise _not_reached(self.peer, error) from error
        return made

    def renew(self) -> None:
        """Go on from another port of this side: what is still on its way to the old one is not heard."""
        made = self._open()
        self._socket.close()
        self._socket = made

    def write(self, data: bytes) -> None:
        """Send one datagram."""
        try:
            self._socket.send(data)
        except OSError as error:
            raise ConnectionLostError(
                f"{self.peer} takes no datagrams: {error}: check the module's power, its address and port"
            ) from error

    def read(self, timeout: float) -> bytes:
        """The next datagram; ConnectionLostError where the host says that nobody listens there."""
        try:
            self._socket.settimeout(max(timeout, 0.001))
            return self._socket.recv(65536)
        except TimeoutError:
            return b""
        except OSError as error:
            raise ConnectionLostError(
                f"{self.peer} is gone: {error}: check the module's power, its address and port"
            ) from error

    def discard(self) -> None:
        """Forget what has arrived."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(65536)
        except OSError:
            pass

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
