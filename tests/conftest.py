"""Fixtures for every test: a real Agave validator, where this machine has one.

The binary comes from $SOLANA_TEST_VALIDATOR, or unpacked from ../shared/agave/solana-test-validator.xz beside the
repository (an Agave 3.1.12 built from the registry's sources), or from the PATH.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import lzma
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKED = REPOSITORY.parent / "shared" / "agave" / "solana-test-validator.xz"
INSIDE = Path(__file__).resolve().parent / "agave" / "inside_namespace.py"
RPC_PORT = 8899
START_SECONDS = 120


@dataclass
class AgaveValidator:
    """A running single-node Agave cluster; `url` is on this machine's loopback and reaches nothing but its RPC."""

    url: str
    process: subprocess.Popen[bytes]
    ledger: Path

    def stop(self) -> None:
        """End it and whatever it left."""
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def agave_binary() -> Path:
    """The validator's binary; skips the test, with the reason, where there is none."""
    if named := os.environ.get("SOLANA_TEST_VALIDATOR"):
        return Path(named)
    if PACKED.is_file():
        return _unpacked(PACKED)
    if found := shutil.which("solana-test-validator"):
        return Path(found)
    pytest.skip(f"not run on Agave: there is no {PACKED}, no $SOLANA_TEST_VALIDATOR and none on the PATH")


def _unpacked(packed: Path) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "campus-energy-tests"
    cache.mkdir(parents=True, exist_ok=True)
    data = packed.read_bytes()
    binary = cache / f"solana-test-validator-{hashlib.sha256(data).hexdigest()[:16]}"
    if not binary.exists():
        with tempfile.NamedTemporaryFile(dir=cache, delete=False) as file:
            file.write(lzma.decompress(data))
        temporary = Path(file.name)
        temporary.chmod(0o755)
        temporary.replace(binary)
    return binary


def _namespace_command() -> list[str]:
    """How to enter a network namespace of one's own; skips the test where that is not allowed."""
    for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        with contextlib.suppress(OSError):
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    pytest.skip(
        "not run on Agave: it listens on every interface, and this machine gives no network namespace to hold it"
    )


def start_agave_validator(directory: Path, programs: Mapping[str, tuple[Path, str]], funded: str) -> AgaveValidator:
    """Start one in a directory.

    `programs` are ELF file and upgrade authority by program id; the key `funded` starts with 500 million SOL.
    """
    binary = agave_binary()
    command = [
        *_namespace_command(),
        sys.executable,
        str(INSIDE),
    ]
    listener = socket.create_server(("127.0.0.1", 0))
    ledger = directory / "agave-ledger"
    arguments = ["--ledger", str(ledger), "--rpc-port", str(RPC_PORT), "--bind-address", "127.0.0.1", "--quiet"]
    arguments += ["--mint", funded, "--limit-ledger-size", "10000000"]
    for program, (elf, authority) in programs.items():
        arguments += ["--upgradeable-program", program, str(elf), authority]
    with (directory / "agave.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, str(listener.fileno()), str(RPC_PORT), str(binary), *arguments],
            cwd=directory,
            stderr=log,
            pass_fds=[listener.fileno()],
        )
    port = listener.getsockname()[1]
    listener.close()
    validator = AgaveValidator(f"http://127.0.0.1:{port}", process, ledger)
    _wait_until_blocks_come(validator, directory / "agave.log")
    return validator


def _wait_until_blocks_come(validator: AgaveValidator, log: Path) -> None:
    host = validator.url.removeprefix("http://")
    body = '{"jsonrpc":"2.0","id":1,"method":"getBlockHeight","params":[{"commitment":"finalized"}]}'
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError):
            connection = http.client.HTTPConnection(host, timeout=5)
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            if json.loads(connection.getresponse().read())["result"] > 0:
                return
        if validator.process.poll() is not None or time.monotonic() > deadline:
            validator.stop()
            raise AssertionError(f"Agave did not start: {log.read_text(errors='replace')[-2_000:]}")
        time.sleep(0.25)


@pytest.fixture(scope="session")
def start_agave(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., AgaveValidator]]:
    """Starts Agave validators, each in its own directory and network namespace; all are ended at the session's end.

    `start_agave(programs, funded)`: see `start_agave_validator`.
    """
    running: list[AgaveValidator] = []

    def start(programs: Mapping[str, tuple[Path, str]], funded: str) -> AgaveValidator:
        validator = start_agave_validator(tmp_path_factory.mktemp("agave"), programs, funded)
        running.append(validator)
        return validator

    yield start
    for validator in running:
        validator.stop()
        shutil.rmtree(validator.ledger, ignore_errors=True)
