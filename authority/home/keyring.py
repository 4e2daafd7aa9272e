"""The keys of a home, handed out by name: each process gets those that it uses, and no others.

The processes that serve (web, collector, verifier, settlement, validator, certificates, alerts) name themselves when
they open the home. A key that is not theirs is refused (`key_withheld`) before its file is opened, so a fault in the
pages does not reach the key that signs certificates or the one that upgrades programs. Commands that a person runs have
all.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path

from solders.keypair import Keypair

from authority.home.errors import KeyExposedError, KeyMissingError, KeyUnreadableError, KeyWithheldError
from edge_agent.wire.files import write_atomically

AUTHORITY, OPERATOR, RECEIPT = "authority.json", "operator.json", "receipt.json"
CA_KEY, SERVER_KEY, COLLECTOR_KEY = "ca.key", "server.key", "collector.key"
METER_SALT, WALLETS, VERIFIERS = "meter-salt", "wallets.key", "verifiers.key"
METRICS_TOKEN, AUDITOR_TOKEN, TICKETS = "metrics-token", "auditor-token", "tickets.key"
SMTP_PASSWORD, WEBHOOK_SECRET, OIDC_CLIENT_SECRET = "smtp-password", "webhook-secret", "oidc-client-secret"
SECRETS = frozenset(
    {AUTHORITY, OPERATOR, RECEIPT, CA_KEY, SERVER_KEY, COLLECTOR_KEY, METER_SALT, WALLETS, VERIFIERS}
    | {METRICS_TOKEN, AUDITOR_TOKEN, TICKETS, SMTP_PASSWORD, WEBHOOK_SECRET, OIDC_CLIENT_SECRET}
)
"""The files under keys/ that are secret; certificates are not."""

KEYS_OF = {
    "web": frozenset({METRICS_TOKEN, AUDITOR_TOKEN, TICKETS, OIDC_CLIENT_SECRET}),
    "collector": frozenset({RECEIPT, SERVER_KEY, COLLECTOR_KEY, METER_SALT, VERIFIERS}),
    "verifier": frozenset({SERVER_KEY, COLLECTOR_KEY, METER_SALT, VERIFIERS}),
    "settlement": frozenset({OPERATOR, RECEIPT, WALLETS}),
    "validator": frozenset({AUTHORITY, OPERATOR}),
    "certificates": frozenset({CA_KEY, SERVER_KEY, COLLECTOR_KEY}),
    "alerts": frozenset({SMTP_PASSWORD, WEBHOOK_SECRET}),
}
"""The secrets of each process. A verifier, which talks to gateways, signs no receipt. The validator's genesis names the
authority and the operator, whose files it reads."""


class Keyring:
    """The keys/ directory of one home, as one process may see it; `process` None sees all of it.

    stages: the settlement process gets the authority's key too, for it stages the length of the next billing period.
    """

    def __init__(self, directory: Path, process: str | None = None, *, stages: bool = False) -> None:
        self._directory = directory
        self._process = process
        self._allowed = SECRETS if process is None else KEYS_OF[process]
        if stages and process == "settlement":
            self._allowed |= {AUTHORITY}

    def path(self, name: str) -> Path:
        """The path of a file under keys/; KeyWithheldError for a secret that is not this process's."""
        if name in SECRETS and name not in self._allowed:
            raise KeyWithheldError(
                f"the {self._process} process does not get {name}: do this with an authority command"
            )
        return self._directory / name

    def make(self, name: str, data: bytes) -> None:
        """Write a file that is not there yet, mode 0600; one that is there stays."""
        if not self.path(name).exists():
            write_atomically(self.path(name), data)

    def read(self, name: str) -> bytes:
        """A file's bytes; KeyWithheldError, `key_missing`, `key_unreadable`, or `key_exposed` by its mode."""
        path = self.path(name)
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                raise KeyExposedError(
                    f"{path} may be read by others (mode {mode:04o}); chmod 600 it, and replace the key if in doubt",
                )
            return path.read_bytes()
        except FileNotFoundError as error:
            raise KeyMissingError(f"{path} is missing; restore it from the backup of this home") from error
        except OSError as error:
            raise KeyUnreadableError(f"cannot read {path}: {error}") from error

    def keypair(self, name: str) -> Keypair:
        """An Ed25519 key in Solana's key file format."""
        try:
            return Keypair.from_bytes(bytes(json.loads(self.read(name))))
        except (ValueError, TypeError) as error:
            raise KeyUnreadableError(f"{self.path(name)} is not a Solana key file (64 numbers): {error}") from error

    def secret(self, name: str, size: int) -> bytes:
        """So many bytes, written in hex."""
        text = self.read(name).decode("ascii", "replace").strip()
        if not is_hex(text, size):
            raise KeyUnreadableError(f"{self.path(name)} must hold {size} bytes in hex")
        return bytes.fromhex(text)


def is_hex(text: str, size: int) -> bool:
    """Whether a text is that many bytes in hex, and nothing else."""
    try:
        return len(bytes.fromhex(text)) == size and len(text) == 2 * size
    except ValueError:
        return False
