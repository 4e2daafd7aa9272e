"""`authority market`: standing orders, and the market at a glance."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace

from authority.app import App
from authority.chain.client import ChainClient
from authority.market import clear_books
from authority.market.credits import checked, issue_credits, require_within_limit
from authority.market.policies import (
    StandingOrderMissingError,
    change_standing_order,
    end_standing_order,
    standing_orders,
)
from authority.market.prices import market_prices
from authority.market.report import epoch_reports
from authority.market.standing_orders import StandingOrder
from edge_agent.wire.command import add_acting, add_json, print_json, tell

SHOWN_EPOCHS = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """standing-order set, list, remove; credit; clear; show."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    standing = actions.add_parser("standing-order", help="what is sold and bought for a member in every epoch")
    verbs = standing.add_subparsers(dest="verb", required=True, metavar="VERB")
    setter = verbs.add_parser(
        "set", help="sell above a reserve, buy what is lacking; what is not named stays as it was"
    )
    setter.add_argument("user", help="the member's name in the campus plan")
    setter.add_argument("--sell-at", type=int, metavar="PRICE", help="least price, micro-credit per kWh")
    setter.add_argument("--buy-at", type=int, metavar="PRICE", help="greatest price, micro-credit per kWh")
    setter.add_argument(
        "--reserve", type=int, metavar="WH", help="energy never sold (default: as it was, 0 Wh at first)"
    )
    setter.add_argument(
        "--feed-in-above", type=int, metavar="WH", help="feed in what is held beyond this many Wh (default: as it was)"
    )
    setter.add_argument("--no-sell", action="store_true", help="sell nothing any more")
    setter.add_argument("--no-buy", action="store_true", help="buy nothing any more")
    setter.add_argument("--no-feed-in", action="store_true", help="feed in nothing any more")
    add_json(verbs.add_parser("list", help="all standing orders"))
    remover = verbs.add_parser("remove", help="stop trading for a member")
    remover.add_argument("user", help="the member's name in the campus plan")
    for verb in (setter, remover):
        add_acting(verb)
    credit = actions.add_parser("credit", help="issue campus credits to a member; logged")
    credit.add_argument("user", help="the member's name in the campus plan")
    credit.add_argument("amount", type=int, metavar="MICRO_CREDITS", help="1000000 is one credit")
    credit.add_argument(
        "--confirm", type=int, metavar="MICRO_CREDITS", help="the amount again, where it is above the limit"
    )
    credit.epilog = (
        "Given twice it issues twice. For a payment use `authority credits top-up`, which books a reference once; "
        "what was issued by mistake and is not spent goes back by `authority credits take-back`."
    )
    add_acting(credit)
    clear_books.add_to(actions)
    add_json(actions.add_parser("show", help="the last epochs: orders, energy traded, clearing price"))


def run(arguments: argparse.Namespace) -> int:
    """Run one action; MarketError where it cannot be done."""
    if arguments.action == "clear":
        return clear_books.run(arguments)
    app = App.open(arguments.home)
    try:
        if arguments.action == "show":
            _show(app, as_json=arguments.json)
        elif arguments.action == "credit":
            _credit(app, arguments)
        elif arguments.verb == "set":
            _set(app, arguments)
        elif arguments.verb == "remove":
            _remove(app, arguments)
        else:
            _list(app, as_json=arguments.json)
    finally:
        app.store.close()
    return 0


def _credit(app: App, arguments: argparse.Namespace) -> None:
    name, amount, billing = arguments.user, arguments.amount, app.home.settings.billing
    told = checked(app.store, [(name, amount)])[0]
    require_within_limit(billing, amount, arguments.confirm)
    if amount > billing.credit_limit:
        app.home.settings.people.refuse_alone("credits")
    if not arguments.dry_run:
        client, actor = ChainClient(app.home.rpc_url), arguments.actor
        issue_credits(app.store, client, app.home.operator, [(name, amount)], actor=actor, now=app.clock())
    words = "would be issued" if arguments.dry_run else "issued"
    tell(arguments, {**told, "changed": not arguments.dry_run}, f"{name}: {amount} micro-credits {words}")


def _set(app: App, arguments: argparse.Namespace) -> None:
    order = _changed(app, arguments)
    now, dry_run, prices = app.clock(), arguments.dry_run, market_prices(app)
    with app.store.trial() if dry_run else app.store.write() as session:
        changed = change_standing_order(session, arguments.user, order, by=arguments.actor, now=now, prices=prices)
    told = {"user": arguments.user, **asdict(order), "dry_run": dry_run, "changed": changed and not dry_run}
    text = ("it would be: " if dry_run else "") + _sentence(arguments.user, order)
    if order.buy_at is not None and order.buy_at > prices.worth_up_to:
        told["note"] = (
            f"wheeling comes on top of the market's price: what is bought above {prices.worth_up_to} "
            "micro-credit per kWh costs more than the grid's"
        )
        text += f"\nnote: {told['note']}"
    tell(arguments, told, text)


def _remove(app: App, arguments: argparse.Namespace) -> None:
    """End a member's standing order; one that has none is left as it is."""
    user, dry_run, changed = arguments.user, arguments.dry_run, True
    try:
        with app.store.trial() if dry_run else app.store.write() as session:
            end_standing_order(session, user, by=arguments.actor, now=app.clock())
    except StandingOrderMissingError:
        changed = False
    would = "its standing order would be removed" if changed and dry_run else "no standing order any more"
    told = {"user": user, "dry_run": dry_run, "changed": changed and not dry_run}
    tell(arguments, told, f"{user}: {would if changed else 'has no standing order'}")


def _changed(app: App, arguments: argparse.Namespace) -> StandingOrder:
    """The member's standing order with what was named in the place of what it had."""
    with app.store.read() as session:
        before = {user.name: order for user, order in standing_orders(session)}
    given = {
        "sell_at": arguments.sell_at,
        "buy_at": arguments.buy_at,
        "reserve_wh": arguments.reserve,
        "feed_in_above_wh": arguments.feed_in_above,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    stopped = {"sell_at": arguments.no_sell, "buy_at": arguments.no_buy, "feed_in_above_wh": arguments.no_feed_in}
    changes |= {name: None for name, stops in stopped.items() if stops}
    return replace(before.get(arguments.user, StandingOrder(None, None, 0)), **changes)


def _list(app: App, *, as_json: bool) -> None:
    with app.store.read() as session:
        orders = standing_orders(session)
    if as_json:
        print_json([{"user": user.name, **asdict(order)} for user, order in orders])
        return
    for user, order in orders:
        print(_sentence(user.name, order))
    if not orders:
        print("no member has a standing order: authority market standing-order set NAME --sell-at ... --buy-at ...")


def _sentence(name: str, order: StandingOrder) -> str:
    parts = []
    if order.sell_at is not None:
        reserve = f" above {order.reserve_wh} Wh" if order.reserve_wh else ""
        parts.append(f"sells what it holds{reserve} at {order.sell_at} micro-credit per kWh or more")
    if order.buy_at is not None:
        parts.append(f"buys what it lacks at {order.buy_at} micro-credit per kWh or less")
    if order.feed_in_above_wh is not None:
        parts.append(f"feeds in what it holds beyond {order.feed_in_above_wh} Wh")
    return f"{name}: {'; '.join(parts)}"


def _show(app: App, *, as_json: bool) -> None:
    seconds = app.home.settings.epoch.seconds
    current = app.clock() // seconds
    with app.store.read() as session:
        reports = epoch_reports(session, seconds, first=current - SHOWN_EPOCHS)
    if as_json:
        print_json({"epoch": current, "epochs": [{"state": each.state, **each.as_json()} for each in reports]})
        return
    print(f"epoch {current} is open; energy in Wh, prices in micro-credit per kWh")
    print(f"{'epoch':>10} {'state':<13} {'readings':>8} {'minted':>9} {'orders':>6} {'traded':>9} {'price':>9}")
    for each in reports:
        price = "-" if each.clearing_price is None else each.clearing_price
        print(
            f"{each.epoch:>10} {each.state:<13} {each.readings_on_chain:>8} {each.minted_wh:>9} {each.orders:>6}"
            f" {each.traded_wh:>9} {price:>9}"
        )
