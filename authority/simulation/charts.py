"""A page of charts as SVG: axes with round numbers, step lines, bars and dots, set down where the caller says.

Coordinates are pixels from the page's upper left corner. The same calls give the same bytes. The colours can be told
apart by readers who see few of them (Okabe and Ito, "Color Universal Design", 2008).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

INK, SOFT, GRID, PAPER = "#1a1a1a", "#595959", "#dcdcdc", "#ffffff"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
FONT = "'Libertinus Serif', 'Times New Roman', serif"
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)

Step = tuple[float, float, float | None]
"""From, to, and the value between them; None where there is none."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from low to high between two pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers that span low to high, at most so many steps of 1, 2, 2.5 or 5 times a power of ten."""
    if high <= low:
        high = low + 1.0
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in NICE if each * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def label(value: float) -> str:
    """A tick's number, as short as it is."""
    text = f"{value:,.4f}".rstrip("0").rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}") if value else "0"


@dataclass
class Page:
    """What is drawn so far."""

    width: int
    height: int
    _parts: list[str] = field(default_factory=list)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 12,
        anchor: str = "start",
        colour: str = INK,
        bold: bool = False,
    ) -> None:
        """A line of text; x is its start, middle or end, y its baseline."""
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"{weight}>'
            f"{escape(text)}</text>"
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str = GRID, width: float = 1, dashes: str = ""
    ) -> None:
        """A straight line."""
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._parts.append(
            f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" stroke-width="{width}"{dashed}/>'
        )

    def rect(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle; a negative width or height goes the other way."""
        x, y = min(x, x + width), min(y, y + height)
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{abs(width):.1f}" height="{abs(height):.1f}" fill="{colour}"/>'
        )

    def dot(self, x: float, y: float, colour: str, *, hollow: bool = False, radius: float = 3.5) -> None:
        """A dot, or a ring."""
        fill = PAPER if hollow else colour
        self._parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{colour}" stroke-width="1.2"/>'
        )

    def steps(
        self, steps: Iterable[Step], x: Axis, y: Axis, colour: str, *, width: float = 1.2, dashes: str = ""
    ) -> None:
        """A line that keeps a value through each step; it breaks where there is none."""
        path: list[str] = []
        held: float | None = None
        for start, end, value in steps:
            if value is not None:
                move = f"M{x.at(start):.1f} {y.at(value):.1f}" if held is None else f"V{y.at(value):.1f}"
                path.append(f"{move}H{x.at(end):.1f}")
            held = value
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        if path:
            self._parts.append(
                f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>'
            )

    def area(self, steps: Iterable[Step], x: Axis, y: Axis, colour: str) -> None:
        """What lies between a step line and zero, filled."""
        zero = y.at(0.0)
        path = [
            f"M{x.at(start):.1f} {zero:.1f}V{y.at(value):.1f}H{x.at(end):.1f}V{zero:.1f}Z"
            for start, end, value in steps
            if value
        ]
        if path:
            self._parts.append(f'<path d="{"".join(path)}" fill="{colour}"/>')

    def scale(self, y: Axis, numbers: Sequence[float], left: float, right: float) -> None:
        """Lines across, with their numbers at the left."""
        for number in numbers:
            self.line(left, y.at(number), right, y.at(number), SOFT if number == 0 else GRID)
            self.text(left - 8, y.at(number) + 4, label(number), anchor="end", colour=SOFT)

    def svg(self, title: str, description: str) -> str:
        """The page as a document of its own."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" font-family="{FONT}" fill="none">\n'
            f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>\n"
            f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )
