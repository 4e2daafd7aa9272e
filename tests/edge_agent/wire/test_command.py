"""Signals that end a command, at a moment at which Python drops the exception that they raise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = """
import signal, sys, time, weakref
from edge_agent.wire.command import ended_in_good_order

class Thing:
    pass

def callback(_):
    signal.raise_signal({number})
    for _ in range(1_000):
        pass

thing = Thing()
reference = weakref.ref(thing, callback)
try:
    with ended_in_good_order():
        del thing
        print("goes on", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("number", "status"), [(2, 130), (15, 143)])
def test_a_signal_in_a_callback_of_the_collector_still_ends_the_command(number: int, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.format(number=number)],
        capture_output=True, text=True, cwd=ROOT, timeout=50, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (status, "goes on\n", "")
