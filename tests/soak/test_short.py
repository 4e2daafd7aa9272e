"""A minute's worth of the soak (`make soak`): whole gateways while broker, network, agents, disks and lines break."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from authority.collector.broker import find_mosquitto


@pytest.mark.slow
@pytest.mark.mosquitto
def test_a_short_soak_loses_and_doubles_nothing():
    if find_mosquitto() is None:
        pytest.skip("no mosquitto here: apt-get install mosquitto")
    shape = ["--readings", "300", "--seed", "1", "--gateways", "2", "--lines", "1", "--meters", "2", "--every", "1.5"]
    soak = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent), *shape], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, told = soak.communicate(timeout=280)
    except BaseException:
        soak.terminate()  # it ends what it started
        soak.communicate(timeout=60)
        raise
    assert soak.returncode == 0, told
    found = json.loads(out.splitlines()[-1])
    assert set(found) == {"signed", "accepted", "lost", "doubled", "gaps", "faults", "live_reads"}
    assert (found["lost"], found["doubled"], found["gaps"]) == (0, 0, 0)
    assert found["signed"] == found["accepted"] >= 300
    assert found["faults"] > 0
    assert found["live_reads"] > 0
