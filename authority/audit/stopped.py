"""A home's chain while nothing runs: the embedded validator's ledger, read in this process alone for an audit.

Nothing is written, and the chain's clock stands at its last block, so that the audit sees what was there at the stop.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from authority.chain.client import ChainClient
from authority.chain.direct import DirectClient
from authority.home.home import Home
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis
from authority.validator.ledger import LEDGER_NAME, Ledger, LedgerError

STOPPED_URL = "http://ledger.invalid"
"""What a stopped validator is called: no address, as there is none to call."""


@contextmanager
def validator_of(home: Home, url: str | None = None) -> Iterator[ChainClient]:
    """A client of the home's validator: of the one that runs, or of the ledger of an embedded one that stopped.

    url names another validator. LedgerError where the ledger cannot be read.
    """
    ledger = None if url else _ledger(home)
    if ledger is None:
        client = ChainClient(url or home.rpc_url)
        try:
            yield client
        finally:
            client.close()
        return
    try:
        _, stopped_at = ledger.last_block()
        bank = Bank(ledger, Genesis(), wall=lambda: float(stopped_at), monotonic=lambda: 0.0)
        yield DirectClient(STOPPED_URL, bank)
    finally:
        ledger.close()


def _ledger(home: Home) -> Ledger | None:
    """The home's ledger, where it has one with blocks and no validator runs on it."""
    if not home.settings.validator.embedded or not (home.validator_directory / LEDGER_NAME).is_file():
        return None
    try:
        ledger = Ledger(home.validator_directory)
    except LedgerError as error:
        if error.code == "ledger_in_use":
            return None
        raise
    if ledger.property("seed") is None:
        ledger.close()
        return None
    return ledger
