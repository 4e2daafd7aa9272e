"""`authority alerts`: tell people of changes by mail or webhook; what waits; a trial message."""

from __future__ import annotations

import argparse
import signal

from authority.app import system_clock
from authority.errors import AuthorityError
from authority.home.home import Home
from authority.monitoring.changes import Memory
from authority.monitoring.delivery import Message, UndeliveredError
from authority.monitoring.post import Post
from authority.monitoring.watcher import CampusLook, Watcher, campus, channels
from edge_agent.wire.command import DONE, FAILED, PROBLEMS, add_json, print_json

DESCRIPTION = (
    "Who is told is in authority.toml, [alerts]: mail_to, webhook_url. `authority serve` runs `authority alerts run` "
    "where one of them is set, or mail_from, from which the treasurer's bills are mailed, or [web] webhooks. Alerts "
    "name no person."
)


class NoChannelError(AuthorityError):
    """Nobody is named to be told."""

    code = "alerts_no_channel"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Without an action it runs until it is told to stop."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("run", help="look and tell until SIGTERM (the default)")
    add_json(actions.add_parser("show", help="what stands, and what waits to be delivered"))
    add_json(actions.add_parser("test", help="send a trial message by every channel"))


def run(arguments: argparse.Namespace) -> int:
    """Show, try, or watch."""
    home = Home.open(arguments.home, "alerts")
    if arguments.action == "show":
        return _show(home, arguments.json)
    to, posts = channels(home), home.settings.alerts.mails_bills or home.settings.web.webhooks
    if not to and (arguments.action == "test" or not posts):
        raise NoChannelError(
            "nobody is told of anything: set mail_to and mail_from, or webhook_url, in authority.toml, [alerts]"
        )
    if arguments.action == "test":
        return _test(home, arguments.json)
    looking = CampusLook(home.path)
    post = Post(home) if posts else None
    watcher = Watcher(home, to, looking, also=post)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watcher.stop.set())
    try:
        watcher.run()
    finally:
        looking.close()
        if post is not None:
            post.close()
    return DONE


def _test(home: Home, as_json: bool) -> int:
    results: dict[str, str | None] = {}
    for name, channel in channels(home).items():
        try:
            channel.deliver(Message("test", campus(home), system_clock()))
            results[name] = None
        except UndeliveredError as error:
            results[name] = str(error)
    if as_json:
        print_json(results)
    else:
        for name, reason in results.items():
            print(f"{name}: delivered" if reason is None else f"{name}: NOT DELIVERED, {reason}")
    return FAILED if any(results.values()) else DONE


def _show(home: Home, as_json: bool) -> int:
    memory = Memory.read(home.path)
    outboxes = {
        name: {
            "waiting": len(outbox.changes) + outbox.left_out,
            "digest": outbox.digest,
            "failing_since": outbox.failing_since,
            "error": outbox.error,
            "delivered_at": outbox.delivered_at,
        }
        for name, outbox in memory.outboxes.items()
    }
    standing = [{"code": each.code, "subject": each.subject, "since": each.since} for each in memory.standing]
    if as_json:
        print_json({"looked_at": memory.looked_at, "standing": standing, "channels": outboxes})
    else:
        for each in memory.standing:
            print(f"{each.subject}: {each.text} [{each.code}]")
        for name, box in outboxes.items():
            state = "takes messages" if box["failing_since"] is None else f"takes nothing: {box['error']}"
            print(f"{name}: {box['waiting']} changes wait, it {state}")
        if not outboxes:
            print("nobody has been told of anything yet: authority alerts test")
    return PROBLEMS if any(outbox.failing_since is not None for outbox in memory.outboxes.values()) else DONE
