"""The pull driver: a DLMS meter whose load profile is read by range after each boundary (docs/ARCHITECTURE.md).

One long file: what was read of a meter decides how it is read next, from the first association to the last row.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from edge_agent.dlms import axdr
from edge_agent.dlms.apdu.base import Selection
from edge_agent.dlms.apdu.conformance import DEFAULT, GENERAL_BLOCK_TRANSFER, SELECTIVE_ACCESS
from edge_agent.dlms.axdr import OCTET_STRING
from edge_agent.dlms.client import ASSOCIATED, Client
from edge_agent.dlms.clock_time import STATUS_DOUBTFUL, STATUS_INVALID, STATUS_UNSPECIFIED
from edge_agent.dlms.cosem.types import CaptureObject
from edge_agent.dlms.errors import (
    DataAccessError,
    DlmsError,
    ServiceError,
)
from edge_agent.dlms.hdlc.address import encode_address, server_address
from edge_agent.dlms.hdlc.client_link import HdlcClientLink
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.obis import obis_bytes
from edge_agent.dlms.security import Security
from edge_agent.dlms.units import unit_text
from edge_agent.meters.connection import Connection, HdlcLine, WrapperLine
from edge_agent.meters.counters import CounterStore, InvocationCounter, counter_too_far
from edge_agent.meters.datagrams import DatagramClient, DatagramLine
from edge_agent.meters.driver import IntervalRow, Observer, password_bytes
from edge_agent.meters.errors import (
    BROKE_OFF,
    BadAddressError,
    MapMismatchError,
    MeterError,
    MeterTimeoutError,
    MissingKeyError,
    WrongMeterError,
    meter_error,
)
from edge_agent.meters.faults import Faults
from edge_agent.meters.increments import Increments, Values
from edge_agent.meters.local_time import LocalTime
from edge_agent.meters.reader import (
    CLOCK,
    RANGE_MARGIN,
    REGISTER_CLASSES,
    MeterReader,
    Profile,
    ProfileRow,
    captured_scaler,
    registers_of,
)
from edge_agent.meters.registers import unit_in_wh, whole_wh
from edge_agent.meters.transport import (
    TcpTransport,
    Transport,
    UdpTransport,
    WatchedNetworkTransport,
    WatchedTransport,
    open_line,
)
from edge_agent.wire.meter_map import INCREMENTS, integral_of, with_integral
from edge_agent.wire.reading import FLAG_CLOCK_ADJUSTED, FLAG_DATA_DOUBTFUL, FLAG_POWER_FAILURE

if TYPE_CHECKING:
    from edge_agent.config import MeterSettings
    from edge_agent.dlms.axdr import Data
    from edge_agent.wire.meter_map import MeterMap, Term

T = TypeVar("T")

UNIT_WH = 30
UNIT_W = 27

IDLE_LIMIT = 30.0
"""Seconds without an exchange after which the association is set up again rather than trusted."""

PATIENCE = 2.0
"""Seconds for which a network module that refuses a connection is tried again."""

ENTRY_MARGIN = 8
"""Rows more than the time alone makes, where rows are selected by entry."""

# The profile status that IDIS and most companion specifications share.
_CRITICAL_ERROR = 0x01
_CLOCK_INVALID = 0x02
_DATA_NOT_VALID = 0x04
_CLOCK_ADJUSTED = 0x20
_POWER_DOWN = 0x80

_IMPORT_POWER, _EXPORT_POWER, _NET_POWER = "1-0:1.7.0.255", "1-0:2.7.0.255", "1-0:16.7.0.255"


def _security(settings: MeterSettings) -> Security | None:
    """HLS-5 and ciphering by the settings; None where they ask for neither. MissingKeyError."""
    if settings.auth != "gmac":
        return None
    key, auth_key, title, directory = settings.key, settings.auth_key, settings.system_title, settings.counters
    if key is None or auth_key is None or title is None or directory is None:
        raise MissingKeyError("gmac needs key, auth_key, system_title and a place for counters")
    counter = CounterStore(directory).counter(key, title)
    return Security(
        system_title=title,
        key=key,
        authentication_key=auth_key,
        next_counter=counter,
        challenge=secrets.token_bytes(16),
    )


def _increments(settings: MeterSettings, meter_map: MeterMap) -> Increments:
    path = None
    if settings.counters is not None:
        name = hashlib.sha256(settings.serial.encode() + meter_map.hash()).hexdigest()[:32]
        path = settings.counters.parent / "increments" / f"{name}.json"
    most = settings.max_power_w * meter_map.capture_period // 3600
    return Increments(path, meter_map.capture_period, meter_map.rollover_wh, most)


class _Column:
    """Where in a row one term of a register stands, and what turns its raw value into Wh: 10^scaler, and a factor of
    unit, sign and ratio.

    scaler_index is the column of the scaler and unit that the row was captured with, where the profile has one.
    """

    def __init__(self, index: int, scaler: int, factor: Fraction, scaler_index: int | None) -> None:
        self.index = index
        self.scaler = scaler
        self.factor = factor
        self.scaler_index = scaler_index


class DlmsPullDriver:
    """One meter over HDLC, or over the wrapper by TCP or UDP as the settings say. The line is opened at once, the
    association when first needed, and again when it was lost; whether it is the same meter still is then asked first.

    now gives Unix seconds, monotonic seconds that never jump; open_transport opens the serial line; observe is told
    how far what arrives comes.
    """

    def __init__(
        self,
        settings: MeterSettings,
        meter_map: MeterMap,
        *,
        open_transport: Callable[[], Transport] | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        observe: Observer | None = None,
    ) -> None:
        self.settings = settings
        self.map = meter_map
        self._observe = observe or (lambda stage, count: None)
        self._now = now
        self._monotonic = monotonic
        self._used = 0.0
        self._apdus: list[bytes] = []
        self._increments: Increments | None = None
        self._anchors: dict[str, list[tuple[int, str, Fraction]]] = {}
        if meter_map.profile_kind == INCREMENTS:
            self._increments = _increments(settings, meter_map)
        password = None if settings.auth != "lls" else password_bytes(settings.password or "")
        self._client = self._new_client(password, _security(settings))
        self._line = self._open_line(open_transport or self._open_serial)
        self._connection = Connection(self._line, self._client)
        self._reader = MeterReader(self._connection)
        self._name: str | None = None
        self._verified = True
        self._columns: dict[str, list[_Column]] = {}
        self._deviation: int | None = None
        self._power: list[tuple[int, str, int]] | None = None
        self._by_range = self._by_entry = True
        self._range_proven = False

    def _received(self, apdu: bytes) -> None:
        self._apdus.append(apdu)
        self._observe("framed", 1)
        if self._client.security is not None:
            self._observe("decrypted", 1)

    def _open_serial(self) -> Transport:
        return open_line(self.settings)

    def _new_client(self, password: bytes | None, security: Security | None) -> Client:
        if self.settings.udp is not None:
            return DatagramClient(password, security, received=self._received, clock=self._monotonic)
        window = self.settings.block_window
        conformance = DEFAULT | GENERAL_BLOCK_TRANSFER if window else DEFAULT
        return Client(password, security, conformance, received=self._received, window=window or 1)

    def _open_line(self, open_serial: Callable[[], Transport]) -> HdlcLine | WrapperLine | DatagramLine:
        settings = self.settings
        places = (settings.client, settings.server, settings.timeout, self._monotonic)

        def seen(count: int) -> None:
            self._observe("bytes", count)

        if settings.tcp is not None and not settings.speaks_hdlc:
            patience = min(PATIENCE, settings.timeout)
            tcp = TcpTransport(*settings.tcp, settings.timeout, patience=patience)
            return WrapperLine(WatchedNetworkTransport(tcp, seen), *places)
        if settings.udp is not None:
            return DatagramLine(WatchedNetworkTransport(UdpTransport(*settings.udp), seen), *places)
        try:
            server = server_address(settings.server, settings.physical)
            link = HdlcClientLink(encode_address(settings.client), server, LinkParameters())
        except DlmsError as error:
            raise BadAddressError(f"the meter's addresses are wrong: {error}") from error
        return HdlcLine(WatchedTransport(open_serial(), seen), link, settings.timeout, clock=self._monotonic)

    @property
    def faults(self) -> Faults:
        """What went wrong on the line and was repaired, by code, since the driver was opened."""
        return self._line.faults

    def close(self) -> None:
        """Release the association and free the line."""
        self._connection.close()

    def _run(self, work: Callable[[], T]) -> T:
        """Do some reading in an association; once more in a new one where it broke on the way."""
        fresh = self._ensure_open()
        try:
            return self._finish(work)
        except BROKE_OFF as error:
            self._connection.abandon()
            self._line.note(error.code)
            if fresh and self._line.repeats and isinstance(error, MeterTimeoutError):
                raise
            self._ensure_open()
            try:
                return self._finish(work)
            except DlmsError as again:
                self._connection.abandon()
                raise meter_error(again) from again
            except MeterError:
                self._connection.abandon()
                raise
        except DlmsError as error:
            raise meter_error(error) from error

    def _finish(self, work: Callable[[], T]) -> T:
        if not self._verified:
            self._verify()
        result = work()
        self._used = self._monotonic()
        return result

    def _verify(self) -> None:
        """After a new association: an address may have gone to another module meanwhile, a cable to another meter."""
        if self._name is not None:
            found = self._reader.logical_device_name()
            if found != self._name:
                raise WrongMeterError(
                    f"on {self.settings.port} the meter {self._name!r} answered before, now it is {found!r}; check the "
                    "wiring, or the addresses of the network modules"
                )
        self._verified = True

    def _ensure_open(self) -> bool:
        """Associate where that has not been done or was too long ago; whether it was done now."""
        if self._client.state == ASSOCIATED and self._monotonic() - self._used < IDLE_LIMIT:
            return False
        if self._client.state == ASSOCIATED:
            self._connection.abandon()
        try:
            self._connection.open()
        except MeterError as error:
            if not self._raise_counter(error):
                raise
            self._connection.open()
        self._used = self._monotonic()
        self._verified = False
        return True

    def _raise_counter(self, error: MeterError) -> bool:
        """Whether the meter asks for a higher invocation counter, and gets it: someone else used the key meanwhile.

        The answer is not authenticated, so it may move the counter by no more than a step at a time. MeterError
        `counter_too_far` for more.
        """
        least = getattr(error.__cause__, "least_counter", None)
        counter = None if self._client.security is None else self._client.security.next_counter
        if least is None or not isinstance(counter, InvocationCounter):
            return False
        if not counter.follow(least):
            raise counter_too_far(counter, least) from error
        self._line.note("replayed_counter")
        return True

    # What the loop asks

    def identity(self) -> str:
        """The logical device name."""
        name = self._run(self._reader.logical_device_name)
        self._name = name
        return name

    def clock_deviation(self) -> int | None:
        """Gateway minus meter in seconds, at the middle of the exchange; None for a clock that is not set."""
        return self._run(self._clock_deviation)

    def _clock_deviation(self) -> int | None:
        before = self._now()
        shown = self._reader.clock_if_set()
        if shown is None:
            return None
        after = self._now()
        if shown.status != STATUS_UNSPECIFIED and shown.status & STATUS_INVALID:
            return None
        try:
            unix = LocalTime(self.map.clock).unix(shown, near=int(before))
        except MapMismatchError:
            return None
        return None if unix is None else int((before + after) / 2 // 1) - unix

    def rows(self, since: int, until: int) -> list[IntervalRow]:
        """Rows of the load profile with since < interval_end <= until, oldest first."""
        return self._run(lambda: self._rows(since, until))

    def power(self) -> int | None:
        """Watts now, import positive, after the transformer ratio; None where the meter has no power register."""
        return self._run(self._power_now)

    def _power_now(self) -> int | None:
        if self._power is None:
            try:
                listed = {item.obis: item.class_id for item in registers_of(self._reader.object_list())}
            except (DataAccessError, ServiceError):
                listed = {}
            wanted = [(_NET_POWER, 1)] if _NET_POWER in listed else [(_IMPORT_POWER, 1), (_EXPORT_POWER, -1)]
            self._power = [(listed[obis], obis, sign) for obis, sign in wanted if obis in listed]
        if not self._power:
            return None
        total = Fraction(0)
        for class_id, obis, sign in self._power:
            data = self._reader.get(CaptureObject(class_id, obis, 2).cosem_attribute())
            scaler, unit = self._reader.scaler_unit(class_id, obis, 2) or (0, 255)
            if not axdr.is_integer(data) or unit != UNIT_W:
                return None
            total += sign * data[1] * Fraction(10) ** scaler
        ratio = Fraction(*self.map.ratio)
        return int(total * ratio // 1)

    # The load profile

    def _describe(self) -> Profile:
        """The profile's columns and scalers as the meter has them now, checked against the map.

        They are asked for before every reading: who sets a meter's profile again ends no association.
        """
        self._reader.forget()
        try:
            profile = self._reader.profile(self.map.profile)
        except DataAccessError as error:
            message = f"the meter has no load profile {self.map.profile} for this client: {error.message}"
            raise MapMismatchError(message) from error
        if profile.period != self.map.capture_period:
            raise MapMismatchError(
                f"the meter captures every {profile.period} s, the map says {self.map.capture_period} s: "
                "set the meter's capture period, or have the map changed"
            )
        if profile.clock_index is None:
            raise MapMismatchError(f"the load profile {self.map.profile} does not capture the clock")
        self._columns = {
            name: [self._column(profile, term) for term in source.terms] for name, source in self.map.registers.items()
        }
        if self._increments is not None:
            self._anchors = self._find_anchors()
        clock = self._reader.clock_if_set()
        self._deviation = None if clock is None else clock.deviation
        return profile

    def _column(self, profile: Profile, term: Term) -> _Column:
        obis = term.obis
        if self._increments is None and integral_of(obis) in (29, 30):
            raise MapMismatchError(
                f'{obis} holds the energy of single intervals: the map should say profile_kind = "{INCREMENTS}"'
            )
        if self._increments is not None and integral_of(obis) == 8:
            captured = {column.obis for column in profile.columns}
            obis = next((code for code in (with_integral(obis, d) for d in (29, 30)) if code in captured), obis)
        for at, column in enumerate(profile.columns):
            if column.obis == obis and column.class_id in REGISTER_CLASSES and column.attribute == 2:
                scaler, factor = self._scale(column.class_id, obis, term)
                return _Column(at, scaler, factor, profile.captured_scaler(column))
        raise MapMismatchError(
            f"the load profile {self.map.profile} does not capture {obis}, which the map names; it captures "
            + ", ".join(column.obis for column in profile.columns)
        )

    def _scale(self, class_id: int, obis: str, term: Term) -> tuple[int, Fraction]:
        """A register's scaler, and what of unit, sign and ratio makes it Wh; MapMismatchError."""
        scaler, unit = self._reader.scaler_unit(class_id, obis, 2) or (0, 255)
        wh = unit_in_wh(obis, unit_text(unit), term, "as `edge-agent read` shows it")
        return scaler, term.sign * wh * Fraction(*self.map.ratio)

    def _find_anchors(self) -> dict[str, list[tuple[int, str, Fraction]]]:
        """Class, OBIS code and factor of the cumulative registers behind each increment."""
        listed = {item.obis: item.class_id for item in registers_of(self._reader.object_list())}
        anchors: dict[str, list[tuple[int, str, Fraction]]] = {}
        for name, source in self.map.registers.items():
            anchors[name] = []
            for term in source.terms:
                obis = with_integral(term.obis, 8)
                if obis not in listed:
                    raise MapMismatchError(f"the meter has no cumulative register {obis} to anchor its increments on")
                scaler, factor = self._scale(listed[obis], obis, term)
                anchors[name].append((listed[obis], obis, factor * Fraction(10) ** scaler))
        return anchors

    def _registers_now(self) -> Values:
        values: Values = {}
        for name, anchors in self._anchors.items():
            values[name] = Fraction(0)
            for class_id, obis, factor in anchors:
                data = self._reader.get(CaptureObject(class_id, obis, 2).cosem_attribute())
                if not axdr.is_integer(data):
                    raise MapMismatchError(f"the meter shows {obis} with type {data[0]}, which is not a whole number")
                values[name] += data[1] * factor
            whole_wh(name, values[name])
        return values

    def _rows_of_increments(self, increments: Increments, since: int, until: int) -> list[IntervalRow]:
        """Rows from increments: all from the last known value to the newest row, whatever is asked for of them."""
        profile = self._describe()
        self._apdus.clear()
        start = since if increments.newest is None else min(since, increments.newest)
        raw = self._fetch(profile, start, max(until, int(self._now()) + self.map.capture_period))
        found, flags = self._good_increments(profile, raw)
        known = increments.settle(found, self._registers_now)
        evidence = hashlib.sha256(b"".join(self._apdus)).digest()[:16]
        rows: list[IntervalRow] = []
        modulus = self.map.rollover_wh
        for end in sorted(found):
            if since < end <= until and end in known:
                values, more = known[end]
                whole = {
                    name: int(wh // 1) if modulus is None else int(wh // 1) % modulus for name, wh in values.items()
                }
                rows.append(IntervalRow(interval_end=end, flags=flags[end] | more, evidence=evidence, **whole))
        return rows

    def _good_increments(self, profile: Profile, raw: list[ProfileRow]) -> tuple[dict[int, Values], dict[int, int]]:
        """Wh and flags by boundary, of intervals with exactly one row, which is valid and ends on the boundary."""
        times = LocalTime(self.map.clock)
        status_at = _status_index(profile)
        period = self.map.capture_period
        found: dict[int, Values] = {}
        flags: dict[int, int] = {}
        seen: set[int] = set()
        for row in raw:
            end = None if row.time is None else times.unix(row.time)
            if row.time is None or end is None:
                continue
            boundary = -(-end // period) * period
            single = boundary not in seen
            seen.add(boundary)
            found.pop(boundary, None)
            bits = _flags(row.time.status, None if status_at is None else row.values[status_at])
            values = {name: self._exact(columns, row, name) for name, columns in self._columns.items()}
            if not single or end != boundary or bits is None or any(value is None for value in values.values()):
                continue
            found[boundary] = {name: value for name, value in values.items() if value is not None}
            flags[boundary] = bits
        return found, flags

    def _rows(self, since: int, until: int) -> list[IntervalRow]:
        if self._increments is not None:
            return self._rows_of_increments(self._increments, since, until)
        profile = self._describe()
        self._apdus.clear()
        raw = self._fetch(profile, since, until)
        evidence = hashlib.sha256(b"".join(self._apdus)).digest()[:16]
        rows = self._take(profile, raw, since, until, evidence)
        return rows

    def _fetch(self, profile: Profile, since: int, until: int) -> list[ProfileRow]:
        """Rows after `since` up to `until`, and perhaps others, in the order of their capture.

        By range; where the meter refuses that, the newest by entry; where it refuses that too, the whole buffer.
        """
        rows = self._selected(profile, since, until)
        return rows[::-1] if profile.newest_first else rows

    def _selected(self, profile: Profile, since: int, until: int) -> list[ProfileRow]:
        obis = self.map.profile
        selective = self._client.conformance & SELECTIVE_ACCESS != 0
        times_known = self._deviation is not None or self.map.clock != "deviation"
        if self._by_range and selective and times_known:
            try:
                found = self._reader.rows(obis, profile, self._range(profile, since, until))
                if not self._range_proven:
                    self._range_proven = bool(self._take(profile, found, since, until, b""))
                if self._range_proven:
                    return found
            except (DataAccessError, ServiceError) as error:
                if self._range_proven and isinstance(error, ServiceError):
                    self._line.note(error.code)  # this once, as in the middle of its blocks
                else:
                    self._by_range = False
            # Nothing, by a selection that has never worked: the rows themselves show whether that is so.
            self._apdus.clear()
        rows = self._newest(profile, since) if self._by_entry and selective else None
        if rows is None:
            self._apdus.clear()
            rows = self._reader.rows(obis, profile)
        if self._by_range and times_known and not self._range_proven and self._take(profile, rows, since, until, b""):
            self._by_range = False
        return rows

    def _newest(self, profile: Profile, since: int) -> list[ProfileRow] | None:
        """The newest rows, by entry, back to `since`; None where the meter cannot do that."""
        try:
            count = self._reader.entries_in_use(self.map.profile)
            elapsed = max(0, int(self._now()) - since)
            wanted = min(count, elapsed // self.map.capture_period + ENTRY_MARGIN)
            if wanted <= 0:
                return None
            first, last = (1, wanted) if profile.newest_first else (count - wanted + 1, count)
            rows = self._reader.rows(self.map.profile, profile, Selection.by_entry(first, last))
        except (DataAccessError, ServiceError):
            self._by_entry = False
            return None
        if len(rows) != wanted:
            return None
        times = LocalTime(self.map.clock)
        oldest = rows[-1 if profile.newest_first else 0].time
        start = None if oldest is None else times.unix(oldest)
        return rows if wanted == count or (start is not None and start <= since) else None

    def _range(self, profile: Profile, since: int, until: int) -> Selection:
        at = profile.clock_index
        assert at is not None  # noqa: S101 - _describe has refused such a profile
        column = profile.columns[at]
        times = LocalTime(self.map.clock)
        margin = 0 if times.convention == "utc" else RANGE_MARGIN
        low, high = times.local(since + 1 - margin, self._deviation), times.local(until + margin, self._deviation)
        restricting = (CLOCK, obis_bytes(column.obis), column.attribute, column.data_index)
        return Selection.by_range(restricting, (OCTET_STRING, low.to_bytes()), (OCTET_STRING, high.to_bytes()))

    def _take(
        self, profile: Profile, raw: list[ProfileRow], since: int, until: int, evidence: bytes
    ) -> list[IntervalRow]:
        """Rows that may be signed: valid, on a boundary, in (since, until]; of doubled times the last captured."""
        times = LocalTime(self.map.clock)
        status_at = _status_index(profile)
        taken: dict[int, IntervalRow] = {}
        for row in raw:
            end = None if row.time is None else times.unix(row.time)
            if row.time is None or end is None or not since < end <= until or end % self.map.capture_period:
                continue
            flags = _flags(row.time.status, None if status_at is None else row.values[status_at])
            if flags is None:
                continue
            if end in taken:
                flags |= FLAG_CLOCK_ADJUSTED
            values = {name: self._energy(columns, row, name) for name, columns in self._columns.items()}
            if any(value is None for value in values.values()):
                continue
            numbers = {name: value for name, value in values.items() if value is not None}
            taken[end] = IntervalRow(interval_end=end, flags=flags, evidence=evidence, **numbers)
        return [taken[end] for end in sorted(taken)]

    def _energy(self, columns: list[_Column], row: ProfileRow, name: str) -> int | None:
        """Wh of a register, rounded down; None where the meter captured nothing."""
        energy = self._exact(columns, row, name)
        return None if energy is None else int(energy // 1)

    def _exact(self, columns: list[_Column], row: ProfileRow, name: str) -> Fraction | None:
        energy = Fraction(0)
        for column in columns:
            data = row.values[column.index]
            if data[0] == axdr.NULL:
                return None
            if not axdr.is_integer(data):
                from edge_agent.dlms.push.interpret import TYPE_NAMES  # noqa: PLC0415  (of no other use to this driver)

                raise MapMismatchError(
                    f"the meter captures {name} as {TYPE_NAMES.get(data[0], data[0])}, which is not a whole number: "
                    "let the map name a register that is, or have the meter's profile changed"
                )
            scaler: int | None = column.scaler
            if column.scaler_index is not None:
                scaler = captured_scaler(row.values[column.scaler_index], UNIT_WH)
                if scaler is None:
                    raise MapMismatchError(f"a row of the load profile was captured while {name} did not count Wh")
            energy += data[1] * Fraction(10) ** (scaler or 0) * column.factor
        whole_wh(name, energy)
        return energy


def _status_index(profile: Profile) -> int | None:
    """The column of the profile's status (0-b:96.10.e.255), or None."""
    for at, column in enumerate(profile.columns):
        name = obis_bytes(column.obis)
        if column.class_id == 1 and name[0] == 0 and name[2:4] == b"\x60\x0a":
            return at
    return None


def _flags(clock_status: int, status: Data | None) -> int | None:
    """The record's flags for a row; None where it must not be signed (clock invalid, data not valid)."""
    flags = 0
    if clock_status != STATUS_UNSPECIFIED:
        if clock_status & STATUS_INVALID:
            return None
        if clock_status & STATUS_DOUBTFUL:
            flags |= FLAG_DATA_DOUBTFUL
    bits = 0
    if status is not None and axdr.is_integer(status):
        bits = status[1] & 0xFF
    elif status is not None and status[0] == axdr.BIT_STRING and len(status[1]) >= 8:
        bits = int(status[1][7::-1], 2)
    elif status is not None:
        flags |= FLAG_DATA_DOUBTFUL  # it says something, but nobody knows what
    if bits & (_CLOCK_INVALID | _DATA_NOT_VALID):
        return None
    if bits & _CRITICAL_ERROR:
        flags |= FLAG_DATA_DOUBTFUL
    if bits & _CLOCK_ADJUSTED:
        flags |= FLAG_CLOCK_ADJUSTED
    if bits & _POWER_DOWN:
        flags |= FLAG_POWER_FAILURE
    return flags
