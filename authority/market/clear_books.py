"""`authority market clear`: any order book, cleared by the rule that the chain applies; no home and no chain needed.

One book a line comes in, as JSON: `{"bids": [ORDER...], "asks": [ORDER...], "reference_price": P, "floor": P,
"ceiling": P}`, an ORDER being `{"id", "trader", "price", "quantity"}` in order of arrival. One result a line goes out:
`{"price", "volume", "interval": [lowest, highest], "fills": {id: quantity}}`. Prices are micro-credit per kWh,
quantities Wh, all integers. Price and interval are null where nothing trades; orders that got nothing have no fill.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, TextIO

from authority.errors import AuthorityError
from authority.market.clearing import Order, clear

MAX_U32 = 0xFFFF_FFFF
"""Prices and quantities are u32 on the chain."""

EXAMPLES = """example, the book of one bid and one ask:
  echo '{"bids": [{"id": "b1", "trader": "ann", "price": 200000, "quantity": 500}],
         "asks": [{"id": "a1", "trader": "bob", "price": 100000, "quantity": 500}],
         "reference_price": 150000, "floor": 50000, "ceiling": 300000}' | tr -d '\\n' | authority market clear --json
  {"price": 150000, "volume": 500, "interval": [100000, 200000], "fills": {"b1": 500, "a1": 500}}"""


class BookError(AuthorityError):
    """Order books that cannot be cleared."""


class BookInvalidError(BookError):
    """A line is not a book that the market would hold; line, order and fault are named."""

    code = "book_invalid"


class BookFileError(BookError):
    """The file of books cannot be read."""

    code = "file_unreadable"


def add_to(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand `clear`."""
    text = "clear order books, one JSON object a line, by the rule that the chain applies"
    command = actions.add_parser(
        "clear",
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("file", nargs="?", default="-", metavar="FILE", help="the books (default: standard input)")
    command.add_argument("--json", action="store_true", help="print one JSON object a line instead of a sentence")


def run(arguments: argparse.Namespace) -> int:
    """Clear each book; BookError at the first line that is not a book, after the results of those before it."""
    if arguments.file == "-":
        _clear_all(sys.stdin, arguments.json)
        return 0
    try:
        with open(arguments.file, encoding="utf-8", errors="replace") as lines:
            _clear_all(lines, arguments.json)
    except OSError as error:
        raise BookFileError(f"cannot read {arguments.file}: {error.strerror}") from error
    return 0


def _clear_all(lines: TextIO, as_json: bool) -> None:
    gc.disable()  # a large book is many small objects and no cycles: the collector would only search them
    for result in results(lines):
        print(json.dumps(result) if as_json else _sentence(result))


def results(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The result of each line's book; blank lines are passed over. BookError `book_invalid` names the line (from 1)."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield clear_book(line)
            except BookError as error:
                raise type(error)(f"line {number}: {error}") from error


def clear_book(text: str) -> dict[str, Any]:
    """Clear one book given as JSON; see the module for both shapes."""
    try:
        book = json.loads(text, object_pairs_hook=_object, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:
        _refuse(f"not JSON: {error}")
    if not isinstance(book, dict):
        _refuse('a book is an object with "bids", "asks", "reference_price", "floor" and "ceiling"')
    floor, ceiling = _price(book, "floor"), _price(book, "ceiling")
    reference = _price(book, "reference_price")
    if floor > ceiling:
        _refuse(f"floor {floor} is above ceiling {ceiling}")
    names: set[str] = set()
    bids = _orders(book, "bids", (floor, ceiling), names)
    asks = _orders(book, "asks", (floor, ceiling), names)
    _refuse_self_crossing(bids, asks)
    bids.sort(key=lambda each: -each[0].price)
    asks.sort(key=lambda each: each[0].price)
    return _result(bids, asks, reference)


_Placed = tuple[Order, str, Any]
"""An order with its id and its trader."""


def _result(bids: list[_Placed], asks: list[_Placed], reference: int) -> dict[str, Any]:
    bid_orders, ask_orders = [order for order, _, _ in bids], [order for order, _, _ in asks]
    outcome = clear(bid_orders, ask_orders, reference)
    if outcome.volume == 0:
        return {"price": None, "volume": 0, "interval": None, "fills": {}}
    filled = zip([*bids, *asks], [*outcome.bid_fills, *outcome.ask_fills], strict=True)
    fills = {name: quantity for (_, name, _), quantity in filled if quantity}
    interval = [outcome.lowest, outcome.highest]
    return {"price": outcome.price, "volume": outcome.volume, "interval": interval, "fills": fills}


def _orders(book: dict[str, Any], side: str, bounds: tuple[int, int], names: set[str]) -> list[_Placed]:
    """One side's orders as they came; `names` holds the ids seen so far."""
    entries = book.get(side)
    if not isinstance(entries, list):
        _refuse(f'"{side}" must be a list of orders')
    floor, ceiling = bounds
    orders: list[_Placed] = []
    for index, entry in enumerate(entries):
        try:
            name, trader, price, quantity = entry["id"], entry["trader"], entry["price"], entry["quantity"]
        except (TypeError, KeyError, IndexError):
            _refuse(f'{side}[{index}] must be an object with "id", "trader", "price" and "quantity"')
        fault = (
            _fault(name, trader, price, quantity)
            if type(name) is not str
            or type(trader) is not str
            or type(price) is not int
            or type(quantity) is not int
            or not 0 < price <= MAX_U32
            or not 0 < quantity <= MAX_U32
            else None
        )
        if fault:
            _refuse(f"{side}[{index}]: {fault}")
        if not floor <= price <= ceiling:
            _refuse(f"{side}[{index}]: price {price} is outside floor {floor} to ceiling {ceiling}")
        name = str(name)
        if name in names:
            _refuse(f"{side}[{index}]: another order of this book has the id {name!r}")
        names.add(name)
        orders.append((Order(price, quantity), name, trader))
    return orders


def _fault(name: object, trader: object, price: object, quantity: object) -> str | None:
    """What is wrong with an order's fields; None where only the quick look took it for wrong."""
    for field, value in (("id", name), ("trader", trader)):
        if type(value) is not str and type(value) is not int:
            return f'"{field}" must be a string or an integer'
    for field, value in (("price", price), ("quantity", quantity)):
        if type(value) is not int or not 0 < value <= MAX_U32:
            return f'"{field}" must be an integer from 1 to {MAX_U32}'
    return None


def _refuse_self_crossing(bids: list[_Placed], asks: list[_Placed]) -> None:
    """Nobody trades with itself: the market refuses an order that would (trading, CrossesOwnOrder)."""
    highest: dict[Any, _Placed] = {}
    for placed in bids:
        best = highest.get(placed[2])
        if best is None or placed[0].price > best[0].price:
            highest[placed[2]] = placed
    for order, name, trader in asks:
        best = highest.get(trader)
        if best is not None and best[0].price >= order.price:
            _refuse(
                f"trader {trader!r} would trade with itself: its bid {best[1]!r} at {best[0].price} reaches its ask "
                f"{name!r} at {order.price}"
            )


def _price(book: dict[str, Any], field: str) -> int:
    value = book.get(field)
    if type(value) is not int or not 0 <= value <= MAX_U32:
        _refuse(f'"{field}" must be an integer from 0 to {MAX_U32} (micro-credit per kWh)')
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object names a key twice")
    return made


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text} is not an integer; prices and quantities are integers")


def _refuse(message: str) -> NoReturn:
    raise BookInvalidError(message)


def _sentence(result: dict[str, Any]) -> str:
    if result["price"] is None:
        return "nothing trades"
    lowest, highest = result["interval"]
    return (
        f"{result['volume']} Wh at {result['price']} micro-credit per kWh (any price from {lowest} to {highest} would "
        f"trade as much), {len(result['fills'])} orders filled"
    )
