"""What SQLite writes, syncs, makes and deletes in one directory, and every disk that a power cut may leave of it.

The recorder stands in SQLite's own file layer: the default VFS of the library that `sqlite3` uses gets its xOpen and
xDelete, and each file its xWrite, xTruncate and xSync, replaced by functions that note the call and pass it on.

A power cut leaves what was synced, and of the rest any part: each write or truncation of a file since its last sync,
and each name made or deleted since the directory's last sync, is there or is not. A write that is there may be torn.
"""

from __future__ import annotations

import ctypes
import itertools
import random as random_module
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_POINTER = ctypes.c_void_p
# A name is passed on as the pointer that came: SQLite keeps it, and looks behind its end.
_OPEN = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, _POINTER, ctypes.c_int, _POINTER)
_DELETE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, ctypes.c_int)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, ctypes.c_int, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int)
_SYNCS_ITS_DIRECTORY = 0x800 | 0x4000 | 0x80000
"""SQLITE_OPEN_MAIN_JOURNAL, _SUPER_JOURNAL, _WAL: where xOpen makes one, its first xSync syncs the directory too."""


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", _POINTER),
        ("zName", ctypes.c_char_p),
        ("pAppData", _POINTER),
        ("xOpen", _POINTER),
        ("xDelete", _POINTER),
    )


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("xClose", _POINTER),
        ("xRead", _POINTER),
        ("xWrite", _POINTER),
        ("xTruncate", _POINTER),
        ("xSync", _POINTER),
        ("rest", _POINTER * 13),
    )


Image = dict[str, bytes]
"""The files of a directory."""


class NotRecordableError(Exception):
    """This Python's sqlite3 does not use a shared library of SQLite."""


def _library() -> ctypes.CDLL:
    import _sqlite3  # noqa: F401 - so that the library is loaded

    with Path("/proc/self/maps").open() as maps:
        paths = {line.split()[-1] for line in maps if "libsqlite3" in line}
    if len(paths) != 1:
        raise NotRecordableError("sqlite3 is not linked to one shared libsqlite3")
    return ctypes.CDLL(paths.pop())


@dataclass(frozen=True)
class Operation:
    """One thing that happened: kind is write, truncate, sync, make, delete or sync_directory. size: of a truncation."""

    kind: str
    name: str = ""
    offset: int = 0
    data: bytes = b""
    size: int = 0


class Recorder:
    """Records what SQLite does in a directory, while it is entered."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.operations: list[Operation] = []
        self.before: Image = {}
        library = _library()
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._vfs = library.sqlite3_vfs_find(None).contents
        self._names: dict[int, str] = {}
        self._syncs_directory: set[int] = set()
        self._methods: dict[int, _Methods] = {}
        self._kept: list[object] = []

    def look(self) -> Image:
        """Take what lies in the directory now as on the disk, before anything is recorded."""
        self.before = {path.name: path.read_bytes() for path in self.directory.iterdir() if path.is_file()}
        return self.before

    def __enter__(self) -> Recorder:
        self._true = self._vfs.xOpen, self._vfs.xDelete
        self._real_open, self._real_delete = _OPEN(self._true[0]), _DELETE(self._true[1])
        ours = _OPEN(self._open), _DELETE(self._delete)
        self._kept += ours
        self._vfs.xOpen, self._vfs.xDelete = (ctypes.cast(each, _POINTER) for each in ours)
        return self

    def __exit__(self, *_: object) -> None:
        """Whoever has a file open from before goes on being recorded; nobody else."""
        self._vfs.xOpen, self._vfs.xDelete = self._true

    def note_made(self, name: str) -> None:
        """A file was made by other means than SQLite's."""
        self.operations.append(Operation("make", name))

    def _own(self, path: int | None) -> str | None:
        found = None if path is None else Path(ctypes.string_at(path).decode())
        return found.name if found is not None and found.parent == self.directory else None

    def _open(self, vfs: int, path: int | None, file: int, flags: int, out: int) -> int:
        name = self._own(path)
        new = name is not None and not (self.directory / name).exists()
        status = int(self._real_open(vfs, path, file, flags, out))
        if status or name is None:
            return status
        if new and (self.directory / name).exists():
            self.operations.append(Operation("make", name))
            if flags & _SYNCS_ITS_DIRECTORY:
                self._syncs_directory.add(file)
        self._names[file] = name
        slot = ctypes.cast(file, ctypes.POINTER(_POINTER))
        slot[0] = ctypes.addressof(self._recording(slot[0]))
        return status

    def _recording(self, address: int) -> _Methods:
        if address in self._methods:
            return self._methods[address]
        true = _Methods.from_address(address)
        ours = _Methods.from_buffer_copy(true)
        write, truncate, sync = _WRITE(true.xWrite), _TRUNCATE(true.xTruncate), _SYNC(true.xSync)

        def on_write(file: int, data: int, size: int, offset: int) -> int:
            self.operations.append(Operation("write", self._names[file], offset, ctypes.string_at(data, size)))
            return int(write(file, data, size, offset))

        def on_truncate(file: int, size: int) -> int:
            self.operations.append(Operation("truncate", self._names[file], size=size))
            return int(truncate(file, size))

        def on_sync(file: int, flags: int) -> int:
            status = int(sync(file, flags))
            self.operations.append(Operation("sync", self._names[file]))
            if file in self._syncs_directory:
                self._syncs_directory.discard(file)
                self.operations.append(Operation("sync_directory"))
            return status

        replaced = {"xWrite": _WRITE(on_write), "xTruncate": _TRUNCATE(on_truncate), "xSync": _SYNC(on_sync)}
        for name, function in replaced.items():
            setattr(ours, name, ctypes.cast(function, _POINTER))
        self._kept += [*replaced.values(), write, truncate, sync]
        self._methods[address] = ours
        return ours

    def _delete(self, vfs: int, path: int, sync_directory: int) -> int:
        name = self._own(path)
        there = name is not None and (self.directory / name).exists()
        status = int(self._real_delete(vfs, path, sync_directory))
        if there and name is not None:
            self.operations.append(Operation("delete", name))
            if sync_directory:
                self.operations.append(Operation("sync_directory"))
        return status


@dataclass
class _Inode:
    data: bytes = b""
    pending: list[Operation] = field(default_factory=list)


@dataclass
class _Disk:
    """names: what is on the disk for sure. changes: names made (with the inode) and deleted (None) since then. seen:
    the names as the running system has them."""

    names: dict[str, _Inode]
    changes: list[tuple[str, _Inode | None]] = field(default_factory=list)
    seen: dict[str, _Inode] = field(default_factory=dict)

    def take(self, operation: Operation) -> None:
        match operation.kind:
            case "make":
                self.seen[operation.name] = inode = _Inode()
                self.changes.append((operation.name, inode))
            case "delete":
                del self.seen[operation.name]
                self.changes.append((operation.name, None))
            case "sync":
                inode = self.seen[operation.name]
                inode.data, inode.pending = _applied(inode.data, inode.pending), []
            case "sync_directory":
                self.names, self.changes = dict(self.seen), []
            case _:
                self.seen[operation.name].pending.append(operation)


def _applied(data: bytes, operations: list[Operation]) -> bytes:
    out = bytearray(data)
    for operation in operations:
        if operation.kind == "truncate":
            del out[operation.size :]
            out += bytes(operation.size - len(out))
        else:
            end = operation.offset + len(operation.data)
            out += bytes(max(0, end - len(out)))
            out[operation.offset : end] = operation.data
    return bytes(out)


def images(
    before: Image, operations: list[Operation], *, most: int, random: random_module.Random
) -> Iterator[tuple[int, Image]]:
    """Every disk that a cut may leave, with the number of operations that had happened.

    A cut is made before each sync, when most is open, and at the end: what a cut before that may leave, this one may.
    Where more than `most` choices are open at a cut, nothing, all, each one alone, all but each one, and then random
    ones are taken.
    """
    inodes = {name: _Inode(data) for name, data in before.items()}
    disk = _Disk(dict(inodes), seen=dict(inodes))
    for number in range(len(operations) + 1):
        if number:
            disk.take(operations[number - 1])
        if number < len(operations) and not operations[number].kind.startswith("sync"):
            continue
        known = set()
        for image in _images_of(disk, most, random):
            print_ = hash(tuple(sorted(image.items())))
            if print_ not in known:
                known.add(print_)
                yield number, image


def _images_of(disk: _Disk, most: int, random: random_module.Random) -> Iterator[Image]:
    alive = {id(inode): inode for inode in [*disk.names.values(), *(inode for _, inode in disk.changes if inode)]}
    # What may or may not be there, in the order in which it happened for each file.
    open_: list[tuple[str, object]] = [("name", at) for at in range(len(disk.changes))]
    open_ += [("data", (key, at)) for key, inode in alive.items() for at in range(len(inode.pending))]
    for choice, torn in _choices(len(open_), most, random):
        chosen = {what for what, kept in zip(open_, choice, strict=True) if kept}
        names = dict(disk.names)
        for at, (name, inode) in enumerate(disk.changes):
            if ("name", at) not in chosen:
                continue
            if inode is None:
                names.pop(name, None)
            else:
                names[name] = inode
        image = {}
        for name, inode in names.items():
            kept = []
            for at, operation in enumerate(inode.pending):
                what = ("data", (id(inode), at))
                if what in chosen:
                    kept.append(_torn(operation) if torn is not None and open_[torn] == what else operation)
            image[name] = _applied(inode.data, kept)
        yield image


def _torn(operation: Operation) -> Operation:
    """The first half of what was written, to the last whole sector of 512 bytes (to a byte where it has but one)."""
    half = len(operation.data) // 2
    half = half // 512 * 512 or half
    return Operation(operation.kind, operation.name, operation.offset, operation.data[:half], operation.size)


def _choices(count: int, most: int, random: random_module.Random) -> Iterator[tuple[tuple[bool, ...], int | None]]:
    everything = (True,) * count
    if 2**count <= most:
        for choice in itertools.product((False, True), repeat=count):
            yield choice, None
    else:
        yield (False,) * count, None
        yield everything, None
        for at in range(count):
            yield tuple(n == at for n in range(count)), None
            yield tuple(n != at for n in range(count)), None
        for _ in range(max(0, most - 2 * count - 2)):
            share = random.random()
            yield tuple(random.random() < share for _ in range(count)), None
    for at in range(count):
        yield everything, at


def write_image(image: Image, directory: Path) -> None:
    """Make a directory that holds just these files."""
    for path in directory.iterdir():
        if path.is_file():
            path.unlink()
    for name, data in image.items():
        (directory / name).write_bytes(data)
