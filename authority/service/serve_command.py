"""`authority serve`: validator, collector, its verifiers, settlement and web under one supervisor."""

from __future__ import annotations

import argparse
import http
import http.client
import json
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from authority.app import App
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.collector import channel
from authority.errors import AuthorityError
from authority.home.home import Home
from authority.service.supervisor import Program, Supervisor, authority_command
from edge_agent.wire.command import log_options
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)
PROBE_SECONDS = 5.0
ORDER = ("validator", "collector", "verifiers", "settlement", "certificates", "web", "alerts")
"""`verifiers` are as many processes as authority.toml says, and none where the collector is one process."""


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
    alerts = home.settings.alerts
    if not (alerts.channels or alerts.mails_bills or home.settings.web.webhooks) and "alerts" in wanted:
        wanted.remove("alerts")
    settings = home.settings
    ready: dict[str, Callable[[], bool]] = {"validator": partial(_answers, home.rpc_url)}
    answers: dict[str, Callable[[], bool]] = {
        "web": partial(_serves, settings.web.host, settings.web.port, "/healthz"),
    }
    gateways = partial(_serves, settings.collector.host, settings.collector.port, "/api/v1/ca", home)
    if settings.collector.verifiers:
        ready["collector"] = partial(channel.answers, home.path)
        answers["verifier-1"] = gateways
    else:
        answers["collector"] = gateways
    commands: list[tuple[str, list[str]]] = []
    for name in wanted:
        if name == "verifiers":
            commands += [(f"verifier-{n}", ["verifier", str(n)]) for n in range(1, settings.collector.verifiers + 1)]
        else:
            commands.append((name, [name]))
    return [
        Program(name, authority_command(*words, "--home", str(home.path), *more), ready.get(name), answers.get(name))
        for name, words in commands
    ]


def _serves(host: str, port: int, path: str, home: Home | None = None) -> bool:
    """Whether a listener of this machine answers a request; over TLS by the home's CA where one is given."""
    dialled = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection: http.client.HTTPConnection
    if home is None:
        connection = http.client.HTTPConnection(dialled, port, timeout=PROBE_SECONDS)
    else:
        context = ssl.create_default_context(cafile=str(home.key_path("ca.pem")))
        context.check_hostname = False  # it is asked by its address
        connection = http.client.HTTPSConnection(dialled, port, timeout=PROBE_SECONDS, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _answers(url: str) -> bool:
    client = ChainClient(url, attempts=1, timeout=2)
    try:
        client.health()
    except ChainError:
        return False
    finally:
        client.close()
    return True


def _may_restart(path: Path) -> bool:
    """Whether authority.toml is one that the processes can start with."""
    try:
        Home.open(path)
    except AuthorityError as error:
        LOG.warning("authority.toml is not read again, everything runs on as it was", reason=str(error))
        return False
    LOG.info("SIGHUP: starting everything again, with authority.toml as it is now")
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

    def relay(name: str, line: str) -> None:
        with lock:
            sys.stdout.write(_line(name, line, arguments.log_format))
            sys.stdout.flush()

    settings = app.home.settings
    LOG.info(
        "starting",
        pages=f"http://{settings.web.host}:{settings.web.port}/",
        gateways=f"https://{settings.collector.names[0]}:{settings.collector.port}",
        listening_at=settings.collector.host,
        validator=app.home.rpc_url,
    )
    supervisor = Supervisor(
        programs(app.home, arguments.without, log_options(arguments)),
        relay,
        may_restart=partial(_may_restart, arguments.home),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop.set())
    at_a_terminal = sys.stdin is not None and sys.stdin.isatty()
    hung_up = supervisor.stop if at_a_terminal else supervisor.restart  # the terminal has gone; or somebody sent it
    signal.signal(signal.SIGHUP, lambda *_: hung_up.set())
    supervisor.run()
    return 0
