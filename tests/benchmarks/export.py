"""What it costs to take out all data of a member with a long history: the process that makes it, and the web process.

    python tests/benchmarks/export.py [--days N] [--orders N]

Prints JSON: the archive's bytes; processor seconds and peak MiB of the process that makes it; processor seconds of the
process that hands it on, and by how many MiB that grew; seconds until the first bytes came. The member has three
meters, and each of the books has that many orders, of 350 members, as in member_pages.py.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from member_pages import DAY, START, made  # noqa: E402
from solders.keypair import Keypair  # noqa: E402

from authority.api.me_export import Exports  # noqa: E402
from authority.app import App  # noqa: E402
from authority.home.home import Home  # noqa: E402
from authority.people import records  # noqa: E402
from authority.store.people import User  # noqa: E402


def main() -> int:
    """Make the store, and take the member's data out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--orders", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        now = START + arguments.days * DAY
        app = App.open(Home.create(Path(directory) / "home", now=START).path, lambda: now)
        made(app, arguments.days, arguments.orders)
        with app.store.write() as session:
            person = records.add(session, "a@campus.example", "A", now=now)
            member = session.get_one(User, 1)
            member.wallet = str(Keypair().pubkey())
            records.grant(session, person, "member", by="x", now=now, member=member)
            pseudonym = person.pseudonym
        before, grown = os.times(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, first, size = time.perf_counter(), 0.0, 0
        for chunk in Exports(app).start(pseudonym, "en"):
            first = first or time.perf_counter() - started
            size += len(chunk)
        after, child = os.times(), resource.getrusage(resource.RUSAGE_CHILDREN)
        figures = {
            "days": arguments.days,
            "orders": arguments.orders,
            "archive_bytes": size,
            "maker_cpu_s": round(child.ru_utime + child.ru_stime, 1),
            "maker_peak_mib": round(child.ru_maxrss / 1024, 1),
            "web_cpu_s": round(after.user + after.system - before.user - before.system, 3),
            "web_grew_mib": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown) / 1024, 1),
            "first_bytes_s": round(first, 1),
        }
        app.store.close()
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
