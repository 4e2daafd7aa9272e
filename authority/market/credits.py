"""Campus credits, the settlement currency: issued by the operator, each issue an act in the log."""

from __future__ import annotations

from collections.abc import Sequence

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain import programs
from authority.chain.accounts import User as RegistryUser
from authority.chain.client import ChainClient
from authority.home.settings import BillingSettings
from authority.log import log
from authority.market.policies import CreditInvalidError, MarketError, UserUnregisteredError, present
from authority.store import Store

MAX_AMOUNT = 2**63 - 1
PER_TRANSACTION = 4


class AboveLimitError(MarketError):
    """Credits above the limit, without their amount said again."""

    code = "above_limit"


def require_within_limit(settings: BillingSettings, amount: int, confirmed: int | None) -> None:
    """AboveLimitError where the amount is above [billing] credit_limit and was not confirmed by being said again."""
    limit = settings.credit_limit
    if amount > limit and confirmed != amount:
        raise AboveLimitError(
            f"{amount} micro-credits are more than the limit of {limit}: say it again with --confirm {amount}",
        )


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

    The errors of `checked` before anything is logged; ChainError where the chain refuses (the log then holds an act
    without a transaction, which the audit shows).
    """
    acts = checked(store, amounts)
    instructions = [
        issue_instruction(client, operator, Pubkey.from_string(str(act["wallet"])), int(act["amount"])) for act in acts
    ]
    with store.write() as session:
        log.record_acts(session, [("credit_issued", act) for act in acts], actor, now)
    for start in range(0, len(instructions), PER_TRANSACTION):
        client.send(instructions[start : start + PER_TRANSACTION], [operator], payer=operator)


def checked(store: Store, amounts: Sequence[tuple[str, int]]) -> list[dict[str, str | int]]:
    """What the log will say of each issue: amount, wallet. UserUnknownError, `user_unregistered`, `credit_invalid`."""
    acts: list[dict[str, str | int]] = []
    with store.read() as session:
        for name, amount in amounts:
            user = present(session, name)
            if user.registered_at is None:
                raise UserUnregisteredError(f"{name!r} is not on the chain yet: enrol a gateway of theirs first")
            if not 0 < amount <= MAX_AMOUNT:
                raise CreditInvalidError(f"an issue is 1 to {MAX_AMOUNT} micro-credits, not {amount}")
            # The log names the wallet, as the chain does: whose it is, the store alone knows.
            acts.append({"amount": amount, "wallet": user.wallet})
    return acts


def issue_instruction(client: ChainClient, operator: Keypair, member: Pubkey, amount: int) -> Instruction:
    """To the account of the member's present wallet, which may be another than it registered with."""
    address = programs.user_address(member)
    user = client.account(RegistryUser, address)
    accounts = {
        "operator": operator.pubkey(),
        "user": address,
        "credit_token_account": programs.associated_token_address(member, programs.credit_mint())
        if user is None
        else user.credit_token_account,
    }
    return client.instruction("energy_token", "issue_credit", {"amount": amount}, accounts)
