"""The lines, serial ports and network modules: a thread for each, so that one silent meter delays no other line.

A thread reads its meters one after another when the agent asks, and asks for live power in between. Whatever goes wrong
on a line comes back as a result with an error; the thread goes on.
"""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edge_agent import log
from edge_agent.config import MeterSettings
from edge_agent.log import logger
from edge_agent.meters import IntervalRow, MeterDriver, MeterError, Observer, PortUnavailableError, WrongMeterError
from edge_agent.meters.faults import Faults
from edge_agent.wire.meter_map import MeterMap

T = TypeVar("T")
OpenMeter = Callable[[MeterSettings, MeterMap, Observer], MeterDriver]


@dataclass(frozen=True)
class ReadRequest:
    """Read these meters' rows after `since` (Unix seconds each) up to the boundary."""

    boundary: int
    since: Mapping[str, int]


@dataclass(frozen=True)
class MeterRead:
    """What came of reading one meter: its rows after `since` up to the boundary, oldest first, or the error. note: why
    there may be no row yet although nothing is wrong."""

    meter: str
    since: int
    boundary: int
    rows: tuple[IntervalRow, ...]
    clock_deviation: int | None
    error: Exception | None
    note: str | None = None


@dataclass(frozen=True)
class PowerRead:
    """Live power of one meter in W (import positive) at a time in Unix seconds, or the error."""

    meter: str
    power_w: int | None
    time: int
    error: Exception | None


LineEvent = MeterRead | PowerRead


class MeterLine:
    """One line, a serial port or a network module, and its meters.

    emit takes results; clock gives Unix seconds; observe is told (meter, stage, count) as bytes come in.

    A meter that has the line to itself keeps its association; meters that share one are opened one after another.
    """

    def __init__(
        self,
        port: str,
        meters: Sequence[MeterSettings],
        open_meter: OpenMeter,
        emit: Callable[[LineEvent], None],
        clock: Callable[[], float],
        *,
        live_seconds: int,
        observe: Callable[[str, str, int], None],
    ) -> None:
        self.port = port
        self.meters = {meter.name: meter for meter in meters}
        self._open_meter = open_meter
        self._emit = emit
        self._clock = clock
        self._live_seconds = live_seconds
        self._observe = observe
        self._requests: queue.SimpleQueue[ReadRequest | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._drivers: dict[str, MeterDriver] = {}
        self._told: dict[str, int] = {}  # how many of a driver's faults were logged
        self._thread = threading.Thread(target=self._run, name=f"port-{port}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def request(self, request: ReadRequest) -> None:
        """Have meters read: one MeterRead follows for each."""
        self._requests.put(request)

    def close(self, timeout: float = 10.0) -> None:
        """Stop after the exchange in hand and free the line."""
        self._closing.set()
        self._requests.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        next_live = time.monotonic()
        while not self._closing.is_set():
            wait = max(0.0, next_live - time.monotonic()) if self._live_seconds else None
            try:
                request = self._requests.get(timeout=wait)
            except queue.Empty:
                self.poll_power()
                next_live = time.monotonic() + self._live_seconds
                continue
            if request is None:
                break
            self.handle(request)
        for name in list(self._drivers):
            self._close(name)

    def handle(self, request: ReadRequest) -> None:
        """Read the meters of a request. The thread calls it; a test may, in its own."""
        for name, since in request.since.items():

            def read(driver: MeterDriver, name: str = name, since: int = since) -> MeterRead:
                rows, deviation = driver.rows(since, request.boundary), driver.clock_deviation()
                self._tell_mended(name, driver)
                note = None if rows else getattr(driver, "waits_for", None)
                return MeterRead(name, since, request.boundary, tuple(rows), deviation, None, note)

            try:
                result = self._with_driver(name, read)
            except Exception as caught:  # noqa: BLE001 - a fault of one driver stops no other meter
                result = MeterRead(name, since, request.boundary, (), None, self._explain(name, caught))
            self._emit(result)

    def _tell_mended(self, name: str, driver: MeterDriver) -> None:
        """Log what went wrong on the line and cost nothing but a retry: a cable that ages shows here first."""
        faults = getattr(driver, "faults", None)
        if not isinstance(faults, Faults):
            return
        new = faults.since(self._told.get(name, 0))
        self._told[name] = faults.total
        if new:
            counts = ", ".join(f"{code} ({count})" for code, count in Counter(new).items())
            log.info("the line was disturbed, and repaired", meter=name, faults=counts)

    def poll_power(self) -> None:
        """Read live power of every meter on the line."""
        for name in self.meters:
            if self._closing.is_set() or not self._requests.empty():
                return  # a boundary's readings come first
            power: int | None = None
            error: Exception | None = None
            try:
                power = self._with_driver(name, lambda driver: driver.power())
            except Exception as caught:  # noqa: BLE001 - as above
                error = self._explain(name, caught)
            self._emit(PowerRead(name, power, int(self._clock()), error))

    def _with_driver(self, name: str, use: Callable[[MeterDriver], T]) -> T:
        """Use a meter's driver, opened where it is not; one kept from before that fails is opened again, once."""
        kept = name in self._drivers
        try:
            return self._use(name, use)
        except MeterError:
            if not kept or name in self._drivers:
                raise
            return self._use(name, use)

    def _use(self, name: str, use: Callable[[MeterDriver], T]) -> T:
        try:
            if name not in self._drivers:
                settings = self.meters[name]
                driver = self._open_meter(settings, settings.map, functools.partial(self._observe, name))
                self._drivers[name] = driver
                if not getattr(driver, "names_every_row", False):
                    self._check_name(driver.identity(), settings)
            result = use(self._drivers[name])
        except BaseException as error:
            # Who listens goes on listening, whatever was wrong with what was heard, while there is a line.
            listens = self.meters[name].protocol == "push"
            if not (listens and isinstance(error, MeterError) and not isinstance(error, PortUnavailableError)):
                self._close(name)
            raise
        if len(self.meters) > 1:
            self._close(name)
        return result

    def _check_name(self, identity: str, settings: MeterSettings) -> None:
        if identity != settings.map.logical_device_name:
            raise WrongMeterError(
                f"the meter on {self.port} says that it is {identity!r}, the map says "
                f"{settings.map.logical_device_name!r}; check the wiring, or enrol the meter that is connected there"
            )

    def _close(self, name: str) -> None:
        self._told.pop(name, None)
        driver = self._drivers.pop(name, None)
        if driver is not None:
            try:
                driver.close()
            except Exception:  # noqa: BLE001 - closing a line that is gone says nothing new
                logger.debug("closing a driver failed", exc_info=True)

    def _explain(self, name: str, error: Exception) -> Exception:
        if not isinstance(error, MeterError):
            logger.error("a driver failed unexpectedly", exc_info=error, extra={"fields": {"meter": name}})
        return error
