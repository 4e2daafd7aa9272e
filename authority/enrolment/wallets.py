"""Members' custodial wallets: Solana keys made here and sealed at rest under the home's wallet key.

Sealed: version 1 (1 byte), nonce (12), AES-256-GCM of the 32-byte seed with its tag (48); the wallet's address is the
associated data, so a sealed key cannot be moved to another member's row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.chain import accounts
from authority.errors import AuthorityError
from authority.home.home import Home
from authority.store.people import User, WalletKey

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


class Custodial(Protocol):
    """A key that may be in custody: whose it is, its address (base58), and its sealed seed."""

    @property
    def name(self) -> str:
        """The member's."""

    @property
    def signs_as(self) -> str:
        """The key's address (base58)."""

    @property
    def sealed_key(self) -> bytes | None:
        """None where it is not in custody."""


class Sealed(NamedTuple):
    """A key in custody."""

    name: str
    signs_as: str
    sealed_key: bytes


_CUSTODY = (
    select(User.name, func.coalesce(User.signing_wallet, User.wallet), User.sealed_key),
    select(User.name, User.next_wallet, User.next_sealed_key),
    select(User.name, WalletKey.address, WalletKey.sealed_key).join(User, User.id == WalletKey.user_id),
)
"""Names, addresses and sealed keys: of present wallets, proposed ones, and further ones."""


def add(session: Session, home: Home, user: User, random: Callable[[int], bytes], now: int) -> str:
    """Make a further key for a member: for the wallet that is to replace its present one, or for a delegate.

    Its address, to be proposed or named on the chain; from then on settlement signs with it by itself.
    """
    address, sealed = make(home.wallet_key, random)
    session.add(WalletKey(address=address, user_id=user.id, sealed_key=sealed, made_at=now))
    return address


def custody(session: Session) -> dict[Pubkey, Sealed]:
    """All keys in custody, by their addresses: of each member's present wallet, of the one that is proposed to take
    over, and those made for delegates."""
    connection = session.connection()
    rows = [row for query in _CUSTODY for row in connection.execute(query)]
    return {
        Pubkey.from_string(wallet): Sealed(name, wallet, sealed)
        for name, wallet, sealed in rows
        if wallet is not None and sealed is not None
    }


def signs_for(session: Session, user: accounts.User, now: int) -> bool:
    """Whether a key in custody signs a member's orders: its wallet's, or its delegate's while that is in office."""
    kept = custody(session)
    return user.wallet in kept or (user.delegate in kept and now < user.delegate_until)


def make(wallet_key: bytes, random: Callable[[int], bytes]) -> tuple[str, bytes]:
    """A fresh wallet: its address (base58) and its sealed seed."""
    seed = random(32)
    address = Keypair.from_seed(seed).pubkey()
    nonce = random(_NONCE_SIZE)
    return str(address), _VERSION + nonce + AESGCM(wallet_key).encrypt(nonce, seed, bytes(address))


def unseal(home: Home, user: Custodial) -> Keypair:
    """The key, to sign for the member; WalletError."""
    if user.sealed_key is None:
        raise NotCustodialError(f"{user.name} holds its own key: it signs, or names a delegate")
    address = Pubkey.from_string(user.signs_as)
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
