"""`edge-agent run` as a process: real TLS, a real journal, real kills."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from emulator_process import register
from emulator_process import start as start_emulator
from free_ports import free_port

from edge_agent.state.keys import KeyStore
from edge_agent.state.status import problems, read_status
from edge_agent.wire.reading import previous_hash

ROOT = Path(__file__).parents[3]
PROCESS = ROOT / "tests" / "support" / "agent_process.py"


@pytest.fixture
def authority(authority):
    authority.epoch_seconds = 2
    return authority


@pytest.fixture
def start():
    """Starts agent processes, and ends those that are left."""
    processes = []

    def begin(gateway, *arguments):
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, str(PROCESS), str(gateway.file), *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(condition, seconds=120.0):
    """Wait for something that must come to pass."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def assert_whole(frames):
    """Nothing lost, nothing twice: sequences and hashes follow, every boundary is there once."""
    records = [frame.record for frame in frames]
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    ends = [record.interval_end for record in records]
    assert ends == list(range(ends[0], ends[-1] + 1, 2))
    for earlier, later in itertools.pairwise(records):
        assert later.previous_hash == previous_hash(earlier.to_bytes())


def key(gateway, meter="solar"):
    return KeyStore(gateway.config.state).load(meter).public_key


def test_it_reads_signs_publishes_and_stops_on_sigterm(authority, make_gateway, start):
    gateway = make_gateway(meters=("solar", "load"), live=1)
    port = free_port()
    text = gateway.file.read_text()
    gateway.file.write_text(text.replace("live_seconds", f'metrics_listen = "127.0.0.1:{port}"\nlive_seconds', 1))
    gateway.enrol()
    process = start(gateway)
    until(lambda: all(len(authority.frames(key(gateway, name))) >= 3 for name in ("solar", "load")))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        told = answer.read().decode()
    assert "edge_agent_up 1" in told
    assert 'edge_agent_meter_signed_interval_timestamp_seconds{meter="load"}' in told
    until(lambda: authority.live and authority.statuses)
    process.send_signal(signal.SIGTERM)
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 0, log
    assert "Traceback" not in log
    assert " signed " in log
    for name in ("solar", "load"):
        assert_whole(authority.frames(key(gateway, name)))
    assert authority.live[0]["meters"]
    status = read_status(gateway.config.state)
    assert status["running"] is False
    assert problems(status, status["updated"]) == ["the agent is not running"]
    assert status["meters"]["solar"]["stages"]["receipted"]["count"] >= 1  # the last receipts may be on their way


EMULATOR = (
    """
epoch_seconds = 2
start_epoch = {first}
[line]
{kind} = "127.0.0.1:{port}"
[[meter]]
logical_device_name = "LDN-solar"
"""
    + register("1-0:2.8.0.255", "1800", initial=1000)
    + register("1-0:1.8.0.255", initial=42)
    + register("1-0:2.7.0.255", "1800", unit="W")
)


def line_error(gateway):
    """The code of what is wrong with the meter's line."""
    return read_status(gateway.config.state)["meters"]["solar"]["errors"].get("line", {}).get("code")


OF_OTHER_DAYS = (
    "cryptography.x509",
    "cryptography.hazmat.primitives.serialization",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "ctypes",
    "http.server",
    "edge_agent.agent.enrolment",
    "edge_agent.agent.metrics_port",
    "edge_agent.commands.setup",
    "edge_agent.dlms.mbus",
    "edge_agent.dlms.push",
    "edge_agent.dlms.sml",
    "edge_agent.emulator",
    "edge_agent.meters.iec21",
    "edge_agent.meters.push_listener",
)
"""What an agent with a DLMS meter has no memory for while nothing is enrolled, renewed, pushed or shown."""


def imported(log):
    """The modules that `python -X importtime` told of."""
    return {line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_meter_behind_a_network_module_is_signed_for_through_its_restart(authority, make_gateway, tmp_path, kind):
    """`edge-agent run` and an emulated meter as processes; the meter goes away and comes back in between."""
    first = int(time.time()) // 2 - 30
    port = free_port()
    emulator = start_emulator(tmp_path, EMULATOR.format(kind=kind, port=port, first=first))
    process = None
    try:
        gateway = make_gateway(live=1)
        text = gateway.file.read_text().replace('port = "/dev/tty-solar"', f'{kind} = "127.0.0.1:{port}"\ntimeout = 2')
        gateway.file.write_text(text)
        enrolled = command("enrol", "--config", str(gateway.file), "--claim", authority.claim("dormitory-a"))
        assert enrolled.returncode == 0, enrolled.stderr
        assert f"LDN-solar answers on {kind}://127.0.0.1:{port}" in enrolled.stdout
        arguments = [sys.executable, "-X", "importtime", "-m", "edge_agent", "run", "--config", str(gateway.file)]
        with (tmp_path / "log").open("w") as output:
            process = subprocess.Popen(arguments, cwd=ROOT, stderr=output)
        until(lambda: len(authority.frames(key(gateway))) >= 2)
        until(lambda: authority.live)
        emulator.stop()
        gone = "no_connection" if kind == "tcp" else "connection_lost"
        until(lambda: line_error(gateway) == gone)
        seen = len(authority.frames(key(gateway)))
        emulator = start_emulator(tmp_path, EMULATOR.format(kind=kind, port=port, first=first))
        until(lambda: len(authority.frames(key(gateway))) >= seen + 2)
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=60)
        log = (tmp_path / "log").read_text()
        assert status == 0, log
        assert "Traceback" not in log
    finally:
        emulator.stop()
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
    assert "edge_agent.meters.dlms_pull" in imported(log)
    assert not imported(log) & set(OF_OTHER_DAYS)
    records = [frame.record for frame in authority.frames(key(gateway))]
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    assert {record.consumption for record in records} == {42}
    assert {record.generation - record.interval_end // 2 for record in records} == {1000 - first}
    assert all(record.evidence != bytes(16) for record in records)
    assert authority.live[0]["meters"]["solar"]["power_w"] == -1800


def test_a_kill_between_journal_and_publication_loses_and_doubles_nothing(authority, make_gateway, start):
    gateway = make_gateway()
    gateway.enrol()
    for _ in range(3):
        assert start(gateway, "before-send").wait(120) == -signal.SIGKILL
    assert authority.received == []
    start(gateway)
    until(lambda: len(authority.frames(key(gateway))) >= 5)
    assert_whole(authority.frames(key(gateway)))


def test_a_kill_between_publication_and_receipt_loses_and_doubles_nothing(authority, make_gateway, start):
    gateway = make_gateway()
    gateway.enrol()
    for _ in range(3):
        assert start(gateway, "after-send").wait(120) == -signal.SIGKILL
    assert len(authority.frames()) >= 1
    start(gateway)
    until(lambda: len(authority.frames(key(gateway))) >= 6)
    assert_whole(authority.frames(key(gateway)))


def test_kills_at_any_time_lose_and_double_nothing(authority, make_gateway, start):
    gateway = make_gateway()
    gateway.enrol()
    for count in range(1, 7):
        process = start(gateway)
        until(lambda count=count: len(authority.frames(key(gateway))) >= count)
        process.kill()
        process.wait()
    assert_whole(authority.frames(key(gateway)))


def test_the_service_manager_is_told_that_it_is_ready_lives_and_stops(
    authority, make_gateway, start, tmp_path, monkeypatch
):
    gateway = make_gateway()
    gateway.enrol()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(120)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        process = start(gateway)
        assert manager.recv(64) == b"READY=1"
        assert manager.recv(64) == b"WATCHDOG=1"
        process.terminate()
        while (told := manager.recv(64)) == b"WATCHDOG=1":
            pass
        assert told == b"STOPPING=1"
        assert process.wait(120) == 0


def test_an_authority_that_is_away_is_waited_for(authority, make_gateway, start):
    gateway = make_gateway()
    gateway.enrol()
    start(gateway)
    until(lambda: len(authority.frames(key(gateway))) >= 1)
    authority.stop()
    until(lambda: read_status(gateway.config.state)["journal"]["waiting"] >= 2)
    until(
        lambda: any(
            problem.startswith("unreachable") for problem in problems(read_status(gateway.config.state), time.time())
        )
    )
    authority.start()
    seen = len(authority.frames(key(gateway)))
    until(lambda: len(authority.frames(key(gateway))) >= seen + 3)
    assert_whole(authority.frames(key(gateway)))


def test_a_busy_authority_is_given_time(authority, make_gateway, start):
    gateway = make_gateway()
    gateway.enrol()
    authority.fail_with = [(503, {"Retry_After": "1"}), (429, {"Retry_After": "1"}), (500, {})]
    start(gateway)
    until(lambda: len(authority.frames(key(gateway))) >= 2)
    assert_whole(authority.frames(key(gateway)))


def test_two_agents_never_share_a_state_directory(authority, make_gateway, start):
    gateway = make_gateway()
    gateway.enrol()
    start(gateway)
    until(lambda: len(authority.frames(key(gateway))) >= 1)
    second = command("run", "--config", str(gateway.file))
    assert second.returncode == 1
    assert "already_running" in second.stderr


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "edge_agent", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
        **options,
    )


def test_the_command_enrols_without_a_line(authority, make_gateway):
    gateway = make_gateway()
    authority.approved = False
    arguments = ("enrol", "--config", str(gateway.file), "--claim", authority.claim("dormitory-a"), "--no-probe")
    waiting = command(*arguments)
    assert waiting.returncode == 3, waiting.stderr
    assert "waits for approval" in waiting.stdout
    authority.approved = True
    done = command(
        "enrol", "--config", str(gateway.file), "--claim", "-", "--no-probe", input=authority.claim("dormitory-a")
    )
    assert done.returncode == 0, done.stderr
    assert "solar as building" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("run",), 1, "not_enrolled"),
        (("status",), 1, "no_status"),
        (("enrol", "--claim", "nonsense", "--no-probe"), 1, "claim_invalid"),
        (
            ("enrol", "--claim", "dormitory-a-AAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAA", "--no-probe"),
            1,
            "authority_not_trusted",
        ),
        (("enrol", "--claim", "dormitory-b-AAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAA", "--no-probe"), 1, "claim_invalid"),
        (("enrol", "--claim", "dormitory-a-AAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAA"), 1, "meter_unreachable"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(make_gateway, arguments, status, says):
    gateway = make_gateway()
    done = command(arguments[0], "--config", str(gateway.file), *arguments[1:])
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_file_is_wrong_usage(tmp_path):
    (tmp_path / "gateway.toml").write_text("[gateway]\n")
    done = command("run", "--config", str(tmp_path / "gateway.toml"))
    assert done.returncode == 2
    assert "gateway.toml" in done.stderr


def test_status_shows_a_running_agent(authority, make_gateway, start):
    gateway = make_gateway()
    gateway.enrol()
    start(gateway)

    def whole(page):
        return "receipted" in page and "no problems" in page

    until(lambda: len(authority.frames(key(gateway))) >= 2)
    shown = command("status", "--config", str(gateway.file), "--json")
    status = json.loads(shown.stdout)
    assert status["running"] is True
    assert status["uplink"]["kind"] == "https"
    until(lambda: (page := command("status", "--config", str(gateway.file))).returncode == 0 and whole(page.stdout))


def test_a_changed_map_is_not_signed_under(authority, make_gateway, start):
    gateway = make_gateway(meters=("solar", "load"))
    gateway.enrol()
    text = gateway.file.read_text()
    gateway.file.write_text(text.replace("LDN-load", "LDN-other"))
    process = start(gateway)
    until(lambda: len(authority.frames(key(gateway))) >= 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert authority.frames(key(gateway, "load")) == []
    assert read_status(gateway.config.state)["meters"]["load"]["errors"]["enrolment"]["code"] == "map_not_approved"


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        ("", False),
        ('auth = "lls"\npassword = "12345678"\n', True),
        (f'key = "{bytes(16).hex()}"\n', True),
        (f'auth_key = "{bytes(16).hex()}"\n', True),
    ],
)
def test_secrets_that_others_can_read_are_told(authority, make_gateway, start, secret, told):
    gateway = make_gateway()
    gateway.enrol()
    gateway.file.write_text(gateway.file.read_text().replace("[meter.map]", secret + "[meter.map]"))
    for mode in (0o600, 0o640):
        gateway.file.chmod(mode)
        seen = len(authority.frames(key(gateway)))
        process = start(gateway)
        until(lambda seen=seen: len(authority.frames(key(gateway))) > seen)
        process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=60)[1]
        assert ("others can read" in log) == (told and mode == 0o640)
        assert "12345678" not in log


def test_a_meter_whose_key_others_can_read_is_left_out_and_stops_no_other(authority, make_gateway, start):
    gateway = make_gateway(meters=("solar", "load"))
    gateway.enrol()
    exposed = KeyStore(gateway.config.state).meter_key_path("load")
    exposed.chmod(0o644)
    start(gateway)
    until(lambda: len(authority.frames(key(gateway))) >= 2)
    error = read_status(gateway.config.state)["meters"]["load"]["errors"]["enrolment"]
    assert error["code"] == "key_exposed"
    assert "chmod 600" in error["message"]
    exposed.chmod(0o600)
    assert authority.frames(key(gateway, "load")) == []
