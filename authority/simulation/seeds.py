"""Bytes and random numbers out of a seed: the same seed makes the same keys, weather and habits, everywhere.

Whoever knows the seed knows every key of the simulated campus. Nothing but a simulation may be made of it.
"""

from __future__ import annotations

import hashlib
import random


class Seed:
    """A source of independent streams, each named by what it is for."""

    def __init__(self, seed: int) -> None:
        self._root = f"campus simulation {seed}".encode()

    def bytes_for(self, *purpose: object, size: int = 32) -> bytes:
        """Bytes for one purpose, always the same."""
        name = "/".join(map(str, purpose)).encode()
        return hashlib.shake_256(self._root + b"\0" + name).digest(size)

    def stream(self, *purpose: object) -> ByteStream:
        """Bytes for one purpose, asked for piece by piece."""
        return ByteStream(self.bytes_for(*purpose))

    def random(self, *purpose: object) -> random.Random:
        """A generator for one purpose."""
        return random.Random(self.bytes_for(*purpose))  # noqa: S311 - a simulation is to be repeated


class ByteStream:
    """Calls like os.urandom: each gives the next bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        """So many bytes."""
        self._calls += 1
        return hashlib.shake_256(self._key + self._calls.to_bytes(8, "little")).digest(size)
