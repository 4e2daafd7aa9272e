"""What is told of what comes and goes: the memory of the alerts, by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from status_facts import NOW, WELL

from authority.monitoring.changes import (
    CLEARED,
    LONGEST_PAUSE,
    MAX_CHANGES,
    RAISED,
    AlertsStateError,
    Memory,
    Outbox,
    nameless,
)
from authority.status.facts import ALERTS_NOTE, AlertFacts, ChannelFacts, GatewayFacts, MeterFacts
from authority.status.facts import AlertingFacts as Alerting
from authority.status.judgement import Problem, problems

SETTLE = 120
SILENT = Problem("gateway_silent", "gateway gw-1", "was heard 3 min ago")
FULL = Problem("disk", "disk", "1 GiB are free")


def told(memory: Memory, channel: str = "mail") -> list[tuple[str, str]]:
    return [(change.what, change.code) for change in memory.outboxes[channel].changes]


def after(memory: Memory, *looks: tuple[int, list[Problem]]) -> Memory:
    for at, found in looks:
        memory = memory.looked(NOW + at, found, ("mail", "webhook"), SETTLE)
    return memory


class TestChanges:
    def test_what_stands_is_told_once_and_its_end_too(self) -> None:
        memory = after(Memory(), (0, [SILENT]))
        assert told(memory) == []
        memory = after(memory, (SETTLE, [SILENT]), (SETTLE + 30, [replace(SILENT, text="was heard 9 min ago")]))
        assert told(memory) == [(RAISED, "gateway_silent")]
        memory = after(memory, (400, []), (400 + SETTLE - 1, []))
        assert told(memory) == [(RAISED, "gateway_silent")]
        memory = after(memory, (400 + SETTLE, []), (900, []))
        assert told(memory) == [(RAISED, "gateway_silent"), (CLEARED, "gateway_silent")]
        assert [change.at for change in memory.outboxes["mail"].changes] == [NOW, NOW + 400]
        assert told(memory, "webhook") == told(memory)

    def test_a_clock_that_was_a_day_ahead_delays_neither_a_beginning_nor_an_end(self) -> None:
        day = 86_400
        memory = after(Memory(), (day, [SILENT]), (30, [SILENT]), (30 + SETTLE, [SILENT]))
        assert told(memory) == [(RAISED, "gateway_silent")]
        memory = after(memory, (day, []), (300, []), (300 + SETTLE, []))
        assert told(memory) == [(RAISED, "gateway_silent"), (CLEARED, "gateway_silent")]

    def test_a_clock_that_was_a_day_ahead_puts_no_delivery_off(self) -> None:
        outbox = Outbox(digest=True).failed(NOW + 86_400, "it is away")
        assert outbox.is_due(NOW)
        assert not outbox.is_due(NOW + 86_400)
        assert outbox.is_due(outbox.next_at)

    def test_what_comes_and_goes_is_not_told(self) -> None:
        looks = [(at, [SILENT] if at % 180 < 60 else []) for at in range(0, 3_600, 30)]
        assert told(after(Memory(), *looks)) == []

    def test_what_is_away_for_a_moment_is_not_over(self) -> None:
        memory = after(Memory(), (0, [SILENT]), (SETTLE, [SILENT]), (200, []), (230, [SILENT]), (600, [SILENT]))
        assert told(memory) == [(RAISED, "gateway_silent")]

    @given(st.lists(st.tuples(st.integers(1, 200), st.booleans()), min_size=1, max_size=60))
    def test_beginnings_and_ends_alternate(self, steps: list[tuple[int, bool]]) -> None:
        """However a problem comes and goes, its end is told after its beginning, and neither twice."""
        memory, at = Memory(), 0
        for step, present in steps:
            at += step
            memory = after(memory, (at, [SILENT] if present else []))
        whats = [what for what, _ in told(memory)]
        assert whats == [RAISED, CLEARED] * (len(whats) // 2) + [RAISED] * (len(whats) % 2)
        memory = after(memory, (at + 1, []), (at + 1 + SETTLE, []))
        assert len(told(memory)) % 2 == 0
        assert memory.known == {}

    def test_two_of_a_kind_are_two(self) -> None:
        first, second = (Problem("alert", "settlement", f"x ({code})", code) for code in ("a", "b"))
        memory = after(Memory(), (0, [first]), (SETTLE, [first]), (200, [first, second]), (400, [first, second]))
        assert told(memory) == [(RAISED, "alert")] * 2

    def test_a_channels_own_failure_is_told_by_the_other(self) -> None:
        failing = Problem("alerts_undelivered", "mail", "does not answer")
        memory = after(Memory(), (0, [failing, FULL]), (SETTLE, [failing, FULL]))
        assert told(memory, "mail") == [(RAISED, "disk")]
        assert told(memory, "webhook") == [(RAISED, "alerts_undelivered"), (RAISED, "disk")]

    def test_a_flood_is_counted(self) -> None:
        many = [Problem("disk", f"disk {number}", "full") for number in range(MAX_CHANGES + 7)]
        memory = after(Memory(), (0, many), (SETTLE, many))
        assert (len(memory.outboxes["mail"].changes), memory.outboxes["mail"].left_out) == (MAX_CHANGES, 7)


class TestOutbox:
    def test_pauses_double_up_to_an_hour(self) -> None:
        outbox, now = Outbox(digest=True), NOW
        pauses = []
        for _ in range(10):
            outbox = outbox.failed(now, "away")
            pauses.append(outbox.next_at - now)
            now = outbox.next_at
        assert pauses == [30, 60, 120, 240, 480, 960, 1_920, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
        assert outbox.failing_since == NOW
        assert outbox.waits
        assert not outbox.delivered(now).waits


class TestMemory:
    def test_it_survives(self, tmp_path: Path) -> None:
        memory = after(Memory(), (0, [SILENT]), (SETTLE, [SILENT]), (200, [])).with_digest("2026-06-21")
        memory = memory.with_outbox("mail", memory.outboxes["mail"].failed(NOW, "no"))
        memory.write(tmp_path)
        assert Memory.read(tmp_path) == memory
        assert (tmp_path / ALERTS_NOTE).stat().st_mode & 0o777 == 0o600
        assert Memory.read(tmp_path / "nowhere") == Memory()

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"looked_at": 1, "known": {"a": {}}}', "null"])
    def test_a_damaged_one_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / ALERTS_NOTE).write_text(text)
        with pytest.raises(AlertsStateError, match="remove it"):
            Memory.read(tmp_path)


class TestNameless:
    def test_no_person_is_in_what_is_told(self) -> None:
        facts = replace(
            WELL,
            meters=(MeterFacts("gw-1", "pv", "Ada Lovelace", "active", NOW - 90_000, 3, 0, False),),
            gateways=(
                GatewayFacts("gw-1", "enrolled", True, NOW, ("pv: no_answer: Ada is out", "clock: 2 h off"), None),
                GatewayFacts("gw-2", "enrolled", True, NOW, ("Ada Lovelace\n moved out", "x" * 99), None),
            ),
            alerts=(AlertFacts("CrossesOwnOrder", "the bid of Ada Lovelace: refused", NOW, 3),),
        )
        assert "Ada" in str(problems(facts))
        found = problems(nameless(facts))
        assert "Ada" not in json.dumps([str(problem) for problem in found])
        texts = {problem.text for problem in found if problem.code == "gateway_problem"}
        assert texts == {"pv: no_answer", "clock", "see its status"}
        assert "meter gw-1/pv" in {problem.subject for problem in found}


class TestStatus:
    def test_alerts_that_cannot_be_delivered_are_a_problem(self) -> None:
        channel = ChannelFacts("mail", 3, NOW - 600, "relay.example:587: Connection refused")
        found = problems(replace(WELL, alerting=Alerting(NOW - 20, (channel,))))
        assert [(problem.code, problem.subject) for problem in found] == [("alerts_undelivered", "mail")]
        assert "10 min" in found[0].text
        assert "Connection refused" in found[0].text

    def test_and_so_is_a_process_that_does_not_look(self) -> None:
        assert problems(replace(WELL, alerting=Alerting(NOW - 20, (ChannelFacts("mail", 0, None, ""),)))) == []
        found = problems(replace(WELL, alerting=Alerting(NOW - 3_600, ())))
        assert [(problem.code, problem.subject) for problem in found] == [("not_running", "alerts")]
