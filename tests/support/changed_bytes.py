"""Every byte of every part of a proof changed in turn, as the page's own script checks it in the browser."""

from __future__ import annotations

from collections.abc import Iterator

from browser import Browser

AT_ONCE = 32
"""Checks in one question to the browser, which waits a minute for the answer on the slowest machine."""


def outcomes(browser: Browser, module: str, part: str, size: int) -> Iterator[tuple[int, set[str], set[str]]]:
    """For each place of a part of window.proof: the steps that fail with that byte changed, and those not reached.

    module is the script with `check` and `changed`.
    """
    for first in range(0, size, AT_ONCE):
        places = list(range(first, min(first + AT_ONCE, size)))
        told = browser.evaluate(
            f"import({module!r}).then(kind => Promise.all({places}.map(async at => "
            f"(await kind.check(kind.changed(window.proof, {part!r}, at))).map(each => [each.id, each.state]))))"
        )
        for at, states in zip(places, told, strict=True):
            yield (
                at,
                {name for name, state in states if state == "fails"},
                {name for name, state in states if state == "not reached"},
            )
