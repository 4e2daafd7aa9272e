"""The embedded validator in this process, under a clock of ours."""

from __future__ import annotations

from authority.chain.direct import DirectClient
from authority.home.home import Home
from authority.service.validator_command import home_genesis
from authority.simulation import redo
from authority.simulation.clock import VirtualClock
from authority.simulation.seeds import Seed
from authority.store import Store
from authority.validator.bank import Bank
from authority.validator.ledger import Ledger


class SimulatedChain:
    """A home's ledger and its runtime, open. Slots follow the virtual clock, as the wall clock does."""

    def __init__(self, home: Home, clock: VirtualClock, seed: Seed, store: Store) -> None:
        """Open them, after the ledger has got what the store has already."""
        self.ledger = Ledger(home.validator_directory, durable=False)
        try:
            redo.apply(home.path, store, self.ledger)
            self.bank = Bank(
                self.ledger,
                home_genesis(home),
                wall=clock.wall,
                monotonic=clock.wall,
                random=seed.stream("validator"),
                verify_signatures=False,
            )
        except BaseException:
            self.ledger.close()
            raise
        self.client = DirectClient(home.rpc_url, self.bank, sleep=clock.sleep, monotonic=clock.wall)

    def close(self) -> None:
        """Give the ledger back."""
        self.ledger.close()
