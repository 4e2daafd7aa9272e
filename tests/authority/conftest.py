"""Fixtures of the authority's tests: homes, and stores on SQLite and on a private PostgreSQL cluster."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from authority.app import App
from authority.home import EpochSettings, Home, Settings, StoreSettings

NOW = 1_782_000_000
"""A Sunday in June 2026, 00:00:00 UTC, on the boundary of a 900 s epoch."""


class Clock:
    """A clock that tests set."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def _postgres_programs() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A private PostgreSQL cluster on a Unix socket; calling the fixture makes an empty database and gives its URL."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server programs are not installed")
    pytest.importorskip("psycopg")
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    user: dict[str, object] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(directory, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    quiet = {"check": True, "cwd": directory, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **user}
    data = directory / "data"
    subprocess.run(  # type: ignore[call-overload]
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], **quiet
    )
    options = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off"
    subprocess.run([programs / "pg_ctl", "-D", data, "-w", "-o", options, "start"], **quiet)  # type: ignore[call-overload]
    base = "postgresql+psycopg://postgres@/{name}?host=" + str(directory)
    engine = create_engine(base.format(name="postgres"), isolation_level="AUTOCOMMIT")

    def database() -> str:
        name = f"t{uuid.uuid4().hex}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return base.format(name=name)

    try:
        yield database
    finally:
        engine.dispose()
        subprocess.run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database: SQLite in the home (empty string), then PostgreSQL."""
    if request.param == "sqlite":
        return ""
    database: Callable[[], str] = request.getfixturevalue("postgres")
    return database()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at NOW until a test moves it."""
    return Clock()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh home with SQLite and epochs of 900 s."""
    return Home.create(tmp_path / "home", now=NOW)


@pytest.fixture
def app(tmp_path: Path, store_url: str, clock: Clock) -> Iterator[App]:
    """An opened authority, once on each database."""
    settings = Settings(epoch=EpochSettings(900), store=StoreSettings(store_url))
    Home.create(tmp_path / "authority", settings, now=NOW)
    app = App.open(tmp_path / "authority", clock)
    yield app
    app.store.close()
