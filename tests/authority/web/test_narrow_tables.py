"""Tables on a phone: a bill's lines fit without being pushed aside; long lists are counted and not read whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Browser
from people_site import PeopleSite, build
from served import served

from authority.app import App
from authority.collector import held
from authority.people.roles import MEMBER, OPERATOR

NARROW = """[...document.querySelectorAll(".scroll")].map(each => each.scrollWidth - each.clientWidth)"""


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
@pytest.mark.parametrize("language", ["en", "th"])
def test_a_bills_lines_fit_a_phone(app: App, sample_month: Any, tmp_path: Path, language: str) -> None:
    site = build(app)
    sample_month(site)
    text = site.client(MEMBER).get("/me/bills/1").text
    table = text.partition("<table>")[2].partition("</table>")[0]
    assert "kWh</th>" in table
    assert " kWh</td>" not in table
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        browser.sign_in(site.cookies[MEMBER], address)
        browser.emulate(390, 844, dark=False)
        browser.open(f"{address}/language?language={language}&next=/me/bills/1")
        browser.open(f"{address}/me/bills/1")
        assert browser.evaluate(NARROW) == [0]


def test_the_page_of_held_readings_reads_one_page_of_them(operated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site: PeopleSite = operated
    asked: list[int | None] = []
    real = held.held

    def reading(session: Any, chosen: Any = None, most: int | None = None) -> Any:
        asked.append(most)
        return real(session, chosen or held.Chosen(), most)

    monkeypatch.setattr(held, "held", reading)
    page = site.client(OPERATOR).get("/op/held").text
    assert "1 reading waits for a decision" in page or "readings wait for a decision" in page
    assert asked
    assert None not in asked
