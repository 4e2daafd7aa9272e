"""The supervisor: starts in order, restarts with a growing pause, stops in reverse, and leaves nobody behind."""

from __future__ import annotations

import http.client
import json
import logging
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from free_ports import free_port

from authority.home.home import Home
from authority.home.settings import CollectorSettings, ValidatorSettings, WebSettings
from authority.service import supervisor as supervisor_module
from authority.service.supervisor import Program, Supervisor

ROOT = Path(__file__).parents[3]
WAITS = "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(os.write(1, b'bye\\n') != 4))"
"""Says so when it is told to stop; by os.write, for the signal may come while print is still at work."""


WAITS_AND_TELLS_WHEN = (
    "import os, signal, sys, time; "
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(os.write(1, b'%d\\n' % time.monotonic_ns()) < 2))"
)
"""The same, and when (monotonic nanoseconds)."""


class Told:
    """What a supervisor told, to wait on."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def __call__(self, name: str, line: str) -> None:
        with self._changed:
            self.lines.append((name, line))
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[list[tuple[str, str]]], bool], seconds: float = 60) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.lines), seconds), self.lines


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Told]:
    """What the processes print, and under `serve` what the supervisor logs: the event and its fields."""
    told = Told()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = " ".join(f"{key}={value}" for key, value in vars(record)["fields"].items())
            told("serve", f"{record.getMessage()} {fields}".strip())

    handler, logger = Handler(), supervisor_module.LOG.logger
    caplog.set_level(logging.INFO, logger.name)
    logger.addHandler(handler)
    yield told
    logger.removeHandler(handler)


def running(supervisor: Supervisor) -> threading.Thread:
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    return thread


def test_programs_start_in_order_and_stop_in_reverse(told: Told) -> None:
    asked: list[int] = []

    def ready() -> bool:
        asked.append(1)
        return ("a", "up") in told.lines

    supervisor = Supervisor(
        [
            Program("a", python(f"{WAITS_AND_TELLS_WHEN}; print('up', flush=True); time.sleep(600)"), ready),
            Program("b", python(f"{WAITS_AND_TELLS_WHEN}; print('up', flush=True); time.sleep(600)")),
        ],
        told,
    )
    thread = running(supervisor)
    told.wait_for(lambda lines: ("b", "up") in lines)
    assert told.lines.index(("a", "up")) < told.lines.index(("b", "up"))
    assert asked
    assert set(supervisor.processes()) == {"a", "b"}
    supervisor.stop.set()
    thread.join()
    told.wait_for(lambda lines: {name for name, line in lines if line.isdigit()} == {"a", "b"})
    ended = {name: int(line) for name, line in told.lines if line.isdigit()}  # two threads read the lines
    assert ended["b"] < ended["a"]
    assert supervisor.processes() == {}


def test_what_ends_is_started_again_after_a_growing_pause(told: Told) -> None:
    supervisor = Supervisor([Program("a", python("import sys; print('up', flush=True); sys.exit(3)"))], told)
    thread = running(supervisor)
    told.wait_for(lambda lines: lines.count(("a", "up")) >= 2)
    told.wait_for(lambda lines: any("how=status 3 after_s=2.0" in line for _, line in lines))
    supervisor.stop.set()
    thread.join()


def test_a_killed_program_is_named_with_its_signal(told: Told) -> None:
    supervisor = Supervisor([Program("a", python("import time; print('up', flush=True); time.sleep(600)"))], told)
    thread = running(supervisor)
    told.wait_for(lambda lines: ("a", "up") in lines)
    os.kill(supervisor.processes()["a"], signal.SIGKILL)
    told.wait_for(lambda lines: any("SIGKILL" in line for _, line in lines))
    supervisor.stop.set()
    thread.join()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def served(home: Home, *words: str) -> subprocess.Popen[str]:
    """`authority serve` on free ports, with more words on its command line."""
    ports = [free_port() for _ in range(3)]
    home.save(
        replace(
            home.settings,
            collector=CollectorSettings(port=ports[0], threads=2),
            validator=ValidatorSettings(url=f"http://127.0.0.1:{ports[1]}", port=ports[1]),
            web=replace(WebSettings(), port=ports[2]),
        )
    )
    home.renew_certificates(int(time.time()))
    return subprocess.Popen(
        [sys.executable, "-m", "authority.cli", "serve", "--home", home.path, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def serve(home: Home) -> Iterator[subprocess.Popen[str]]:
    """`authority serve` with a validator, a collector and the web on free ports."""
    process = served(home, "--without", "settlement")
    yield process
    process.kill()
    process.wait()


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return
    raise AssertionError("".join(seen))


def test_serve_runs_and_stops_everything(serve: subprocess.Popen[str]) -> None:
    read_until(serve, "everything is started")
    children = children_of(serve.pid)
    assert len(children) == 4  # certificates, collector, settlement, web
    serve.terminate()
    read_until(serve, "everything is stopped")
    assert serve.wait(60) == 0
    assert not any(is_alive(child) for child in children)


@pytest.mark.finding("ops-19")
def test_what_is_said_to_be_started_answers(serve: subprocess.Popen[str], home: Home) -> None:
    read_until(serve, "everything is started")
    settings = Home.open(home.path).settings
    context = ssl.create_default_context(cafile=str(home.key_path("ca.pem")))
    for connection, path in (
        (http.client.HTTPSConnection("localhost", settings.collector.port, timeout=60, context=context), "/api/v1/ca"),
        (http.client.HTTPConnection("127.0.0.1", settings.web.port, timeout=60), "/openapi.json"),
    ):
        connection.request("GET", path)
        assert connection.getresponse().status == 200
        connection.close()


@pytest.mark.finding("ops-19")
def test_a_process_that_never_answers_is_named_and_not_called_started(told: Told) -> None:
    supervisor = Supervisor(
        [Program("deaf", python("import time; print('up', flush=True); time.sleep(600)"), answers=lambda: False)], told
    )
    thread = threading.Thread(target=lambda: supervisor.run(ready_seconds=0.5))
    thread.start()
    told.wait_for(lambda lines: ("serve", "a process does not answer yet; going on without it process=deaf") in lines)
    supervisor.stop.set()
    thread.join()
    assert ("serve", "everything is started") not in told.lines


@pytest.mark.finding("ops-20")
def test_a_hangup_reads_the_settings_again_and_stops_nothing(serve: subprocess.Popen[str], home: Home) -> None:
    read_until(serve, "everything is started")
    before = set(children_of(serve.pid))
    config = home.path / "authority.toml"
    good = config.read_text()
    config.write_text(good + "[nonsense]\n")
    serve.send_signal(signal.SIGHUP)
    read_until(serve, "is not read again, everything runs on as it was")
    assert set(children_of(serve.pid)) == before
    config.write_text(good.replace('notice = ""', 'notice = "Works until noon"'))
    serve.send_signal(signal.SIGHUP)
    read_until(serve, "everything is started")
    assert not before & set(children_of(serve.pid))
    for child in children_of(serve.pid):
        os.kill(child, signal.SIGHUP)  # as `pkill -HUP` sends it to all
    serve.terminate()
    read_until(serve, "everything is stopped")
    assert serve.wait(60) == 0


def test_children_end_with_a_killed_supervisor(serve: subprocess.Popen[str]) -> None:
    read_until(serve, "everything is started")
    children = children_of(serve.pid)
    serve.kill()
    serve.wait()
    wait_until(lambda: not any(is_alive(child) for child in children))


def test_every_line_of_the_service_is_one_json_object_with_its_facts(home: Home) -> None:
    """Collector, settlement worker, validator, web and the supervisor itself; the worker finds no programs there."""
    with served(home, "--log-format", "json") as process:
        assert process.stdout is not None
        facts: list[dict[str, object]] = []
        try:
            while not (
                any(fact["event"] == "everything is started" for fact in facts)
                and any("again_in_ms" in fact for fact in facts)
            ):
                facts.append(json.loads(process.stdout.readline()))
        finally:
            process.terminate()
        facts += [json.loads(line) for line in process.stdout]
        assert process.wait(60) == 0
    assert all({"time", "level", "event"} <= set(fact) for fact in facts)
    assert facts[-1]["event"] == "everything is stopped"
    told = next(fact for fact in facts if "again_in_ms" in fact)
    assert told["level"] == "warning"
    assert "deploy" in str(told["reason"])
