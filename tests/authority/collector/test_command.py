"""`authority collector` and `authority enrol` as an operator types them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authority.app import App
from authority.cli import main
from authority.collector.ingest import Collector
from authority.store.metering import Frame

PLAN = Path(__file__).parents[3] / "authority" / "demo" / "campus.toml"


def test_held_readings_are_listed_released_and_voided(
    app: App, add_meter: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(app.home.path)]
    meter = add_meter()
    assert main(["collector", "held", *home]) == 0
    assert "no reading is held" in capsys.readouterr().out
    frames = [meter.next(clock_deviation=100), meter.next(interval_end=2**62), meter.next(clock_deviation=200)]
    Collector(app).ingest(b"".join(frames), gateway="gw-1", meter=None, over="https")
    assert main(["collector", "held", *home]) == 0
    listed = capsys.readouterr().out
    assert listed.count("gw-1/pv") == 3
    assert "clock_unsynchronised" in listed
    assert main(["collector", "release", "0", "--reason", "clock was set", *home]) == 0
    assert main(["collector", "void", "1", "2", "--reason", "faulty", *home]) == 0
    assert "reading 2 is void" in capsys.readouterr().out
    assert main(["collector", "void", "1", "--reason", "again", *home]) == 1
    assert "not_held" in capsys.readouterr().err
    with app.store.read() as session:
        assert [session.get_one(Frame, n).disposition for n in range(3)] == ["released", "void", "void"]


def test_the_brokers_configuration_is_written(app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collector", "broker", str(tmp_path / "mosquitto"), "--home", str(app.home.path)]) == 0
    path = Path(capsys.readouterr().out.strip())
    text = path.read_text()
    assert "require_certificate true" in text
    assert "listener 8883 0.0.0.0" in text
    assert os.fspath(app.home.key_path("server.pem")) in text
    assert "pattern write ami/v1/%u/+/reading" in (path.parent / "access.acl").read_text()


def test_a_plan_is_read_and_a_claim_given(app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(app.home.path)]
    assert main(["enrol", "campus", str(PLAN), *home]) == 0
    assert "9 meters at 4 gateways" in capsys.readouterr().out
    assert main(["enrol", *home, "claim", "dormitory_a"]) == 0
    name, secret, fingerprint = capsys.readouterr().out.strip().rsplit("-", 2)
    assert (name, len(secret), len(fingerprint)) == ("dormitory_a", 16, 16)
    assert main(["enrol", "list", *home]) == 0
    assert "expected" in capsys.readouterr().out
    for words, code in (
        (["enrol", "claim", "nosuch"], "not_found"),
        (["enrol", "approve", "nosuch"], "not_found"),
        (["enrol", "reject", "nosuch", "--reason", "x"], "not_found"),
        (["enrol", "revoke", "dormitory_a", "--reason", "x"], "not_found"),
        (["enrol", "campus", str(tmp_path / "nosuch.toml")], "plan_unreadable"),
    ):
        assert main([*words, *home]) == 1
        assert code in capsys.readouterr().err


def test_without_a_home_the_way_to_one_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enrol", "list", "--home", str(tmp_path / "nosuch")]) == 1
    assert "authority init --home" in capsys.readouterr().err
