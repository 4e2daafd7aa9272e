"""Strategies of one's own in whole simulations: what they see, what becomes of their orders, and how they fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from authority.app import App
from authority.billing.bill import trades_of
from authority.billing.evidence import StoreEvidence
from authority.cli import main
from authority.errors import USAGE
from authority.measures.markets import RuleInfeasibleError
from authority.simulation import asking, report
from authority.simulation.campus_home import start_of
from authority.simulation.errors import (
    OwnCodeInvalidError,
    RuleFailedError,
    ScenarioInvalidError,
    StrategyFailedError,
)
from authority.simulation.own_code import OwnFunction
from authority.simulation.scenario import Scenario
from authority.simulation.simulation import Out, Request, Simulation, Spent
from authority.store.market import HandOrderRow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
HOURLY = "epoch_seconds = 3600\n"
STRATEGY = """
[[strategy]]
member = "{member}"
file = "{file}"
options = {{ margin = 20_000 }}
"""
CURIOUS = """
from authority.simulation.strategies import Buy, Sell

def trade(view):
    assert view.options == {"margin": 20_000}
    told = view.memory.setdefault("told", [])
    told += [[answer.taken, answer.told] for answer in view.answers]
    view.memory["drawn"] = view.memory.get("drawn", 0) + view.past[-1].drawn_wh
    view.memory["dice"] = view.random.randrange(1_000)
    orders = [Sell(view.terms.feed_in, view.terms.max_wh)]  # it has no plant
    if view.need_wh >= view.terms.min_wh:
        orders.append(Buy(view.terms.retail, min(view.need_wh, view.terms.max_wh)))
    return orders
"""


def request(directory: Path, text: str, buildings: int = 4) -> Request:
    return Request(1, buildings, buildings, 11, start_of("2026-06-01"), Scenario.parse(HOURLY + text, directory))


class PulledError(Exception):
    pass


def live(path: Path, wanted: Request, progress: Callable[[int, int], None] = lambda *_: None) -> dict[str, Any]:
    with Out(path, wanted) as out:
        simulation = Simulation(wanted, out, progress)
        simulation.run()
        return report.make(out.path, wanted, simulation.spent, compare=True)


@pytest.fixture(scope="module")
def curious(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Request, dict[str, Any]]:
    """A day of four buildings in which one trades by a file of its own, and one by the documents' example."""
    path = tmp_path_factory.mktemp("curious")
    (path / "curious.py").write_text(CURIOUS)
    text = STRATEGY.format(member="Laboratory 02", file="curious.py")
    text += STRATEGY.format(member="Library 03", file=ROOT / "docs/examples/patient.py")
    wanted = request(path, text)
    return path / "out", wanted, live(path / "out", wanted)


def test_a_strategys_orders_go_to_the_market_and_refusals_are_told_and_counted(
    curious: tuple[Path, Request, dict[str, Any]],
) -> None:
    out, wanted, found = curious
    assert found["audit"]["ok"], found["audit"]["problems"]
    everything = asking.lines(out)
    lines = [line for line in everything if line["member"] == "Laboratory 02"]
    first = wanted.start // 3_600
    assert [line["epoch"] for line in lines] == list(range(first, first + 25))
    summary, example = found["strategies"]
    assert example["taken"] > 0 == example["refused"]
    refusal = "the token account holds less than that"
    assert (summary["asked"], summary["refused"], summary["refusals"]) == (25, 24, {refusal: 24})
    assert summary["taken"] == sum(len(line["orders"]) for line in lines[:-1]) - 24 > 0
    assert "asked 25 times" in report.text_of(found)
    last = lines[-1]["memory"]
    assert last["told"].count([False, refusal]) == 24
    assert last["told"].count([True, ""]) == summary["taken"]

    # it saw its own energy and trades, and everybody's price
    (member,) = (each for each in found["measures"]["members"] if each["name"] == "Laboratory 02")
    app = App.open(out)
    with app.store.read() as session:
        books = [data for _, data in StoreEvidence(session).books(first, first + 24)]
        users = set(session.scalars(select(HandOrderRow.user_id)))
        orders = session.scalars(select(HandOrderRow)).all()
    app.store.close()
    assert len(users) == 2
    assert len(orders) == sum(len(line["orders"]) for line in everything)
    trades = [trade for data in books for trade in trades_of(data)]
    bought = sum(trade.wh for trade in trades if trade.is_bid)
    assert sum(line["past"]["volume_wh"] for line in lines) == bought > 0
    assert sum(line["past"]["bought_wh"] for line in lines) == member["bought_wh"] > 0
    assert sum(line["past"]["drawn_wh"] for line in lines) == last["drawn"] == member["withdrawn_wh"]
    assert {line["past"]["price"] for line in lines} > {None}


def test_a_strategy_goes_on_after_an_interruption_and_orders_nothing_twice(
    curious: tuple[Path, Request, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, wanted, found = curious

    def pulled(done: int, _of: int) -> None:
        if done == 13:
            raise PulledError

    with pytest.raises(PulledError):
        live(tmp_path, wanted, pulled)
    with (tmp_path / asking.LINES_NAME).open("a") as file:
        file.write('{"member": "Labo')  # as a kill in the middle of a line leaves it
    asked = asking.Asking.ask

    def pulled_after(self: asking.Asking, *told: Any) -> asking.Questions:
        yield from asked(self, *told)
        if len(asking.lines(tmp_path)) == 34:
            raise PulledError

    with monkeypatch.context() as patch:
        patch.setattr(asking.Asking, "ask", pulled_after)
        with pytest.raises(PulledError):
            live(tmp_path, wanted)
    again = live(tmp_path, wanted)
    assert (tmp_path / asking.LINES_NAME).read_bytes() == (out / asking.LINES_NAME).read_bytes()
    assert again["measures"] == found["measures"]
    assert again["strategies"] == found["strategies"]
    assert again["markets"] == found["markets"]


def test_a_strategy_that_fails_stops_the_run_with_file_line_and_epoch(tmp_path: Path) -> None:
    epoch = start_of("2026-06-01") // 3_600
    for text, message in (
        ("def trade(view):\n    return 1 // len(view.answers)\n", f"own.py, line 2, in epoch {epoch} .*ZeroDivision"),
        (
            "from authority.simulation.strategies import *\ndef trade(view):\n    return [Buy(1.5, 3)]\n",
            f"own.py, trade, in epoch {epoch} .*whole number",
        ),
        ("def trade(view):\n    view.memory['x'] = {1}\n    return []\n", "what JSON can hold"),
    ):
        (tmp_path / "own.py").write_text(text)
        wanted = request(tmp_path, STRATEGY.format(member="Dormitory 01", file="own.py"), buildings=1)
        with pytest.raises(StrategyFailedError, match=message):
            live(tmp_path / str(len(text)), wanted)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def trade(view:\n", "own.py, line 1"),
        ("import json\njson.loads('{')\n", "own.py, line 2: JSONDecodeError"),
        ("trade = 5\n", "no function 'trade'"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_before_anything_is_made(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text(text)
    (tmp_path / "own.toml").write_text(STRATEGY.format(member="Laboratory 02", file="own.py"))
    words = ["--scenario", str(tmp_path / "own.toml"), "--out", str(tmp_path / "out")]
    assert main(["simulate", *words]) == USAGE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_strategy_belongs_to_a_member_once_and_its_text_is_part_of_the_simulation(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def trade(view):\n    return []\n")
    one = STRATEGY.format(member="Laboratory 02", file="own.py")
    with pytest.raises(ScenarioInvalidError, match="has two"):
        Scenario.parse(one + one, tmp_path)
    with pytest.raises(ScenarioInvalidError, match="feed_in_price of 2"):
        Scenario.parse("[parameters]\nfeed_in_price = 1\n" + one, tmp_path)
    with pytest.raises(ScenarioInvalidError, match="no member 'Nobody'"):
        request(tmp_path, one.replace("Laboratory 02", "Nobody")).campus()
    with pytest.raises(OwnCodeInvalidError, match="cannot read"):
        Scenario.parse(one, tmp_path / "elsewhere")
    before = Scenario.parse(one, tmp_path).sha256
    (tmp_path / "own.py").write_text("def trade(view):\n    return list()\n")
    assert Scenario.parse(one, tmp_path).sha256 != before


RULES_OF_ONES_OWN = """
from authority.measures.markets import Deal

def greedy(bids, asks, terms, last):
    return [Deal(bid.member, True, bid.quantity, terms.feed_in) for bid in bids]

def broken(bids, asks, terms, last):
    return bids[0].prize if bids else []
"""


def test_a_market_rule_of_ones_own_is_compared_or_refused_with_what_is_wrong(
    curious: tuple[Path, Request, dict[str, Any]], tmp_path: Path
) -> None:
    out, wanted, found = curious
    half_way = OwnFunction.read(ROOT / "docs/examples/half_way.py", "half_way")
    with Out(out, wanted):
        compared = report.make(out, wanted, Spent(), compare=True, own=[half_way])
    assert compared["markets"][:-1] == found["markets"]
    rules = {row["rule"]: row for row in compared["markets"]}
    assert rules["half_way"]["traded_wh"] == rules["last_pair"]["traded_wh"] > 0
    assert rules["half_way"]["welfare"] == rules["pay_as_bid"]["welfare"]
    assert "half way" in report.text_of(compared)
    assert "half_way" in (out / "market_epochs.csv").read_text()

    own = tmp_path / "own.py"
    own.write_text(RULES_OF_ONES_OWN)
    with pytest.raises(RuleInfeasibleError, match=r"market rule greedy, in epoch .* of 24: .* Wh are bought, but 0 Wh"):
        report.make(out, wanted, Spent(), compare=True, own=[OwnFunction.read(own, "greedy")])
    with pytest.raises(RuleFailedError, match=r"own.py, line 8, market rule broken: AttributeError: .*prize"):
        report.make(out, wanted, Spent(), compare=True, own=[OwnFunction.read(own, "broken")])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["own.py"], "should be like mine.py:half_way"),
        (["own.py:missing"], "no function 'missing'"),
        (["own.py:auction"], "two market rules called auction"),
        (["own.py:greedy", "own.py:greedy"], "two market rules called greedy"),
    ],
)
def test_a_market_rule_that_cannot_be_used_is_told_before_anything_is_made(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(RULES_OF_ONES_OWN)
    asked = [word for each in words for word in ("--rule", each)]
    try:
        status = main(["simulate", *asked, "--out", "out"])
    except SystemExit as ended:
        status = int(str(ended.code))
    assert status == USAGE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
