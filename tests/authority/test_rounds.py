"""Rounds beside a process's main work: nothing ends them but their end, and what lasts is told once."""

from __future__ import annotations

import logging
import threading

import pytest

from authority.errors import OutOfRangeError
from authority.rounds import rounds
from edge_agent.wire.log import StructuredLog


def test_what_goes_wrong_is_told_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    stop, outcomes = threading.Event(), [OutOfRangeError("x"), OutOfRangeError("x"), None, RuntimeError("y"), None]
    done = []

    def once() -> None:
        outcome = outcomes[len(done)]
        done.append(outcome)
        if len(done) == len(outcomes):
            stop.set()
        if outcome is not None:
            raise outcome

    with caplog.at_level(logging.INFO, logger="rounds"):
        rounds(once, stop, 0, StructuredLog("rounds"), "letters wait")
    assert len(done) == len(outcomes)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [("WARNING", "letters wait"), ("INFO", "no longer: letters wait"), ("ERROR", "letters wait")]
