"""A home's time: the machine's, but in a home whose clock stands, as a simulation leaves it.

The file HOME/clock-stands-at holds Unix seconds. Whoever looks at such a home later, with the pages or the audit, sees
it as it was then; nothing goes on in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from authority.home.errors import HomeConfigError
from edge_agent.wire.files import write_atomically

CLOCK_NAME = "clock-stands-at"


def clock_of(home: Path) -> Callable[[], float]:
    """What tells the time in a home, Unix seconds. HomeConfigError where the file is not a number."""
    try:
        text = (home / CLOCK_NAME).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        return time.time
    except (OSError, UnicodeDecodeError) as error:
        raise HomeConfigError(f"cannot read {home / CLOCK_NAME}: {error}") from error
    try:
        stands_at = float(int(text))
    except ValueError as error:
        raise HomeConfigError(f"{home / CLOCK_NAME} should hold whole Unix seconds, not {text[:32]!r}") from error
    return lambda: stands_at


def stop_clock(home: Path, moment: int) -> None:
    """Have a home's clock stand at a moment, Unix seconds, from the next start of each process on."""
    write_atomically(home / CLOCK_NAME, f"{moment}\n".encode())
