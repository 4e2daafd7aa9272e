"""Rows by sets come back as they went in, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from statements import executed

from authority.app import App
from authority.store.base import table_of
from authority.store.leases import Lease
from authority.store.log import Checkpoint
from authority.store.rows import Asked, Row, Writes, execute, insert_rows, rows_among, rows_of_all, set_row, update_rows

CHECKPOINTS, LEASES = table_of(Checkpoint), table_of(Lease)
COLUMNS = ("size", "root", "signature", "time")
ROWS: list[Row] = [
    (1, bytes(32), b"", None),
    (2**62, b"\xff" * 32, bytes(range(64)), -(2**62)),
    (0, b"\0", b"\x80" * 64, 0),
    *((n, n.to_bytes(32, "big"), bytes(n % 65), n if n % 3 else None) for n in range(1_000, 1_300)),
]


def checkpoints(app: App) -> list[Row]:
    with app.store.read() as session:
        columns = [CHECKPOINTS.c[name] for name in COLUMNS]
        return [tuple(row) for row in session.execute(select(*columns).order_by(CHECKPOINTS.c.size))]


def test_rows_are_inserted_updated_and_found(app: App) -> None:
    with app.store.write() as session:
        session.execute(delete(CHECKPOINTS))
        insert_rows(session, CHECKPOINTS, COLUMNS, ROWS)
    assert checkpoints(app) == sorted(ROWS)
    changed: list[Row] = [(size, bytes(3), None if size % 2 else 7) for size, *_ in ROWS[:50] if isinstance(size, int)]
    with app.store.write() as session:
        update_rows(session, CHECKPOINTS, "size", ("root", "time"), [*changed, (999, b"", 1)])
        update_rows(session, CHECKPOINTS, "size", ("root", "time"), [])
    found = {row[0]: row for row in checkpoints(app)}
    for before in ROWS:
        size = before[0]
        after = {row[0]: row for row in changed}.get(size)
        assert found[size] == (before if after is None else (size, after[1], before[2], after[2]))
    roots = [row[1] for row in ROWS[60:70] if isinstance(row[1], bytes)]
    with app.store.read() as session:
        query = select(CHECKPOINTS.c.size, CHECKPOINTS.c.root)
        assert {tuple(row) for row in rows_among(session, query, CHECKPOINTS.c.root, roots)} == {
            (row[0], row[1]) for row in ROWS[60:70]
        }
        narrower = query.where(CHECKPOINTS.c.time.is_(None))
        assert {row.size for row in rows_among(session, narrower, CHECKPOINTS.c.root, roots)} == {
            row[0] for row in ROWS[60:70] if row[3] is None
        }
        assert rows_among(session, query, CHECKPOINTS.c.root, []).all() == []
        early = query.where(CHECKPOINTS.c.time < bindparam("end"))
        times = {row[0]: row[3] for row in ROWS[60:90] if isinstance(row[0], int)}
        for end in (1_070, 1_080):
            rows = rows_among(session, early, CHECKPOINTS.c.size, [*times], {"end": end})
            assert {row.size for row in rows} == {n for n in range(1_057, end) if n in times and n % 3}


def test_several_statements_are_asked_and_written_together(app: App) -> None:
    grow = update(CHECKPOINTS).where(CHECKPOINTS.c.size == bindparam("at")).values(time=bindparam("then"))
    with app.store.write() as session:
        session.execute(delete(CHECKPOINTS))
        insert_rows(session, CHECKPOINTS, COLUMNS, ROWS)
        writes = Writes(session)
        writes.add(grow, {"at": 0, "then": 7}, rows=1, otherwise=KeyError("none"))
        writes.add(grow, {"at": 5, "then": 7})
        writes.update(CHECKPOINTS, "size", ("root",), [(1, b"one"), (2**62, b"many"), (9, b"")])
        writes.update(CHECKPOINTS, "size", ("root",), [])
        writes.send()
        writes.send()
        sizes = select(CHECKPOINTS.c.size)
        early, rooted, none = rows_of_all(
            session,
            [
                Asked(sizes.where(CHECKPOINTS.c.time == 7, CHECKPOINTS.c.size < 1)),
                Asked(select(CHECKPOINTS.c.root, CHECKPOINTS.c.time), CHECKPOINTS.c.root, [b"one", b"many", b"three"]),
                Asked(sizes, CHECKPOINTS.c.root, []),
            ],
        )
    assert [tuple(row) for row in early] == [(0,)]
    assert sorted(map(tuple, rooted), key=str) == [(b"many", -(2**62)), (b"one", None)]
    assert list(none) == []


def test_a_statement_that_finds_another_number_of_rows_undoes_the_transaction(app: App) -> None:
    grow = update(CHECKPOINTS).where(CHECKPOINTS.c.size == bindparam("at")).values(time=bindparam("then"))
    with app.store.write() as session:
        session.execute(delete(CHECKPOINTS))
        insert_rows(session, CHECKPOINTS, COLUMNS, ROWS[:1])

    def of_another_row() -> None:
        with app.store.write() as session:
            writes = Writes(session)
            writes.add(grow, {"at": 1, "then": 7})
            writes.add(grow, {"at": 2, "then": 7}, rows=1, otherwise=KeyError("none"))
            writes.send()

    def of_a_row_that_is_there() -> None:
        made = insert(CHECKPOINTS).values({name: bindparam(f"its_{name}") for name in COLUMNS})
        with app.store.write() as session:
            writes = Writes(session)
            writes.add(made, dict(zip((f"its_{name}" for name in COLUMNS), ROWS[0], strict=True)))
            writes.send()

    for refused, error in ((of_another_row, KeyError), (of_a_row_that_is_there, IntegrityError)):
        with pytest.raises(error):
            refused()
        assert checkpoints(app) == ROWS[:1]


def test_texts_of_any_length_and_alphabet_are_kept(app: App) -> None:
    rows: list[Row] = [("a", "", 1, 2), ("Zähler ⚡", "x" * 255, 2**40, -1), ("b'; --", "null", 0, 0)]
    columns = ("name", "owner", "term", "expires_at")
    with app.store.write() as session:
        session.execute(delete(LEASES))
        insert_rows(session, LEASES, columns, rows)
        update_rows(session, LEASES, "name", ("owner",), [("Zähler ⚡", "ß")])
    with app.store.read() as session:
        query = select(*(LEASES.c[name] for name in columns))
        found = {tuple(row) for row in rows_among(session, query, LEASES.c.name, ["a", "Zähler ⚡", "nobody"])}
    assert found == {rows[0], ("Zähler ⚡", "ß", 2**40, -1)}


def test_what_the_database_refuses_is_raised_as_any_statement_of_the_session_does(app: App) -> None:
    with pytest.raises(IntegrityError), app.store.write() as session:
        insert_rows(session, CHECKPOINTS, COLUMNS, [ROWS[0], ROWS[0]])
    with app.store.write() as session:
        insert_rows(session, CHECKPOINTS, COLUMNS, ROWS[:1])
    assert ROWS[0] in checkpoints(app)


def test_what_a_database_refuses_is_an_error_of_sqlalchemy(app: App) -> None:
    """Also where SQLAlchemy is passed by: whoever settles or takes readings waits for a database by that error."""
    same: list[Row] = [(7, bytes(32), b"", None), (7, bytes(32), b"", None)]

    def write(rows: list[Row]) -> None:
        with app.store.write() as session:
            insert_rows(session, CHECKPOINTS, COLUMNS, rows)

    with pytest.raises(IntegrityError):
        write(same)
    assert 7 not in [row[0] for row in checkpoints(app)], "nothing of it is kept"
    write(same[:1])
    sizes = select(CHECKPOINTS.c.size).where(CHECKPOINTS.c.size == bindparam("at"))
    with app.store.read() as session:
        found = execute(session, sizes, {"at": 7})
        assert [row.size for row in found] == [7]
        assert execute(session, sizes, {"at": 8}).scalar() is None
        assert execute(session, sizes, {"at": 7}).mappings().one_or_none() == {"size": 7}
        with pytest.raises(DBAPIError):
            execute(session, sizes, {"at": object()})


def test_who_listens_to_statements_hears_of_these_too(app: App) -> None:
    """By it the tests hold that no query looks through all that there is."""
    with executed(app.store.engine) as statements, app.store.write() as session:
        set_row(session, CHECKPOINTS, "size", 7, {"time": 8})
        execute(session, select(CHECKPOINTS.c.size).where(CHECKPOINTS.c.time == bindparam("then")), {"then": 8})
    told = [statement for statement, _ in statements.executed]
    assert any(statement.startswith("UPDATE ") for statement in told)
    assert any(statement.startswith("SELECT ") for statement in told)
