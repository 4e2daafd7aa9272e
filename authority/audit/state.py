"""What an audit carries over to the next: a file of the auditor's own, so that each audit does the new part alone.

`AMS2`, the SHA-256 of what follows, the network id (8 bytes), the receipt key (32), and the progress as Python pickles
it, of known types alone. Whoever can write the file decides what is believed of the past: keep it as you
keep the checkpoints of a witness.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from enum import IntEnum
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey

from authority.audit.verify import Progress
from authority.chain.layout import Code
from authority.errors import AuthorityError
from edge_agent.wire.files import write_atomically

MAGIC = b"AMS2"
HASH_SIZE, NETWORK_SIZE, KEY_SIZE = 32, 8, 32
_HEAD = len(MAGIC) + HASH_SIZE
_KNOWN = {
    "authority.audit.acts": {"Acts", "_Done", "_Said"},
    "authority.audit.books": {"Book"},
    "authority.audit.money": {"Money", "_Market", "_Retired", "_Seats", "_Withdrawn"},
    "authority.audit.reading": {"Reading"},
    "authority.audit.registers": {"Registers", "_Installed", "_Member", "_Registered", "_Size"},
    "authority.audit.replay": {"Replay", "_Member", "_Meter"},
    "authority.audit.state": {"_pubkey"},
    "authority.audit.terms": {"Governed", "Period", "Terms"},
    "authority.audit.verify": {"Progress", "_Key"},
    "authority.billing.bill": {"LoggedAct"},
    "authority.billing.facts": {"CreditMoved", "Facts", "Retirement", "Withdrawal"},
    "authority.billing.recompute": {"LeafEvidence", "Recomputation"},
    "authority.log.restoration": {"Restorations", "Restored", "WentBack"},
    "authority.chain.accounts": {
        "Asset",
        "BookStatus",
        "EpochBook",
        "InstallationKind",
        "MeterRole",
        "Order",
        "Place",
        "Reason",
        "Source",
        "Status",
        "UserRole",
    },
    "builtins": {"frozenset", "int"},
    "array": {"_array_reconstructor", "array"},
    "collections": {"Counter"},
}
"""What may be in a state, by module."""


class StateError(AuthorityError):
    """The file that an audit goes on from is not one, is damaged, or belongs to another log or release."""

    code = "state_unusable"


class _Writer(pickle.Pickler):
    """Writes addresses as their bytes, and the codes of events, whose types are made of the IDL, as numbers.

    Other codes are written by their number too: releases of Python differ in how they pickle an enum by themselves
    (3.11.2, Debian 12's, by `getattr` and the name), and a state outlives an upgrade of the host.
    """

    def reducer_override(self, value: object) -> Any:
        """How an address or a code is made again; everything else as usual."""
        if isinstance(value, Pubkey):
            return _pubkey, (bytes(value),)
        if isinstance(value, IntEnum):
            return type(value) if isinstance(value, Code) else int, (int(value),)
        return NotImplemented


def _pubkey(value: bytes) -> Pubkey:
    return Pubkey(value)


class _Reader(pickle.Unpickler):
    """Reads the types that are known, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """A type that may be in a state."""
        if name not in _KNOWN.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} has no place in it")
        return super().find_class(module, name)


def to_bytes(progress: Progress) -> bytes:
    """A progress as the file keeps it."""
    written = io.BytesIO()
    _Writer(written, protocol=5).dump(progress)
    return written.getvalue()


def save(path: Path, kept: bytes, network_id: bytes, receipt_key: bytes) -> None:
    """Write what `to_bytes` made; StateError where that cannot be."""
    body = network_id + receipt_key + kept
    try:
        write_atomically(path, MAGIC + hashlib.sha256(body).digest() + body)
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror or error}") from error


def load(path: Path, network_id: bytes, receipt_key: bytes) -> Progress | None:
    """The progress in a file, None where there is no such file; StateError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror or error}") from error
    again = "remove it, and the next audit does all of the history again"
    body = data[_HEAD:]
    if data[: len(MAGIC)] != MAGIC or hashlib.sha256(body).digest() != data[len(MAGIC) : _HEAD]:
        raise StateError(f"{path} is no state of an audit, or a damaged one: {again}")
    if body[: NETWORK_SIZE + KEY_SIZE] != network_id + receipt_key:
        raise StateError(f"{path} is the state of another log's audit: name another file")
    try:
        progress = _Reader(io.BytesIO(body[NETWORK_SIZE + KEY_SIZE :])).load()
    except (pickle.UnpicklingError, AttributeError, ImportError, IndexError, EOFError, TypeError, KeyError) as error:
        raise StateError(f"{path} is of another version ({error}): {again}") from error
    if not isinstance(progress, Progress):
        raise StateError(f"{path} is no state of an audit: {again}")
    return progress
