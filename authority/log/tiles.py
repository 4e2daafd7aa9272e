"""The log as static files that any monitor reads: C2SP tlog-tiles.

Tile (L, N) holds up to 256 hashes: at level L = 0 the leaf hashes 256 N and on, above it the roots of perfect subtrees
of 256^L leaves. `tile/L/N` is a full tile, 8,192 bytes, that never changes; `tile/L/N.p/W` the W hashes that there are.
N is written in groups of three digits, all but the last with an `x` before it: 1234067 is `x001/x234/067`. The leaves
themselves (`tile/entries/N`) are for auditors and not among these files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from authority.log import merkle

TILE_WIDTH = 256
TILE_HEIGHT = 8


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


def tile_bytes(tile: Tile, node: merkle.Node) -> bytes:
    """A tile's content: 32 bytes a hash, in order."""
    level, first = TILE_HEIGHT * tile.level, TILE_WIDTH * tile.position
    return b"".join(node(level, first + place) for place in range(tile.width))


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
