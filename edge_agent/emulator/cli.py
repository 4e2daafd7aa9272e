"""`meter-emulator FILE`: emulated DLMS meters on a pty or a serial port, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import sys
import termios
import time
import tty
from collections.abc import Callable, Sequence
from pathlib import Path

import serial

from edge_agent.dlms.cosem.iec_hdlc_setup import SPEEDS
from edge_agent.emulator import config as config_module
from edge_agent.emulator.config import ConfigError, EmulatorConfig, LineConfig
from edge_agent.emulator.errors import EmulatorError
from edge_agent.emulator.fault_kinds import FaultError
from edge_agent.emulator.faults import FaultyLine
from edge_agent.emulator.line import EmulatedLine
from edge_agent.emulator.network import WrapperServer
from edge_agent.emulator.source import SourceError
from edge_agent.wire.command import FAILED, USAGE, Version, message_line
from edge_agent.wire.standstill import StandstillError

QUIET = 0.5
"""Seconds of silence after which half a frame is forgotten."""

_SPEEDS = {getattr(termios, f"B{speed}"): speed for speed in SPEEDS}

PUSH_CHECK = 0.05
"""Seconds between looks at whether a telegram is due."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="meter-emulator",
        description="Emulate DLMS meters on a pty, a serial port or a network address. Prints one line when ready: "
        "`ready PORT`.",
        epilog="The file:\n\n" + (config_module.__doc__ or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=Version, nargs=0, distribution="campus-edge-agent")
    parser.add_argument("file", type=Path, help="the emulator's TOML file")
    return parser


class Port:
    """The emulator's end of the line: a pty's master, or a serial port."""

    def __init__(self, line: LineConfig) -> None:
        self._link = line.link
        self._serial: serial.Serial | None = None
        self._slave = -1
        if line.port is not None:
            # P1's 7E1 comes with its parity bits made already, and a pty carries bytes, whatever format is asked for.
            made = line.mode == "p1" and line.bytesize == 7
            is_pty = str(Path(line.port).resolve()).startswith("/dev/pts/")
            bytesize, parity = (8, "N") if made or is_pty else (line.bytesize, line.parity)
            self._serial = serial.Serial(
                line.port, line.baudrate, bytesize, parity, line.stopbits, timeout=0, exclusive=True
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

    @property
    def speed(self) -> int | None:
        """Where this is a pty, the speed that the other end was set to; None where it is none that meters have."""
        return None if self._serial is not None else _SPEEDS.get(termios.tcgetattr(self._slave)[5])

    def take_speed(self, speed: int | None) -> None:
        """Where this is a serial port, go on at another speed; None leaves it."""
        if self._serial is not None and speed is not None and self._serial.baudrate != speed:
            self._serial.flush()
            self._serial.baudrate = speed

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
        """Read the commands that wait; one that is not a command is told on stderr and changes nothing."""
        assert self.socket is not None  # noqa: S101 - only asked when the socket is readable
        while True:
            try:
                text = self.socket.recv(256).decode("utf-8", "replace").strip()
            except BlockingIOError:
                return
            try:
                line.command(text)
            except FaultError as error:
                print(message_line("meter-emulator", str(error), error.code), file=sys.stderr)

    def close(self) -> None:
        """Take the socket away."""
        if self.socket is not None and self.path is not None:
            self.socket.close()
            self.path.unlink(missing_ok=True)


def serve(line: FaultyLine, port: Port, stopping: Callable[[], bool], wake: int, control: Control) -> None:
    """Answer what comes in on `port` until `stopping()`; `wake` becomes readable when that changes.

    A pushed telegram that nobody reads is lost, as on a line without a listener.
    """
    descriptor = port.descriptor
    sources: list[int | socket.socket] = [descriptor, wake]
    if control.socket is not None:
        sources.append(control.socket)
    pushing = any(meter.config.push_seconds for meter in line.line.meters)
    while not stopping():
        ready, _, _ = select.select(sources, [], [], PUSH_CHECK if pushing else line.line.inter_octet or QUIET)
        if control.socket in ready:
            control.take(line)
            continue
        if descriptor in ready:
            line.line.heard_at = port.speed
            _write(descriptor, line.receive(os.read(descriptor, 4096)), stopping, wake)
            port.take_speed(line.line.speed)
        elif not ready:
            _write(descriptor, line.quiet(), stopping, wake)
            _write(descriptor, line.pushes(), stopping, wake, patient=False)


def _write(
    descriptor: int,
    pieces: list[tuple[float, bytes]],
    stopping: Callable[[], bool],
    wake: int,
    *,
    patient: bool = True,
) -> None:
    for delay, piece in pieces:
        if delay:
            select.select([wake], [], [], delay)
        rest = piece
        while rest and not stopping():
            _, writable, _ = select.select([], [descriptor], [], QUIET)
            if writable:
                rest = rest[os.write(descriptor, rest) :]
            elif not patient:
                return


def main(argv: Sequence[str] | None = None) -> int:
    """Run the emulator; 0 when it was asked to stop, 2 for a file that cannot be used, 1 for a line that fails."""
    arguments = _parser().parse_args(argv)
    try:
        config = EmulatorConfig.read(arguments.file)
        line = EmulatedLine.build(config, time.time)
    except (ConfigError, SourceError, StandstillError) as error:
        print(message_line("meter-emulator", str(error), error.code), file=sys.stderr)
        return USAGE
    faulty = FaultyLine(line, config.line.faults)
    stopped = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True

    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    address = config.line.tcp or config.line.udp
    where = config.line.port or config.line.link if address is None else f"{address[0]}:{address[1]}"
    control = None
    try:
        port: Port | WrapperServer
        if address is None:
            port = Port(config.line)
        else:
            port = WrapperServer(faulty, address, datagrams=config.line.udp is not None)
        with contextlib.closing(port):
            control = Control(config.line.control)
            print(f"ready {port.name}", flush=True)
            if isinstance(port, Port):
                serve(faulty, port, lambda: stopped, wake_read, control)
            else:
                port.serve(lambda: stopped, wake_read, control)
    except (OSError, ValueError, termios.error, EmulatorError, StandstillError) as error:
        print(message_line("meter-emulator", f"{where}: {error}", "line_failed"), file=sys.stderr)
        return FAILED
    finally:
        if control is not None:
            control.close()
        signal.set_wakeup_fd(-1)
        with contextlib.suppress(OSError):
            os.close(wake_read)
            os.close(wake_write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
