"""Strategies at work: shown what their member may see, asked, and their orders given as orders by hand are.

An order goes through the store to the settlement worker, which signs it with the custodial key, and to the trading
program, which takes it or refuses it. `strategies.jsonl` in the simulation's directory has a line for each question:
what was ordered, the memory, and how the epoch before went. It is written before the orders are given, so a simulation
that goes on after an interruption gives the same orders again, and none twice.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from authority.app import App
from authority.billing.bill import trades_of
from authority.chain import programs
from authority.chain.accounts import EpochBook
from authority.chain.client import ChainClient
from authority.market import hand_orders
from authority.market.hand_orders import DONE, MOST_AN_EPOCH, PLACE, REFUSED, HandOrder, Wish
from authority.market.standing_orders import ASK, BID
from authority.settlement.plan import holding_of
from authority.settlement.snapshot import MemberView, Snapshot
from authority.settlement.views import book_view
from authority.simulation.errors import StrategyFailedError
from authority.simulation.own_code import told
from authority.simulation.seeds import Seed
from authority.simulation.strategies import Answer, Buy, Decide, Order, Past, Sell, Strategy, Terms, View
from authority.store.people import user_named

LINES_NAME = "strategies.jsonl"
PAST_SECONDS = 7 * 86_400
LARGEST = 2**32 - 1
"""The greatest price and quantity that an order can name."""


@dataclass
class _Asked:
    """A strategy, and what of earlier questions it is shown; totals are the member's minted and withdrawn Wh then."""

    strategy: Strategy
    decide: Decide | None
    past: deque[Past]
    memory: dict[str, Any] = field(default_factory=dict)
    totals: tuple[int, int] = (0, 0)
    epoch: int = -1
    orders: list[Order] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Question:
    """What an agent from outside is asked; its account, and the open billing period, tell what it has gained so far."""

    view: View
    account: MemberView
    period: int


Questions = Generator[Question, Iterable[Order], None]


class Asking:
    """All strategies of a simulation. StrategyFailedError stops it, with the file, the line and the epoch."""

    def __init__(self, directory: Path, strategies: Iterable[Strategy], seed: Seed, epoch_seconds: int) -> None:
        """Load them, and what they were asked before an interruption."""
        self._file, self._seed, self._seconds = directory / LINES_NAME, seed, epoch_seconds
        most = PAST_SECONDS // epoch_seconds
        self._asked = {
            each.member: _Asked(each, each.function.load() if each.function else None, deque(maxlen=most))
            for each in strategies
        }
        for line in lines(directory):
            asked = self._asked[line["member"]]
            asked.past.append(Past(**line["past"]))
            asked.memory, asked.totals, asked.epoch = line["memory"], tuple(line["totals"]), line["epoch"]
            asked.orders = [_order(each) for each in line["orders"]]
        if self._file.exists():  # without a last line that an interruption cut off
            whole = self._file.read_bytes()
            self._file.write_bytes(whole[: whole.rfind(b"\n") + 1])

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._asked)

    def ask(self, app: App, client: ChainClient, chain: Snapshot) -> Questions:
        """Ask every strategy once for the chain's epoch, and give its orders to the market.

        Where an agent from outside is to decide, its question is yielded, and its orders are sent in.
        """
        head = client.account(EpochBook, programs.book_address(chain.epoch))
        if head is None or head.epoch != chain.epoch:
            return  # the market is paused: there is no book to order in
        terms = Terms(
            head.feed_in_price, head.retail_price, head.wheeling, head.fee_bps, head.min_order, head.max_order,
            chain.config.limits.max_orders_per_member,
        )  # fmt: skip
        address = programs.book_address(chain.epoch - 1)
        data = client.account_data(EpochBook, address, client.raw_account(address))
        members = {str(member.member): member for member in chain.members}
        for name, asked in self._asked.items():
            with app.store.read() as session:
                user = user_named(session, name)
                given = [] if user is None else hand_orders.of_member(session, user.id, chain.epoch - 1)
            member = None if user is None else members.get(user.wallet)
            if user is None or member is None or member.closed:
                continue  # it has left
            if asked.epoch != chain.epoch:
                answers = [_answer(each) for each in reversed(given) if each.wish.epoch == chain.epoch - 1]
                yield from self._ask(asked, member, chain, terms, data, answers)
            with app.store.write() as session:
                for number, order in enumerate(asked.orders, 1):
                    side = BID if isinstance(order, Buy) else ASK
                    wish = Wish(PLACE, chain.epoch, side, order.price, order.wh)
                    key = f"strategy {chain.epoch}/{number}"
                    hand_orders.ask(session, user.id, wish, key, by=name, now=app.clock())

    def _ask(
        self,
        asked: _Asked,
        member: MemberView,
        chain: Snapshot,
        terms: Terms,
        book: bytes | None,
        answers: Sequence[Answer],
    ) -> Questions:
        strategy, holding = asked.strategy, holding_of(chain, member)
        past = _past(chain.epoch - 1, member, book, asked.totals)
        asked.past.append(past)
        memory = json.loads(json.dumps(asked.memory))
        view = View(
            member=strategy.member,
            epoch=chain.epoch,
            start=chain.config.start_of(chain.epoch),
            seconds=self._seconds,
            terms=terms,
            held_wh=holding.held_wh,
            need_wh=holding.owed_wh + holding.previous_owed_wh,
            credit=holding.credit,
            past=tuple(asked.past),
            answers=tuple(answers),
            options=strategy.options,
            memory=memory,
            random=self._seed.random("strategy", strategy.member, chain.epoch),
        )
        where = f"in epoch {chain.epoch} ({strategy.member})"
        if asked.decide is None or strategy.function is None:
            asked.orders = list((yield Question(view, member, chain.config.billing_period)))
        else:
            try:
                asked.orders = list(asked.decide(view))
            except Exception as error:
                raise StrategyFailedError(f"{strategy.function.where(error)}, {where}: {told(error)}") from error
            where = f"{strategy.function.file}, {strategy.function.name}, {where}"
        for order in asked.orders:
            _require_order(order, where)
        if len(asked.orders) > MOST_AN_EPOCH:
            raise StrategyFailedError(f"{where}: {len(asked.orders)} orders are more than the {MOST_AN_EPOCH} allowed")
        try:
            kept = json.dumps(memory, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StrategyFailedError(f"{where}: view.memory takes what JSON can hold: {error}") from error
        asked.memory, asked.epoch = json.loads(kept), chain.epoch
        asked.totals = member.minted_wh, member.withdrawn_wh
        line = {
            "member": strategy.member,
            "epoch": chain.epoch,
            "held_wh": view.held_wh,
            "need_wh": view.need_wh,
            "credit": view.credit,
            "past": asdict(past),
            "answers": [{**_told(each.order), "taken": each.taken, "told": each.told} for each in answers],
            "orders": [_told(order) for order in asked.orders],
            "memory": asked.memory,
            "totals": asked.totals,
        }
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")


def lines(directory: Path) -> list[dict[str, Any]]:
    """What every strategy was asked, in order; without a last line that an interruption cut off."""
    path = directory / LINES_NAME
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def summary(directory: Path, strategies: Iterable[Strategy]) -> list[dict[str, Any]]:
    """How each strategy fared: how often it was asked, its orders, and what the market refused, by what it said."""
    found: dict[str, dict[str, Any]] = {
        each.member: {"member": each.member, "asked": 0, "taken": 0, "refused": 0, "refusals": {}}
        for each in strategies
    }
    for line in lines(directory):
        each = found[line["member"]]
        each["asked"] += 1
        for answer in line["answers"]:
            each["taken" if answer["taken"] else "refused"] += 1
            if not answer["taken"]:
                each["refusals"][answer["told"]] = each["refusals"].get(answer["told"], 0) + 1
    return list(found.values())


def _past(epoch: int, member: MemberView, book: bytes | None, totals: tuple[int, int]) -> Past:
    view = None if book is None else book_view(book)
    given, drawn = member.minted_wh - totals[0], member.withdrawn_wh - totals[1]
    if view is None or view.epoch != epoch or not view.is_priced:
        return Past(epoch, None, 0, 0, 0, given, drawn)
    own = list(trades_of(view.data, member=member.member_index))
    return Past(
        epoch,
        view.price if view.volume else None,
        view.volume,
        sum(trade.wh for trade in own if trade.is_bid),
        sum(trade.wh for trade in own if not trade.is_bid),
        given,
        drawn,
    )


def _answer(given: HandOrder) -> Answer:
    wish = given.wish
    order = (Buy if wish.side == BID else Sell)(wish.price, wish.quantity)
    said = given.told if given.state == REFUSED else "" if given.state == DONE else "it is not decided yet"
    return Answer(order, given.state == DONE, said)


def _told(order: Order) -> dict[str, object]:
    return {"side": "buy" if isinstance(order, Buy) else "sell", "price": order.price, "wh": order.wh}


def _order(line: Mapping[str, Any]) -> Order:
    return (Buy if line["side"] == "buy" else Sell)(line["price"], line["wh"])


def _require_order(order: object, where: str) -> None:
    if not isinstance(order, Buy | Sell):
        raise StrategyFailedError(f"{where}: {order!r} is no order; give Buy(price, wh) and Sell(price, wh)")
    for name, value in (("price", order.price), ("wh", order.wh)):
        if type(value) is not int or not 1 <= value <= LARGEST:
            raise StrategyFailedError(f"{where}: {order!r}: {name} should be a whole number from 1 to {LARGEST}")
