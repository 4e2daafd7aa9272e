"""`authority certificates`: which there are and when they end; and the process that renews them."""

from __future__ import annotations

import argparse
import signal

from authority.app import App
from authority.operations import certificates
from authority.operations.command_parts import table
from edge_agent.wire.command import DONE, add_json, tell

DESCRIPTION = (
    "Certificates are renewed without a person: gateways ask for theirs a third of its life before its end, and "
    "`authority certificates run`, which `authority serve` runs, issues them and renews the authority's own."
)
COLUMNS = ("name", "purpose", "ends", "days_left", "renewing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Without an action the keeper runs until it is told to stop."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("run", help="issue and renew until SIGTERM (the default)")
    add_json(actions.add_parser("list", help="names, ends, days left"))
    add_json(actions.add_parser("renew", help="issue and renew what is due, once"))


def run(arguments: argparse.Namespace) -> int:
    """List, renew once, or keep."""
    app = App.open(arguments.home, process="certificates")
    try:
        if arguments.action == "list":
            now = app.clock()
            rows = [each.as_json(now) for each in certificates.listed(app)]
            return table(arguments, rows, COLUMNS, "there is no certificate: authority init")
        if arguments.action == "renew":
            names = certificates.renew(app)
            tell(arguments, {"renewed": names}, f"renewed: {', '.join(names) or 'nothing'}")
            return DONE
        keeper = certificates.Keeper(app)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: keeper.stop.set())
        keeper.run()
    finally:
        app.store.close()
    return DONE
