"""A member gets another wallet, in two steps with the programs' delay between them, so that a thief cannot.

Proposed, it may take over 96 epochs later; until then the proposal can be taken back. Both steps may be broken off
anywhere and done again. What the old wallet holds goes into the seat before, where its key is in custody here; where it
is not, that is the old key's to move.
"""

from __future__ import annotations

import os

from solders.pubkey import Pubkey

from authority.chain import programs
from authority.enrolment import wallets
from authority.enrolment.registration import ChainDiffersError
from authority.enrolment.steps import Done
from authority.log import log
from authority.operations.chain_state import MemberOnChain
from authority.operations.desk import Desk
from authority.operations.errors import NotProposedError, WalletInvalidError
from authority.operations.members import address_of, present
from authority.operations.tokens import CREDIT, ENERGY, Holder, built
from authority.store.people import User

DELAY_EPOCHS = 96
"""How long after its proposal a wallet takes over, at the earliest: the registry's WALLET_DELAY_EPOCHS."""


def propose(desk: Desk, name: str, to: str | None = None) -> Done:
    """Propose the wallet `to`, or (None) a new one whose key is made and kept here; what was proposed is replaced."""
    done = desk.begin("replace-wallet", name)
    user, found = present(desk, name)
    wanted = None if to is None else str(address_of(to))
    proposed = str(found.user.next_wallet) if found.user.next_wallet_from else None
    what = f"member {name}"
    known = user.next_wallet if user.next_wallet == proposed else None
    if proposed is not None and (wanted == proposed or (wanted is None and known and user.next_sealed_key)):
        desk.note(done, what, "has this proposal already")
        _when(desk, done, found.user.next_wallet_from)
        return done
    if desk.dry_run:
        desk.note(done, what, f"would have {wanted or 'a new wallet in custody'} proposed")
        return done
    if wanted == user.signs_as:
        raise WalletInvalidError(f"{wanted} is {name}'s wallet already")
    sealed: bytes | None = None
    if wanted is None and user.next_wallet is not None and user.next_sealed_key is not None:
        wanted, sealed = user.next_wallet, user.next_sealed_key  # made before, and broken off
    elif wanted is None:
        wanted, sealed = wallets.make(desk.app.home.wallet_key, os.urandom)
    with desk.app.store.write() as session:  # the key before the chain: it must not be lost
        kept = session.get_one(User, user.id)
        kept.next_wallet, kept.next_sealed_key = wanted, sealed
    user_address = programs.user_address(found.user.member)
    signature = desk.send(
        desk.instruction("registry", "propose_wallet", {"next": Pubkey.from_string(wanted)}, user=user_address)
    )
    data = {"next": wanted, "reason": desk.reason, "signature": signature, "wallet": user.wallet}
    desk.log("wallet_proposed", data)
    desk.note(done, what, f"has the wallet {wanted} proposed", changed=True)
    _, after = present(desk, name)
    _when(desk, done, after.user.next_wallet_from)
    return done


def _when(desk: Desk, done: Done, epoch: int) -> None:
    seconds = desk.config().epoch_seconds
    done.facts |= {"from_epoch": epoch, "from_time": epoch * seconds}
    done.facts["next"] = [f"from epoch {epoch} on: authority members replace-wallet {done.subject!r} --finish"]


def cancel(desk: Desk, name: str) -> Done:
    """Take the proposal back."""
    done = desk.begin("replace-wallet", name)
    user, found = present(desk, name)
    what = f"member {name}"
    if not found.user.next_wallet_from and user.next_wallet is None:
        desk.note(done, what, "has no wallet proposed")
        return done
    if desk.dry_run:
        desk.note(done, what, "would keep its wallet")
        return done
    if found.user.next_wallet_from:
        address = programs.user_address(found.user.member)
        signature = desk.send(desk.instruction("registry", "propose_wallet", {"next": Pubkey.default()}, user=address))
        desk.log("wallet_proposal_withdrawn", {"reason": desk.reason, "signature": signature, "wallet": user.wallet})
    with desk.app.store.write() as session:
        kept = session.get_one(User, user.id)
        kept.next_wallet = kept.next_sealed_key = None
    desk.note(done, what, "keeps its wallet", changed=True)
    return done


def finish(desk: Desk, name: str) -> Done:
    """Have the proposed wallet take over, where its time has come. NotProposedError."""
    done = desk.begin("replace-wallet", name)
    user, found = present(desk, name)
    what, current = f"member {name}", str(found.user.wallet)
    if not found.user.next_wallet_from:
        if user.next_wallet == current:  # broken off between the chain and the store
            _take_over(desk, user, current, None)
        elif user.signs_as != current:
            raise ChainDiffersError(f"the chain has {current} as {name}'s wallet, and the store does not know it")
        elif user.signing_wallet is None:
            raise NotProposedError(f"no wallet is proposed for {name}: leave --finish out")
        desk.note(done, what, f"has the wallet {current}")
        return done
    after, from_epoch, epoch = found.user.next_wallet, found.user.next_wallet_from, desk.epoch()
    if epoch < from_epoch:
        todo = (
            f"the wallet proposed for {name} may take over from epoch {from_epoch} on, {from_epoch - epoch} epochs "
            f"from now; then again: authority members replace-wallet {name!r} --finish"
        )
        desk.note(done, what, "not_due", todo)
        return done
    if desk.dry_run:
        desk.note(done, what, f"would have the wallet {after}")
        return done
    _rescue(desk, done, user, found)
    accounts = {
        "user": programs.user_address(found.user.member),
        "wallet": after,
        "wallet_use": programs.user_address(after),
        "energy_token_account": programs.associated_token_address(after, programs.energy_mint()),
        "credit_token_account": programs.associated_token_address(after, programs.credit_mint()),
        "associated_token_program": programs.ASSOCIATED_TOKEN_PROGRAM,
    }
    signature = desk.send(built(desk, "registry", "replace_wallet", {}, accounts))
    _take_over(desk, user, str(after), signature)
    desk.note(done, what, f"has the wallet {after}", changed=True)
    return done


def _rescue(desk: Desk, done: Done, user: User, found: MemberOnChain) -> None:
    """What lies in the old wallet goes into the seat, which the new one has too; where the old key is at hand."""
    balances = found.balances
    if user.sealed_key is None:
        if balances.wallet_wh or balances.wallet_credit:
            desk.note(done, "the old wallet", "keeps what it holds: only its own key can move that")
        return
    holder = Holder(desk, found.user, wallets.unseal(desk.app.home, user))
    for asset, amount, word in (
        (ENERGY, balances.wallet_wh, "Wh"),
        (CREDIT, balances.wallet_credit, "micro-credits"),
    ):
        if amount:
            holder.deposit(asset, amount)
            desk.note(done, "the old wallet", f"{amount} {word} moved into the seat", changed=True)


def _take_over(desk: Desk, user: User, wallet: str, signature: str | None) -> None:
    with desk.app.store.write() as session:
        kept = session.get_one(User, user.id)
        sealed = kept.next_sealed_key if kept.next_wallet == wallet else None
        kept.signing_wallet, kept.sealed_key = wallet, sealed
        kept.next_wallet = kept.next_sealed_key = None
        data = {"reason": desk.reason, "signature": signature, "to": wallet, "wallet": user.wallet}
        log.record_act(session, "wallet_replaced", desk.actor, desk.app.clock(), data)
