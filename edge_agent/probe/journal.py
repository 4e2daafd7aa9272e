"""A probe's journal: a file of entries of one size, each with a check sum, to which is only added.

An entry is durable before its frame leaves; after a power cut what was half written is written over. Frames that the
authority has a receipt for are marked by an entry of their own. Once all are, and there are many, a new file with the
last frame alone takes the place of the old one.

Entry, 200 bytes: kind (1: `F` or `R`), zeros (3), what it holds (192), CRC-32 of all before it (u32, little-endian).
`F` holds a frame, `R` the record's hash of a frame (32 bytes, then zeros).
"""

from __future__ import annotations

import binascii
import os

from edge_agent.wire.reading import FRAME_SIZE, Frame, record_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

ENTRY_SIZE = 200
FEWEST = 64
"""Entries below which a journal is not made anew."""


class ProbeJournal:
    """The journal in a file; `sync` makes what was written to a file durable where flushing it does not (littlefs, the
    file system of microcontrollers, does so when a file is flushed, and renames in one step).

    last: the newest frame, None before the first. waiting: frames without a receipt, oldest first.
    """

    def __init__(self, path: str, sync: Callable[[BinaryIO], None] = lambda file: None) -> None:
        self._path = path
        self._sync = sync
        self.last: Frame | None = None
        self.waiting: list[Frame] = []
        self._entries = 0
        self._read(path)

    def append(self, frame: Frame) -> None:
        """Make a frame durable; on return it may leave. ValueError where it does not follow the last."""
        record = frame.record
        if self.last is not None and record.sequence != self.last.record.sequence + 1:
            raise ValueError(f"sequence {record.sequence} does not follow the journal's last")
        self._add(b"F", frame.to_bytes())
        self.last = frame
        self.waiting.append(frame)

    def find(self, hash_: bytes) -> Frame | None:
        """The waiting frame whose record has that SHA-256."""
        for frame in self.waiting:
            if record_hash(frame.record_bytes) == hash_:
                return frame
        return None

    def free(self, frame: Frame) -> None:
        """The authority has it: it waits no longer."""
        self._add(b"R", record_hash(frame.record_bytes))
        self.waiting.remove(frame)
        if not self.waiting and self._entries >= FEWEST:
            self._make_anew()

    def _add(self, kind: bytes, content: bytes) -> None:
        with open(self._path, "r+b") as file:
            file.seek(self._entries * ENTRY_SIZE)
            self._write(file, kind, content)
        self._entries += 1

    def _write(self, file: BinaryIO, kind: bytes, content: bytes) -> None:
        entry = kind + bytes(3) + content + bytes(FRAME_SIZE - len(content))
        file.write(entry + binascii.crc32(entry).to_bytes(4, "little"))
        file.flush()
        self._sync(file)

    def _make_anew(self) -> None:
        """The last frame and its receipt in a new file, which takes the old one's name in one step."""
        last = self.last
        if last is None:
            return
        with open(self._path + ".new", "wb") as file:
            self._write(file, b"F", last.to_bytes())
            self._write(file, b"R", record_hash(last.record_bytes))
        os.rename(self._path + ".new", self._path)
        self._entries = 2

    def _read(self, path: str) -> None:
        try:
            file = open(path, "rb")  # noqa: SIM115
        except OSError:
            with open(path, "wb") as new:
                self._sync(new)
            return
        with file:
            while True:
                entry = file.read(ENTRY_SIZE)
                check = binascii.crc32(entry[:-4]).to_bytes(4, "little")
                if len(entry) < ENTRY_SIZE or entry[-4:] != check:
                    return  # the end, or what a power cut left of an entry
                content = entry[4:-4]
                if entry[:1] == b"F":
                    self.last = Frame.from_bytes(content)
                    self.waiting.append(self.last)
                else:
                    self.waiting = [one for one in self.waiting if record_hash(one.record_bytes) != content[:32]]
                self._entries += 1
