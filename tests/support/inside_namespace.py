"""Runs inside a network namespace of its own: brings the loopback up, starts a validator, and lets the tests in.

    unshare -n python inside_namespace.py LISTENING_FD:PORT,LISTENING_FD:PORT COMMAND...

The validator listens on every interface whatever it is told, so it gets a namespace that has none but the loopback. The
doors are listening sockets that were made outside and are inherited: whoever connects to one is passed on to a port of
the validator's in here.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import signal
import socket
import struct
import subprocess
import sys
import threading

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
PR_SET_PDEATHSIG = 1


def bring_loopback_up() -> None:
    """What `ip link set lo up` does, where no `ip` is installed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends, however that happens."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until the source ends, then end the target's side."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for one, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            one.shutdown(how)


def serve(client: socket.socket, port: int) -> None:
    """Join one client to the validator."""
    with client:
        try:
            inner = socket.create_connection(("127.0.0.1", port), timeout=30)
        except OSError:
            return
        inner.settimeout(None)
        for one in (client, inner):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with inner:
            back = threading.Thread(target=pump, args=(inner, client), daemon=True)
            back.start()
            pump(client, inner)
            back.join()


def main() -> None:
    doors, *command = sys.argv[1:]
    die_with_parent()
    bring_loopback_up()
    # No thread runs yet, so the hook between fork and exec is safe.
    validator = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)  # noqa: PLW1509

    def stop(*_: object) -> None:
        validator.terminate()

    signal.signal(signal.SIGTERM, stop)

    def accept(listener: socket.socket, port: int) -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, port), daemon=True).start()

    for door in doors.split(","):
        descriptor, port = map(int, door.split(":"))
        threading.Thread(target=accept, args=(socket.socket(fileno=descriptor), port), daemon=True).start()
    sys.exit(validator.wait())


if __name__ == "__main__":
    main()
