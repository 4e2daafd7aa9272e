"""Solana's clients in JavaScript against a real `authority validator`: what they confirm, which IDLs they find."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peer_programs
import pytest

from authority.chain.artifacts import PROGRAM_NAMES, idl_path, legacy_idl_path
from authority.chain.programs import PROGRAM_IDS
from authority.home.home import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SCRIPTS = Path(__file__).parent / "javascript"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The validator's RPC."""
    home = Home.create(tmp_path_factory.mktemp("javascript") / "home", now=1_782_000_000)
    command = [sys.executable, "-m", "authority.cli", "validator", "--home", str(home.path), "--rpc-port", "0"]
    with subprocess.Popen([*command, "--airdrop"], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("validator ready: "), line
        yield line.split(" ")[2].rstrip(",")
        process.terminate()
        assert process.wait(60) == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Runs one of the scripts, and reads what it prints."""
    node, packages = peer_programs.node_packages()
    directory = tmp_path_factory.mktemp("scripts")
    (directory / "node_modules").symlink_to(packages)

    def run(name: str, *arguments: str) -> Any:
        script = directory / name
        script.write_text((SCRIPTS / name).read_text())
        done = subprocess.run([node, script, *arguments], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr[-3_000:]
        return json.loads(done.stdout)

    return run


@pytest.mark.finding("authority-05")
def test_web3js_confirms_what_landed(url: str, run: Callable[..., Any]) -> None:
    answer = run("web3js.mjs", url)
    assert answer["confirmed"] == [None, None]
    assert answer["balance"] == answer["changed"] == 1_000_000
    assert answer["logged"] is None
    assert "Custom" in answer["refused"]
    assert answer["slot"] > answer["root"] > 0
    assert answer["owned"] == "string"
    assert answer["whole"] == 4


@pytest.mark.finding("authority-06")
def test_kit_confirms_what_landed(url: str, run: Callable[..., Any]) -> None:
    host, port = url.removeprefix("http://").split(":")
    answer = run("kit.mjs", url, f"ws://{host}:{int(port) + 1}")
    assert answer == {"airdropped": 10**9, "changed": 10**6, "balance": 10**6}


@pytest.mark.finding("authority-15")
def test_anchors_clients_find_the_idls(url: str, run: Callable[..., Any]) -> None:
    ids = {name: str(PROGRAM_IDS[name]) for name in PROGRAM_NAMES}
    answer = run("anchor.mjs", url, *ids.values())
    for name, program in ids.items():
        idl = json.loads(idl_path(name).read_bytes())
        assert answer["present"][program] == idl
        assert answer["programs"][program] == {"id": program, "methods": len(idl["instructions"])}
        assert answer["earlier"][program] == json.loads(legacy_idl_path(name).read_bytes())


@pytest.mark.finding("authority-07")
def test_anchors_clients_name_what_was_refused(url: str, run: Callable[..., Any]) -> None:
    idl = json.loads(idl_path("governance").read_bytes())
    (error,) = (each for each in idl["errors"] if each["name"] == "ConfigNotInitialized")
    told = {"type": "AnchorError", "code": error["name"], "number": error["code"], "message": error["msg"]}
    assert run("refusal.mjs", url, str(idl_path("governance"))) == {"present": told, "earlier": told}
