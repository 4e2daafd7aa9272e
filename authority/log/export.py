"""The log as files for monitors and witnesses: `checkpoint`, `tile/...`, `log.pub` (C2SP tlog-tiles, tlog-checkpoint).

A folder that has been exported to is added to: a full tile never changes, and the checkpoint is replaced last, so that
whoever reads the folder meanwhile finds every tile that the checkpoint in it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from solders.keypair import Keypair
from sqlalchemy.orm import Session

from authority.errors import AuthorityError
from authority.log import log, merkle, note, tiles
from authority.log.publish import note_of
from authority.log.tree import TileReader, split_hashes
from edge_agent.wire.files import write_atomically

CHECKPOINT_FILE = "checkpoint"
KEY_FILE = "log.pub"
PUBLIC_MODE = 0o644


class ExportError(AuthorityError):
    """Tiles cannot be written into the folder."""


class FolderUnusableError(ExportError):
    """The folder for the tiles cannot be written."""

    code = "folder_unusable"


class OtherLogError(ExportError):
    """The folder holds another log, or one that this log does not extend."""

    code = "other_log"


@dataclass(frozen=True)
class Export:
    """What was written: the checkpoint's size and root, tiles that are new, and full ones that were there."""

    size: int
    root: bytes
    new_tiles: int
    kept_tiles: int


def write_tiles(session: Session, folder: Path, name: str, key: Keypair) -> Export:
    """Write the log as it stands; ExportError. The caller's transaction has locked the log."""
    size, root = log.size(session), log.root(session)
    verifier = note.VerifierKey(name, bytes(key.pubkey()))
    try:
        _require_extension(session, folder, verifier)
        new = kept = 0
        reader = TileReader(session)
        for tile in tiles.tiles(size):
            path = folder / tile.path
            if tile.is_full and path.exists():
                kept += 1
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, reader.read(tile), mode=PUBLIC_MODE)
            new += 1
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / KEY_FILE, f"{verifier}\n".encode(), mode=PUBLIC_MODE)
        signed = log.checkpoint(session, log.network_id(session), key)
        written = note_of(session, signed, verifier.public_key)
        write_atomically(folder / CHECKPOINT_FILE, written, mode=PUBLIC_MODE)
    except OSError as error:
        raise FolderUnusableError(f"cannot write {error.filename or folder}: {error.strerror}") from error
    return Export(size, root, new, kept)


def faults(folder: Path, key: bytes | None = None) -> Iterator[tuple[str, str]]:
    """What does not hold in a folder that was exported to: the file, and what is wrong with it.

    key is the receipt key (32 bytes) to be believed; by default it is the one in `log.pub`. Every tile is held against
    the one above it, and the topmost against the checkpoint.
    """
    try:
        written = (folder / KEY_FILE).read_bytes()
        verifier = note.VerifierKey.parse(written.decode("utf-8"))
        if written != f"{verifier}\n".encode():
            raise note.VerifierKeyMalformedError("a key is one line")
    except (OSError, UnicodeDecodeError, note.NoteError) as error:
        yield KEY_FILE, f"is not the log's key: {error}"
        return
    if key is not None and verifier.public_key != key:
        yield KEY_FILE, f"has the key {verifier.public_key.hex()}, not the given one"
        return
    try:
        checkpoint = note.open_note((folder / CHECKPOINT_FILE).read_bytes(), verifier)
    except (OSError, note.NoteError) as error:
        yield CHECKPOINT_FILE, f"is not signed by the log's key: {error}"
        return
    read, wrong = _Folder(folder), False
    for tile in tiles.tiles(checkpoint.size):
        data = read.tile(tile)
        if len(data) != tile.width * merkle.HASH_SIZE:
            wrong = True
            yield tile.path, f"is missing, or has not {tile.width * merkle.HASH_SIZE} bytes"
        elif tile.is_full:
            above = read.above(tile, checkpoint.size)
            hashes = read.tile(above)[tile.position % tiles.TILE_WIDTH * merkle.HASH_SIZE :][: merkle.HASH_SIZE]
            if hashes != merkle.perfect_root(split_hashes(data)):
                wrong = True
                yield tile.path, f"has not the root that {above.path} says: one of the two was changed"
    if not wrong and merkle.root(checkpoint.size, tiles.node_of_tiles(read.tile, checkpoint.size)) != checkpoint.root:
        edge = ", ".join(tile.path for tile in tiles.tiles(checkpoint.size) if not tile.is_full)
        yield edge or CHECKPOINT_FILE, f"do not lead to the root of {CHECKPOINT_FILE}: one of them was changed"


class _Folder:
    """An exported folder's tiles."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def tile(self, tile: tiles.Tile) -> bytes:
        """A tile's bytes; none where the file is not there."""
        try:
            return (self._folder / tile.path).read_bytes()
        except OSError:
            return b""

    @staticmethod
    def above(tile: tiles.Tile, size: int) -> tiles.Tile:
        """The tile that holds a full tile's root."""
        level, position = tile.level + 1, tile.position // tiles.TILE_WIDTH
        there = (size >> (tiles.TILE_HEIGHT * level)) - position * tiles.TILE_WIDTH
        return tiles.Tile(level, position, min(tiles.TILE_WIDTH, there))


def _require_extension(session: Session, folder: Path, verifier: note.VerifierKey) -> None:
    """Refuse a folder whose checkpoint is another log's, or one that this log does not extend."""
    try:
        before = note.open_note((folder / CHECKPOINT_FILE).read_bytes(), verifier)
    except FileNotFoundError:
        return
    except note.NoteError as error:
        raise OtherLogError(f"{folder} holds the checkpoint of another log ({error}); name an empty folder") from error
    if before.size > log.size(session) or log.root(session, before.size) != before.root:
        raise OtherLogError(
            f"{folder} holds a checkpoint of {before.size} leaves that this log does not extend: keep both as evidence "
            "and name an empty folder",
        )
