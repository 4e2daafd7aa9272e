"""A home's chain while nothing runs: the embedded validator's ledger, served to this process alone for an audit.

Nothing is written, and the chain's clock stands at its last block, so that the audit sees what was there at the stop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from authority.home.home import Home
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis
from authority.validator.ledger import LEDGER_NAME, Ledger, LedgerError
from authority.validator.methods import Methods
from authority.validator.server import RpcServer


@contextmanager
def validator_of(home: Home) -> Iterator[str]:
    """The address of the home's validator: the one that runs, or one over the ledger of an embedded one that stopped.

    LedgerError where that cannot be read.
    """
    ledger = _ledger(home)
    if ledger is None:
        yield home.rpc_url
        return
    try:
        _, stopped_at = ledger.last_block()
        bank = Bank(ledger, Genesis(), wall=lambda: float(stopped_at), monotonic=lambda: 0.0)
        server = RpcServer(("127.0.0.1", 0), Methods(bank, airdrops=False))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
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
