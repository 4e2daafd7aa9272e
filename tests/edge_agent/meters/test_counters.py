"""Invocation counters: no number twice, over crashes, lost files and processes that use one key side by side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.meters import MeterError
from edge_agent.meters.counters import BLOCK, COUNTER_STEP, LIMIT, CounterStore, InvocationCounter

ROOT = Path(__file__).parents[3]
KEY, TITLE = bytes(16), b"GATEWAY1"

TAKER = """
import sys
from pathlib import Path
from edge_agent.meters.counters import InvocationCounter
counter = InvocationCounter(Path(sys.argv[1]))
while True:
    print(counter(), flush=True)
    if sys.stdin.readline() == "":
        break
"""


def _taker(path: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", TAKER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_numbers_rise_by_one_and_go_on_after_a_restart(tmp_path):
    counter = CounterStore(tmp_path / "counters").counter(KEY, TITLE)
    numbers = [counter() for _ in range(3 * BLOCK)]
    assert numbers == list(range(1, 3 * BLOCK + 1))
    again = CounterStore(tmp_path / "counters").counter(KEY, TITLE)
    assert again() > numbers[-1]
    assert CounterStore(tmp_path / "counters").counter(KEY, b"GATEWAY2")() == 1
    (one, other) = (tmp_path / "counters").iterdir()
    assert {file.stat().st_mode & 0o777 for file in (one, other)} == {0o600}


def test_a_number_is_on_the_disk_before_it_is_handed_out(tmp_path, monkeypatch):
    counter = InvocationCounter(tmp_path / "counter")
    synced = []

    def fsync(descriptor):
        here = tmp_path / "counter"
        synced.append(int(here.read_bytes()) if os.fstat(descriptor).st_ino == here.stat().st_ino else "directory")

    monkeypatch.setattr(os, "fsync", fsync)
    for _ in range(2 * BLOCK):
        number = counter()
        assert max(end for end in synced if end != "directory") > number
    assert synced == [1 + BLOCK, "directory", 1 + 2 * BLOCK]


def test_killed_processes_and_two_at_once_use_no_number_twice(tmp_path):
    path = tmp_path / "counter"
    seen: list[int] = []
    takers = [_taker(path), _taker(path)]
    try:
        for turn in range(12):
            at = turn % 2
            seen.append(int(takers[at].stdout.readline()))
            if turn % 5 == 4:
                takers[at].send_signal(signal.SIGKILL)
                takers[at].communicate()
                takers[at] = _taker(path)
            else:
                takers[at].stdin.write("\n")
                takers[at].stdin.flush()
    finally:
        for taker in takers:
            taker.kill()
            taker.communicate()
    assert len(set(seen)) == len(seen)


def test_a_process_goes_on_above_what_another_has_used_meanwhile(tmp_path):
    gateway, laptop = (InvocationCounter(tmp_path / "counter") for _ in range(2))
    numbers = [gateway(), gateway(), laptop(), laptop(), gateway(), laptop()]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("content", [None, b""])
def test_a_file_that_is_lost_while_a_process_runs_takes_no_number_back(tmp_path, content):
    counter = InvocationCounter(tmp_path / "counter")
    numbers = [counter() for _ in range(3)]
    (tmp_path / "counter").unlink()
    if content is not None:
        (tmp_path / "counter").write_bytes(content)
    numbers += [counter() for _ in range(BLOCK + 3)]
    assert numbers == sorted(set(numbers))
    assert InvocationCounter(tmp_path / "counter")() > numbers[-1]


@pytest.mark.parametrize("content", [b"x", b"-5\n", b"0", b"9" * 30, b"\0" * 21, b"\xff"])
def test_a_damaged_file_is_named_and_hands_out_nothing(tmp_path, content):
    (tmp_path / "counter").write_bytes(content)
    with pytest.raises(MeterError) as caught:
        InvocationCounter(tmp_path / "counter")()
    assert caught.value.code == "counter_file"
    assert (tmp_path / "counter").read_bytes() == content


def test_a_file_that_cannot_be_kept_hands_out_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(MeterError) as caught:
        InvocationCounter(tmp_path / "file" / "counter")()
    assert caught.value.code == "counter_file"
    counter = InvocationCounter(tmp_path / "counter")
    first = counter()

    def full(descriptor, data, offset):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    for _ in range(BLOCK - 1):
        counter()
    with pytest.raises(MeterError, match="No space left"):
        counter()
    monkeypatch.undo()
    assert counter() == first + BLOCK


def test_a_key_that_has_run_out(tmp_path):
    counter = InvocationCounter(tmp_path / "counter")
    counter.raise_to(LIMIT - BLOCK)
    assert [counter() for _ in range(BLOCK)][-1] == LIMIT - 1
    with pytest.raises(MeterError) as caught:
        counter()
    assert caught.value.code == "counter_exhausted"


def test_a_meter_is_followed_by_a_bounded_step(tmp_path):
    counter = InvocationCounter(tmp_path / "counter")
    assert not counter.follow(LIMIT - 1)
    assert not counter.follow(counter())
    least = counter() + COUNTER_STEP
    assert counter.follow(least)
    assert counter() >= least
