"""Many rows at once, past the work that SQLAlchemy does for each: inserted, updated, and found by a set of keys.

Rows are tuples of what the drivers take as it is: whole numbers, text, bytes. On PostgreSQL rows are inserted by binary
COPY, updated by one statement over unnested arrays, and found by `= ANY`, so a statement is the same however many rows
it is about, and costs the server one plan. On SQLite they go by executemany and IN, by the driver's own cursor:
SQLAlchemy's way to it takes longer than most of these statements do. Statements that do not wait for
each other's answers go to PostgreSQL in one exchange (`rows_of_all`, `Writes`; libpq's pipeline mode): an exchange
costs both sides as much as several rows do. All of it is in the session's transaction, and what the database refuses
raises as any statement of the session does.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import repeat
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    Select,
    Table,
    UpdateBase,
    bindparam,
    update,
)
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

Row = tuple[int | str | bytes | None, ...]
_NULL = -1
_NO_VALUES: Mapping[str, Any] = MappingProxyType({})
HELD = "authority_held"
"""Where the information of a session has its connection, if that is one and the same until the session's end."""
WRITTEN = "authority_written"
"""The execution option of an engine that names who is told each table that this module writes to."""
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"


def insert_rows(session: Session, table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Insert rows of these columns."""
    connection = _writing(session, table)
    if connection.dialect.name != "postgresql":
        _many(connection, _insert(table, columns), rows)
        return
    statement = _copy(table, columns)
    with _driver(connection, statement) as driver, driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(binary_rows(_types(table, columns), rows))


def update_rows(session: Session, table: Table, key: str, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Set columns of the rows that have these keys; of each row here its key comes first, then the columns' values."""
    if not rows:
        return
    connection = _writing(session, table)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_update_all(table, key, columns), _arrays(table, (key, *columns), rows))
    else:
        _many(connection, _update(table, key, columns), [(*values, found) for found, *values in rows])


def rows_among(
    session: Session,
    statement: Select[Any],
    column: Column[Any],
    values: Collection[str | bytes | int],
    given: Mapping[str, Any] = _NO_VALUES,
) -> Any:
    """The rows of a statement without order in which a column has one of these values; given: its own parameters."""
    connection = _connection(session)
    if connection.dialect.name == "postgresql":
        found = _ARRAYS[_type(column.type)](values)
        return connection.exec_driver_sql(_any(statement, column, connection.dialect), {**given, "among": found})
    before = [given[name] for name in _placed(statement, connection.dialect)[1]] if given else ()
    return _rows(connection, _in(statement, column, connection.dialect, len(values)), (*before, *values))


def set_row(session: Session, table: Table, key: str, at: int | str, values: Mapping[str, Any]) -> None:
    """Set columns of the row that has this key."""
    connection = _writing(session, table)
    if connection.dialect.name == "postgresql":
        connection.execute(_set(table, key), {"key_at": at, **values})
    else:
        _one(connection, _update(table, key, tuple(values)), (*values.values(), at))


def delete_rows(session: Session, table: Table, key: str, values: Collection[int | str]) -> None:
    """Delete the rows that have these keys."""
    if not values:
        return
    connection = _writing(session, table)
    if connection.dialect.name == "postgresql":
        (kind,) = _types(table, (key,))
        connection.exec_driver_sql(_delete_all(table, key), {"among": _ARRAYS[kind](values)})
    else:
        _many(connection, _delete(table, key), [(value,) for value in values])


def execute(session: Session, statement: Select[Any] | UpdateBase, values: Mapping[str, Any] = _NO_VALUES) -> Any:
    """The result of a statement with bound parameters alone.

    On SQLite its text is made once, and rows hold what the driver gives: for numbers, text and bytes that is the same.
    """
    carried_out = _rows
    if isinstance(statement, UpdateBase):
        connection, carried_out = _writing(session, statement.table), _one
    else:
        connection = _connection(session)
    if connection.dialect.name == "postgresql":
        return connection.execute(statement, dict(values))
    text, names, bound = _placed(statement, connection.dialect)
    return carried_out(connection, text, tuple([values[name] if name in values else bound[name] for name in names]))


class Asked(NamedTuple):
    """A statement without parameters and order, and the values that one of its columns may have.

    Without a column the statement as it stands.
    """

    statement: Select[Any]
    column: Column[Any] | None = None
    values: Collection[str | bytes] = ()


def rows_of_all(session: Session, asked: Sequence[Asked]) -> list[Sequence[Any]]:
    """The rows of each of several statements, one executed after the other."""
    connection = _connection(session)
    if connection.dialect.name != "postgresql":
        return [
            execute(session, one.statement).all()
            if one.column is None
            else rows_among(session, one.statement, one.column, one.values).all()
            for one in asked
        ]
    with _driver(connection, "several statements") as driver, driver.pipeline():
        cursors = []
        for one in asked:
            cursor = driver.cursor(binary=True)
            if one.column is None:
                cursor.execute(*_text(one.statement, connection.dialect))
            else:
                among = {"among": _ARRAYS[_type(one.column.type)](one.values)}
                cursor.execute(_any(one.statement, one.column, connection.dialect), among)
            cursors.append(cursor)
        return [cursor.fetchall() for cursor in cursors]


class Writes:
    """Statements whose answers are not waited for one by one.

    On PostgreSQL they are kept until `send`, elsewhere each is executed as it is added.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection = _connection(session)
        self._kept: list[tuple[str, Mapping[str, Any], int | None, Exception | None]] = []
        self.waits = self._connection.dialect.name == "postgresql"
        """Whether what is added waits to be sent."""

    def add(
        self,
        statement: UpdateBase,
        values: Mapping[str, Any],
        *,
        rows: int | None = None,
        otherwise: Exception | None = None,
    ) -> None:
        """A statement with bound parameters alone; `otherwise` is raised where it changes another number of rows."""
        if self.waits:
            _tell(self._connection, statement.table)
            text, bound = _text(statement, self._connection.dialect)
            self._kept.append((text, {**bound, **values}, rows, otherwise))
            return
        changed = execute(self._session, statement, values).rowcount
        if otherwise is not None and changed != rows:
            raise otherwise

    def update(self, table: Table, key: str, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
        """As `update_rows`."""
        if not self.waits:
            update_rows(self._session, table, key, columns, rows)
        elif rows:
            _tell(self._connection, table)
            found = _arrays(table, (key, *columns), rows)
            self._kept.append((_update_all(table, key, columns), found, None, None))

    def send(self) -> None:
        """Have everything executed, in the order in which it was added."""
        kept, self._kept = self._kept, []
        if not kept:
            return
        with _driver(self._connection, "several statements") as driver:
            with driver.pipeline():
                cursors = [driver.cursor() for _ in kept]
                for cursor, (text, values, _, _) in zip(cursors, kept, strict=True):
                    cursor.execute(text, values)
            for cursor, (_, _, rows, otherwise) in zip(cursors, kept, strict=True):
                if otherwise is not None and cursor.rowcount != rows:
                    raise otherwise


@contextmanager
def _driver(connection: Connection, statement: str) -> Iterator[Any]:
    """The driver's own connection; what it raises within the block is SQLAlchemy's error."""
    driver, dialect = connection.connection.driver_connection, connection.dialect
    try:
        yield driver
    except dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(statement, None, error, dialect.loaded_dbapi.Error, dialect=dialect) from error


# The driver's own cursor, on SQLite


def _connection(session: Session) -> Connection:
    held: Connection | None = session.info.get(HELD)
    return session.connection() if held is None else held


def _writing(session: Session, table: Any) -> Connection:
    """The connection, for a statement that writes to this table: whoever counts that is told (WRITTEN)."""
    connection = _connection(session)
    _tell(connection, table)
    return connection


def _tell(connection: Connection, table: Any) -> None:
    written = connection.get_execution_options().get(WRITTEN)
    if written is not None:
        written(table.name)


def _rows(connection: Connection, text: str, values: tuple[Any, ...]) -> Any:
    """The rows of a query, all of them read."""
    found = _one(connection, text, values)
    if not isinstance(found, sqlite3.Cursor):
        return found
    with _as_sqlalchemys(connection, text):
        rows = found.fetchall()
    return IteratorResult(_columns(tuple([each[0] for each in found.description])), iter(rows))


def _one(connection: Connection, text: str, values: tuple[Any, ...]) -> Any:
    """A statement is executed once: the driver's cursor; SQLAlchemy's result where somebody listens to statements."""
    if connection.dispatch.before_cursor_execute:
        return connection.exec_driver_sql(text, values)
    with _as_sqlalchemys(connection, text):
        return connection.connection.driver_connection.execute(text, values)  # type: ignore[union-attr]


def _many(connection: Connection, text: str, rows: Sequence[Row]) -> None:
    """A statement is executed for each row."""
    if connection.dispatch.before_cursor_execute:
        connection.exec_driver_sql(text, list(rows))
        return
    with _as_sqlalchemys(connection, text):
        connection.connection.driver_connection.executemany(text, rows)  # type: ignore[union-attr]


class _as_sqlalchemys:  # noqa: N801 - a context manager by a class, which takes a fifth of the time of a generator's
    """What SQLite raises in the block is SQLAlchemy's error."""

    __slots__ = ("_connection", "_statement")

    def __init__(self, connection: Connection, statement: str) -> None:
        self._connection, self._statement = connection, statement

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            dialect = self._connection.dialect
            raise DBAPIError.instance(
                self._statement, None, error, dialect.loaded_dbapi.Error, dialect=dialect
            ) from error


@cache
def _columns(names: tuple[str, ...]) -> SimpleResultMetaData:
    return SimpleResultMetaData(names)


# Statements, each made once


@lru_cache(512)
def _text(statement: Select[Any] | UpdateBase, dialect: Dialect) -> tuple[str, Mapping[str, Any]]:
    """A statement as the driver takes it, and the values that it has of itself."""
    compiled = statement.compile(dialect=dialect)
    return str(compiled), dict(compiled.params)


@lru_cache(512)
def _placed(statement: Select[Any] | UpdateBase, dialect: Dialect) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
    """A statement with places for its values, whose values stand there, and those that it has of itself."""
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    return str(compiled), tuple(compiled.positiontup or ()), dict(compiled.params)


def _arrays(table: Table, columns: tuple[str, ...], rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The parameters of `_update_all`."""
    each = zip(_types(table, columns), zip(*rows, strict=True), strict=True)
    return {f"c{place}": _ARRAYS[kind](values) for place, (kind, values) in enumerate(each)}


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
def _set(table: Table, key: str) -> UpdateBase:
    return update(table).where(table.columns[key] == bindparam("key_at"))


@cache
def _delete(table: Table, key: str) -> str:
    return f"DELETE FROM {table.name} WHERE {key} = ?"  # noqa: S608


@cache
def _delete_all(table: Table, key: str) -> str:
    return f"DELETE FROM {table.name} WHERE {key} = ANY(%(among)b::{_types(table, (key,))[0]}[])"  # noqa: S608


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


# PostgreSQL's binary form of arrays and rows


_NUMBERS = {"int8": (8, "q"), "int4": (4, "i")}


class _Array(list[Any]):
    """A parameter that goes to PostgreSQL as a binary array, past psycopg's work for each of its values."""

    element, array, letter = 0, 0, ""
    """PostgreSQL's numbers of the types (pg_type.oid), and the letter in `struct` of one that is a number."""

    def to_bytes(self) -> bytes:
        """As array_recv takes it: dimensions, whether a null is there, the type; length, first index; the values."""
        nulls = None in self
        head = (
            struct.pack("!5i", 1, nulls, self.element, len(self), 1) if self else struct.pack("!3i", 0, 0, self.element)
        )
        if self.letter and not nulls:
            form = struct.Struct("!i" + self.letter)
            return head + b"".join(map(form.pack, repeat(form.size - 4), self))
        parts = [head]
        for value in self:
            data, size = _value(value)
            if isinstance(data, int):
                data, size = struct.pack("!" + self.letter, data), struct.calcsize(self.letter)
            parts.append(struct.pack("!i", size) + data)
        return b"".join(parts)


class _Int8s(_Array):
    element, array, letter = 20, 1016, "q"


class _Int4s(_Array):
    element, array, letter = 23, 1007, "i"


class _Octets(_Array):
    element, array = 17, 1001


class _Texts(_Array):
    element, array = 1043, 1015


_ARRAYS: Mapping[str, type[_Array]] = {"int8": _Int8s, "int4": _Int4s, "bytea": _Octets, "varchar": _Texts}


def take_arrays(driver: Any) -> None:
    """Have a connection of psycopg take the arrays of this module."""
    from psycopg.adapt import Dumper  # noqa: PLC0415 - there only where the store is PostgreSQL
    from psycopg.pq import Format  # noqa: PLC0415

    def dumper(kind: type[_Array]) -> type[Dumper]:
        class ArrayDumper(Dumper):
            oid, format = kind.array, Format.BINARY

            def dump(self, obj: _Array) -> bytes:
                return obj.to_bytes()

        return ArrayDumper

    for kind in _ARRAYS.values():
        driver.adapters.register_dumper(kind, dumper(kind))


def binary_rows(types: tuple[str, ...], rows: Sequence[Row]) -> bytes:
    """Rows as COPY takes them (PostgreSQL's manual, COPY, "Binary Format"): a count, then size and value of each.

    A row is packed at once, by a layout for the sizes of its values: rows of one kind have few, most of them one.
    """
    layouts, parts = _layouts(types), [_SIGNATURE]
    columns: list[Sequence[Any]] = []
    sizes: list[int | Sequence[int]] = []
    for kind, column in zip(types, zip(*rows, strict=True), strict=True):
        values, size = _column(kind, column)
        columns.append(values)
        sizes.append(size)
    whole = tuple(size for size in sizes if isinstance(size, int))
    if len(whole) == len(types):
        layout, fields = layouts.get(whole) or layouts.setdefault(whole, _layout(types, whole))
        pack = layout.pack
        for row in zip(*columns, strict=True):
            fields[2::2] = row
            parts.append(pack(*fields))
    else:
        each = [repeat(size, len(rows)) if isinstance(size, int) else size for size in sizes]
        for row, key in zip(zip(*columns, strict=True), zip(*each, strict=True), strict=True):
            layout, fields = layouts.get(key) or layouts.setdefault(key, _layout(types, key))
            fields[2::2] = row
            parts.append(layout.pack(*fields))
    parts.append(_END)
    return b"".join(parts)


def _column(kind: str, column: tuple[Any, ...]) -> tuple[Sequence[Any], int | Sequence[int]]:
    """A column's values as they are packed, and their sizes, or the one that all have; 0 of numbers, which know it."""
    if None in column:
        values, sizes = zip(*(_value(value) for value in column), strict=True)
        return values, sizes
    if kind in _NUMBERS:
        return column, 0
    if kind != "bytea":
        words = {word: word.encode() for word in set(column)}  # a column of texts has few different ones
        column = tuple(words[word] for word in column)
    lengths = list(map(len, column))
    return column, lengths[0] if lengths.count(lengths[0]) == len(lengths) else lengths


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
