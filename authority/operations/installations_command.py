"""`authority installations`: what is built, and a change of nameplate or storage."""

from __future__ import annotations

import argparse

from authority.enrolment.steps import Done
from authority.operations import installations
from authority.operations.command_parts import add_act_options, desk_of, do, table, time_of
from authority.operations.desk import Desk
from edge_agent.wire.command import add_json

EXAMPLES = """example, a larger PV plant from the first of December on:
  authority installations change 1 --nameplate-w 15000 --from-time 2026-12-01T00:00 --reason "extension"
"""
COLUMNS = ("n", "building", "kind", "nameplate_w", "storage_wh", "on_chain", "meters")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """List, or change one."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_json(actions.add_parser("list", help="every installation, and the meters that stand there"))
    changing = actions.add_parser("change", help="have another nameplate or storage hold from a later epoch on")
    changing.add_argument("n", type=int, metavar="N", help="the installation's number")
    changing.add_argument("--nameplate-w", type=int, metavar="W", help="greatest power (default: as it is)")
    changing.add_argument("--storage-wh", type=int, metavar="WH", help="usable storage (default: as it is)")
    start = changing.add_mutually_exclusive_group()
    start.add_argument("--from-epoch", type=int, metavar="EPOCH", help="(default: the next)")
    start.add_argument(
        "--from-time", type=time_of, metavar="TIME", help="the first epoch that begins then or later, UTC"
    )
    add_act_options(changing)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    if arguments.action == "change":
        return do(arguments, _change)
    with desk_of(arguments) as desk:
        rows = installations.listed(desk)
    status = table(arguments, rows, COLUMNS, "there is no installation yet: authority enrol campus FILE")
    if not arguments.json:
        for row in rows:
            if row["staged"] is not None:
                size = f"{row['staged']['nameplate_w']} W, {row['staged']['storage_wh']} Wh"
                print(f"{row['n']}: {size} from epoch {row['staged']['from_epoch']} on")
    return status


def _change(desk: Desk, words: argparse.Namespace) -> Done:
    return installations.change(
        desk,
        words.n,
        nameplate_w=words.nameplate_w,
        storage_wh=words.storage_wh,
        from_epoch=words.from_epoch,
        from_time=words.from_time,
    )
