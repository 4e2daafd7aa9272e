"""What goes wrong on a line and is repaired: named in order, counted, and not kept forever."""

from __future__ import annotations

MOST_FAULTS = 1000
"""How many are remembered."""


class Faults(list[str]):
    """The newest MOST_FAULTS codes, the oldest first; `total` counts all that were ever appended."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def append(self, code: str) -> None:
        """Add one; of too many the oldest goes."""
        super().append(code)
        self.total += 1
        del self[:-MOST_FAULTS]

    def since(self, total: int) -> list[str]:
        """Those that were appended after the first `total`, as far as they are remembered."""
        return self[max(0, len(self) - (self.total - total)) :]

    def copy(self) -> Faults:
        """As it is now, for another thread."""
        made = Faults()
        made.extend(self)
        made.total = self.total
        return made
