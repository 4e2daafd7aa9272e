"""A bill on paper: every amount is the document's, the PDF is tagged and says what it is, and any name can be set."""

from __future__ import annotations

import hashlib
import io
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from authority.billing import paper
from authority.billing.bill import KINDS, Bill, Line
from authority.billing.errors import BillChangedError
from authority.billing.money import reference_of, spaced
from authority.figures import credits, credits_per_kwh, kilowatt_hours
from authority.home.settings import BillingSettings
from authority.store.billing import IssuedBill

WALLET = "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU"
MONEY = st.integers(-(2**63) + 1, 2**63 - 1)


def issued(lines, number=17):
    bill = Bill(WALLET, 3, 1_990_000, 1_992_976, 900, tuple(lines), 0)
    document = bill.document(number, bytes(16))
    return IssuedBill(
        number=number, period=3, wallet=WALLET, document=document, sha256=hashlib.sha256(document).digest(),
        due=bill.due, log_index=207, issued_at=1_796_000_000,
    )  # fmt: skip


BAHT, EUROS = BillingSettings(currency="THB"), BillingSettings(currency="EUR", iban="DE89370400440532013000")


def made(bill, name="Dormitory A", billing=BAHT):
    return paper.bill_pdf(bill, name, "Engineering Department", ZoneInfo("Asia/Bangkok"), billing)


def read(pdf):
    """The text of all pages, spaces as they are set."""
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


@st.composite
def a_line(draw):
    kind = draw(st.sampled_from(KINDS))
    late = draw(st.integers(0, 2)) if kind in ("late_withdrawal", "remainder") else None
    corrects = {"bill": 12, "of_line": 3, "reason": "the lift"} if kind == "correction" else {}
    price = draw(st.none() | st.integers(0, 2**32 - 1))
    wh, amount = draw(st.integers(-(2**40), 2**40)), draw(MONEY)
    return Line(kind, wh, price, amount, paid=draw(st.booleans()), of_period=late, **corrects)


@settings(max_examples=40, deadline=None)
@given(st.lists(a_line(), min_size=1, max_size=60))
def test_every_figure_of_the_document_stands_on_the_paper_in_its_line(lines):
    bill = issued(lines)
    rows = read(made(bill)).split("\nLine For Energy Credits per kWh Credits\n", 1)[1]
    place = 0
    for number, line in enumerate(lines, 1):
        for figure in (
            str(number),
            kilowatt_hours(line.wh) if line.wh else "",
            credits_per_kwh(line.price) if line.price is not None else "",
            credits(line.amount) if line.amount else "",
        ):
            place = rows.index(figure, place) + len(figure)
    assert f"Due {credits(bill.due)}\n" in rows[place:]


def test_it_says_whom_it_is_for_what_is_due_and_how_it_is_checked():
    bill = issued([Line("remainder", 21_200, 300_000, 6_360_000), Line("sold", 12_000, None, -2_400_001, paid=True)])
    text = read(made(bill))
    for words in (
        "Engineering Department",
        "Dormitory A",
        f"{credits(6_360_000)} credits to pay",
        f"{credits(-2_400_001)} credits moved already",
        f"By bank please pay 6.36 THB, with the reference {spaced(reference_of(bytes(16), 17))}",
        "3 October 2026, 11:00 to 3 November 2026, 11:00 (Asia/Bangkok)",
        WALLET,
        "entry 207 of the department's log",
        bill.sha256.hex(),
    ):
        assert words in text
    text = read(made(issued([Line("correction", amount=-5, bill=1, of_line=1)])))
    assert f"{credits(5)} credits are paid to you" in text
    assert "By bank you get 0.01 THB" in text


def test_it_is_tagged_as_pdf_ua_asks():
    """Title, language, marks and a tree of them: headings, and a table whose header cells have a scope."""
    reader = PdfReader(io.BytesIO(made(issued([Line("remainder", 21_200, 300_000, 6_360_000)] * 80))))
    assert len(reader.pages) > 1
    root = reader.trailer["/Root"]
    assert (root["/Lang"], root["/MarkInfo"]["/Marked"]) == ("en", True)
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert reader.metadata.title == "Bill 17"
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()
    found = [each for each in elements(reader) if "/S" in each]
    tags, scopes = [each["/S"] for each in found], set()
    for each in found:
        attributes = each.get("/A", {})
        attributes = attributes if isinstance(attributes, list) else [attributes]
        scopes.update(its.get("/Scope") for its in attributes if each["/S"] == "/TH")
    assert {"/Document", "/H1", "/H2", "/Table", "/THead", "/TBody", "/TR", "/TH", "/TD", "/L"} <= set(tags)
    assert tags.count("/TR") == 82
    assert scopes == {"/Column"}
    for page in reader.pages:
        assert page["/Tabs"] == "/S"
        for font in page["/Resources"]["/Font"].values():
            (descendant,) = font["/DescendantFonts"]
            descriptor = descendant["/FontDescriptor"]
            assert {"/FontFile2", "/FontFile3"} & set(descriptor), "every font is in the file"
            assert "/ToUnicode" in font


@pytest.mark.parametrize(
    "name",
    ['#[*x*] $y$ "\\', "\N{MATHEMATICAL DOUBLE-STRUCK CAPITAL A}\U000f0000", "a\x00b\x1f\u202ec", "ดร. สมชาย", "李"],
)
def test_any_name_can_be_set_and_is_never_read_as_markup(name):
    text = read(made(issued([Line("remainder", 1, 300_000, 300)]), name))
    assert credits(300) in text
    if name.isascii() and name.isprintable():
        assert name in text


def test_the_same_bill_is_the_same_file_and_a_changed_one_is_none():
    bill = issued([Line("remainder", 21_200, 300_000, 6_360_000)])
    assert made(bill) == made(bill)
    bill.document = bill.document.replace(b"6360000", b"6360001")
    with pytest.raises(BillChangedError):
        made(bill)


def test_a_bill_in_euros_has_a_code_to_scan_with_words_in_its_place():
    bill = issued([Line("remainder", 21_200, 300_000, 6_360_000)])
    pdf = made(bill, billing=EUROS)
    text = " ".join(read(pdf).split())
    assert "By bank please pay 6.36 EUR" in text
    assert "A banking app that scans this SEPA code has it all filled in" in text
    assert "DE89 3704 0044 0532 0130 00" in text
    reader = PdfReader(io.BytesIO(pdf))
    assert b"<pdfuaid:part>1</pdfuaid:part>" in reader.trailer["/Root"]["/Metadata"].get_data()
    assert [each for each in elements(reader) if each.get("/S") == "/Figure" and "SEPA code" in str(each.get("/Alt"))]


@pytest.mark.parametrize("billing", [BAHT, BillingSettings(currency="EUR")], ids=["no biller", "no account"])
def test_a_bill_that_no_code_serves_has_none(billing):
    reader = PdfReader(io.BytesIO(made(issued([Line("remainder", 21_200, 300_000, 6_360_000)]), billing=billing)))
    assert not [each for each in elements(reader) if each.get("/S") == "/Figure"]


def elements(reader):
    """All elements of the tree of tags."""
    found = []

    def walk(element):
        element = element.get_object() if hasattr(element, "get_object") else element
        if isinstance(element, list):
            for each in element:
                walk(each)
        elif isinstance(element, dict):
            found.append(element)
            walk(element.get("/K", []))

    walk(reader.trailer["/Root"]["/StructTreeRoot"])
    return found
