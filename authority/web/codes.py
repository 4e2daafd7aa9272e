"""QR codes as drawings inside a page."""

from __future__ import annotations

import segno
from markupsafe import Markup


def qr(text: str) -> Markup:
    """A text as a QR code, black on white, as wide as the place where it stands."""
    drawn: str = segno.make(text, error="m").svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=True)
    return Markup(drawn)  # noqa: S704 - paths and figures of segno's, none of the text
