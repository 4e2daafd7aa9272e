"""A public page that stands: while the file HOME/page-stands is there, it stays as it was, and says why.

The file holds the sentence that the page shows. The demo makes it while it is paused; whoever asks the API is answered
as the page is.
"""

from __future__ import annotations

from pathlib import Path

from authority.home.errors import HomeConfigError
from edge_agent.wire.files import write_atomically

PAGE_NAME = "page-stands"


def words(home: Path) -> str | None:
    """Why the page stands; None where it does not. HomeConfigError where the file cannot be read."""
    try:
        return (home / PAGE_NAME).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise HomeConfigError(f"cannot read {home / PAGE_NAME}: {error}") from error


def stop_page(home: Path, sentence: str) -> None:
    """Have the page stand, from within a second on."""
    write_atomically(home / PAGE_NAME, f"{sentence}\n".encode(), durable=False)


def release_page(home: Path) -> None:
    """Have the page go on."""
    (home / PAGE_NAME).unlink(missing_ok=True)
