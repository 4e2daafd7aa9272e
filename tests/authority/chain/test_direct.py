"""A validator of this process, called directly: what it answers is what it answers over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer

from authority.chain.client import TRANSACTIONS_PER_CALL, ChainClient
from authority.chain.direct import DirectClient
from authority.chain.errors import ChainError, RpcError
from authority.chain.programs import CLOCK_SYSVAR
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods
from authority.validator.server import RpcServer


@dataclass
class Both:
    """One bank, and the two ways to it."""

    direct: DirectClient
    http: ChainClient
    payer: Keypair

    def pay(self, lamports: int) -> Instruction:
        """To a new address."""
        return transfer(
            TransferParams(from_pubkey=self.payer.pubkey(), to_pubkey=Keypair().pubkey(), lamports=lamports)
        )


@pytest.fixture
def both(tmp_path: Path, payer: Keypair) -> Iterator[Both]:
    ledger = Ledger(tmp_path / "validator")
    clock = [1_800_000_000.0]  # stands still, so that both see the same moment
    bank = Bank(ledger, Genesis((), {payer.pubkey(): 10**15}), wall=lambda: clock[0], monotonic=lambda: clock[0])

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    server = RpcServer(("127.0.0.1", 0), Methods(bank))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    http = ChainClient(server.url, attempts=1)
    yield Both(DirectClient("http://here.invalid", bank, sleep=sleep, monotonic=lambda: clock[0]), http, payer)
    http.close()
    server.shutdown()
    server.server_close()
    thread.join()
    ledger.close()


def test_accounts_are_the_same_either_way(both: Both) -> None:
    paid = both.pay(10**7)
    both.direct.send([paid], [], payer=both.payer)
    addresses = [
        both.payer.pubkey(),
        paid.accounts[1].pubkey,
        CLOCK_SYSVAR,
        Keypair().pubkey(),
        *(Pubkey.new_unique() for _ in range(120)),
    ]
    assert both.direct.raw_accounts(addresses) == both.http.raw_accounts(addresses)
    assert both.direct.raw_accounts([]) == both.http.raw_accounts([]) == []
    heads = both.direct.raw_accounts(addresses, 8)
    assert heads == both.http.raw_accounts(addresses, 8)
    assert [len(account.data) for account in heads[:3] if account is not None] == [0, 0, 8]
    for address in addresses[:4]:
        assert both.direct.raw_account(address) == both.http.raw_account(address)


def test_transactions_come_in_batches_in_the_order_asked_for(both: Both) -> None:
    signatures = [
        both.direct.send([both.pay(10**7 + number)], [], payer=both.payer)
        for number in range(TRANSACTIONS_PER_CALL + 3)
    ]
    wanted = [*signatures[::-1], Signature.new_unique(), signatures[0]]
    found = list(both.http.transactions(wanted))
    assert [None if record is None else record.signature for record in found] == [*wanted[:-2], None, wanted[-1]]
    assert found == list(both.direct.transactions(iter(wanted)))
    assert found[0] == both.http.transaction(signatures[-1]) == both.direct.transaction(signatures[-1])
    assert list(both.http.transactions([])) == []


def test_what_is_refused_is_refused_alike(both: Both) -> None:
    def refusals(client: ChainClient) -> list[tuple[int, str]]:
        told = []
        for method, params in (("getNothing", []), ("getAccountInfo", ["?"]), ("getTransaction", ["?"])):
            with pytest.raises(RpcError) as refused:
                client.call(method, *params)
            told.append((refused.value.number, str(refused.value)))
        return told

    assert refusals(both.direct) == refusals(both.http)
    too_much = both.pay(10**18)
    for client in (both.direct, both.http):
        with pytest.raises(ChainError, match="ResultWithNegativeLamports"):
            client.send([too_much], [], payer=both.payer)


def test_a_ledger_that_cannot_be_read_is_the_validators_refusal(both: Both) -> None:
    signature = both.direct.send([both.pay(10**9)], [], payer=both.payer)
    assert both.direct.transaction(signature) == both.http.transaction(signature)
    both.direct._bank.ledger._connection.execute("ALTER TABLE landed RENAME TO gone")
    for client in (both.direct, both.http):
        with pytest.raises(RpcError, match="the ledger could not be read"):
            client.transaction(signature)
