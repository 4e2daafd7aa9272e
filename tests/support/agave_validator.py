"""A real Agave validator in a network namespace of its own, for tests and benchmarks.

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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from authority.chain.artifacts import artifacts_directory
from authority.chain.programs import PROGRAM_IDS

REPOSITORY = Path(__file__).resolve().parents[2]
PACKED = REPOSITORY.parent / "shared" / "agave" / "solana-test-validator.xz"
INSIDE = Path(__file__).resolve().parent / "inside_namespace.py"
RPC_PORT = 8899
START_SECONDS = 180


class AgaveUnavailableError(Exception):
    """Agave cannot be run on this machine; the message says why."""


@dataclass
class AgaveValidator:
    """A running single-node Agave cluster; the URLs are on this machine's loopback and reach its RPC and its PubSub."""

    url: str
    pubsub_url: str
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
        shutil.rmtree(self.ledger, ignore_errors=True)


def agave_binary() -> Path:
    """The validator's binary. AgaveUnavailableError where there is none."""
    if named := os.environ.get("SOLANA_TEST_VALIDATOR"):
        return Path(named)
    if PACKED.is_file():
        return _unpacked(PACKED)
    if found := shutil.which("solana-test-validator"):
        return Path(found)
    raise AgaveUnavailableError(f"there is no {PACKED}, no $SOLANA_TEST_VALIDATOR and none on the PATH")


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


def namespace_command() -> list[str]:
    """How to enter a network namespace of one's own. AgaveUnavailableError where that is not allowed."""
    for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        with contextlib.suppress(OSError):
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    raise AgaveUnavailableError("it listens on every interface, and this machine gives no network namespace to hold it")


def released(authority: str) -> dict[str, tuple[Path, str]]:
    """The five programs as released, upgradeable by an authority, as `start_agave_validator` takes them."""
    return {str(program): (artifacts_directory() / f"{name}.so", authority) for name, program in PROGRAM_IDS.items()}


def start_agave_validator(
    directory: Path,
    programs: Mapping[str, tuple[Path, str]],
    funded: str,
    *,
    accounts: Path | None = None,
) -> AgaveValidator:
    """Start one in a directory. AgaveUnavailableError where this machine cannot.

    `programs` are ELF file and upgrade authority by program id; the key `funded` starts with 500 million SOL;
    `accounts` is a directory of further accounts, as `solana account --output json` writes them.
    """
    binary = agave_binary()
    command = [*namespace_command(), sys.executable, str(INSIDE)]
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    inner = (RPC_PORT, RPC_PORT + 1)
    doors = ",".join(f"{listener.fileno()}:{port}" for listener, port in zip(listeners, inner, strict=True))
    ledger = directory / "agave-ledger"
    arguments = ["--ledger", str(ledger), "--rpc-port", str(RPC_PORT), "--bind-address", "127.0.0.1", "--quiet"]
    arguments += ["--mint", funded, "--limit-ledger-size", "10000000"]
    for program, (elf, authority) in programs.items():
        arguments += ["--upgradeable-program", program, str(elf), authority]
    if accounts is not None:
        arguments += ["--account-dir", str(accounts)]
    with (directory / "agave.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, doors, str(binary), *arguments],
            cwd=directory,
            stderr=log,
            pass_fds=[listener.fileno() for listener in listeners],
            env={**os.environ, "RUST_LOG": os.environ.get("RUST_LOG", "warn")},
        )
    rpc, pubsub = (listener.getsockname()[1] for listener in listeners)
    for listener in listeners:
        listener.close()
    validator = AgaveValidator(f"http://127.0.0.1:{rpc}", f"ws://127.0.0.1:{pubsub}", process, ledger)
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
