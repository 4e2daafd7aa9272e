"""What the demo starts where it is to run on Agave; that it then works is for tests/e2e/test_demo_on_agave.py."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from free_ports import free_port

from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient
from authority.chain.programs import PROGRAM_IDS
from authority.demo import agave
from authority.demo.children import DemoError
from authority.home.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.create(tmp_path / "home", now=1_782_000_000)


def test_the_programs_stand_in_the_genesis_under_the_homes_authority(home: Home) -> None:
    words = [str(word) for word in agave.command(Path("/opt/agave"), home, agave.AgavePorts(20_000))]
    for name in PROGRAM_NAMES:
        place = words.index(str(PROGRAM_IDS[name]))
        assert words[place - 1] == "--upgradeable-program"
        assert words[place + 1].endswith(f"/{name}.so")
        assert words[place + 2] == str(home.authority.pubkey())
    assert words[words.index("--mint") + 1] == str(home.operator.pubkey())
    assert Path(words[words.index("--ledger") + 1]).parent == home.path


def test_its_ports_are_apart(home: Home) -> None:
    ports = agave.AgavePorts(20_000)
    first, last = map(int, ports.dynamic.split("-"))
    websocket = ports.rpc + 1
    assert len({ports.rpc, websocket, ports.faucet, ports.gossip, *range(first, last + 1)}) == 4 + last - first + 1


def test_ports_that_are_taken_are_passed_over() -> None:
    first = agave.AgavePorts.free()
    with socket.create_server(("127.0.0.1", first.faucet)):
        assert agave.AgavePorts.free() != first


def test_a_binary_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="nowhere is not there") as caught:
        agave.checked(tmp_path / "nowhere")
    assert caught.value.code == "no_agave"


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "solana-test-validator").touch()
    monkeypatch.chdir(tmp_path)
    assert agave.checked(Path("solana-test-validator")) == tmp_path / "solana-test-validator"


def test_what_does_not_answer_makes_no_blocks() -> None:
    assert not agave.makes_blocks(ChainClient(f"http://127.0.0.1:{free_port()}"))
