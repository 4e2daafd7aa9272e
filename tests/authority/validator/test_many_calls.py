"""Every call with many parameters, right and wrong, on a history of tokens, failures and lookup tables.

`rpc_history` makes the same history on any validator, so the same calls can be sent to Agave (`rpc_compared`).
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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


REFUSALS = [json.loads(line) for line in Path(__file__).with_name("agave_refusals.jsonl").read_text().splitlines()]
"""What Agave 3.1.12 refused on a chain without a history, and what it answered to each of BODIES; one a line."""

TAKEN = {
    "getInflationGovernor": "a configuration without a commitment, which Agave's type for this one call demands",
    "getProgramAccounts": "memcmp of a mint with less or more than 32 bytes, {tokenAccountState: {}}, sortResults: 7",
}
"""Calls that Agave refuses and this validator takes, as there is nothing in them that it could not do."""

UNTOLD = {
    ".error.data.loadedAccountsDataSize": "LiteSVM does not tell it",
    ".error.data": "in -32602: the parameters as Rust prints them, of which no client can make anything",
}
"""What stands in Agave's refusals alone."""

BODIES_APART = {
    "taken": "an id that is any number or stands twice, and members that JSON-RPC does not name",
    "-32600 for -32700": "JSON-RPC 2.0 has -32600 for JSON that is no request, and answers the others of a batch",
    "-32600 for nothing": "JSON-RPC 2.0 has -32600 for an empty batch, and for what names no version of it",
}
"""Bodies that Agave answers otherwise than this validator, by what is other."""


@contextmanager
def _served(directory: Path, payer: Keypair) -> Iterator[str]:
    program = PROGRAM_IDS["governance"]
    elf = artifacts_directory() / "governance.so"
    genesis = Genesis((GenesisProgram.from_file(program, elf, payer.pubkey()),), {payer.pubkey(): 10**15})
    ledger = Ledger(directory)
    server = RpcServer(("127.0.0.1", 0), Methods(Bank(ledger, genesis)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server.url
    server.shutdown()
    server.server_close()
    thread.join()
    ledger.close()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rpc_history.History]:
    """The history on the embedded validator."""
    payer = Keypair()
    with _served(tmp_path_factory.mktemp("validator"), payer) as url:
        yield rpc_history.History(url, payer)


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rpc_history.History]:
    """The embedded validator without a history."""
    with _served(tmp_path_factory.mktemp("validator"), Keypair()) as url:
        yield rpc_history.History(url, None)


@pytest.mark.parametrize("method", sorted({line["method"] for line in REFUSALS if "method" in line}))
def test_what_agave_refuses_is_refused_alike(blank: rpc_history.History, method: str) -> None:
    for line in REFUSALS:
        if line.get("method") != method:
            continue
        answer = rpc_compared.answered(blank, method, line["params"])
        if "result" in answer:
            assert method in TAKEN, line["params"]
            continue
        excused = [f"{name}: only Agave has it" for name in UNTOLD]
        if answer["error"]["code"] != -32602:
            excused.remove(".error.data: only Agave has it")
        found = rpc_compared.differences(answer, line["answer"])
        assert [each for each in found if each not in excused] == [], line["params"]


@pytest.mark.parametrize("line", [line for line in REFUSALS if "body" in line], ids=lambda line: line["body"][:60])
def test_bodies_are_answered_as_by_agave(blank: rpc_history.History, line: Any) -> None:
    status, _, answer = blank.rpc.post(line["body"])
    assert status == line["status"]
    if not rpc_compared.differences(answer, line["answer"]):
        return
    refusals = [each for each in (answer if isinstance(answer, list) else [answer]) if "error" in each]
    codes = {each["error"]["code"] for each in refusals}
    agaves = line["answer"]["error"]["code"] if line["answer"] else None
    if not refusals:
        apart = "taken"
    elif codes == {agaves}:
        return  # the same refusal in other words
    else:
        assert codes == {-32600}
        apart = "-32600 for nothing" if agaves is None else f"-32600 for {agaves}"
    assert apart in BODIES_APART


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
