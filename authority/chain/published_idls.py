"""The IDLs where clients look for them on the chain: two accounts for each program.

- Program Metadata's canonical account, seed `idl`: what Anchor reads from release 1.0 on, and explorers. It holds the
  IDL of specification 0.1.0. Layout: solana-program/program-metadata, clients/js/src/generated/accounts/metadata.ts.
- The account at the seed `anchor:idl`, the program's own: what anchorpy and Anchor before 1.0 read. It holds the IDL in
  the older form, which is the one that anchorpy can read.

They stand in a ledger from its genesis: the embedded validator puts them there, `authority idl` writes them for Agave.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import dataclass

from solders.pubkey import Pubkey

from authority.chain.artifacts import PROGRAM_NAMES, idl_path, legacy_idl_path
from authority.chain.programs import PROGRAM_IDS

PROGRAM_METADATA = Pubkey.from_string("ProgM6JCCvbYkfKqJYHePx4xxSUSqJp7rh8Lyv7nk7S")

_METADATA = struct.Struct("<B32s32sBB16sBBBBI5x")
_IS_METADATA, _UTF8, _ZLIB, _JSON, _DIRECT = 2, 1, 2, 1, 0
_ANCHOR_HEAD = hashlib.sha256(b"internal:IdlAccount").digest()[:8]


@dataclass(frozen=True)
class PublishedIdl:
    """An account that holds a program's IDL."""

    program: Pubkey
    address: Pubkey
    owner: Pubkey
    data: bytes


def published_idls(authority: Pubkey) -> list[PublishedIdl]:
    """Both accounts of each program; `authority` is its upgrade authority. ArtifactError where an IDL is missing."""
    found = []
    for name in PROGRAM_NAMES:
        program = PROGRAM_IDS[name]
        idl, legacy = (_packed(path.read_bytes()) for path in (idl_path(name), legacy_idl_path(name)))
        found.append(PublishedIdl(program, metadata_address(program), PROGRAM_METADATA, metadata(program, idl)))
        found.append(PublishedIdl(program, anchor_address(program), program, anchor_account(authority, legacy)))
    return found


def metadata_address(program: Pubkey) -> Pubkey:
    """Program Metadata's canonical account of a program's IDL."""
    return Pubkey.find_program_address([bytes(program), b"", b"idl".ljust(16, b"\0")], PROGRAM_METADATA)[0]


def metadata(program: Pubkey, packed: bytes) -> bytes:
    """A canonical, mutable metadata account with zlib's packed JSON: 96 bytes of header, then the data.

    Kind (2), program, authority (none: the upgrade authority's), mutable, canonical, seed, encoding, compression,
    format, source, the data's length, padding.
    """
    head = (_IS_METADATA, bytes(program), bytes(32), 1, 1, b"idl", _UTF8, _ZLIB, _JSON, _DIRECT, len(packed))
    return _METADATA.pack(*head) + packed


def anchor_address(program: Pubkey) -> Pubkey:
    """The account of the program itself that Anchor before 1.0 keeps its IDL in."""
    return Pubkey.create_with_seed(Pubkey.find_program_address([], program)[0], "anchor:idl", program)


def anchor_account(authority: Pubkey, packed: bytes) -> bytes:
    """Anchor's IdlAccount: discriminator (8 bytes), authority, the data's length (u32), zlib's packed JSON."""
    return _ANCHOR_HEAD + bytes(authority) + struct.pack("<I", len(packed)) + packed


def _packed(idl: bytes) -> bytes:
    return zlib.compress(json.dumps(json.loads(idl), separators=(",", ":"), ensure_ascii=False).encode(), 9)
