"""`authority init`: make a home directory and its store."""

from __future__ import annotations

import argparse
from dataclasses import replace

from authority.app import App, system_clock
from authority.home import certificates
from authority.home.errors import HomeConfigError, HomeUnwritableError
from authority.home.home import Home
from authority.home.settings import (
    CONFIG_NAME,
    CollectorSettings,
    EpochSettings,
    MqttSettings,
    NetworkSettings,
    ParameterSettings,
    Settings,
    StoreSettings,
)
from authority.store import Store
from edge_agent.wire.claim import fingerprint_text
from edge_agent.wire.command import DONE, add_json, tell

MAX_ORGANISATION = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings that are worth giving at the start; the rest are edited in authority.toml."""
    parser.add_argument(
        "--epoch-seconds",
        type=int,
        default=900,
        metavar="SECONDS",
        help="length of a market epoch in seconds, forever (default: %(default)s)",
    )
    parser.add_argument(
        "--organisation",
        default=NetworkSettings().organisation,
        metavar="NAME",
        help="the CA certificate's organisation (default: %(default)s)",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="a DNS name or address that gateways dial, such as energy.campus.example; may be given again "
        "(default: localhost and 127.0.0.1)",
    )
    parser.add_argument("--mqtt", metavar="HOST", default="", help="the MQTT broker's host (default: HTTPS only)")
    parser.add_argument(
        "--store",
        metavar="URL",
        default="",
        help="SQLAlchemy URL, such as postgresql+psycopg://user@host/name (default: SQLite in the home)",
    )
    parser.add_argument("--dry-run", action="store_true", help="find out what would be refused, and make nothing")
    add_json(parser)


def _check(arguments: argparse.Namespace, settings: Settings) -> None:
    """Find out what is wrong while nothing has been made yet: names, the organisation, the database."""
    settings.check()
    for name in (*settings.collector.names, *([settings.mqtt.host] if settings.mqtt.host else [])):
        certificates.check_server_name(name)
    if not 1 <= len(arguments.organisation) <= MAX_ORGANISATION:
        raise HomeConfigError(f"--organisation must have 1 to {MAX_ORGANISATION} characters (RFC 5280, A.1)")
    if arguments.store and not (arguments.home / CONFIG_NAME).exists():
        store = Store.open(arguments.store)
        try:
            store.require_empty()
        finally:
            store.close()


def run(arguments: argparse.Namespace) -> int:
    """Create the home and migrate the store; prints what the operator needs to know."""
    collector = CollectorSettings()
    settings = Settings(
        network=NetworkSettings(organisation=arguments.organisation),
        epoch=EpochSettings(arguments.epoch_seconds),
        store=StoreSettings(arguments.store),
        collector=replace(collector, names=tuple(arguments.name) or collector.names),
        mqtt=MqttSettings(arguments.mqtt),
        parameters=ParameterSettings.for_epoch(arguments.epoch_seconds),
    )
    _check(arguments, settings)
    if arguments.dry_run:
        Home.require_absent(arguments.home)
        tell(
            arguments,
            {"home": str(arguments.home), "dry_run": True, "changed": False},
            f"{arguments.home}: would be made",
        )
        return DONE
    try:
        home = Home.create(arguments.home, settings, now=system_clock())
    except OSError as error:
        raise HomeUnwritableError(
            f"{arguments.home} cannot be made: {error.strerror}; name a directory that this user may write, or make it "
            "and give it to this user",
        ) from error
    App.open(arguments.home).store.close()
    told = {
        "home": str(home.path),
        "network": home.settings.network.id,
        "authority": str(home.authority.pubkey()),
        "operator": str(home.operator.pubkey()),
        "receipt key": bytes(home.receipt_key.pubkey()).hex(),
        "CA fingerprint": fingerprint_text(certificates.fingerprint(home.ca_certificate)),
    }
    lines = [f"{what:<18} {value}" for what, value in told.items()]
    lines.append("Back up the keys/ directory now, and keep the copy apart from this machine.")
    if arguments.name:
        lines.append(
            f"The collector listens at {home.settings.collector.host} alone until [collector] host in "
            f"{home.path / CONFIG_NAME} is the address of the gateways' network, or 0.0.0.0."
        )
    values = {what.lower().replace(" ", "_"): value for what, value in told.items()}
    tell(arguments, {**values, "dry_run": False, "changed": True}, "\n".join(lines))
    return DONE
