"""A campus's figures as tables: CSV with a written schema (a Frictionless Data Package), for whoever goes on computing.

Energy is in Wh, money in micro-credits, prices in micro-credits per kWh, all whole numbers unless the schema says
otherwise; times are UTC; what is unknown is empty. The schema is the one description of a table: rows are checked
against it as they are written.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from authority.figures import utc
from authority.measures.campus import CampusFigures, EpochFigures, MeterStep
from authority.measures.indicators import share
from authority.measures.markets import RuleFigures

PACKAGE_NAME = "datapackage.json"
WH, MICRO, PRICE = "Wh", "micro-credit", "micro-credit/kWh"


class Column(NamedTuple):
    """A column: its name, its type in Frictionless' words, its unit (empty: none), and what it means."""

    name: str
    kind: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table: its name, what a row is, its columns, and those that name a row."""

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.name}.csv"

    def csv(self, rows: Iterable[Sequence[object]]) -> str:
        """The rows as CSV, under a head with the columns' names. ValueError where a row has more or fewer fields."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([column.name for column in self.columns])
        for row in rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {self.name} should have {len(self.columns)} fields: {row!r}")
            writer.writerow(row)
        return out.getvalue()

    def resource(self) -> dict[str, Any]:
        """Its part of the data package."""
        fields = [
            {"name": each.name, "type": each.kind, **({"unit": each.unit} if each.unit else {}), "title": each.meaning}
            for each in self.columns
        ]
        return {
            "name": self.name,
            "path": self.file,
            "description": f"{self.row}.",
            "profile": "tabular-data-resource",
            "format": "csv",
            "encoding": "utf-8",
            "schema": {"fields": fields, "primaryKey": list(self.key), "missingValues": [""]},
        }


EPOCH = Column("epoch", "integer", "", "the epoch's number: Unix time by its length")
START = Column("start", "datetime", "", "when it began, UTC")
MEMBER = Column("member", "string", "", "the member's name")
EPOCHS = Table(
    "epochs",
    "All members together in an epoch",
    (
        EPOCH,
        START,
        Column("generation_wh", "integer", WH, "made by plants"),
        Column("consumption_wh", "integer", WH, "used"),
        Column("import_wh", "integer", WH, "drawn at the grid point, behind which all members are"),
        Column("export_wh", "integer", WH, "given at the grid point"),
        Column("minted_wh", "integer", WH, "members' surplus, as tokens"),
        Column("withdrawn_wh", "integer", WH, "what members drew"),
        Column("traded_wh", "integer", WH, "what changed hands in the epoch's book"),
        Column("price", "integer", PRICE, "the book's clearing price; empty where nothing traded"),
        Column("retail_price", "integer", PRICE, "what is not covered costs at the department"),
        Column("feed_in_price", "integer", PRICE, "what the department pays for surplus"),
        Column("wheeling", "integer", PRICE, "what buyers pay on top"),
        Column("fee_bps", "integer", "basis point", "what sellers pay of their gross"),
    ),
    ("epoch",),
)
MEMBERS = Table(
    "members",
    "A member over the whole time",
    (
        MEMBER,
        Column("generation_wh", "integer", WH, "made by its plants"),
        Column("consumption_wh", "integer", WH, "used"),
        Column("used_locally_wh", "integer", WH, "of the use, what came from its own plants and battery"),
        Column("self_sufficiency", "number", "", "used locally, of the use: 0 to 1"),
        Column("minted_wh", "integer", WH, "its surplus, as tokens"),
        Column("withdrawn_wh", "integer", WH, "what it drew"),
        Column("bought_wh", "integer", WH, "bought in the market"),
        Column("sold_wh", "integer", WH, "sold in the market"),
        Column("fed_in_wh", "integer", WH, "given to the department at the feed-in price"),
        Column("held_wh", "integer", WH, "tokens that it holds at the end"),
        Column("paid", "integer", MICRO, "its bills and trades; what it holds counts at the feed-in price"),
        Column("paid_without_market", "integer", MICRO, "the same energy at retail and feed-in"),
        Column("gain", "integer", MICRO, "the difference"),
    ),
    ("member",),
)
METERS = Table(
    "meters",
    "A meter in an interval: by how much its registers moved",
    (
        Column("meter", "string", "", "the gateway's and the meter's name"),
        START,
        MEMBER,
        Column("role", "string", "", "what it measures; submeters do not count in settlement"),
        Column("generation_wh", "integer", WH, "at the grid connection: export"),
        Column("consumption_wh", "integer", WH, "at the grid connection: import"),
        Column("charge_wh", "integer", WH, "into the battery"),
        Column("discharge_wh", "integer", WH, "out of the battery"),
    ),
    ("meter", "start"),
)
RULE = Column("rule", "string", "", "the market rule (authority.measures.markets)")
MARKETS = Table(
    "markets",
    "A member over the whole time under another market rule",
    (
        RULE,
        Column("traded_wh", "integer", WH, "by all members under the rule"),
        Column("mean_price", "number", PRICE, "weighted by the energy traded"),
        Column("department", "integer", MICRO, "wheeling, fees and rounding of all members"),
        Column("efficiency", "number", "", "welfare reached under the rule, of what was possible"),
        MEMBER,
        Column("paid", "integer", MICRO, "by the member"),
        Column("gain", "integer", MICRO, "against nobody trading"),
    ),
    ("rule", "member"),
)
MARKET_EPOCHS = Table(
    "market_epochs",
    "An epoch under another market rule",
    (
        RULE,
        EPOCH,
        START,
        Column("price", "integer", PRICE, "the mean of its deals; empty where nothing traded"),
        Column("traded_wh", "integer", WH, "what changed hands"),
    ),
    ("rule", "epoch"),
)


def of_campus(figures: CampusFigures, steps: Iterable[MeterStep]) -> Iterator[tuple[Table, str]]:
    """Epochs, members and meters, each with its CSV."""
    seconds = figures.epoch_seconds
    yield EPOCHS, EPOCHS.csv(_epoch(each, seconds) for each in figures.epochs)
    yield (
        MEMBERS,
        MEMBERS.csv(
            (
                each.name,
                each.generation_wh,
                each.consumption_wh,
                each.used_locally_wh,
                share(each.used_locally_wh, each.consumption_wh),
                each.minted_wh,
                each.withdrawn_wh,
                each.bought_wh,
                each.sold_wh,
                each.fed_in_wh,
                each.held_wh,
                each.paid,
                each.paid_without_market,
                each.gain,
            )
            for each in figures.members
        ),
    )
    yield (
        METERS,
        METERS.csv(
            (
                each.meter,
                utc(each.boundary - seconds),
                each.member,
                each.role,
                each.generation_wh,
                each.consumption_wh,
                each.charge_wh,
                each.discharge_wh,
            )
            for each in steps
        ),
    )


def _epoch(each: EpochFigures, seconds: int) -> Sequence[object]:
    terms = each.terms
    return (
        each.epoch,
        utc(each.epoch * seconds),
        each.generation_wh,
        each.consumption_wh,
        each.imported_wh,
        each.exported_wh,
        each.minted_wh,
        each.withdrawn_wh,
        each.traded_wh,
        each.price,
        terms.retail,
        terms.feed_in,
        terms.wheeling,
        terms.fee_bps,
    )


def of_rules(
    rules: Sequence[RuleFigures], names: Mapping[int, str], first: int, seconds: int
) -> Iterator[tuple[Table, str]]:
    """Market rules side by side, over epochs of so many seconds from the first on; names are of members."""
    yield (
        MARKETS,
        MARKETS.csv(
            (
                rule.rule,
                rule.traded_wh,
                rule.prices.mean,
                rule.department,
                rule.welfare.efficiency,
                name,
                rule.paid[member],
                rule.gains[member],
            )
            for rule in rules
            for member, name in names.items()
        ),
    )
    yield (
        MARKET_EPOCHS,
        MARKET_EPOCHS.csv(
            (rule.rule, epoch, utc(epoch * seconds), price, wh)
            for rule in rules
            for epoch, (price, wh) in enumerate(rule.by_epoch, first)
        ),
    )


def package(tables: Iterable[Table], title: str) -> dict[str, Any]:
    """The data package (specs.frictionlessdata.io) that describes the tables."""
    return {
        "profile": "tabular-data-package",
        "name": "campus-simulation",
        "title": title,
        "resources": [table.resource() for table in tables],
    }
