"""The log in tiles of 256 hashes, C2SP tlog-tiles: which there are, what they are called, and the tree read from them.

Tile (L, N) holds up to 256 hashes: at level L = 0 the leaf hashes 256 N and on, above it the roots of perfect subtrees
of 256^L leaves. `tile/L/N` is a full tile, 8,192 bytes, that never changes; `tile/L/N.p/W` its first W hashes.
N is written in groups of three digits, all but the last with an `x` before it: 1234067 is `x001/x234/067`. The leaves
themselves are `tile/entries/N`: each with its length before it, u16 big-endian.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from authority.log import merkle

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63
MAX_ENTRY = 0xFFFF
"""Bytes of the largest leaf that has a place among the entries."""
_PARTIAL = re.compile(r"(.+)\.p/([1-9][0-9]{0,2})")
_POSITION = re.compile(r"(?:x[0-9]{3}/){0,5}[0-9]{3}")


@dataclass(frozen=True)
class Tile:
    """Which tile: level, position, and how many hashes it has (1 to 256)."""

    level: int
    position: int
    width: int

    @property
    def is_full(self) -> bool:
        """Whether it has all there will ever be in it."""
        return self.width == TILE_WIDTH

    @property
    def path(self) -> str:
        """Its path below the log's prefix, such as `tile/0/x001/067.p/17`."""
        partial = "" if self.is_full else f".p/{self.width}"
        return f"tile/{self.level}/{_number(self.position)}{partial}"


def _number(value: int) -> str:
    groups = [f"{value % 1000:03}"]
    while value := value // 1000:
        groups.append(f"x{value % 1000:03}")
    return "/".join(reversed(groups))


def tiles(size: int) -> Iterator[Tile]:
    """The tiles of hashes of a log of `size` leaves, from the leaves up."""
    level = 0
    while size:
        full, rest = divmod(size, TILE_WIDTH)
        for position in range(full):
            yield Tile(level, position, TILE_WIDTH)
        if rest:
            yield Tile(level, full, rest)
        size, level = full, level + 1


def parse_position(text: str) -> tuple[int, int] | None:
    """Position and width of the tile that `N` or `N.p/W` names; None where it names none."""
    partial = _PARTIAL.fullmatch(text)
    text, width = (partial[1], int(partial[2])) if partial else (text, TILE_WIDTH)
    if _POSITION.fullmatch(text) is None or width > TILE_WIDTH or (partial and width == TILE_WIDTH):
        return None
    position = int(text.replace("x", "").replace("/", ""))
    return (position, width) if _number(position) == text else None


def entry_bundle(leaves: Iterable[bytes]) -> bytes:
    """Leaves as `tile/entries/N` has them; ValueError where one is too large for its length to be written."""
    parts = []
    for leaf in leaves:
        if len(leaf) > MAX_ENTRY:
            raise ValueError(f"a leaf of {len(leaf)} bytes has no place among the entries")
        parts.append(len(leaf).to_bytes(2, "big") + leaf)
    return b"".join(parts)


def node_of_tiles(read: Callable[[Tile], bytes], size: int) -> merkle.Node:
    """The tree of `size` leaves as read from its tiles: what an auditor computes roots and proofs with.

    `read` returns a tile's bytes. A node between two tile levels is computed from the tile below it. ValueError where a
    tile is not as long as it says.
    """
    kept: dict[Tile, bytes] = {}

    def hashes(level: int, position: int) -> bytes:
        count = size >> (TILE_HEIGHT * level)
        tile = Tile(level, position, min(TILE_WIDTH, count - position * TILE_WIDTH))
        data = kept.get(tile)
        if data is None:
            data = kept[tile] = read(tile)
            if len(data) != tile.width * merkle.HASH_SIZE:
                raise ValueError(f"{tile.path} has {len(data)} bytes, not {tile.width * merkle.HASH_SIZE}")
        return data

    def node(level: int, position: int) -> bytes:
        tile_level, above = divmod(level, TILE_HEIGHT)
        first = position << above
        data = hashes(tile_level, first // TILE_WIDTH)
        start = first % TILE_WIDTH
        row = [data[at * merkle.HASH_SIZE : (at + 1) * merkle.HASH_SIZE] for at in range(start, start + (1 << above))]
        return merkle.perfect_root(row)

    return node
