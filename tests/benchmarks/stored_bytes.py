"""Bytes that a reading leaves behind in the authority's store and in the embedded validator's ledger; JSON.

    python tests/benchmarks/stored_bytes.py [--members 24] [--epochs 8]

A campus as in settlement.py: members with three meters and a standing order each, half of them sell. After two epochs
that make the market, the bytes are counted that each table grows by in the epochs that follow (SQLite's own count of
pages, indexes included). `gigabytes_a_year` is what 1,000 meters with epochs of a quarter of an hour come to.

Then a bundle is exported and the ledger pruned of all that may go (`authority audit prune --keep-days 0`): how many
transactions go and stay, and the ledger's bytes of them. `gigabytes_a_year_pruned` has 35 days of the ledger's growth
and, of the rest of the year, what pruning leaves of a transaction.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support"), str(Path(__file__).parent)]

from settlement import start  # noqa: E402
from whole_campus import Campus  # noqa: E402

from authority.audit.pruning import prune  # noqa: E402
from authority.cli import main as main_of  # noqa: E402

YEAR = 1_000 * 365 * 96
WARM_UP = 3


def pages(file: Path) -> dict[str, int]:
    """Bytes of each table and index, with its name."""
    connection = sqlite3.connect(file)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
    finally:
        connection.close()


def growth(before: Mapping[str, int], after: Mapping[str, int], readings: int) -> dict[str, float]:
    """Bytes a reading by which each grew, the largest first."""
    grown = {name: (size - before.get(name, 0)) / readings for name, size in after.items()}
    ordered = sorted(grown.items(), key=lambda each: -each[1])
    return {"all": round(sum(grown.values()), 1), **{name: round(each, 1) for name, each in ordered if each >= 1}}


def live(campus: Campus, epochs: int) -> None:
    """Epochs go by in which everybody reads and everything is settled."""
    worker = campus.worker()
    for _ in range(epochs):
        campus.read_all(campus.next_epoch())
        worker.settle_down()


def pruned(campus: Campus, ledger: Path) -> dict[str, float]:
    """What goes and stays, and the share of a dropped transaction's bytes that is left in the ledger."""
    campus.next_epoch()
    campus.validator.stop()
    campus.validator.start()  # its slots come up with the clock, so that nothing of before can land again
    live(campus, 1)
    campus.validator.stop()
    bundle = campus.home_path / "bundle"
    with contextlib.redirect_stdout(sys.stderr):
        assert main_of(["audit", "export", "--home", str(campus.home_path), "--bundle", str(bundle)]) == 0
    before = _transactions(pages(ledger))
    found = prune(campus.app, bundle, 0, actor="benchmark")
    after = _transactions(pages(ledger))
    share = found.dropped / (found.dropped + found.kept)
    return {
        "dropped": found.dropped,
        "kept": found.kept,
        "bytes_before": before,
        "bytes_after": after,
        "left_of_a_dropped_one": round(max(0.0, 1 - (before - after) / (before * share)), 3),
    }


def _transactions(sizes: Mapping[str, int]) -> int:
    """The bytes of a ledger's transactions, without its accounts."""
    return sum(size for name, size in sizes.items() if name not in ("account", "sqlite_schema", "property"))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--members", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        campus = start(Path(name), 3 * arguments.members)
        try:
            campus.read_all(campus.epoch * campus.epoch_seconds, moving=False)
            live(campus, WARM_UP)
            files = campus.home.path / "authority.db", campus.home.validator_directory / "ledger.db"
            before = [pages(file) for file in files]
            live(campus, arguments.epochs)
            readings = arguments.epochs * len(campus.meters)
            store, ledger = (
                growth(earlier, pages(file), readings) for earlier, file in zip(before, files, strict=True)
            )
            of_ledger = pruned(campus, files[1])
        finally:
            campus.close()
    left = 35 / 365 + 330 / 365 * of_ledger["left_of_a_dropped_one"]
    figures = {
        "readings": readings,
        "store_bytes_a_reading": store,
        "ledger_bytes_a_reading": ledger,
        "gigabytes_a_year": round((store["all"] + ledger["all"]) * YEAR / 1e9, 1),
        "pruned": of_ledger,
        "gigabytes_a_year_pruned": round((store["all"] + left * ledger["all"]) * YEAR / 1e9, 1),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
