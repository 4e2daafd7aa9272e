"""What the commands of meters, members, installations and certificates share: options, the desk, the answer."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from authority.app import App
from authority.chain.client import ChainClient
from authority.chain.errors import ProgramError
from authority.enrolment.names import Names
from authority.enrolment.steps import Done, Step
from authority.log.nameless import require_nameless
from authority.operations.desk import Desk
from edge_agent.wire.command import DONE, FAILED, PENDING, add_acting, message_line, print_json

Act = Callable[[Desk, argparse.Namespace], Done]
PRICES = ("sell_at", "buy_at")
"""Names that end as a time's does, and are none."""


def add_act_options(parser: argparse.ArgumentParser, *, reason: bool = True) -> None:
    """The options of every act: who, why, --dry-run, --json."""
    if reason:
        parser.add_argument("--reason", default="", help="why; it is logged, so it names no person")
    add_acting(parser)


@contextmanager
def desk_of(arguments: argparse.Namespace, *, attempts: int = 2) -> Iterator[Desk]:
    """The desk of a command line; steps are told as they are done, unless JSON is asked for."""
    app = App.open(arguments.home)
    client = ChainClient(app.home.rpc_url, attempts=attempts)
    as_json, reason = getattr(arguments, "json", False), getattr(arguments, "reason", "")
    try:
        with app.store.read() as session:
            require_nameless(session, reason)
        yield Desk(
            app,
            client,
            getattr(arguments, "actor", getpass.getuser()),
            reason,
            getattr(arguments, "dry_run", False),
            (lambda step: None) if as_json else tell,
        )
    finally:
        client.close()
        app.store.close()


def tell(step: Step) -> None:
    """A step, as a person reads it; what is left to do goes to stderr."""
    print(f"{step.what}: {step.outcome}", flush=True)
    if step.todo:
        print(message_line("authority", step.todo, step.outcome), file=sys.stderr)


def do(arguments: argparse.Namespace, act: Act) -> int:
    """Do an act; its exit status: 3 where a step waits for something, and is to be done again."""
    with desk_of(arguments) as desk:
        try:
            done = act(desk, arguments)
        except ProgramError as error:
            with desk.app.store.read() as session:
                error.args = (Names.load(session, desk.app.home).in_text(str(error)),)
            raise
    if arguments.json:
        print_json(done.as_json())
    elif "next" in done.facts:
        for line in done.facts["next"]:
            print(f"  next: {line}")
    return DONE if done.complete else PENDING


def show(arguments: argparse.Namespace, value: Any) -> int:
    """One thing with all that is known of it: JSON, or a line a word."""
    if arguments.json:
        print_json(value)
    else:
        _lines(value, "")
    return DONE


def _lines(value: dict[str, Any], indent: str) -> None:
    for name, one in value.items():
        if isinstance(one, dict):
            print(f"{indent}{name.replace('_', ' ')}:")
            _lines(one, indent + "  ")
        elif isinstance(one, list | tuple) and one and all(isinstance(item, dict) for item in one):
            print(f"{indent}{name.replace('_', ' ')}:")
            for item in one:
                print(f"{indent}  " + ", ".join(f"{key} {said(key, each)}" for key, each in item.items()))
        else:
            print(f"{indent}{name.replace('_', ' ')}: {said(name, one)}")


def said(name: str, value: Any) -> str:
    """A value as a person reads it."""
    if value is None or value in ([], ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in PRICES:
        return f"{value} micro-credits per kWh"
    if isinstance(value, int) and name.endswith(("_at", "_end", "_until", "ends")):
        return when(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return str(value)


def when(seconds: int) -> str:
    """A time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def table(arguments: argparse.Namespace, rows: Sequence[dict[str, Any]], columns: Sequence[str], empty: str) -> int:
    """Rows as a table, or as JSON with everything."""
    if arguments.json:
        print_json(list(rows))
        return DONE
    if not rows:
        print(empty)
        return DONE
    cells = [[column.upper().replace("_", " ") for column in columns]]
    cells += [[said(column, row[column]) for column in columns] for row in rows]
    widths = [max(len(line[n]) for line in cells) for n in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return DONE


def time_of(text: str) -> int:
    """A time as it is typed: 2026-12-01T00:00, in UTC unless it says otherwise."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("write it like 2026-12-01T00:00, in UTC") from error
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


__all__ = ["DONE", "FAILED", "Act", "add_act_options", "desk_of", "do", "said", "show", "table", "time_of", "when"]
