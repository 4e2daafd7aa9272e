"""The tables as Parquet beside CSV: the same rows, with the schema's types, units and meanings in the file.

arro3 writes them (the Rust implementation of Arrow and Parquet; 12 MB, where pyarrow has 55). It is an extra of the
distribution, so nothing else needs it. The same table is the same file, byte for byte.
"""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from authority.errors import USAGE, AuthorityError
from authority.measures.tables import Table

EXTRA = "campus-energy-authority[parquet]"
DEMO_TARGET = ".venv/.locked-parquet"
"""What make installs it by into the environment of `make demo`, by its hash."""
COMPRESSION = "zstd(3)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ParquetMissingError(AuthorityError):
    """What writes Parquet is not installed."""

    code = "parquet_missing"
    exit_status = USAGE


def _microseconds(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


_READ: Mapping[str, Callable[[str], object]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": {"true": True, "false": False}.__getitem__,
    "datetime": _microseconds,
}
"""From a field of a CSV to a value, by the schema's type."""


def require() -> None:
    """ParquetMissingError where Parquet cannot be written; asked before anything long is begun."""
    _arro3()


def file_of(table: Table) -> str:
    """A table's file's name as Parquet."""
    return f"{table.name}.parquet"


def written(table: Table, text: str) -> bytes:
    """A table's CSV as a Parquet file. ParquetMissingError; ValueError where the text is not the table's."""
    core, output = _arro3()
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    if head != [column.name for column in table.columns]:
        raise ValueError(f"this is not a table of {table.name}: its columns are {', '.join(head)}")
    fields, arrays = [], []
    for place, column in enumerate(table.columns):
        kind = _type(core, column.kind)
        told = {"unit": column.unit, "title": column.meaning}
        fields.append(
            core.Field(
                column.name,
                kind,
                nullable=column.name not in table.key,
                metadata={name: value for name, value in told.items() if value},
            )
        )
        arrays.append(_array(core, kind, column.kind, [row[place] for row in rows]))
    schema = core.Schema(fields, metadata={"name": table.name, "description": f"{table.row}."})
    out = io.BytesIO()
    output.write_parquet(core.Table.from_arrays(arrays, schema=schema), out, compression=COMPRESSION)
    return out.getvalue()


def resource(table: Table) -> dict[str, Any]:
    """Its part of the data package: the table's own schema, of the other file."""
    return {
        "name": f"{table.name}-parquet",
        "path": file_of(table),
        "description": f"{table.row}: the rows of {table.file}.",
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        "schema": table.resource()["schema"],
    }


def _arro3() -> tuple[Any, Any]:
    try:
        return importlib.import_module("arro3.core"), importlib.import_module("arro3.io")
    except ImportError as error:
        raise ParquetMissingError(
            f"Parquet takes arro3, which is not installed here: in the project's directory `make {DEMO_TARGET}`, for "
            f"an installed authority `make install-authority PARQUET=1`, else pip install '{EXTRA}'; the same tables "
            "are there as CSV without it"
        ) from error


def _type(core: Any, kind: str) -> Any:
    types = core.DataType
    if kind == "datetime":
        return types.timestamp("us", tz="UTC")
    return {"string": types.string, "integer": types.int64, "number": types.float64, "boolean": types.bool}[kind]()


def _array(core: Any, kind: Any, name: str, fields: Sequence[str]) -> Any:
    read = _READ[name]
    values = [None if field == "" else read(field) for field in fields]
    if name == "datetime":
        return core.Array(values, core.DataType.int64()).cast(kind)
    return core.Array(values, kind)
