"""A whole agent in a process of its own, for tests: everything real but the meters, which count by the clock.

    agent_process.py GATEWAY_TOML [before-send | after-send]

`before-send` kills the process (SIGKILL) when the first batch is journalled and about to leave; `after-send` when the
authority has answered it and the receipt is about to be taken. Where a file `reset` lies beside GATEWAY_TOML, the
meters were reset at the Unix second that it holds, and count from nought again.
"""

import os
import signal
import sys
import time
from pathlib import Path

import edge_agent.agent.run as running
from edge_agent.agent.publishing import Publishing
from edge_agent.config import load_config
from edge_agent.meters import IntervalRow
from edge_agent.uplinks.choice import Uplinks
from edge_agent.wire import log

PERIOD = int(os.environ.get("TEST_PERIOD", "2"))
RESET = Path(sys.argv[1]).with_name("reset")


class Meter:
    def __init__(self, settings):
        self.name = settings.map.logical_device_name
        self.registers = settings.map.registers

    def identity(self):
        return self.name

    def clock_deviation(self):
        return 0

    def rows(self, since, until):
        newest = int(time.time()) // PERIOD * PERIOD
        first = max(since // PERIOD * PERIOD + PERIOD, newest - 500 * PERIOD)
        reset = int(RESET.read_text()) if RESET.exists() else newest
        return [
            IntervalRow(
                interval_end=end,
                evidence=end.to_bytes(16, "little"),
                **dict.fromkeys(self.registers, end if end <= reset else end - reset),
            )
            for end in range(first, min(until, newest) + 1, PERIOD)
        ]

    def power(self):
        return 1234

    def close(self):
        pass


def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)


class DiesBeforeSending(Uplinks):
    send = die


def main():
    when = sys.argv[2] if len(sys.argv) > 2 else ""
    if when == "before-send":
        running.Uplinks = DiesBeforeSending
    elif when == "after-send":
        Publishing.take_receipts = die
    log.set_up("info", "text")
    running.run(load_config(Path(sys.argv[1])), open_driver=lambda settings, meter_map, observe: Meter(settings))


main()
