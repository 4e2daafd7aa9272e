"""The store: migrations, durability settings, sessions, and databases that are not ours."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, delete, func, select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError

from authority.app import App
from authority.store import Store, StoreError
from authority.store.base import Base, table_of
from authority.store.engine import StoreSpoiltError
from authority.store.log import LogState
from authority.store.metering import Gateway
from authority.store.rows import insert_rows, update_rows


def test_migrations_make_exactly_the_models(app: App) -> None:
    with app.store.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    assert [item for item in differences if item[0] != "remove_index"] == []


def test_opening_again_changes_nothing_and_keeps_data(app: App) -> None:
    with app.store.write() as session:
        session.add(Gateway(name="g"))
    again = App.open(app.home.path)
    with again.store.read() as session:
        assert session.get(Gateway, "g") is not None
    again.store.close()


def test_sqlite_is_durable_at_commit(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'a.db'}")
    with store.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    store.close()


def test_a_block_that_raises_writes_nothing(app: App) -> None:
    def fail() -> None:
        with app.store.write() as session:
            session.add(Gateway(name="g"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Gateway)) == 0


def test_a_reader_throws_its_changes_away(app: App) -> None:
    with app.store.read() as session:
        session.add(Gateway(name="g"))
        session.flush()
    with app.store.read() as session:
        assert session.get(Gateway, "g") is None


def test_what_is_written_together_is_there_at_the_end_or_not_at_all(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    store, other = Store.open(url), Store.open(url)
    gateways = select(func.count()).select_from(Gateway)

    def seen(by: Store) -> int:
        with by.read() as session:
            return session.scalar(gateways) or 0

    with store.together():
        with store.write() as session:
            first = Gateway(name="first")
            session.add(first)
        with store.write() as session:
            assert first not in session  # as ever, objects do not outlive their session
            session.add(Gateway(name="second"))
        assert (seen(store), seen(other)) == (2, 0)
        assert first.name == "first"
    assert (seen(store), seen(other)) == (2, 2)

    def end_early() -> None:
        with store.together():
            with store.write() as session:
                session.add(Gateway(name="third"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        end_early()

    def go_on_after_a_write_that_failed() -> None:
        with store.together():
            with store.write() as session:
                session.add(Gateway(name="third"))
            with suppress(ZeroDivisionError), store.write() as session:
                session.add(Gateway(name="fourth"))
                raise ZeroDivisionError

    with pytest.raises(StoreSpoiltError):
        go_on_after_a_write_that_failed()
    assert (seen(store), seen(other)) == (2, 2)
    store.close()
    other.close()


def test_rows_do_not_go_past_a_group_that_was_undone(tmp_path: Path) -> None:
    store, other = (Store.open(f"sqlite:///{tmp_path / 'a.db'}") for _ in range(2))
    columns = ("name", "state", "online")

    def go_on() -> None:
        with store.together():
            with store.write() as session:
                insert_rows(session, table_of(Gateway), columns, [("first", "expected", 0)])
            with suppress(IntegrityError), store.write() as session:
                session.add(Gateway(name="first"))
            with store.write() as session:
                insert_rows(session, table_of(Gateway), columns, [("second", "expected", 0)])

    with pytest.raises((InvalidRequestError, StoreSpoiltError)):
        go_on()
    with other.read() as session:
        assert session.scalars(select(Gateway)).all() == []
    store.close()
    other.close()


def test_who_is_alone_with_a_store_knows_what_it_has_written(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'a.db'}", alone=True)
    before = store.writes_of("gateways", "meters")
    with store.read() as session:
        session.scalars(select(Gateway)).all()
    assert store.writes_of("gateways", "meters") == before == (0, 0)
    with store.write() as session:
        session.add(Gateway(name="g"))
    assert store.writes_of("gateways", "meters") == (1, 0)
    with store.write() as session:
        session.execute(delete(Gateway))
    assert store.writes_of("gateways", "meters") == (2, 0)
    with store.write() as session:
        session.execute(text("DELETE FROM gateways"))
    assert store.writes_of("gateways", "meters") == (3, 1), "of a text nobody says what it writes to"
    with store.write() as session:
        insert_rows(
            session, table_of(Gateway), ("name", "state", "online"), [("g", "expected", 0), ("h", "expected", 0)]
        )
    with store.write() as session:
        update_rows(session, table_of(Gateway), "name", ("state",), [("g", "enrolled"), ("h", "enrolled")])
    assert store.writes_of("gateways", "meters") == (5, 1), "rows that are written past SQLAlchemy's statements"
    store.close()
    shared = Store.open(f"sqlite:///{tmp_path / 'a.db'}")
    assert shared.writes_of("gateways") is None
    shared.close()


def test_all_that_a_reader_reads_is_of_one_state(app: App) -> None:
    gateways = select(func.count()).select_from(Gateway)
    with app.store.read() as reader:
        assert reader.scalar(gateways) == 0
        with app.store.write() as writer:
            writer.add(Gateway(name="g"))
        assert reader.scalar(gateways) == 0
    with app.store.read() as reader:
        assert reader.scalar(gateways) == 1


def test_a_writer_sees_what_was_committed_while_it_waited_for_its_lock(app: App) -> None:
    """Readers' isolation is not writers': counting on after a lock would else count from an old state."""
    with app.store.write() as session:
        session.add(Gateway(name="g", status={"count": 0}))

    def count_up() -> None:
        for _ in range(10):
            with app.store.read() as session:  # the pool's connections go from readers to writers and back
                session.get(Gateway, "g")
            with app.store.write() as session:
                row = session.scalars(select(Gateway).with_for_update()).one()
                row.status = {"count": row.status["count"] + 1}

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with app.store.read() as session:
        assert session.get_one(Gateway, "g").status == {"count": 40}


def test_two_processes_may_migrate_at_once(tmp_path: Path, store_url: str) -> None:
    url = store_url or f"sqlite:///{tmp_path / 'a.db'}"
    if store_url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        engine.dispose()
    errors: list[BaseException] = []

    def open_it() -> None:
        try:
            Store.open(url).close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_store_belongs_to_one_network(app: App) -> None:
    with pytest.raises(StoreError, match="belongs to network") as caught:
        app.store.claim(b"another!")
    assert caught.value.code == "wrong_network"


def test_processes_that_open_a_new_store_at_once_agree_on_its_network(app: App) -> None:
    together = threading.Barrier(4)

    def claim(_: int) -> None:
        together.wait()
        app.store.claim(app.home.network_id)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            with app.store.write() as session:
                session.execute(delete(LogState))
            list(pool.map(claim, range(4)))


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("nonsense", "store_url"),
        ("nosuch://x/y", "store_url"),
        ("sqlite:////nonexistent/dir/a.db", "store_unreachable"),
        ("postgresql+psycopg://u@/x?host=/nonexistent", "store_unreachable"),
    ],
)
def test_a_database_that_cannot_be_opened_is_said_so(url: str, code: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert caught.value.code == code


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    store = Store.open(url)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreError, match="9999") as caught:
        Store.open(url)
    assert caught.value.code == "store_newer"


_OTHER_PROCESS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA user_version = 7")
connection.close()
"""


def test_opening_a_store_again_takes_nothing_from_who_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "authority.db"
    url = f"sqlite:///{path}"
    first = Store.open(url)
    with first.read() as session:
        session.execute(text("SELECT 1"))
    Store.open(url).close()  # as a command that runs in this process
    # Another process that is the last one to close the database takes its log away, and with it what others hold.
    subprocess.run([sys.executable, "-c", _OTHER_PROCESS, str(path)], check=True)
    assert path.with_name("authority.db-wal").exists()
    first.claim(bytes(8))
    second = Store.open(url)
    with pytest.raises(StoreError) as caught:
        second.claim(bytes([1] * 8))
    assert caught.value.code == "wrong_network"
    first.close()
    second.close()
