"""`authority market` as a person types it."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from authority.app import App
from authority.cli import main
from authority.home.home import Home
from authority.log import log
from authority.settlement.journal import Journal
from authority.store.log import Act
from authority.store.people import User

WALLET = "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM"


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    Home.create(path, now=1_700_000_000)
    app = App.open(path)
    with app.store.write() as session:
        session.add(User(name="North Hall", building="North Hall", wallet=WALLET))
    app.store.close()
    return path


def test_standing_orders_are_set_listed_and_removed(home, capsys):
    market = ["market", "--home", str(home)]
    assert main([*market, "standing-order", "set", "North Hall", "--sell-at", "120000", "--reserve", "500"]) == 0
    assert main([*market, "standing-order", "list"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == printed[1]
    assert printed[0] == "North Hall: sells what it holds above 500 Wh at 120000 micro-credit per kWh or more"
    assert main([*market, "standing-order", "remove", "North Hall"]) == 0
    capsys.readouterr()
    assert main([*market, "standing-order", "list"]) == 0
    assert "no member has a standing order" in capsys.readouterr().out
    app = App.open(home)
    with app.store.read() as session:
        assert log.size(session) == 2
        leaves = [log.leaf(session, index) for index in range(2)]
    app.store.close()
    assert all(
        f'"wallet":"{WALLET}"'.encode() in leaf and b"North Hall" not in leaf for leaf in leaves
    )  # the log cannot forget


def test_each_act_can_be_tried_first_and_typed_twice_does_no_more(home, capsys):
    def run(*words):
        assert main(["market", "--home", str(home), "standing-order", *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    setting = ("set", "North Hall", "--sell-at", "120000")
    assert run(*setting, "--dry-run")["changed"] is False
    assert run("list") == []
    told = run(*setting, "--actor", "board")
    assert (told["user"], told["sell_at"], told["changed"]) == ("North Hall", 120_000, True)
    assert run(*setting)["changed"] is False
    assert len(run("list")) == 1
    removing = ("remove", "North Hall")
    assert run(*removing, "--dry-run") == {"user": "North Hall", "dry_run": True, "changed": False}
    assert len(run("list")) == 1
    assert [run(*removing)["changed"] for _ in range(2)] == [True, False]
    app = App.open(home)
    with app.store.read() as session:
        logged = [(act.kind, act.actor) for act in session.scalars(select(Act).order_by(Act.log_index))]
    app.store.close()
    assert [kind for kind, _ in logged] == ["standing_order_set", "standing_order_removed"]
    assert logged[0][1].startswith("operator-"), "the log has a pseudonym for whoever types"
    assert main(["market", "--home", str(home), "standing-order", "remove", "East Hall"]) == 1
    assert "user_unknown" in capsys.readouterr().err


@pytest.mark.finding("ops-23")
def test_what_is_not_named_stays_as_it_was(home, capsys):
    setting = ["market", "--home", str(home), "standing-order", "set", "North Hall"]
    sells = "sells what it holds above 500 Wh at 120000 micro-credit per kWh or more"
    buys = "buys what it lacks at 250000 micro-credit per kWh or less"
    for words, said in (
        (["--sell-at", "120000", "--reserve", "500"], sells),
        (["--buy-at", "250000"], f"{sells}; {buys}"),
        (["--no-sell"], buys),
        (["--sell-at", "120000"], f"{sells}; {buys}"),
        (["--reserve", "0"], f"sells what it holds at 120000 micro-credit per kWh or more; {buys}"),
        (["--feed-in-above", "9", "--no-sell", "--no-buy"], "feeds in what it holds beyond 9 Wh"),
    ):
        assert main([*setting, *words]) == 0
        assert capsys.readouterr().out == f"North Hall: {said}\n"
    assert main([*setting, "--no-feed-in"]) == 1


def test_a_limit_at_which_the_grid_would_be_cheaper_is_told(home, capsys):
    setting = ["market", "--home", str(home), "standing-order", "set", "North Hall", "--buy-at"]
    assert main([*setting, "280000"]) == 0
    assert "note" not in capsys.readouterr().out
    assert main([*setting, "280001"]) == 0
    assert "above 280000 micro-credit per kWh costs more than the grid's" in capsys.readouterr().out


@pytest.mark.finding("authority-11")
@pytest.mark.parametrize("limit", [("--sell-at", "9000000"), ("--buy-at", "10")])
def test_an_order_that_can_never_trade_is_refused_with_the_bounds(home, capsys, limit):
    assert main(["market", "--home", str(home), "standing-order", "set", "North Hall", *limit]) == 1
    assert "80000 to 300000 micro-credit per kWh" in capsys.readouterr().err


def test_an_unknown_user_is_named(home, capsys):
    assert main(["market", "--home", str(home), "standing-order", "set", "East Hall", "--buy-at", "1"]) == 1
    assert "East Hall" in capsys.readouterr().err


def test_show_lists_the_last_epochs(home, capsys):
    app = App.open(home)
    epoch = app.clock() // 900 - 1
    journal = Journal(app.store, lambda: 1)
    journal.ensure_epochs(epoch)
    journal.mark(epoch, bids=2, asks=1, traded_wh=400, clearing_price=150_000)
    app.store.close()
    assert main(["market", "--home", str(home), "show"]) == 0
    words = capsys.readouterr().out.splitlines()[-1].split()
    assert words == [str(epoch), "collecting", "0", "0", "3", "400", "150000"]
