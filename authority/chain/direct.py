"""An embedded validator of this very process: its calls without HTTP and without JSON in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from authority.chain.client import ChainClient, TransactionRecord
from authority.chain.errors import RpcError
from authority.chain.transport import Transport
from authority.validator.bank import Bank
from authority.validator.errors import INTERNAL_ERROR
from authority.validator.errors import RpcError as Refusal
from authority.validator.methods import Methods


class DirectTransport(Transport):
    """Calls a validator of this process; what it answers is what it would answer over HTTP."""

    def __init__(self, url: str, methods: Methods) -> None:
        super().__init__(url)
        self._methods = methods

    def call(self, method: str, params: Sequence[Any] = (), *, retry: bool = True) -> Any:
        """The result of a call. RpcError where the validator refuses it."""
        try:
            match method, *params:
                case "sendTransaction", str(raw), {"encoding": "base64", "skipPreflight": skipped}:
                    return self._methods.land(raw, preflight=not skipped)
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


class DirectClient(ChainClient):
    """A client of a bank of this process. Accounts come as the bank has them, without a text of them in between."""

    def __init__(self, url: str, bank: Bank, **options: Any) -> None:
        """url is what the validator is called by; options are ChainClient's."""
        super().__init__(url, transport=DirectTransport(url, Methods(bank, airdrops=False)), **options)
        self._bank = bank

    def raw_account(self, address: Pubkey) -> Account | None:
        """An account's lamports, owner and data; None where there is none."""
        return self._bank.account(address)

    def raw_accounts(self, addresses: Sequence[Pubkey], size: int | None = None) -> list[Account | None]:
        """Several accounts of one moment; of their data only the first `size` bytes, where that is given."""
        found = self._bank.accounts(addresses)
        return found if size is None else [None if each is None else _head(each, size) for each in found]

    def transactions(self, signatures: Iterable[Signature]) -> Iterator[TransactionRecord | None]:
        """Transactions in the order asked for."""
        for signature in signatures:
            try:
                landed = self._bank.landed(signature)
            except sqlite3.Error as error:
                raise RpcError("getTransaction", INTERNAL_ERROR, f"the ledger could not be read: {error}") from error
            yield (
                None
                if landed is None
                else TransactionRecord(
                    signature=signature,
                    slot=landed.slot,
                    time=landed.time,
                    error=landed.error,
                    logs=landed.meta.get("logMessages") or [],
                    units=int(landed.meta.get("computeUnitsConsumed") or 0),
                    fee=int(landed.meta["fee"]),
                    transaction=VersionedTransaction.from_bytes(landed.content),
                )
            )


def _head(account: Account, size: int) -> Account:
    return Account(account.lamports, bytes(account.data)[:size], account.owner, account.executable, account.rent_epoch)
