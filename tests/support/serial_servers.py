"""Serial servers in front of a pty: bare bytes over TCP as ser2net sends them, and RFC 2217 by pyserial."""

from __future__ import annotations

import os
import select
import socket
import threading
import tty

import serial
import serial.rfc2217


class SerialServer:
    """ser2net: a TCP port whose bytes go to a pty and back."""

    def __init__(self, port: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.line = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.line)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                while True:
                    ready, _, _ = select.select([connection, self.line], [], [])
                    if connection in ready:
                        data = connection.recv(4096)
                        if not data:
                            break
                        os.write(self.line, data)
                    if self.line in ready:
                        connection.sendall(os.read(self.line, 4096))

    def close(self) -> None:
        self.listener.close()
        os.close(self.line)


class PtySerial(serial.Serial):
    """A serial port on a pty, which has no handshake lines."""

    cts = dsr = ri = cd = property(lambda self: False)

    def _update_dtr_state(self):
        pass

    _update_rts_state = _update_break_state = _update_dtr_state


class Rfc2217Server:
    """A serial server that sets speed and format as its client asks (RFC 2217), by pyserial's own server side."""

    def __init__(self, port: str) -> None:
        self.serial = PtySerial(port, timeout=0.05)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                self.connection, _ = self.listener.accept()
            except OSError:
                return
            manager = serial.rfc2217.PortManager(self.serial, self)
            threading.Thread(target=self._read, args=(self.connection, manager), daemon=True).start()
            try:
                while data := self.connection.recv(1024):
                    self.serial.write(b"".join(manager.filter(data)))
            except OSError:
                continue

    def _read(self, connection: socket.socket, manager: serial.rfc2217.PortManager) -> None:
        try:
            while True:
                connection.sendall(b"".join(manager.escape(self.serial.read(self.serial.in_waiting or 1))))
        except (OSError, TypeError):
            return  # the client, or the test, is gone

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)

    def close(self) -> None:
        self.listener.close()
