"""The demo's directory: taken by one demo at a time, and never anything but a demo's."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from authority.demo.children import HomeBusyError, HomeForeignError, NoPortsError

MARK = "DEMO"
MARK_TEXT = "This directory is the demo's. Its next run throws away all that is in it.\n"
PREFERRED_WEB_PORT = 8000
PORTS = range(30_000, 32_768)
"""Where the others are chosen: below those that kernels give to connections, one of which could take a port before its
server does, and beside Agave's (authority.demo.agave)."""


@dataclass
class Stage:
    """A fresh directory, held with a lock for as long as the demo runs."""

    path: Path
    _lock: int

    @property
    def logs(self) -> Path:
        """Where every process writes what it has to say."""
        return self.path / "logs"

    @classmethod
    def take(cls, path: Path) -> Stage:
        """Empty the directory of an earlier demo, or make it.

        HomeForeignError where it holds anything that is not a demo's, `home_busy` where a demo runs in it.
        """
        path = path.resolve()
        mark = path / MARK
        if path.exists() and not mark.exists() and (not path.is_dir() or any(path.iterdir())):
            raise HomeForeignError(
                f"{path} is not a demo's directory, and a demo begins by emptying its own; name another with --home",
            )
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise HomeBusyError(f"another demo runs in {path}; stop it, or name another --home") from error
            for entry in path.iterdir():
                if entry.name == MARK:
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            os.ftruncate(lock, 0)
            os.pwrite(lock, MARK_TEXT.encode(), 0)
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the demo's servers listen, all on this machine alone."""

    web: int
    collector: int
    mqtt: int
    validator: int

    @classmethod
    def free(cls, web: int = 0) -> Ports:
        """Free ports; `web` where it is given, else 8000 if that is free. NoPortsError.

        The port after each is free too: the validator serves subscriptions there.
        """
        pairs = PORTS[::2]
        free = (port for port in random.SystemRandom().sample(pairs, len(pairs)) if _is_free(port, port + 1))
        try:
            return cls(
                web or (PREFERRED_WEB_PORT if _is_free(PREFERRED_WEB_PORT) else next(free)),
                collector=next(free),
                mqtt=next(free),
                validator=next(free),
            )
        except StopIteration:
            raise NoPortsError(f"no free ports between {PORTS[0]} and {PORTS[-1]}: what holds them?") from None


def _is_free(*ports: int) -> bool:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
