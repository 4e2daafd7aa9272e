"""What an authentic reading must also satisfy: the held codes of docs/PROTOCOL.md as pure functions over integers.

A step is the difference to the meter's last accepted (or released) reading. Held readings move nothing: until an
operator decides, the next reading is again compared with the last accepted one. The bounds of a step are those of the
chain's oracle program (edge_agent.wire.rules); the collector applies them first, so that a person sees what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from authority.collector import sun
from authority.home.settings import Settings
from edge_agent.wire.reading import CLOCK_DEVIATION_UNKNOWN, SOURCE_SOLAR, Record
from edge_agent.wire.rules import check_step

MAX_SUN_ROUNDING_WH = 1
"""A register counts whole Wh: the last of dusk may appear up to one Wh later."""


@dataclass(frozen=True)
class MeterFacts:
    """What is known of a meter apart from its readings: words of the store, nameplate in W, storage in Wh.

    on_chain is False from a meter's approval until the chain has it. The staged figures hold from the epoch
    staged_from on; 0 where nothing is staged.
    """

    active: bool
    role: str
    source: int
    nameplate_w: int
    storage_wh: int
    on_chain: bool = True
    staged_nameplate_w: int = 0
    staged_storage_wh: int = 0
    staged_from: int = 0

    def size(self, first: int, last: int) -> tuple[int, int]:
        """Nameplate (W) and storage (Wh) that bound a step from one epoch to another: the greater, where they change.

        The oracle program has the same rule (registry, Meter::size).
        """
        if not self.staged_from or last < self.staged_from:
            return self.nameplate_w, self.storage_wh
        if first >= self.staged_from:
            return self.staged_nameplate_w, self.staged_storage_wh
        return max(self.nameplate_w, self.staged_nameplate_w), max(self.storage_wh, self.staged_storage_wh)


def check(record: Record, last: Record | None, meter: MeterFacts, settings: Settings, now: int) -> str:
    """The first rule that a reading breaks, by its code's name; "ok" where it breaks none.

    last is the meter's last accepted reading (None: this one sets the baseline and is bounded by no step).
    """
    epoch = settings.epoch.seconds
    if not meter.on_chain:
        return "not_on_chain"
    if not meter.active:
        return "meter_inactive"
    if (
        record.interval_end % epoch
        or record.interval_seconds != epoch
        or (last is not None and record.interval_end <= last.interval_end)
    ):
        return "interval_not_aligned"
    if record.interval_end > now + settings.parameters.clock_skew_seconds:
        return "interval_in_future"
    if record.source != meter.source:
        return "source_mismatch"
    if last is not None:
        code = _check_step(record, last, meter, settings)
        if code != "ok":
            return code
    if (
        record.clock_deviation != CLOCK_DEVIATION_UNKNOWN
        and abs(record.clock_deviation) > settings.policy.clock_deviation_seconds
    ):
        return "clock_unsynchronised"
    return "ok"


def _check_step(record: Record, last: Record, meter: MeterFacts, settings: Settings) -> str:
    epoch = settings.epoch.seconds
    nameplate_w, storage_wh = meter.size(last.interval_end // epoch, record.interval_end // epoch - 1)
    code = check_step(
        record,
        last,
        role=meter.role,
        nameplate_w=nameplate_w,
        storage_wh=storage_wh,
        tolerance_bps=settings.parameters.nameplate_tolerance_bps,
    )
    if code != "ok":
        return code
    if (
        settings.site.known
        and record.source == SOURCE_SOLAR
        and record.generation - last.generation > MAX_SUN_ROUNDING_WH
        and sun.is_night(last.interval_end, record.interval_end, settings.site.latitude, settings.site.longitude)
    ):
        return "implausible_for_sun_or_wind"
    return "ok"
