"""A soak of whole gateways: real agents, lines, broker and collector under a fast clock, while everything breaks.

    python tests/soak [--readings 20000] [--seed 1] [--gateways 4] [--lines 4] [--meters 2] [--behind 32] [--every 3]

Runs until the authority's log holds that many readings, ends the faults, lets all gateways come to rest, and judges.
The wall clock goes as fast as the machine allows: so fast that each reading of a meter brings `--behind` boundaries,
the last of them its own, the others by the load profile.
The last line on stdout is JSON: signed, accepted, lost, doubled, gaps, faults, live_reads (tests/soak/judge.py). Exit
status 0 where nothing is lost, doubled or missing; else 1, with each fault found on stderr.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from campus import EPOCH, ROWS, Campus, wait_until  # noqa: E402
from faults import Faults, schedule  # noqa: E402
from judge import judge  # noqa: E402
from sqlalchemy import func, select  # noqa: E402

from authority.app import App  # noqa: E402
from authority.store.metering import MeterKey  # noqa: E402

TELL_SECONDS = 30
SLOWEST, FIRST, FASTEST = 20.0, 240.0, 12_000.0
"""How many times as fast as a real one the wall clock may go, and how fast at first."""
REST_SECONDS = 1200
"""How long the gateways may take to come to rest after the last fault: long, for the machine may have other work."""


def main():
    parser = argparse.ArgumentParser(description="Soak gateways, their lines, broker and collector under faults.")
    parser.add_argument("--readings", type=int, default=20_000, help="readings in the authority's log")
    parser.add_argument("--seed", type=int, default=1, help="gives the faults and whom they meet")
    parser.add_argument("--gateways", type=int, default=4)
    parser.add_argument("--lines", type=int, default=4, help="lines of a gateway")
    parser.add_argument("--meters", type=int, default=2, help="meters on a line")
    parser.add_argument("--behind", type=int, default=32, help="boundaries that a gateway may be behind the fast clock")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two faults")
    parser.add_argument("--keep", type=Path, help="leave everything in this new directory")
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))  # and every process that was started
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        directory = words.keep or Path(temporary)
        directory.mkdir(exist_ok=True)
        return soak(words, directory)


def soak(words, directory):
    campus = Campus(directory, gateways=words.gateways, lines=words.lines, meters=words.meters, factor=1.0)
    begun = time.monotonic()
    faults = Faults(campus, schedule(random.Random(words.seed), words.every))  # noqa: S311
    try:
        campus.prepare()
        campus.begin()
        app = App.open(campus.home)
        campus.clock.set_factor(FIRST)
        faults.start()
        told = moved = time.monotonic()
        before = 0
        while (count := accepted(app)) < words.readings and faults.failure is None:
            time.sleep(0.5)
            keep_pace(campus, words.behind, count)
            if count > before:
                before, moved = count, time.monotonic()
            elif time.monotonic() - moved > REST_SECONDS:
                raise RuntimeError(f"no reading has come for {REST_SECONDS} s: {campus.ended() or 'all agents run'}")
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                campus.release()
                behind, most = campus.behind()
                say(
                    f"{count} readings, {sum(faults.happened.values())} faults, {told - begun:.0f} s; the clock goes "
                    f"{campus.clock.factor:.0f} times as fast, {behind} boundaries behind ({most} at most)"
                )
        faults.stop()
        campus.clock.set_factor(SLOWEST)
        until = int(campus.now()) // EPOCH * EPOCH
        rested = wait_until(lambda: all(end >= until for end in campus.signed_until().values()), REST_SECONDS)
        rested = rested and campus.rest(REST_SECONDS)
        if ended := campus.ended():
            rested = False
            say(ended)
        campus.release()
    finally:
        faults.end()
        campus.end()
    verdict = judge(campus, until)
    for gateway in campus.gateways:
        for text, times in gateway.told.most_common(20):
            say(f"{gateway.name} logged {times} times: {text[:2000]}")
    for text in verdict.wrong[:50]:
        say(text)
    if not rested:
        say(f"the gateways did not come to rest within {REST_SECONDS} s")
    say(f"faults: {dict(faults.happened)}; {time.monotonic() - begun:.0f} s")
    counts = {name: getattr(verdict, name) for name in ("signed", "accepted", "lost", "doubled", "gaps")}
    print(json.dumps({**counts, "faults": sum(faults.happened.values()), "live_reads": verdict.live_reads}))
    return 0 if verdict.clean and rested else 1


def keep_pace(campus, wanted, count):
    """Set the clock's speed by how far the gateways are behind it, and the log with its `count` behind them."""
    behind, most = campus.behind()
    since = min(campus.signed_until().values()) // EPOCH - campus.start_epoch
    if behind > 2 * wanted or most > ROWS // 4 or since - count // len(campus.meters) > ROWS // 4:
        campus.clock.set_factor(max(SLOWEST, campus.clock.factor * 0.8))
    elif behind < wanted:
        campus.clock.set_factor(min(FASTEST, campus.clock.factor * 1.1))


def accepted(app):
    """Readings in the authority's log."""
    with app.store.read() as session:
        return session.scalar(select(func.sum(MeterKey.next_sequence - MeterKey.first_sequence))) or 0


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
