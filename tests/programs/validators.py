"""Both validators with the five programs in their genesis, for tests that drive the programs over JSON-RPC."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agave_validator import released
from campus import key

from authority.chain.artifacts import PROGRAM_NAMES, artifacts_directory
from authority.chain.programs import PROGRAM_IDS
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis, GenesisProgram
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods
from authority.validator.server import RpcServer


def elf(name: str) -> Path:
    """A program's built file."""
    return artifacts_directory() / f"{name}.so"


def agave_genesis() -> Mapping[str, tuple[Path, str]]:
    """The five programs by id, upgradeable by the campus's authority, as `start_agave` takes them."""
    return released(str(key("authority").pubkey()))


@contextmanager
def embedded_validator(directory: Path) -> Iterator[tuple[str, Callable[[float], None]]]:
    """The embedded validator: its address, and what moves its clock on by so many seconds."""
    ahead = 0.0

    def skip(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    authority = key("authority").pubkey()
    programs = tuple(GenesisProgram.from_file(PROGRAM_IDS[name], elf(name), authority) for name in PROGRAM_NAMES)
    ledger = Ledger(directory)
    bank = Bank(
        ledger,
        Genesis(programs, {key("operator").pubkey(): 10**15}),
        wall=lambda: time.time() + ahead,
        monotonic=lambda: time.monotonic() + ahead,
    )
    server = RpcServer(("127.0.0.1", 0), Methods(bank))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.url, skip
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        ledger.close()
