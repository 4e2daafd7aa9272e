"""`edge-agent check`: the file's mistakes, and what this machine lacks, against a real authority over TLS."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from emulator_process import register
from emulator_process import start as start_emulator

from edge_agent.agent.records import CLOCK_ALERT_SECONDS
from edge_agent.agent.site_check import check_site
from edge_agent.state.credentials import CredentialStore

ROOT = Path(__file__).parents[3]
DAY = 86400


def check(file, *options, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent.cli", "check", "--config", str(file), *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def wrong(config, **options):
    """The findings that are not good, by their subject."""
    return {found.subject: found.message for found in check_site(config, **options) if not found.good}


@pytest.fixture
def meters(tmp_path):
    """An emulated meter on a pty, at the place that the gateway's file names."""
    text = '[line]\nlink = "meter"\n[[meter]]\nlogical_device_name = "KFM1000000000001"\n' + register("1-0:2.8.0.255")
    (tmp_path / "emulator").mkdir()
    running = start_emulator(tmp_path / "emulator", text)
    yield running
    running.stop()


def on_the_line(gateway, port) -> None:
    text = gateway.file.read_text()
    for meter in gateway.config.meters:
        text = text.replace(f'"{meter.port}"', f'"{port}"')
    gateway.file.write_text(text)


def test_mistakes_are_told_all_at_once(tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text('[gateway]\nname = "A B"\nstate = "s"\nauthority = "ftp://x"\n[[meter]]\nname = "solar"\n')
    done = check(file, "--json")
    assert done.returncode == 2
    told = json.loads(done.stdout)
    keys = [mistake["key"] for mistake in told["mistakes"]]
    assert {"gateway.name", "gateway.authority", "meter 'solar'.serial", "meter 'solar'.port", "meter 'solar'.map"} == {
        *keys
    }
    assert told["checks"] == []
    assert "5 mistakes" in check(file).stdout


def test_a_gateway_that_is_ready(authority, make_gateway, meters):
    gateway = make_gateway()
    gateway.enrol()
    on_the_line(gateway, meters.port)
    done = check(gateway.file, "--json")
    found = {item["subject"]: item for item in json.loads(done.stdout)["checks"]}
    problems = [name for name, item in found.items() if item["problem"] and not item["good"] and name != "clock"]
    assert problems == []
    assert "takes this gateway's certificate" in found["authority"]["message"]
    assert found["meter solar"]["message"] == "enrolled"
    assert found[meters.port]["message"] == "opens"


def test_a_gateway_that_is_not_enrolled(make_gateway, meters):
    gateway = make_gateway()
    on_the_line(gateway, meters.port)
    done = check(gateway.file)
    assert done.returncode == 4
    assert "edge-agent enrol" in done.stdout


def test_an_authority_that_does_not_answer(authority, make_gateway):
    gateway = make_gateway()
    gateway.enrol()
    authority.stop()
    assert "does not answer" in wrong(gateway.config)["authority"]


def test_a_port_that_is_not_there(make_gateway):
    gateway = make_gateway()
    on_the_line(gateway, "/dev/ttyUSB77")
    assert "there is no port /dev/ttyUSB77" in check(gateway.file).stdout


def test_a_module_that_does_not_answer(make_gateway):
    gateway = make_gateway()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    text = gateway.file.read_text()
    for meter in gateway.config.meters:
        text = text.replace(f'port = "{meter.port}"', f'tcp = "127.0.0.1:{port}"')
    gateway.file.write_text(text)
    done = check(gateway.file)
    assert done.returncode == 4
    assert f"127.0.0.1:{port}" in done.stdout


def test_a_clock_that_is_off(authority, make_gateway):
    gateway = make_gateway()
    gateway.enrol()
    told = wrong(gateway.config, now=lambda: time.time() + 100 * CLOCK_ALERT_SECONDS)
    assert re.search(r"is \+\d+ s off the authority's", told["clock"])


def test_a_certificate_that_ends(authority, make_gateway):
    gateway = make_gateway()
    gateway.enrol()
    ends = CredentialStore(gateway.config.state).load().certificate_expires()
    assert "ends in 10 days: renew it" in wrong(gateway.config, now=lambda: ends - 10 * DAY - 60)["certificate"]
    assert "has ended" in wrong(gateway.config, now=lambda: ends + 2 * DAY)["certificate"]


def test_a_meter_that_may_not_be_signed_for(authority, make_gateway):
    gateway = make_gateway()
    gateway.enrol()
    text = gateway.file.read_text()
    gateway.file.write_text(text.replace('logical_device_name = "', 'logical_device_name = "X'))
    assert "not the one that the authority approved" in check(gateway.file).stdout


def test_keys_that_others_can_read(authority, make_gateway):
    gateway = make_gateway()
    text = gateway.file.read_text().replace("[meter.map]", 'auth = "lls"\npassword = "12345678"\n[meter.map]', 1)
    gateway.file.write_text(text)
    gateway.file.chmod(0o644)
    assert "others can read" in check(gateway.file).stdout
    gateway.file.chmod(0o600)
    assert "others can read" not in check(gateway.file).stdout


def test_a_file_may_be_checked_elsewhere(make_gateway):
    done = check(make_gateway().file, "--file-only")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
