"""The embedded validator in this process: its calls without HTTP and without JSON in between, under a clock of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from authority.chain.client import ChainClient
from authority.chain.errors import RpcError
from authority.chain.transport import Transport
from authority.home.home import Home
from authority.service.validator_command import home_genesis
from authority.simulation.clock import VirtualClock
from authority.simulation.seeds import Seed
from authority.validator.bank import Bank
from authority.validator.errors import RpcError as Refusal
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods


class DirectTransport(Transport):
    """Calls a validator of this process; what it answers is what it would answer over HTTP."""

    def __init__(self, url: str, methods: Methods) -> None:
        super().__init__(url)
        self._methods = methods

    def call(self, method: str, params: Sequence[Any] = (), *, retry: bool = True) -> Any:
        """The result of a call. RpcError where the validator refuses it."""
        try:
            return self._methods.call(method, list(params))
        except Refusal as refusal:
            raise RpcError(method, refusal.number, refusal.message, refusal.data) from refusal

    def call_all(self, method: str, calls: Sequence[Sequence[Any]], *, retry: bool = True) -> list[Any | RpcError]:
        """The results of several calls, in one commit; a refused one has its RpcError in its place."""
        found: list[Any | RpcError] = []
        with self._methods.together():
            for params in calls:
                try:
                    found.append(self.call(method, params))
                except RpcError as refusal:
                    found.append(refusal)
        return found


class SimulatedChain:
    """A home's ledger and its runtime, open. Slots follow the virtual clock, as the wall clock does."""

    def __init__(self, home: Home, clock: VirtualClock, seed: Seed) -> None:
        self._ledger = Ledger(home.validator_directory, durable=False)
        try:
            self.bank = Bank(
                self._ledger, home_genesis(home), wall=clock.wall, monotonic=clock.wall, random=seed.stream("validator")
            )
        except BaseException:
            self._ledger.close()
            raise
        transport = DirectTransport(home.rpc_url, Methods(self.bank, airdrops=False))
        self.client = ChainClient(home.rpc_url, sleep=clock.sleep, monotonic=clock.wall, transport=transport)

    def close(self) -> None:
        """Give the ledger back."""
        self._ledger.close()
