"""The log as files for monitors and witnesses: `checkpoint`, `tile/...`, `log.pub` (C2SP tlog-tiles, tlog-checkpoint).

A folder that has been exported to is added to: a full tile never changes, and the checkpoint is replaced last, so that
whoever reads the folder meanwhile finds every tile that the checkpoint in it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from solders.keypair import Keypair
from sqlalchemy.orm import Session

from authority.errors import AuthorityError
from authority.log import log, note, tiles
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
        node = log.nodes(session)
        for tile in tiles.tiles(size):
            path = folder / tile.path
            if tile.is_full and path.exists():
                kept += 1
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, tiles.tile_bytes(tile, node), mode=PUBLIC_MODE)
            new += 1
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / KEY_FILE, f"{verifier}\n".encode(), mode=PUBLIC_MODE)
        signed = note.sign(note.LogCheckpoint(name, size, root), name, key)
        write_atomically(folder / CHECKPOINT_FILE, signed.encode(), mode=PUBLIC_MODE)
    except OSError as error:
        raise FolderUnusableError(f"cannot write {error.filename or folder}: {error.strerror}") from error
    return Export(size, root, new, kept)


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
