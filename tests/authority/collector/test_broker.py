"""The documented set-up of the broker, run as it is written; and what is said where no connection comes about."""

from __future__ import annotations

import re
import shlex
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port

from authority.app import App
from authority.cli import main
from authority.collector import broker
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.collector.mqtt import BrokerConnection
from authority.home.home import Home
from authority.home.settings import MqttSettings

OPERATIONS = (Path(__file__).parents[3] / "docs/OPERATIONS.md").read_text(encoding="utf-8")

GREETER = """
import socket, sys
server = socket.socket(fileno=int(sys.argv[1]))
while True:
    link = server.accept()[0]
    link.sendall(b"220 no TLS here\\r\\n")
    link.close()
"""
"""A server that speaks first, and no TLS."""


@pytest.fixture
def store_url() -> str:
    return ""


def documented(pattern: str) -> list[str]:
    """The words of a documented command, without `authority`."""
    found = re.search(rf"authority ({pattern})", OPERATIONS)
    assert found is not None, f"docs/OPERATIONS.md has no {pattern}"
    return shlex.split(found[1])


def listening(port: int) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if broker.answers(port):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.mosquitto
@pytest.mark.finding("ops-2")
def test_the_documented_broker_has_a_certificate_for_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """init --name ... --mqtt ... and collector broker, verbatim; then TLS with the name checked, under both names."""
    program = broker.find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    path = ["--home", str(tmp_path / "home")]
    init = documented(r"init --name [a-z.]+ --mqtt [a-z.]+")
    assert main([*init, *path]) == 0
    home = Home.open(tmp_path / "home")
    port = free_port()
    home.save(replace(home.settings, mqtt=replace(home.settings.mqtt, port=port)))
    capsys.readouterr()
    assert main(["collector", "broker", str(tmp_path / "broker"), "--host", "127.0.0.1", *path]) == 0
    file = capsys.readouterr().out.strip()
    process = subprocess.Popen([program, "-c", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert listening(port)
        context = ssl.create_default_context(cafile=str(home.key_path("ca.pem")))
        context.load_cert_chain(home.key_path("collector.pem"), home.key_path("collector.key"))
        for name in (init[init.index("--mqtt") + 1], init[init.index("--name") + 1]):
            with (
                socket.create_connection(("127.0.0.1", port), 10) as plain,
                context.wrap_socket(plain, server_hostname=name) as link,
            ):
                link.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x")
                assert link.recv(4) == b"\x20\x02\x00\x00"
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.finding("ops-2")
def test_another_broker_host_is_in_the_certificate_after_a_restart(home: Home) -> None:
    home.save(replace(home.settings, mqtt=MqttSettings("mqtt.campus.example")))
    home.renew_certificates(int(time.time()))
    assert home.server_names == ("localhost", "127.0.0.1", "mqtt.campus.example")
    pem = subprocess.run(
        ["openssl", "x509", "-in", home.key_path("server.pem"), "-noout", "-checkhost", "mqtt.campus.example"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "does match" in pem.stdout


@pytest.fixture
def foreign_tls(tmp_path: Path) -> Iterator[Callable[[Home, tuple[str, ...]], int]]:
    """A TLS server with a home's CA's certificate for the names given; its port."""
    processes: list[subprocess.Popen[bytes]] = []

    def serve(home: Home, names: tuple[str, ...]) -> int:
        from authority.home import certificates

        key, now = certificates.new_key(), int(time.time())
        made = certificates.issue_server(home.ca_key, home.ca_certificate, key, names, now)
        file = tmp_path / "server.pem"
        file.write_bytes(certificates.key_to_pem(key) + certificates.certificate_to_pem(made))
        port = free_port()
        processes.append(
            subprocess.Popen(
                ["openssl", "s_server", "-accept", str(port), "-cert", file, "-quiet"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        assert listening(port)
        return port

    yield serve
    for process in processes:
        process.terminate()
        process.wait(60)


def trouble(app: App, caplog: pytest.LogCaptureFixture, host: str, port: int) -> str:
    """What the collector logs when it tries to connect there; once, though it tries again and again."""
    app.home.save(replace(app.home.settings, mqtt=MqttSettings(host, port)))
    connection = BrokerConnection(app, Collector(app), Live(app))
    caplog.clear()
    connection.start()
    try:
        end = time.monotonic() + 60
        while not caplog.messages:
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(3)
    finally:
        connection.stop()
    (record,) = caplog.records
    return str(vars(record)["fields"]["cause"])


@pytest.mark.finding("ops-2")
@pytest.mark.slow
def test_a_failed_connection_names_its_cause(
    app: App, foreign_tls: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    app.home.renew_certificates(int(time.time()))
    assert "nothing listens at" in trouble(app, caplog, "localhost", free_port())
    assert "its certificate is not for the name localhost" in trouble(
        app, caplog, "localhost", foreign_tls(app.home, ("energy.campus.example",))
    )
    other = Home.create(tmp_path / "other", now=int(time.time()))
    assert "this authority's CA did not sign" in trouble(app, caplog, "localhost", foreign_tls(other, ("localhost",)))
    assert "cannot be resolved" in trouble(app, caplog, "no-such-host.invalid", 8883)
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        command = [sys.executable, "-c", GREETER, str(deaf.fileno())]
        greeter = subprocess.Popen(command, pass_fds=[deaf.fileno()])
        try:
            assert "TLS fails" in trouble(app, caplog, "127.0.0.1", deaf.getsockname()[1])
        finally:
            greeter.kill()
            greeter.wait()
