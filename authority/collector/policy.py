"""What an authentic reading must also satisfy: the held codes of docs/PROTOCOL.md as pure functions over integers.

A step is the difference to the meter's last accepted (or released) reading. Held readings move nothing: until an
operator decides, the next reading is again compared with the last accepted one. The chain's oracle program applies the
same bounds; the collector applies them first, so that a person sees what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from authority.collector import sun
from authority.home.home import Settings
from edge_agent.wire.reading import CLOCK_DEVIATION_UNKNOWN, Record

REGISTERS = ("generation", "consumption", "charge", "discharge")

PERMITTED = {
    "building": REGISTERS,
    "generation": ("generation",),
    "storage": ("charge", "discharge"),
    "load": ("consumption",),
    "grid": ("generation", "consumption"),
    "submeter": REGISTERS,
}
"""Which registers of a meter may move, by its role. At the grid: export in generation, import in consumption."""

BASIS_POINTS = 10_000
MAX_SUN_ROUNDING_WH = 1
"""A register counts whole Wh: the last of dusk may appear up to one Wh later."""


@dataclass(frozen=True)
class MeterFacts:
    """What is known of a meter apart from its readings: words of the store, nameplate in W, storage in Wh."""

    active: bool
    role: str
    source: int
    nameplate_w: int
    storage_wh: int


def check(record: Record, last: Record | None, meter: MeterFacts, settings: Settings, now: int) -> str:
    """The first rule that a reading breaks, by its code's name; "ok" where it breaks none.

    last is the meter's last accepted reading (None: this one sets the baseline and is bounded by no step).
    """
    epoch = settings.epoch.seconds
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
    step = {
        name: after - before for name, before, after in zip(REGISTERS, last.registers, record.registers, strict=True)
    }
    if any(value < 0 for value in step.values()):
        return "register_decreased"
    if any(value and name not in PERMITTED[meter.role] for name, value in step.items()):
        return "register_not_permitted"
    elapsed = record.interval_end - last.interval_end
    allowance = BASIS_POINTS + settings.parameters.nameplate_tolerance_bps
    greatest = max(step.values())
    if greatest * 3_600 * BASIS_POINTS > meter.nameplate_w * elapsed * allowance:
        return "exceeds_nameplate"
    charge, discharge = step["charge"], step["discharge"]
    capacity = meter.storage_wh * allowance // BASIS_POINTS
    kept = charge * settings.parameters.storage_efficiency_bps // BASIS_POINTS
    if meter.role != "submeter" and (kept > capacity + discharge or discharge > capacity + charge):
        return "exceeds_storage"
    if (
        settings.site.known
        and record.source == 1  # solar
        and step["generation"] > MAX_SUN_ROUNDING_WH
        and sun.is_night(last.interval_end, record.interval_end, settings.site.latitude, settings.site.longitude)
    ):
        return "implausible_for_sun_or_wind"
    return "ok"
