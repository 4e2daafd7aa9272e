"""The pages over a simulated campus's home, by the processes that serve a real one, with people who are signed in."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from free_ports import free_port
from sqlalchemy import select

from authority.app import App
from authority.billing import issuing
from authority.chain.client import ChainClient
from authority.people import records, sessions
from authority.people.roles import AUDITOR, AUTHORITY, MEMBER, OPERATOR, TREASURER
from authority.store.billing import IssuedBill
from authority.store.people import User
from authority.store.persons import Person

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 300
DEPARTMENT = (OPERATOR, TREASURER, AUDITOR, AUTHORITY)


@dataclass
class SimulatedSite:
    """A validator and a web process over a home; a session's cookie of each role, and of each member by its name."""

    app: App
    port: int
    web_pid: int
    cookies: dict[str, str]

    @property
    def address(self) -> str:
        """Where the pages are."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> ChainClient:
        """A client of the validator."""
        return ChainClient(self.app.home.rpc_url)

    def bill(self, period: int) -> None:
        """Close a billing period that is over, and issue its bills, where that is not done."""
        with self.app.store.read() as session:
            if session.scalar(select(IssuedBill.number).where(IssuedBill.period == period).limit(1)) is not None:
                return
        client = self.client()
        try:
            for act in (issuing.close, issuing.issue):
                act(self.app, issuing.open_book(self.app, client, only=period), period, actor="treasurer")
        finally:
            client.close()


@contextmanager
def over(home: Path, said: Path) -> Iterator[SimulatedSite]:
    """Serve a home that a simulation left; what the processes say is written into the directory `said`."""
    app = App.open(home)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        port = free_port()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        for name, words in (("validator", ()), ("web", ("--port", str(port)))):
            command = [sys.executable, "-m", "authority.cli", name, "--home", str(home), *words]
            with (said / f"{name}.txt").open("wb") as file:
                processes.append(subprocess.Popen(command, env=environment, stdout=file, stderr=file))
        site = SimulatedSite(app, port, processes[-1].pid, {})
        _wait_for(site, processes, said)
        with app.store.write() as session:
            members = session.scalars(select(User).order_by(User.id)).all()
            everybody = [*((each.name, each) for each in members), *((role, None) for role in DEPARTMENT)]
            for number, (name, user) in enumerate(everybody):
                login = f"person-{number}@campus.example"
                person = session.scalar(select(Person).where(Person.login == login))
                if person is None:  # else the home was served before
                    person = records.add(session, login, name, now=app.clock())
                    records.grant(session, person, MEMBER if user else name, by="test", now=app.clock(), member=user)
                site.cookies[name] = sessions.begin(session, person, "password", "Chrome on Linux", app.clock())
            site.cookies[MEMBER] = site.cookies[members[0].name]
        yield site
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
        app.store.close()


def _wait_for(site: SimulatedSite, processes: list[subprocess.Popen[bytes]], said: Path) -> None:
    """Until the pages and the chain behind them answer."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        if time.monotonic() > end or any(process.poll() is not None for process in processes):
            raise RuntimeError("\n".join(file.read_text() for file in said.glob("*.txt")))
        time.sleep(0.2)
