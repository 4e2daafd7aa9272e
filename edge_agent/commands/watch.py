"""`edge-agent watch`: the status as it changes, for whoever stands at the meters and turns a screw."""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from edge_agent.config import load_config
from edge_agent.state.status import STAGES, problems, read_status, render
from edge_agent.wire.command import DONE, say

DESCRIPTION = (
    "Shows the running agent's status until Ctrl-C. On a terminal it is one page that is drawn anew; elsewhere, or "
    "with --lines, a line for each stage that a meter's reading has come to and for each problem that comes or goes. "
    "It reads the status file alone, which the agent writes within two seconds of anything notable, else every 30 s."
)
EXAMPLES = """examples:
  edge-agent watch --config gateway.toml
  edge-agent watch --config gateway.toml --lines solar          # one meter's stages, a line each"""

CLEAR = "\x1b[H\x1b[J"
LOOK_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `edge-agent watch`."""
    parser.add_argument("meter", nargs="?", metavar="METER", help="this meter alone")
    parser.add_argument("--lines", action="store_true", help="a line for each change, also on a terminal")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so many seconds")


def run(options: argparse.Namespace) -> int:
    """Show it until interrupted, or for --seconds."""
    config = load_config(options.config)
    if options.meter is not None:
        config.meter(options.meter)
    until = None if options.seconds is None else time.monotonic() + options.seconds
    page = sys.stdout.isatty() and not options.lines
    before: dict[str, Any] | None = None
    while True:
        status = _of(read_status(config.state), options.meter)
        now = time.time()
        if page:
            print(f"{CLEAR}{render(status, now)}\n\nCtrl-C ends this, not the agent", flush=True)
        else:
            for line in changes(before, status, now):
                say(f"{datetime.datetime.now(datetime.UTC):%H:%M:%S} UTC  {line}")
        before = status
        if until is not None and time.monotonic() >= until:
            return DONE
        time.sleep(LOOK_SECONDS)


def _of(status: dict[str, Any], meter: str | None) -> dict[str, Any]:
    if meter is None:
        return status
    return {**status, "meters": {name: facts for name, facts in status["meters"].items() if name == meter}}


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any], now: float) -> Iterator[str]:
    """What has changed between two statuses, a sentence each; of the first one, how everything stands."""
    if before is None:
        yield f"gateway {after['gateway']}, " + ("running" if after["running"] else "NOT RUNNING")
    elif before["running"] != after["running"]:
        yield "the agent runs" if after["running"] else "the agent has ended"
    for name, meter in after["meters"].items():
        known = (before or {"meters": {}})["meters"].get(name)
        for stage in STAGES:
            count = meter["stages"][stage]["count"]
            more = count - (known["stages"][stage]["count"] if known is not None else 0)
            if more > 0:
                yield f"{name}: {stage} {more}" + ("" if more == count else f" ({count} in all)")
            elif more < 0:
                yield f"{name}: {stage} {count} since the agent was started again"
        if known is not None and known.get("sequence") != meter.get("sequence"):
            yield f"{name}: signed up to sequence {meter.get('sequence')}"
    earlier = set() if before is None else set(problems(before, now))
    current = set(problems(after, now))
    yield from (f"PROBLEM {problem}" for problem in sorted(current - earlier))
    yield from (f"over: {problem}" for problem in sorted(earlier - current))
