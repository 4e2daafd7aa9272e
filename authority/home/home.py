"""The authority's home directory: its configuration, its keys and where its data lie.

    HOME/authority.toml        configuration (authority.home.settings); read by every process at its start
    HOME/authority.db          the store, unless authority.toml names a PostgreSQL database
    HOME/keys/authority.json   Ed25519, Solana's key file format: upgrade and governance authority
    HOME/keys/operator.json    Ed25519: signs administrative transactions, pays fees and rent
    HOME/keys/receipt.json     Ed25519: signs receipts and the log's checkpoints
    HOME/keys/ca.key, ca.pem   the department's certificate authority
    HOME/keys/server.key, server.pem         the collector's listener (certificate, then the CA's)
    HOME/keys/collector.key, collector.pem   the collector as a client of the MQTT broker
    HOME/keys/verifier-N.pem   the same key's certificate for verifier N, where there are any
    HOME/keys/verifiers.key    32 bytes in hex: by these verifiers and sequencer know each other
    HOME/keys/meter-salt       16 bytes in hex: makes meter ids of serials; secret, and never changed
    HOME/keys/wallets.key      32 bytes in hex: seals the custodial members' keys in the store
    HOME/validator/            the embedded validator's ledger

Everything under keys/ is mode 0600 and written atomically; a key that others may read is refused.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import fields
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from solders.keypair import Keypair

from authority.home import certificates, keyring
from authority.home.errors import HomeConfigError, HomeExistsError, HomeMissingError
from authority.home.settings import CONFIG_NAME, NetworkSettings, Settings
from edge_agent.wire.files import write_atomically

COLLECTOR_CLIENT_NAME = "authority-collector"
"""The collector's name at the broker; gateways' names cannot start with `authority-`."""
VERIFIER_CLIENT_NAME = "authority-verifier-{}"
"""A verifier's there, by its number: a broker has one connection a name."""


class Home:
    """One home directory, opened. Keys are read when first asked for, and kept."""

    def __init__(self, path: Path, settings: Settings, process: str | None = None) -> None:
        self.path = path
        self.settings = settings
        self.keys = keyring.Keyring(path / "keys", process, stages=settings.billing.calendar == "month")

    @classmethod
    def create(
        cls, path: Path, settings: Settings | None = None, *, now: int, random: Callable[[int], bytes] = os.urandom
    ) -> Home:
        """Make a home: directory (0700), keys, certificates, network id and, last of all, authority.toml.

        An interrupted creation is completed by calling it again: no key that is there already is replaced.
        HomeExistsError where authority.toml is there.
        """
        path = path.resolve()
        cls.require_absent(path)
        settings = settings or Settings()
        settings.check()
        (path / "keys").mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        (path / "keys").chmod(0o700)
        network = NetworkSettings(settings.network.id or random(8).hex(), settings.network.organisation)
        settings = Settings(**{**{f.name: getattr(settings, f.name) for f in fields(settings)}, "network": network})
        home = cls(path, settings)
        for name in ("authority", "operator", "receipt"):
            home.keys.make(f"{name}.json", json.dumps(list(bytes(Keypair.from_seed(random(32))))).encode())
        home.keys.make(keyring.METER_SALT, random(16).hex().encode())
        home.keys.make(keyring.WALLETS, random(32).hex().encode())
        home.keys.make(keyring.VERIFIERS, random(32).hex().encode())
        home.keys.make(keyring.METRICS_TOKEN, random(32).hex().encode())
        home.keys.make(keyring.AUDITOR_TOKEN, random(32).hex().encode())
        home.keys.make(keyring.TICKETS, random(32).hex().encode())
        home.keys.make(keyring.WEBHOOK_SECRET, random(32).hex().encode())
        home.keys.make(keyring.CA_KEY, certificates.key_to_pem(certificates.new_key()))
        if not home.key_path("ca.pem").exists():
            ca = certificates.make_ca(home.ca_key, network.organisation, now)
            home.keys.make("ca.pem", certificates.certificate_to_pem(ca))
        home.renew_certificates(now)
        write_atomically(path / CONFIG_NAME, settings.to_toml().encode())
        return home

    @staticmethod
    def require_absent(path: Path) -> None:
        """HomeExistsError where a home is there already."""
        if (path / CONFIG_NAME).exists():
            raise HomeExistsError(f"{path} is an authority's home already; take another directory or use it")

    @classmethod
    def open(cls, path: Path, process: str | None = None) -> Home:
        """Open a home that `create` made; HomeMissingError or `config_invalid`.

        A process that serves names itself (authority.home.keyring.KEYS_OF), and gets its own keys alone.
        """
        path = path.resolve()
        try:
            text = (path / CONFIG_NAME).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise HomeMissingError(
                f"{path} has no {CONFIG_NAME}; make a home with: authority init --home {path}"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise HomeConfigError(f"cannot read {path / CONFIG_NAME}: {error}") from error
        settings = Settings.from_toml(text)
        if not settings.network.id:
            raise HomeConfigError(f"{CONFIG_NAME}: [network] id is missing; it was made at authority init")
        return cls(path, settings, process)

    def save(self, settings: Settings) -> None:
        """Rewrite authority.toml, comments kept; who runs keeps what it read. The network id cannot change."""
        settings.check()
        if settings.network.id != self.settings.network.id:
            raise HomeConfigError("the network id is kept forever: readings of another are void here")
        before = (self.path / CONFIG_NAME).read_text(encoding="utf-8")
        write_atomically(self.path / CONFIG_NAME, settings.to_toml(before).encode())
        self.settings = settings

    # Keys

    def key_path(self, name: str) -> Path:
        """The path of a file under keys/; KeyWithheldError for a secret that this process does not get."""
        return self.keys.path(name)

    @cached_property
    def authority(self) -> Keypair:
        """The upgrade and governance authority."""
        return self.keys.keypair(keyring.AUTHORITY)

    @cached_property
    def operator(self) -> Keypair:
        """The operator: administrative instructions, minting, fees."""
        return self.keys.keypair(keyring.OPERATOR)

    @property
    def fee_payer(self) -> Keypair:
        """Who pays fees and rent: the operator."""
        return self.operator

    @cached_property
    def receipt_key(self) -> Keypair:
        """Signs receipts (`AMC1`) and the log's checkpoints (`AML1`); gateways pin its public key."""
        return self.keys.keypair(keyring.RECEIPT)

    @cached_property
    def meter_salt(self) -> bytes:
        """16 secret bytes that keep serials from being guessed out of meter ids."""
        return self.keys.secret(keyring.METER_SALT, 16)

    @cached_property
    def wallet_key(self) -> bytes:
        """32 bytes that seal the custodial members' keys in the store."""
        return self.keys.secret(keyring.WALLETS, 32)

    @cached_property
    def verifiers_key(self) -> bytes:
        """32 bytes by which verifiers and sequencer know each other."""
        return self.keys.secret(keyring.VERIFIERS, 32)

    @cached_property
    def metrics_token(self) -> str:
        """What monitoring shows to read /metrics: 64 digits of hex, made where the home has none yet."""
        self.keys.make(keyring.METRICS_TOKEN, secrets.token_hex(32).encode())
        return self.keys.read(keyring.METRICS_TOKEN).decode("ascii").strip()

    @cached_property
    def smtp_password(self) -> str:
        """The password of [alerts] smtp_user, which a person puts there: one line."""
        return self.keys.read(keyring.SMTP_PASSWORD).decode("utf-8", "replace").strip()

    @property
    def oidc_client_secret(self) -> str:
        """The client secret at the OpenID provider ([oidc]), which a person puts there: one line."""
        return self.keys.read(keyring.OIDC_CLIENT_SECRET).decode("utf-8", "replace").strip()

    @cached_property
    def webhook_secret(self) -> bytes:
        """What the alerts' webhook is signed with: 32 bytes, made where the home has none yet."""
        self.keys.make(keyring.WEBHOOK_SECRET, secrets.token_hex(32).encode())
        return self.keys.secret(keyring.WEBHOOK_SECRET, 32)

    @cached_property
    def auditor_token(self) -> str:
        """What an auditor shows to read the log's entries: 64 digits of hex, made where the home has none yet."""
        self.keys.make(keyring.AUDITOR_TOKEN, secrets.token_hex(32).encode())
        return self.keys.read(keyring.AUDITOR_TOKEN).decode("ascii").strip()

    @cached_property
    def tickets_key(self) -> bytes:
        """By which the pages know what they prepared for members' own wallets: 32 bytes, made where there are none."""
        self.keys.make(keyring.TICKETS, secrets.token_hex(32).encode())
        return self.keys.secret(keyring.TICKETS, 32)

    @property
    def network_id(self) -> bytes:
        """The 8 bytes that every reading of this deployment carries."""
        return bytes.fromhex(self.settings.network.id)

    # Certificates

    @cached_property
    def ca_key(self) -> ec.EllipticCurvePrivateKey:
        """The CA's private key."""
        return certificates.key_from_pem(self.keys.read(keyring.CA_KEY))

    @cached_property
    def ca_certificate(self) -> x509.Certificate:
        """The CA's certificate."""
        return certificates.certificate_from_pem(self.keys.read("ca.pem"))

    @property
    def server_names(self) -> tuple[str, ...]:
        """What the server certificate is for: the names that gateways dial, and the broker's, which presents it too."""
        collector, broker = self.settings.collector.names, self.settings.mqtt.host
        return collector if not broker or broker in collector else (*collector, broker)

    @property
    def broker_certificates(self) -> dict[str, str]:
        """The certificates of the authority's own clients of the broker: files under keys/, and the names in them."""
        numbers = range(1, self.settings.collector.verifiers + 1)
        return {
            "collector.pem": COLLECTOR_CLIENT_NAME,
            **{f"verifier-{n}.pem": VERIFIER_CLIENT_NAME.format(n) for n in numbers},
        }

    def renew_certificates(self, now: int) -> None:
        """Issue the listener's, the collector's and the verifiers' certificates.

        Where they are missing, near their end, or for other names.
        """
        names = self.server_names
        for name in ("server", "collector"):
            self.keys.make(f"{name}.key", certificates.key_to_pem(certificates.new_key()))
        chain = certificates.certificate_to_pem(self.ca_certificate)
        path = self.key_path("server.pem")
        if not path.exists() or not certificates.covers(
            certificates.certificate_from_pem(self.keys.read("server.pem")), names, now
        ):
            key = certificates.key_from_pem(self.keys.read("server.key"))
            server = certificates.issue_server(self.ca_key, self.ca_certificate, key, names, now)
            write_atomically(path, certificates.certificate_to_pem(server) + chain)
        for file, client_name in self.broker_certificates.items():
            path = self.key_path(file)
            if not path.exists() or certificates.expires_soon(
                certificates.certificate_from_pem(self.keys.read(file)), now
            ):
                key = certificates.key_from_pem(self.keys.read("collector.key"))
                client = certificates.issue_client(self.ca_key, self.ca_certificate, key, client_name, now)
                write_atomically(path, certificates.certificate_to_pem(client) + chain)

    # Where data lie

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the store."""
        return self.settings.store.url or f"sqlite:///{self.path / 'authority.db'}"

    @property
    def validator_directory(self) -> Path:
        """The embedded validator's ledger."""
        return self.path / "validator"

    @property
    def rpc_url(self) -> str:
        """The validator's JSON-RPC address."""
        return self.settings.validator.url
