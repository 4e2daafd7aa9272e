"""The authority is handed over with its programs, and the operator gets money, on a real chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.system_program import TransferParams, transfer

from authority.app import App
from authority.chain import programs
from authority.chain.client import ChainClient
from authority.governance import acts
from authority.operations import handover
from authority.operations.desk import Desk

pytestmark = pytest.mark.finding("ops-5")


@pytest.fixture
def store_url() -> str:
    return ""


def key_file(directory: Path, key: Keypair) -> str:
    path = directory / f"{key.pubkey()}.json"
    path.write_text(json.dumps(list(bytes(key))))
    return str(path)


def test_config_and_programs_go_to_another_key(app: App, chain: ChainClient, run: Any, tmp_path: Path) -> None:
    new, stranger = Keypair(), Keypair()
    reason = ["--reason", "handover"]
    assert run("handover", "propose", str(new.pubkey()), *reason, "--dry-run")["changed"] is False
    assert "cannot be read" in run("handover", "accept", "--key", str(tmp_path / "none.json"), exits=1)
    assert "is not proposed" in run("handover", "accept", "--key", key_file(tmp_path, stranger), exits=1)
    assert run("handover", "propose", str(new.pubkey()), *reason)["changed"] is True
    assert run("handover", "propose", str(new.pubkey()), *reason)["changed"] is False
    assert acts.read(chain).authority == str(app.home.authority.pubkey())
    accept = ["handover", "accept", "--key", key_file(tmp_path, new), *reason]
    assert run(*accept, "--dry-run")["changed"] is False
    assert run(*accept)["complete"] is True
    assert run(*accept)["changed"] is False
    assert acts.read(chain).authority == str(new.pubkey())
    desk = Desk(app, chain, "t")
    assert {handover.upgrade_authority(desk, name) for name in programs.PROGRAM_IDS} == {new.pubkey()}
    refused = run("handover", "propose", str(stranger.pubkey()), exits=1)
    assert "do this where that key is" in refused


def test_the_operators_money_is_shown_and_more_is_sent(app: App, chain: ChainClient, run: Any, tmp_path: Path) -> None:
    told = run("fund")
    assert told["operator"] == str(app.home.operator.pubkey())
    assert told["short"] is False
    rich = Keypair()
    give = TransferParams(from_pubkey=app.home.operator.pubkey(), to_pubkey=rich.pubkey(), lamports=3 * 10**9)
    chain.send([transfer(give)], [], payer=app.home.operator)
    before = chain.balance(app.home.operator.pubkey())
    words = ["fund", "--sol", "2", "--key", key_file(tmp_path, rich)]
    run(*words, "--dry-run")
    assert chain.balance(app.home.operator.pubkey()) == before
    run(*words)
    assert chain.balance(app.home.operator.pubkey()) == before + 2 * 10**9
    assert "say how much and from where" in run("fund", "--sol", "2", exits=1)
