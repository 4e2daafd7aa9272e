"""The authority's home directory: its configuration, its keys and where its data lie.

    HOME/authority.toml        configuration (class Settings); read by every process at its start
    HOME/authority.db          the store, unless authority.toml names a PostgreSQL database
    HOME/keys/authority.json   Ed25519, Solana's key file format: upgrade and governance authority
    HOME/keys/operator.json    Ed25519: signs administrative transactions, pays fees and rent
    HOME/keys/receipt.json     Ed25519: signs receipts and the log's checkpoints
    HOME/keys/ca.key, ca.pem   the department's certificate authority
    HOME/keys/server.key, server.pem         the collector's listener (certificate, then the CA's)
    HOME/keys/collector.key, collector.pem   the collector as a client of the MQTT broker
    HOME/keys/meter-salt       16 bytes in hex: makes meter ids of serials; secret, and never changed
    HOME/keys/wallets.key      32 bytes in hex: seals the custodial members' keys in the store
    HOME/validator/            the embedded validator's ledger

Everything under keys/ is mode 0600 and written atomically; a key that others may read is refused.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from solders.keypair import Keypair

from authority.errors import AuthorityError
from authority.home import certificates
from edge_agent.wire.files import write_atomically

CONFIG_NAME = "authority.toml"
COLLECTOR_CLIENT_NAME = "authority-collector"
"""The collector's name at the broker; gateways' names cannot start with `authority-`."""


class HomeError(AuthorityError):
    """home_missing, home_exists, config_invalid, key_missing, key_unreadable or key_exposed."""


@dataclass(frozen=True)
class NetworkSettings:
    """What this deployment is: its name, and the network id (16 hex digits) that every reading carries."""

    id: str = ""
    organisation: str = "Engineering Department"


@dataclass(frozen=True)
class EpochSettings:
    """The market's epoch in seconds; fixed for ever once governance is initialized."""

    seconds: int = 900


@dataclass(frozen=True)
class SiteSettings:
    """Where the campus lies, in degrees (north and east positive), for the plausibility of solar readings.

    `known = false` switches that check off.
    """

    known: bool = False
    latitude: float = 0.0
    longitude: float = 0.0


@dataclass(frozen=True)
class StoreSettings:
    """SQLAlchemy URL; empty is SQLite in the home directory. PostgreSQL: postgresql+psycopg://user@host/name."""

    url: str = ""


@dataclass(frozen=True)
class CollectorSettings:
    """The gateways' listener. `names` go into its certificate; `address` is what gateways are told to dial."""

    host: str = "127.0.0.1"
    port: int = 8443
    names: tuple[str, ...] = ("localhost", "127.0.0.1")
    threads: int = 16


@dataclass(frozen=True)
class MqttSettings:
    """The broker, as the collector and the gateways reach it; an empty host means HTTPS only."""

    host: str = ""
    port: int = 8883


@dataclass(frozen=True)
class WebSettings:
    """The members' and the public's pages and API, behind the campus's own TLS.

    threads serve requests; `streams` more are kept for event streams. notice is a sentence at the top of every page.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    threads: int = 8
    streams: int = 32
    notice: str = ""


@dataclass(frozen=True)
class ValidatorSettings:
    """The Solana validator: `embedded` runs the one for development and small trials at host and port.

    airdrop gives lamports to whoever asks, and browsers answers the scripts of any web page: both for development.
    """

    embedded: bool = True
    url: str = "http://127.0.0.1:8899"
    host: str = "127.0.0.1"
    port: int = 8899
    airdrop: bool = False
    browsers: bool = False


@dataclass(frozen=True)
class PolicySettings:
    """The collector's own bounds, beside governance's parameters (codes 16 to 25, docs/PROTOCOL.md, "Receipt AMC1").

    clock_deviation_seconds: how far a meter's clock may be off its gateway's.
    """

    clock_deviation_seconds: int = 60


@dataclass(frozen=True)
class ParameterSettings:
    """Governance's parameters at its initialization, which the collector's policy follows too.

    Prices are micro-credit per kWh, shares basis points, energies Wh (docs/ARCHITECTURE.md).
    """

    grace_seconds: int = 300
    clock_skew_seconds: int = 30
    nameplate_tolerance_bps: int = 1000
    storage_efficiency_bps: int = 9000
    feed_in_price: int = 80_000
    retail_price: int = 300_000
    wheeling: int = 20_000
    fee_bps: int = 100
    min_order_wh: int = 100
    max_order_wh: int = 1_000_000
    max_orders_per_member: int = 8
    cancel_cutoff_seconds: int = 60
    min_reference_volume_wh: int = 1_000
    billing_period_epochs: int = 2_976
    netting_epochs: int = 4

    @classmethod
    def for_epoch(cls, seconds: int) -> ParameterSettings:
        """The defaults, with the waits shortened or stretched in proportion to an epoch other than 900 s."""
        usual = EpochSettings().seconds

        def scaled(value: int) -> int:
            return -(-value * seconds // usual)

        default = cls()
        return cls(
            grace_seconds=scaled(default.grace_seconds),
            clock_skew_seconds=scaled(default.clock_skew_seconds),
            cancel_cutoff_seconds=scaled(default.cancel_cutoff_seconds),
        )


@dataclass(frozen=True)
class Settings:
    """The whole of authority.toml; each field is a table of it."""

    network: NetworkSettings = field(default_factory=NetworkSettings)
    epoch: EpochSettings = field(default_factory=EpochSettings)
    site: SiteSettings = field(default_factory=SiteSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    collector: CollectorSettings = field(default_factory=CollectorSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    web: WebSettings = field(default_factory=WebSettings)
    validator: ValidatorSettings = field(default_factory=ValidatorSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    parameters: ParameterSettings = field(default_factory=ParameterSettings)

    @classmethod
    def from_toml(cls, text: str) -> Settings:
        """Read authority.toml; HomeError `config_invalid` names the table and the key that is wrong."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise HomeError("config_invalid", f"{CONFIG_NAME} is not TOML: {error}") from error
        tables = {table.name: table for table in fields(cls)}
        for name in document:
            if name not in tables:
                raise HomeError(
                    "config_invalid", f"{CONFIG_NAME}: [{name}] is not known; there are {', '.join(tables)}"
                )
        settings = cls(**{name: _table(name, _TABLES[name], document.get(name, {})) for name in tables})
        settings.check()
        return settings

    def check(self) -> None:
        """HomeError `config_invalid` where a value is outside what the system can work with."""
        for wrong, message in (
            (not 10 <= self.epoch.seconds <= 65_535, "[epoch] seconds must be 10 to 65535"),
            (not -90 <= self.site.latitude <= 90, "[site] latitude must be -90 to 90"),
            (not -180 <= self.site.longitude <= 180, "[site] longitude must be -180 to 180"),
            (not self.collector.names, "[collector] names must hold the name that gateways dial"),
            (self.collector.threads < 2, "[collector] threads must be 2 or more"),
            (self.web.threads < 1, "[web] threads must be 1 or more"),
            (self.parameters.grace_seconds > self.epoch.seconds, "[parameters] grace_seconds must fit in an epoch"),
            (
                self.parameters.cancel_cutoff_seconds >= self.epoch.seconds,
                "[parameters] cancel_cutoff_seconds must be less than an epoch",
            ),
        ):
            if wrong:
                raise HomeError("config_invalid", f"{CONFIG_NAME}: {message}")
        for name, port in (
            ("collector", self.collector.port),
            ("mqtt", self.mqtt.port),
            ("web", self.web.port),
            ("validator", self.validator.port),
        ):
            if not 0 < port < 65_536:
                raise HomeError("config_invalid", f"{CONFIG_NAME}: [{name}] port must be 1 to 65535")
        if self.network.id and not _is_hex(self.network.id, 8):
            raise HomeError("config_invalid", f"{CONFIG_NAME}: [network] id must be 16 hex digits")

    def to_toml(self) -> str:
        """authority.toml with every value written out."""
        lines = ["# The authority's configuration; every table and key is explained in docs/OPERATIONS.md.", ""]
        for table in fields(self):
            lines.append(f"[{table.name}]")
            value = getattr(self, table.name)
            lines += [f"{key.name} = {_toml(getattr(value, key.name))}" for key in fields(value)]
            lines.append("")
        return "\n".join(lines)


_TABLES: Mapping[str, type[Any]] = {
    "network": NetworkSettings,
    "epoch": EpochSettings,
    "site": SiteSettings,
    "store": StoreSettings,
    "collector": CollectorSettings,
    "mqtt": MqttSettings,
    "web": WebSettings,
    "validator": ValidatorSettings,
    "policy": PolicySettings,
    "parameters": ParameterSettings,
}


def _is_hex(text: str, size: int) -> bool:
    try:
        return len(bytes.fromhex(text)) == size and len(text) == 2 * size
    except ValueError:
        return False


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _table(name: str, kind: type[Any], values: object) -> Any:
    if not isinstance(values, dict):
        raise HomeError("config_invalid", f"{CONFIG_NAME}: {name} must be a table, [{name}]")
    defaults = kind()
    known = {item.name for item in fields(kind)}
    read: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise HomeError(
                "config_invalid", f"{CONFIG_NAME}: [{name}] {key} is not known; there are {', '.join(sorted(known))}"
            )
        default = getattr(defaults, key)
        if isinstance(default, tuple):
            good = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
            read[key] = tuple(value) if good else None
        elif isinstance(default, float):
            good = isinstance(value, int | float) and not isinstance(value, bool)
            read[key] = float(value) if good else None
        else:
            good = type(value) is type(default) and not (type(value) is int and value < 0)
            read[key] = value
        if not good:
            raise HomeError(
                "config_invalid",
                f"{CONFIG_NAME}: [{name}] {key} must be like {_toml(default)}, not {value!r}",
            )
    return kind(**read)


class Home:
    """One home directory, opened. Keys are read when first asked for, and kept."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = settings

    @classmethod
    def create(
        cls, path: Path, settings: Settings | None = None, *, now: int, random: Callable[[int], bytes] = os.urandom
    ) -> Home:
        """Make a home: directory (0700), keys, certificates, network id and, last of all, authority.toml.

        An interrupted creation is completed by calling it again: no key that is there already is replaced.
        HomeError `home_exists` where authority.toml is there.
        """
        path = path.resolve()
        if (path / CONFIG_NAME).exists():
            raise HomeError("home_exists", f"{path} is an authority's home already; take another directory or use it")
        settings = settings or Settings()
        settings.check()
        (path / "keys").mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        (path / "keys").chmod(0o700)
        network = NetworkSettings(settings.network.id or random(8).hex(), settings.network.organisation)
        settings = Settings(**{**{f.name: getattr(settings, f.name) for f in fields(settings)}, "network": network})
        home = cls(path, settings)
        for name in ("authority", "operator", "receipt"):
            home._make(f"{name}.json", json.dumps(list(bytes(Keypair.from_seed(random(32))))).encode())
        home._make("meter-salt", random(16).hex().encode())
        home._make("wallets.key", random(32).hex().encode())
        home._make("ca.key", certificates.key_to_pem(certificates.new_key()))
        if not home.key_path("ca.pem").exists():
            ca = certificates.make_ca(home.ca_key, network.organisation, now)
            home._make("ca.pem", certificates.certificate_to_pem(ca))
        home.renew_certificates(now)
        write_atomically(path / CONFIG_NAME, settings.to_toml().encode())
        return home

    @classmethod
    def open(cls, path: Path) -> Home:
        """Open a home that `create` made; HomeError `home_missing` or `config_invalid`."""
        path = path.resolve()
        try:
            text = (path / CONFIG_NAME).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise HomeError(
                "home_missing", f"{path} has no {CONFIG_NAME}; make a home with: authority init --home {path}"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise HomeError("config_invalid", f"{path / CONFIG_NAME} cannot be read: {error}") from error
        settings = Settings.from_toml(text)
        if not settings.network.id:
            raise HomeError("config_invalid", f"{CONFIG_NAME}: [network] id is missing; it was made at authority init")
        return cls(path, settings)

    def save(self, settings: Settings) -> None:
        """Replace authority.toml; processes that run keep what they read. The network id cannot change."""
        settings.check()
        if settings.network.id != self.settings.network.id:
            raise HomeError("config_invalid", "the network id is kept for ever: readings of another are void here")
        write_atomically(self.path / CONFIG_NAME, settings.to_toml().encode())
        self.settings = settings

    # Keys

    def key_path(self, name: str) -> Path:
        """The path of a file under keys/."""
        return self.path / "keys" / name

    def _make(self, name: str, data: bytes) -> None:
        if not self.key_path(name).exists():
            write_atomically(self.key_path(name), data)

    def _read(self, name: str) -> bytes:
        path = self.key_path(name)
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                raise HomeError(
                    "key_exposed",
                    f"{path} may be read by others (mode {mode:04o}); chmod 600 it, and replace the key if in doubt",
                )
            return path.read_bytes()
        except FileNotFoundError as error:
            raise HomeError("key_missing", f"{path} is missing; restore it from the backup of this home") from error
        except OSError as error:
            raise HomeError("key_unreadable", f"{path} cannot be read: {error}") from error

    def _keypair(self, name: str) -> Keypair:
        try:
            return Keypair.from_bytes(bytes(json.loads(self._read(name))))
        except (ValueError, TypeError) as error:
            raise HomeError(
                "key_unreadable", f"{self.key_path(name)} is not a Solana key file (64 numbers): {error}"
            ) from error

    def _secret(self, name: str, size: int) -> bytes:
        text = self._read(name).decode("ascii", "replace").strip()
        if not _is_hex(text, size):
            raise HomeError("key_unreadable", f"{self.key_path(name)} must hold {size} bytes in hex")
        return bytes.fromhex(text)

    @cached_property
    def authority(self) -> Keypair:
        """The upgrade and governance authority."""
        return self._keypair("authority.json")

    @cached_property
    def operator(self) -> Keypair:
        """The operator: administrative instructions, minting, fees."""
        return self._keypair("operator.json")

    @property
    def fee_payer(self) -> Keypair:
        """Who pays fees and rent: the operator."""
        return self.operator

    @cached_property
    def receipt_key(self) -> Keypair:
        """Signs receipts (`AMC1`) and the log's checkpoints (`AML1`); gateways pin its public key."""
        return self._keypair("receipt.json")

    @cached_property
    def meter_salt(self) -> bytes:
        """16 secret bytes that keep serials from being guessed out of meter ids."""
        return self._secret("meter-salt", 16)

    @cached_property
    def wallet_key(self) -> bytes:
        """32 bytes that seal the custodial members' keys in the store."""
        return self._secret("wallets.key", 32)

    @property
    def network_id(self) -> bytes:
        """The 8 bytes that every reading of this deployment carries."""
        return bytes.fromhex(self.settings.network.id)

    # Certificates

    @cached_property
    def ca_key(self) -> ec.EllipticCurvePrivateKey:
        """The CA's private key."""
        return certificates.key_from_pem(self._read("ca.key"))

    @cached_property
    def ca_certificate(self) -> x509.Certificate:
        """The CA's certificate."""
        return certificates.certificate_from_pem(self._read("ca.pem"))

    @property
    def server_names(self) -> tuple[str, ...]:
        """What the server certificate is for: the names that gateways dial, and the broker's, which presents it too."""
        collector, broker = self.settings.collector.names, self.settings.mqtt.host
        return collector if not broker or broker in collector else (*collector, broker)

    def renew_certificates(self, now: int) -> None:
        """Issue the listener's and the collector's certificates where missing, near their end, or for other names."""
        names = self.server_names
        for name in ("server", "collector"):
            self._make(f"{name}.key", certificates.key_to_pem(certificates.new_key()))
        chain = certificates.certificate_to_pem(self.ca_certificate)
        path = self.key_path("server.pem")
        if not path.exists() or not certificates.covers(
            certificates.certificate_from_pem(self._read("server.pem")), names, now
        ):
            key = certificates.key_from_pem(self._read("server.key"))
            server = certificates.issue_server(self.ca_key, self.ca_certificate, key, names, now)
            write_atomically(path, certificates.certificate_to_pem(server) + chain)
        path = self.key_path("collector.pem")
        if not path.exists() or certificates.expires_soon(
            certificates.certificate_from_pem(self._read("collector.pem")), now
        ):
            key = certificates.key_from_pem(self._read("collector.key"))
            client = certificates.issue_client(self.ca_key, self.ca_certificate, key, COLLECTOR_CLIENT_NAME, now)
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
