"""axe-core in a real browser: what is wrong with a page for who sees, hears or moves otherwise; pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SOURCE = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RUN = """(async () => {
  const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await axe.run(document, {runOnly: rules});
  const told = each => `${each.id}: ${each.nodes.map(node => node.target.join(" ")).join(", ")}`;
  return {wrong: found.violations.map(told), unsure: found.incomplete.map(told), checks: found.passes.length};
})()"""


LOOKS = tuple((width, dark) for width in (390, 1280) for dark in (False, True))
"""Width, and whether dark."""


def looks(place: int) -> tuple[tuple[int, bool], ...]:
    """The looks in which the page at this place of a list is judged: one after the other, with CAMPUS_PICTURES all."""
    return LOOKS if os.environ.get("CAMPUS_PICTURES") else (LOOKS[place % len(LOOKS)],)


def faults(browser: Any) -> list[str]:
    """Violations, what axe is not sure of, and whether the open page is wider than the screen."""
    browser.evaluate(SOURCE + ";null")
    found = browser.evaluate(RUN)
    assert found["checks"] > 5, (browser.evaluate("location.href"), found)  # the least is a page that says one sentence
    return [*found["wrong"], *found["unsure"], *(["wider than the screen"] if is_wide(browser) else [])]


def is_wide(browser: Any) -> bool:
    """Whether the open page is wider than the screen."""
    return not browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def picture(browser: Any, name: str) -> None:
    """A picture of the open page, where CAMPUS_PICTURES names a directory."""
    directory = os.environ.get("CAMPUS_PICTURES")
    if directory:
        Path(directory).mkdir(parents=True, exist_ok=True)
        browser.picture(Path(directory) / f"{name}.png")
