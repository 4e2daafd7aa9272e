"""Every call with many parameters, right and wrong, on a history of tokens, failures and lookup tables.

`rpc_history` makes the same history on any validator, so the same calls can be sent to Agave (`rpc_compared`).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import rpc_calls
import rpc_compared
import rpc_history
from solders.keypair import Keypair

from authority.chain.artifacts import artifacts_directory
from authority.chain.programs import PROGRAM_IDS
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis, GenesisProgram
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods
from authority.validator.server import RpcServer

CALLS = defaultdict(list)
for _method, _params in rpc_calls.calls():
    CALLS[_method].append(_params)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rpc_history.History]:
    """The history on the embedded validator."""
    payer, program = Keypair(), PROGRAM_IDS["governance"]
    elf = artifacts_directory() / "governance.so"
    genesis = Genesis((GenesisProgram.from_file(program, elf, payer.pubkey()),), {payer.pubkey(): 10**15})
    ledger = Ledger(tmp_path_factory.mktemp("validator"))
    server = RpcServer(("127.0.0.1", 0), Methods(Bank(ledger, genesis)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield rpc_history.History(server.url, payer)
    server.shutdown()
    server.server_close()
    thread.join()
    ledger.close()


@pytest.mark.parametrize("method", CALLS)
def test_no_call_is_a_fault_of_the_validator(history: rpc_history.History, method: str) -> None:
    for params in CALLS[method]:
        answer = rpc_compared.answered(history, method, params)
        assert list(answer) in (["result"], ["error"]), params
        assert answer.get("error", {}).get("code") != -32603, params


@pytest.mark.parametrize("body", rpc_calls.BODIES)
def test_every_body_is_answered(history: rpc_history.History, body: str) -> None:
    status, kind, answer = history.rpc.post(body)
    assert (status, kind.split(";")[0]) == (200, "application/json")
    answers: list[Any] = answer if isinstance(answer, list) else [answer] if answer else []
    for each in answers:
        assert each["jsonrpc"] == "2.0"
        assert ("result" in each) != ("error" in each)
        assert each.get("error", {}).get("code") != -32603
