"""Somebody who goes through the pages in a browser: counts clicks, typed characters and screens, and takes the time."""

from __future__ import annotations

import time
from typing import Any

from browser import Browser

PASTE = 2
"""Keystrokes of a paste."""


class Person:
    """A way through the pages. Every click waits for what it leads to."""

    def __init__(self, browser: Browser) -> None:
        self.browser, self.clicks, self.typed, self.start = browser, 0, 0, time.monotonic()
        self.screens = [browser.evaluate("location.pathname")]

    def click(self, selector: str, then: str) -> None:
        """Press what the selector matches, and wait until that is true of the page."""
        self.clicks += 1
        self.browser.evaluate(f"document.querySelector({selector!r}).click()")
        self.browser.until(f"document.readyState === 'complete' && ({then})")
        here = self.browser.evaluate("location.pathname")
        if here != self.screens[-1]:
            self.screens.append(here)

    def tick(self, selector: str) -> None:
        """Press a box or a choice, which leads nowhere."""
        self.click(selector, "true")

    def type(self, selector: str, text: str) -> None:
        """Type in the place of what is there."""
        self._put(selector, text)
        self.typed += len(text)

    def paste(self, selector: str, text: str) -> None:
        """Put a text from elsewhere in the place of what is there."""
        self._put(selector, text)
        self.typed += PASTE

    def _put(self, selector: str, text: str) -> None:
        self.browser.evaluate(f"document.querySelector({selector!r}).focus()")
        self.browser.evaluate("document.activeElement.select()")
        self.browser.write(text)

    def told(self) -> dict[str, Any]:
        """What it took."""
        seconds = round(time.monotonic() - self.start, 1)
        return {"clicks": self.clicks, "typed": self.typed, "screens": len(self.screens), "seconds": seconds}
