"""The alerts' process: looks, remembers, and tells, round by round. One that fails waits, and the others go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from authority.app import App, Clock, system_clock
from authority.chain.client import ChainClient
from authority.home.home import Home
from authority.monitoring.changes import Memory, Outbox, nameless
from authority.monitoring.delivery import Channel, Mail, Message, UndeliveredError, Webhook
from authority.status import facts, judgement
from authority.status.judgement import Problem
from authority.store.engine import StoreError
from edge_agent.wire.log import StructuredLog

LOOK_SECONDS = 30.0

LOG = StructuredLog(__name__)

Look = Callable[[], list[Problem]]
"""What is wrong now."""


def channels(home: Home) -> dict[str, Channel]:
    """The channels of [alerts], with their secrets. HomeError where mail's password is missing."""
    settings = home.settings.alerts
    found: dict[str, Channel] = {}
    if settings.mail_to:
        found["mail"] = Mail(settings, home.smtp_password if settings.smtp_user else "")
    if settings.webhook_url:
        found["webhook"] = Webhook(settings.webhook_url, home.webhook_secret)
    return found


def campus(home: Home) -> str:
    """What messages call this deployment: the name that gateways dial."""
    return home.settings.collector.names[0]


class CampusLook:
    """What is wrong with the campus of a home, without persons; a store that does not answer is what is wrong."""

    def __init__(self, path: Path, clock: Clock = system_clock) -> None:
        self._path, self._clock = path, clock
        self._app: App | None = None

    def __call__(self) -> list[Problem]:
        """Look once."""
        try:
            if self._app is None:
                self._app = App.open(self._path, self._clock, process="alerts")
            client = ChainClient(self._app.home.rpc_url, attempts=2, timeout=5)
            try:
                return judgement.problems(nameless(facts.gather(self._app, client)))
            finally:
                client.close()
        except (StoreError, SQLAlchemyError):
            self.close()
            return [Problem("store_unreachable", "store", "it does not answer: authority status says why")]

    def close(self) -> None:
        """Give the store's connections back."""
        if self._app is not None:
            self._app.store.close()
            self._app = None


class Watcher:
    """One home's alerts, and after each round what else is sent (`also`). `stop` ends `run`."""

    def __init__(
        self,
        home: Home,
        to: Mapping[str, Channel],
        look: Look,
        *,
        clock: Clock = system_clock,
        also: Callable[[], None] | None = None,
    ) -> None:
        self._home, self._to, self._look, self._clock, self._also = home, to, look, clock, also
        self._memory: Memory | None = None
        self._unwritable = False
        self.stop = threading.Event()

    def run(self, seconds: float = LOOK_SECONDS) -> None:
        """Round after round until `stop` is set."""
        while not self.stop.is_set():
            self.round()
            if self._also is not None:
                self._also()
            self.stop.wait(seconds)

    def round(self) -> None:
        """Look, and tell what is due. What waits is on the disk before it is sent, and stays until it is taken.

        On a disk that is full it is told all the same, from memory.
        """
        settings, now = self._home.settings.alerts, self._clock()
        before = Memory.read(self._home.path) if self._memory is None else self._memory
        memory = before.looked(now, self._look(), tuple(self._to), settings.settle_seconds)
        local = datetime.fromtimestamp(now, ZoneInfo(self._home.settings.site.zone))
        day = local.date().isoformat()
        if settings.digest and settings.digest_hour <= local.hour and memory.digest_day != day:
            memory = memory.with_digest(day)
        self._keep(memory)
        for name, channel in self._to.items():
            outbox = memory.outboxes[name]
            if outbox.waits and outbox.is_due(self._clock()):
                memory = memory.with_outbox(name, self._deliver(name, channel, outbox, memory))
                self._keep(memory)

    def _keep(self, memory: Memory) -> None:
        self._memory = memory
        try:
            memory.write(self._home.path)
            self._unwritable = False
        except OSError as error:
            if not self._unwritable:
                LOG.warning("what waits to be told cannot be written, and is kept in memory alone", reason=str(error))
            self._unwritable = True

    def _deliver(self, name: str, channel: Channel, outbox: Outbox, memory: Memory) -> Outbox:
        kind = "digest" if outbox.digest else "change"
        standing = memory.standing if outbox.digest else ()
        message = Message(kind, campus(self._home), self._clock(), outbox.changes, outbox.left_out, standing)
        try:
            channel.deliver(message)
        except UndeliveredError as error:
            failed = outbox.failed(self._clock(), str(error))
            if outbox.failing_since is None:
                LOG.warning("alerts cannot be delivered; they are kept", channel=name, reason=str(error))
            return failed
        if outbox.failing_since is not None:
            LOG.info("alerts are delivered again", channel=name)
        return outbox.delivered(self._clock())
