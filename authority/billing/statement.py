"""A bank's account statement as CSV: payments, line by line, whatever the bank calls its columns. Pure.

The layout says which column is which: `id` (the bank's own id of the payment), `date`, `amount` (or `in` and `out`),
`text` (several are joined) and `currency`. What stands before the line of the columns' names is passed over. A file
with a line that cannot be read is refused as a whole, and every such line is named.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime

from authority.billing import spreadsheet
from authority.billing.errors import StatementInvalidError
from authority.billing.money import MICRO_DIGITS, Currency
from authority.home.settings import BillingSettings

MOST_BYTES = 16 * 1024 * 1024
MOST_TOLD = 10
MAX_UNITS = 10**12
"""An amount that no campus is paid; it also keeps sums within 2^63."""
GROUP = 3
"""How many digits stand between two marks that group them."""
DATES = (
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), "%Y-%m-%d"),
    (re.compile(r"[0-9]{8}"), "%Y%m%d"),
    (re.compile(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}"), "%d.%m.%Y"),
    (re.compile(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{2}"), "%d.%m.%y"),
)
"""The forms of dates that need no setting, because each can be read in one way only."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a statement's columns are called: (what, the bank's name) pairs. Where decimal or date_format is empty, it
    is taken from the amount or the date itself.
    """

    columns: tuple[tuple[str, str], ...]
    currency: Currency
    decimal: str = ""
    date_format: str = ""

    @classmethod
    def of(cls, settings: BillingSettings) -> Layout:
        """That of authority.toml; BillingError `currency_unset`."""
        columns = [column.partition("=") for column in settings.statement_columns]
        return cls(
            tuple((what, name) for what, _, name in columns),
            Currency.required(settings),
            settings.statement_decimal,
            settings.statement_date,
        )

    def named(self, what: str) -> list[str]:
        """The bank's names of a kind of column, as they are compared."""
        return [_column(name) for kind, name in self.columns if kind == what]


@dataclass(frozen=True, slots=True)
class Payment:
    """A line of a statement: its number in the file, what tells it from every other, and what it says.

    amount is micro-credits, negative where the department paid; currency is what the line says, empty where nothing.
    """

    line: int
    key: bytes
    booked_on: date
    amount: int
    text: str
    currency: str = ""


def decoded(data: bytes) -> str:
    """A file's text: UTF-8, a spreadsheet's UTF-16, or the Windows code page that many banks still write.

    StatementInvalidError.
    """
    if len(data) > MOST_BYTES:
        raise StatementInvalidError(f"the file is larger than {MOST_BYTES // 1024**2} MiB: export fewer days")
    if not data.strip():
        raise StatementInvalidError("this file is empty: choose the one that has the statement")
    if data.startswith((*spreadsheet.OWN_FILES, b"%PDF")):
        raise StatementInvalidError("this is a spreadsheet's or a printer's file: have the bank's pages save it as CSV")
    marked_as = ("utf-16",) if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ()
    for encoding in (*marked_as, "utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise StatementInvalidError("the file is neither UTF-8 nor Windows-1252: save it as CSV in UTF-8")


def parse(text: str, layout: Layout) -> list[Payment]:
    """The payments of a statement, in its order; StatementInvalidError names each line that cannot be read."""
    names, rows = _table(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"), layout)
    wrong: list[str] = []
    payments: list[Payment] = []
    seen: Counter[tuple[str, ...]] = Counter()
    by_id: dict[str, tuple[int, tuple[str, ...]]] = {}
    for line, cells in rows:
        try:
            if len(cells) != len(names):
                raise StatementInvalidError(f"it has {len(cells)} columns, and the first line {len(names)}")
            cell = {name: " ".join(value.split()) for name, value in zip(names, cells, strict=True)}
            payment = _payment(line, cell, layout, seen, by_id)
        except StatementInvalidError as error:
            wrong.append(f"line {line}: {error}")
        else:
            payments += [payment] if payment is not None else []
    if wrong:
        more = [f"and {len(wrong) - MOST_TOLD} more"] if len(wrong) > MOST_TOLD else []
        raise StatementInvalidError("; ".join(wrong[:MOST_TOLD] + more))
    if not payments:
        raise StatementInvalidError("the file has no payments")
    return payments


def _column(name: str) -> str:
    return " ".join(name.split()).casefold()


def _table(text: str, layout: Layout) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The columns' names, and the rows below them by the numbers of their lines in the file."""
    wanted = {_column(name) for _, name in layout.columns}
    for delimiter in ";,\t|":
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names: list[str] = []
        rows: list[tuple[int, list[str]]] = []
        try:
            begins = 1
            for cells in reader:
                if names and any(cell.strip() for cell in cells):
                    rows.append((begins, cells))
                elif not names and wanted <= {_column(cell) for cell in cells}:
                    names = [_column(cell) for cell in cells]
                begins = reader.line_num + 1
        except csv.Error as error:
            if names:
                raise StatementInvalidError(f"line {reader.line_num} cannot be read as CSV: {error}") from error
            continue
        if names and all(names.count(each) == 1 for each in wanted):
            return names, rows
        if names:
            raise StatementInvalidError(
                "two columns of the file have one name of [billing] statement_columns: rename one, or name another"
            )
    told = ", ".join(repr(name) for _, name in layout.columns)
    raise StatementInvalidError(
        f"no line names the columns {told}: say in [billing] statement_columns what your bank calls them"
    )


def _payment(
    line: int,
    cell: dict[str, str],
    layout: Layout,
    seen: Counter[tuple[str, ...]],
    by_id: dict[str, tuple[int, tuple[str, ...]]],
) -> Payment | None:
    """The payment of a line; None where an earlier line has the same id and says the same."""
    values = {what: [cell[name] for name in layout.named(what)] for what in ("id", "date", "text", "currency")}
    booked_on = _date(values["date"][0], layout.date_format)
    amount = _amount(cell, layout)
    text, currency = " ".join(values["text"]), "".join(values["currency"]).upper()
    said = (booked_on.isoformat(), str(amount), currency, text)
    bank_id = "".join(values["id"])
    if layout.named("id"):
        if not bank_id:
            raise StatementInvalidError("the bank's id is empty")
        known = by_id.setdefault(bank_id, (line, said))
        if known[1] != said:
            raise StatementInvalidError(f"the bank's id {bank_id!r} stands in line {known[0]} too, with other contents")
        if known[0] != line:
            return None
        key = _key("id", bank_id)
    else:
        seen[said] += 1  # two payments may say the same
        key = _key("line", *said, str(seen[said]))
    return Payment(line, key, booked_on, amount, text, currency)


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def _date(text: str, date_format: str) -> date:
    wanted = date_format or next((form for pattern, form in DATES if pattern.fullmatch(text)), "")
    if not wanted:
        raise StatementInvalidError(
            f"{text!r} is not a date such as 2026-11-28 or 28.11.2026: say its form in [billing] statement_date"
        )
    try:
        return datetime.strptime(text, wanted).date()  # noqa: DTZ007 - a date has no zone
    except ValueError as error:
        raise StatementInvalidError(f"{text!r} is not a date of the form {wanted}") from error


def _amount(cell: dict[str, str], layout: Layout) -> int:
    (single, received, sent) = (layout.named(what) for what in ("amount", "in", "out"))
    if single:
        return amount_of(cell[single[0]], layout.currency, layout.decimal)
    came, went = (
        amount_of(cell[names[0]], layout.currency, layout.decimal) if names and cell[names[0]] else 0
        for names in (received, sent)
    )
    if came and went:
        raise StatementInvalidError("it has an amount that came in and one that went out")
    return came - abs(went)


def amount_of(text: str, currency: Currency, decimal: str = "") -> int:
    """A bank's amount in micro-credits, with decimal comma or point, grouped or not; StatementInvalidError.

    decimal is the sign before the decimals. Where it is empty it is seen from the amount, and one that can be read in
    two ways, such as 1.234, is refused.
    """
    said = text.replace("\N{MINUS SIGN}", "-").removesuffix(currency.code).removeprefix(currency.code)
    said = re.sub(r"[\s'\N{RIGHT SINGLE QUOTATION MARK}\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}]", "", said)
    match = re.fullmatch(r"([+-]?)([0-9][0-9.,]*)([+-]?)", said)
    if match is None or (match[1] and match[3]):
        raise StatementInvalidError(f"{text!r} is not an amount such as 1234.50 or 1.234,50")
    mark = decimal or _decimal(match[2], currency.digits, text)
    whole, _, rest = match[2].partition(mark) if mark else (match[2], "", "")
    group = "," if mark == "." else "."
    groups = [whole] if mark and group not in whole else re.split("[.,]", whole)
    sound = len(groups) == 1 or (1 <= len(groups[0]) <= GROUP and all(len(each) == GROUP for each in groups[1:]))
    rest = rest.rstrip("0")
    if not sound or not "".join(groups).isdigit() or (rest and not rest.isdigit()) or len(rest) > currency.digits:
        raise StatementInvalidError(f"{text!r} is not an amount with at most {currency.digits} decimals")
    units = int("".join(groups))
    if units > MAX_UNITS:
        raise StatementInvalidError(f"{text!r} is more than {MAX_UNITS}")
    amount: int = units * 10**MICRO_DIGITS + int(rest.ljust(MICRO_DIGITS, "0"))
    return -amount if "-" in (match[1], match[3]) else amount


def _decimal(digits: str, places: int, text: str) -> str:
    """The sign before the decimals; empty where there are none."""
    marks = [each for each in digits if each in ".,"]
    if len(set(marks)) > 1:
        return marks[-1]
    if len(marks) != 1:
        return ""
    after = len(digits) - digits.index(marks[0]) - 1
    if after == GROUP and places:
        raise StatementInvalidError(
            f"{text!r} can be read in two ways: say in [billing] statement_decimal whether decimals follow , or ."
        )
    return "" if after == GROUP else marks[0]
