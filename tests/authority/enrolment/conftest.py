"""A deployed embedded validator behind an app's home."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port

from authority.app import App
from authority.chain.client import ChainClient
from authority.chain.deploy import Deployment, deploy
from authority.chain.errors import ChainError
from authority.cli import main
from authority.home.home import Home
from authority.home.settings import ValidatorSettings


class Validator:
    """`authority validator` on a home, which can be stopped and started again."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home.path / "validator.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "authority.cli", "validator", "--home", self.home.path],
                cwd=Path(__file__).parents[3],
                stdout=log,
                stderr=log,
            )
        client = ChainClient(self.home.rpc_url, attempts=1)
        end = time.monotonic() + 120
        while True:
            try:
                client.health()
                return
            except ChainError:
                assert self.process.poll() is None, (self.home.path / "validator.log").read_text()[-4_000:]
                assert time.monotonic() < end
                time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


@pytest.fixture
def validator(app: App) -> Iterator[Validator]:
    """The app's home names a running validator on which `authority deploy` has run."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app.home.save(replace(app.home.settings, validator=ValidatorSettings(url=url, port=port)))
    running = Validator(app.home)
    running.start()
    client = ChainClient(url)
    deploy(client, Deployment.of(app.home), authority=app.home.authority, operator=app.home.operator)
    client.close()
    yield running
    running.stop()


@pytest.fixture
def chain(app: App, validator: Validator) -> Iterator[ChainClient]:
    """A client of that validator."""
    assert validator.process is not None
    client = ChainClient(app.home.rpc_url)
    yield client
    client.close()


@pytest.fixture
def run(app: App, chain: ChainClient, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command that answers with JSON."""

    def command(*words: str, exits: int = 0) -> Any:
        capsys.readouterr()
        assert main([*words, "--home", str(app.home.path), "--json"]) == exits
        said = capsys.readouterr()
        return json.loads(said.out) if exits != 1 else said.err

    return command
