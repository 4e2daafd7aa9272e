"""Telegrams out of a line's bytes as they come, whatever else is on it: noise, neighbours, frames seconds apart.

A telegram is taken as soon as its last byte is there, so that bytes behind it, or a line that never falls quiet, keep
none from being read. Which link it is shows by the first frame whose checks are right. What has no check sum of a frame
(bare APDUs, the TCP wrapper) ends with a short silence; what has begun is given up after a long one. No clock and no
I/O: whoever reads the line says when it is silent.
"""

from __future__ import annotations

from edge_agent.dlms import mbus, sml
from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.hdlc.frame import read_frame
from edge_agent.dlms.iec62056_21.p1 import MAX_CHECK, without_parity
from edge_agent.dlms.push.telegram import Keys, Telegram, decode_telegrams
from edge_agent.dlms.push.unframe import HDLC, LINKS, MBUS, P1, SML, detect_link, has_noise, is_ciphered_p1, unframe

SHORT_SILENCE = 0.4
"""Seconds without a byte that end what has no end of its own."""

LONG_SILENCE = 10.0
"""Seconds without a byte after which what has begun does not go on: frames of one telegram may be seconds apart."""

MAX_TELEGRAM = 1 << 17
MAX_NOISE = 1 << 13
"""Bytes without a whole frame in them that are kept."""


class Capture:
    """Bytes that belong together, their link, the telegrams in them, and whether there is more in them than those."""

    __slots__ = ("data", "link", "noise", "telegrams")

    def __init__(self, data: bytes, link: str, keys: Keys) -> None:
        self.data = data
        self.link = link
        self.noise = has_noise(data, link)
        # What adapters add to a telegram's end, and zeros of an idle line, are nothing that was lost.
        nothing = link == P1 and not any(mark in without_parity(data)[0] for mark in (b"/", b"(", b")"))
        self.telegrams: list[Telegram] = [] if nothing else decode_telegrams(data, link, keys)


class TelegramStream:
    """Give it what arrives; it returns captures that are complete."""

    def __init__(self, keys: Keys | None = None) -> None:
        self.keys = keys or Keys()
        self._buffer = b""
        self._link: str | None = None
        self._found_none = False
        """The buffer holds no whole frame, and no new byte can have ended one."""

    @property
    def pending(self) -> int:
        """How many bytes wait for more."""
        return len(self._buffer)

    def receive(self, data: bytes) -> list[Capture]:
        """Bytes have come."""
        found: list[Capture] = []
        self._buffer += data
        # The end of an SML file is any two bytes behind its mark.
        ended = any(end in data for end in _ENDS) or _SML_END in self._buffer
        if not ended and len(self._buffer) < MAX_NOISE:
            return found
        link, end, frames = self._settled()
        if end:
            found.append(self._take(end, link))
        elif len(self._buffer) > (MAX_TELEGRAM if frames else MAX_NOISE):
            found.append(self._take(len(self._buffer), self._link or detect_link(self._buffer)))
        return found

    def quiet(self) -> list[Capture]:
        """No byte has come for SHORT_SILENCE."""
        if not self._buffer.strip(b"\x7e\r\n"):
            return []
        link = self._link or detect_link(self._buffer)
        return [] if _goes_on(self._buffer, link, self.keys) else [self._take(len(self._buffer), link)]

    def end(self) -> list[Capture]:
        """No byte has come for LONG_SILENCE, or none ever will."""
        if not self._buffer.strip(b"\x7e\r\n"):
            self._buffer = b""
            return []
        return [self._take(len(self._buffer), self._link or detect_link(self._buffer))]

    def _take(self, end: int, link: str) -> Capture:
        data = self._buffer[:end]
        # The flag that ends a frame may start the next.
        self._buffer = self._buffer[end - 1 if link == HDLC and end < len(self._buffer) else end :]
        capture = Capture(data, link, self.keys)
        if any(telegram.values for telegram in capture.telegrams):
            self._link = link
        return capture

    def _settled(self) -> tuple[str, int, bool]:
        """The link, where the last telegram ends that is whole (0 for nowhere), and whether there are frames at all."""
        frames = False
        for link in _FRAMED:
            if self._link in _FRAMED and link != self._link:
                continue
            ends = _frame_ends(self._buffer, link)
            frames = frames or len(ends) > 0
            for end in reversed(ends):
                if link in (P1, SML):
                    return link, end, True
                units = unframe(self._buffer[:end], link)
                if units and not units[-1].open:
                    return link, end, True
        return "", 0, frames


_FRAMED = (SML, HDLC, MBUS, P1)
_SML_END = sml.ESCAPE + b"\x1a"
_ENDS = (b"\x7e", b"\x16", b"\n", b"!", b"\x8a", b"\x0a", b"\xa1")
"""Bytes of which one stands at the end of each kind of frame, with parity bits or without."""


def _frame_ends(data: bytes, link: str) -> list[int]:
    if link == SML:
        return sml.file_ends(data)
    if link == HDLC:
        return _hdlc_ends(data)
    return _mbus_ends(data) if link == MBUS else _p1_ends(data)


def _hdlc_ends(data: bytes) -> list[int]:
    ends: list[int] = []
    position = data.find(b"\x7e")
    while position >= 0:
        try:
            frame, end = read_frame(data, position)
        except DecodeError:
            frame, end = None, position
        if frame is not None:
            ends.append(end)
            position = end - 2
        position = data.find(b"\x7e", position + 1)
    return ends


def _mbus_ends(data: bytes) -> list[int]:
    ends: list[int] = []
    position = data.find(b"\x68")
    while position >= 0:
        try:
            frame, end = mbus.read_frame(data, position)
        except DecodeError:
            frame, end = None, position
        if frame is not None and frame.carries_dlms:
            ends.append(end)
            position = end - 1
        position = data.find(b"\x68", position + 1)
    return ends


def _p1_ends(data: bytes) -> list[int]:
    """Behind the line with `!` of each telegram whose start is there too, or behind the block check of a read-out."""
    if is_ciphered_p1(data):
        units = unframe(data, P1)
        return [] if not units or units[-1].open else [len(data)]
    data, _ = without_parity(data)
    ends: list[int] = []
    start = data.find(b"/")
    while start >= 0:
        mark = data.find(b"!", start)
        while mark >= 0 and data[mark - 1 : mark] != b"\n":
            mark = data.find(b"!", mark + 1)
        line = data.find(b"\n", mark, mark + MAX_CHECK) if mark >= 0 else -1
        if line < 0:
            return ends
        following = data.find(b"/", mark, line)  # telegrams that run together without an end of line
        end = line + 1 if following < 0 else following
        if data.find(b"\x02", start, mark) >= 0:  # a read-out: ETX and its block check follow
            end += 2
            if end > len(data):
                return ends
        ends.append(end)
        start = data.find(b"/", end)
    return ends


def _goes_on(data: bytes, link: str, keys: Keys) -> bool:
    """Whether more may come of what the bytes end with."""
    if link == SML or (link == P1 and not is_ciphered_p1(data)):
        telegrams = decode_telegrams(data, link, keys)
        return any(error.code == "cut_short" for error in telegrams[-1].errors)
    if link not in LINKS:
        return False
    units = unframe(data, link)
    return bool(units) and units[-1].open
