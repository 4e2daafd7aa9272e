"""Somebody who goes through the pages in a browser: counts clicks, keys, typed characters and screens, and the time."""

from __future__ import annotations

import time
from typing import Any

from browser import Browser

PASTE = 2
"""Keystrokes of a paste."""
MOST_STOPS = 1_500
"""Tab stops after which somebody at the keyboard gives up."""
LOOK = """(() => {
  const at = document.activeElement, before = window.__stop;
  window.__stop = at;
  if (at === null || at === document.body || at === document.documentElement) return {nowhere: true};
  const style = getComputedStyle(at), box = at.getBoundingClientRect();
  const left = Math.max(box.left, 0), right = Math.min(box.right, innerWidth);
  const top = Math.max(box.top, 0), bottom = Math.min(box.bottom, innerHeight);
  const seen = (x, y) => {
    const over = document.elementFromPoint(x, y);
    return over !== null && (at.contains(over) || over.contains(at) || [...(at.labels || [])].includes(over));
  };
  const shares = [0.5, 0.1, 0.9], points = shares.flatMap(a => shares.map(b => [a, b]));
  const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
  return {
    trapped: at === before,
    marked: outlined || style.boxShadow !== 'none',
    uncovered: right > left && bottom > top
      && points.some(([a, b]) => seen(left + a * (right - left), top + b * (bottom - top))),
    what: at.outerHTML.replace(/\\s+/g, ' ').slice(0, 120),
  };
})()"""
"""Where the focus is: whether it moved, whether one sees it, and whether something lies over it."""


class Person:
    """A way through the pages by a pointer. Every click waits for what it leads to.

    waited: seconds that the machine took for what was pressed, of all that went by.
    """

    def __init__(self, browser: Browser) -> None:
        self.browser, self.clicks, self.keys, self.typed, self.start = browser, 0, 0, 0, time.monotonic()
        self.waited = 0.0
        self.faults: list[str] = []
        self.screens = [browser.evaluate("location.pathname")]

    def click(self, selector: str, then: str) -> None:
        """Press what the selector matches, and wait until that is true of the page."""
        self.clicks += 1
        self._press(selector)
        self.wait_for(then)

    def wait_for(self, then: str) -> None:
        """Wait until something is true of the page that the machine brings."""
        began = time.monotonic()
        self.browser.until(f"document.readyState === 'complete' && ({then})")
        self.waited += time.monotonic() - began
        here = self.browser.evaluate("location.pathname")
        if here != self.screens[-1]:
            self.screens.append(here)

    def tick(self, selector: str) -> None:
        """Press a box or a choice, which leads nowhere."""
        self.click(selector, f"document.querySelector({selector!r}).checked")

    def type(self, selector: str, text: str) -> None:
        """Type in the place of what is there."""
        self._clear(selector)
        self.browser.type(text)
        self.typed += len(text)

    def paste(self, selector: str, text: str) -> None:
        """Put a text from elsewhere in the place of what is there."""
        self._clear(selector)
        self.browser.write(text)
        self.typed += PASTE

    def _press(self, selector: str) -> None:
        self.browser.evaluate(f"document.querySelector({selector!r}).click()")

    def _clear(self, selector: str) -> None:
        self.browser.evaluate(f"document.querySelector({selector!r}).focus()")
        self.browser.evaluate("document.activeElement.select()")

    def told(self) -> dict[str, Any]:
        """What it took."""
        return {
            "clicks": self.clicks,
            "typed": self.typed,
            "screens": len(self.screens),
            "seconds": round(time.monotonic() - self.start, 1),
            "waited_seconds": round(self.waited, 1),
        }


class PersonAtTheKeyboard(Person):
    """The same by keys alone: Tab, Enter, Space, arrows and typing.

    faults: where the focus could not be seen, or something lay over it. AssertionError where it is caught, or where no
    key reaches what is wanted.
    """

    def _press(self, selector: str) -> None:
        self._go_to(selector)
        kind = self.browser.evaluate("document.activeElement.type || ''")
        if kind != "radio":  # the arrows chose it already
            self._key(" " if kind == "checkbox" else "Enter")
        elif not self.browser.evaluate("document.activeElement.checked"):
            self._key(" ")

    def _clear(self, selector: str) -> None:
        self._go_to(selector)
        self._key("Control+a")

    def _key(self, name: str) -> None:
        self.browser.press(name)
        self.keys += 1

    def _go_to(self, selector: str) -> None:
        """Move the focus there, past the head of the page where that is not in it, forwards or back."""
        target = f"document.querySelector({selector!r})"
        reached = f"document.activeElement === {target}"
        assert self.browser.evaluate(f"{target} !== null"), f"there is no {selector}"
        self.browser.evaluate("(window.__stop = document.activeElement) && null")
        if self.browser.evaluate(
            "document.activeElement === document.body && location.hash === ''"
            f" && {target}.closest('#content') !== null && document.querySelector('.skip') !== null"
        ):
            self._stop("Tab")
            if self.browser.evaluate("document.activeElement.matches('.skip')"):
                self._key("Enter")
        behind = f"{target}.compareDocumentPosition(document.activeElement) & Node.DOCUMENT_POSITION_FOLLOWING"
        back = self.browser.evaluate(f"document.activeElement !== document.body && Boolean({behind})")
        group = f"document.activeElement.name === {target}.name && {target}.type === 'radio'"
        for _ in range(MOST_STOPS):
            if self.browser.evaluate(reached):
                return
            in_group = self.browser.evaluate(f"document.activeElement.type === 'radio' && {group}")
            self._stop("ArrowDown" if in_group else "Shift+Tab" if back else "Tab")
        raise AssertionError(f"the keyboard never reaches {selector} of {self.screens[-1]}")

    def _stop(self, key: str) -> None:
        """One stop of the focus, looked at."""
        self._key(key)
        here = self.browser.evaluate(LOOK)
        if "nowhere" in here:
            return
        assert not here["trapped"], f"{key} does not leave {here['what']} of {self.screens[-1]}"
        for fault in ("marked", "uncovered"):
            if not here[fault]:
                self.faults.append(f"{self.screens[-1]}: not {fault}: {here['what']}")

    def told(self) -> dict[str, Any]:
        """What it took; clicks are what was pressed, by whichever key."""
        return super().told() | {"keys": self.keys, "faults": sorted(set(self.faults))}
