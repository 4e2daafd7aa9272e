"""The database goes away under the whole service: each process says so in a sentence, and takes it up again alone."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archived_postgres import ArchivedPostgres
from free_ports import free_port

from authority.cli import main
from authority.home.home import Home
from authority.home.settings import CollectorSettings, Settings, StoreSettings, ValidatorSettings, WebSettings

ROOT = Path(__file__).parents[3]
AWAY_SECONDS = 20
"""Long enough for every process to meet it many times over."""
MOST_LINES = 3
"""Of one process about one event: it may be met in two causes, refused and then broken off, and be over."""


class Service:
    """`authority serve`, and what it has said."""

    def __init__(self, home: Home) -> None:
        self.facts: list[dict[str, Any]] = []
        words = ["serve", "--log-format", "json", "--home", home.path]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "authority.cli", *words],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.facts.append(json.loads(line))

    def wait_for(self, words: str, seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while not any(words in str(fact["event"]) for fact in list(self.facts)):
            assert self.process.poll() is None, self.facts[-20:]
            assert time.monotonic() < end, self.facts[-20:]
            time.sleep(0.1)


@pytest.fixture
def home(cluster: ArchivedPostgres, tmp_path: Path) -> Home:
    ports = [free_port() for _ in range(3)]
    settings = Settings(
        store=StoreSettings(cluster.url),
        collector=CollectorSettings(port=ports[0], threads=2),
        validator=ValidatorSettings(url=f"http://127.0.0.1:{ports[1]}", port=ports[1]),
        web=replace(WebSettings(), port=ports[2]),
    )
    return Home.create(tmp_path / "home", settings, now=int(time.time()))


@pytest.fixture
def service(home: Home) -> Iterator[Service]:
    made = Service(home)
    yield made
    made.process.terminate()
    made.process.wait(60)


def ready(home: Home) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", home.settings.web.port, timeout=60)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.finding("ops-13")
@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_database_that_is_away_is_a_sentence_in_each_process(
    cluster: ArchivedPostgres, home: Home, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.wait_for("everything is started")
    assert main(["deploy", "--home", str(home.path)]) == 0
    capsys.readouterr()
    cluster.stop()
    before, end = len(service.facts), time.monotonic() + AWAY_SECONDS
    for words in (["status"], ["market", "show"], ["enrol", "list"], ["settlement", "retry"], ["meters", "list"]):
        assert main([*words, "--home", str(home.path)]) == 1
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert said.err.endswith("[store_unreachable]\n")
    while time.monotonic() < end:
        assert ready(home) == 503
        time.sleep(1)
    while_away = service.facts[before:]
    assert [fact for fact in while_away if "traceback" in fact] == []
    counts = Counter((fact.get("process", fact.get("logger", "")), fact["event"]) for fact in while_away)
    assert counts, "nobody says anything"
    assert max(counts.values()) <= MOST_LINES, counts.most_common(5)
    cluster.start()
    end = time.monotonic() + 120
    while ready(home) != 200:
        assert time.monotonic() < end
        time.sleep(0.5)
    assert main(["enrol", "list", "--home", str(home.path)]) == 0
    assert service.process.poll() is None
