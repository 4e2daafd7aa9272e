"""The parts of the agent, each by itself: what it does with what it is handed."""

from __future__ import annotations

import dataclasses

from edge_agent.agent.gateway import MAX_EVENTS, EventQueue
from edge_agent.agent.rounds import Rounds
from edge_agent.meters import MapMismatchError, MeterTimeoutError
from edge_agent.meters.lines import MeterRead, PowerRead
from edge_agent.state.status import find_problems, read_status
from edge_agent.uplinks import LinkChanged


def test_a_round_hands_on_what_was_read_and_notes_what_was_not(bench):
    handed = []
    rounds = Rounds(bench.agent.gateway, handed.extend)
    rounds.ask()
    bench.meters["solar"].error = MapMismatchError("no such register")
    taken = [event for event in iter(lambda: bench.events.get(0), None) if isinstance(event, MeterRead)]
    for event in taken:
        rounds.take(event)
    rounds.finish()
    assert [result.meter for result in handed] == ["solar"]
    assert handed[0].rows
    failed = dataclasses.replace(taken[0], rows=(), error=MapMismatchError("no such register"))
    rounds.take(failed)
    assert len(handed) == 1
    assert bench.errors("solar")["line"] == "map_mismatch"
    rounds.take_power(PowerRead("solar", 7, 0, None))
    rounds.take(dataclasses.replace(taken[0], rows=()))
    assert bench.errors("solar")["line"] == "map_mismatch"
    rounds.take(taken[0])
    assert "line" not in bench.errors("solar")


def test_faults_of_live_power_are_a_part_of_their_own(bench):
    bench.settle()
    rounds = bench.agent.rounds
    rounds.take_power(PowerRead("solar", None, 0, MeterTimeoutError("no answer")))
    assert bench.errors("solar") == {"power": "timeout"}
    rounds.take_power(PowerRead("solar", None, 0, None))
    assert bench.errors("solar") == {}


def test_what_comes_again_by_itself_is_dropped_in_a_flood():
    events = EventQueue()
    for _ in range(MAX_EVENTS + 50):
        events.emit(PowerRead("solar", 1, 0, None))
    events.emit(LinkChanged("mqtt", True, None))
    assert 0 < events.dropped <= 50
    found = list(iter(lambda: events.get(0), None))
    assert isinstance(found[-1], LinkChanged)


def test_telling_writes_the_metrics_where_they_are_wanted(bench, tmp_path):
    bench.settle()
    file = tmp_path / "edge-agent.prom"
    gateway = bench.agent.gateway
    gateway.config = dataclasses.replace(gateway.config, metrics_file=file)
    bench.agent.telling.write_status()
    lines = file.read_text().splitlines()
    assert "edge_agent_up 1" in lines
    assert "edge_agent_problems 0" in lines


def test_registers_that_come_hourly_are_expected_hourly(bench):
    """Boundaries in between are neither missing nor not signed."""
    meter = bench.agent.gateway.meters["solar"]
    meter.settings = dataclasses.replace(meter.settings, registers_seconds=3600.0)
    hour = 3600
    counting = bench.meters["solar"]
    ends = range(int(bench.clock.time()) // 900 * 900 - hour, int(bench.clock.time()) + 6 * hour, 900)
    counting.missing = {end for end in ends if end % hour}
    bench.forward(2 * hour)
    codes = set()
    for _ in range(8):
        bench.forward(450)
        bench.agent.telling.write_status()
        codes |= {problem.code for problem in find_problems(read_status(bench.config.state), bench.clock.time())}
    assert codes == set()
    assert [record.interval_end % hour for record in bench.log()] == [0] * len(bench.log())
    assert len(bench.log()) >= 2
    counting.missing = set(ends)
    bench.forward(2 * hour)
    bench.agent.telling.write_status()
    found = {problem.code for problem in find_problems(read_status(bench.config.state), bench.clock.time())}
    assert "not_signed" in found
