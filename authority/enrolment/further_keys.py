"""Keys that a member has in custody besides its first: its next wallet, proposed and put to use, and a delegate's.

A wallet is replaced in two steps with a day of epochs between them (programs/registry, propose_wallet and
replace_wallet). Settlement signs with whichever key the chain says.
"""

from __future__ import annotations

from collections.abc import Callable

from solders.pubkey import Pubkey
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.enrolment import wallets
from authority.errors import AuthorityError
from authority.log import log
from authority.store.people import User


class MemberUnknownError(AuthorityError):
    """No member on the chain has that name."""

    code = "member_unknown"


class NothingProposedError(AuthorityError):
    """There is no next wallet to put to use."""

    code = "nothing_proposed"


def make(app: App, name: str, *, actor: str, random: Callable[[int], bytes]) -> str:
    """Make a key for a member into custody, for it to name as its delegate; its address. Logged."""
    with app.store.write() as session:
        user = _member(session, name)
        address = wallets.add(session, app.home, user, random, app.clock())
        log.record_act(session, "wallet_key_made", actor, app.clock(), {"key": address, "wallet": user.wallet})
    return address


def propose(app: App, client: ChainClient, name: str, *, actor: str, random: Callable[[int], bytes]) -> tuple[str, int]:
    """Make a member's next wallet into custody and propose it; its address, and the epoch from which it can be used."""
    address = make(app, name, actor=actor, random=random)
    with app.store.read() as session:
        member = Pubkey.from_string(_member(session, name).wallet)
    given = {"operator": app.home.operator.pubkey(), "user": programs.user_address(member)}
    instruction = client.instruction("registry", "propose_wallet", {"next": Pubkey.from_string(address)}, given)
    signature = client.send([instruction], [], payer=app.home.operator)
    _note(app, "wallet_proposed", actor, {"next": address, "signature": str(signature), "wallet": str(member)})
    return address, _account(client, member).next_wallet_from


def take_over(app: App, client: ChainClient, name: str, *, actor: str) -> str:
    """Put a member's proposed wallet to use, once its time has come; the wallet. ProgramError before that."""
    with app.store.read() as session:
        member = Pubkey.from_string(_member(session, name).wallet)
    account = _account(client, member)
    if not account.next_wallet_from:
        raise NothingProposedError(f"no other wallet is proposed for {name}; first: authority enrol wallet {name}")
    wallet = account.next_wallet
    given = {
        "operator": app.home.operator.pubkey(),
        "user": programs.user_address(member),
        "wallet": wallet,
        "wallet_use": programs.user_address(wallet),
        "energy_token_account": programs.associated_token_address(wallet, programs.energy_mint()),
        "credit_token_account": programs.associated_token_address(wallet, programs.credit_mint()),
    }
    signature = client.send([client.instruction("registry", "replace_wallet", {}, given)], [], payer=app.home.operator)
    data: dict[str, object] = {
        "after": str(wallet),
        "before": str(account.wallet),
        "signature": str(signature),
        "wallet": str(member),
    }
    _note(app, "wallet_replaced", actor, data)
    return str(wallet)


def _member(session: Session, name: str) -> User:
    user = session.scalar(select(User).where(User.name == name, User.registered_at.is_not(None)))
    if user is None:
        raise MemberUnknownError(f"no member on the chain is called {name!r}: look at the campus plan")
    return user


def _account(client: ChainClient, member: Pubkey) -> accounts.User:
    account = client.account(accounts.User, programs.user_address(member))
    if account is None:
        raise MemberUnknownError(f"{member} is not on this chain; see: authority enrol register")
    return account


def _note(app: App, kind: str, actor: str, data: dict[str, object]) -> None:
    with app.store.write() as session:
        log.record_act(session, kind, actor, app.clock(), data)
