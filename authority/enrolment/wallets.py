"""Members' custodial wallets: Solana keys made here and sealed at rest under the home's wallet key.

Sealed: version 1 (1 byte), nonce (12), AES-256-GCM of the 32-byte seed with its tag (48); the wallet's address is the
associated data, so a sealed key cannot be moved to another member's row.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.errors import AuthorityError
from authority.home.home import Home
from authority.store.people import User

_VERSION = b"\x01"
_NONCE_SIZE = 12
_SEALED_SIZE = 1 + _NONCE_SIZE + 32 + 16


class WalletError(AuthorityError):
    """A wallet with which the authority cannot sign."""


class NotCustodialError(WalletError):
    """The member holds its own key."""

    code = "not_custodial"


class WalletSealError(WalletError):
    """The wallet's seal does not open: another wallet key, or a changed row."""

    code = "seal_broken"


def make(wallet_key: bytes, random: Callable[[int], bytes]) -> tuple[str, bytes]:
    """A fresh wallet: its address (base58) and its sealed seed."""
    seed = random(32)
    address = Keypair.from_seed(seed).pubkey()
    nonce = random(_NONCE_SIZE)
    return str(address), _VERSION + nonce + AESGCM(wallet_key).encrypt(nonce, seed, bytes(address))


def unseal(home: Home, user: User) -> Keypair:
    """The member's key, to sign for it; WalletError."""
    if user.sealed_key is None:
        raise NotCustodialError(f"{user.name} holds its own key: it signs, or names a delegate")
    address = Pubkey.from_string(user.wallet)
    sealed = user.sealed_key
    try:
        if len(sealed) != _SEALED_SIZE or sealed[:1] != _VERSION:
            raise InvalidTag
        seed = AESGCM(home.wallet_key).decrypt(sealed[1 : 1 + _NONCE_SIZE], sealed[1 + _NONCE_SIZE :], bytes(address))
    except InvalidTag as error:
        raise WalletSealError(
            f"the sealed key of {user.name} does not open; restore keys/wallets.key and the store of one backup",
        ) from error
    return Keypair.from_seed(seed)
