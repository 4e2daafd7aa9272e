"""Several processes that serve the pages together, over real sockets: what only the first of them does, and its end."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from free_ports import free_port
from sample_campus import Source

from authority.app import App
from authority.chain.client import ChainClient
from authority.home.home import Home
from authority.home.settings import WebSettings
from authority.web.application import People, create_app
from authority.web.server import AT_FIRST

ROOT = Path(__file__).parents[3]
SERVED = """
import os, sys, time
from flask import Flask, request
from authority.web.server import WebServer


class Feed:
    def stop(self):
        pass


def make(siblings):
    app = Flask("served")
    app.extensions["campus_feed"] = Feed()

    @app.get("/who")
    @app.get("/audit/who")
    def who():
        return str(os.getpid())

    @app.post("/audit/length")
    def length():
        return f"{os.getpid()} {len(request.get_data())} {request.headers['X-Said']} {request.remote_addr}"

    @app.get("/audit/slow")
    def slow():
        time.sleep(1)
        return str(os.getpid())

    return app


WebServer(make, host="127.0.0.1", port=int(sys.argv[1]), processes=3, threads=2, streams=1).run()
"""


@contextmanager
def serving(port: int, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        end = time.monotonic() + 120
        while True:
            try:
                ask(port, "GET", "/who")
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        assert process.wait(60) == 0


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str, bool]:
    """(status, body, whether the connection ends) of a request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.getheader("Connection") == "close"
    finally:
        connection.close()


def all_of(port: int, path: str) -> set[str]:
    return {ask(port, "GET", path)[1] for _ in range(60)}


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def port() -> Iterator[int]:
    port = free_port()
    with serving(port, ["-c", SERVED, str(port)]):
        until(lambda: len(all_of(port, "/who")) == 3)
        yield port


def test_one_process_answers_what_only_one_may_and_each_of_them_the_rest(port: int) -> None:
    (first,) = all_of(port, "/audit/who")
    assert first in all_of(port, "/who")
    body = b"x" * 60_000

    def post() -> bool:
        status, said, ends = ask(port, "POST", "/audit/length", body, **{"X-Said": "hello"})
        assert (status, said) == (200, f"{first} 60000 hello 127.0.0.1")
        return ends

    until(post)  # where another process took it, its answer is the last of its connection
    for written in ("/%61udit/who", "//audit/who", f"http://127.0.0.1:{port}/audit/who"):
        assert {
            answered for status, answered in (ask(port, "GET", written)[:2] for _ in range(30)) if status == 200
        } <= {first}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    said = set()
    for _ in range(20):
        for path in ("/who", "/audit/who"):  # where a connection ended, the client connects anew, as all do
            connection.request("GET", path)
            said.add((path, connection.getresponse().read().decode()))
    assert {who for path, who in said if path == "/audit/who"} == {first}


def test_when_the_first_dies_another_one_is_first_and_nothing_is_lost(port: int) -> None:
    (first,) = all_of(port, "/audit/who")
    os.kill(int(first), signal.SIGKILL)
    statuses = []
    for _ in range(20):
        try:
            statuses.append(ask(port, "GET", "/audit/slow")[0])
        except (OSError, http.client.HTTPException):
            statuses.append(0)  # it was with the process that died
        if statuses[-1] == 200:
            break
    assert statuses[-1] == 200
    until(lambda: len(all_of(port, "/who")) == 3)
    (second,) = all_of(port, "/audit/who")
    assert second != first


@pytest.mark.parametrize("processes", [1, 3])
def test_the_pages_count_together_who_tries_to_get_in(home: Home, processes: int) -> None:
    port = free_port()
    home.save(replace(home.settings, web=WebSettings(port=port, processes=processes, threads=2, streams=2)))
    with serving(port, ["-m", "authority.cli", "web", "--home", str(home.path)]):
        forwarded = {"X-Forwarded-For": "198.51.100.7"}
        begun = time.monotonic()
        statuses = [ask(port, "GET", f"/invite/{number}", **forwarded)[0] for number in range(60)]
        again = 1 + int((time.monotonic() - begun) / 10)  # a try is there again every ten seconds
        assert statuses[:30] == [404] * 30
        assert 30 <= statuses.count(404) <= 30 + again
        assert ask(port, "GET", "/invite/x", **{"X-Forwarded-For": "198.51.100.8"})[0] == 404


ASKED_OF_ONE = ("treasurer", "estimates", "billing", "audit", "audits", "me_export")
"""Blueprints over bills in the making, audits that run, and exports under way."""


def test_what_is_in_the_memory_of_one_is_asked_of_one(app: App) -> None:
    pages = create_app(Source(), people=People(app, lambda: ChainClient("http://127.0.0.1:9")))
    of_one = {rule.rule for rule in pages.url_map.iter_rules() if rule.endpoint.partition(".")[0] in ASKED_OF_ONE}
    assert {rule for rule in of_one if not rule.startswith(AT_FIRST)} == set()
    assert [path for path in AT_FIRST if not any(rule.startswith(path) for rule in of_one)] == []
