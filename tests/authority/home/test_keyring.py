"""Each process gets the keys that it uses and no others."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from authority.app import App
from authority.home.errors import HomeError
from authority.home.home import Home
from authority.home.keyring import KEYS_OF, SECRETS
from authority.home.settings import WebSettings

NOW = 1_782_000_000
USES: dict[str, Callable[[Home], object]] = {
    "authority.json": lambda home: home.authority,
    "operator.json": lambda home: home.operator,
    "receipt.json": lambda home: home.receipt_key,
    "ca.key": lambda home: home.ca_key.private_numbers(),
    "server.key": lambda home: home.key_path("server.key").read_bytes(),
    "collector.key": lambda home: home.key_path("collector.key").read_bytes(),
    "meter-salt": lambda home: home.meter_salt,
    "wallets.key": lambda home: home.wallet_key,
    "verifiers.key": lambda home: home.verifiers_key,
    "metrics-token": lambda home: home.metrics_token,
    "auditor-token": lambda home: home.auditor_token,
    "tickets.key": lambda home: home.tickets_key,
    "webhook-secret": lambda home: home.webhook_secret,
    "smtp-password": lambda home: home.smtp_password,
    "oidc-client-secret": lambda home: home.oidc_client_secret,
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.create(tmp_path / "home", now=NOW)
    for name in ("smtp-password", "oidc-client-secret"):
        made.keys.make(name, b"a person puts it there\n")
    return made


def test_every_secret_file_has_its_name(home: Home) -> None:
    made = {path.name for path in home.key_path("").iterdir()}
    assert {name for name in made if not name.endswith(".pem")} == SECRETS == set(USES)


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("process", KEYS_OF)
def test_a_process_gets_its_keys_and_no_others(home: Home, process: str, name: str) -> None:
    opened = Home.open(home.path, process)
    if name in KEYS_OF[process]:
        assert USES[name](opened) == USES[name](home)
        return
    with pytest.raises(HomeError, match=name) as caught:
        USES[name](opened)
    assert caught.value.code == "key_withheld"


def test_nobody_serves_pages_or_readings_with_the_keys_to_everything() -> None:
    for process in ("web", "collector", "verifier"):
        assert not KEYS_OF[process] & {"ca.key", "authority.json", "operator.json", "wallets.key"}
    assert "receipt.json" not in KEYS_OF["verifier"]


def test_certificates_are_nobodys_secret(home: Home) -> None:
    assert Home.open(home.path, "web").ca_certificate == home.ca_certificate


def test_the_pages_are_served_where_no_secret_key_is_at_all(home: Home, tmp_path: Path, free_tcp_port: int) -> None:
    """The real process, on a home from which every secret was taken away."""
    App.open(home.path).store.close()
    home.save(replace(home.settings, web=WebSettings(port=free_tcp_port)))
    for name in SECRETS:
        home.key_path(name).unlink()
    log = tmp_path / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "authority.cli", "web", "--home", str(home.path)], stdout=output, stderr=output
        )
    try:
        page = None
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{free_tcp_port}/docs", timeout=5) as answer:
                    page = answer.read()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        assert page is not None, log.read_text()
        assert b"/api/v1" in page
    finally:
        process.terminate()
        process.wait(timeout=60)
