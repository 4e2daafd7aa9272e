"""Whose a wallet or an address is: the names that people know, for every message that speaks of an address.

Members, meters and gateways have names; the chain has addresses, and so have its errors. Nothing here goes to the log.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

from solders.pubkey import Pubkey
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.chain import programs
from authority.home.errors import HomeError
from authority.home.home import Home
from authority.store.metering import Meter
from authority.store.people import User

_ADDRESS = re.compile(r"(?<![1-9A-HJ-NP-Za-km-z])[1-9A-HJ-NP-Za-km-z]{32,44}(?![1-9A-HJ-NP-Za-km-z])")
"""An address in base58, as it stands in a text."""


class Names:
    """What is known by address, when it was made."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = dict(known)

    @classmethod
    def load(cls, session: Session, home: Home) -> Names:
        """The members' wallets and accounts, the meters' accounts, and the authority's own keys."""
        known = {str(address): name for address, name in _fixed(home)}
        for user in session.scalars(select(User)):
            known[user.wallet] = user.name
            wallet = Pubkey.from_string(user.wallet)
            for address in (
                programs.user_address(wallet),
                programs.energy_account_address(wallet),
                programs.retirement_address(wallet),
                programs.associated_token_address(wallet, programs.energy_mint()),
                programs.associated_token_address(wallet, programs.credit_mint()),
            ):
                known[str(address)] = f"{user.name}'s account"
        for meter in session.scalars(select(Meter)):
            for address in (programs.meter_address(meter.meter_id), programs.meter_state_address(meter.meter_id)):
                known[str(address)] = f"meter {meter.gateway_name}/{meter.name}"
        return cls(known)

    def of(self, address: str) -> str | None:
        """Whose an address is, in a person's words."""
        return self._known.get(address)

    def in_text(self, text: str) -> str:
        """The text with a name in the place of each address that is known; others stay as they are."""
        return _ADDRESS.sub(lambda match: self._known.get(match[0], match[0]), text)


def _fixed(home: Home) -> list[tuple[Pubkey, str]]:
    known = [(programs.config_address(), "governance's Config"), (programs.market_address(), "the market")]
    with contextlib.suppress(HomeError):  # a process that serves does not get the authority's key
        known.append((home.authority.pubkey(), "the authority"))
    return known
