"""Several finished simulations on one page, as SVG and PNG, and in one table: what another price or plant does.

Over time: each run's price between its retail and its feed-in, traded energy, power at the grid point. By member: what
it paid, and what the market was worth to it. Below stand the figures of `runs.csv`, a column for each run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from authority.measures.tables import MICRO, PRICE
from authority.simulation import plots
from authority.simulation.charts import COLOURS, GRID, INK, SOFT, Axis, Page, Step, ticks
from authority.simulation.errors import ResultsUnlikeError
from authority.simulation.plots import GAP, LEFT, PANEL, RIGHT, ROW, WIDTH, ZONE, Results, Row, Time, legend
from authority.simulation.runs import FIGURES, RUNS, label_of, row_of, value_of
from edge_agent.wire.files import write_atomically

MOST = len(COLOURS)
"""More runs on a page could not be told apart."""
MOST_LETTERS = 24
"""Of a run's name on the page."""
LINE = 18
"""Pixels from line to line of the table."""
IN = {MICRO: ", credits", PRICE: ", credits per kWh"}
"""What is said of a figure's unit, where its value does not say it."""
COLUMNS = ((240, 660), (730, RIGHT))


def write(directories: Sequence[Path], into: Path, *, first_day: int = 1, days: int | None = None) -> list[Path]:
    """Draw the simulations of some directories into another, with their figures as runs.csv; the files.

    ResultsUnlikeError, ResultsMissingError.
    """
    found = read(directories)
    written = draw(found, into, first_day=first_day, days=days)
    path = into / RUNS.file
    write_atomically(path, RUNS.csv(row_of(name, each.report) for name, each in found.items()).encode(), mode=0o644)
    return [*written, path]


def read(directories: Sequence[Path]) -> dict[str, Results]:
    """The results of directories by their names; by their paths where two have one name. ResultsUnlikeError."""
    if len({each.resolve() for each in directories}) < len(directories):
        raise ResultsUnlikeError("a directory is named twice: name each simulation once")
    names = [each.resolve().name for each in directories]
    if len(set(names)) < len(names):
        names = [str(each) for each in directories]
    return dict(zip(names, map(Results.read, directories), strict=True))


def draw(found: Mapping[str, Results], into: Path, *, first_day: int = 1, days: int | None = None) -> list[Path]:
    """Draw results by their names into a directory. ResultsUnlikeError, ResultsMissingError."""
    return plots.keep(page(found, first_day=first_day, days=days), into)


def page(found: Mapping[str, Results], *, first_day: int = 1, days: int | None = None) -> str:
    """The page as SVG. ResultsUnlikeError where there are too many, or of other times."""
    if not 2 <= len(found) <= MOST:
        raise ResultsUnlikeError(f"a page shows 2 to {MOST} simulations, and these are {len(found)}: name fewer")
    asked = [each.report["simulation"] for each in found.values()]
    times = {(each["start"], each["days"]) for each in asked}
    if len(times) > 1:
        told = "; ".join(f"{name}: {plots.days_of(each)}" for name, each in zip(found, asked, strict=True))
        raise ResultsUnlikeError(f"these simulations are of other times ({told}): name some of the same days")
    start, end = plots.span_of(asked[0], first_day, days)
    members = _members(list(found.values()))
    table = table_of(found)
    top = 146 + LINE * len(found)
    people = top + 3 * (PANEL + GAP)
    figures = people + len(members) * ROW + 92
    drawn = Page(WIDTH, figures + LINE * len(table) + 20)
    drawn.text(LEFT - 60, 40, "Simulated campuses side by side", size=24, bold=True)
    drawn.text(LEFT - 60, 62, f"{plots.days_of(asked[0])}; times are {ZONE}", size=14, colour=SOFT)
    for number, (name, each) in enumerate(zip(found, asked, strict=True)):
        y = 86 + LINE * number
        legend(drawn, LEFT - 60, y, [("line", COLOURS[number], _short(name))])
        words = f"{plots.size_of(each)}; at the start {plots.terms_of(each)} credits per kWh"
        drawn.text(LEFT + 150, y, words, colour=SOFT)
    seconds = plots.bin_of(start, end, max(each.seconds for each in found.values()))
    over_time = [Time(drawn, each, start, end, seconds) for each in found.values()]
    _over_time(drawn, list(found), over_time, top, max(each.seconds for each in found.values()), seconds)
    _by_member(drawn, list(found.values()), members, people)
    _table(drawn, table, figures)
    return drawn.svg(
        "Plots of simulated campuses side by side",
        "Prices, traded energy and power at the grid point over time; bills and gains by member; the figures of each "
        "run, which are in runs.csv too.",
    )


def table_of(found: Mapping[str, Results]) -> list[list[str]]:
    """The runs' figures as people read them: a head, and a line for each figure."""
    lines = [["", *map(_short, found)]]
    for figure in FIGURES:
        values = [value_of(each.report, figure) for each in found.values()]
        label = label_of(figure.column.name) + IN.get(figure.column.unit, "")
        lines.append([label, *("-" if each is None else figure.shown(each) for each in values)])
    return lines


def text_of(found: Mapping[str, Results]) -> str:
    """The table for a terminal."""
    return "\n".join(
        f"{name:<34}{''.join(value.rjust(MOST_LETTERS + 2) for value in values)}".rstrip()
        for name, *values in table_of(found)
    )


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"...{name[3 - MOST_LETTERS :]}"


def _over_time(drawn: Page, names: Sequence[str], runs: Sequence[Time], top: float, epoch: int, seconds: int) -> None:
    each = plots.length_of(seconds)
    mean, most = (
        ("", "mean of each epoch")
        if seconds == epoch
        else (f", mean of each {each} by energy", f"greatest of each {each}")
    )
    bounds = [[run.last(name) for name in ("retail_price", "feed_in_price")] for run in runs]
    first = runs[0]

    def panel(number: int, title: str, lines: Sequence[Sequence[Step]], more: Sequence[Sequence[Step]] = ()) -> Axis:
        values = [value for steps in (*lines, *more) for *_, value in steps if value is not None]
        y = first.panel(top + number * (PANEL + GAP), title, min(0.0, *values, 0.0), max(0.0, *values, 0.0))
        for place, steps in enumerate(lines):
            # narrower from run to run: where all are alike, each can still be seen
            drawn.steps(steps, first.x, y, COLOURS[place], width=1.4 + 1.2 * (len(lines) - 1 - place))
        return y

    prices = [run.mean(run.epochs) for run in runs]
    y = panel(0, f"Price, credits per kWh{mean}", prices, [steps for pair in bounds for steps in pair])
    for number, pair in enumerate(bounds):
        for steps in pair:
            drawn.steps(steps, first.x, y, COLOURS[number], dashes="4 3")
    lines = [("line", colour, _short(name)) for colour, name in zip(COLOURS, names, strict=False)]
    legend(drawn, LEFT, top - 12, [*lines, ("dashes", SOFT, "retail and feed-in")])
    panel(1, f"Traded, kWh in each {each}", [run.sum_of("traded_wh") for run in runs])
    legend(drawn, LEFT, top + PANEL + GAP - 12, lines)
    panel(2, f"Power drawn at the grid point, kW, {most}", [run.greatest("import_wh", 1) for run in runs])
    legend(drawn, LEFT, top + 2 * (PANEL + GAP) - 12, lines)


def _members(runs: Sequence[Results]) -> list[str]:
    """Whoever is in any of the runs, those that use the most in one of them, in the order of the tables."""
    most: dict[str, Row] = {}
    for run in runs:
        for row in run.members:
            known = most.get(row["member"])
            if known is None or int(known["consumption_wh"]) < int(row["consumption_wh"]):
                most[row["member"]] = row
    return [row["member"] for row in plots.shown_of(list(most.values()))]


def _by_member(drawn: Page, runs: Sequence[Results], members: Sequence[str], top: float) -> None:
    rows = [{row["member"]: row for row in run.members} for run in runs]
    bottom = top + len(members) * ROW
    for number, member in enumerate(members):
        y = top + number * ROW + ROW / 2
        if number % 2 == 0:
            drawn.rect(LEFT - 60, y - ROW / 2, RIGHT - LEFT + 60, ROW, "#f5f5f5")
        drawn.text(LEFT - 56, y + 4, member)
    left_out = len({name for each in rows for name in each}) - len(members)
    if left_out:
        words = f"The {len(members)} members that use the most; members.csv of each run has the {left_out} others."
        drawn.text(LEFT - 60, bottom + 48, words, colour=SOFT)
    for (left, right), title, name in zip(
        COLUMNS, ("Paid in all, credits", "Gain by the market, credits"), ("paid", "gain"), strict=True
    ):
        values = [int(each[member][name]) / 1e6 for each in rows for member in members if member in each]
        numbers = ticks(min(0.0, *values, 0.0), max(0.0, *values, 0.0), 5)
        x = Axis(numbers[0], numbers[-1], left, right)
        drawn.text(left, top - 34, title, size=16, bold=True)
        for tick in numbers:
            drawn.line(x.at(tick), top, x.at(tick), bottom + 4, SOFT if tick == 0 else GRID)
            words = f"{tick:,.10g}".replace("-", "\N{MINUS SIGN}")
            drawn.text(x.at(tick), bottom + 19, words, anchor="middle", colour=SOFT)
        for place, each in enumerate(rows):
            for number, member in enumerate(members):
                if member in each:
                    y, at = top + number * ROW + ROW / 2, x.at(int(each[member][name]) / 1e6)
                    drawn.dot(at, y, COLOURS[place], hollow=place > 0, radius=3 + place)


def _table(drawn: Page, table: Sequence[Sequence[str]], top: float) -> None:
    drawn.text(LEFT - 60, top, "Figures", size=16, bold=True)
    width = min(200.0, (RIGHT - LEFT - 160) / (len(table[0]) - 1))
    for number, (name, *values) in enumerate(table):
        y = top + LINE * (number + 1)
        drawn.text(LEFT - 60, y, name)
        for place, value in enumerate(values):
            colour = COLOURS[place] if number == 0 else INK
            drawn.text(LEFT + 160 + width * (place + 1), y, value, anchor="end", colour=colour, bold=number == 0)
