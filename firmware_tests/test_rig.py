"""`--hardware` itself: two ptys joined as a cable joins two adapters, and the same tests over them."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import tty
from pathlib import Path

import pytest


@pytest.fixture
def cable():
    """Two serial ports; what is written to one is read at the other."""
    ends = [os.openpty() for _ in range(2)]
    for _, slave in ends:
        tty.setraw(slave)
    masters = [master for master, _ in ends]
    stopped, stop = os.pipe()

    def carry() -> None:
        while True:
            ready, _, _ = select.select([*masters, stopped], [], [])
            if stopped in ready:
                return
            for at, master in enumerate(masters):
                if master in ready:
                    os.write(masters[1 - at], os.read(master, 4096))

    thread = threading.Thread(target=carry)
    thread.start()
    yield [os.ttyname(slave) for _, slave in ends]
    os.write(stop, b"x")
    thread.join()
    for descriptor in (stopped, stop, *(each for end in ends for each in end)):
        os.close(descriptor)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "chosen", "passed"),
    [
        # a meter without power keeps a real line waiting for minutes
        ("test_driver_on_lines.py", "read_as_they_capture or line_in_use", ".."),
        ("test_faults_on_lines.py", "costs_a_read_out and drop-1", "."),  # mode C: 7E1, which a pty cannot do
    ],
)
def test_the_tests_of_lines_run_between_two_ports(cable, file, chosen, passed):
    tests = Path(__file__).with_name(file)
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", tests, "-k", chosen, "--hardware", ",".join(cable)]
    done = subprocess.run(command, cwd=tests.parents[1], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(passed)
