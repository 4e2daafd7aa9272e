"""`authority market clear`: books in, results out, and whatever is not a book refused by its line."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.market.clear_books import BookError, clear_book, results
from authority.market.clearing import Order, clear

ROOT = Path(__file__).parents[3]


def order(name, price, quantity, trader=None):
    return {"id": name, "trader": trader or name, "price": price, "quantity": quantity}


def book(bids=(), asks=(), reference=150_000, floor=50_000, ceiling=300_000):
    return {"bids": [*bids], "asks": [*asks], "reference_price": reference, "floor": floor, "ceiling": ceiling}


def cleared(*parts, **named):
    return clear_book(json.dumps(book(*parts, **named)))


def test_a_book_that_trades():
    result = cleared([order("b1", 200_000, 500)], [order("a1", 100_000, 500)])
    assert result == {"price": 150_000, "volume": 500, "interval": [100_000, 200_000], "fills": {"b1": 500, "a1": 500}}


def test_the_unfilled_rest_of_an_order_bounds_the_interval():
    # 300 Wh of the bid stay: no price below its limit clears as much and leaves nobody wanting.
    result = cleared([order("b1", 200_000, 800)], [order("a1", 100_000, 500)])
    assert (result["price"], result["interval"]) == (200_000, [200_000, 200_000])


def test_nothing_trades():
    nothing = {"price": None, "volume": 0, "interval": None, "fills": {}}
    assert cleared() == nothing
    assert cleared([order("b1", 99_999, 1)], [order("a1", 100_000, 1)]) == nothing


def test_equal_prices_share_pro_rata_in_order_of_arrival_and_fills_leave_out_zeros():
    asks = [order("a1", 100_000, 1), order("a2", 100_000, 1), order("a3", 100_000, 1), order("a4", 200_000, 9)]
    result = cleared([order("b1", 150_000, 2)], asks)
    assert result["fills"] == {"b1": 2, "a1": 1, "a2": 1}


def test_order_of_prices_in_the_input_does_not_matter_but_arrival_at_one_price_does():
    bids = [order("b1", 100_000, 3), order("b2", 200_000, 3), order("b3", 100_000, 3)]
    result = cleared(bids, [order("a1", 60_000, 4)])
    assert result["fills"] == {"b2": 3, "b1": 1, "a1": 4}


prices, quantities = st.integers(1, 12), st.integers(1, 30)
sides = st.lists(st.tuples(prices, quantities), max_size=9)


@given(sides, sides, st.integers(0, 14))
def test_it_is_the_auction_of_the_market(bids, asks, reference):
    result = cleared(
        [order(f"b{i}", *each) for i, each in enumerate(bids)],
        [order(f"a{i}", *each) for i, each in enumerate(asks)],
        reference=reference,
        floor=0,
        ceiling=12,
    )
    ranked_bids = sorted(enumerate(bids), key=lambda each: -each[1][0])
    ranked_asks = sorted(enumerate(asks), key=lambda each: each[1][0])
    outcome = clear([Order(*each) for _, each in ranked_bids], [Order(*each) for _, each in ranked_asks], reference)
    assert (result["price"] or 0, result["volume"]) == (outcome.price, outcome.volume)
    expected = {f"b{i}": fill for (i, _), fill in zip(ranked_bids, outcome.bid_fills, strict=True) if fill}
    expected |= {f"a{i}": fill for (i, _), fill in zip(ranked_asks, outcome.ask_fills, strict=True) if fill}
    assert result["fills"] == expected
    for name in "ba":
        assert sum(fill for each, fill in result["fills"].items() if each.startswith(name)) == result["volume"]


BAD = {
    "not JSON": "{",
    "an array": "[]",
    "no asks": json.dumps({"bids": [], "reference_price": 1, "floor": 0, "ceiling": 2}),
    "a side that is not a list": json.dumps({**book(), "bids": {}}),
    "an order that is not an object": json.dumps(book([7])),
    "no id": json.dumps(book([{"trader": "t", "price": 100_000, "quantity": 1}])),
    "no trader": json.dumps(book([{"id": "x", "price": 100_000, "quantity": 1}])),
    "a float": json.dumps(book([order("x", 100_000.0, 1)])),
    "an exponent": json.dumps(book([order("x", 100_000, 1)])).replace('"quantity": 1', '"quantity": 1e3'),
    "a boolean": json.dumps(book([order("x", 100_000, True)])),
    "a string": json.dumps(book([order("x", "100000", 1)])),
    "null": json.dumps(book([order("x", None, 1)])),
    "NaN": json.dumps(book([order("x", float("nan"), 1)])),
    "a negative quantity": json.dumps(book([order("x", 100_000, -1)])),
    "a quantity of zero": json.dumps(book([order("x", 100_000, 0)])),
    "a negative price": json.dumps(book([order("x", -100_000, 1)])),
    "a price of zero": json.dumps(book([order("x", 0, 1)], floor=0)),
    "more than 32 bits": json.dumps(book([order("x", 100_000, 2**32)])),
    "a price below the floor": json.dumps(book([order("x", 49_999, 1)])),
    "a price above the ceiling": json.dumps(book([], [order("x", 300_001, 1)])),
    "floor above ceiling": json.dumps(book(floor=2, ceiling=1)),
    "a negative reference": json.dumps(book(reference=-1)),
    "a reference that is not an integer": json.dumps({**book(), "reference_price": "1"}),
    "an id twice on one side": json.dumps(book([order("x", 100_000, 1), order("x", 100_000, 1)])),
    "an id twice on both sides": json.dumps(book([order("x", 60_000, 1)], [order("x", 100_000, 1)])),
    "a number and a text of one id": json.dumps(book([order(1, 60_000, 1, "t")], [order("1", 100_000, 1)])),
    "self-crossing": json.dumps(book([order("b", 100_000, 1, "t")], [order("a", 100_000, 1, "t")])),
    "a key twice": '{"bids": [], "bids": [], "asks": [], "reference_price": 1, "floor": 0, "ceiling": 2}',
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD)
def test_what_is_no_book_is_refused_by_its_line(line):
    good = json.dumps(book())
    made = results([good + "\n", "\n", line + "\n", good])
    assert next(made)["volume"] == 0
    with pytest.raises(BookError, match=r"^line 3: ") as refused:
        next(made)
    assert refused.value.code == "book_invalid"


def test_the_command_needs_no_home_and_says_which_line_failed(tmp_path):
    lines = [json.dumps(book([order("b", 200_000, 5)], [order("a", 100_000, 5)])), '{"bids": []}']
    done = subprocess.run(
        [sys.executable, "-m", "authority.cli", "market", "clear", "--json", "--home", str(tmp_path / "none")],
        input="\n".join(lines),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert [json.loads(line)["volume"] for line in done.stdout.splitlines()] == [5]
    assert "line 2" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_and_a_sentence(tmp_path):
    path = tmp_path / "books"
    path.write_text(json.dumps(book([order("b", 200_000, 5)], [order("a", 100_000, 5)])) + "\n" + json.dumps(book()))
    command = [sys.executable, "-m", "authority.cli", "market", "clear"]
    done = subprocess.run([*command, str(path)], cwd=ROOT, capture_output=True, text=True, check=False)
    first, second = done.stdout.splitlines()
    assert first.startswith("5 Wh at 150000 micro-credit per kWh")
    assert second == "nothing trades"
    missing = subprocess.run([*command, str(path) + "x"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "cannot read" in missing.stderr


def test_a_large_book_conserves():
    rng = random.Random(3)  # noqa: S311
    bids = [order(f"b{i}", rng.randint(50_000, 300_000), rng.randint(1, 10_000)) for i in range(20_000)]
    asks = [order(f"a{i}", rng.randint(50_000, 300_000), rng.randint(1, 10_000)) for i in range(20_000)]
    result = cleared(bids, asks)
    sold = sum(fill for name, fill in result["fills"].items() if name.startswith("a"))
    assert sold == sum(result["fills"].values()) - sold == result["volume"] > 0
