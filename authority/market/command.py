"""`authority market`: standing orders, and the market at a glance."""

from __future__ import annotations

import argparse
import getpass

from sqlalchemy import select

from authority.app import App
from authority.audit import log
from authority.market.policies import remove_standing_order, set_standing_order, standing_orders
from authority.market.standing_orders import StandingOrder
from authority.store.settlement import SettlementEpoch

SHOWN_EPOCHS = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """standing-order set, list, remove; show."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    standing = actions.add_parser("standing-order", help="what is sold and bought for a member in every epoch")
    verbs = standing.add_subparsers(dest="verb", required=True, metavar="VERB")
    setter = verbs.add_parser("set", help="sell above a reserve, buy what is lacking; replaces what was set")
    setter.add_argument("user", help="the member's name in the campus plan")
    setter.add_argument("--sell-at", type=int, metavar="PRICE", help="least price, micro-credit per kWh")
    setter.add_argument("--buy-at", type=int, metavar="PRICE", help="greatest price, micro-credit per kWh")
    setter.add_argument("--reserve", type=int, default=0, metavar="WH", help="energy never sold (default: 0 Wh)")
    verbs.add_parser("list", help="all standing orders")
    verbs.add_parser("remove", help="stop trading for a member").add_argument("user")
    actions.add_parser("show", help="the last epochs: orders, energy traded, clearing price")


def run(arguments: argparse.Namespace) -> int:
    """Run one action; MarketError where it cannot be done."""
    app = App.open(arguments.home)
    try:
        if arguments.action == "show":
            _show(app)
        elif arguments.verb == "set":
            _set(app, arguments)
        elif arguments.verb == "remove":
            with app.store.write() as session:
                remove_standing_order(session, arguments.user)
                log.record_act(
                    session, "standing_order_removed", getpass.getuser(), app.clock(), {"user": arguments.user}
                )
            print(f"{arguments.user}: no standing order any more")
        else:
            _list(app)
    finally:
        app.store.close()
    return 0


def _set(app: App, arguments: argparse.Namespace) -> None:
    order = StandingOrder(arguments.sell_at, arguments.buy_at, arguments.reserve)
    now, actor = app.clock(), getpass.getuser()
    with app.store.write() as session:
        set_standing_order(session, arguments.user, order, by=actor, now=now)
        log.record_act(
            session,
            "standing_order_set",
            actor,
            now,
            {
                "user": arguments.user,
                "sell_at": order.sell_at,
                "buy_at": order.buy_at,
                "reserve_wh": order.reserve_wh,
            },
        )
    print(_sentence(arguments.user, order))


def _list(app: App) -> None:
    with app.store.read() as session:
        for user, order in standing_orders(session):
            print(_sentence(user.name, order))


def _sentence(name: str, order: StandingOrder) -> str:
    parts = []
    if order.sell_at is not None:
        reserve = f" above {order.reserve_wh} Wh" if order.reserve_wh else ""
        parts.append(f"sells what it holds{reserve} at {order.sell_at} micro-credit per kWh or more")
    if order.buy_at is not None:
        parts.append(f"buys what it lacks at {order.buy_at} micro-credit per kWh or less")
    return f"{name}: {'; '.join(parts)}"


def _show(app: App) -> None:
    seconds = app.home.settings.epoch.seconds
    with app.store.read() as session:
        rows = session.scalars(select(SettlementEpoch).order_by(SettlementEpoch.epoch.desc()).limit(SHOWN_EPOCHS)).all()
    print(f"epoch {app.clock() // seconds} is open; prices in micro-credit per kWh")
    print(f"{'epoch':>10} {'state':<13} {'readings':>8} {'bids':>5} {'asks':>5} {'traded Wh':>10} {'price':>9}")
    for row in reversed(rows):
        price = "-" if row.clearing_price is None else row.clearing_price
        print(
            f"{row.epoch:>10} {row.state:<13} {row.readings_on_chain:>8} {row.bids:>5} {row.asks:>5}"
            f" {row.traded_wh:>10} {price:>9}"
        )
