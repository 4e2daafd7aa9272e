"""All that an audit needs in one file, for whoever checks it years later without home or chain.

A bundle is a zip archive whose members are stored as they are (not compressed), with a seal at its very end:

| member | content |
|---|---|
| `leaves` | each leaf: length u32, the leaf, its hash (32 bytes) |
| `checkpoints` | the signed ones, by size: size u64, root (32), signature (64), time i64 (of an `AML1`, else -1) |
| `accounts` | the chain's accounts (authority.audit.chain_state); not where the log alone was exported |
| `history` | what the programs logged (authority.audit.history); likewise |
| `idl/NAME.json` | the IDLs by which the history is read |
| `manifest.json` | network id, receipt key, the log's size and root, the chain's time, hashes of members and programs |

The seal is the archive's comment: 64 bytes, the receipt key's signature over SHA-256 of `AMB1` and of all bytes of the
file before it.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.audit.chain_state import ChainState
from authority.audit.history import Landed, read_landed
from authority.audit.verify import Audit, ChainSource, LogSource
from authority.chain.artifacts import PROGRAM_NAMES, idl_path
from authority.chain.errors import ChainError
from authority.chain.idl import Idl
from authority.errors import AuthorityError
from authority.log import merkle
from authority.log.log import Leaf, SignedCheckpoint
from edge_agent.wire.canonical import canonical_json

SEAL_MAGIC = b"AMB1"
SEAL_SIZE = 64
CHUNK = 1 << 20
MAX_LEAF = 1 << 24
_LENGTH = struct.Struct("<I")
_CHECKPOINT = struct.Struct("<Q32s64sq")
_LOCAL_HEADER = struct.Struct("<26xHH")
_MOMENT = (1980, 1, 1, 0, 0, 0)


class BundleError(AuthorityError):
    """The file cannot be read or written, or is not a bundle."""

    code = "bundle_unreadable"


# Writing


@dataclass(frozen=True)
class Identity:
    """Whose log it is: network id (8 bytes), and the receipt key that seals the bundle."""

    network_id: bytes
    receipt_key: Keypair


def write_bundle(
    path: Path, identity: Identity, source: LogSource, chain: ChainSource | None, programs: Mapping[str, str]
) -> dict[str, Any]:
    """Write a bundle; its manifest. programs are the SHA-256 (hex) of the programs on the chain. BundleError."""
    temporary = path.with_name(f"{path.name}.new")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            manifest = _write_members(archive, identity, source, chain, programs)
            archive.comment = bytes(SEAL_SIZE)
        with temporary.open("r+b") as file:
            digest = _digest(file, temporary.stat().st_size - SEAL_SIZE)
            file.seek(-SEAL_SIZE, 2)
            file.write(bytes(identity.receipt_key.sign_message(digest)))
        temporary.replace(path)
    except OSError as error:
        raise BundleError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return manifest


def _write_members(
    archive: zipfile.ZipFile,
    identity: Identity,
    source: LogSource,
    chain: ChainSource | None,
    programs: Mapping[str, str],
) -> dict[str, Any]:
    members = {
        "leaves": _write(archive, "leaves", _leaf_bytes(source)),
        "checkpoints": _write(archive, "checkpoints", map(_checkpoint_bytes, source.checkpoints())),
    }
    if chain is not None:
        members["accounts"] = _write(archive, "accounts", [chain.state.to_bytes()])
        members["history"] = _write(archive, "history", (landed.to_bytes() for landed in chain.history))
        for name in PROGRAM_NAMES:
            members[f"idl/{name}.json"] = _write(archive, f"idl/{name}.json", [idl_path(name).read_bytes()])
    manifest: dict[str, Any] = {
        "chain_time": None if chain is None else chain.state.now,
        "entries": source.size(),
        "members": members,
        "network_id": identity.network_id.hex(),
        "programs": dict(programs),
        "receipt_key": bytes(identity.receipt_key.pubkey()).hex(),
        "root": source.root().hex(),
        "version": 1,
    }
    _write(archive, "manifest.json", [canonical_json(manifest)])
    return manifest


def _write(archive: zipfile.ZipFile, name: str, parts: Iterable[bytes]) -> str:
    """Write one member; its SHA-256 in hex."""
    digest = hashlib.sha256()
    with archive.open(zipfile.ZipInfo(name, _MOMENT), "w", force_zip64=True) as member:
        for part in parts:
            digest.update(part)
            member.write(part)
    return digest.hexdigest()


def _leaf_bytes(source: LogSource) -> Iterator[bytes]:
    for leaf in source.leaves():
        yield _LENGTH.pack(len(leaf.data)) + leaf.data + leaf.hash


def _checkpoint_bytes(checkpoint: SignedCheckpoint) -> bytes:
    time = -1 if checkpoint.time is None else checkpoint.time
    return _CHECKPOINT.pack(checkpoint.size, checkpoint.root, checkpoint.signature, time)


def _digest(file: Any, size: int) -> bytes:
    """What the seal signs: SHA-256 of the magic and the file's first `size` bytes."""
    digest = hashlib.sha256(SEAL_MAGIC)
    file.seek(0)
    while size > 0:
        chunk = file.read(min(CHUNK, size))
        digest.update(chunk)
        size -= len(chunk) or size
    return digest.digest()


# Reading


class _Member:
    """A window on the file: one member's bytes, as they lie."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file: BufferedReader = path.open("rb")
        self._file.seek(start)
        self._left = size

    def read(self, size: int) -> bytes:
        data = self._file.read(max(0, min(size, self._left)))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


class Bundle:
    """A bundle opened for an audit; a LogSource. BundleError where the file is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = {info.filename: info for info in archive.infolist()}
            self.manifest: dict[str, Any] = json.loads(self._whole("manifest.json"))
            self.network_id = bytes.fromhex(self.manifest["network_id"])
            self.receipt_key = bytes.fromhex(self.manifest["receipt_key"])
            self._size, self._root = int(self.manifest["entries"]), bytes.fromhex(self.manifest["root"])
            self._hashes = dict(self.manifest["members"])
            if len(self.network_id) != 8 or len(self.receipt_key) != 32:
                raise ValueError("the manifest's network id or key has a wrong length")
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror or error}") from error
        except (zipfile.BadZipFile, KeyError, TypeError, ValueError, NotImplementedError, RecursionError) as error:
            raise BundleError(f"{path} is not a bundle, or a damaged one: {error!r}") from error

    def _open(self, name: str) -> _Member:
        info = self._members.get(name)
        if info is None:
            raise BundleError(f"{self.path} has no member {name}")
        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            head = file.read(_LOCAL_HEADER.size)
        if len(head) != _LOCAL_HEADER.size:
            raise BundleError(f"{name} of {self.path} lies outside the file")
        name_size, extra_size = _LOCAL_HEADER.unpack(head)
        return _Member(self.path, info.header_offset + _LOCAL_HEADER.size + name_size + extra_size, info.file_size)

    def _whole(self, name: str) -> bytes:
        member = self._open(name)
        try:
            return member.read(self._members[name].file_size)
        finally:
            member.close()

    def size(self) -> int:
        """How many leaves the manifest says."""
        return self._size

    def root(self) -> bytes:
        """The root that the manifest says."""
        return self._root

    def leaves(self) -> Iterator[Leaf]:
        """The leaves, in order; BundleError where one is cut short."""
        member = self._open("leaves")
        try:
            index = 0
            while head := member.read(_LENGTH.size):
                size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else MAX_LEAF + 1
                data = member.read(size) if size <= MAX_LEAF else b""
                digest = member.read(merkle.HASH_SIZE)
                if len(data) != size or len(digest) != merkle.HASH_SIZE:
                    raise BundleError(f"leaf {index} of {self.path} is cut short")
                yield Leaf(index, data, digest)
                index += 1
        finally:
            member.close()

    def checkpoints(self) -> Iterator[SignedCheckpoint]:
        """The signed checkpoints, by size; BundleError where one is cut short."""
        member = self._open("checkpoints")
        try:
            while raw := member.read(_CHECKPOINT.size):
                if len(raw) != _CHECKPOINT.size:
                    raise BundleError(f"the checkpoints of {self.path} are cut short")
                size, root, signature, time = _CHECKPOINT.unpack(raw)
                yield SignedCheckpoint(self.network_id, size, root, signature, None if time == -1 else time)
        finally:
            member.close()

    def chain(self) -> ChainSource | None:
        """The chain as it was; None where the log alone was exported. AuthorityError where it cannot be read."""
        if "accounts" not in self._members:
            return None
        idls = {name: Idl(json.loads(self._whole(f"idl/{name}.json"))) for name in PROGRAM_NAMES}
        state = ChainState.from_bytes(int(self.manifest["chain_time"]), self._whole("accounts"))
        return ChainSource(state, self._history(), idls)

    def _history(self) -> Iterator[Landed]:
        member = self._open("history")
        try:
            yield from read_landed(member)
        finally:
            member.close()

    def broken(self) -> Iterator[tuple[str, str]]:
        """What is not as it was sealed: where, and what was found."""
        with self.path.open("rb") as file:
            size = self.path.stat().st_size - SEAL_SIZE
            digest = _digest(file, size)
            file.seek(max(0, size))
            seal = file.read(SEAL_SIZE)
        if len(seal) == SEAL_SIZE and Signature(seal).verify(Pubkey(self.receipt_key), digest):
            return
        yield str(self.path.name), f"the seal of the receipt key {self.receipt_key.hex()} does not verify"
        for name, expected in self._hashes.items():
            if name not in self._members:
                yield name, "is missing"
            elif self._hash(name) != expected:
                yield name, "is not what the manifest says: its bytes were changed"

    def _hash(self, name: str) -> str:
        digest = hashlib.sha256()
        try:
            member = self._open(name)
        except BundleError:
            return ""
        while chunk := member.read(CHUNK):
            digest.update(chunk)
        member.close()
        return digest.hexdigest()


def audit_bundle(path: Path, *, key: bytes | None = None, log_only: bool = False) -> Audit:
    """Audit a bundle; key is the receipt key to be believed (default: the bundle's own). BundleError."""
    bundle = Bundle(path)
    audit = Audit(bundle.network_id, bundle.receipt_key)
    if key is not None and key != bundle.receipt_key:
        audit.find(
            "bundle_key", path.name, f"is sealed by the receipt key {bundle.receipt_key.hex()}, not the given one"
        )
    for where, message in bundle.broken():
        audit.find("bundle_changed", where, message)
    try:
        audit.run(bundle, None if log_only else bundle.chain())
    except (AuthorityError, ChainError, ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        # Only where its bytes were changed: the audit goes as far as they can be read.
        if not audit.findings:
            raise
        audit.find("bundle_unreadable", path.name, f"cannot be audited to the end: {error!r}")
    return audit
