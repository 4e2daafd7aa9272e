"""The demo's pause key: single keys of the terminal, read without Enter, and the terminal as it was afterwards.

Ctrl-C, Ctrl-Z and the like keep their meaning. Without a terminal, or in its background, nothing is read or changed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from types import FrameType
from typing import Any

PAUSE_KEYS = b"pP "


class Keys:
    """A context manager: while it is entered, `asked` listens for p or space on `descriptor`, if a terminal."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = _stdin() if descriptor is None else descriptor
        self._as_it_was: list[Any] | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    @property
    def listens(self) -> bool:
        """Whether keys are read."""
        return self._as_it_was is not None

    def __enter__(self) -> Keys:
        if os.isatty(self._descriptor):
            self._take()
            self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._suspend)
            self._handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._continue)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        self._give_back()

    @property
    def _in_front(self) -> bool:
        """Whether keys are meant for this process: the kernel stops one of the background that reads them."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:  # not the terminal that controls this process, so nothing stops it
            return True

    def _take(self) -> None:
        if self._as_it_was is None and self._in_front:
            with contextlib.suppress(termios.error):
                self._as_it_was = termios.tcgetattr(self._descriptor)
                tty.setcbreak(self._descriptor)

    def _give_back(self) -> None:
        as_it_was, self._as_it_was = self._as_it_was, None
        if as_it_was is not None and self._in_front:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, as_it_was)

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _continue(self, _number: int, _frame: FrameType | None) -> None:
        self._take()

    def asked(self, seconds: float) -> bool:
        """Wait so long, or until p or space is pressed, and say whether it was."""
        if not self.listens or not self._in_front:
            time.sleep(seconds)
            return False
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            readable, _, _ = select.select([self._descriptor], [], [], left)
            if not readable:
                return False
            try:
                pressed = os.read(self._descriptor, 64)
            except OSError:  # hung up
                pressed = b""
            if not pressed:
                self._as_it_was = None
                return False
            if sum(key in PAUSE_KEYS for key in pressed) % 2:
                return True
        return False


def _stdin() -> int:
    """Standard input's descriptor; -1 where there is none."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return -1
