"""Governance's commands on a real chain: parameters, pauses, the operator; and a file that does not act."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from solders.keypair import Keypair
from sqlalchemy import select

from authority.app import App
from authority.chain.client import ChainClient
from authority.cli import main
from authority.governance import acts
from authority.store.log import Act

pytestmark = pytest.mark.finding("ops-5")


@pytest.fixture
def store_url() -> str:
    return ""


def kinds(app: App) -> list[str]:
    with app.store.read() as session:
        return list(session.scalars(select(Act.kind).order_by(Act.log_index)))


def test_prices_are_staged_shown_and_taken_back(app: App, chain: ChainClient, run: Any) -> None:
    before = acts.read(chain)
    words = ["parameters", "stage", "--feed-in-price", "120000", "--retail-price", "310000"]
    far = ["--from-epoch", str(before.epoch + 50)]
    told = run(*words, *far, "--dry-run")
    assert told["changes"]["feed_in_price"] == {"from": 80_000, "to": 120_000}
    assert told["signature"] is None
    assert acts.read(chain).staged is None
    run(*words, *far)
    now = acts.read(chain)
    assert now.staged is not None
    assert (now.staged["feed_in_price"], now.staged["retail_price"]) == (120_000, 310_000)
    assert now.parameters == before.parameters
    assert now.staged_from == before.epoch + 50
    assert run("parameters", "show")["staged"]["feed_in_price"] == 120_000
    run("parameters", "cancel")
    assert (acts.read(chain).staged, acts.read(chain).parameters) == (None, before.parameters)
    assert run("parameters", "cancel") == {"cancelled": None}
    assert kinds(app) == ["parameters_staged", "parameters_staged"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--feed-in-price", "300001"], "out_of_range"),
        (["--fee-bps", "10001"], "out_of_range"),
        (["--feed-in-price", "99999", "--from-epoch", "1"], "out_of_range"),
        (["--grace-seconds", "901"], "out_of_range"),
        (["--retail-price", "-1"], "retail_price is 0 to 4294967295, not -1 [out_of_range]"),
        ([], "nothing_to_change"),
        (["--feed-in-price", "80000"], "nothing_to_change"),
    ],
)
def test_what_cannot_hold_is_refused_with_its_bound(run: Any, words: list[str], code: str) -> None:
    assert code in run("parameters", "stage", *words, exits=1)


def test_activities_stand_still_and_go_on(app: App, chain: ChainClient, run: Any) -> None:
    reason = ["--reason", "works at the substation"]
    assert run("pause", "orders", "clearing", *reason)["paused"] == ["orders", "clearing"]
    assert acts.read(chain).paused == ("orders", "clearing")
    assert run("pause", "orders", *reason)["signature"] is None  # it stands already
    assert run("resume", "orders", *reason, "--dry-run")["paused"] == ["clearing"]
    assert acts.read(chain).paused == ("orders", "clearing")
    run("resume", "--all", *reason)
    assert acts.read(chain).paused == ()
    assert kinds(app) == ["pause_set", "pause_set"]
    assert "name an activity" in run("pause", *reason, exits=1)
    assert "name an activity" in run("pause", "everything", *reason, exits=1)


def test_another_operator_is_named(app: App, chain: ChainClient, run: Any) -> None:
    other = str(Keypair().pubkey())
    assert run("operator", "set", other, "--reason", "handover", "--dry-run")["signature"] is None
    run("operator", "set", other, "--reason", "handover")
    assert acts.read(chain).operator == other
    run("operator", "set", str(app.home.operator.pubkey()), "--reason", "back")
    assert acts.read(chain).operator == str(app.home.operator.pubkey())


def test_a_setting_that_does_not_act_is_an_error(
    app: App, chain: ChainClient, run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(app.home.path)]
    assert main(["deploy", *home]) == 0
    app.home.save(replace(app.home.settings, parameters=replace(app.home.settings.parameters, feed_in_price=120_000)))
    capsys.readouterr()
    assert main(["deploy", *home]) == 1
    said = capsys.readouterr().err
    assert "feed_in_price is 80000 on the chain and 120000 in the file" in said
    assert "authority parameters stage" in said
    assert run("parameters", "show")["differs"] == {"feed_in_price": [120_000, 80_000]}
    run("parameters", "adopt")
    assert main(["deploy", *home]) == 0
