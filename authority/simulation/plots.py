"""One page of plots of a finished simulation, as SVG and PNG, from the tables that it left (authority.measures.tables).

Over time: prices, traded energy, power at the grid point. By member: self-sufficiency, bills, and gains under each
market rule. Where the time has more than 400 epochs, hours, days or weeks stand for them, and the panels say so.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typst

from authority.measures.tables import EPOCHS, MARKET_EPOCHS, MARKETS, MEMBERS, Table
from authority.simulation.charts import COLOURS, GRID, INK, SOFT, Axis, Page, Step, ticks
from authority.simulation.errors import ResultsMissingError
from authority.simulation.weather import DAY_SECONDS
from edge_agent.wire.files import write_atomically

SVG_NAME, PNG_NAME, REPORT_NAME = "plots.svg", "plots.png", "report.json"
WIDTH, LEFT, RIGHT = 1_200, 90, 1_160
PANEL, GAP, ROW = 190, 92, 19
MOST_STEPS, MOST_MEMBERS = 400, 30
BINS = (3_600, 3 * 3_600, 6 * 3_600, DAY_SECONDS, 7 * DAY_SECONDS, 30 * DAY_SECONDS)
PIXELS_PER_INCH = 192
"""Of the PNG: twice the page's, which are 96 to the inch as everywhere in SVG."""
ZONE = "UTC"
"""Of all times on the page: the simulation's own."""
MARKET = "the chain's market"
NOBODY = "feed_in_only"
"""The rule under which nobody trades: what the others are measured against."""
TYPST = b'#set page(width: auto, height: auto, margin: 0pt)\n#image(bytes(sys.inputs.svg), format: "svg")\n'

Row = Mapping[str, str]
Entry = tuple[str, str, str]
"""Of a legend: how it is drawn (line, dashes, area, dot, ring), its colour, its words."""


@dataclass(frozen=True)
class Results:
    """A finished simulation's tables, as they were written; the rules' are empty where none were compared."""

    report: Mapping[str, Any]
    epochs: Sequence[Row]
    members: Sequence[Row]
    markets: Sequence[Row]
    market_epochs: Sequence[Row]

    @classmethod
    def read(cls, directory: Path) -> Results:
        """From a simulation's directory. ResultsMissingError."""
        try:
            report = json.loads((directory / REPORT_NAME).read_text(encoding="utf-8"))
            epochs, members = _rows(directory, EPOCHS), _rows(directory, MEMBERS)
        except (OSError, ValueError) as error:
            raise ResultsMissingError(
                f"{directory} has no tables of a finished simulation ({error}): give its `authority simulate` line "
                "again, which writes them"
            ) from error
        compared = "markets" in report
        return cls(
            report,
            epochs,
            members,
            _rows(directory, MARKETS) if compared else [],
            _rows(directory, MARKET_EPOCHS) if compared else [],
        )

    @property
    def seconds(self) -> int:
        """An epoch's length."""
        return int(self.report["simulation"]["epoch_seconds"])

    @property
    def rules(self) -> list[str]:
        """The market rules that were compared, without the one under which nobody trades."""
        return [rule for rule in dict.fromkeys(row["rule"] for row in self.markets) if rule != NOBODY]


def _rows(directory: Path, table: Table) -> list[Row]:
    with (directory / table.file).open(newline="", encoding="utf-8") as file:
        rows: list[Row] = list(csv.DictReader(file))
    if rows and list(rows[0]) != [column.name for column in table.columns]:
        raise ValueError(f"{table.file} has other columns than this version writes")
    return rows


def write(directory: Path, into: Path | None = None, *, first_day: int = 1, days: int | None = None) -> list[Path]:
    """Draw a simulation's plots, or those of some of its days (the first is 1), and write SVG and PNG.

    The members' part is always of the whole time, for bills are. ResultsMissingError.
    """
    return keep(page(Results.read(directory), first_day=first_day, days=days), into or directory)


def keep(drawn: str, into: Path) -> list[Path]:
    """Write a page as SVG and PNG into a directory, which is made where it is not there."""
    into.mkdir(parents=True, exist_ok=True)
    written = [into / SVG_NAME, into / PNG_NAME]
    for path, data in zip(written, (drawn.encode(), png(drawn)), strict=True):
        write_atomically(path, data, mode=0o644)
    return written


def png(svg: str) -> bytes:
    """The same picture in pixels, set in the fonts that come with Typst, so that it is the same on every machine."""
    made: bytes = typst.compile(
        TYPST,
        format="png",
        ppi=PIXELS_PER_INCH,
        sys_inputs={"svg": svg},
        font_paths=typst.Fonts(include_system_fonts=False),
    )
    return made


def page(results: Results, *, first_day: int = 1, days: int | None = None) -> str:
    """The page as SVG. ResultsMissingError where the days are none of the simulation's."""
    asked = results.report["simulation"]
    start, end = span_of(asked, first_day, days)
    members = shown_of(results.members)
    top = 138
    people = top + 3 * (PANEL + GAP)
    drawn = Page(WIDTH, people + len(members) * ROW + 70)
    drawn.text(LEFT - 60, 40, "A simulated campus", size=24, bold=True)
    drawn.text(LEFT - 60, 62, _subtitle(asked), size=14, colour=SOFT)
    time = Time(drawn, results, start, end)
    time.prices(top)
    time.energy(top + PANEL + GAP)
    time.power(top + 2 * (PANEL + GAP))
    _Members(drawn, results, members, people).draw()
    return drawn.svg(
        "Plots of a simulated campus",
        "Prices, traded energy and power at the grid point over time; self-sufficiency, bills and gains by member. "
        "The figures are in epochs.csv, members.csv, markets.csv and market_epochs.csv.",
    )


def span_of(asked: Mapping[str, Any], first_day: int, days: int | None) -> tuple[int, int]:
    """From when to when (Unix seconds) some days of a simulation last. ResultsMissingError where it has none such."""
    start = asked["start"] + (first_day - 1) * DAY_SECONDS
    end = min(start + (days or asked["days"]) * DAY_SECONDS, asked["start"] + asked["days"] * DAY_SECONDS)
    if start >= end:
        raise ResultsMissingError(f"the simulation has {asked['days']} days: there is no day {first_day}")
    return start, end


def _subtitle(asked: Mapping[str, Any]) -> str:
    return f"{days_of(asked)}; {size_of(asked)}; at the start {terms_of(asked)} credits per kWh; times are {ZONE}"


def days_of(asked: Mapping[str, Any]) -> str:
    """How many days from when on were simulated."""
    first = datetime.fromtimestamp(asked["start"], UTC).strftime("%-d %B %Y")
    return f"{asked['days']} day{'' if asked['days'] == 1 else 's'} from {first}"


def size_of(asked: Mapping[str, Any]) -> str:
    """How large the campus was, and its seed."""
    return f"{asked['buildings']} buildings, {asked['members']} members, seed {asked['seed']}"


def terms_of(asked: Mapping[str, Any]) -> str:
    """The prices that it began with."""
    prices = asked["parameters"]
    return ", ".join(
        f"{name} {prices[key] / 1_000_000:.3f}"
        for name, key in (("retail", "retail_price"), ("feed-in", "feed_in_price"), ("wheeling", "wheeling"))
    )


def shown_of(members: Sequence[Row]) -> Sequence[Row]:
    """All members, or those that use the most, in the order of the table."""
    most = sorted(members, key=lambda row: -int(row["consumption_wh"]))[:MOST_MEMBERS]
    names = {row["member"] for row in most}
    return [row for row in members if row["member"] in names]


def legend(drawn: Page, x: float, y: float, entries: Iterable[Entry]) -> None:
    """Entries in a row; x is where the first begins, y the baseline of the words."""
    for kind, colour, words in entries:
        if kind == "area":
            drawn.rect(x, y - 9, 18, 9, colour)
        elif kind in ("dot", "ring"):
            drawn.dot(x + 9, y - 4, colour, hollow=kind == "ring")
        else:
            drawn.line(x, y - 4, x + 18, y - 4, colour, 2, "4 3" if kind == "dashes" else "")
        drawn.text(x + 24, y, words, size=12)
        x += 24 + 6.1 * len(words) + 18


def _colours(rules: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(rules, COLOURS, strict=False))


class Time:
    """The panels over time."""

    def __init__(self, drawn: Page, results: Results, start: int, end: int, seconds: int = 0) -> None:
        """seconds: of a step, where it is to be longer than the results make it."""
        self._page, self._results, self._start, self._end = drawn, results, start, end
        self.x = Axis(start, end, LEFT, RIGHT)
        self._bin = seconds or bin_of(start, end, results.seconds)
        first, last = start // results.seconds, end // results.seconds
        self.epochs = [row for row in results.epochs if first <= int(row["epoch"]) < last]
        self._of_rules: dict[str, list[Row]] = {rule: [] for rule in results.rules}
        for row in results.market_epochs:
            if row["rule"] in self._of_rules and first <= int(row["epoch"]) < last:
                self._of_rules[row["rule"]].append(row)

    def prices(self, top: float) -> None:
        """Each rule's price, between retail and feed-in."""
        mean = "" if self._bin == self._results.seconds else f", mean of each {length_of(self._bin)} by energy"
        lines: list[tuple[Entry, list[Step], float]] = [
            (("dashes", SOFT, "retail and feed-in"), self.last("retail_price"), 1.2),
            (("dashes", SOFT, ""), self.last("feed_in_price"), 1.2),
        ]
        for rule, colour in _colours(self._results.rules):
            lines.append((("line", colour, rule.replace("_", " ")), self.mean(self._of_rules[rule]), 1.2))
        lines.append((("line", INK, MARKET), self.mean(self.epochs), 1.8))
        high = max((value for _, steps, _ in lines for *_, value in steps if value is not None), default=1.0)
        y = self.panel(top, f"Price, credits per kWh{mean}", 0.0, high)
        for (kind, colour, _), steps, width in lines:
            self._page.steps(steps, self.x, y, colour, width=width, dashes="4 3" if kind == "dashes" else "")
        legend(self._page, LEFT, top - 12, [entry for entry, *_ in lines if entry[2]])

    def energy(self, top: float) -> None:
        """What changed hands, beside what was there for it and what was wanted."""
        traded, minted, drawn = (self.sum_of(name) for name in ("traded_wh", "minted_wh", "withdrawn_wh"))
        high = max(value or 0.0 for steps in (traded, minted, drawn) for *_, value in steps)
        y = self.panel(top, f"Energy, kWh in each {length_of(self._bin)}", 0.0, high)
        self._page.area(traded, self.x, y, "#9fc6e3")
        self._page.steps(minted, self.x, y, COLOURS[2])
        self._page.steps(drawn, self.x, y, COLOURS[1])
        words = (
            ("area", "#9fc6e3", "traded"),
            ("line", COLOURS[2], "surplus"),
            ("line", COLOURS[1], "drawn by members"),
        )
        legend(self._page, LEFT, top - 12, words)

    def power(self, top: float) -> None:
        """Import and export of all together, and when each was greatest."""
        imported, exported = self.greatest("import_wh", 1), self.greatest("export_wh", -1)
        values = [value or 0.0 for steps in (imported, exported) for *_, value in steps]
        what = (
            "mean of each epoch" if self._bin == self._results.seconds else f"greatest of each {length_of(self._bin)}"
        )
        y = self.panel(top, f"Power at the grid point, kW, {what}", min(0.0, *values), max(0.0, *values))
        for steps, colour, sign in ((imported, COLOURS[0], 1), (exported, COLOURS[4], -1)):
            self._page.area(steps, self.x, y, colour)
            start, end, value = max(steps, key=lambda step: (sign * (step[2] or 0.0), -step[0]))
            if value:
                x = self.x.at((start + end) / 2)
                words = f"{abs(value):,.1f} kW, {datetime.fromtimestamp(start, UTC):%-d %b %H:%M} {ZONE}"
                self._page.dot(x, y.at(value), INK, radius=2.5)
                anchor = "end" if x > (LEFT + RIGHT) / 2 else "start"
                self._page.text(x + (-8 if anchor == "end" else 8), y.at(value) + 1 - 5 * sign, words, anchor=anchor)
        entries = (("area", COLOURS[0], "import"), ("area", COLOURS[4], "export, below zero"), ("dot", INK, "peaks"))
        legend(self._page, LEFT, top - 12, entries)

    def panel(self, top: float, title: str, low: float, high: float) -> Axis:
        """Heading, scale and time's ticks; the vertical axis."""
        self._page.text(LEFT - 60, top - 34, title, size=16, bold=True)
        numbers = ticks(low, high)
        y = Axis(numbers[0], numbers[-1], top + PANEL, top)
        self._page.scale(y, numbers, LEFT, RIGHT)
        for moment, words in _moments(self._start, self._end):
            x = self.x.at(moment)
            self._page.line(x, top + PANEL, x, top + PANEL + 5, SOFT)
            self._page.text(x, top + PANEL + 19, words, anchor="middle", colour=SOFT)
        self._page.text(LEFT - 60, top + PANEL + 19, ZONE, colour=SOFT)
        return y

    def _bins(self, rows: Sequence[Row]) -> Iterator[tuple[int, int, list[Row]]]:
        """The rows in steps of time: from, to, and those that lie in it."""
        seconds = self._results.seconds
        found: dict[int, list[Row]] = {}
        for row in rows:
            found.setdefault((int(row["epoch"]) * seconds - self._start) // self._bin, []).append(row)
        for number, inside in found.items():
            start = self._start + number * self._bin
            yield start, min(start + self._bin, self._end), inside

    def last(self, name: str) -> list[Step]:
        """A price as it was at the end of each step."""
        return [(start, end, int(rows[-1][name]) / 1_000_000) for start, end, rows in self._bins(self.epochs)]

    def mean(self, rows: Sequence[Row]) -> list[Step]:
        """Prices weighted by the energy traded."""
        steps: list[Step] = []
        for start, end, inside in self._bins(rows):
            traded = [(int(row["price"]), int(row["traded_wh"])) for row in inside if row["price"]]
            wh = sum(each for _, each in traded)
            steps.append((start, end, sum(price * each for price, each in traded) / wh / 1_000_000 if wh else None))
        return steps

    def sum_of(self, name: str) -> list[Step]:
        """Energy, kWh."""
        return [(a, b, sum(int(row[name]) for row in rows) / 1_000) for a, b, rows in self._bins(self.epochs)]

    def greatest(self, name: str, sign: int) -> list[Step]:
        """The greatest mean power of an epoch, kW."""
        per_wh = 3_600 / self._results.seconds / 1_000
        return [(a, b, sign * max(int(row[name]) for row in rows) * per_wh) for a, b, rows in self._bins(self.epochs)]


def bin_of(start: int, end: int, seconds: int) -> int:
    """How long a step is in which a time is drawn: an epoch of so many seconds where there are not too many."""
    for size in BINS:
        if (end - start) // seconds > MOST_STEPS and size > seconds:
            seconds = size
    return seconds


def length_of(seconds: int) -> str:
    """A length of time in words."""
    for size, word in ((7 * DAY_SECONDS, "week"), (DAY_SECONDS, "day"), (3_600, "hour"), (60, "minute")):
        if seconds % size == 0:
            count = seconds // size
            return word if count == 1 else f"{count} {word}s"
    return f"{seconds} seconds"


def _moments(start: int, end: int) -> Iterator[tuple[int, str]]:
    """Ticks of time and their words, UTC."""
    days = (end - start) // DAY_SECONDS
    step = 3 * 3_600 if days <= 1 else 6 * 3_600 if days <= 3 else DAY_SECONDS * -(-days // 14)
    for moment in range(start, end + 1, step):
        form = "%H:%M" if moment % DAY_SECONDS else "%-d %b"
        yield moment, datetime.fromtimestamp(moment, UTC).strftime(form)


class _Members:
    """The panels by member, one row each: self-sufficiency, bills, gains."""

    COLUMNS = ((210, 470), (530, 800), (860, RIGHT))

    def __init__(self, drawn: Page, results: Results, members: Sequence[Row], top: float) -> None:
        self._page, self._results, self._members, self._top = drawn, results, members, top
        self._of_rules = {(row["rule"], row["member"]): row for row in results.markets}

    def draw(self) -> None:
        """Names, and the three columns."""
        for number, member in enumerate(self._members):
            y = self._row(number)
            if number % 2 == 0:
                self._page.rect(LEFT - 60, y - ROW / 2, RIGHT - LEFT + 60, ROW, "#f5f5f5")
            self._page.text(LEFT - 56, y + 4, member["member"])
        left_out = len(self._results.members) - len(self._members)
        if left_out:
            words = f"The {len(self._members)} members that use the most; members.csv has the {left_out} others."
            self._page.text(LEFT - 60, self._top + len(self._members) * ROW + 48, words, colour=SOFT)
        self._sufficiency()
        self._bills()
        self._gains()

    def _row(self, number: int) -> float:
        return self._top + number * ROW + ROW / 2

    def _column(self, which: int, title: str, numbers: Sequence[float], low: float, high: float) -> Axis:
        left, right = self.COLUMNS[which]
        x = Axis(low, high, left, right)
        bottom = self._top + len(self._members) * ROW
        self._page.text(left, self._top - 34, title, size=16, bold=True)
        for number in numbers:
            self._page.line(x.at(number), self._top, x.at(number), bottom + 4, SOFT if number == 0 else GRID)
            words = f"{number:,.10g}".replace("-", "\N{MINUS SIGN}")
            self._page.text(x.at(number), bottom + 19, words, anchor="middle", colour=SOFT)
        return x

    def _sufficiency(self) -> None:
        x = self._column(0, "Self-sufficiency, %", (0, 25, 50, 75, 100), 0.0, 100.0)
        for number, member in enumerate(self._members):
            share = 100 * float(member["self_sufficiency"] or 0)
            self._page.rect(x.at(0), self._row(number) - 5, x.at(share) - x.at(0), 10, COLOURS[2])
        together = self._results.report["measures"]["self_sufficiency"]["together"]
        if together is not None:
            at = x.at(100 * together)
            self._page.line(at, self._top, at, self._top + len(self._members) * ROW, INK, 1.5, "4 3")
        legend(self._page, x.start, self._top - 12, (("area", COLOURS[2], "alone"), ("dashes", INK, "all together")))

    def _bills(self) -> None:
        paid = [(int(row["paid"]) / 1e6, int(row["paid_without_market"]) / 1e6) for row in self._members]
        numbers = ticks(min(0.0, *(min(each) for each in paid)), max(0.0, *(max(each) for each in paid)), 5)
        x = self._column(1, "Paid in all, credits", numbers, numbers[0], numbers[-1])
        for number, (with_it, without) in enumerate(paid):
            y = self._row(number)
            self._page.line(x.at(with_it), y, x.at(without), y, SOFT, 1.5)
            self._page.dot(x.at(without), y, SOFT, hollow=True)
            self._page.dot(x.at(with_it), y, INK)
        words = (("dot", INK, MARKET), ("ring", SOFT, "without a market"))
        legend(self._page, x.start, self._top - 12, words)

    def _gains(self) -> None:
        drawn: list[tuple[str, bool, list[float]]] = [
            (colour, True, [int(self._of_rules[rule, row["member"]]["gain"]) / 1e6 for row in self._members])
            for rule, colour in _colours(self._results.rules)
        ]
        drawn.append((INK, False, [int(row["gain"]) / 1e6 for row in self._members]))
        values = [value for *_, each in drawn for value in each]
        numbers = ticks(min(0.0, *values), max(0.0, *values), 5)
        x = self._column(2, "Gain by the market, credits", numbers, numbers[0], numbers[-1])
        for colour, hollow, each in drawn:
            for number, value in enumerate(each):
                self._page.dot(x.at(value), self._row(number), colour, hollow=hollow, radius=3)
        words: list[Entry] = [("dot", INK, MARKET)]
        if len(drawn) > 1:
            words.append(("ring", COLOURS[0], "rules, coloured as above"))
        legend(self._page, x.start, self._top - 12, words)
