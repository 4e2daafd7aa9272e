"""`authority enrol`: each act can be tried first, answers as JSON, and typed twice does no more than once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from enrolling_gateway import PLAN, GatewayHand
from sqlalchemy import func, select

from authority.app import App
from authority.chain.client import ChainClient
from authority.cli import main
from authority.collector.http import create_app
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.store.enrolments import Claim
from authority.store.log import Act
from authority.store.metering import Gateway, Meter
from authority.store.people import Installation, User

Run = Callable[..., Any]


def acts(app: App) -> int:
    with app.store.read() as session:
        return session.scalar(select(func.count()).select_from(Act)) or 0


def once(app: App, run: Run, *words: str) -> tuple[Any, Any]:
    """Try, do and do again; the trial's and the act's answers. Trial and repetition log nothing."""
    before = acts(app)
    tried = run(*words, "--dry-run")
    assert (tried["dry_run"], tried["changed"], acts(app)) == (True, False, before)
    done = run(*words)
    assert (done["dry_run"], done["changed"]) == (False, True)
    logged = acts(app)
    assert logged > before
    assert run(*words)["changed"] is False
    assert acts(app) == logged
    return tried, done


def steps(told: Any) -> dict[str, str]:
    return {step["what"]: step["outcome"] for step in told["steps"]}


def hand(app: App, code: str) -> GatewayHand:
    return GatewayHand(create_app(app, Collector(app), Live(app)).test_client(), code)


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_bytes(PLAN)
    return path


def test_a_plan(app: App, run: Run, plan_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("enrol", "campus", str(plan_file))
    tried, done = once(app, run, *words)
    assert (tried["added"], tried["logged_as"]) == (5, None)
    assert (done["added"], done["corrected"], done["gateways"]) == (5, 0, ["gw-1", "gw-2"])
    with app.store.read() as session:
        wallet = session.scalars(select(User.wallet)).one()
    plan_file.write_bytes(PLAN.replace(b"10000", b"12000"))
    tried, done = once(app, run, *words)
    assert (done["added"], done["corrected"]) == (tried["added"], tried["corrected"]) == (0, 1)
    with app.store.read() as session:
        assert session.get_one(Installation, 1).nameplate_w == 12_000
        assert session.scalars(select(User.wallet)).one() == wallet
    assert main([*words, "--home", str(app.home.path)]) == 0
    assert "3 meters at 2 gateways; nothing is new" in capsys.readouterr().out


def test_claim_approval_registration_and_rejection(app: App, run: Run, chain: ChainClient, plan_file: Path) -> None:
    run("enrol", "campus", str(plan_file))
    assert run("enrol", "claim", "gw-1", "--dry-run")["claim"] is None
    with app.store.read() as session:
        assert session.scalars(select(Claim)).all() == []
    gateway = hand(app, run("enrol", "claim", "gw-1")["claim"])
    asked = gateway.ask().json
    assert gateway.prove(asked).status_code == 202

    tried, done = once(app, run, "enrol", "approve", "gw-1")
    assert steps(tried) == {
        "certificate of gw-1": "would be issued",
        "meter gw-1/load": "would be put on the chain, where it is not",
        "meter gw-1/pv": "would be put on the chain, where it is not",
    }
    assert (done["enrolment"], done["complete"]) == (asked["enrolment"], True)
    assert steps(done)["chain"] == "has 2 meters more"
    with app.store.read() as session:
        certificate = session.get_one(Gateway, "gw-1").certificate
    assert gateway.show(asked["enrolment"]).json["credentials"]["certificate"] == certificate
    assert steps(run("enrol", "approve", asked["enrolment"]))["certificate of gw-1"] == "was issued before"

    with app.store.write() as session:  # as if the command had been broken off before it noted a meter
        session.scalars(select(Meter).where(Meter.name == "pv")).one().registered_at = None
    tried, done = once(app, run, "enrol", "register", "gw-1")
    assert steps(tried) == {"meter gw-1/pv": "would be put on the chain"}
    assert [step["what"] for step in done["steps"]] == ["meter gw-1/pv", "chain"]

    gateway = hand(app, run("enrol", "claim", "gw-1")["claim"])
    asked = gateway.ask().json
    gateway.prove(asked)
    tried, done = once(app, run, "enrol", "reject", "gw-1", "--reason", "wrong keys")
    assert steps(tried) == {"enrolment of gw-1": "would be rejected"}
    assert gateway.show(asked["enrolment"]).json == {"status": "rejected", "reason": "wrong keys"}
    run("enrol", "approve", "gw-1", exits=1)  # its last enrolment was rejected: nothing is approved in its place


def test_a_claim_code_stands_alone_on_its_line_for_scripts(
    app: App, plan_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ("--home", str(app.home.path))
    main(["enrol", "campus", str(plan_file), *home])
    capsys.readouterr()
    assert main(["enrol", "claim", "gw-1", *home]) == 0
    (code,) = capsys.readouterr().out.split()
    assert code.startswith("gw-1-")
    assert main(["enrol", "claim", "gw-1", "--json", *home]) == 0
    assert json.loads(capsys.readouterr().out)["claim"] != code
