"""From one validator to another, such as from the embedded one to Agave: the accounts go over, the history is sealed.

The old chain's accounts are written as files, which the new validator takes into its genesis. What the old chain's
transactions said goes into a bundle (authority.audit.bundle), whose hash the log names in `chain_moved`: from then on
an audit takes the bundle's history before the new chain's.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import delete, select

from authority.app import App
from authority.audit.bundle import Bundle
from authority.audit.chain_state import ChainState
from authority.chain.account_files import account_file
from authority.chain.client import ChainClient
from authority.errors import AuthorityError
from authority.log import log
from authority.log.restoration import CHAIN_MOVED
from authority.store.billing import HistoryCursor
from authority.store.log import Act
from authority.store.settlement import LookupEntry, LookupTable
from edge_agent.wire.files import sha256_of, write_atomically


class OtherAccountsError(AuthorityError):
    """The new validator's accounts are not those that the bundle was sealed with."""

    code = "other_accounts"


def write_accounts(client: ChainClient, state: ChainState, directory: Path) -> int:
    """Write every account for a validator's --account-dir, rent exempt; how many."""
    directory.mkdir(parents=True, exist_ok=True)
    rents: dict[int, int] = {}
    for address, (owner, data) in state.accounts.items():
        if len(data) not in rents:
            rents[len(data)] = client.rent(len(data))
        text = account_file(address, owner, data, rents[len(data)])
        write_atomically(directory / f"{address}.json", text.encode())
    return len(state.accounts)


def moved(app: App, state: ChainState, bundle: Path, *, actor: str, dry_run: bool = False) -> int | None:
    """Say in the log that the campus's chain is another validator's now, with the bundle's accounts; the act's leaf.

    None where the log says so already. OtherAccountsError, BundleError.
    """
    chain = Bundle(bundle).chain()
    if chain is None or chain.state.accounts != state.accounts:
        there = {} if chain is None else chain.state.accounts
        differ = [str(each) for each in {*there, *state.accounts} if there.get(each) != state.accounts.get(each)]
        raise OtherAccountsError(
            f"{len(differ)} accounts on the new validator are not the bundle's, such as {', '.join(differ[:3])}: stop "
            "settlement, export bundle and accounts together, and start the new validator with those"
        )
    data = {"bundle": sha256_of(bundle)}
    with app.store.write() as session:
        if data in list(session.scalars(select(Act.data).where(Act.kind == CHAIN_MOVED))):
            return None
        if dry_run:
            return log.lock(session).size
        for table in (HistoryCursor, LookupEntry, LookupTable):
            session.execute(delete(table))
        return log.record_act(session, CHAIN_MOVED, actor, app.clock(), data)
