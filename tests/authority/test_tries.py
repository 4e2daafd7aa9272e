"""Counting who comes too often: one table in one process, or in several that fork from one."""

from __future__ import annotations

import os
import signal
import time

from hypothesis import given
from hypothesis import strategies as st

from authority.tries import PROBES, Tries

SECONDS, MOST = 10.0, 30.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.booleans()), max_size=80))
def test_each_name_has_its_tries_and_no_more(steps: list[tuple[str, int, bool]]) -> None:
    """Against the plainest model: for each name the moment at which all its tries are there again."""
    table, now = Tries(), 0.0
    full = dict.fromkeys("abc", 0.0)
    for name, rest, gives_back in steps:
        now += rest
        waits = max(now, full[name]) + SECONDS
        assert table.take(name, SECONDS, MOST, now) == max(0.0, waits - now - MOST)
        if waits - now <= MOST:
            full[name] = waits
            if gives_back:
                table.give_back(name, SECONDS)
                full[name] -= SECONDS


def test_of_more_names_than_it_holds_those_are_forgotten_that_tried_least() -> None:
    table = Tries(slots=PROBES)
    assert [table.take("guesser", SECONDS, MOST, 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, SECONDS]
    for number in range(1_000):
        assert table.take(f"passer-by {number}", SECONDS, MOST, 0.0) == 0.0
    assert table.take("guesser", SECONDS, MOST, 0.0) == SECONDS
    table.give_back("passer-by 0", SECONDS)  # forgotten: nothing to give back
    assert table.take("guesser", SECONDS, MOST, 5.0) == 5.0


def test_processes_that_fork_count_together() -> None:
    table = Tries(shared=True)
    asked, allowed = 200, 100
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            counted = 255  # where it fails
            try:
                counted = sum(table.take("house", 1.0, float(allowed), 0.0) == 0.0 for _ in range(asked))
            finally:
                os._exit(counted)
        children.append(child)
    counted = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sum(counted) == allowed
    assert table.take("house", 1.0, float(allowed), 0.0) == 1.0


def test_a_process_that_dies_while_it_counts_holds_up_nobody() -> None:
    table = Tries(shared=True)
    for _ in range(20):
        child = os.fork()
        if child == 0:
            try:
                while True:
                    table.take("busy", 0.001, 1e9, time.monotonic())
            finally:
                os._exit(1)
        time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert table.take("other", 1.0, 1e6, 0.0) == 0.0  # it would wait for a lock that is held for ever
