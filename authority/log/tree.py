"""The tree's tiles (authority.log.tiles) in the store: how they are kept, read, and added to.

A tile at level L holds the roots of perfect subtrees of 256^L leaves. What lies between two tile levels is computed
from the lower one, so a leaf costs 32 bytes and a little, and a proof reads two tiles a level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from authority.errors import OutOfRangeError
from authority.log import merkle
from authority.log.merkle import HASH_SIZE, node_hash
from authority.log.tiles import TILE_HEIGHT, TILE_WIDTH, Tile
from authority.store.base import table_of
from authority.store.log import LogTile
from authority.store.rows import Writes, execute

_tile = table_of(LogTile)
_AT = (_tile.c.level == bindparam("at_level"), _tile.c.n == bindparam("at_n"))
_READ = select(_tile.c.hashes).where(*_AT)
_FILL = update(_tile).where(*_AT).values(hashes=bindparam("all_hashes"))
_MAKE = insert(_tile).values(level=bindparam("at_level"), n=bindparam("at_n"), hashes=bindparam("all_hashes"))
_APPEND = (
    update(_tile)
    .where(*_AT, func.octet_length(_tile.c.hashes) == bindparam("size"))
    .values(hashes=_tile.c.hashes.op("||")(bindparam("more", type_=_tile.c.hashes.type)))
)


class TileReader:
    """Nodes of the tree out of a session's tiles; each tile is read once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tiles: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, position: int) -> bytes:
        """The root of the perfect subtree of 2^level leaves; OutOfRangeError where the log does not have it."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        n, first = divmod(position << height, TILE_WIDTH)
        tile = self.tile(tile_level, n)
        hashes = tile[first * HASH_SIZE : (first + (1 << height)) * HASH_SIZE]
        if len(hashes) != HASH_SIZE << height:
            raise OutOfRangeError(f"the log has no node {position} at level {level}")
        return merkle.perfect_root(split_hashes(hashes))

    def tile(self, level: int, n: int) -> bytes:
        """A tile's hashes as far as it is filled; empty where there is none."""
        if (level, n) not in self._tiles:
            found = execute(self._session, _READ, {"at_level": level, "at_n": n}).scalar()
            self._tiles[level, n] = found or b""
        return self._tiles[level, n]

    def read(self, tile: Tile) -> bytes:
        """A tile as it is served: its first `width` hashes; OutOfRangeError where there are fewer."""
        hashes = self.tile(tile.level, tile.position)[: tile.width * HASH_SIZE]
        if len(hashes) != tile.width * HASH_SIZE:
            raise OutOfRangeError(f"the log has no {tile.path} yet")
        return hashes


def split_hashes(data: bytes) -> list[bytes]:
    """Hashes that stand one after another."""
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


class Growth:
    """A tree with new leaves at its right edge: its new size, root and frontier, and the new leaves' paths.

    Everything is computed from the old frontier (the roots of the perfect subtrees, largest first) and the new leaf
    hashes: what lies left of a new leaf's path and is not itself new is a subtree of the old frontier.
    """

    def __init__(self, first: int, frontier: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        self.first, self.size = first, first + len(leaves)
        self.rows: list[tuple[int, list[bytes]]] = []
        """By level: the position of the first node that is new, and the new nodes."""
        bits = [level for level in reversed(range(first.bit_length())) if first >> level & 1]
        old = dict(zip(bits, frontier, strict=True))
        self._old = old
        at, row, level = first, list(leaves), 0
        while row:
            self.rows.append((at, row))
            pairs = row if not at & 1 else [old[level], *row]
            row = [node_hash(pairs[n], pairs[n + 1]) for n in range(0, len(pairs) - 1, 2)]
            at, level = at >> 1, level + 1
        self.frontier = [
            self._node(level, (self.size >> level) - 1)
            for level in reversed(range(self.size.bit_length()))
            if self.size >> level & 1
        ]
        self._edge = self._right_edge()
        self._paths: list[bytes] = []

    @property
    def root(self) -> bytes:
        """The root of the tree as it is now."""
        return self._edge[-1] if self.size else merkle.EMPTY_ROOT

    def path(self, index: int) -> bytes:
        """The inclusion path of a new leaf in the tree as it is now, its hashes one after another, lowest first."""
        if not self._paths:
            self._paths = self._all_paths()
        return self._paths[index - self.first]

    def _node(self, level: int, position: int) -> bytes:
        if level < len(self.rows):
            at, row = self.rows[level]
            if position >= at:
                return row[position - at]
        return self._old[level]

    def _right_edge(self) -> list[bytes]:
        """By level, the root of the last subtree, which need not be perfect: over all leaves from its first one on."""
        if not self.size:
            return []
        edge = [self._node(0, self.size - 1)]
        level, last = 0, self.size - 1
        while last:
            edge.append(node_hash(self._node(level, last - 1), edge[-1]) if last & 1 else edge[-1])
            level, last = level + 1, last >> 1
        return edge

    def _all_paths(self) -> list[bytes]:
        """The paths of all new leaves: from the root down, those of a level's nodes are made of those above them."""
        last = self.size - 1
        above, first_above = [b""], 0
        for level in reversed(range(last.bit_length())):
            first, end = self.first >> level, last >> level
            paths = []
            for position in range(first, end + 1):
                sibling, rest = position ^ 1, above[(position >> 1) - first_above]
                if sibling < end:
                    rest = self._node(level, sibling) + rest
                elif sibling == end:
                    rest = self._edge[level] + rest
                paths.append(rest)
            above, first_above = paths, first
        return above


def write(writes: Writes, growth: Growth, read: Callable[[int, int], bytes]) -> None:
    """Put the new nodes of a growth into their tiles.

    A tile at the edge that has another size than the log says is OutOfRangeError. Where statements wait to be sent, the
    database appends to it and looks at its size; elsewhere read gives it as it is (TileReader.tile).
    """
    for level in range(0, len(growth.rows), TILE_HEIGHT):
        at, row = growth.rows[level]
        tile_level = level // TILE_HEIGHT
        n, held = divmod(at, TILE_WIDTH)
        if held:
            taken, size = TILE_WIDTH - held, held * HASH_SIZE
            more = b"".join(row[:taken])
            wrong = OutOfRangeError(f"tile {n} of level {tile_level} does not end where the log does")
            where = {"at_level": tile_level, "at_n": n}
            if writes.waits:
                writes.add(_APPEND, {**where, "size": size, "more": more}, rows=1, otherwise=wrong)
            else:
                before = read(tile_level, n)
                if len(before) != size:
                    raise wrong
                writes.add(_FILL, {**where, "all_hashes": before + more})
            row, n = row[taken:], n + 1
        for part, start in enumerate(range(0, len(row), TILE_WIDTH)):
            hashes = b"".join(row[start : start + TILE_WIDTH])
            writes.add(_MAKE, {"at_level": tile_level, "at_n": n + part, "all_hashes": hashes})
