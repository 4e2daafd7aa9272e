"""What a simulation tells at its end: one JSON document, the same for the same request, and the same for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from authority.app import App
from authority.audit.bundle import Manner
from authority.audit.command import verify
from authority.audit.conservation import conservation
from authority.audit.stopped import validator_of
from authority.market.clearing import Order
from authority.market.standing_orders import StandingOrder
from authority.measures import parquet, tables
from authority.measures.campus import comparison_of, figures_of, meter_steps
from authority.measures.indicators import Balance, co2_g
from authority.measures.markets import Deal, OwnRule, Rule, RuleFigures, Terms
from authority.measures.tables import Table
from authority.simulation import asking, plots
from authority.simulation.errors import RuleFailedError
from authority.simulation.limits import order_at
from authority.simulation.own_code import OwnFunction, told
from authority.simulation.simulation import Request, Spent
from edge_agent.wire.files import write_atomically

JSON_NAME, TEXT_NAME = plots.REPORT_NAME, "report.txt"
MICRO = 1_000_000


def make(
    path: Path,
    request: Request,
    spent: Spent,
    *,
    compare: bool = False,
    own: Sequence[OwnFunction] = (),
    as_parquet: bool = False,
) -> dict[str, Any]:
    """Audit the home that a simulation left, compute its indicators, and write them into it: report, tables, plots.

    compare: other market rules on the same energy too (authority.measures.markets), and own ones. as_parquet: the
    tables as Parquet too. RuleInfeasibleError, RuleFailedError, ParquetMissingError.
    """
    app = App.open(path)
    seconds = request.scenario.epoch_seconds
    first, end = request.start // seconds, request.end // seconds
    try:
        with validator_of(app.home) as client:
            with spent.on("measures"):
                figures = figures_of(app, client, first, end)
                written = list(tables.of_campus(figures, meter_steps(app, first, end)))
            rules: list[RuleFigures] = []
            names: dict[int, str] = {}
            if compare:
                with spent.on("comparison"):
                    models = {each.name: each.order for each in request.campus().members}
                    stand_ins = {name: partial(_order_of, models[name]) for name in request.scenario.strategies}
                    rules, names = comparison_of(app, first, end, stand_ins, own_rules(own))
                    written += tables.of_rules(rules, names, first, seconds)
            with spent.on("audit"):
                audit = verify(app, client, Manner(jobs=1))
            conserved = conservation(client)
            transactions = int(client.call("getTransactionCount"))
    finally:
        app.store.close()
    document: dict[str, Any] = {
        "simulation": request.as_json(),
        "audit": {
            "ok": not audit.findings and conserved.ok,
            "log_entries": audit.size,
            "log_root": audit.root.hex(),
            "readings": audit.readings,
            "books": audit.books,
            "epoch_checkpoints": audit.chain_checkpoints,
            "transactions": transactions,
            "minted_wh": audit.minted_wh,
            "problems": [f"{each.where}: {each.message} [{each.code}]" for each in audit.findings],
        },
        "measures": figures.as_json(),
        "co2": _co2(figures.together, request.scenario.grid_co2_g_per_kwh),
    }
    if request.scenario.strategies:
        document["strategies"] = asking.summary(path, request.scenario.strategies.values())
    if rules:
        document["markets"] = [
            {**rule.as_row(), "gains": {name: rule.gains[member] for member, name in names.items()}} for rule in rules
        ]
    write_tables(path, written, _title(request), as_parquet=as_parquet)
    write_atomically(path / JSON_NAME, f"{json.dumps(document, indent=2)}\n".encode())
    write_atomically(path / TEXT_NAME, f"{text_of(document)}\n".encode())
    with spent.on("plots"):
        plots.write(path)
    return document


def _order_of(drawn: StandingOrder, terms: Terms) -> StandingOrder:
    """What a member whose strategy trades would have had as its standing order, under an epoch's terms."""
    return order_at(drawn, terms.feed_in, terms.retail - terms.wheeling)


def _co2(together: Balance, g_per_kwh: int) -> dict[str, int]:
    emitted, avoided = co2_g(together, g_per_kwh)
    return {"grid_g_per_kwh": g_per_kwh, "emitted_g": emitted, "avoided_g": avoided}


def write_tables(path: Path, written: Sequence[tuple[Table, str]], title: str, *, as_parquet: bool) -> None:
    """Write tables (each with its CSV) into a directory, as Parquet too where asked, and the schema of what is there.

    ParquetMissingError.
    """
    described = tables.package((table for table, _ in written), title)
    for table, text in written:
        write_atomically(path / table.file, text.encode())
        if as_parquet:
            write_atomically(path / parquet.file_of(table), parquet.written(table, text))
            described["resources"].append(parquet.resource(table))
        else:
            (path / parquet.file_of(table)).unlink(missing_ok=True)  # of an earlier report
    write_atomically(path / tables.PACKAGE_NAME, f"{json.dumps(described, indent=2)}\n".encode())


def own_rules(functions: Sequence[OwnFunction]) -> dict[str, OwnRule]:
    """Market rules by the names of their functions. A function whose `within_limits` is False promises no limits."""
    loaded = {each.name: each.load() for each in functions}
    return {
        each.name: OwnRule(_telling(each, loaded[each.name]), getattr(loaded[each.name], "within_limits", True))
        for each in functions
    }


def _telling(function: OwnFunction, rule: Rule) -> Rule:
    """The rule; where it fails, RuleFailedError with its line."""

    def run(bids: Sequence[Order], asks: Sequence[Order], terms: Terms, last: int) -> list[Deal]:
        try:
            return list(rule(bids, asks, terms, last))
        except Exception as error:
            raise RuleFailedError(f"{function.where(error)}, market rule {function.name}: {told(error)}") from error

    return run


def _title(request: Request) -> str:
    first = datetime.fromtimestamp(request.start, UTC).date()
    return (
        f"A simulated campus: {request.days} days from {first}, {request.buildings} buildings, "
        f"{request.members} members, seed {request.seed}"
    )


def kwh(watt_hours: float) -> str:
    """Wh as kWh, to one decimal."""
    return f"{watt_hours / 1_000:,.1f} kWh"


def kw(watts: float) -> str:
    """W as kW, to one decimal."""
    return f"{watts / 1_000:,.1f} kW"


def ratio(value: float | None) -> str:
    """A number of no unit, to three decimals."""
    return "-" if value is None else f"{value:.3f}"


def credits_(micro: float) -> str:
    """Micro-credits as credits, to two decimals."""
    return f"{micro / MICRO:,.2f}"


def percent(share: float | None) -> str:
    """A share as per cent."""
    return "-" if share is None else f"{100 * share:.1f} %"


def per_kwh(micro: float | None) -> str:
    """A price, credits per kWh to four decimals."""
    return "-" if micro is None else f"{micro / MICRO:.4f}"


def text_of(document: Mapping[str, Any]) -> str:
    """The report for a person."""
    asked, audit, found = document["simulation"], document["audit"], document["measures"]
    energy, prices, money, co2 = found["energy"], found["prices"], found["money"], document["co2"]
    first = datetime.fromtimestamp(asked["start"], UTC).date()
    alone, together = "alone", "together"
    rows = [
        ("days, from", f"{asked['days']}, {first}, an epoch of {asked['epoch_seconds']} s, seed {asked['seed']}"),
        ("buildings, members", f"{asked['buildings']}, {asked['members']}"),
        ("generation", kwh(energy["generation_wh"])),
        ("consumption", kwh(energy["consumption_wh"])),
        (
            "self-sufficiency",
            f"{percent(found['self_sufficiency'][alone])} each building alone, "
            f"{percent(found['self_sufficiency'][together])} together",
        ),
        (
            "self-consumption",
            f"{percent(found['self_consumption'][alone])} alone, "
            f"{percent(found['self_consumption'][together])} together",
        ),
        (
            "grid point",
            f"{kwh(energy['grid_import_wh'])} in, {kwh(energy['grid_export_wh'])} out; peaks "
            f"{kw(energy['peak_import_w'])} in, {kw(energy['peak_export_w'])} out",
        ),
        ("surplus minted", kwh(energy["minted_wh"])),
        ("withdrawn", kwh(energy["withdrawn_wh"])),
        (
            "traded",
            f"{kwh(energy['traded_wh'])}: {percent(found['traded_share_of_withdrawn'])} of what was withdrawn, "
            f"{percent(found['traded_share_of_minted'])} of the surplus",
        ),
        (
            "price",
            f"{per_kwh(prices['mean'])} credits/kWh on average, {per_kwh(prices['lowest'])} to "
            f"{per_kwh(prices['highest'])}, deviation {per_kwh(prices['deviation'])}, {prices['epochs']} epochs traded",
        ),
        ("paid", f"{credits_(money['paid'])} credits; without a market {credits_(money['paid_without_market'])}"),
        (
            "gain",
            f"{credits_(money['gain'])} credits, Gini {_gini(money)}; {money['members_worse_off']} members worse off",
        ),
        (
            "welfare",
            f"{credits_(found['welfare']['reached'])} credits, {percent(found['welfare']['efficiency'])} of what the "
            "orders allowed",
        ),
        (
            "CO2",
            f"{co2['emitted_g'] / 1_000:,.1f} kg of the grid's, {co2['avoided_g'] / 1_000:,.1f} kg avoided, at "
            f"{co2['grid_g_per_kwh']} g/kWh",
        ),
        ("rounding", f"{sum(found['rounding_thousandths'].values()) / 1_000:,.1f} micro-credits in all"),
        ("log", f"{audit['log_entries']} leaves, {audit['readings']} readings, root {audit['log_root'][:16]}"),
        ("chain", f"{audit['transactions']} transactions, {audit['epoch_checkpoints']} checkpoints"),
        ("audit", "everything holds" if audit["ok"] else f"{len(audit['problems'])} findings"),
    ]
    lines = [f"{name:<20}{value}" for name, value in rows]
    compared = ["", *_markets(document["markets"])] if "markets" in document else []
    asked = [_strategy(each) for each in document.get("strategies", [])]
    return "\n".join([*lines, *asked, "", *_members(found["members"]), *compared, *audit["problems"]])


def _strategy(found: Mapping[str, Any]) -> str:
    """How a strategy fared, in a line."""
    refused = "; ".join(f"{count} times: {told}" for told, count in found["refusals"].items())
    orders = f"asked {found['asked']} times, {found['taken']} orders taken, {found['refused']} refused"
    return f"{'strategy':<20}{found['member']}: {orders}{f' ({refused})' if refused else ''}"


def _markets(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each market rule."""
    names = (
        ("traded kWh", 12),
        ("price", 9),
        ("deviation", 11),
        ("step", 9),
        ("1 Wh moves", 12),
        ("at most", 11),
        ("paid", 12),
        ("gain", 11),
        ("Gini", 8),
        ("worse off", 11),
        ("efficiency", 12),
    )
    head = "rule".ljust(22) + "".join(name.rjust(width) for name, width in names)
    return [
        head,
        *(
            f"{each['rule'].replace('_', ' '):<22}{each['traded_wh'] / 1_000:>12,.1f}{per_kwh(each['mean_price']):>9}"
            f"{per_kwh(each['price_deviation']):>11}{per_kwh(each['price_mean_step']):>9}"
            f"{percent(each['one_wh_moves_share']):>12}{_to_the_micro(each['one_wh_moves_at_most']):>11}"
            f"{credits_(each['paid']):>12}{credits_(each['gain']):>11}"
            f"{ratio(each['gini_of_gains']):>8}"
            f"{each['members_worse_off']:>11}{percent(each['welfare']['efficiency']):>12}"
            for each in rows
        ),
        "step: of the price from one epoch that traded to the next, on average",
        "1 Wh moves: in so many epochs that traded one Wh less of some ask moves the price, by so much at most",
        "",
        *_gains(rows),
    ]


def _to_the_micro(price: int | None) -> str:
    """A price, credits per kWh to the micro-credit."""
    return "-" if price is None else f"{price / MICRO:.6f}"


def _gini(money: Mapping[str, Any]) -> str:
    """The Gini of the gains, or that it has none."""
    found = money["gini_of_gains"]
    return "not defined (somebody loses, or nobody gains)" if found is None else ratio(found)


def _gains(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each member gains under each rule, a line for each; the rules' names are cut where they are long."""
    rules = [each for each in rows if any(each["gains"].values())]
    if not rules:
        return ["No rule makes a difference to anybody."]
    head = "gain of".ljust(24) + "".join(each["rule"].replace("_", " ")[:19].rjust(21) for each in rules)
    return [
        head,
        *(
            f"{name[:23]:<24}{''.join(credits_(each['gains'][name]).rjust(21) for each in rules)}"
            for name in rules[0]["gains"]
        ),
    ]


def _members(members: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each member."""
    head = (
        f"{'member':<24}{'used kWh':>12}{'made kWh':>12}{'bought':>10}{'sold':>10}{'paid':>12}{'alone':>12}{'gain':>10}"
    )
    return [
        head,
        *(
            f"{each['name'][:23]:<24}{each['consumption_wh'] / 1_000:>12,.1f}{each['generation_wh'] / 1_000:>12,.1f}"
            f"{each['bought_wh'] / 1_000:>10,.1f}{each['sold_wh'] / 1_000:>10,.1f}{credits_(each['paid']):>12}"
            f"{credits_(each['paid_without_market']):>12}{credits_(each['gain']):>10}"
            for each in members
        ),
    ]
