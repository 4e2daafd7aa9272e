"""Where an emulated meter's power comes from: columns of a CSV file and exact expressions over them.

Watts are fractions from the file's decimals on, so a register's sum never drifts.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from edge_agent.emulator.errors import EmulatorError
from edge_agent.wire.standstill import Standstill


class SourceError(EmulatorError):
    """A CSV file or an expression that cannot be used; the message says where."""

    code = "bad_source"


class Table:
    """The columns of a CSV file with a header line; each value a decimal number."""

    def __init__(self, columns: Mapping[str, Sequence[Fraction]]) -> None:
        self.columns = columns
        self.length = len(next(iter(columns.values()))) if columns else 1

    @classmethod
    def read(cls, path: Path) -> Table:
        """Read a file; columns that are not numbers throughout are left out. SourceError."""
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(line for line in file if not line.startswith("#")))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SourceError(f"{path} cannot be read: {error}") from error
        if len(rows) < 2:
            raise SourceError(f"{path} has no rows under its header")
        header = [name.strip() for name in rows[0]]
        columns: dict[str, list[Fraction]] = {}
        for at, name in enumerate(header):
            try:
                columns[name] = [Fraction(row[at].strip()) for row in rows[1:]]
            except (ValueError, IndexError, ZeroDivisionError):
                continue
        if not columns:
            raise SourceError(f"{path} has no column of numbers")
        return cls(columns)


class Expression:
    """Arithmetic over columns: names, decimal numbers, + - * /, parentheses, min() and max()."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError) as error:
            raise SourceError(f"{text!r} is not an expression over columns") from error

    def over(self, table: Table) -> list[Fraction]:
        """The value in each row; SourceError for a name that is not a column, or a division by zero."""
        try:
            return [_evaluate(self._tree, table, row, self.text) for row in range(table.length)]
        except ZeroDivisionError as error:
            raise SourceError(f"{self.text!r} divides by zero") from error


def _evaluate(node: ast.expr, table: Table, row: int, text: str) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        segment = ast.get_source_segment(text.strip(), node)
        return Fraction(segment if segment is not None else str(node.value))
    if isinstance(node, ast.Name):
        if node.id not in table.columns:
            raise SourceError(f"{text!r} names {node.id!r}; the columns are {', '.join(sorted(table.columns))}")
        return table.columns[node.id][row]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _evaluate(node.operand, table, row, text)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        left = _evaluate(node.left, table, row, text)
        right = _evaluate(node.right, table, row, text)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            return left / right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args and not node.keywords:
        values = [_evaluate(argument, table, row, text) for argument in node.args]
        if node.func.id == "max":
            return max(values)
        if node.func.id == "min":
            return min(values)
    raise SourceError(f"{text!r}: only columns, numbers, + - * /, parentheses, min() and max() are understood")


class PowerSeries:
    """Watts by epoch. Row `start_row` of the table is lived in `start_epoch`; after the last row the first follows.

    In a standstill nothing flows, and the rows wait.
    """

    def __init__(
        self,
        watts: Sequence[Fraction],
        start_epoch: int,
        start_row: int,
        epoch_seconds: int,
        standstill: Standstill | None = None,
    ) -> None:
        self.watts = watts
        self.start_epoch = start_epoch
        self.start_row = start_row
        self.epoch_seconds = epoch_seconds
        self.standstill = standstill or Standstill()
        self._sums = [Fraction(0)]
        for watt in watts:
            self._sums.append(self._sums[-1] + max(watt, Fraction(0)))

    def power(self, time: float) -> Fraction:
        """Watts at a Unix time; zero before the start and in a standstill."""
        epoch = int(time // self.epoch_seconds)
        if epoch < self.start_epoch or self.standstill.holds(epoch):
            return Fraction(0)
        return self.watts[self._row(epoch) % len(self.watts)]

    def _row(self, epoch: int) -> int:
        """The row that an epoch from the start on holds, or waits for, counted over all rounds."""
        return self.standstill.lived(self.start_epoch, epoch) + self.start_row

    def _sum_until_row(self, row: int) -> Fraction:
        rounds, rest = divmod(row, len(self.watts))
        return rounds * self._sums[-1] + self._sums[rest]

    def energy(self, time: float) -> Fraction:
        """Watt-hours from the start to a Unix time, of the positive watts only."""
        epoch = int(time // self.epoch_seconds)
        if epoch < self.start_epoch:
            return Fraction(0)
        row = self._row(epoch)
        whole = (self._sum_until_row(row) - self._sum_until_row(self.start_row)) * self.epoch_seconds
        if self.standstill.holds(epoch):
            return whole / 3600
        seconds = Fraction(time) - epoch * self.epoch_seconds
        return (whole + max(self.watts[row % len(self.watts)], Fraction(0)) * seconds) / 3600
