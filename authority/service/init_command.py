"""`authority init`: make a home directory and its store."""

from __future__ import annotations

import argparse
from dataclasses import replace

from authority import certificates
from authority.app import App, system_clock
from authority.home import (
    CollectorSettings,
    EpochSettings,
    Home,
    MqttSettings,
    NetworkSettings,
    ParameterSettings,
    Settings,
    StoreSettings,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings that are worth giving at the start; the rest are edited in authority.toml."""
    parser.add_argument(
        "--epoch-seconds", type=int, default=900, help="length of a market epoch (default: %(default)s)"
    )
    parser.add_argument(
        "--organisation", default=NetworkSettings().organisation, help="the CA certificate's organisation"
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="a DNS name or address that gateways dial (default: localhost and 127.0.0.1)",
    )
    parser.add_argument("--mqtt", metavar="HOST", default="", help="the MQTT broker's host (default: HTTPS only)")
    parser.add_argument("--store", metavar="URL", default="", help="SQLAlchemy URL (default: SQLite in the home)")


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
    home = Home.create(arguments.home, settings, now=system_clock())
    App.open(arguments.home).store.close()
    print(f"home               {home.path}")
    print(f"network            {home.settings.network.id}")
    print(f"authority          {home.authority.pubkey()}")
    print(f"operator           {home.operator.pubkey()}")
    print(f"receipt key        {bytes(home.receipt_key.pubkey()).hex()}")
    print(f"CA fingerprint     {certificates.fingerprint(home.ca_certificate)}")
    print("Back up the keys/ directory now, and keep the copy apart from this machine.")
    return 0
