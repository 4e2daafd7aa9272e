"""What people's five ways through the pages take: clicks, keys, typed characters, screens, and seconds of a machine.

    python tests/benchmarks/flows.py [--only F1 ...] [--by pointer keyboard] [--members N] [--epochs N]

Each is walked in Chromium at 390 px (tests/support/five_flows.py says what each is), by a pointer and by keys alone: F1
to F5 over a campus of four members on a validator, whose billing period is over, and `F5_month` over a month of so many
members (200) and epochs (2,976), with two gaps, mails to a relay on this machine, and a payment file. Prints JSON, by
flow what it took and what was aimed at, which is in seconds of a person: those that a person reads, thinks and types
are not in the figures. `waited_seconds` are what the person waited for the machine; `machine_seconds` of F5_month are
those of its parts, until the last mail was taken. `faults` are places where somebody at the keyboard does not see the
focus. `F1_campus` is F1 from the mail of the invitation on, by the campus's own login, which is an OpenID provider on
this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "support")]

import billed_month  # noqa: E402
import billed_site  # noqa: E402
import campus_login  # noqa: E402
from browser import CHROMIUM  # noqa: E402
from five_flows import AIMS, FiveFlows  # noqa: E402
from mail_relay import Relay  # noqa: E402
from person_at_pages import Person, PersonAtTheKeyboard  # noqa: E402
from served import served  # noqa: E402

from authority import heap  # noqa: E402
from authority.app import App  # noqa: E402
from authority.home.home import Home  # noqa: E402

FLOWS = ("F5", "F1", "F2", "F3", "F4")
"""In this order: what the treasurer issues, the student looks at."""
MONTH, BY_LOGIN = "F5_month", "F1_campus"
ALL = (*FLOWS, BY_LOGIN, MONTH)
KINDS: dict[str, type[Person]] = {"pointer": Person, "keyboard": PersonAtTheKeyboard}


def walked(kind: type[Person], wanted: set[str], members: int, epochs: int) -> dict[str, Any]:
    """Walk what is wanted in one way; what each took."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if BY_LOGIN in wanted:
            home = Home.create(made / "invited", now=int(time.time()))
            app = App.open(home.path)
            stack.callback(app.store.close)
            invited = stack.enter_context(campus_login.over(app))
            flows = FiveFlows(invited, stack.enter_context(served(invited.flask)), made, kind)
            flows.F1_campus()
            found |= flows.found
        if wanted & {*FLOWS}:
            site = stack.enter_context(billed_site.over(made / "campus"))
            flows = FiveFlows(site, stack.enter_context(served(site.flask)), made, kind)
            for name in FLOWS:
                if name in wanted:
                    getattr(flows, name)()
            found |= flows.found
        if MONTH in wanted:
            relay = Relay()
            relay.start()
            stack.callback(relay.stop)
            site = stack.enter_context(billed_month.over(made / "month", members, relay.port, epochs))
            flows = FiveFlows(site, stack.enter_context(served(site.flask)), made, kind)
            heap.settle()  # as the web process does
            flows.F5_month(relay)
            found |= flows.found
    return {name: took | ({"aim": AIMS[name]} if name in AIMS else {}) for name, took in found.items()}


def main() -> int:
    """Walk what is asked for, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(ALL), default=ALL)
    parser.add_argument("--by", nargs="+", choices=tuple(KINDS), default=tuple(KINDS))
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=billed_month.MONTH)
    options = parser.parse_args()
    if CHROMIUM is None:
        print("no chromium: apt-get install chromium", file=sys.stderr)
        return 1
    wanted = {*options.only} | ({"F5"} if "F2" in options.only else set())  # a bill to look at
    flows = {by: walked(KINDS[by], wanted, options.members, options.epochs) for by in options.by}
    told = {
        "width": 390,
        "members": 4,
        "members_of_the_month": options.members,
        "epochs_of_the_month": options.epochs,
        "processors": os.cpu_count(),
        "machine_load_average": round(os.getloadavg()[0], 1),
        "flows": flows,
    }
    print(json.dumps(told, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
