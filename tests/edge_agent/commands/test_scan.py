"""`edge-agent scan` on real ptys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tty

import pytest
from emulator_process import ENVIRONMENT, gmac_client, register, start

FILE = """
[line]
link = "m"
mode = "{mode}"
[[meter]]
logical_device_name = "KFM1000000000001"
  [[meter.client]]
  address = 16
  [[meter.client]]
  address = 32
  auth = "lls"
  password = "x"
"""


def _scan(*arguments):
    command = [sys.executable, "-m", "edge_agent", "scan", *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=250, check=False)


@pytest.mark.parametrize("mode", ["hdlc", "e"])
def test_what_answers_is_told(tmp_path, mode):
    running = start(tmp_path, FILE.format(mode=mode))
    try:
        clients = ["--client", "16"] if mode == "e" else ["--client", "16", "--client", "32"]
        done = _scan(running.port, "--json", "--timeout", "2", "--baudrate", "9600", *clients)
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)["answers"]
        if mode == "e":
            assert answers[0] == {
                "baudrate": 9600,
                "mode": "E",
                "meter": "KFMKFM1000000000001",
                "offers": 9600,
            }
            return
        (first, second, *others) = answers
        assert (first["client"], first["server"], first["answer"], first["meter"]) == (
            16,
            1,
            "reads",
            "KFM1000000000001",
        )
        assert (second["client"], second["answer"]) == (32, "authentication_required")
        assert others  # the meter does not mind the physical address
        table = _scan(running.port, "--timeout", "0.5", "--client", "16")
        assert "--client 16 --server 1 --address-size 1  reads  KFM1000000000001" in table.stdout
    finally:
        running.stop()


def test_silence_and_ports_that_are_none(tmp_path):
    master, slave = os.openpty()
    tty.setraw(slave)
    done = _scan(os.ttyname(slave), "--timeout", "0.02", "--baudrate", "9600", "--client", "16")
    assert done.returncode == 1
    assert "nothing answered" in done.stderr
    os.close(master)
    os.close(slave)
    done = _scan(str(tmp_path / "none"))
    assert done.returncode == 1
    assert "no_port" in done.stderr


PUSHING = """
[line]
link = "m"
{line}
[[meter]]
logical_device_name = "KFM1000000000001"
push_seconds = 1
{client}
""" + register("1-0:1.8.0.255", "1")
SECURE = gmac_client(bytes(16), bytes([1] * 16))


@pytest.mark.parametrize(
    ("line", "client", "link"),
    [
        ('mode = "mbus"', "", "mbus"),
        ('mode = "mbus"', SECURE, "mbus"),
        ('mode = "p1"', "", "p1"),
        ('mode = "p1"\np1_version = 2', "", "p1"),
        ("", "", "hdlc"),
    ],
)
def test_a_line_that_pushes_is_told(tmp_path, line, client, link):
    running = start(tmp_path, PUSHING.format(line=line, client=client))
    try:
        options = ["--listen", "60", "--baudrate", "9600", "--timeout", "0.05", "--client", "16"]
        done = _scan(running.port, "--json", *options)
        assert done.returncode == 0, done.stderr
        first = json.loads(done.stdout)["answers"][0]
        assert (first["mode"], first["link"], first["parity"], first["baudrate"]) == ("push", link, "N", 9600)
        assert (first["meter"], first["errors"]) == ((None, ["missing_key"]) if client else ("KFM1000000000001", []))
    finally:
        running.stop()


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "soon"])
def test_times_to_listen_that_are_none(text):
    done = _scan("/dev/null", "--listen", text)
    assert done.returncode == 2
    assert "--listen" in done.stderr
