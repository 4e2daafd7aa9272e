"""What a member's month and year cost, from readings and books, and from the sums by day that are kept of them.

    python tests/benchmarks/member_pages.py [--days N] [--orders N]

Prints JSON: for a month (31 days by day) and a year (by month) of a member with three meters, on a store of that many
days: CPU milliseconds before the days are kept, and after; CPU milliseconds to keep one member's day, and one day's
books for all members; bytes of SQLite for a member's day. Each book has that many orders, of 350 members.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from packed_accounts import paid_book  # noqa: E402
from sqlalchemy import text  # noqa: E402

from authority.api.member import Members  # noqa: E402
from authority.app import App  # noqa: E402
from authority.chain.client import ChainClient  # noqa: E402
from authority.home.home import Home  # noqa: E402
from authority.log import log  # noqa: E402
from authority.market.book_leaf import book_leaf  # noqa: E402
from authority.people.roles import MemberAccount  # noqa: E402
from authority.settlement import day_sums  # noqa: E402
from authority.store.base import table_of  # noqa: E402
from authority.store.metering import Frame, Gateway, Meter  # noqa: E402
from authority.store.people import Installation, User  # noqa: E402
from authority.store.rows import insert_rows  # noqa: E402
from authority.store.settlement import SettlementEpoch  # noqa: E402
from edge_agent.wire.reading import FRAME_SIZE, Record  # noqa: E402

STEP, DAY, MEMBERS = 900, 86_400, 350
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
UTC_ZONE = ZoneInfo("UTC")
MEMBER = MemberAccount(1, "m", "w")


def no_chain() -> ChainClient:
    raise AssertionError


def cpu_ms(do: Callable[[], object]) -> float:
    """Milliseconds of this process's processor time."""
    before = os.times()
    do()
    after = os.times()
    return round(1000 * (after.user + after.system - before.user - before.system), 1)


def made(app: App, days: int, orders: int) -> None:
    """A store with so many days of three meters, and of books."""
    chance = random.Random(1)  # noqa: S311 - readings, not keys
    with app.store.write() as session:
        session.add(Gateway(name="g"))
        session.add(Installation(n=1, building="A", kind="mixed", nameplate_w=10_000, storage_wh=0, since=0))
        session.add(User(id=1, name="m", building="A", wallet="w", member_index=1))
        session.flush()
        for pk, role in enumerate(("generation", "load", "storage"), 1):
            session.add(
                Meter(
                    id=pk, name=str(pk), gateway_name="g", serial=str(pk), meter_id=bytes([pk] * 32), role=role,
                    source="none", user_id=1, installation_n=1, state="active",
                )
            )  # fmt: skip
    columns = ("log_index", "meter_pk", "public_key", "sequence", "interval_end", "record_hash", "frame", "verdict",
               "code", "received_at", "over", "disposition", "chain_status")  # fmt: skip
    for first in range(0, days * 96, 96):
        rows, books = [], []
        for n in range(first, first + 96):
            end = START + n * STEP
            for pk, (generation, consumption, charge) in enumerate(((n, 0, 0), (0, n, 0), (0, 0, n)), 1):
                record = Record(
                    sequence=n + 1, network_id=bytes(8), interval_end=end, generation=generation,
                    consumption=consumption, charge=charge, discharge=0, interval_seconds=STEP, source=0,
                ).to_bytes()  # fmt: skip
                frame = record.ljust(FRAME_SIZE, b"\0")
                rows.append((10**9 + n * 3 + pk, pk, bytes([pk] * 32), n, end, bytes(32), frame,
                             "accepted", "ok", 0, "mqtt", "accepted", "confirmed"))  # fmt: skip
            side = [(chance.randrange(MEMBERS), chance.randrange(1, 5_000)) for _ in range(orders // 2)]
            books.append((end // STEP, book_leaf(paid_book(end // STEP, 200_000, side, side))))
        with app.store.write() as session:
            insert_rows(session, table_of(Frame), columns, rows)
            at = log.append_all(session, [leaf for _, leaf in books])
            epochs = [(epoch, "checkpointed", 1, 1, 0, 0, 0, 0, index) for index, (epoch, _) in enumerate(books, at)]
            names = ("epoch", "state", "first_seen_ms", "checkpointed_ms", "readings_on_chain", "bids", "asks",
                     "traded_wh", "book_log_index")  # fmt: skip
            insert_rows(session, table_of(SettlementEpoch), names, epochs)


def main() -> int:
    """Make the store, ask, keep, and ask again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--orders", type=int, default=700)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        app = App.open(Home.create(Path(directory) / "home", now=START).path)
        made(app, arguments.days, arguments.orders)
        members = Members(app, no_chain)
        members.zone = UTC_ZONE
        first = datetime.fromtimestamp(START, UTC).date()
        last = datetime.fromtimestamp(START + arguments.days * DAY - 1, UTC).date()
        month = (first, min(last, first.replace(day=31)), "day")
        year = (first, last, "month")
        figures: dict[str, object] = {"days": arguments.days, "orders": arguments.orders}
        before = {}
        for name, asked in (("month", month), ("year", year)):
            figures[f"{name}_ms_from_readings"] = cpu_ms(partial(members.energy, MEMBER, *asked))
            before[name] = members.energy(MEMBER, *asked)
        now = START + arguments.days * DAY
        energy = cpu_ms(partial(kept, app, now, energy=True))
        trades = cpu_ms(partial(kept, app, now, energy=False))
        figures["keep_ms_a_member_day"] = round(energy / arguments.days, 2)
        figures["keep_ms_a_day_of_books"] = round(trades / arguments.days, 1)
        for name, asked in (("month", month), ("year", year)):
            figures[f"{name}_ms_from_days"] = cpu_ms(partial(members.energy, MEMBER, *asked))
            assert members.energy(MEMBER, *asked) == before[name]
        with app.store.engine.connect() as connection:
            for table in ("energy_days", "trade_days"):
                size = "SELECT sum(pgsize) * 1.0 / (SELECT count(*) FROM {0}) FROM dbstat WHERE name = '{0}'"
                figures[f"{table}_bytes_a_row"] = round(connection.scalar(text(size.format(table))) or 0, 1)
        app.store.close()
    print(json.dumps(figures, indent=2))
    return 0


def kept(app: App, now: int, *, energy: bool) -> None:
    """Keep all days of readings, or of books."""
    day_sums.MEMBER_DAYS_A_TURN, day_sums.TRADE_DAYS_A_TURN = (10**6, 0) if energy else (0, 10**6)
    day_sums.keep(app.store, UTC_ZONE, STEP, now)


if __name__ == "__main__":
    raise SystemExit(main())
