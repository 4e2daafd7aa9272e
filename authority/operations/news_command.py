"""`authority announcements`: what the department tells on the pages and by mail."""

from __future__ import annotations

import argparse
from typing import Any

from authority.enrolment.steps import Done
from authority.operations import news
from authority.operations.command_parts import Act, add_act_options, desk_of, do, table, time_of
from authority.operations.desk import Desk
from edge_agent.wire.command import add_json

DESCRIPTION = (
    "Announcements are plain text. Those for everybody are on the first page, so name nobody in them; those for "
    "members, or for one building, are on these members' pages. Members are mailed them, unless they chose otherwise."
)
EXAMPLES = """examples:
  authority announcements list
  authority announcements make --to members --title "Meters are read late" --text "No energy is lost." \\
      --until 2026-12-02T12:00
  authority announcements withdraw 4"""
COLUMNS = ("announcement", "state", "audience", "building", "title", "starts_at", "ends_at")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """list, make, withdraw."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the newest, with their texts where JSON is asked for")
    listing.add_argument("--before", type=int, metavar="ANNOUNCEMENT", help="only older ones than this number")
    add_json(listing)
    making = actions.add_parser("make", help="announce something")
    whom = making.add_mutually_exclusive_group(required=True)
    whom.add_argument("--to", choices=(news.EVERYBODY, news.MEMBERS), help="for whom it is")
    whom.add_argument("--building", default="", help="for the members of this building")
    making.add_argument("--title", required=True, help=f"at most {news.LONGEST_TITLE} characters")
    making.add_argument("--text", required=True, help="it is kept out of the log")
    making.add_argument(
        "--from", dest="since", type=time_of, metavar="TIME", help="2026-12-01T00:00, in UTC (default: now)"
    )
    making.add_argument("--until", required=True, type=time_of, metavar="TIME", help="when it ends, in UTC")
    ending = actions.add_parser("withdraw", help="take one back")
    ending.add_argument("announcement", type=int, metavar="ANNOUNCEMENT")
    for acting in (making, ending):
        add_act_options(acting, reason=False)


def run(arguments: argparse.Namespace) -> int:
    """Do it, and say what was done."""
    act = _ACTS.get(arguments.action)
    if act is not None:
        return do(arguments, act)
    with desk_of(arguments) as desk:
        rows = _listed(desk, arguments.before)
    return table(arguments, rows, COLUMNS, "nothing was announced yet")


def _listed(desk: Desk, before: int | None) -> list[dict[str, Any]]:
    now = desk.app.clock()
    with desk.app.store.read() as session:
        return [
            {
                "announcement": each.id,
                "state": news.state_of(each, now),
                "audience": each.audience,
                "building": each.building,
                "title": each.title,
                "text": each.text,
                "starts_at": each.starts_at,
                "ends_at": each.ends_at,
                "made_at": each.made_at,
                "withdrawn_at": each.withdrawn_at,
            }
            for each in news.listed(session, before)
        ]


def _make(desk: Desk, words: argparse.Namespace) -> Done:
    done = desk.begin("announce", words.title)
    since = desk.app.clock() if words.since is None else words.since
    number, new = news.publish(
        desk.app, words.title, words.text, since, words.until, words.to or news.BUILDING, words.building,
        actor=desk.actor, dry_run=desk.dry_run,
    )  # fmt: skip
    if not (new and desk.dry_run):
        done.facts["announcement"] = number
    said = "would be announced" if desk.dry_run else f"is announced as {number}"
    desk.note(done, words.title, said if new else f"was announced before, as {number}", changed=new)
    return done


def _withdraw(desk: Desk, words: argparse.Namespace) -> Done:
    done = desk.begin("withdraw", str(words.announcement))
    new = news.withdraw(desk.app, words.announcement, actor=desk.actor, dry_run=desk.dry_run)
    said = "would be withdrawn" if desk.dry_run else "is withdrawn"
    desk.note(done, f"announcement {words.announcement}", said if new else "was withdrawn before", changed=new)
    return done


_ACTS: dict[str, Act] = {"make": _make, "withdraw": _withdraw}
