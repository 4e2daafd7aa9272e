"""The demo on a real Agave validator instead of the embedded one: `authority demo --agave solana-test-validator`.

Agave's single-node validator is started as a child with the five programs in its genesis, upgradeable by the home's
authority, and its whole supply with the home's operator. It listens on every interface whatever it is told, so on a
machine that others can reach the demo wants a network namespace of its own around it (`unshare --net`).
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from authority.chain.artifacts import PROGRAM_NAMES, artifacts_directory
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.chain.programs import PROGRAM_IDS
from authority.demo.children import NoAgaveError, NoPortsError
from authority.home.home import Home

READY_SECONDS = 180.0
SHREDS_KEPT = 1_000_000
"""What the ledger keeps, some 1.2 GB at most; older blocks are thrown away."""
DYNAMIC_PORTS = 32
"""How many ports in a row Agave wants for its own traffic."""


@dataclass(frozen=True, slots=True)
class AgavePorts:
    """Free ports in a row: RPC, its websocket, faucet, gossip, then those for Agave's own traffic."""

    rpc: int

    @property
    def faucet(self) -> int:
        """Where airdrops are asked for; the demo asks for none."""
        return self.rpc + 2

    @property
    def gossip(self) -> int:
        """Where other nodes would find it."""
        return self.rpc + 3

    @property
    def dynamic(self) -> str:
        """The range for the rest."""
        return f"{self.rpc + 4}-{self.rpc + 4 + DYNAMIC_PORTS}"

    @classmethod
    def free(cls) -> AgavePorts:
        """Ports that nothing listens on now. DemoError `no_ports` where there are not so many in a row."""
        for first in range(20_000, 30_000, 2 * DYNAMIC_PORTS):
            if _are_free(range(first, first + 5 + DYNAMIC_PORTS)):
                return cls(first)
        raise NoPortsError("no 37 free ports in a row between 20000 and 30000: what holds them?")


def _are_free(ports: range) -> bool:
    with ExitStack() as held:
        for port in ports:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                probe = held.enter_context(socket.socket(socket.AF_INET, kind))
                try:
                    probe.bind(("0.0.0.0", port))  # noqa: S104  (as Agave will; nothing is received)
                except OSError:
                    return False
    return True


def checked(binary: Path) -> Path:
    """The binary, as an absolute path. DemoError `no_agave` where there is none."""
    found = binary.resolve()
    if not found.is_file():
        raise NoAgaveError(f"{binary} is not there: --agave takes the path of Agave's solana-test-validator")
    return found


def command(binary: Path, home: Home, ports: AgavePorts) -> list[str | Path]:
    """The command line for a new ledger in the home."""
    authority = str(home.authority.pubkey())
    # its usual log would be some megabytes a minute
    words: list[str | Path] = ["env", "RUST_LOG=warn", binary, "--ledger", home.path / "agave", "--quiet"]
    words += ["--bind-address", "127.0.0.1", "--rpc-port", str(ports.rpc), "--faucet-port", str(ports.faucet)]
    words += ["--gossip-port", str(ports.gossip), "--dynamic-port-range", ports.dynamic]
    words += ["--mint", str(home.operator.pubkey()), "--limit-ledger-size", str(SHREDS_KEPT)]
    for name in PROGRAM_NAMES:
        elf = artifacts_directory() / f"{name}.so"
        words += ["--upgradeable-program", str(PROGRAM_IDS[name]), elf, authority]
    return words


def makes_blocks(client: ChainClient) -> bool:
    """Whether the first block is final: before that, Agave answers but takes no transaction."""
    try:
        return int(client.call("getBlockHeight", {"commitment": "finalized"}, retry=False)) > 0
    except ChainError:
        return False
