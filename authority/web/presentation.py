"""From the view of the campus to what the page draws: sentences, bar lengths, chart coordinates; all whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from authority.api.campus import BuildingNow, Campus, EpochPast, MeterNow, last_cleared, last_minted
from authority.language.reading import gettext, marked
from authority.market.disclosure import LEAST_MEMBERS
from authority.web import ranges
from authority.web.figures import UNKNOWN, credits_per_kwh, kilowatt_hours, kilowatts, length

__all__ = ["LEAST_MEMBERS", "cards", "chart", "last_cleared", "last_minted"]

BAR = 1000  # a full bar's length in a building's card
CHART_HEIGHT, SLOT, BAR_WIDTH, BAR_GAP = 200, 40, 14, 2
CHART_EPOCHS = 24

SETTLED, PENDING = ("settled", "checkpointed"), "\N{HORIZONTAL ELLIPSIS}"
STATE_WORDS = {
    "collecting": marked("waiting for readings"),
    "submitted": marked("signatures checked"),
    "minted": marked("surplus minted"),
    "clearing": marked("clearing"),
    "settled": marked("settled"),
    "checkpointed": marked("settled, log pinned"),
}
ROLE_WORDS = {
    "building": marked("whole building"),
    "generation": marked("generation"),
    "storage": marked("battery"),
    "load": marked("consumption"),
    "grid": marked("grid connection"),
    "submeter": marked("submeter, shown only"),
}
SOURCE_WORDS = {
    "none": "",
    "solar": marked("solar"),
    "wind": marked("wind"),
    "hydro": marked("hydro"),
    "other": marked("other"),
}


def nice(value: int) -> int:
    """The next 1, 2 or 5 times a power of ten that is not below the value: the end of an axis."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if value <= factor * step:
                return factor * step
        step *= 10


def time_of_day(seconds: int, zone: ZoneInfo) -> str:
    """A moment as a time of day at the site."""
    return datetime.fromtimestamp(seconds, zone).strftime("%H:%M:%S")


def moment(seconds: int, now: int, zone: ZoneInfo) -> str:
    """A moment at the site: the time of day, with the date in front where it is not of the same day as now."""
    at, day = datetime.fromtimestamp(seconds, zone), datetime.fromtimestamp(now, zone).date()
    return ranges.written(at, "%H:%M:%S" if at.date() == day else "%-d %b %Y, %H:%M:%S")


def span(number: int, epoch_seconds: int, zone: ZoneInfo) -> str:
    """From when until when an epoch is, at the site: 12:15–12:30."""
    return "\N{EN DASH}".join(boundary(each, epoch_seconds, zone) for each in (number, number + 1))


def boundary(number: int, epoch_seconds: int, zone: ZoneInfo) -> str:
    """When an epoch begins, at the site: 12:15, with seconds where an epoch has no whole minutes."""
    form = "%H:%M" if epoch_seconds % 60 == 0 else "%H:%M:%S"
    return datetime.fromtimestamp(number * epoch_seconds, zone).strftime(form)


@dataclass(frozen=True, slots=True)
class Card:
    """One building as its card shows it. Bars are in thousandths of the common scale's end."""

    building: BuildingNow
    kind: str
    generation_bar: int
    consumption_bar: int
    storage: str
    verdict: str
    tone: str
    stale: bool


def scale_w(campus: Campus) -> int:
    """The power at which a building's bar is full: the same for all, so that they can be compared."""
    return nice(max([1000, *(max(b.generation_w or 0, b.consumption_w or 0) for b in campus.buildings)]))


def cards(campus: Campus, now: int) -> list[Card]:
    """The buildings, in the view's order."""
    full = scale_w(campus)
    return [_card(building, full, now) for building in campus.buildings]


def _card(building: BuildingNow, full: int, now: int) -> Card:
    generation, consumption = building.generation_w, building.consumption_w
    into = building.storage_w or 0
    storage = (
        gettext("Battery takes in")
        if into > 0
        else gettext("Battery gives out")
        if into < 0
        else gettext("Battery at rest")
    )
    verdict, tone = gettext("no measurement yet"), "unknown"
    if generation is not None and consumption is not None:
        net = generation - consumption - (building.storage_w or 0)
        if abs(net) < 50:
            verdict, tone = gettext("just what it needs"), "even"
        elif net > 0:
            verdict, tone = gettext("%(power)s to spare", power=kilowatts(net)), "spare"
        else:
            verdict, tone = gettext("%(power)s short", power=kilowatts(-net)), "short"
    return Card(
        building=building,
        kind=_kind(building),
        generation_bar=min(BAR, BAR * (generation or 0) // full),
        consumption_bar=min(BAR, BAR * (consumption or 0) // full),
        storage=storage,
        verdict=verdict,
        tone=tone,
        stale=_stale(building, now),
    )


def _stale(building: BuildingNow, now: int) -> bool:
    return building.measured_at is not None and now - building.measured_at > building.stale_after_seconds


def live_w(building: BuildingNow, meter: MeterNow, now: int) -> int | None:
    """A meter's live power in W; None where it is too old to be called live."""
    heard = meter.power_at is not None and now - meter.power_at <= building.stale_after_seconds
    return meter.power_w if heard else None


def _kind(building: BuildingNow) -> str:
    sources = {meter.source for meter in building.meters} - {"none"}
    for source in ("wind", "solar", "hydro"):
        if source in sources:
            return source
    return "load"


@dataclass(frozen=True, slots=True)
class Column:
    """One epoch in the chart: bars as (x, y, height) of the energy panel, the price's y in the panel below it."""

    epoch: EpochPast
    label: str
    x: int
    minted_y: int
    traded_y: int
    price_y: int | None


@dataclass(frozen=True, slots=True)
class Chart:
    """The epochs from first to last, ready to draw. Coordinates in a box of `width` by CHART_HEIGHT, y downwards."""

    columns: Sequence[Column]
    first: int
    last: int
    width: int
    energy_top_wh: int
    price_top: int


def chart(campus: Campus, zone: ZoneInfo) -> Chart:
    """The last CHART_EPOCHS epochs, each in its place: one that settlement does not know leaves a gap."""
    last = campus.epoch.number - 1
    first = last - CHART_EPOCHS + 1
    epochs = [e for e in campus.history if e.number >= first]
    energy_top = nice(max([10, *(max(e.minted_wh or 0, e.traded_wh or 0) for e in epochs)]))
    prices = [e.clearing_price_micro_credits_per_kwh for e in epochs]
    price_top = nice(max([100_000, *(price for price in prices if price is not None)]))

    def y(value: int, top: int) -> int:
        return CHART_HEIGHT - value * (CHART_HEIGHT - 4) // top

    columns = [
        Column(
            epoch=e,
            label=_label(e, campus.epoch_seconds, zone),
            x=(e.number - first) * SLOT + (SLOT - 2 * BAR_WIDTH - BAR_GAP) // 2,
            minted_y=y(e.minted_wh or 0, energy_top),
            traded_y=y(e.traded_wh or 0, energy_top),
            price_y=None if price is None else y(price, price_top),
        )
        for e, price in zip(epochs, prices, strict=True)
    ]
    return Chart(columns, first, last, CHART_EPOCHS * SLOT, energy_top, price_top)


def so_far(epoch: EpochPast, value: int | None, words: Callable[[int], str] = str) -> str:
    """A past epoch's figure; a zero that settlement has yet to fill in is not a zero. A dash is what is not told."""
    if not value and epoch.state not in SETTLED:
        return PENDING
    return UNKNOWN if value is None else words(value)


def alarm(campus: Campus, zone: ZoneInfo) -> str:
    """What a reader must know of figures that are not of this moment; empty where all is well."""
    service = campus.service
    if service.validator is not None:
        return ""
    if service.chain_read_at is None:
        return gettext("The validator does not answer, so nothing is known of tokens and orders.")
    return gettext(
        "The validator does not answer. What is said of tokens and orders is of %(time)s %(zone)s; "
        "meters are read and signed all the same.",
        time=moment(service.chain_read_at, campus.time, zone),
        zone=zone.key,
    )


def _label(epoch: EpochPast, epoch_seconds: int, zone: ZoneInfo) -> str:
    when = span(epoch.number, epoch_seconds, zone)
    if epoch.state not in SETTLED:
        return gettext("%(when)s: %(state)s", when=when, state=gettext(STATE_WORDS[epoch.state]))
    price = epoch.clearing_price_micro_credits_per_kwh
    if epoch.traded_wh is None:
        traded = gettext("too few traded for a figure")
    elif price is None:
        traded = gettext("%(energy)s traded", energy=kilowatt_hours(epoch.traded_wh))
    else:
        energy, credits = kilowatt_hours(epoch.traded_wh), credits_per_kwh(price)
        traded = gettext("%(energy)s traded at %(price)s credits per kWh", energy=energy, price=credits)
    if epoch.minted_wh is None:
        return gettext("%(when)s: too few had surplus for a figure, %(traded)s", when=when, traded=traded)
    minted = kilowatt_hours(epoch.minted_wh)
    return gettext("%(when)s: %(energy)s minted, %(traded)s", when=when, energy=minted, traded=traded)


@dataclass(frozen=True, slots=True)
class Totals:
    """The shown buildings together, W; None where nothing is known. note says whose figures are missing."""

    generation: int | None
    consumption: int | None
    note: str


def totals(campus: Campus) -> Totals:
    """Sums over the buildings whose figures are of now."""
    known = [
        (b.generation_w, b.consumption_w) for b in campus.buildings if b.measured_at and not _stale(b, campus.time)
    ]
    if not known:
        unheard, hidden = gettext("no building is heard"), gettext("no building is shown to the public")
        return Totals(None, None, unheard if campus.buildings else hidden)
    missing = len(campus.buildings) - len(known)
    note = ""
    if missing:
        count = len(campus.buildings)
        note = gettext("without %(missing)s of %(count)s buildings, not heard lately", missing=missing, count=count)
    return Totals(sum(g or 0 for g, _ in known), sum(c or 0 for _, c in known), note)


def every(campus: Campus) -> str:
    """An epoch's length in words."""
    return length(campus.epoch_seconds)
