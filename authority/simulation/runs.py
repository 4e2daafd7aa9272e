"""Many simulations side by side, one to a core: seeds and scenarios, each in a directory of its own, and one table.

One seed is one weather and one set of people: what a price does shows over several. Each run is what `authority
simulate` makes of the same options, to the byte; what was interrupted goes on, and what is done is only reported.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from authority import heap
from authority.measures import parquet, tables
from authority.measures.indicators import PLACES
from authority.measures.tables import MICRO, PRICE, WH, Column, Table
from authority.simulation import plots, report
from authority.simulation.errors import OutForeignError
from authority.simulation.own_code import OwnFunction
from authority.simulation.progress import REDRAW_SECONDS
from authority.simulation.simulation import Out, Request, Simulation
from edge_agent.wire.files import write_atomically

TEXT_NAME = "runs.txt"


class Figure(NamedTuple):
    """A figure of a report: its column, where it stands in the document, and how people read it."""

    column: Column
    path: tuple[str, ...]
    shown: Callable[[Any], str]


def _figure(name: str, unit: str, meaning: str, path: str, shown: Callable[[Any], str]) -> Figure:
    kind = "number" if unit in ("", PRICE) else "integer"
    return Figure(Column(name, kind, unit, meaning), tuple(path.split("/")), shown)


FIGURES = (
    _figure("generation_wh", WH, "made by all plants", "energy/generation_wh", report.kwh),
    _figure("consumption_wh", WH, "used by all members", "energy/consumption_wh", report.kwh),
    _figure("self_sufficiency", "", "of all together", "self_sufficiency/together", report.percent),
    _figure("self_consumption", "", "of all together", "self_consumption/together", report.percent),
    _figure(
        "peak_import_w", "W", "greatest mean power of an epoch at the grid point", "energy/peak_import_w", report.kw
    ),
    _figure("peak_export_w", "W", "the same, given", "energy/peak_export_w", report.kw),
    _figure("traded_wh", WH, "what changed hands", "energy/traded_wh", report.kwh),
    _figure("mean_price", PRICE, "weighted by the energy traded", "prices/mean", report.per_kwh),
    _figure("price_deviation", PRICE, "over the epochs that traded", "prices/deviation", report.per_kwh),
    _figure("efficiency", "", "welfare, of what the orders allowed", "welfare/efficiency", report.percent),
    _figure("paid", MICRO, "by all members", "money/paid", report.credits_),
    _figure("paid_without_market", MICRO, "by all members", "money/paid_without_market", report.credits_),
    _figure("gain", MICRO, "of all members", "money/gain", report.credits_),
    _figure("gini_of_gains", "", "0 is evenly", "money/gini_of_gains", report.ratio),
)
SCENARIO = Column("scenario", "string", "", "its file's name without the ending; default: none was given")
RUNS = Table(
    "runs",
    "A simulation",
    (
        SCENARIO,
        Column("seed", "integer", "", "what weather and people are made of"),
        Column("audit", "boolean", "", "whether everything held"),
        *(figure.column for figure in FIGURES),
    ),
    ("scenario", "seed"),
)
SPREAD = Table(
    "spread",
    "A figure over all seeds of a scenario, in the figure's unit in runs.csv",
    (
        SCENARIO,
        Column("figure", "string", "", "a column of runs.csv"),
        Column("runs", "integer", "", "how many have the figure"),
        Column("mean", "number", "", "of the seeds"),
        Column("deviation", "number", "", "the sample's standard deviation; empty where one run has the figure"),
        Column("lowest", "number", "", "of the seeds"),
        Column("highest", "number", "", "of the seeds"),
    ),
    ("scenario", "figure"),
)


@dataclass(frozen=True)
class Run:
    """One of the simulations: its scenario's name, what is simulated, where its directory is, and what it tells.

    compare, own and as_parquet are `report.make`'s.
    """

    scenario: str
    request: Request
    out: Path
    compare: bool
    own: tuple[OwnFunction, ...] = ()
    as_parquet: bool = False

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.scenario}, seed {self.request.seed}"


def runs_of(
    out: Path,
    requests: Mapping[str, Sequence[Request]],
    *,
    compare: bool,
    own: Sequence[OwnFunction] = (),
    as_parquet: bool = False,
) -> list[Run]:
    """The runs of each scenario's requests, in directories under one that holds nothing else. OutForeignError."""
    found = [
        Run(scenario, request, out / f"{scenario}-seed-{request.seed}", compare, tuple(own), as_parquet)
        for scenario, each in requests.items()
        for request in each
    ]
    ours = {RUNS.file, SPREAD.file, parquet.file_of(RUNS), parquet.file_of(SPREAD), TEXT_NAME, tables.PACKAGE_NAME}
    ours |= {plots.SVG_NAME, plots.PNG_NAME}
    if out.exists():
        strange = not out.is_dir() or [
            entry.name for entry in out.iterdir() if entry.name not in ours and "-seed-" not in entry.name
        ]
        if strange:
            raise OutForeignError(f"{out} is not a directory of several simulations: name a new one with --out")
    return found


def live(run: Run, progress: Callable[[int, int], None] = lambda *_: None) -> dict[str, Any]:
    """One run, and its report. progress is told of intervals done, of how many."""
    run.out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Out(run.out, run.request) as out:
        simulation = Simulation(run.request, out, progress)
        simulation.run()
        return report.make(
            out.path,
            run.request,
            simulation.spent,
            compare=run.compare,
            own=run.own,
            as_parquet=run.as_parquet,
        )


def live_all(
    runs: Sequence[Run], jobs: int, progress: Callable[[int, int], None], tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    """All runs, so many at a time in processes of their own; their reports in order. The first error ends them all.

    progress is told of seconds that were lived through in all runs, of how many.
    """
    documents: list[dict[str, Any]] = []
    context = multiprocessing.get_context("spawn")
    lived = context.Array("q", len(runs))
    of = sum(_whole(run) for run in runs)
    with context.Pool(min(jobs, len(runs)), _begin, (lived,)) as pool:  # its end ends the processes, whatever happened
        waiting = [pool.apply_async(_live, (number, run)) for number, run in enumerate(runs)]
        for number, (run, result) in enumerate(zip(runs, waiting, strict=True), 1):
            while not result.ready():
                result.wait(REDRAW_SECONDS)
                progress(sum(lived[:]), of)
                for failed in (each for each in waiting if each.ready() and not each.successful()):
                    failed.get()
            documents.append(result.get())
            progress(sum(lived[:]), of)
            gain = report.credits_(documents[-1]["measures"]["money"]["gain"])
            tell(f"{number} of {len(runs)}: {run.name}: gain {gain} credits")
    return documents


_LIVED: list[Any] = []
"""In a process of `live_all`: where it notes the seconds that each run has lived through."""


def _begin(lived: Any) -> None:
    """Ctrl-C on the terminal is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _LIVED.append(lived)
    heap.settle()


def _live(number: int, run: Run) -> dict[str, Any]:
    (lived,) = _LIVED

    def progress(done: int, _: int) -> None:
        lived[number] = done * run.request.scenario.epoch_seconds

    document = live(run, progress)
    lived[number] = _whole(run)  # also where it was there already
    return document


def _whole(run: Run) -> int:
    return run.request.end - run.request.start


def value_of(document: Mapping[str, Any], figure: Figure) -> Any:
    """A figure of a report; None where it has none."""
    found: Any = document["measures"]
    for key in figure.path:
        found = found[key]
    return found


def row_of(scenario: str, document: Mapping[str, Any]) -> tuple[Any, ...]:
    """A row of RUNS, of a report."""
    held = str(document["audit"]["ok"]).lower()
    return scenario, document["simulation"]["seed"], held, *(value_of(document, figure) for figure in FIGURES)


def label_of(name: str) -> str:
    """A figure's name as people read it; its unit stands with its value."""
    return name.removesuffix("_wh").removesuffix("_w").replace("_", " ")


def spread(runs: Sequence[Run], documents: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Rows of SPREAD."""
    rows: list[tuple[Any, ...]] = []
    for scenario in dict.fromkeys(run.scenario for run in runs):
        own = [document for run, document in zip(runs, documents, strict=True) if run.scenario == scenario]
        for figure in FIGURES:
            values = [value for document in own if (value := value_of(document, figure)) is not None]
            row: tuple[Any, ...] = (None,) * 4
            if values:
                deviation = round(stdev(values), PLACES) if len(values) > 1 else None
                row = (round(fmean(values), PLACES), deviation, min(values), max(values))
            rows.append((scenario, figure.column.name, len(values), *row))
    return rows


def write(out: Path, runs: Sequence[Run], documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Both tables with their schema, and the same for people; as JSON, what they say."""
    lines = [row_of(run.scenario, document) for run, document in zip(runs, documents, strict=True)]
    over = spread(runs, documents)
    written = [(RUNS, RUNS.csv(lines)), (SPREAD, SPREAD.csv(over))]
    as_parquet = any(run.as_parquet for run in runs)
    report.write_tables(out, written, "Simulations side by side", as_parquet=as_parquet)
    write_atomically(out / TEXT_NAME, f"{text_of(over)}\n".encode())
    names = [column.name for column in RUNS.columns]
    told = [
        {**dict(zip(names, line, strict=True)), "audit": document["audit"]["ok"], "out": str(run.out)}
        for line, run, document in zip(lines, runs, documents, strict=True)
    ]
    return {
        "runs": told,
        "spread": [dict(zip((column.name for column in SPREAD.columns), row, strict=True)) for row in over],
    }


def text_of(over: Sequence[tuple[Any, ...]]) -> str:
    """Rows of SPREAD for a person, a block for each scenario."""
    lines: list[str] = []
    shown = {figure.column.name: figure.shown for figure in FIGURES}
    for scenario in dict.fromkeys(row[0] for row in over):
        own = [row for row in over if row[0] == scenario]
        runs = max(row[2] for row in own)
        head = "".join(name.rjust(18) for name in ("mean", "deviation", "lowest", "highest"))
        lines += ["", f"{scenario}, {runs} seed{'' if runs == 1 else 's'}".ljust(26) + head]
        for _, name, _, *values in own:
            words = "".join(("-" if value is None else shown[name](value)).rjust(18) for value in values)
            lines.append(label_of(name).ljust(26) + words)
    return "\n".join(lines[1:])
