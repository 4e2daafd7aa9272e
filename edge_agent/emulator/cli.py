"""`meter-emulator FILE`: emulated DLMS meters on a pty or a serial port, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import socketserver
import sys
import threading
import time
import tty
from collections.abc import Callable, Sequence
from pathlib import Path

import serial

from edge_agent.dlms.errors import DecodeError
from edge_agent.emulator import config as config_module
from edge_agent.emulator.config import ConfigError, EmulatorConfig, LineConfig
from edge_agent.emulator.fault_kinds import FaultError
from edge_agent.emulator.faults import FaultyLine
from edge_agent.emulator.line import EmulatedLine, WrapperConnection
from edge_agent.emulator.source import SourceError

QUIET = 0.5
"""Seconds of silence after which half a frame is forgotten."""

PUSH_CHECK = 0.05
"""Seconds between looks at whether a telegram is due."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="meter-emulator",
        description="Emulate DLMS meters on a pty or a serial port. Prints one line when it is ready: `ready PORT`.",
        epilog="The file:\n\n" + (config_module.__doc__ or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="the emulator's TOML file")
    return parser


class Port:
    """The emulator's end of the line: a pty's master, or a serial port."""

    def __init__(self, line: LineConfig) -> None:
        self._link = line.link
        self._serial: serial.Serial | None = None
        self._slave = -1
        if line.port is not None:
            self._serial = serial.Serial(
                line.port, line.baudrate, line.bytesize, line.parity, line.stopbits, timeout=0, exclusive=True
            )
            self.descriptor = self._serial.fileno()
            self.name = line.port
            return
        # The other end stays open here too, so that a reader may come and go without a hang-up.
        self.descriptor, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.name = os.ttyname(self._slave)
        if self._link is not None:
            self._link.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._link.with_name(f".{self._link.name}.{os.getpid()}")
            temporary.symlink_to(self.name)
            temporary.replace(self._link)

    def close(self) -> None:
        """Close the line and take the symbolic link away, if it is still ours."""
        if self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == self.name:
            self._link.unlink()
        if self._serial is not None:
            self._serial.close()
        else:
            os.close(self.descriptor)
            os.close(self._slave)


class Control:
    """The socket that takes faults as text, one a datagram."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.socket: socket.socket | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.bind(str(path))
            self.socket.setblocking(False)

    def take(self, line: FaultyLine) -> None:
        """Read one command; one that is none is told on stderr and changes nothing."""
        assert self.socket is not None  # noqa: S101 - only asked when the socket is readable
        text = self.socket.recv(256).decode("utf-8", "replace").strip()
        try:
            line.command(text)
        except FaultError as error:
            print(f"meter-emulator: {error}", file=sys.stderr)

    def close(self) -> None:
        """Take the socket away."""
        if self.socket is not None and self.path is not None:
            self.socket.close()
            self.path.unlink(missing_ok=True)


def serve(line: FaultyLine, descriptor: int, stopping: Callable[[], bool], wake: int, control: Control) -> None:
    """Answer what comes in on `descriptor` until `stopping()`; `wake` becomes readable when that changes."""
    sources: list[int | socket.socket] = [descriptor, wake]
    if control.socket is not None:
        sources.append(control.socket)
    pushing = any(meter.config.push_seconds for meter in line.line.meters)
    while not stopping():
        ready, _, _ = select.select(sources, [], [], PUSH_CHECK if pushing else QUIET)
        if control.socket in ready:
            control.take(line)
            continue
        if descriptor in ready:
            pieces = line.receive(os.read(descriptor, 4096))
        elif not ready:
            pieces = line.quiet() + line.pushes()
        else:
            continue
        for delay, piece in pieces:
            if delay:
                select.select([wake], [], [], delay)
            answer = piece
            while answer and not stopping():
                _, writable, _ = select.select([], [descriptor], [], QUIET)
                if writable:
                    answer = answer[os.write(descriptor, answer) :]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the emulator; 0 when it was asked to stop, 2 for a file that cannot be used, 1 for a line that fails."""
    arguments = _parser().parse_args(argv)
    try:
        config = EmulatorConfig.read(arguments.file)
        line = EmulatedLine.build(config, time.time)
    except (ConfigError, SourceError) as error:
        print(f"meter-emulator: {error}", file=sys.stderr)
        return 2
    if config.line.tcp is not None:
        return _main_tcp(line, config.line.tcp)
    stopped = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True

    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        port = Port(config.line)
        control = Control(config.line.control)
    except (OSError, ValueError) as error:
        print(f"meter-emulator: {config.line.port or config.line.link}: {error}", file=sys.stderr)
        return 1
    try:
        print(f"ready {port.name}", flush=True)
        serve(FaultyLine(line, config.line.faults), port.descriptor, lambda: stopped, wake_read, control)
    except OSError as error:
        print(f"meter-emulator: {port.name}: {error}", file=sys.stderr)
        return 1
    finally:
        port.close()
        control.close()
        signal.set_wakeup_fd(-1)
        with contextlib.suppress(OSError):
            os.close(wake_read)
            os.close(wake_write)
    return 0


class _TcpHandler(socketserver.BaseRequestHandler):
    server: _TcpServer

    def handle(self) -> None:
        """Answer one connection until it closes or sends what is no wrapper unit."""
        connection = WrapperConnection(self.server.line.meters)
        while True:
            try:
                data = self.request.recv(65536)
                if not data:
                    return
                with self.server.lock:
                    answer = connection.receive(data)
                self.request.sendall(answer)
            except (OSError, DecodeError):
                return


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], line: EmulatedLine) -> None:
        super().__init__(address, _TcpHandler)
        self.line = line
        self.lock = threading.Lock()


def _main_tcp(line: EmulatedLine, address: tuple[str, int]) -> int:
    try:
        server = _TcpServer(address, line)
    except OSError as error:
        print(f"meter-emulator: {address[0]}:{address[1]}: {error}", file=sys.stderr)
        return 1

    def stop(_signal: int, _frame: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with server:
        print(f"ready {server.server_address[0]!s}:{server.server_address[1]}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
