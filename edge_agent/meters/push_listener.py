"""The driver for meters that only push: it listens all the time, and the first telegram after a boundary is its row."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from edge_agent.dlms.push.telegram import Keys, Telegram, decode_telegrams
from edge_agent.dlms.push.unframe import detect_link, has_noise
from edge_agent.meters.driver import IntervalRow, Observer
from edge_agent.meters.errors import BadAnswerError, MeterError, MeterTimeoutError, WrongPasswordError
from edge_agent.meters.faults import Faults
from edge_agent.meters.iec21 import watt_hours
from edge_agent.meters.transport import SerialTransport, Transport
from edge_agent.wire.reading import FLAG_SAMPLED

if TYPE_CHECKING:
    from edge_agent.config import MeterSettings
    from edge_agent.dlms.errors import DlmsError
    from edge_agent.wire.meter_map import MeterMap

QUIET = 0.4
"""Seconds of silence that end a telegram."""

MAX_TELEGRAM = 1 << 17
POWER_AGE = 90.0
"""Seconds for which a telegram's power counts as that of the moment; meters push it every 2 to 60 s."""

KEPT_ROWS = 4096

MAX_DAMAGED = 3
"""Telegrams with a wrong tag in a row, after good ones, until the key is taken to have changed."""

_IMPORT, _EXPORT = ":1.7.0.255", ":2.7.0.255"
_WATTS = {"W": 1, "kW": 1000}


class PushDriver:
    """One meter that pushes. A thread reads the line; rows wait until they are asked for.

    A telegram's arrival is its time. Values without a unit count Wh; the map's ratio scales them where they do not. A
    damaged telegram makes no row, the next good one does; a telegram whose tag is right but whose invocation counter is
    not above the last is a replay, and makes none.
    """

    def __init__(
        self,
        settings: MeterSettings,
        meter_map: MeterMap,
        *,
        observe: Observer | None = None,
        open_transport: Callable[[], Transport] | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.map = meter_map
        self.keys = Keys(settings.key, settings.auth_key)
        self._observe = observe or (lambda stage, count: None)
        self._now = now
        self._monotonic = monotonic
        self._transport = (open_transport or self._open_serial)()
        self._lock = threading.Condition()
        self._rows: deque[IntervalRow] = deque(maxlen=KEPT_ROWS)
        self._name: str | None = None
        self._watts: int | None = None
        self._heard_at = 0.0
        self._gone: MeterError | None = None
        self._unread = False
        self._failure: MeterError | None = None
        self._heard = False
        self._faults = Faults()
        self._counters: dict[bytes, int] = {}
        self._wrong_tags = 0
        self._last: tuple[object, ...] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"push-{settings.name}", daemon=True)
        self._thread.start()

    def _open_serial(self) -> Transport:
        settings = self.settings
        return SerialTransport(
            settings.port,
            settings.baudrate,
            settings.bytesize,
            settings.parity,
            settings.stopbits,
            keep_parity=True,
        )

    @property
    def faults(self) -> Faults:
        """What went wrong on the line, by code, the last of it since the driver was opened.

        `noise` and `repeated_telegram` cost nothing; any other code a telegram.
        """
        with self._lock:
            return self._faults.copy()

    def close(self) -> None:
        """Stop listening and free the line."""
        self._closing.set()
        self._thread.join(5.0)
        self._transport.close()

    def _listen(self) -> None:
        buffer = b""
        while not self._closing.is_set():
            try:
                data = self._transport.read(QUIET)
            except MeterError as error:
                with self._lock:
                    self._gone = error
                self._fail(error)
                return
            buffer += data
            if buffer and (not data or len(buffer) > MAX_TELEGRAM):
                self.take(buffer, self._now())
                buffer = b""

    def _fail(self, error: MeterError) -> None:
        with self._lock:
            self._failure = error
            self._faults.append(error.code)
            self._lock.notify_all()

    def _note(self, code: str) -> None:
        with self._lock:
            self._faults.append(code)

    def take(self, data: bytes, arrived: float) -> None:
        """What came between two silences, at a Unix time."""
        self._observe("bytes", len(data))
        link = detect_link(data)
        if has_noise(data, link):
            self._note("noise")
        for telegram in decode_telegrams(data, link, self.keys):
            if telegram.errors:
                self._fail(self._meter_error(telegram.errors[0]))
                continue
            try:
                if self._is_new(telegram):
                    self._keep(telegram, arrived, hashlib.sha256(data).digest()[:16])
            except MeterError as caught:
                self._fail(caught)

    def _is_new(self, telegram: Telegram) -> bool:
        """Whether it may make a row; BadAnswerError `replayed_counter`."""
        values = sorted((code, reading.value, reading.unit) for code, reading in telegram.values.items())
        this = (telegram.time, telegram.invocation_counter, values)
        if this == self._last and (telegram.time is not None or telegram.invocation_counter is not None):
            self._note("repeated_telegram")
            return telegram.invocation_counter is None
        self._last = this
        title, counter = telegram.system_title, telegram.invocation_counter
        if not telegram.authenticated or title is None or counter is None:
            return True
        last = self._counters.get(title, -1)
        if counter <= last:
            raise BadAnswerError(
                f"the meter's invocation counter {counter} was used already, the last was {last}: restart edge-agent "
                "if the meter was exchanged for one with the same system title",
                "replayed_counter",
            )
        self._counters[title] = counter
        self._wrong_tags = 0
        return True

    def _meter_error(self, error: DlmsError) -> MeterError:
        """The error in the driver's terms: a wrong tag after right ones is damage, until that goes on."""
        if error.code == "wrong_key" and self._counters and self._wrong_tags < MAX_DAMAGED:
            self._wrong_tags += 1
            return BadAnswerError("a telegram's tag is wrong, as of a damaged one: those before were right", "bad_tag")
        if error.code in ("wrong_key", "missing_key", "wrong_system_title"):
            return WrongPasswordError(str(error), error.code)
        return BadAnswerError(str(error), error.code)

    def _keep(self, telegram: Telegram, arrived: float, evidence: bytes) -> None:
        readings = telegram.values
        self._observe("framed", 1)
        if telegram.ciphered:
            self._observe("decrypted", 1)
        with self._lock:
            self._heard = True
            self._heard_at = self._monotonic()
            if telegram.meter is not None:
                self._name = telegram.meter
            elif self._name is None and telegram.system_title:
                self._name = telegram.system_title.hex()
            self._watts = self._power_of(telegram)
        boundary = int(arrived) // self.map.capture_period * self.map.capture_period
        if not all(source.obis in readings for source in self.map.registers.values()):
            with self._lock:
                self._lock.notify_all()
            return  # a shorter list; the one with the registers comes less often
        registers = {
            name: watt_hours(
                readings[source.obis].value, readings[source.obis].unit, source.sign, self.map.ratio, source.obis
            )
            for name, source in self.map.registers.items()
        }
        with self._lock:
            self._failure = None
            while self._rows and self._rows[-1].interval_end > boundary:
                self._rows.pop()  # the gateway's clock was set back: that boundary has not come yet
            if not self._rows or self._rows[-1].interval_end < boundary:
                self._unread = True
                self._rows.append(
                    IntervalRow(interval_end=boundary, flags=FLAG_SAMPLED, evidence=evidence, **registers)
                )
            self._lock.notify_all()

    def _power_of(self, telegram: Telegram) -> int | None:
        total: Fraction | None = None
        for code, reading in telegram.values.items():
            sign = 1 if code.endswith(_IMPORT) else -1 if code.endswith(_EXPORT) else 0
            if sign and reading.value is not None and reading.unit in (None, *_WATTS):
                try:
                    watts = Fraction(reading.value) * _WATTS[reading.unit or "W"]
                except (ValueError, ZeroDivisionError):
                    continue
                total = (total or 0) + sign * watts
        return None if total is None else int(total * Fraction(*self.map.ratio) // 1)

    def _wait(self, ready: Callable[[], bool]) -> None:
        with self._lock:
            self._lock.wait_for(lambda: ready() or self._failure is not None, self.settings.timeout)
            if not ready():
                if self._failure is not None:
                    raise self._failure
                raise MeterTimeoutError(
                    f"the meter on {self.settings.port} pushed nothing in {self.settings.timeout:g} s"
                )

    def identity(self) -> str:
        """The meter's name in its telegrams; the system title in hex where they have none."""
        self._wait(lambda: self._name is not None)
        return self._name or ""

    def clock_deviation(self) -> int | None:
        """Not known: a row's time is the gateway's."""
        return None

    def power(self) -> int | None:
        """Watts of the last telegram; None where that is older than POWER_AGE. What ended the line is raised, so that
        it is opened anew, but not before the rows that came over it were asked for."""
        with self._lock:
            if self._gone is not None:
                if self._unread:
                    return None
                raise self._gone
        self._wait(lambda: self._heard)
        with self._lock:
            return self._watts if self._monotonic() - self._heard_at <= POWER_AGE else None

    def rows(self, since: int, until: int) -> list[IntervalRow]:
        """The boundaries in (since, until] after which a telegram has come."""
        with self._lock:
            self._unread = False
            found = [row for row in self._rows if since < row.interval_end <= until]
            if not found and self._failure is not None:
                raise self._failure
        return found
