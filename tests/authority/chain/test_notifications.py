"""The embedded validator's notifications are Agave's: the same subscriptions and the same history at both, compared."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer
from solders.transaction import VersionedTransaction
from websockets.sync.client import connect

from authority.chain.client import ChainClient, sign_transaction
from authority.chain.programs import TOKEN_PROGRAM, associated_token_address, create_associated_token_account
from authority.validator import base58

pytestmark = [pytest.mark.agave, pytest.mark.slow]

CONFIRMED = {"commitment": "confirmed"}
BASE64 = {**CONFIRMED, "encoding": "base64"}
PARSED = {**CONFIRMED, "encoding": "jsonParsed"}
PATIENCE = 60
OUTER = re.compile(r"Program \w+ (invoke \[1\]|failed: .*)$|Transfer: ")


@dataclass
class History:
    """A validator's clients: one subscribes to everything, then the other makes something happen."""

    url: str
    pubsub_url: str
    payer: Keypair
    target: Keypair = field(default_factory=lambda: Keypair.from_seed(bytes(31) + b"\x33"))
    mint: Keypair = field(default_factory=lambda: Keypair.from_seed(bytes(31) + b"\x34"))
    answers: dict[str, Any] = field(default_factory=dict)
    told: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = ChainClient(self.url)
        self.holding = associated_token_address(self.target.pubkey(), self.mint.pubkey())
        self.transfer = self.signed(self.pay(7_000_000))
        self.failing = self.signed(self.pay(2**63))

    def pay(self, lamports: int) -> Instruction:
        target = self.target.pubkey()
        return transfer(TransferParams(from_pubkey=self.payer.pubkey(), to_pubkey=target, lamports=lamports))

    def signed(self, *instructions: Instruction) -> VersionedTransaction:
        return sign_transaction(instructions, [], self.payer, [], self.client.latest_blockhash()[0])

    def run(self) -> None:
        with connect(self.pubsub_url, max_size=None) as connection:
            names: dict[int, str] = {}
            for number, (name, (method, params)) in enumerate(SUBSCRIPTIONS.items()):
                request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params(self)}
                connection.send(json.dumps(request))
                while (answer := json.loads(connection.recv(PATIENCE))).get("id") != number:
                    self.note(names, answer)
                self.answers[name] = answer
                names[answer["result"]] = name
                self.told[name] = []
            self.happen()
            deadline = time.monotonic() + PATIENCE
            while missing := [name for name in SUBSCRIPTIONS if len(self.told[name]) < EXPECTED.get(name, 1)]:
                assert time.monotonic() < deadline, f"{self.url} never told enough of {missing}"
                self.note(names, json.loads(connection.recv(PATIENCE)))

    def note(self, names: dict[int, str], message: dict[str, Any]) -> None:
        self.told[names[message["params"]["subscription"]]].append(message)

    def happen(self) -> None:
        payer, client = self.payer, self.client
        self.land(self.transfer)
        self.land(self.failing)
        rent = client.call("getMinimumBalanceForRentExemption", 82)
        mint = self.mint.pubkey()
        minted = [
            AccountMeta(mint, is_signer=False, is_writable=True),
            AccountMeta(self.holding, is_signer=False, is_writable=True),
            AccountMeta(payer.pubkey(), is_signer=True, is_writable=False),
        ]
        client.send(
            [
                create_account(
                    CreateAccountParams(
                        from_pubkey=payer.pubkey(), to_pubkey=mint, lamports=rent, space=82, owner=TOKEN_PROGRAM
                    )
                ),
                Instruction(TOKEN_PROGRAM, bytes([20, 3]) + bytes(payer.pubkey()) + b"\x00", minted[:1]),
                create_associated_token_account(payer.pubkey(), self.target.pubkey(), mint),
                Instruction(TOKEN_PROGRAM, b"\x07" + (1_500).to_bytes(8, "little"), minted),
            ],
            [self.mint],
            payer=payer,
        )
        away = TransferParams(from_pubkey=self.target.pubkey(), to_pubkey=payer.pubkey(), lamports=7_000_000)
        client.send([transfer(away)], [self.target], payer=payer)

    def land(self, transaction: VersionedTransaction) -> None:
        signature = self.client.call(
            "sendTransaction", base58.encode(bytes(transaction)), {"skipPreflight": True, "maxRetries": 10}
        )
        deadline = time.monotonic() + PATIENCE
        while self.client.call("getSignatureStatuses", [signature])["value"][0] is None:
            assert time.monotonic() < deadline, f"{self.url} never took {signature}"
            time.sleep(0.1)


def _target(more: dict[str, Any]) -> Callable[[History], list[Any]]:
    return lambda history: [str(history.target.pubkey()), more]


def _holding(more: dict[str, Any]) -> Callable[[History], list[Any]]:
    return lambda history: [str(history.holding), more]


def _tokens(more: dict[str, Any]) -> Callable[[History], list[Any]]:
    def params(history: History) -> list[Any]:
        of_mint = {"memcmp": {"offset": 0, "bytes": str(history.mint.pubkey())}}
        return [str(TOKEN_PROGRAM), {"filters": [of_mint], **more}]

    return params


def _mentions(name: str, commitment: str) -> Callable[[History], list[Any]]:
    return lambda history: [{"mentions": [str(getattr(history, name).pubkey())]}, {"commitment": commitment}]


def _signature(name: str, *more: dict[str, Any]) -> Callable[[History], list[Any]]:
    return lambda history: [str(getattr(history, name).signatures[0]), *more]


SUBSCRIPTIONS: dict[str, tuple[str, Callable[[History], list[Any]]]] = {
    "account": ("accountSubscribe", _target(BASE64)),
    "account in the oldest encoding": ("accountSubscribe", _target(CONFIRMED)),
    "account too long for it": ("accountSubscribe", _holding(CONFIRMED)),
    "account too long for base58": ("accountSubscribe", _holding({**CONFIRMED, "encoding": "base58"})),
    "account in zstd": ("accountSubscribe", _holding({**CONFIRMED, "encoding": "base64+zstd"})),
    "slice": ("accountSubscribe", _holding({**BASE64, "dataSlice": {"offset": 32, "length": 32}})),
    "parsed token account": ("accountSubscribe", _holding(PARSED)),
    "parsed mint": ("accountSubscribe", lambda history: [str(history.mint.pubkey()), PARSED]),
    "parsed wallet": ("accountSubscribe", _target(PARSED)),
    "program": ("programSubscribe", _tokens(BASE64)),
    "parsed program": ("programSubscribe", _tokens(PARSED)),
    "program by size": ("programSubscribe", _tokens({**BASE64, "filters": [{"dataSize": 82}]})),
    "logs": ("logsSubscribe", lambda _: ["all", CONFIRMED]),
    "logs of an address": ("logsSubscribe", _mentions("target", "confirmed")),
    "logs of the processed": ("logsSubscribe", _mentions("mint", "processed")),
    "signature": ("signatureSubscribe", _signature("transfer", CONFIRMED)),
    "signature by default": ("signatureSubscribe", _signature("transfer")),
    "signature of a failure": ("signatureSubscribe", _signature("failing", CONFIRMED)),
    "signature and its reception": (
        "signatureSubscribe",
        _signature("transfer", {**CONFIRMED, "enableReceivedNotification": True}),
    ),
    "slot": ("slotSubscribe", lambda _: []),
    "root": ("rootSubscribe", lambda _: []),
}


EXPECTED = {"account": 2, "parsed wallet": 2, "logs": 4, "logs of an address": 3}
"""How many notifications each has at least; one where it is not here."""

WRONG: dict[str, tuple[str, list[Any]]] = {
    "a call of the RPC": ("getSlot", []),
    "nothing known": ("nothingSubscribe", []),
    "blocks, which are not told": ("blockSubscribe", ["all"]),
    "no address": ("accountSubscribe", ["nonsense"]),
    "no parameter": ("accountSubscribe", []),
    "a number for an address": ("accountSubscribe", [7]),
    "more parameters": ("slotSubscribe", [1]),
    "no signature": ("signatureSubscribe", ["nonsense"]),
    "no encoding": ("accountSubscribe", [str(Pubkey.default()), {"encoding": "rot13"}]),
    "two mentions": ("logsSubscribe", [{"mentions": [str(Pubkey.default())] * 2}]),
    "no mention": ("logsSubscribe", [{"mentions": []}]),
    "mention of nonsense": ("logsSubscribe", [{"mentions": ["nonsense"]}]),
    "logs of what": ("logsSubscribe", ["some"]),
    "five filters": ("programSubscribe", [str(TOKEN_PROGRAM), {"filters": [{"dataSize": 1}] * 5}]),
    "an end of nothing": ("accountUnsubscribe", [10**9]),
    "an end without a number": ("signatureUnsubscribe", []),
    "an end with a text": ("slotUnsubscribe", ["1"]),
}


def exchange(url: str, requests: list[Any]) -> list[Any]:
    """The answers to requests, one after another."""
    with connect(url) as connection:
        answers = []
        for request in requests:
            connection.send(json.dumps(request))
            answers.append(json.loads(connection.recv(PATIENCE)))
        return answers


@pytest.fixture(scope="module")
def histories(embedded_doors: tuple[str, str], agave_doors: tuple[str, str], payer: Keypair) -> list[History]:
    """The embedded validator's, then Agave's."""
    made = [History(*doors, payer) for doors in (embedded_doors, agave_doors)]
    for history in made:
        history.run()
    return made


def comparable(messages: list[dict[str, Any]]) -> list[Any]:
    """Notifications without what differs from one validator to the next: slots, signatures, and the compressor.

    LiteSVM's token program is a newer one than this Agave's, so of logs what the outermost programs say is compared.
    Agave tells some things twice, and of a leader's own transactions it does not tell that they were received.
    """
    found: list[Any] = []
    for message in copy.deepcopy(messages):
        assert isinstance(message["params"].pop("subscription"), int)
        result = message["params"]["result"]
        if isinstance(result, int):
            message["params"]["result"] = "a slot"
        elif "context" not in result:
            assert all(isinstance(value, int) for value in result.values())
            message["params"]["result"] = sorted(result)
        else:
            assert isinstance(result["context"].pop("slot"), int)
            value = result["value"]
            if value == "receivedSignature":
                continue
            if "logs" in value:
                value["signature"] = len(base58.decode(value["signature"]))
                value["logs"] = [
                    re.sub(r"lamports \d+", "lamports", line) for line in value["logs"] if OUTER.match(line)
                ]
            elif isinstance(value.get("data"), list) and value["data"][1:] == ["base64+zstd"]:
                value["data"] = "compressed"
        if message not in found:
            found.append(message)
    return found


@pytest.mark.parametrize("name", SUBSCRIPTIONS)
def test_notifications_are_agaves(histories: list[History], name: str) -> None:
    mine, theirs = (comparable(history.told[name]) for history in histories)
    assert mine == theirs


def test_the_answer_is_a_number(histories: list[History]) -> None:
    for history in histories:
        assert all(answer.keys() == {"jsonrpc", "result", "id"} for answer in history.answers.values())
        assert all(isinstance(answer["result"], int) for answer in history.answers.values())


@pytest.mark.parametrize("name", WRONG)
def test_refusals_are_agaves(embedded_doors: tuple[str, str], agave_doors: tuple[str, str], name: str) -> None:
    method, params = WRONG[name]
    request = {"jsonrpc": "2.0", "id": "a", "method": method, "params": params}
    mine, theirs = (exchange(url, [request])[0] for _, url in (embedded_doors, agave_doors))
    print(mine, theirs)
    assert mine["error"]["code"] == theirs["error"]["code"]


def test_the_same_twice_has_one_number_that_ends_once(
    embedded_doors: tuple[str, str], agave_doors: tuple[str, str]
) -> None:
    wanted = [str(Keypair().pubkey()), BASE64]
    subscribe = {"jsonrpc": "2.0", "id": 1, "method": "accountSubscribe", "params": wanted}
    for _, url in (embedded_doors, agave_doors):
        first, second = exchange(url, [subscribe, subscribe])
        assert first["result"] == second["result"]
        end = {"jsonrpc": "2.0", "id": 2, "method": "accountUnsubscribe", "params": [first["result"]]}
        with connect(url) as connection:
            connection.send(json.dumps(end))  # another connection's, and ended with it
            assert json.loads(connection.recv(PATIENCE))["error"]["code"] == -32602
            connection.send(json.dumps(subscribe))
            end["params"] = [json.loads(connection.recv(PATIENCE))["result"]]
            connection.send(json.dumps(end))
            assert json.loads(connection.recv(PATIENCE)) == {"jsonrpc": "2.0", "result": True, "id": 2}
            connection.send(json.dumps(end))
            assert json.loads(connection.recv(PATIENCE))["error"] == {
                "code": -32602,
                "message": "Invalid subscription id.",
            }
