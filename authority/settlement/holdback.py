"""Which readings may go to the chain now, so that no boundary is passed over that a user could still settle.

The chain keeps one standing reading per meter, and settles a user where all its settling meters stand at the same
boundary. A newer reading that went too early would carry its meter past that boundary: the tokens would not be lost
(registers are cumulative), but come only with the next common boundary. So a reading waits while an older boundary
may still be completed. It is released when the older one is settled, or when another meter's next record shows that
this meter has none there. No lapse of time releases it: a late meter widens nothing that others could have had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeterQueue:
    """One settling meter: where it stands on the chain, and what waits behind that.

    standing is the interval end (Unix seconds) of the last reading that the chain accepted, None before the first;
    waiting are the interval ends of accepted readings not yet on the chain, rising.
    """

    standing: int | None
    waiting: tuple[int, ...] = ()

    def may_stand_at(self, boundary: int) -> bool:
        """Whether this meter stands at the boundary, has a reading for it, or may yet send one."""
        if self.standing is not None and self.standing >= boundary:
            return self.standing == boundary
        return boundary in self.waiting or not any(end > boundary for end in self.waiting)


def may_go(meters: Sequence[MeterQueue], settled: int | None) -> list[bool]:
    """For each settling meter of one user: whether its first waiting reading may be submitted now.

    settled is the user's last settled boundary on the chain, None before the baseline.
    """
    return [bool(meter.waiting) and not _is_kept(index, meters, settled) for index, meter in enumerate(meters)]


def _is_kept(index: int, meters: Sequence[MeterQueue], settled: int | None) -> bool:
    standing = meters[index].standing
    if standing is None or (settled is not None and standing <= settled):
        return False
    return all(other.may_stand_at(standing) for place, other in enumerate(meters) if place != index)


def ready_boundary(meters: Sequence[MeterQueue], settled: int | None) -> int | None:
    """The boundary to settle now: where all meters stand together beyond the settled one; None where there is none."""
    standings = {meter.standing for meter in meters}
    if len(standings) != 1:
        return None
    (boundary,) = standings
    return None if boundary is None or (settled is not None and boundary <= settled) else boundary
