"""Tables as CSV (RFC 4180) that spreadsheets open as they are: no cell becomes a formula. Pure."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

OWN_FILES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How a spreadsheet's own files begin, which are no CSV: XLSX and ODS, and the XLS of before."""


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The rows below the columns' names, with an apostrophe before a text that a spreadsheet would take for a formula.

    Whole numbers stay numbers.
    """
    return "".join(lines(columns, rows))


def lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The same line by line, as the rows come."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        yield _taken(text)
        writer.writerow([harmless(each) for each in row])
    yield _taken(text)


def _taken(text: io.StringIO) -> str:
    found = text.getvalue()
    text.seek(0)
    text.truncate()
    return found


def harmless(value: object) -> object:
    """A cell that is no formula.

    A spreadsheet passes over space before a formula, and takes the wide signs of Chinese and Japanese for it too.
    """
    begins = isinstance(value, str) and _FORMULA.match(unicodedata.normalize("NFKC", value))
    return f"'{value}" if begins else value


_FORMULA = re.compile(r"\s*[=+@-]|[\t\r\n]")
