"""Certificates of retirement on paper, and what their codes hold; test_bills.py has them checked by log and chain."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pypdf import PdfReader

from authority.billing.certificates import ON_PAPER, Certificate, Retired, number_of, on_paper, secret_of
from authority.language.reading import reading

WALLET, LINK = "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU", "https://energy.campus.example/certificates/17-abc"
CERTIFICATE = Certificate(
    bill=17, period=3, wallet=WALLET, starts_at=1_791_000_000, ends_at=1_793_678_400, issued_at=1_796_000_000,
    sha256="0" * 64, bill_log_index=207, wh=60_000, untold_wh=0, own_wh=40_000, bought_wh=21_000,
    retired=tuple(Retired(1_000, f"{n:02}" + "5" * 86, 300 + n) for n in range(60)),
)  # fmt: skip


def made(certificate: Certificate = CERTIFICATE, name: str = "Dormitory A") -> PdfReader:
    data = on_paper(certificate, name, "Engineering Department", ZoneInfo("Asia/Bangkok"), LINK)
    return PdfReader(io.BytesIO(data))


def text(reader: PdfReader) -> str:
    return "\n".join(page.extract_text() for page in reader.pages)


def test_a_certificate_says_how_much_for_when_from_what_and_where_it_is_checked() -> None:
    said = text(made())
    for words in (
        "Engineering Department", "Dormitory A", "60.000 kWh", "40.000 kWh", "21.000 kWh", WALLET, LINK,
        "A token does not say whose it was", "Asia/Bangkok", CERTIFICATE.retired[0].signature, "300",
        f"And {60 - ON_PAPER} more",
    ):  # fmt: skip
        assert words in said, words
    assert CERTIFICATE.retired[ON_PAPER].signature not in said
    assert "own wallet" not in said
    assert "5.000 kWh of it were retired by the member's own wallet" in text(
        made(replace(CERTIFICATE, untold_wh=5_000))
    )
    with reading("th"):
        assert text(made()) != said


def test_it_is_tagged_as_pdf_ua_asks() -> None:
    reader = made()
    root: Any = reader.trailer["/Root"]
    assert (root["/Lang"], root["/MarkInfo"]["/Marked"]) == ("en", True)
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()


@pytest.mark.parametrize("wrong", ["", "17", "-", "17-", "18", "\ud800", "9" * 30 + "-x", "٣-x"])
def test_a_code_is_the_departments_own_and_of_one_bill(wrong: str) -> None:
    key, other = os.urandom(32), os.urandom(32)
    assert number_of(key, secret_of(key, 17)) == 17
    assert number_of(other, secret_of(key, 17)) is None
    assert number_of(key, "18" + secret_of(key, 17)[2:]) is None
    assert number_of(key, wrong) is None
