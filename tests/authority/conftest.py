"""Fixtures of the authority's tests: homes, and stores on SQLite and on a private PostgreSQL cluster."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from archived_postgres import ArchivedPostgres
from solders.keypair import Keypair
from sqlalchemy import create_engine, text

from authority.app import App
from authority.home.home import Home
from authority.home.settings import EpochSettings, Settings, StoreSettings
from authority.store import Store
from authority.store.metering import Gateway, Meter, MeterKey
from authority.store.people import Installation, User
from edge_agent.wire.reading import ZERO_HASH, Record, meter_id, previous_hash

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
        return Path(found).resolve().parent  # a link to it may stand without the others beside it
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A private PostgreSQL cluster on a Unix socket; calling the fixture gives a migrated database's URL."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server programs are not installed")
    pytest.importorskip("psycopg")
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(directory, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data = directory / "data"

    def program(name: str, *words: str) -> None:
        quiet = subprocess.DEVNULL
        subprocess.run(
            [programs / name, "-D", data, *words], check=True, cwd=directory, stdout=quiet, stderr=quiet, **user
        )

    program("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off -c full_page_writes=off"
    program("pg_ctl", "-w", "-o", options, "start")
    base = "postgresql+psycopg://postgres@/{name}?host=" + str(directory)
    engine = create_engine(base.format(name="postgres"), isolation_level="AUTOCOMMIT")

    def create(name: str, template: str) -> str:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return base.format(name=name)

    def database() -> str:
        return create(f"t{uuid.uuid4().hex}", "migrated")

    Store.open(create("migrated", "template0")).close()
    try:
        yield database
    finally:
        engine.dispose()
        program("pg_ctl", "-m", "immediate", "stop")
        # Some hundred databases are a hundred thousand files: nobody waits for the minute that their removal takes.
        away = subprocess.DEVNULL
        subprocess.Popen(["rm", "-rf", "--", directory], stdin=away, stdout=away, stderr=away, start_new_session=True)


@pytest.fixture
def cluster() -> Iterator[ArchivedPostgres]:
    """A PostgreSQL cluster of the test's own, which it may stop, start and lose."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server programs are not installed")
    made = ArchivedPostgres(programs)
    yield made
    made.close()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database without rows, to be copied: migrating takes longer than most tests."""
    path: Path = tmp_path_factory.mktemp("store") / "migrated.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database: SQLite in the home (empty string), then PostgreSQL, which is migrated already."""
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
def app(tmp_path: Path, store_url: str, migrated_sqlite: Path, clock: Clock) -> Iterator[App]:
    """An opened authority, once on each database."""
    settings = Settings(epoch=EpochSettings(900), store=StoreSettings(store_url))
    home = Home.create(tmp_path / "authority", settings, now=NOW)
    if not store_url:
        shutil.copy(migrated_sqlite, home.path / "authority.db")
    app = App.open(tmp_path / "authority", clock)
    yield app
    app.store.close()


@dataclass
class SigningMeter:
    """A meter in the store with its key at hand: signs the next record, as a gateway would."""

    pk: int
    gateway: str
    name: str
    key: Keypair
    network_id: bytes
    source: int = 1
    sequence: int = 1
    previous: bytes = ZERO_HASH
    registers: tuple[int, int, int, int] = (0, 0, 0, 0)
    interval_end: int = NOW - 900 * 1000

    @property
    def public_key(self) -> bytes:
        return bytes(self.key.pubkey())

    def frame(self, **changes: Any) -> bytes:
        """Sign a record as it would come next, with any field changed; the meter stays where it is."""
        values: dict[str, Any] = {
            "sequence": self.sequence,
            "network_id": self.network_id,
            "interval_end": self.interval_end,
            "generation": self.registers[0],
            "consumption": self.registers[1],
            "charge": self.registers[2],
            "discharge": self.registers[3],
            "interval_seconds": 900,
            "source": self.source,
            "clock_deviation": 0,
            "previous_hash": self.previous,
        }
        record = Record(**{**values, **changes}).to_bytes()
        return record + self.public_key + bytes(self.key.sign_message(record))

    def next(self, energy: int = 0, **changes: Any) -> bytes:
        """Sign the next interval's record, `energy` Wh more generated, and move on to the one after."""
        self.registers = (self.registers[0] + energy, *self.registers[1:])
        frame = self.frame(**changes)
        self.sequence += 1
        self.interval_end += 900
        self.previous = previous_hash(frame[:96])
        return frame


@pytest.fixture
def add_meter(app: App) -> Callable[..., SigningMeter]:
    """Put an active meter with a fresh key into the store: 10 kW, 20 kWh of storage, solar generation unless told."""

    def add(name: str = "pv", gateway: str = "gw-1", role: str = "generation", source: str = "solar") -> SigningMeter:
        key = Keypair()
        with app.store.write() as session:
            if session.get(Gateway, gateway) is None:
                session.add(Gateway(name=gateway, state="enrolled"))
            user = session.get(User, 1)
            if user is None:
                user = User(id=1, name="user", building="A", wallet=str(Keypair().pubkey()))
                session.add(user)
                session.add(
                    Installation(n=1, building="A", kind="mixed", nameplate_w=10_000, storage_wh=20_000, since=0)
                )
            session.flush()
            serial = f"{gateway}/{name}"
            meter = Meter(
                name=name,
                gateway_name=gateway,
                serial=serial,
                meter_id=meter_id(app.home.meter_salt, serial),
                role=role,
                source=source,
                user_id=1,
                installation_n=1,
                state="active",
                public_key=bytes(key.pubkey()),
            )
            session.add(meter)
            session.flush()
            session.add(
                MeterKey(
                    public_key=bytes(key.pubkey()),
                    meter_pk=meter.id,
                    first_sequence=1,
                    next_sequence=1,
                    possession=bytes(64),
                    approved_at=NOW,
                )
            )
            return SigningMeter(meter.id, gateway, name, key, app.home.network_id, meter.source_code)

    return add
