"""`authority collector`: run the collector alone, and decide on held readings."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from authority.app import App
from authority.collector import broker, held, server
from authority.enrolment import closing
from authority.log.nameless import require_nameless
from authority.refusals import MalformedError
from edge_agent.wire.command import add_actor, add_json, print_json, tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Without a word the collector runs; `held` lists, `release` and `void` decide."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("run", help="run the collector (the default)")
    lister = actions.add_parser("held", help="list the readings that wait for a decision")
    _choice(lister)
    configure = actions.add_parser("broker", help="write a Mosquitto configuration for this home: mosquitto -c FILE")
    configure.add_argument("directory", type=Path, help="where to; it also keeps the broker's queues")
    configure.add_argument(
        "--host", help="address to listen at (default: 0.0.0.0, or the loopback where [mqtt] host is there)"
    )
    add_json(configure)
    for name, summary in (
        ("release", "let held readings go on to the chain"),
        ("void", "keep held readings from the chain for good"),
    ):
        action = actions.add_parser(name, help=summary)
        action.add_argument("log_index", type=int, nargs="*", help="log indexes, as `held` lists them; or by:")
        _choice(action)
        action.add_argument("--all", action="store_true", help="all that are held")
        action.add_argument("--dry-run", action="store_true", help="say which, and do nothing")
        action.add_argument("--reason", required=True, help="why; it is logged, so it names no person and no building")
        add_actor(action)


def _choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--meter", metavar="GATEWAY/METER", help="of this meter only")
    parser.add_argument(
        "--since", type=_since, metavar="TIME", help="of intervals that ended then (UTC, 2026-11-28T10:00) or later"
    )
    parser.add_argument("--code", help="held for this cause only, such as clock_unsynchronised")
    add_json(parser)


def _since(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("write it like 2026-11-28T10:00, in UTC") from error
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def run(arguments: argparse.Namespace) -> int:
    """Run, list or decide."""
    if arguments.action in (None, "run"):
        server.run(arguments.home)
        return 0
    if arguments.action == "broker":
        return _broker(arguments)
    app = App.open(arguments.home)
    try:
        chosen = held.Chosen(arguments.meter, arguments.since, arguments.code)
        if not getattr(arguments, "dry_run", False):
            held.tidy(app.store, app.clock())
        return _list(app, chosen, arguments.json) if arguments.action == "held" else _decide(app, arguments, chosen)
    finally:
        app.store.close()


def _decide(app: App, arguments: argparse.Namespace, chosen: held.Chosen) -> int:
    """Release or void what was named, by number or by choice; each is an act of its own, so it may be broken off."""
    if arguments.log_index and (chosen != held.Chosen() or arguments.all):
        raise MalformedError("name readings by number, or by --meter, --since, --code; not both")
    if not (arguments.log_index or arguments.all or chosen != held.Chosen()):
        raise MalformedError("say which: log indexes, --meter, --since, --code, or --all")
    indexes = arguments.log_index
    if not indexes:
        with app.store.read() as session:
            indexes = [reading.log_index for reading in held.held(session, chosen)]
    decide = held.release if arguments.action == "release" else held.void
    done = "released" if arguments.action == "release" else "void"
    acts: dict[int, int | None] = {}
    with app.store.read() as session:
        require_nameless(session, arguments.reason)
    made: Iterable[tuple[int, int | None]] = ((log_index, None) for log_index in indexes)
    if not arguments.dry_run:
        now = app.clock()
        made = held.in_groups(app.store, decide, indexes, actor=arguments.actor, reason=arguments.reason, now=now)
    for log_index, act in made:
        acts[log_index] = act
        if not arguments.json:
            would = f"would be {done}" if act is None else f"is {done}; logged as {act}"
            print(f"reading {log_index} {would}")
    if arguments.json:
        found = [{"log_index": log_index, "logged_as": act} for log_index, act in acts.items()]
        print_json({"done": None if arguments.dry_run else done, "readings": found})
    elif not indexes:
        print("no reading is held that fits")
    return 0


def _broker(arguments: argparse.Namespace) -> int:
    app = App.open(arguments.home)
    try:
        now = app.clock()
        app.home.renew_certificates(now)
        closing.sync_list(app)
        port = app.home.settings.mqtt.port
        at = arguments.host or broker.listening_address(app.home.settings.mqtt.host)
        path = broker.write_configuration(app.home, arguments.directory.resolve(), port, at, now=now)
        tell(arguments, {"configuration": str(path)}, str(path))
    finally:
        app.store.close()
    return 0


def _list(app: App, chosen: held.Chosen, as_json: bool) -> int:
    with app.store.read() as session:
        readings = held.held(session, chosen)
    if as_json:
        print_json([asdict(reading) for reading in readings])
        return 0
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
