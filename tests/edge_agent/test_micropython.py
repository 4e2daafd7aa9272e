"""The core's tests and those of the signed record again, under MicroPython's unix port."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "peers"))
import environment  # noqa: E402


@pytest.mark.slow
def test_the_core_under_micropython():
    command = [environment.micropython(), "-X", "heapsize=8M", str(HERE / "dlms" / "run_core.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert done.stdout.splitlines()[-1].endswith("0 failed on micropython")


def test_every_test_of_the_core_is_among_them():
    sys.path.insert(0, str(HERE / "dlms"))
    listed = (HERE / "dlms" / "run_core.py").read_text()
    for path in (HERE / "dlms").glob("test_*.py"):
        if path.stem != "test_properties":  # hypothesis runs on CPython only
            assert f'"{path.stem}"' in listed
