"""The statements that a block of code really executes, and how the database would find their rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event, text

HISTORY = (
    "frames", "log_leaves", "log_tiles", "log_checkpoints", "log_published", "log_cosignatures",
    "acts", "settled_spans", "settlement_epochs",
    "parked_frames", "incidents", "energy_days", "trade_days", "market_days", "hand_orders", "transfers",
    "bills", "bill_mails", "bill_payments", "credit_entries", "credit_requests", "payout_orders",
    "billing_folded_facts", "billing_folded_credits", "billing_chain_events", "settlement_acts",
    "claims", "enrolments", "approvals", "logged_reads", "carried_frames",
    "tickets", "ticket_words", "announcements",
)  # fmt: skip
"""Tables that grow with time; all others grow with the campus, or by a few rows a year."""

OPEN = (
    "ix_frames_held",
    "ix_frames_waiting",
    "ix_hand_orders_open",
    "ix_transfers_open",
    "ix_credit_entries_unordered",
)
"""Indexes that hold what is open alone, and may be read whole."""

GROUPS = (
    "ix_bills_period_wallet", "ix_bills_wallet_number", "ix_bills_left_open",
    "ix_bill_payments_bill_booked_on_log_index", "ix_payout_orders_batch", "ix_payout_orders_bill",
    "ix_enrolments_state_created_at",
)  # fmt: skip
"""Indexes by which something is found whose size time does not change, and which may be sorted: a bill's payments, a
period's or a member's bills, what is open."""


class Statements:
    """What was executed: text and (the first) parameters, in order."""

    def __init__(self) -> None:
        self.executed: list[tuple[str, Any]] = []

    def plans(self, engine: Engine) -> dict[str, str]:
        """The plan of each statement that looks for rows, by its text."""
        found: dict[str, str] = {}
        postgresql = engine.dialect.name == "postgresql"
        with engine.connect() as connection:
            if (
                postgresql
            ):  # a small table is read whole for want of a reason not to; here the question is whether it must be
                connection.execute(text("SET enable_seqscan = off"))
                connection.execute(text("SET enable_sort = off"))
            for statement, parameters in self.executed:
                if statement.split()[0] not in ("SELECT", "UPDATE", "DELETE"):
                    continue
                explain = "EXPLAIN " if postgresql else "EXPLAIN QUERY PLAN "
                rows = connection.exec_driver_sql(explain + statement, parameters).all()
                found[statement] = "\n".join(str(row[-1]) for row in rows)
        return found

    def growing(self, engine: Engine) -> list[str]:
        """Statements whose plan reads a table of HISTORY whole, or sorts rows of one."""
        found = []
        for statement, plan in self.plans(engine).items():
            lines = plan.splitlines()
            around = zip(["", *lines[:-1]], lines, [*lines[1:], ""], strict=True)
            sorts = any(_sorts(line) for line in lines)
            newest = "LIMIT" in statement and "WHERE" not in statement and not sorts  # the first rows of an order
            if (not newest and any(_reads_all(*each) for each in around)) or (
                sorts and any(_finds_many(line) for line in lines)
            ):
                found.append(f"{statement}\n{plan}")
        return found


def _reads_all(before: str, line: str, following: str) -> bool:
    if any(index in line for index in OPEN):
        return False
    if before.strip().removeprefix("->").strip().startswith("Limit ") and "Filter:" not in following:
        return False  # the first or last of an index: PostgreSQL 17 names no condition there, 15 that it is not null
    for name in HISTORY:
        if f"SCAN {name}" in line or f"Seq Scan on {name}" in line:
            return True
        if "Index" in line and " Scan " in line and f" on {name}" in line and "Index Cond" not in following:
            return True
    return False


def _finds_many(line: str) -> bool:
    if "Bitmap Heap Scan" in line:
        return False  # its index has a line of its own
    if any(index in line for index in (*OPEN, *GROUPS)) or "sqlite_autoindex" in line or "PRIMARY KEY" in line:
        return False
    return any(f"{way} {name}" in line for name in HISTORY for way in ("SCAN", "SEARCH", "on"))


def _sorts(line: str) -> bool:
    return "TEMP B-TREE" in line or line.strip().removeprefix("->").strip().startswith("Sort ")


@contextmanager
def executed(engine: Engine) -> Iterator[Statements]:
    """Note every statement that the engine executes in the block."""
    statements = Statements()

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        statements.executed.append((statement, parameters[0] if many else parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)
