"""Campus credits, the settlement currency: issued by the operator, each issue an act in the log."""

from __future__ import annotations

from collections.abc import Sequence

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import select

from authority.chain import programs
from authority.chain.client import ChainClient
from authority.log import log
from authority.market.policies import CreditInvalidError, UserUnknownError, UserUnregisteredError
from authority.store import Store
from authority.store.people import User

MAX_AMOUNT = 2**63 - 1
PER_TRANSACTION = 4


def issue_credits(
    store: Store,
    client: ChainClient,
    operator: Keypair,
    amounts: Sequence[tuple[str, int]],
    *,
    actor: str,
    now: int,
) -> None:
    """Issue micro-credits to users by name; every issue is logged before it is sent.

    MarketError `user_unknown`, `user_unregistered` or `credit_invalid` before anything is logged; ChainError where the
    chain refuses (the log then holds an act without a transaction, which the audit shows).
    """
    instructions = []
    acts = []
    with store.write() as session:
        for name, amount in amounts:
            user = session.scalar(select(User).where(User.name == name))
            if user is None:
                raise UserUnknownError(f"no user is called {name!r}")
            if user.registered_at is None:
                raise UserUnregisteredError(f"{name!r} is not on the chain yet: enrol a gateway of theirs first")
            if not 0 < amount <= MAX_AMOUNT:
                raise CreditInvalidError(f"an issue is 1 to {MAX_AMOUNT} micro-credits, not {amount}")
            instructions.append(_instruction(client, operator, Pubkey.from_string(user.wallet), amount))
            # The log names the wallet, as the chain does: whose it is, the store alone knows.
            acts.append({"amount": amount, "wallet": user.wallet})
        for act in acts:
            log.record_act(session, "credit_issued", actor, now, act)
    for start in range(0, len(instructions), PER_TRANSACTION):
        client.send(instructions[start : start + PER_TRANSACTION], [operator], payer=operator)


def _instruction(client: ChainClient, operator: Keypair, wallet: Pubkey, amount: int) -> Instruction:
    accounts = {
        "operator": operator.pubkey(),
        "user": programs.user_address(wallet),
        "credit_token_account": programs.associated_token_address(wallet, programs.credit_mint()),
    }
    return client.instruction("energy_token", "issue_credit", {"amount": amount}, accounts)
