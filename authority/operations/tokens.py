"""What is moved for a member whose key is in custody: between wallet and seat, and into retirement."""

from __future__ import annotations

from collections.abc import Mapping

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain import accounts, programs
from authority.operations.desk import Desk
from authority.settlement.chain import (
    CONSUMPTION,
    CREDIT,
    ENERGY,
    FEED_IN,
    FROM_ACCOUNT,
    FROM_SEAT,
)

MOST_AT_ONCE = 2**32 - 1
"""The most that one retirement takes, Wh."""


class Holder:
    """A member whose key is at hand; each method is one transaction, and returns its signature."""

    def __init__(self, desk: Desk, user: accounts.User, key: Keypair) -> None:
        self._desk = desk
        self._user = user
        self._key = key

    def deposit(self, asset: int, amount: int) -> str:
        """From the wallet's token account into the seat."""
        source = self._user.energy_token_account if asset == ENERGY else self._user.credit_token_account
        given = {"authority": self._key.pubkey(), "source": source, "vault": _vault(asset)}
        return self._do("trading", "deposit", {"asset": asset, "amount": amount}, given)

    def withdraw(self, asset: int, amount: int) -> str:
        """From the seat into the wallet's token account."""
        destination = self._user.energy_token_account if asset == ENERGY else self._user.credit_token_account
        given = {"authority": self._key.pubkey(), "destination": destination, "vault": _vault(asset)}
        return self._do("trading", "withdraw", {"asset": asset, "amount": amount}, given)

    def retire(self, amount: int, period: int, *, feed_in: bool, from_seat: bool) -> str:
        """Burn energy: for a period's withdrawals, or for credits at the feed-in price."""
        given = {
            "member": self._key.pubkey(),
            "retirement": programs.retirement_address(self._user.member),
            "energy_account": programs.energy_account_address(self._user.member),
            "energy_token_account": self._user.energy_token_account,
            "credit_token_account": self._user.credit_token_account,
        }
        args = {
            "reason": FEED_IN if feed_in else CONSUMPTION,
            "period": period,
            "amount": min(amount, MOST_AT_ONCE),
            "source": FROM_SEAT if from_seat else FROM_ACCOUNT,
        }
        return self._do("energy_token", "retire_energy", args, given)

    def _do(self, program: str, name: str, args: Mapping[str, object], given: Mapping[str, Pubkey]) -> str:
        user = programs.user_address(self._user.member)
        instruction = built(self._desk, program, name, args, {"user": user, **given})
        return self._desk.send(instruction, signers=[self._key])


def built(desk: Desk, program: str, name: str, args: Mapping[str, object], given: Mapping[str, Pubkey]) -> Instruction:
    """An instruction whose accounts are those given and the deployment's own, as far as the IDL names them."""
    operator = desk.operator.pubkey()
    known = {**programs.common_accounts(), "operator": operator, "payer": operator, **given}
    named = {item.name for item in desk.client.idl(program).instruction(name).accounts}
    return desk.client.instruction(program, name, dict(args), {key: known[key] for key in known if key in named})


def _vault(asset: int) -> Pubkey:
    return programs.energy_vault() if asset == ENERGY else programs.credit_vault()


__all__ = ["CREDIT", "ENERGY", "Holder", "built"]
