"""An emulated meter: COSEM objects whose values follow from the wall clock, the start epoch and the power source.

Nothing is stored as time passes: every register and every row of the load profile is a function of the time (and of
the file of standstills, where there is one), so the same file and start epoch give the same meter, however often it is
restarted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from edge_agent.dlms import axdr
from edge_agent.dlms.apdu.base import Selection
from edge_agent.dlms.apdu.data_notification import DataNotification
from edge_agent.dlms.axdr import ARRAY, ENUM, INT8, NULL, OCTET_STRING, STRUCTURE, UINT8, UINT32, UINT64
from edge_agent.dlms.clock_time import STATUS_DAYLIGHT_SAVING, ClockTime
from edge_agent.dlms.cosem.association_ln import AssociationLn
from edge_agent.dlms.cosem.base import CosemObject
from edge_agent.dlms.cosem.clock import Clock
from edge_agent.dlms.cosem.data import DataObject
from edge_agent.dlms.cosem.profile_generic import SORT_FIFO, ProfileGeneric, select_rows
from edge_agent.dlms.cosem.register import Register
from edge_agent.dlms.cosem.security_setup import SecuritySetup, demanded
from edge_agent.dlms.cosem.types import CaptureObject
from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.obis import obis_bytes
from edge_agent.dlms.security import AUTHENTICATED, ENCRYPTED, GENERAL_GLO, seal
from edge_agent.dlms.units import UNIT_NUMBERS, scaled_text
from edge_agent.emulator.channel import HdlcChannel
from edge_agent.emulator.config import LineConfig, MeterConfig, RegisterConfig
from edge_agent.emulator.management import management_objects
from edge_agent.emulator.push import p1_telegram, sml_file
from edge_agent.emulator.source import Expression, PowerSeries, Table

if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data
    from edge_agent.dlms.security import Security
    from edge_agent.wire.standstill import Standstill

CLOCK = "0-0:1.0.0.255"
STATUS = "0-0:96.10.1.255"
_CLOCK_COLUMN = CaptureObject(8, CLOCK, 2)
_STATUS_COLUMN = CaptureObject(1, STATUS, 2)


class EmulatedRegister:
    """One register: its value in its own scaler at any time."""

    def __init__(self, config: RegisterConfig, series: PowerSeries) -> None:
        self.config = config
        self.series = series
        self.reset_at: float | None = None

    def raw(self, time: float) -> int:
        """The register's integer at a Unix time: floor of the exact value in units of 10^scaler.

        It starts again at zero from a reset on, and counts modulo the rollover.
        """
        config = self.config
        if not config.is_energy:
            return math.floor(self.series.power(time) / Fraction(10) ** config.scaler)
        value = config.initial + self.series.energy(time)
        if self.reset_at is not None and time >= self.reset_at:
            value = self.series.energy(time) - self.series.energy(self.reset_at)
        if config.rollover is not None:
            value %= config.rollover
        return math.floor(value / Fraction(10) ** config.scaler)

    @property
    def interval_obis(self) -> str:
        """The code of an interval's energy: the register's with D = 29."""
        head, _, rest = self.config.obis.partition(".")
        return f"{head}.29.{rest.partition('.')[2]}"

    def increment(self, since: float, time: float) -> Data:
        """What the register has counted from one time to another, whatever was reset or rolled over between."""
        unit = Fraction(10) ** self.config.scaler
        before, after = (math.floor((self.config.initial + self.series.energy(at)) / unit) for at in (since, time))
        return (UINT32, after - before)

    def data(self, time: float) -> Data:
        """As Data: energies as UINT64, others as INT64."""
        return (UINT64 if self.config.is_energy else axdr.INT64, self.raw(time))


class EmulatedMeter:
    """The objects of one meter. `now` gives Unix seconds; the meter's own clock is `clock_error` seconds ahead."""

    def __init__(
        self,
        config: MeterConfig,
        table: Table,
        *,
        epoch_seconds: int,
        start_epoch: int,
        start_row: int,
        standstill: Standstill | None = None,
        now: Callable[[], float],
        line: LineConfig | None = None,
    ) -> None:
        self.config = config
        self._line = line or LineConfig()
        self.epoch_seconds = epoch_seconds
        self.start_epoch = start_epoch
        self._now = now
        self.clock_error = config.clock_error

        def series(power: str) -> PowerSeries:
            return PowerSeries(Expression(power).over(table), start_epoch, start_row, epoch_seconds, standstill)

        self._series = series
        self.registers = [EmulatedRegister(item, series(item.power)) for item in config.registers]
        self.captured = [item for item in self.registers if item.config.is_energy]
        self.security: dict[int, Security] = {}
        self._counter = 0
        self._repeat = False
        self._pushed: int | None = None
        self.block_fault: str | None = None  # what meets the next stream of blocks
        self.channel = HdlcChannel(config, self._line)
        self._zone = None if config.zone is None else ZoneInfo(config.zone)
        self.objects = self._objects()

    def next_counter(self) -> int:
        """The meter's own invocation counter. It starts at the second of the first use, so it grows over restarts."""
        if self._repeat:
            self._repeat = False
            return self._counter
        self._counter = max(self._counter + 1, int(self._now()) & 0x7FFFFFFF)
        return self._counter

    def repeat_counter(self) -> None:
        """The next invocation counter will be one that was used already."""
        self._repeat = True

    def reset_registers(self) -> None:
        """Every energy register starts at zero from now on."""
        for item in self.captured:
            item.reset_at = self.time()

    def peer_counter(self) -> int:
        """The highest invocation counter that a client has used."""
        return max([0, *(security.peer_counter for security in self.security.values())])

    @property
    def security_policy(self) -> Callable[[], tuple[int, int]] | None:
        """What the security setup demands of requests and responses; None without one."""
        for item in self.objects:
            if isinstance(item, SecuritySetup):
                return partial(_demanded, item)
        return None

    def time(self) -> float:
        """Unix seconds by the meter's own clock."""
        return self._now() + self.clock_error

    def clock_time(self, time: float) -> ClockTime:
        """A time as the meter's clock writes it; in a zone, with that moment's deviation and daylight-saving bit."""
        if self._zone is None:
            return ClockTime.from_unix(int(time), self.config.deviation)
        local = datetime.fromtimestamp(time, self._zone)
        offset, saving = local.utcoffset() or timedelta(), local.dst() or timedelta()
        status = STATUS_DAYLIGHT_SAVING if saving else 0
        shown = ClockTime.from_unix(int(time), -int(offset.total_seconds()) // 60, status)
        if self.config.deviation is None:
            shown.deviation = None
        return shown

    def columns(self) -> list[CaptureObject]:
        """The load profile's capture objects."""
        columns = [_CLOCK_COLUMN]
        if self.config.profile.status:
            columns.append(_STATUS_COLUMN)
        increments = self.config.profile.increments
        codes = [item.interval_obis if increments else item.config.obis for item in self.captured]
        return columns + [CaptureObject(3, code, 2) for code in codes]

    def boundaries(self) -> range:
        """The capture times that are in the buffer, oldest first, as Unix seconds."""
        last = int(self.time() // self.epoch_seconds)
        first = max(self.start_epoch, last - self.config.profile.entries + 1)
        return range(first * self.epoch_seconds, (last + 1) * self.epoch_seconds, self.epoch_seconds)

    def rows(self, since: float | None = None, until: float | None = None) -> list[list[Data]]:
        """The buffer, or its rows of these Unix times, both inclusive."""
        rows: list[list[Data]] = []
        boundaries = self.boundaries()
        if since is not None:
            boundaries = boundaries[max(0, math.ceil((since - boundaries.start) / boundaries.step)) :]
        if until is not None:
            boundaries = boundaries[: max(0, math.floor((until - boundaries.start) / boundaries.step) + 1)]
        for boundary in boundaries:
            time: Data = (OCTET_STRING, self.clock_time(boundary).to_bytes())
            if self.config.profile.compress_time and rows:
                time = (NULL, None)
            row = [time]
            if self.config.profile.status:
                row.append((UINT8, 0))
            if self.config.profile.increments:
                since = boundary - self.epoch_seconds
                rows.append(row + [item.increment(since, boundary) for item in self.captured])
            else:
                rows.append(row + [item.data(boundary) for item in self.captured])
        return rows

    def push_due(self) -> bool:
        """Whether a multiple of push_seconds has passed since the last telegram."""
        seconds = self.config.push_seconds
        if not seconds:
            return False
        due = int(self.time() // seconds)
        if self._pushed is None:
            self._pushed = due
        return due != self._pushed

    def push(self) -> bytes | None:
        """The telegram that is due, an APDU, P1's text or SML's file; None until the next multiple of push_seconds."""
        if not self.push_due():
            return None
        time = self.time()
        self._pushed = int(time // self.config.push_seconds)
        plain = self._telegram(time)
        for client in self.config.clients:
            if client.key is not None and client.auth_key is not None:
                control = AUTHENTICATED | ENCRYPTED
                title, counter = self.config.system_title, self.next_counter()
                return seal(GENERAL_GLO, title, control, counter, plain, client.key, client.auth_key).to_bytes()
        return plain

    def _telegram(self, time: float) -> bytes:
        if self._line.mode == "p1":
            return p1_telegram(self, time, self._line.p1_version)
        if self._line.mode == "sml":
            return sml_file(self, time, self._pushed or 0)
        return self._notification(time)

    def _notification(self, time: float) -> bytes:
        """Name, clock and registers as a data-notification."""
        shown = self.clock_time(time).to_bytes()
        items: list[Data] = [
            (
                STRUCTURE,
                [
                    (OCTET_STRING, obis_bytes("0-0:42.0.0.255")),
                    (OCTET_STRING, self.config.logical_device_name.encode()),
                ],
            ),
            (STRUCTURE, [(OCTET_STRING, obis_bytes(CLOCK)), (OCTET_STRING, shown)]),
        ]
        for item in self.registers:
            scaler_unit = (STRUCTURE, [(INT8, item.config.scaler), (ENUM, UNIT_NUMBERS[item.config.told_unit])])
            items.append((STRUCTURE, [(OCTET_STRING, obis_bytes(item.config.obis)), item.data(time), scaler_unit]))
        return DataNotification((ARRAY, items), shown, (self._pushed or 0) & 0xFFFFFF).to_bytes()

    def readout_lines(self) -> list[str]:
        """The read-out of IEC 62056-21: identity and registers, energies in kWh with three decimals."""
        lines = [f"0.0.0({self.config.logical_device_name})"]
        time = self.time()
        for item in self.registers:
            code = item.config.obis.partition(":")[2].rpartition(".")[0]
            scaler, unit = item.config.scaler, item.config.told_unit
            if item.config.is_energy:
                scaler, unit = scaler - 3, unit and "k" + unit
            value = scaled_text(item.raw(time), scaler)
            lines.append(f"{code}({value}*{unit})")
        return lines

    def _set_time(self, time: ClockTime) -> None:
        unix = time.unix()
        if unix is None:
            local = time.local_seconds()
            unix = None if local is None else self._unix(local)
        if unix is not None:
            self.clock_error = round(unix - self._now())

    def _unix(self, local: int) -> int:
        """Unix seconds of a local time that states no deviation; the first of the two in autumn's double hour."""
        if self._zone is None:
            return local + (self.config.deviation or 0) * 60
        return int(datetime.fromtimestamp(local, UTC).replace(tzinfo=self._zone).timestamp())

    def zone_minutes(self) -> tuple[int, int]:
        """UTC minus local without daylight saving, and what daylight saving adds at its time, in minutes."""
        if self._zone is None:
            return self.config.deviation or 0, 0
        year = datetime.fromtimestamp(self.time(), self._zone).year
        months = [datetime(year, month, 15, tzinfo=self._zone) for month in range(1, 13)]
        offsets = [month.utcoffset() or timedelta() for month in months]
        return -int(min(offsets).total_seconds()) // 60, int((max(offsets) - min(offsets)).total_seconds()) // 60

    def _objects(self) -> list[CosemObject]:
        config = self.config

        def text(value: str) -> Data:
            return (OCTET_STRING, value.encode("ascii"))

        clock = _EmulatedClock(self)
        objects: list[CosemObject] = [
            DataObject("0-0:42.0.0.255", value=text(config.logical_device_name)),
            DataObject("0-0:96.1.0.255", value=text(config.serial)),
            clock,
        ]
        if any(client.auth == "gmac" for client in config.clients):
            objects.append(DataObject("0-0:43.1.0.255", value=lambda: (UINT32, self.peer_counter())))
        if config.profile.status:
            objects.append(DataObject(STATUS, value=(UINT8, 0)))
        for item in self.registers:
            objects.append(_register_object(item, self.time))
        if config.profile.increments:
            objects += [_interval_object(item, self.time, self.epoch_seconds) for item in self.captured]
        objects.append(
            _EmulatedProfile(
                self,
                config.profile.obis,
                buffer=self.rows,
                capture_objects=self.columns(),
                capture_period=self.epoch_seconds,
                sort_method=SORT_FIFO,
                sort_object=_CLOCK_COLUMN.to_data(),
                entries_in_use=lambda: len(self.boundaries()),
                profile_entries=config.profile.entries,
            )
        )
        objects += management_objects(config, self.channel.setup, self._series, self.time, self.clock_time)
        association = AssociationLn("0-0:40.0.0.255", association_status=2)
        association.values["object_list"] = lambda: [item.listed() for item in objects]
        association.methods["reply_to_hls_authentication"] = lambda _parameters: None
        objects.append(association)
        return objects


def _demanded(setup: SecuritySetup) -> tuple[int, int]:
    return demanded(setup.values["security_policy"], setup.VERSION)


def _register_object(item: EmulatedRegister, time: Callable[[], float]) -> Register:
    scaler_unit = (item.config.scaler, UNIT_NUMBERS[item.config.told_unit])
    return Register(item.config.obis, value=lambda: item.data(time()), scaler_unit=scaler_unit)


def _interval_object(item: EmulatedRegister, time: Callable[[], float], period: int) -> Register:
    """The energy of the running interval."""
    scaler_unit = (item.config.scaler, UNIT_NUMBERS[item.config.told_unit])

    def value() -> Data:
        now = time()
        return item.increment(now // period * period, now)

    return Register(item.interval_obis, value=value, scaler_unit=scaler_unit)


_LOCAL = 15 * 3600
"""By how much a local time may differ from UTC, in seconds."""


class _EmulatedProfile(ProfileGeneric):
    """The load profile. Where rows are selected by range, only those that may be in it are computed."""

    def __init__(self, meter: EmulatedMeter, obis: str, **values: Any) -> None:
        super().__init__(obis, **values)
        self._meter = meter

    def get(self, index: int, selection: Selection | None = None) -> Data:
        """As every profile does."""
        own = self.values["buffer"] == self._meter.rows and not self._meter.config.profile.compress_time
        if index == 2 and own and selection is not None and selection.selector == Selection.RANGE:
            bounds = self._bounds(selection.parameters)
            if bounds is not None:
                rows = select_rows(self._meter.rows(*bounds), self.values["capture_objects"], selection)
                return (ARRAY, [(STRUCTURE, row) for row in rows])
        return super().get(index, selection)

    def _bounds(self, parameters: Data) -> tuple[float, float] | None:
        """Unix times between which the rows of a range are; None where it is no range of times."""
        try:
            clock, low, high = parameters[1][:3]
            times = [ClockTime.from_bytes(bound[1]) for bound in (low, high) if bound[0] == OCTET_STRING]
            since, until = (time.local_seconds() if time.unix() is None else time.unix() for time in times)
            if CaptureObject.from_data(clock) != _CLOCK_COLUMN or since is None or until is None:
                return None
        except (DecodeError, ValueError, TypeError):
            return None
        states = self._meter.config.deviation is not None or self._meter.config.zone is None
        exact = states and all(time.deviation is not None for time in times)
        margin = 0 if exact else _LOCAL
        return since - margin, until + margin


class _EmulatedClock(Clock):
    """The clock, which a client may set."""

    def __init__(self, meter: EmulatedMeter) -> None:
        deviation, saving = meter.zone_minutes()
        super().__init__(
            CLOCK,
            time=lambda: meter.clock_time(meter.time()),
            time_zone=deviation,
            status=lambda: meter.clock_time(meter.time()).status,
            daylight_savings_deviation=saving,
            daylight_savings_enabled=saving != 0,
            clock_base=1,
        )
        self._meter = meter

    def store(self, attribute: object, value: object) -> None:
        """Only the time moves anything."""
        if isinstance(value, ClockTime) and getattr(attribute, "name", "") == "time":
            self._meter._set_time(value)
