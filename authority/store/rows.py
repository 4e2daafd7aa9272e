"""Many rows into a table at once, past the work that SQLAlchemy does for each.

The rows are tuples of what the drivers take as it is: whole numbers, text, bytes. On PostgreSQL they go by COPY, in one
stream, on SQLite by executemany; both in the session's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sqlalchemy import BigInteger, Integer, LargeBinary, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

Row = tuple[int | str | bytes | None, ...]


def insert_rows(session: Session, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Insert rows of these columns. What the database refuses raises as any statement of the session does."""
    connection = session.connection()
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql(_insert(table, columns), list(rows))
        return
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101
    statement, dialect = _copy(table, columns), connection.dialect
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(_types(table, columns))
            for row in rows:
                copy.write_row(row)
    except dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(statement, None, error, dialect.loaded_dbapi.Error, dialect=dialect) from error


@cache
def _insert(table: Table, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


@cache
def _copy(table: Table, columns: tuple[str, ...]) -> str:
    return f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"


@cache
def _types(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns' types by PostgreSQL's names, as its binary format needs them."""
    return tuple(_type(table.columns[name].type) for name in columns)


def _type(kind: object) -> str:
    if isinstance(kind, BigInteger):
        return "int8"
    if isinstance(kind, Integer):
        return "int4"
    return "bytea" if isinstance(kind, LargeBinary) else "varchar"
