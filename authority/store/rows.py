"""Many rows at once, past the work that SQLAlchemy does for each: inserted, updated, and found by a set of keys.

Rows are tuples of what the drivers take as it is: whole numbers, text, bytes. On PostgreSQL rows are inserted by binary
COPY, updated by one statement over unnested arrays, and found by `= ANY`, so a statement is the same however many rows
it is about, and costs the server one plan. On SQLite they go by executemany and IN. All of it is in the session's
transaction, and what the database refuses raises as any statement of the session does.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Integer, LargeBinary, Select, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

Row = tuple[int | str | bytes | None, ...]
_NULL = -1
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"


def insert_rows(session: Session, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Insert rows of these columns."""
    connection = session.connection()
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql(_insert(table, columns), list(rows))
        return
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101
    statement, dialect = _copy(table, columns), connection.dialect
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(binary_rows(_types(table, columns), rows))
    except dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(statement, None, error, dialect.loaded_dbapi.Error, dialect=dialect) from error


def update_rows(session: Session, table: Table, key: str, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Set columns of the rows that have these keys; of each row here its key comes first, then the columns' values."""
    if not rows:
        return
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        arrays = {f"c{place}": list(values) for place, values in enumerate(zip(*rows, strict=True))}
        connection.exec_driver_sql(_update_all(table, key, columns), arrays)
    else:
        connection.exec_driver_sql(_update(table, key, columns), [(*values, found) for found, *values in rows])


def rows_among(session: Session, statement: Select[Any], column: Column[Any], values: Collection[str | bytes]) -> Any:
    """The rows of a statement without parameters and order in which a column has one of these values."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        return connection.exec_driver_sql(_any(statement, column, connection.dialect), {"among": list(values)})
    return connection.exec_driver_sql(_in(statement, column, connection.dialect, len(values)), tuple(values))


# Statements, each made once


@cache
def _insert(table: Table, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


@cache
def _copy(table: Table, columns: tuple[str, ...]) -> str:
    return f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"


@cache
def _update(table: Table, key: str, columns: tuple[str, ...]) -> str:
    return f"UPDATE {table.name} SET {', '.join(f'{name} = ?' for name in columns)} WHERE {key} = ?"  # noqa: S608


@cache
def _update_all(table: Table, key: str, columns: tuple[str, ...]) -> str:
    names = [f"c{place}" for place in range(len(columns) + 1)]
    arrays = (f"%({name})b::{kind}[]" for name, kind in zip(names, _types(table, (key, *columns)), strict=True))
    values = ", ".join(f"{column} = v.{name}" for column, name in zip(columns, names[1:], strict=True))
    return (
        f"UPDATE {table.name} SET {values} FROM unnest({', '.join(arrays)}) AS v({', '.join(names)}) "  # noqa: S608
        f"WHERE {table.name}.{key} = v.c0"
    )


@cache
def _any(statement: Select[Any], column: Column[Any], dialect: Dialect) -> str:
    return f"{_where(statement, dialect)} {column} = ANY(%(among)b::{_type(column.type)}[])"


@lru_cache(512)
def _in(statement: Select[Any], column: Column[Any], dialect: Dialect, count: int) -> str:
    return f"{_where(statement, dialect)} {column} IN ({', '.join('?' * count)})"


def _where(statement: Select[Any], dialect: Dialect) -> str:
    return f"{statement.compile(dialect=dialect)} {'WHERE' if statement.whereclause is None else 'AND'}"


@cache
def _types(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns' types by PostgreSQL's names."""
    return tuple(_type(table.columns[name].type) for name in columns)


def _type(kind: object) -> str:
    if isinstance(kind, BigInteger):
        return "int8"
    if isinstance(kind, Integer):
        return "int4"
    return "bytea" if isinstance(kind, LargeBinary) else "varchar"


# PostgreSQL's binary form of rows


_NUMBERS = {"int8": (8, "q"), "int4": (4, "i")}


def binary_rows(types: tuple[str, ...], rows: Sequence[Row]) -> bytes:
    """Rows as COPY takes them (PostgreSQL's manual, COPY, "Binary Format"): a count, then size and value of each.

    A row is packed at once, by a layout for the sizes of its values: rows of one kind have few.
    """
    layouts, parts = _layouts(types), [_SIGNATURE]
    columns, sizes = [], []
    for kind, column in zip(types, zip(*rows, strict=True), strict=True):
        values, size = _column(kind, column)
        columns.append(values)
        sizes.append(size)
    for row, key in zip(zip(*columns, strict=True), zip(*sizes, strict=True), strict=True):
        known = layouts.get(key)
        if known is None:
            known = layouts[key] = _layout(types, key)
        layout, fields = known
        fields[2::2] = row
        parts.append(layout.pack(*fields))
    parts.append(_END)
    return b"".join(parts)


def _column(kind: str, column: tuple[Any, ...]) -> tuple[Sequence[Any], Sequence[int]]:
    """A column's values as they are packed, and their sizes; of numbers, whose sizes are known, 0."""
    if None in column:
        values, sizes = zip(*(_value(value) for value in column), strict=True)
        return values, sizes
    if kind in _NUMBERS:
        return column, [0] * len(column)
    data = list(column) if kind == "bytea" else [value.encode() for value in column]
    return data, list(map(len, data))


def _value(value: int | str | bytes | None) -> tuple[int | bytes, int]:
    if value is None:
        return b"", _NULL
    if isinstance(value, int):
        return value, 0
    data = value.encode() if isinstance(value, str) else value
    return data, len(data)


@cache
def _layouts(types: tuple[str, ...]) -> dict[tuple[int, ...], tuple[struct.Struct, list[Any]]]:
    """The layouts of rows of these types, by the sizes of their values; tables have short texts, so few."""
    return {}


def _layout(types: tuple[str, ...], sizes: tuple[int, ...]) -> tuple[struct.Struct, list[Any]]:
    """A row's struct, and its fields with places for the values: the count, then a size and a value for each column."""
    form, fields = ["!h"], [len(types)]
    for kind, size in zip(types, sizes, strict=True):
        width, letter = _NUMBERS.get(kind, (size, f"{max(size, 0)}s"))
        if size == _NULL:
            width, letter = _NULL, "0s"
        form.append("i" + letter)
        fields += [width, 0]
    return struct.Struct("".join(form)), fields
