"""The declarative base and the column types that the models share."""

from __future__ import annotations

import json
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Dialect, Integer, LargeBinary, MetaData, String, Table, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, mapped_column

from edge_agent.wire.canonical import canonical_json

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

Seconds = Annotated[int, mapped_column(BigInteger)]
"""Unix seconds, UTC."""
BigInt = Annotated[int, mapped_column(BigInteger)]
"""Integers up to 2^63 - 1; u32 values and log indexes. A u64 register does not fit: it stays in the frame's bytes."""
LogIndex = Annotated[int, mapped_column(BigInteger().with_variant(Integer(), "sqlite"))]
"""A leaf's place in the log, as a table's key: SQLite keeps a row under its INTEGER PRIMARY KEY without an index."""
Hash = Annotated[bytes, mapped_column(LargeBinary(32))]
"""SHA-256, or a 32-byte public key or meter id."""
Name = Annotated[str, mapped_column(String(64))]
Json = Annotated[dict[str, object], mapped_column(JSON)]


class CanonicalJson(TypeDecorator[dict[str, object]]):
    """JSON kept as its canonical text (edge_agent.wire.canonical), byte for byte: what a leaf of the log is made of."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        """The text that is kept. NotCanonicalError for what has no canonical text, such as a float."""
        return canonical_json(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, object]:
        """What the text says."""
        return dict(json.loads(value))


class Base(DeclarativeBase):
    """Every model's base; constraints are named by rule, so that migrations can name them."""

    metadata = MetaData(naming_convention=NAMING)


def table_of(model: type[Base]) -> Table:
    """A model's table, for statements over many rows that need no objects."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101
    return table
