"""`authority collector` and `authority enrol` as an operator types them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from authority.app import App
from authority.cli import main
from authority.collector import held
from authority.collector.ingest import Collector
from authority.home.settings import MqttSettings
from authority.store import Store
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


def test_many_are_decided_in_few_commits_and_a_refused_one_keeps_those_before_it(
    app: App, add_meter: Callable[..., Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "DECIDED_AT_ONCE", 4)
    home = ["--home", str(app.home.path), "--reason", "clock was set"]
    meter, committed = add_meter(), []
    frames = [meter.next(clock_deviation=100) for _ in range(10)]
    Collector(app).ingest(b"".join(frames), gateway="gw-1", meter=None, over="https")
    writing = Store.write

    def counted(store: Store) -> AbstractContextManager[Session]:
        committed.append(store)
        return writing(store)

    monkeypatch.setattr(Store, "write", counted)
    indexes = [0, 1, 2, 3]
    assert list(held.in_groups(app.store, held.release, indexes, actor="a", reason="b", now=1)) == [
        (0, 10), (1, 11), (2, 12), (3, 13),
    ]  # fmt: skip
    assert len(committed) == 1
    assert main(["collector", "release", "4", "5", "2", "6", *home]) == 1
    told = capsys.readouterr()
    assert "reading 5 is released; logged as 15" in told.out
    assert "not_held" in told.err
    with app.store.read() as session:
        assert [session.get_one(Frame, n).disposition for n in range(10)] == ["released"] * 6 + ["held"] * 4


@pytest.mark.finding("ops-15")
def test_held_readings_are_decided_by_meter_time_and_cause(
    app: App, add_meter: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(app.home.path), "--reason", "looked into"]
    meters = [add_meter("a"), add_meter("b")]
    for meter in meters:
        frames = [meter.next(), *(meter.next(clock_deviation=100) for _ in range(3)), meter.next(consumption=5)]
        Collector(app).ingest(b"".join(frames), gateway="gw-1", meter=None, over="https")

    def held_now() -> list[tuple[str, int, str]]:
        with app.store.read() as session:
            return [(row.meter, row.log_index, row.code) for row in held.held(session)]

    def run(*words: str) -> int:
        return main(["collector", *words, *home])

    assert len(held_now()) == 8
    assert run("release", "--meter", "gw-1/a", "--code", "clock_unsynchronised", "--dry-run") == 0
    assert len(held_now()) == 8
    capsys.readouterr()
    assert run("release", "--meter", "gw-1/a", "--code", "clock_unsynchronised", "--json") == 0
    assert [each["log_index"] for each in json.loads(capsys.readouterr().out)["readings"]] == [1, 2, 3]
    assert [row[1] for row in held_now()] == [4, 6, 7, 8, 9]
    with app.store.read() as session:
        since = datetime.fromtimestamp(session.get_one(Frame, 8).interval_end, UTC).isoformat()
    assert run("void", "--meter", "gw-1/b", "--since", since) == 0
    assert [row[1] for row in held_now()] == [4, 6, 7]
    assert run("void", "--meter", "gw-1/c") == 1
    assert run("void", "4", "--meter", "gw-1/a") == 1
    assert run("void") == 1
    assert len(held_now()) == 3
    assert run("void", "--all") == 0
    assert held_now() == []
    capsys.readouterr()
    assert run("void", "--all") == 0
    assert "no reading is held that fits" in capsys.readouterr().out


@pytest.mark.finding("ops-15")
def test_what_a_later_reading_carries_closes_by_itself(
    app: App, add_meter: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    meter, other = add_meter("a"), add_meter("b")
    for frames in (
        [meter.next(clock_deviation=100), meter.next(clock_deviation=100), meter.next()],
        [other.next(), other.next(clock_deviation=100)],
    ):
        Collector(app).ingest(b"".join(frames), gateway="gw-1", meter=None, over="https")
    with app.store.write() as session:
        session.get_one(Frame, 2).chain_status = "confirmed"
        session.get_one(Frame, 3).chain_status = "confirmed"
    assert main(["collector", "held", "--home", str(app.home.path)]) == 0
    assert "gw-1/a" not in capsys.readouterr().out
    with app.store.read() as session:
        frames = [session.get_one(Frame, index) for index in (0, 1, 4)]
    assert [frame.disposition for frame in frames] == ["void", "void", "held"]
    assert frames[0].resolved_by == "collector"
    assert "a later reading (2)" in (frames[0].resolution or "")


def test_the_brokers_configuration_is_written(app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = ["collector", "broker", str(tmp_path / "mosquitto"), "--home", str(app.home.path)]
    assert main(written) == 0
    assert "listener 8883 127.0.0.1" in Path(capsys.readouterr().out.strip()).read_text()
    app.home.save(replace(app.home.settings, mqtt=MqttSettings("mqtt.campus.example")))
    assert main(written) == 0
    path = Path(capsys.readouterr().out.strip())
    text = path.read_text()
    assert "require_certificate true" in text
    assert "listener 8883 0.0.0.0" in text
    assert os.fspath(app.home.key_path("server.pem")) in text
    assert "pattern write ami/v1/%u/+/reading" in (path.parent / "access.acl").read_text()


def test_a_plan_is_read_and_a_claim_given(app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(app.home.path)]
    assert main(["enrol", "campus", str(PLAN), *home]) == 0
    assert "13 meters at 4 gateways" in capsys.readouterr().out
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
