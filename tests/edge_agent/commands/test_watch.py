"""`edge-agent watch`: lines for what changes, over a status file that a test writes as the agent does."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge_agent.commands.watch import changes
from edge_agent.state.status import StatusBoard

ROOT = Path(__file__).parents[3]
NOW = 1_780_315_200.0


@pytest.fixture
def board():
    made = StatusBoard("dormitory-a", lambda: NOW)
    made.add_meter("solar", port="/dev/ttyUSB0")
    made.add_meter("load", port="/dev/ttyUSB1")
    return made


def told(before, after):
    return list(changes(before, after, NOW))


def status(board):
    return {**board.snapshot(), "running": True}


def test_the_first_look_says_how_everything_stands(board):
    board.stage("solar", "bytes", count=9)
    lines = told(None, status(board))
    assert lines[0] == "gateway dormitory-a, running"
    assert "solar: bytes 9" in lines


def test_only_what_changed_is_told_after_that(board):
    board.stage("solar", "signed")
    before = status(board)
    assert told(before, copy.deepcopy(before)) == []
    board.stage("solar", "signed")
    board.stage("solar", "receipted")
    board.set_meter("solar", sequence=2)
    assert told(before, status(board)) == [
        "solar: signed 1 (2 in all)",
        "solar: receipted 1",
        "solar: signed up to sequence 2",
    ]


def test_problems_come_and_go(board):
    before = status(board)
    board.error("line", "timeout", "the meter does not answer", meter="load")
    with_problem = status(board)
    (line,) = told(before, with_problem)
    assert line.startswith("PROBLEM load: timeout")
    board.clear("line", meter="load")
    assert told(with_problem, status(board)) == [line.replace("PROBLEM", "over:")]


def test_an_agent_that_ends_and_starts_again(board):
    board.stage("solar", "signed", count=5)
    before = status(board)
    lines = told(before, {**before, "running": False})
    assert lines[0] == "the agent has ended"
    again = StatusBoard("dormitory-a", lambda: NOW)
    again.add_meter("solar", port="/dev/ttyUSB0")
    again.stage("solar", "signed")
    assert "solar: signed 1 since the agent was started again" in told(before, status(again))


def command(gateway, *options):
    return [sys.executable, "-m", "edge_agent.cli", "watch", "--config", str(gateway.file), *options]


def test_as_a_command(make_gateway, board):
    gateway = make_gateway()
    gateway.config.state.mkdir()
    board.stage("solar", "receipted", count=3)
    board.write(gateway.config.state)
    done = subprocess.run(
        command(gateway, "--seconds", "0", "solar"), capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "solar: receipted 3" in done.stdout
    assert "load" not in done.stdout


def test_json_is_an_object_a_line(make_gateway, board):
    gateway = make_gateway()
    gateway.config.state.mkdir()
    board.stage("solar", "receipted", count=3)
    board.write(gateway.config.state)
    done = subprocess.run(
        command(gateway, "--seconds", "0", "--json"), capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(each) == {"time", "change"} for each in found)
    assert "solar: receipted 3" in [each["change"] for each in found]


def test_a_meter_that_is_not_there(make_gateway):
    done = subprocess.run(
        command(make_gateway(), "nowhere"), capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "no meter is called 'nowhere'" in done.stderr


def test_a_terminal_gets_a_page_until_ctrl_c(make_gateway, board):
    gateway = make_gateway()
    gateway.config.state.mkdir()
    board.write(gateway.config.state)
    leader, follower = pty.openpty()
    process = subprocess.Popen(command(gateway), stdout=follower, stderr=subprocess.PIPE, cwd=ROOT)
    os.close(follower)
    seen = b""
    deadline = time.monotonic() + 120
    while b"Ctrl-C ends this" not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(leader, 4096)
    reading = threading.Thread(target=read_on, args=(leader,))
    reading.start()
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    reading.join(60)
    os.close(leader)


def read_on(leader: int) -> None:
    """As a terminal does, or what is written to it would fill it and hold up who writes."""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while os.read(leader, 4096):
            pass
