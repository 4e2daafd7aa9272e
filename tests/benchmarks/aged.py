"""What pages and resources take on a campus that has run for long, beside a young one of the same kind, in one run.

    python tests/benchmarks/aged.py [--days 60] [--young 3] [--buildings 4] [--members 6] [--home DIR]

Simulates both campuses, of the same seed, with their periods closed and their bills issued, serves each by a validator
and a web process, and asks for each page and resource in turn. Prints JSON: processor milliseconds of the web process
by page, old and young, and their ratio: what grows with the years has a ratio far above 1. The set-up takes some 7
processor seconds a day; `--home` names a home that a simulation left, whose age is used instead.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "support"), str(HERE)]

import simulated_site  # noqa: E402
import web  # noqa: E402
from simulated_site import SimulatedSite  # noqa: E402

from authority import heap  # noqa: E402
from authority.simulation.campus_home import start_of  # noqa: E402
from authority.simulation.scenario import Scenario  # noqa: E402
from authority.simulation.simulation import Out, Request, Simulation  # noqa: E402

TIMES = 5
PERIOD_EPOCHS = 96
"""A billing period of a day for the young campus, so that it has bills too; the scenario's own for the old one."""
SLOW_MS, GREW = 100, 3
"""A page is told of that takes longer, and so many times as long as on the young campus."""


def asked(today: date) -> tuple[tuple[str, str], ...]:
    """By whom, and what."""
    year = today.year
    return (
        ("stranger", "/"), ("stranger", "/market"), ("stranger", "/market?view=year"), ("stranger", "/indicators"),
        ("stranger", "/plan"), ("stranger", "/status"), ("stranger", "/api/v1/campus"),
        ("stranger", "/api/v1/market/prices"),
        ("member", "/me"), ("member", "/me/energy"), ("member", "/me/energy?view=month"),
        ("member", "/me/energy?view=year"), ("member", "/me/trading"), ("member", "/me/money"), ("member", "/me/bills"),
        ("member", "/me/bills/1"), ("member", "/account"), ("member", "/api/v1/me/energy?step=quarter"),
        ("member", f"/api/v1/me/energy?step=month&first={year}-01-01&last={today}"),
        ("operator", "/op"), ("operator", "/op/meters"), ("operator", "/op/epochs"), ("operator", "/op/held"),
        ("treasurer", "/treasury"), ("treasurer", "/treasury/periods/0"), ("treasurer", "/treasury/credits"),
        ("treasurer", "/treasury/payments"), ("treasurer", "/treasury/bills/1"),
        ("auditor", "/audit"), ("auditor", "/audit/log"), ("auditor", "/audit/epochs"),
        ("auditor", "/audit/checkpoints"), ("auditor", "/audit/bills"),
    )  # fmt: skip


def made(home: Path, days: int, buildings: int, members: int) -> Path:
    """The home of a campus that ran for so many days."""
    text = f"[parameters]\nbilling_period_epochs = {PERIOD_EPOCHS}\n" if days < 60 else ""
    request = Request(days, buildings, members, 1, start_of("2025-07-01"), Scenario.parse(text))
    with Out(home, request) as out:
        simulation = Simulation(request, out, lambda *_: None)
        heap.settle()
        simulation.run()
    return home


def measured(home: Path, said: Path) -> dict[str, Any]:
    """Processor milliseconds by page, with the bills of its first period issued."""
    said.mkdir()
    with simulated_site.over(home, said) as site:
        site.bill(0)
        over = web.Site("127.0.0.1", site.port, _processes(site), site.cookies)
        today = datetime.fromtimestamp(site.app.clock(), UTC).date()
        pages: dict[str, Any] = web.cost(over, TIMES, asked(today))["pages"]
        return pages | {"memory_mib": over.memory_mib()}


def _processes(site: SimulatedSite) -> tuple[int, ...]:
    children = Path(f"/proc/{site.web_pid}/task/{site.web_pid}/children").read_text().split()
    return (site.web_pid, *(int(pid) for pid in children))


def main() -> None:
    """Make, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--young", type=int, default=3)
    parser.add_argument("--buildings", type=int, default=4)
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--home", type=Path, help="the old campus's home, made before")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        young = measured(made(here / "young", options.young, options.buildings, options.members), here / "young-said")
        home = options.home or made(here / "old", options.days, options.buildings, options.members)
        old = measured(home, here / "old-said")
    pages = {}
    for path, took in old.items():
        if isinstance(took, dict):
            before = next((each for each in (young.get(path), young.get(path.partition("?")[0])) if each), took)
            ratio = round(took["processor_ms"] / max(before["processor_ms"], 1), 1)
            pages[path] = {
                "old_ms": took["processor_ms"], "young_ms": before["processor_ms"], "ratio": ratio,
                "old_kb": took["kb"], "status": took["status"],
            }  # fmt: skip
    grown = [path for path, each in pages.items() if each["old_ms"] > SLOW_MS and each["ratio"] > GREW]
    memory = {"old": old["memory_mib"], "young": young["memory_mib"]}
    print(json.dumps({"pages": pages, "grown": grown, "memory_mib": memory}, indent=2))


if __name__ == "__main__":
    main()
