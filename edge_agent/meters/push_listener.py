"""The driver for meters that only push: it listens all the time, and the first telegram after a boundary is its row."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_agent.dlms.push.diagnosis import likely_cause
from edge_agent.dlms.push.stream import LONG_SILENCE, SHORT_SILENCE, Capture, TelegramStream
from edge_agent.dlms.push.telegram import Keys, Telegram
from edge_agent.dlms.push.unframe import RAW, detect_link
from edge_agent.meters.driver import IntervalRow, Observer
from edge_agent.meters.errors import (
    BadAnswerError,
    MapMismatchError,
    MeterError,
    MeterTimeoutError,
    WrongMeterError,
    WrongPasswordError,
)
from edge_agent.meters.faults import Faults
from edge_agent.meters.local_time import seconds_behind
from edge_agent.meters.registers import own_name, power_w, register_wh
from edge_agent.meters.transport import Transport, open_listener
from edge_agent.wire.reading import FLAG_SAMPLED

if TYPE_CHECKING:
    from edge_agent.config import MeterSettings
    from edge_agent.dlms.errors import DlmsError
    from edge_agent.wire.meter_map import MeterMap

POWER_AGE = 90.0
"""Seconds for which a telegram's power counts as that of the moment; meters push it every 2 to 60 s."""

KEPT_ROWS = 4096

MAX_DAMAGED = 3
"""Telegrams with a wrong tag in a row, after good ones, until the key is taken to have changed."""

HOURLY = 3700.0
"""Seconds within which registers come, of a meter whose entry does not say how often: Norway's send them every hour."""

FINEST_PERIOD = 60
"""The shortest capture period, in seconds, of which a telegram's own clock can say that it belongs to another one."""

SAMPLE = 512
"""Bytes that are looked at to say why they are not a telegram."""


class PushDriver:
    """One meter that pushes. A thread reads the line; rows wait until they are asked for.

    A telegram's arrival is its time, and where its own clock says that it belongs to another boundary it makes no
    row. A damaged telegram makes no row, the next good one does; a telegram whose tag is right but whose invocation
    counter is not above the last is a replay, and makes none. Telegrams of other meters on the line are passed over.
    """

    names_every_row = True

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
        self._stream = TelegramStream(Keys(settings.key, settings.auth_key, settings.system_title))
        self._observe = observe or (lambda stage, count: None)
        self._now = now
        self._monotonic = monotonic
        self._transport = (open_transport or (lambda: open_listener(settings)))()
        self._lock = threading.Condition()
        self._rows: deque[IntervalRow] = deque(maxlen=KEPT_ROWS)
        self._name: str | None = None
        self._watts: int | None = None
        self._opened = self._heard_at = monotonic()
        self._registers_at = monotonic()
        self._others: Counter[str] = Counter()
        self._other_at = 0.0
        self._title: bytes | None = None
        self._bytes = 0
        self._sample = b""
        self._framed = False
        self._gone: MeterError | None = None
        self._unread = False
        self._failure: MeterError | None = None
        self._heard = False
        self._nameless = False
        self._shown: dict[str, str] = {}
        self._faults = Faults()
        self._counters: dict[bytes, int] = {}
        self._wrong_tags = 0
        self._last: tuple[object, ...] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"push-{settings.name}", daemon=True)
        self._thread.start()

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
        heard = self._monotonic()
        silent = 0  # how much of a silence has been told to the stream
        while not self._closing.is_set():
            try:
                data = self._transport.read(SHORT_SILENCE)
            except MeterError as error:
                for capture in self._stream.end():
                    self._take(capture, self._now())
                with self._lock:
                    self._gone = error
                self._fail(error)
                return
            arrived, captures = self._now(), []
            if data:
                heard, silent = self._monotonic(), 0
                self._observe("bytes", len(data))
                with self._lock:
                    self._bytes += len(data)
                    self._sample = (self._sample + data)[-SAMPLE:]
                captures = self._stream.receive(data)
            elif silent == 0:
                silent, captures = 1, self._stream.quiet()
            elif silent == 1 and self._monotonic() - heard >= LONG_SILENCE:
                silent, captures = 2, self._stream.end()
            for capture in captures:
                self._take(capture, arrived)

    def _fail(self, error: MeterError) -> None:
        with self._lock:
            self._failure = error
            self._faults.append(error.code)
            self._lock.notify_all()

    def _note(self, code: str) -> None:
        with self._lock:
            self._faults.append(code)

    def take(self, data: bytes, arrived: float) -> None:
        """Bytes that are whole telegrams, at a Unix time."""
        self._observe("bytes", len(data))
        self._take(Capture(data, detect_link(data), self._stream.keys), arrived)

    def _take(self, capture: Capture, arrived: float) -> None:
        if capture.noise:
            self._note("noise")
        self._framed = self._framed or capture.link != RAW or any(telegram.values for telegram in capture.telegrams)
        for telegram in capture.telegrams:
            if not telegram.usable:
                self._fail(self._meter_error(telegram.errors[0]))
                continue
            try:
                if self._is_ours(telegram) and self._is_new(telegram):
                    self._keep(telegram, arrived, hashlib.sha256(capture.data).digest()[:16])
            except MeterError as caught:
                self._fail(caught)

    def _is_ours(self, telegram: Telegram) -> bool:
        """Whether the telegram is this meter's. One without a number is, on a line where nobody tells another."""
        configured = self.map.logical_device_name
        with self._lock:
            if telegram.meter is None and self._name is not None and not self._others:
                if telegram.system_title in (self._title, None):
                    return True
            elif telegram.meter is None and not self._has_registers(telegram):
                # A short list, of a meter that may yet tell its number.
                self._nameless, self._heard_at = True, self._monotonic()
                return False
            identified = () if telegram.identification is None else (telegram.identification,)
            name = own_name(telegram.meter, identified, telegram.system_title, configured)
            if name == configured and (telegram.meter is not None or not self._others):
                self._name, self._title = name, telegram.system_title
                return True
            self._others[name] += 1
            self._other_at = self._other_at or self._monotonic()
            self._faults.append("other_meter")
            self._lock.notify_all()
            return False

    def _has_registers(self, telegram: Telegram) -> bool:
        return all(code in telegram.values for source in self.map.registers.values() for code in source.codes)

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
        now = self._monotonic()
        with self._lock:
            self._heard = True
            self._heard_at = now
            self._watts = self._power_of(telegram)
            self._shown = {code: reading.value or "" for code, reading in readings.items()}
        period = self.map.capture_period
        boundary = int(arrived) // period * period
        if not self._has_registers(telegram):
            with self._lock:
                self._lock.notify_all()
            return  # a shorter list; the one with the registers comes less often
        self._registers_at = now
        behind = None if period < FINEST_PERIOD else seconds_behind(telegram.time, arrived, self.map.clock)
        if behind is not None and int(arrived - behind) // period * period != boundary:
            raise BadAnswerError(
                f"a telegram that came {behind:+.0f} s after its own time ({telegram.time}) belongs to another "
                "boundary and makes no row: it was held up on its way, or meter and gateway do not have the same time; "
                "set the clock that is wrong (and `clock` in the map, where the meter states no offset or a wrong one)",
                "clock_disagrees",
            )
        shown = {code: (reading.value, reading.unit) for code, reading in readings.items()}
        registers = {
            name: register_wh(name, source, self.map.ratio, shown) for name, source in self.map.registers.items()
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
        shown = {code: (reading.value, reading.unit) for code, reading in telegram.values.items()}
        return power_w(shown, self.map.ratio, self.settings.power_unit)

    def identity(self) -> str:
        """The meter's name in its telegrams; where they have none, their system title, identification, or the map's."""
        until = self._monotonic() + self.settings.listen_seconds
        with self._lock:
            while self._name is None and self._gone is None:
                if self._failure is not None and not self._failure.retry:
                    raise self._failure
                # Of several meters on a line ours may be the next to speak.
                enough = self._other_at + self.settings.push_seconds if self._others else until
                left = min(until, enough) - self._monotonic()
                if left <= 0:
                    break
                self._lock.wait(left)
            if self._name is not None:
                return self._name
            if self._others:
                return self._others.most_common(1)[0][0]
            raise self._trouble()

    def _trouble(self) -> MeterError:
        """What is wrong where nothing of this meter was understood. Called with the lock."""
        understood = self._framed or isinstance(self._failure, WrongPasswordError)
        return self._failure if self._failure is not None and understood else self._silence()

    def _silence(self) -> MeterTimeoutError:
        """Why no telegram of this meter has come, as far as can be told. Called with the lock."""
        seconds = f"{self.settings.listen_seconds:g} s"
        where = f"the meter on {self.settings.port}"
        if self._nameless:
            return MeterTimeoutError(
                f"{where} pushes: telegrams come, none with a number yet ({seconds}); where that list comes less "
                "often, say how often in `push_seconds`"
            )
        if self._bytes:
            cause = likely_cause(self._sample, self.settings.baudrate, self.settings.bytesize, self.settings.parity)
            return MeterTimeoutError(f"{where} pushed nothing that is a telegram in {seconds}: {cause}")
        return MeterTimeoutError(
            f"{where} pushed nothing in {seconds}: check the cable, that the meter's port is switched on (many "
            "operators do that on request) and its request line (P1: pin 2 high), or say in `push_seconds` "
            "how often it speaks"
        )

    def clock_deviation(self) -> int | None:
        """Not known: a row's time is the gateway's."""
        return None

    def power(self) -> int | None:
        """Watts of the last telegram; None where that is older than POWER_AGE. What ended the line is raised, so that
        it is opened again, but not before the rows that came over it were asked for; so is a silence of the meter that
        is too long."""
        with self._lock:
            if self._gone is not None:
                if self._unread:
                    return None
                raise self._gone
            self._raise_silence()
            heard = self._heard and self._monotonic() - self._heard_at <= POWER_AGE
            return self._watts if heard else None

    def _raise_silence(self) -> None:
        """Raise what is wrong where the meter has been silent for too long. Called with the lock."""
        longest = self.settings.listen_seconds
        named = self._monotonic() - self._opened <= max(longest, 2 * (self.settings.registers_seconds or 0.0))
        named = named or self._name is not None
        if named and self._monotonic() - max(self._opened, self._heard_at) <= longest:
            return
        if self._others and not self._heard:
            other = self._others.most_common(1)[0][0]
            raise WrongMeterError(
                f"the meter on {self.settings.port} says that it is {other!r}, the map says "
                f"{self.map.logical_device_name!r}; check the wiring, or enrol the meter that is connected there"
            )
        raise self._trouble()

    def rows(self, since: int, until: int) -> list[IntervalRow]:
        """The boundaries in (since, until] after which a telegram has come."""
        with self._lock:
            self._unread = False
            found = [row for row in self._rows if since < row.interval_end <= until]
            if found:
                return found
            if self._failure is not None:
                raise self._trouble()
            self._raise_silence()
            often = self.settings.registers_seconds
            if self._shown and self._monotonic() - self._registers_at > (HOURLY if often is None else 2 * often):
                lacking = sorted(
                    {code for source in self.map.registers.values() for code in source.codes} - set(self._shown)
                )
                raise MapMismatchError(
                    f"telegrams come, but none with {', '.join(lacking) or 'all registers of the map'}; the last had "
                    f"{', '.join(sorted(self._shown))}: correct the map, or say in `registers_seconds` how often "
                    f"they come"
                )
        return []

    @property
    def waits_for(self) -> str | None:
        """Why there may be no row yet although telegrams come; None where that is not so."""
        with self._lock:
            if not self._shown or self._monotonic() - self._registers_at < max(60.0, self.settings.push_seconds):
                return None
            return (
                "telegrams come, without the map's registers; where those come hourly, write registers_seconds = 3600 "
                "into the meter's entry"
            )
