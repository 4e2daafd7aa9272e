"""What a validator answers to the calls of `rpc_calls`: recorded, and compared.

    python tests/support/rpc_compared.py URL refusals.jsonl
    python tests/support/rpc_compared.py URL answers.jsonl SECRET_KEY_AS_HEX

The first writes down what a validator refuses that has no history but some final slots, a call a line; so were Agave's
refusals recorded. The second makes the history of `rpc_history`, paid for by that key, and writes down every answer.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rpc_calls import BODIES, KIND_ONLY, calls
from rpc_history import History, kinds
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

INVALID = (-32700, -32600, -32602)
"""Codes of errors that say what is wrong with a request; the words are the validator's own."""


def answered(history: History, method: str, params: list[Any]) -> Any:
    """What the validator of a history answers to a call, as it is the same on every validator."""
    answer = history.rpc.call(method, *history.resolved(params))
    result = answer.get("result")
    if method in KIND_ONLY and result is not None:
        return {"result": kinds(result)}
    if method == "getBlock" and isinstance(result, dict):
        _keep_ours(history, result)
    return history.normal(answer)


def _keep_ours(history: History, block: dict[str, Any]) -> None:
    """Leave out of a block what is not the history's: Agave's votes stand before it or behind it."""
    ours = set(history.signatures.values())
    if "signatures" in block:
        block["signatures"] = [each for each in block["signatures"] if each in ours]
    if block.get("transactions") is not None:
        block["transactions"] = [each for each in block["transactions"] if _signature(each["transaction"]) in ours]


def _signature(transaction: Any) -> str:
    if isinstance(transaction, list):
        return str(VersionedTransaction.from_bytes(base64.b64decode(transaction[0])).signatures[0])
    return str(transaction["signatures"][0])


def answers(history: History) -> Iterator[dict[str, Any]]:
    """Every call with its answer; then every body with its status, content type and answer."""
    for method, params in calls():
        yield {"method": method, "params": params, "answer": answered(history, method, params)}
    for body in BODIES:
        status, content_type, answer = history.rpc.post(body)
        yield {"body": body, "status": status, "type": content_type, "answer": answer}


def differences(mine: Any, agaves: Any, path: str = "") -> list[str]:
    """Where an answer differs from Agave's: keys, types and values, and of errors the code and the data."""
    if isinstance(mine, dict) and isinstance(agaves, dict):
        found = [f"{path}.{key}: only here" for key in mine.keys() - agaves.keys()]
        found += [f"{path}.{key}: only Agave has it" for key in agaves.keys() - mine.keys()]
        for key in sorted(mine.keys() & agaves.keys()):
            if key == "message" and mine.get("code") == agaves.get("code") and mine.get("code") in INVALID:
                continue
            found += differences(mine[key], agaves[key], f"{path}.{key}")
        return found
    if isinstance(mine, list) and isinstance(agaves, list) and len(mine) == len(agaves):
        return [
            each
            for index, pair in enumerate(zip(mine, agaves, strict=True))
            for each in differences(*pair, f"{path}[{index}]")
        ]
    return [] if mine == agaves else [f"{path}: {json.dumps(mine)[:200]} here, {json.dumps(agaves)[:200]} on Agave"]


def refusals(history: History) -> Iterator[dict[str, Any]]:
    """The calls that are refused without a history; then every body with its status and answer."""
    for method, params in calls():
        try:
            answer = None if method == "requestAirdrop" else answered(history, method, params)
        except (KeyError, StopIteration):
            continue  # it is about something of the history
        if answer is not None and "error" in answer:
            yield {"method": method, "params": params, "answer": answer}
    for body in BODIES:
        status, _, found = history.rpc.post(body)
        yield {"body": body, "status": status, "answer": found}


def main() -> None:
    """Record a validator's answers."""
    url, path, *secret = sys.argv[1:]
    history = History(url, Keypair.from_seed(bytes.fromhex(secret[0])) if secret else None)
    with Path(path).open("w") as file:
        for line in answers(history) if secret else refusals(history):
            file.write(json.dumps(line) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
