"""Users and installations: who the members are and what is built where. A wallet's owner is known here alone."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from authority.store.base import Base, BigInt, Name, Seconds


class User(Base):
    """A member of the market: a building's management, or a person.

    wallet is the Solana address in base58, made when the plan is read. sealed_key is the custodial wallet's seed,
    sealed under the home's wallet key (authority.enrolment.wallets), or None where the member holds its own key.
    member_index is the chain's, once registered (registered_at, Unix seconds). public users' figures may be shown.
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name] = mapped_column(unique=True)
    building: Mapped[str] = mapped_column(String(128))
    public: Mapped[bool] = mapped_column(default=False)
    wallet: Mapped[str] = mapped_column(String(44), unique=True)
    sealed_key: Mapped[bytes | None]
    member_index: Mapped[int | None]
    registered_at: Mapped[Seconds | None]


class WalletKey(Base):
    """A key in custody besides a member's first: of the wallet that replaces it, or of the delegate that it named.

    sealed_key is as User's, sealed for this address; made_at is Unix seconds. Which key signs, the chain says.
    """

    __tablename__ = "wallet_keys"

    address: Mapped[str] = mapped_column(String(44), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    sealed_key: Mapped[bytes]
    made_at: Mapped[Seconds]


class Installation(Base):
    """A generator, battery or connection: nameplate in W and storage in Wh, which readings are checked against.

    n is its number on the chain; since is Unix seconds of its first day; registered_at is when it was put on the chain.
    """

    __tablename__ = "installations"

    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    building: Mapped[str] = mapped_column(String(128))
    kind: Mapped[Name]
    nameplate_w: Mapped[BigInt]
    storage_wh: Mapped[BigInt]
    since: Mapped[Seconds]
    registered_at: Mapped[Seconds | None]
