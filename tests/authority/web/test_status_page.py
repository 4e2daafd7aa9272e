"""The public's status page in a real Chromium: all well, then something down, on a phone and by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import axe
import pytest
from browser import CHROMIUM, Browser
from kwh_site import KwhSite, opened
from served import served

from authority.status.public import LOOK_SECONDS, SETTLE_SECONDS
from authority.store.leases import Lease

PARTS = ["Metering", "Settlement", "Market", "Log", "Chain"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[KwhSite]:
    with opened(tmp_path, epochs=2, members="ABCD", trades=True) as made:
        worker = made.campus.worker()
        for _ in range(2):
            made.campus.run_epoch(worker)
        yield made


def serve(site: KwhSite, *names: str) -> None:
    """These processes hold their leases, and no others."""
    now = site.campus.wall.seconds()
    with site.campus.app.store.write() as session:
        for name in ("collector", "settlement"):
            end = now + 10**6 if name in names else 0
            session.merge(Lease(name=name, owner="here", term=1, expires_at=end))


def later(site: KwhSite, seconds: int) -> None:
    """Time passes, and the pages' process looks."""
    site.campus.wall.go_to(site.campus.wall.seconds() + seconds)
    site.flask.extensions["status_board"].watch()


def shown(browser: Browser) -> list[list[str]]:
    """Each part of the page with its mark."""
    found: list[list[str]] = browser.evaluate(
        "[...document.querySelectorAll('[aria-labelledby=parts-title] li')]"
        ".map(each => [each.querySelector('strong').textContent, each.querySelector('.mark').textContent])"
    )
    return found


def focused(browser: Browser) -> str:
    return str(browser.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.href"))


def faults(browser: Browser, name: str) -> list[object]:
    """What axe finds in light and dark, on a phone and a screen; the page fits each."""
    found: list[object] = []
    for width, dark in axe.LOOKS:
        browser.emulate(width, 844, dark=dark)
        found += [(width, dark, fault) for fault in axe.faults(browser)]
        axe.picture(browser, f"status-{name}-{width}-{'dark' if dark else 'light'}")
    browser.emulate(390, 844)
    return found


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_all_is_well_then_something_is_down_on_a_phone_and_by_keyboard(site: KwhSite, tmp_path: Path) -> None:
    serve(site, "collector", "settlement")
    later(site, 0)
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        browser.emulate(390, 844)
        browser.open(f"{address}/status")
        assert {part: mark.split(",")[0] for part, mark in shown(browser)} == dict.fromkeys(PARTS, "works")
        assert "Everything works." in browser.evaluate("document.querySelector('.lead').textContent")
        assert "None is written down." in browser.evaluate("document.body.innerText")
        assert faults(browser, "well") == []

        serve(site, "collector")
        later(site, LOOK_SECONDS)
        later(site, SETTLE_SECONDS)
        later(site, LOOK_SECONDS)
        browser.open(f"{address}/status")
        assert "Something does not work." in browser.evaluate("document.querySelector('.lead').textContent")
        marks = {part: mark.split(",")[0] for part, mark in shown(browser)}
        assert (marks["Settlement"], marks["Chain"]) == ("does not work", "works")
        rows = browser.evaluate(
            "[...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
        )
        (settlement,) = (row for row in rows if row[2] == "Settlement")
        assert (settlement[1], settlement[3]) == ("still", "does not work")
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert faults(browser, "down") == []

        browser.tab_to("[aria-label='Table of incidents']")
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", "one sees where"
        browser.tab_to("footer a[href='/api/v1/status']")
        assert focused(browser).endswith("/api/v1/status")
        browser.tab_to("footer a[href='/docs']")
        browser.press("Enter")
        browser.until("location.pathname === '/docs' && document.readyState === 'complete'")
        assert [line for line in browser.messages if "404" not in line] == []
