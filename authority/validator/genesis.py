"""The first state of a ledger: the upgradeable programs, the funded accounts, and the secret seed."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

UPGRADEABLE_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
SYSTEM_PROGRAM = Pubkey.default()
FAUCET_LAMPORTS = 500_000_000 * 1_000_000_000
"""What the faucet starts with: 500 million SOL, as Agave's test validator has it."""

PROGRAM_SIZE = 36
PROGRAM_DATA_HEADER_SIZE = 45


@dataclass(frozen=True)
class GenesisProgram:
    """An upgradeable program that stands in the ledger from the first slot on."""

    address: Pubkey
    elf: bytes
    upgrade_authority: Pubkey | None

    @classmethod
    def from_file(cls, address: Pubkey, path: Path, upgrade_authority: Pubkey | None) -> GenesisProgram:
        """Read the ELF from a file."""
        return cls(address, path.read_bytes(), upgrade_authority)


@dataclass(frozen=True)
class GenesisDescription:
    """An account that describes a program to clients, such as its IDL; as old as the program is."""

    program: Pubkey
    address: Pubkey
    owner: Pubkey
    data: bytes


@dataclass(frozen=True)
class Genesis:
    """What a new ledger starts with. `balances` are lamports by address."""

    programs: tuple[GenesisProgram, ...] = ()
    balances: Mapping[Pubkey, int] = field(default_factory=dict)
    descriptions: tuple[GenesisDescription, ...] = ()

    def accounts(self, faucet: Pubkey, rent: Callable[[int], int]) -> Iterator[tuple[Pubkey, Account]]:
        """The accounts; `rent` gives the lamports that make so many bytes rent exempt."""
        yield faucet, Account(FAUCET_LAMPORTS, b"", SYSTEM_PROGRAM)
        for address, lamports in self.balances.items():
            yield address, Account(lamports, b"", SYSTEM_PROGRAM)
        for program in self.programs:
            data_address = program_data_address(program.address)
            data = program_data_header(0, program.upgrade_authority) + program.elf
            yield data_address, Account(rent(len(data)), data, UPGRADEABLE_LOADER)
            pointer = struct.pack("<I", 2) + bytes(data_address)
            yield program.address, Account(rent(PROGRAM_SIZE), pointer, UPGRADEABLE_LOADER, executable=True)
        for description in self.descriptions:
            data = description.data
            yield description.address, Account(rent(len(data)), data, description.owner)


def program_data_address(program: Pubkey) -> Pubkey:
    """Where an upgradeable program's ELF and upgrade authority are kept."""
    return Pubkey.find_program_address([bytes(program)], UPGRADEABLE_LOADER)[0]


def program_data_header(slot: int, upgrade_authority: Pubkey | None) -> bytes:
    """A ProgramData account before its ELF: tag 3, slot of the last deployment, upgrade authority. 45 bytes."""
    some = b"\0" * 33 if upgrade_authority is None else b"\1" + bytes(upgrade_authority)
    return struct.pack("<IQ", 3, slot) + some


def faucet_keypair(seed: bytes) -> Keypair:
    """The key behind requestAirdrop, which this ledger alone has."""
    return _derived(seed, b"faucet")


def identity_keypair(seed: bytes) -> Keypair:
    """The key that names this validator."""
    return _derived(seed, b"identity")


def _derived(seed: bytes, purpose: bytes) -> Keypair:
    return Keypair.from_seed(hashlib.sha256(seed + purpose).digest())
