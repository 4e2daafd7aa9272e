"""A status that cannot be fooled: a fault goes with the event that proves its opposite, and ages are looked at."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import time

import pytest

from edge_agent.agent.enrolment import Claim, enrol
from edge_agent.meters import MapMismatchError, MeterTimeoutError
from edge_agent.meters.lines import PowerRead
from edge_agent.state.journal import Journal
from edge_agent.state.metrics import metrics
from edge_agent.state.status import StatusBoard, find_problems, problems, read_status
from edge_agent.uplinks.https import HttpsUplink


def shown(bench) -> list[str]:
    """The problems that `edge-agent status` would show now, by code."""
    bench.agent.telling.write_status()
    return [problem.code for problem in find_problems(read_status(bench.config.state), bench.clock.time())]


def live(bench) -> None:
    """A live power that is read well."""
    bench.events.emit(PowerRead("solar", 500, int(bench.clock.time()), None))
    bench.settle(2)


@pytest.mark.finding("edge-23")
def test_no_live_power_clears_a_meter_that_signs_nothing(bench):
    bench.meters["solar"].error = MapMismatchError("the load profile does not capture 1-0:2.8.0.255")
    for _ in range(18):
        bench.settle(3)
        live(bench)
        assert "map_mismatch" in shown(bench)
        bench.clock.forward(5)
    bench.clock.forward(900)
    live(bench)
    assert {"map_mismatch", "not_signed"} <= set(shown(bench))
    bench.meters["solar"].error = None
    bench.forward(900)
    assert bench.log()
    assert shown(bench) == []


def test_a_reading_without_rows_does_not_prove_that_the_map_fits(bench):
    bench.settle()
    meter = bench.meters["solar"]
    meter.error = MapMismatchError("no such register")
    bench.forward(905)
    assert "map_mismatch" in shown(bench)
    meter.error, meter.missing = None, {int(bench.clock.time()) // 900 * 900}
    bench.forward(100)
    assert "map_mismatch" in shown(bench)  # it answers, and has brought no row yet
    meter.missing = set()
    bench.forward(100)
    assert shown(bench) == []


def test_a_timeout_is_disproved_by_an_answer(bench):
    bench.settle()
    meter = bench.meters["solar"]
    meter.error = MeterTimeoutError("no answer")
    bench.forward(905)
    live(bench)
    assert "timeout" in shown(bench)
    meter.error = None
    bench.forward(100)
    assert shown(bench) == []


def test_a_boundary_that_is_not_signed_is_a_problem_whatever_else_is_well(bench):
    bench.settle()
    assert shown(bench) == []
    bench.ports["solar"].silent = True
    bench.clock.forward(900 + 400)
    live(bench)
    assert "not_signed" not in shown(bench)  # half an epoch is given to it
    bench.clock.forward(100)
    live(bench)
    assert "not_signed" in shown(bench)
    bench.clock.forward(500)
    live(bench)
    assert "not_signed" in shown(bench)  # also while the next boundary's row is not due yet


@pytest.mark.finding("ops-10")
def test_a_reading_without_a_receipt_is_a_problem(bench):
    bench.settle()
    bench.carrier.mute = True
    bench.forward(2 * 900)
    assert shown(bench) == []
    bench.forward(2 * 900)
    assert shown(bench) == ["not_receipted"]
    assert any("not_receipted" in problem for problem in bench.board.summary()["problems"])
    bench.carrier.mute = False
    bench.forward(120)
    assert shown(bench) == []


@pytest.mark.finding("ops-11")
def test_a_link_that_is_up_again_is_noticed_though_nothing_is_sent(make_gateway, authority, monkeypatch):
    from edge_agent.state.credentials import CredentialStore
    from edge_agent.uplinks import LinkChanged
    from edge_agent.uplinks.https import HttpsClient

    gateway = make_gateway()
    gateway.enrol()
    store = CredentialStore(gateway.config.state)
    monkeypatch.setattr("edge_agent.uplinks.https.CHECK_SECONDS", 0.05)
    events = []
    port = authority.port
    authority.stop()
    client = HttpsClient(("127.0.0.1", port), store.tls_context(store.load()), timeout=5)
    uplink = HttpsUplink("dormitory-a", client, events.append, time.time)
    uplink.start()
    try:
        uplink.status({"gateway": "dormitory-a"})
        until(lambda: any(isinstance(event, LinkChanged) and not event.connected for event in events))
        authority.start()
        until(lambda: any(isinstance(event, LinkChanged) and event.connected for event in events))
    finally:
        uplink.close()


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_comes_back_at_every_retry_is_not_new(tmp_path):
    now = [1_750_000_000.0]
    board = StatusBoard("g", lambda: now[0])
    board.add_meter("m", port="p")
    told = 0
    for _ in range(40):
        told += board.error("line", "timeout", "no answer", meter="m")
        told += board.error("line", "bad_answer", "damaged", meter="m")
        board.clear("line", meter="m")
        now[0] += 10
    assert told == 2
    board.error("line", "timeout", "no answer", meter="m")
    assert board.snapshot()["meters"]["m"]["errors"]["line"]["since"] == 1_750_000_000
    board.clear("line", meter="m")
    now[0] += 601
    assert board.error("line", "timeout", "no answer", meter="m")


@pytest.mark.finding("ops-21")
def test_a_full_disk_is_named(bench, monkeypatch):
    bench.settle()
    bench.agent.telling.write_status()
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 0}))
    assert "disk_full" in shown(bench)


@pytest.mark.finding("ops-21")
def test_the_status_is_written_where_no_second_file_has_room(tmp_path, monkeypatch):
    """What the status takes already stays its own on a disk without room."""
    board = StatusBoard("g", time.time)
    board.add_meter("m", port="p")
    board.write(tmp_path)

    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("edge_agent.state.status.write_atomically", full)
    board.error("journal", "journal_unusable", "the journal cannot be used: disk full")
    board.write(tmp_path)
    assert any("journal_unusable" in problem for problem in problems(read_status(tmp_path), time.time()))
    board.add_meter("n", port="p" * 10_000)
    with pytest.raises(OSError, match="No space"):
        board.write(tmp_path)


def test_prometheus_says_the_same(bench):
    bench.settle()
    bench.carrier.mute = True
    bench.forward(4 * 900)
    bench.agent.telling.write_status()
    text = metrics(read_status(bench.config.state), bench.clock.time())
    lines = text.splitlines()
    assert "edge_agent_up 1" in lines
    assert "edge_agent_problems 1" in lines
    assert 'edge_agent_problem{code="not_receipted"} 1' in lines
    assert 'edge_agent_journal_frames{state="waiting"} 4' in lines
    last = bench.journal.meter(bench.keys["solar"].public_key).record.interval_end
    assert f'edge_agent_meter_signed_interval_timestamp_seconds{{meter="solar"}} {last}' in lines
    assert len({line for line in lines if line.startswith("# TYPE")}) == len(
        [line for line in lines if line.startswith("# TYPE")]
    )


@pytest.mark.finding("ops-18")
def test_enrolment_shows_the_digits_that_are_compared_by_telephone(make_gateway, authority):
    gateway = make_gateway()
    told = []
    claim = Claim.parse(authority.claim("dormitory-a"))
    enrol(gateway.config, claim, wait=False, sleep=time.sleep, tell=told.append)
    key = authority.keys["solar"].hex()[:16]
    assert any(f"solar: key {key}…" in line for line in told)
    command = [sys.executable, "-m", "edge_agent", "keys", "--config", str(gateway.file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert f"solar: key {key}…" in done.stdout


@pytest.mark.finding("ops-26")
def test_pahos_own_words_are_for_debugging(caplog):
    from edge_agent.uplinks.mqtt import _quiet_logger

    with caplog.at_level(logging.INFO):
        _quiet_logger().error("Client is not connected. Socket: None")
    assert caplog.records == []


OPEN = """
import sys, pathlib
sys.stdin.readline()
from edge_agent.state.journal import Journal
Journal.open(pathlib.Path(sys.argv[1]), quota=100).close()
"""


@pytest.mark.finding("perf-9")
def test_two_processes_that_make_a_journal_at_once(tmp_path):
    for attempt in range(6):
        path = tmp_path / f"{attempt}.db"
        command = [sys.executable, "-c", OPEN, str(path)]
        processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
        for process in processes:
            process.stdin.write(b"\n")
            process.stdin.flush()
        for process in processes:
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said.decode()
        Journal.open(path, quota=100).close()
