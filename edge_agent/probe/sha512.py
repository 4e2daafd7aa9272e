"""SHA-512 (FIPS 180-4): `hashlib` where it has it, else computed here. MicroPython's hashlib stops at SHA-256."""

from __future__ import annotations

import hashlib

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_BLOCK = 128


def _primes(count: int) -> list[int]:
    found = [2]
    candidate = 3
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 2
    return found


def _root(value: int, degree: int) -> int:
    """The whole part of a root, bit by bit."""
    low, high = 0, 1 << 70
    while high - low > 1:
        middle = (low + high) >> 1
        if middle**degree <= value:
            low = middle
        else:
            high = middle
    return low


def _constants() -> tuple[list[int], list[int]]:
    """64 bits behind the point: of the square roots of 8 primes, of the cube roots of 80 (clauses 5.3.5, 4.2.3)."""
    primes = _primes(80)
    start = [_root(prime << 128, 2) & _MASK for prime in primes[:8]]
    return start, [_root(prime << 192, 3) & _MASK for prime in primes]


_tables: list[list[int]] = []  # made at the first use


def _compress(state: list[int], block: bytes, rounds: list[int]) -> list[int]:
    mask = _MASK
    words = [int.from_bytes(block[at : at + 8], "big") for at in range(0, _BLOCK, 8)]
    for t in range(16, 80):
        x, y = words[t - 15], words[t - 2]
        low = (x >> 1 | x << 63) ^ (x >> 8 | x << 56) ^ x >> 7
        high = (y >> 19 | y << 45) ^ (y >> 61 | y << 3) ^ y >> 6
        words.append(words[t - 16] + (low & mask) + words[t - 7] + (high & mask) & mask)
    a, b, c, d, e, f, g, h = state
    for t in range(80):
        high = ((e >> 14 | e << 50) ^ (e >> 18 | e << 46) ^ (e >> 41 | e << 23)) & mask
        first = h + high + (e & f ^ (e ^ mask) & g) + rounds[t] + words[t]
        low = ((a >> 28 | a << 36) ^ (a >> 34 | a << 30) ^ (a >> 39 | a << 25)) & mask
        second = low + (a & b ^ a & c ^ b & c)
        h, g, f, e, d, c, b, a = g, f, e, d + first & mask, c, b, a, first + second & mask
    return [before + after & mask for before, after in zip(state, (a, b, c, d, e, f, g, h))]  # noqa: B905 - MicroPython


def sha512_here(data: bytes) -> bytes:
    """The 64 bytes, computed here."""
    if not _tables:
        _tables.extend(_constants())
    state, rounds = _tables
    padded = data + b"\x80" + bytes(-(len(data) + 17) % _BLOCK) + (len(data) * 8).to_bytes(16, "big")
    for at in range(0, len(padded), _BLOCK):
        state = _compress(state, padded[at : at + _BLOCK], rounds)
    return b"".join([word.to_bytes(8, "big") for word in state])


def sha512_by_library(data: bytes) -> bytes:
    """The 64 bytes, by `hashlib`."""
    return hashlib.sha512(data).digest()


sha512 = sha512_by_library if hasattr(hashlib, "sha512") else sha512_here
