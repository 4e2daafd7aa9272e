"""Where things are on the chain: program ids, addresses derived from seeds, and instructions of Solana's own programs.

Seeds are those of docs/ARCHITECTURE.md; integers in them are little-endian. Every address here is a pure function of
its arguments, so all of them are remembered.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from authority.chain.accounts import BOOKS
from edge_agent.wire.reading import PUBLIC_KEY_SIZE, SIGNATURE_SIZE, Frame

PROGRAM_IDS: Final[Mapping[str, Pubkey]] = {
    "governance": Pubkey.from_string("CampusGovernance1111111111111111111111111111"),
    "registry": Pubkey.from_string("CampusRegistry111111111111111111111111111111"),
    "energy_token": Pubkey.from_string("CampusEnergyToken111111111111111111111111111"),
    "oracle": Pubkey.from_string("Campusorac1e11111111111111111111111111111111"),
    "trading": Pubkey.from_string("CampusTrading1111111111111111111111111111111"),
}
"""The five programs. The ids are names: nobody holds a key of them."""

SYSTEM_PROGRAM: Final = Pubkey.default()
TOKEN_PROGRAM: Final = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ASSOCIATED_TOKEN_PROGRAM: Final = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
ED25519_PROGRAM: Final = Pubkey.from_string("Ed25519SigVerify111111111111111111111111111")
LOOKUP_TABLE_PROGRAM: Final = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
UPGRADEABLE_LOADER: Final = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
INSTRUCTIONS_SYSVAR: Final = Pubkey.from_string("Sysvar1nstructions1111111111111111111111111")
CLOCK_SYSVAR: Final = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")

_THIS_INSTRUCTION = 0xFFFF
_TRANSFER_CHECKED = 12
"""Its number among SPL Token's instructions."""
_OFFSETS = struct.Struct("<7H")


@lru_cache(maxsize=65_536)
def _derive(program: Pubkey, *seeds: bytes) -> Pubkey:
    return Pubkey.find_program_address(seeds, program)[0]


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


# governance, registry


def config_address() -> Pubkey:
    """governance's Config."""
    return _derive(PROGRAM_IDS["governance"], b"config")


def registry_address() -> Pubkey:
    """registry's Registry."""
    return _derive(PROGRAM_IDS["registry"], b"registry")


def key_use_address(public_key: bytes) -> Pubkey:
    """The KeyUse of a meter's public key (32 bytes)."""
    return _derive(PROGRAM_IDS["registry"], b"key", public_key)


def user_address(wallet: Pubkey) -> Pubkey:
    """The User of a wallet."""
    return _derive(PROGRAM_IDS["registry"], b"user", bytes(wallet))


def installation_address(number: int) -> Pubkey:
    """The Installation with this number."""
    return _derive(PROGRAM_IDS["registry"], b"installation", _u32(number))


def meter_address(meter_id: bytes) -> Pubkey:
    """The Meter with this id (32 bytes)."""
    return _derive(PROGRAM_IDS["registry"], b"meter", meter_id)


# energy_token, oracle


def energy_mint() -> Pubkey:
    """The energy token's mint: 3 decimals, 1 token = 1 kWh."""
    return _derive(PROGRAM_IDS["energy_token"], b"energy_mint")


def credit_mint() -> Pubkey:
    """The campus credit's mint: 6 decimals."""
    return _derive(PROGRAM_IDS["energy_token"], b"credit_mint")


def mint_authority() -> Pubkey:
    """The address that both mints obey."""
    return _derive(PROGRAM_IDS["energy_token"], b"mint_authority")


def retirement_address(wallet: Pubkey) -> Pubkey:
    """The Retirement of a wallet."""
    return _derive(PROGRAM_IDS["energy_token"], b"retired", bytes(wallet))


def oracle_authority() -> Pubkey:
    """The address that signs the oracle's calls to energy_token and trading."""
    return _derive(PROGRAM_IDS["oracle"], b"oracle")


def meter_state_address(meter_id: bytes) -> Pubkey:
    """The MeterState of a meter id (32 bytes)."""
    return _derive(PROGRAM_IDS["oracle"], b"state", meter_id)


def energy_account_address(wallet: Pubkey) -> Pubkey:
    """The EnergyAccount of a wallet."""
    return _derive(PROGRAM_IDS["oracle"], b"energy", bytes(wallet))


def checkpoint_address(epoch: int) -> Pubkey:
    """The EpochCheckpoint of an epoch."""
    return _derive(PROGRAM_IDS["oracle"], b"epoch", _u32(epoch))


# trading


def market_address() -> Pubkey:
    """trading's Market, which owns the vaults."""
    return _derive(PROGRAM_IDS["trading"], b"market")


def energy_vault() -> Pubkey:
    """The market's energy tokens: what is in seats, and what asks have locked."""
    return _derive(PROGRAM_IDS["trading"], b"energy_vault")


def credit_vault() -> Pubkey:
    """The market's credits: what is in seats, what bids have locked, and fees."""
    return _derive(PROGRAM_IDS["trading"], b"credit_vault")


def seats_address() -> Pubkey:
    """trading's Seats: what every member has in the market."""
    return _derive(PROGRAM_IDS["trading"], b"seats")


def book_slot(epoch: int) -> int:
    """The place of an epoch's book in the ring."""
    return epoch % BOOKS


def book_at_slot(slot: int) -> Pubkey:
    """The EpochBook at a place in the ring."""
    return _derive(PROGRAM_IDS["trading"], b"book", bytes([slot]))


def book_address(epoch: int) -> Pubkey:
    """Where an epoch's book lies, as long as no later epoch has taken its place."""
    return book_at_slot(book_slot(epoch))


# Solana's own programs


@lru_cache(maxsize=1)
def common_accounts() -> Mapping[str, Pubkey]:
    """Addresses that many transactions name, by their names in the IDLs: what every lookup table begins with."""
    return {
        "config": config_address(),
        "registry": registry_address(),
        "oracle": oracle_authority(),
        "market": market_address(),
        "seats": seats_address(),
        "energy_vault": energy_vault(),
        "credit_vault": credit_vault(),
        "energy_mint": energy_mint(),
        "credit_mint": credit_mint(),
        "mint_authority": mint_authority(),
        "instructions": INSTRUCTIONS_SYSVAR,
        "token_program": TOKEN_PROGRAM,
        "system_program": SYSTEM_PROGRAM,
        "energy_token_program": PROGRAM_IDS["energy_token"],
        "trading_program": PROGRAM_IDS["trading"],
    }


def program_data_address(program: Pubkey) -> Pubkey:
    """Where an upgradeable program's ELF and upgrade authority are kept."""
    return _derive(UPGRADEABLE_LOADER, bytes(program))


def associated_token_address(owner: Pubkey, mint: Pubkey) -> Pubkey:
    """The associated token account of an owner for a mint of SPL Token."""
    return _derive(ASSOCIATED_TOKEN_PROGRAM, bytes(owner), bytes(TOKEN_PROGRAM), bytes(mint))


def create_associated_token_account(payer: Pubkey, owner: Pubkey, mint: Pubkey) -> Instruction:
    """Make an owner's associated token account, or do nothing where it is there; the payer signs and pays the rent."""
    return Instruction(
        ASSOCIATED_TOKEN_PROGRAM,
        b"\x01",
        [
            AccountMeta(payer, is_signer=True, is_writable=True),
            AccountMeta(associated_token_address(owner, mint), is_signer=False, is_writable=True),
            AccountMeta(owner, is_signer=False, is_writable=False),
            AccountMeta(mint, is_signer=False, is_writable=False),
            AccountMeta(SYSTEM_PROGRAM, is_signer=False, is_writable=False),
            AccountMeta(TOKEN_PROGRAM, is_signer=False, is_writable=False),
        ],
    )


def transfer_checked(source: Pubkey, destination: Pubkey, owner: Pubkey, amount: int, *, energy: bool) -> Instruction:
    """SPL Token's TransferChecked of Wh or micro-credits: wallets show what it moves by the mint's decimals."""
    mint, decimals = (energy_mint(), 3) if energy else (credit_mint(), 6)
    metas = [
        AccountMeta(source, is_signer=False, is_writable=True),
        AccountMeta(mint, is_signer=False, is_writable=False),
        AccountMeta(destination, is_signer=False, is_writable=True),
        AccountMeta(owner, is_signer=True, is_writable=False),
    ]
    return Instruction(
        TOKEN_PROGRAM, bytes([_TRANSFER_CHECKED]) + amount.to_bytes(8, "little") + bytes([decimals]), metas
    )


def ed25519_instruction(signed: Sequence[tuple[bytes, bytes, bytes]]) -> Instruction:
    """The precompile's instruction over (message, public key, signature) triples, in the one layout that programs take.

    count u8 | zero u8 | count x 14 bytes of offsets | count x (message | public key | signature), with every
    instruction index 0xFFFF. ValueError for none, more than 255, or a key or signature of a wrong length.
    """
    if not 1 <= len(signed) <= 255:
        raise ValueError(f"the precompile takes 1 to 255 signatures, these are {len(signed)}")
    offset = 2 + _OFFSETS.size * len(signed)
    table, body = bytearray([len(signed), 0]), bytearray()
    for message, public_key, signature in signed:
        if (len(public_key), len(signature)) != (PUBLIC_KEY_SIZE, SIGNATURE_SIZE):
            raise ValueError(
                f"a key has 32 bytes and a signature 64, these have {len(public_key)} and {len(signature)}"
            )
        key_at = offset + len(message)
        signature_at = key_at + PUBLIC_KEY_SIZE
        here = _THIS_INSTRUCTION
        table += _OFFSETS.pack(signature_at, here, key_at, here, offset, len(message), here)
        body += message + public_key + signature
        offset = signature_at + SIGNATURE_SIZE
    return Instruction(ED25519_PROGRAM, bytes(table + body), [])


def ed25519_frames(frames: Iterable[Frame]) -> Instruction:
    """The precompile's instruction over signed readings, for the one before submit_readings."""
    return ed25519_instruction([(frame.record_bytes, frame.public_key, frame.signature) for frame in frames])
