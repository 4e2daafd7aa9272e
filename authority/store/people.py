"""Users and installations: who the members are and what is built where. A wallet's owner is known here alone."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from authority import typed
from authority.store.base import Base, BigInt, Name, Seconds


class User(Base):
    """A member of the market: a building's management, or a person.

    wallet is the Solana address in base58, made when the plan is read. sealed_key is the custodial wallet's seed,
    sealed under the home's wallet key (authority.enrolment.wallets), or None where the member holds its own key.
    member_index is the chain's, once registered (registered_at, Unix seconds). public users' figures may be shown: live
    where no dwelling is behind the account (a dormitory, a laboratory), and settled and late where one is, as everybody
    counts of whom nothing else was declared.

    wallet names the member for ever, also after another wallet took over: that one is signing_wallet, and sealed_key is
    its (None where it is still `wallet`). next_wallet is one that was proposed, with its sealed key where it is in
    custody. left_at is when the member left (Unix seconds): its name and building are gone then.
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name] = mapped_column(unique=True)
    building: Mapped[str] = mapped_column(String(128))
    public: Mapped[bool] = mapped_column(default=False)
    dwelling: Mapped[bool] = mapped_column(default=True)
    wallet: Mapped[str] = mapped_column(String(44), unique=True)
    sealed_key: Mapped[bytes | None]
    member_index: Mapped[int | None]
    registered_at: Mapped[Seconds | None]
    signing_wallet: Mapped[str | None] = mapped_column(String(44))
    next_wallet: Mapped[str | None] = mapped_column(String(44))
    next_sealed_key: Mapped[bytes | None]
    left_at: Mapped[Seconds | None]

    @property
    def signs_as(self) -> str:
        """The wallet that signs for the member now (base58)."""
        return self.signing_wallet or self.wallet


FORMER_MEMBER = "former member "
"""Begins what a member is called that has left, whose name is erased."""


def user_named(session: Session, name: str) -> User | None:
    """The member of this name, however it is typed; one that was kept as it is typed comes first."""
    wanted = dict.fromkeys((name, typed.line(name)))
    found = {user.name: user for user in session.scalars(select(User).where(User.name.in_(wanted)))}
    return next((found[each] for each in wanted if each in found), None)


class WalletKey(Base):
    """A key in custody besides a member's first: of the wallet that replaces it, or of the delegate that it named.

    sealed_key is as User's, sealed for this address; made_at is Unix seconds. Which key signs, the chain says.
    """

    __tablename__ = "wallet_keys"

    address: Mapped[str] = mapped_column(String(44), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    sealed_key: Mapped[bytes]
    made_at: Mapped[Seconds]


class WalletRequest(Base):
    """A wallet that a member asked for on the pages in the place of its own (authority.operations.wallet_requests).

    wallet is its address, None where the department is to keep the key (kept_here) and has not made it yet. told is
    what stands in the way, or why it was refused. due_at is from when on it may take over; moments are Unix seconds.
    """

    __tablename__ = "wallet_requests"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    wallet: Mapped[str | None] = mapped_column(String(44))
    kept_here: Mapped[bool]
    state: Mapped[Name] = mapped_column(index=True)
    told: Mapped[str] = mapped_column(String(300))
    asked_by: Mapped[Name]
    asked_at: Mapped[Seconds]
    decided_by: Mapped[Name | None]
    decided_at: Mapped[Seconds | None]
    due_at: Mapped[Seconds | None]
    ended_at: Mapped[Seconds | None]


class StatusRequest(Base):
    """That a member is suspended or active again, as an operator asked on the pages (authority.operations.suspensions).

    status is what it is to be, reason why; told is what stands in the way. Moments are Unix seconds.
    """

    __tablename__ = "status_requests"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    status: Mapped[Name]
    reason: Mapped[str] = mapped_column(String(200))
    state: Mapped[Name] = mapped_column(index=True)
    told: Mapped[str] = mapped_column(String(300))
    asked_by: Mapped[Name]
    asked_at: Mapped[Seconds]
    ended_at: Mapped[Seconds | None]


class Installation(Base):
    """A generator, battery or connection: nameplate in W and storage in Wh, which readings are checked against.

    n is its number on the chain; since is Unix seconds of its first day; registered_at is when it was put on the chain.
    The staged figures hold from the epoch staged_from on; None where nothing is staged.
    """

    __tablename__ = "installations"

    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    building: Mapped[str] = mapped_column(String(128))
    kind: Mapped[Name]
    nameplate_w: Mapped[BigInt]
    storage_wh: Mapped[BigInt]
    since: Mapped[Seconds]
    registered_at: Mapped[Seconds | None]
    staged_nameplate_w: Mapped[BigInt | None]
    staged_storage_wh: Mapped[BigInt | None]
    staged_from: Mapped[BigInt | None]
