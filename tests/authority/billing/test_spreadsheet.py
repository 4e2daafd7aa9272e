"""Tables for spreadsheets: whatever somebody calls itself, no cell is a formula."""

import csv
import io

import pytest

from authority.billing.spreadsheet import table


def cell(value):
    return next(csv.reader(io.StringIO(table(("holder",), [[value]]).partition("\r\n")[2])))[0]


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\N{NO-BREAK SPACE}=1"),
        *(f"{sign}1" for sign in "\uff1d\uff0b\uff0d\uff20"),
        "\N{IDEOGRAPHIC SPACE}\N{FULLWIDTH EQUALS SIGN}cmd",
    ],
)
def test_a_text_that_a_spreadsheet_takes_for_a_formula_is_a_text(text):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["Anna", "", " ", "DE02 1203", "a=b", "สมชาย", -5, 0, None])
def test_anything_else_stays_as_it_is(value):
    assert cell(value) == ("" if value is None else str(value))
