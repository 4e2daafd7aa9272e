"""`authority serve`: validator, collector, settlement and web under one supervisor."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from authority.app import App
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.home.home import Home
from authority.service.supervisor import Program, Supervisor, child_command
from edge_agent.wire.command import log_options

ORDER = ("validator", "collector", "settlement", "web")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to leave out; everything else is in authority.toml."""
    parser.add_argument(
        "--without", action="append", default=[], choices=ORDER, help="do not run this one (it runs elsewhere)"
    )


def programs(home: Home, without: list[str], more: Sequence[str] = ()) -> list[Program]:
    """What runs on this machine, in the order of starting, each with `more` options."""
    wanted = [name for name in ORDER if name not in without]
    if not home.settings.validator.embedded and "validator" in wanted:
        wanted.remove("validator")
    ready: dict[str, Callable[[], bool]] = {"validator": partial(_answers, home.rpc_url)}
    return [Program(name, child_command(name, "--home", str(home.path), *more), ready.get(name)) for name in wanted]


def _answers(url: str) -> bool:
    client = ChainClient(url, attempts=1, timeout=2)
    try:
        client.health()
    except ChainError:
        return False
    finally:
        client.close()
    return True


def _line(name: str, line: str, form: str) -> str:
    """A process's line in the one form: as text under its name, or as JSON, in which its own log lines are already."""
    if form == "text":
        return f"{name:<10} | {line}\n"
    if not line.startswith("{"):
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "level": "info", "event": line, "process": name}, ensure_ascii=False)
    return line + "\n"


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    app = App.open(arguments.home)  # migrates before the children race to, and says now what is wrong with the home
    app.home.renew_certificates(app.clock())
    app.store.close()
    lock = threading.Lock()

    def tell(name: str, line: str) -> None:
        with lock:
            sys.stdout.write(_line(name, line, arguments.log_format))
            sys.stdout.flush()

    settings = app.home.settings
    tell(
        "serve",
        f"pages at http://{settings.web.host}:{settings.web.port}/, gateways at https://{settings.collector.names[0]}:"
        f"{settings.collector.port} (listening at {settings.collector.host}), validator at {app.home.rpc_url}",
    )
    supervisor = Supervisor(programs(app.home, arguments.without, log_options(arguments)), tell)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.stop.set())
    supervisor.run()
    return 0
