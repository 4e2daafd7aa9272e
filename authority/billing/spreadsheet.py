"""Tables as CSV (RFC 4180) that spreadsheets open as they are: no cell becomes a formula. Pure."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The rows below the columns' names, with an apostrophe before a text that a spreadsheet would take for a formula.

    Whole numbers stay numbers.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(each) for each in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """A spreadsheet passes over space before a formula, and takes the wide signs of Chinese and Japanese for it too."""
    begins = isinstance(value, str) and _FORMULA.match(unicodedata.normalize("NFKC", value))
    return f"'{value}" if begins else value


_FORMULA = re.compile(r"\s*[=+@-]|[\t\r\n]")
