"""The tables as Parquet: read back by another implementation, and told clearly where nothing can write them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import behind_a_peer
import pytest

from authority.cli import main
from authority.errors import USAGE
from authority.measures import tables
from authority.measures.parquet import DEMO_TARGET, ParquetMissingError, file_of, require, written

WRITTEN = """
import csv, io, sys
import pyarrow, pyarrow.parquet
from authority.measures import parquet, tables
from authority.simulation.runs import RUNS, SPREAD

KINDS = {
    "string": pyarrow.string(), "integer": pyarrow.int64(), "number": pyarrow.float64(), "boolean": pyarrow.bool_(),
    "datetime": pyarrow.timestamp("us", "UTC"),
}
FIELDS = {
    "string": ["Caf\\u00e9, \\"room\\" 7", "a\\nb", "x"],
    "integer": ["-9007199254740993", "0", ""],
    "number": ["0.1", "-1e-300", ""],
    "boolean": ["true", "false", ""],
    "datetime": ["2026-06-01T00:15:00Z", "1970-01-01T00:00:00Z", "2026-06-01T02:15:00Z"],
}
READ = {
    "string": lambda v: v, "integer": str, "number": repr, "boolean": lambda v: str(v).lower(),
    "datetime": lambda v: v.strftime("%Y-%m-%dT%H:%M:%SZ"),
}
for table in (tables.EPOCHS, tables.MEMBERS, tables.METERS, tables.MARKETS, tables.MARKET_EPOCHS, RUNS, SPREAD):
    def field(column, row):
        field = FIELDS[column.kind][row]
        return field if field or column.name not in table.key else "5"  # what names a row is never unknown
    rows = [[field(column, row) for column in table.columns] for row in range(3)]
    text = table.csv(rows)
    data = parquet.written(table, text)
    assert data == parquet.written(table, text), "the same table is the same file"
    found = pyarrow.parquet.read_table(io.BytesIO(data))
    assert found.schema.metadata[b"name"].decode() == table.name
    for column, kind in zip(table.columns, found.schema, strict=True):
        assert (kind.name, kind.type) == (column.name, KINDS[column.kind])
        assert kind.nullable == (column.name not in table.key)
        assert kind.metadata.get(b"unit", b"").decode() == column.unit
        assert kind.metadata[b"title"].decode() == column.meaning
    for place, column in enumerate(table.columns):
        got = ["" if value is None else READ[column.kind](value) for value in found.column(place).to_pylist()]
        assert got == [row[place] for row in rows], column
    empty = pyarrow.parquet.read_table(io.BytesIO(parquet.written(table, table.csv([]))))
    assert (empty.num_rows, empty.schema) == (0, found.schema)
    for wrong in (text.replace(table.columns[0].name, "other", 1), tables.EPOCHS.csv([]) if table is not tables.EPOCHS
                  else tables.METERS.csv([])):
        try:
            parquet.written(table, wrong)
        except ValueError as error:
            assert f"this is not a table of {table.name}" in str(error)
        else:
            raise AssertionError("a table under another's name was written")
print("good")
"""

SIMULATED = """
import csv, json, sys
from pathlib import Path
import pyarrow.parquet
from authority.cli import main

out = Path(sys.argv[1])
assert main(["simulate", "--buildings", "1", "--scenario", sys.argv[2], "--out", str(out), "--quiet", "--parquet"]) == 0
package = json.loads((out / "datapackage.json").read_text())
compared = 0
for resource in package["resources"]:
    if resource["format"] == "parquet":
        found = pyarrow.parquet.read_table(out / resource["path"])
        with (out / resource["path"]).with_suffix(".csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert found.column_names == [field["name"] for field in resource["schema"]["fields"]] == list(rows[0])
        assert found.num_rows == len(rows)
        for field in resource["schema"]["fields"]:
            if field["type"] == "integer":
                values = found.column(field["name"]).to_pylist()
                assert [row[field["name"]] for row in rows] == ["" if v is None else str(v) for v in values]
                compared += len(rows)
print(compared)
"""


def test_every_table_is_read_back_as_it_was(tmp_path: Path) -> None:
    ran = behind_a_peer.run("parquet", WRITTEN, tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "good\n"), ran.stderr


@pytest.mark.slow
def test_a_simulation_leaves_its_tables_in_both_forms(tmp_path: Path) -> None:
    (tmp_path / "hourly.toml").write_text("epoch_seconds = 3600\n")
    ran = behind_a_peer.run("parquet", SIMULATED, tmp_path, str(tmp_path / "day"), str(tmp_path / "hourly.toml"))
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout.splitlines()[-1]) > 600
    assert (tmp_path / "day" / file_of(tables.METERS)).is_file()
    # Reported again without it, no table of before is left beside newer ones.
    words = ["simulate", "--buildings", "1", "--scenario", str(tmp_path / "hourly.toml"), "--quiet"]
    assert main([*words, "--out", str(tmp_path / "day")]) == 0
    assert not list((tmp_path / "day").glob("*.parquet"))
    package = json.loads((tmp_path / "day" / tables.PACKAGE_NAME).read_text())
    assert {each["format"] for each in package["resources"]} == {"csv"}


def test_where_nothing_can_write_it_that_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "arro3.core", None)  # as if it were not installed
    with pytest.raises(ParquetMissingError):
        require()
    with pytest.raises(ParquetMissingError):
        written(tables.EPOCHS, tables.EPOCHS.csv([]))
    for more in ([], ["--seeds", "1-2"]):
        assert main(["simulate", "--out", str(tmp_path / "day"), "--parquet", *more]) == USAGE
        told = capsys.readouterr().err
        assert "pip install 'campus-energy-authority[parquet]'" in told
        assert f"`make {DEMO_TARGET}`" in told
        assert "[parquet_missing]" in told
    assert not (tmp_path / "day").exists()


def test_the_command_that_installs_it_is_one_of_makes() -> None:
    words = ["make", "--dry-run", "--always-make", "--no-print-directory", DEMO_TARGET]
    ran = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "requirements/parquet.lock" in ran.stdout
