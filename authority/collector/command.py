"""`authority collector`: run the collector alone, and decide on held readings."""

from __future__ import annotations

import argparse
import getpass
from datetime import UTC, datetime
from pathlib import Path

from authority import logs
from authority.app import App
from authority.collector import broker, held, server
from authority.enrolment import closing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Without a word the collector runs; `held` lists, `release` and `void` decide."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("run", help="run the collector (the default)")
    actions.add_parser("held", help="list the readings that wait for a decision")
    configure = actions.add_parser("broker", help="write a Mosquitto configuration for this home: mosquitto -c FILE")
    configure.add_argument("directory", type=Path, help="where to; it also keeps the broker's queues")
    configure.add_argument("--host", default="0.0.0.0", help="address to listen at (default: %(default)s)")  # noqa: S104
    for name, summary in (
        ("release", "let held readings go on to the chain"),
        ("void", "keep held readings from the chain for good"),
    ):
        action = actions.add_parser(name, help=summary)
        action.add_argument("log_index", type=int, nargs="+", help="log indexes, as `held` lists them")
        action.add_argument("--reason", required=True, help="why; it is logged")
        action.add_argument(
            "--actor", default=getpass.getuser(), help="who decides; it is logged (default: %(default)s)"
        )


def run(arguments: argparse.Namespace) -> int:
    """Run, list or decide."""
    if arguments.action in (None, "run"):
        logs.configure()
        server.run(arguments.home)
        return 0
    if arguments.action == "broker":
        return _broker(arguments)
    app = App.open(arguments.home)
    try:
        if arguments.action == "held":
            return _list(app)
        decide = held.release if arguments.action == "release" else held.void
        for log_index in arguments.log_index:
            with app.store.write() as session:
                act = decide(session, log_index, actor=arguments.actor, reason=arguments.reason, now=app.clock())
            done = "released" if arguments.action == "release" else "void"
            print(f"reading {log_index} is {done}; logged as {act}")
        return 0
    finally:
        app.store.close()


def _broker(arguments: argparse.Namespace) -> int:
    app = App.open(arguments.home)
    try:
        now = app.clock()
        app.home.renew_certificates(now)
        closing.sync_list(app)
        port = app.home.settings.mqtt.port
        print(broker.write_configuration(app.home, arguments.directory.resolve(), port, arguments.host, now=now))
    finally:
        app.store.close()
    return 0


def _list(app: App) -> int:
    with app.store.read() as session:
        readings = held.held(session)
    if not readings:
        print("no reading is held")
        return 0
    registers = "GENERATION, CONSUMPTION, CHARGE, DISCHARGE (Wh)"
    print(f"{'LOG':>8}  {'METER':<32}  {'INTERVAL END':<20}  {'CODE':<28}  {registers}")
    for reading in readings:
        try:
            end = datetime.fromtimestamp(reading.interval_end, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        except (ValueError, OverflowError, OSError):
            end = str(reading.interval_end)
        registers = ", ".join(str(value) for value in reading.registers)
        meter = f"{reading.gateway}/{reading.meter}"
        print(f"{reading.log_index:>8}  {meter:<32}  {end:<20}  {reading.code:<28}  {registers}")
    return 0
