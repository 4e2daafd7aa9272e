"""What changes on the open page: every element marked `data-live`, taken out of the rendered page and compared.

An element's content is part of it unless it holds other live elements, or ticks in the browser (`data-ticks`: ages and
the countdown, whose attributes say from when). Of its attributes those count that `data-attributes` names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser

Fragment = Mapping[str, str]
"""One live element: its content under `html`, and its attributes under their names."""

VOID = frozenset(("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"))
HTML = "html"
KEPT_EVENTS = 16
"""Events that are kept for further readers: those of a few views, in each language."""


class _Open:
    def __init__(self, tag: str, attributes: dict[str, str], start: int) -> None:
        self.tag, self.attributes, self.start = tag, attributes, start
        self.holds_live = False


class _Fragments(HTMLParser):
    """Reads a page of ours: every element is closed, and attributes have values."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self.found: dict[str, dict[str, str]] = {}
        self._page = page
        self._lines = [0]
        for line in page.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._stack: list[_Open] = []
        self.feed(page)
        self.close()

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            return
        attributes = {name: value or "" for name, value in attrs}
        if "data-live" in attributes:
            for above in self._stack:
                above.holds_live = True
        self._stack.append(_Open(tag, attributes, self._offset() + len(self.get_starttag_text() or "")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._end(self._stack.pop(), None)

    def handle_endtag(self, tag: str) -> None:
        element = self._stack.pop()
        if element.tag != tag:
            raise ValueError(f"</{tag}> closes <{element.tag}> in the page")
        self._end(element, self._offset())

    def _end(self, element: _Open, end: int | None) -> None:
        key = element.attributes.get("data-live")
        if key is None:
            return
        named = element.attributes.get("data-attributes", "").split()
        fragment = {name: element.attributes[name] for name in named}
        if end is not None and not element.holds_live and "data-ticks" not in element.attributes:
            fragment[HTML] = self._page[element.start : end]
        if key in self.found:
            raise ValueError(f"two elements of the page are {key!r}")
        self.found[key] = fragment


def fragments(page: str) -> dict[str, dict[str, str]]:
    """The page's live elements by their keys. ValueError where the page is not well formed."""
    return _Fragments(page).found


def changes(before: Mapping[str, Fragment] | None, after: Mapping[str, Fragment]) -> dict[str, dict[str, str]] | None:
    """What a reader of `before` has to change to see `after`; everything where it is not known what the reader sees.

    None where the elements themselves are others: the page has to be fetched again.
    """
    if before is None:
        return {key: dict(fragment) for key, fragment in after.items()}
    if before.keys() != after.keys():
        return None
    changed = {
        key: {name: value for name, value in fragment.items() if before[key].get(name) != value}
        for key, fragment in after.items()
        if before[key] != fragment
    }
    return changed


class Told:
    """Events from one view to the next, each made once however many readers it goes to."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], tuple[Mapping[str, Fragment] | None, Mapping[str, Fragment], str]] = {}

    def event(self, before: Mapping[str, Fragment] | None, after: Mapping[str, Fragment], time: int) -> str:
        """What a reader of `before` is told; empty where nothing changed for it."""
        known = self._made.get((id(before), id(after)))
        if known is not None and known[0] is before and known[1] is after:
            return known[2]
        text = _event(before, after, time)
        if len(self._made) >= KEPT_EVENTS:
            self._made = {}
        self._made[id(before), id(after)] = before, after, text
        return text


def _event(before: Mapping[str, Fragment] | None, after: Mapping[str, Fragment], time: int) -> str:
    changed = changes(before, after)
    if changed is None:
        return f'event: page\ndata: {{"time":{time}}}\n\n'
    if not changed:
        return ""
    data = json.dumps({"time": time, "changed": changed}, separators=(",", ":"), ensure_ascii=False)
    return f"event: figures\nid: {time}\ndata: {data}\n\n"


def events(views: Iterator[tuple[int, Mapping[str, Fragment]] | None], told: Told) -> Iterator[str]:
    """Server-sent events for one reader: `figures` with what changed, `page` where it must be fetched again, `beat`.

    views gives (time of the view, its fragments), or None for a heartbeat.
    """
    shown: Mapping[str, Fragment] | None = None
    for view in views:
        if view is None:
            yield "event: beat\ndata: {}\n\n"
            continue
        time, after = view
        if text := told.event(shown, after, time):
            yield text
        shown = after
