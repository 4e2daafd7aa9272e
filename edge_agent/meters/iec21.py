"""Runs IEC 62056-21's conversations over a line: mode E's hand-over before HDLC, and the driver for mode C."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from edge_agent.dlms.errors import DecodeError, DlmsError, LinkError
from edge_agent.dlms.iec62056_21.client import hand_over, read_out
from edge_agent.dlms.iec62056_21.messages import INITIAL_BAUD_RATE, Identification, read_line
from edge_agent.dlms.units import SCALERS_OF_WH
from edge_agent.meters.driver import IntervalRow, Observer
from edge_agent.meters.errors import (
    BadAnswerError,
    MapMismatchError,
    MeterError,
    MeterTimeoutError,
    NotDlmsError,
)
from edge_agent.meters.faults import Faults
from edge_agent.meters.transport import SerialTransport, Transport
from edge_agent.wire.reading import FLAG_SAMPLED

if TYPE_CHECKING:
    from edge_agent.config import MeterSettings
    from edge_agent.dlms.iec62056_21.client import Conversation
    from edge_agent.wire.meter_map import MeterMap


class SerialLine(Transport, Protocol):
    """A line whose speed and format can be changed."""

    def set_line(self, baudrate: int, bytesize: int, parity: str) -> None:
        """Change them."""


ANSWER = 2.5
"""Seconds within which a meter must answer (the standard's reaction time is 1.5 s)."""


def run_conversation(
    conversation: Conversation,
    line: SerialLine,
    timeout: float = ANSWER,
    received: Callable[[bytes], None] | None = None,
) -> Any:
    """Drive a conversation to its result; LinkError passes through."""
    answer: bytes = b""
    try:
        step = next(conversation)
        while True:
            answer = b""
            if step[0] == "write":
                line.write(step[1])
            elif step[0] == "line":
                line.set_line(step[1], step[2], step[3])
            else:
                answer = line.read(timeout)
                if received is not None and answer:
                    received(answer)
            step = conversation.send(answer)
    except StopIteration as end:
        return end.value
    finally:
        conversation.close()


def _meter_error(error: DlmsError) -> MeterError:
    if error.code == "no_answer":
        return MeterTimeoutError(str(error))
    if error.code in ("bad_identification", "no_hdlc"):
        return NotDlmsError(str(error), error.code)
    return BadAnswerError(str(error), error.code)


def switch_to_hdlc(
    line: SerialLine,
    address: str = "",
    initial_baud_rate: int = INITIAL_BAUD_RATE,
    timeout: float = ANSWER,
    faults: list[str] | None = None,
) -> Identification:
    """Mode E: leave the line at the agreed speed, ready for SNRM; MeterError. What was repeated is added to faults."""
    line.discard()
    try:
        found: Identification = run_conversation(hand_over(address, initial_baud_rate, faults), line, timeout)
    except LinkError as error:
        raise _meter_error(error) from error
    return found


class ModeCDriver:
    """A meter that only reads out its registers (mode C): one row a boundary, read after it and marked sampled.

    The identity is the device's address in the read-out (0.0.0, C.1.0 or F.F-less identification).
    """

    def __init__(
        self,
        settings: MeterSettings,
        meter_map: MeterMap,
        *,
        open_transport: Callable[[], SerialLine] | None = None,
        now: Callable[[], float] = time.time,
        initial_baud_rate: int = INITIAL_BAUD_RATE,
        observe: Observer | None = None,
    ) -> None:
        self.settings = settings
        self._observe = observe or (lambda stage, count: None)
        self.map = meter_map
        self._now = now
        self._initial = initial_baud_rate
        self.faults = Faults()
        """What went wrong on the line and was mended, by code, since the driver was opened."""
        self._line: SerialLine = (open_transport or self._open_serial)()

    def _open_serial(self) -> SerialLine:
        return SerialTransport(self.settings.port, self._initial)

    def close(self) -> None:
        """Free the line."""
        self._line.close()

    def _read(self) -> tuple[Identification, dict[str, tuple[str, str | None]], bytes]:
        """Identification, values by code, and the read-out as received."""
        raw: list[bytes] = []
        self._line.discard()
        try:
            identification, lines = run_conversation(
                read_out("", self._initial, faults=self.faults),
                self._line,
                max(self.settings.timeout, ANSWER),
                raw.append,
            )
            self._observe("bytes", sum(len(part) for part in raw))
            self._observe("framed", 1)
        except LinkError as error:
            raise _meter_error(error) from error
        values: dict[str, tuple[str, str | None]] = {}
        for line in lines:
            try:
                code, value, unit = read_line(line)
            except DecodeError:
                continue
            values.setdefault(code, (value, unit))
        return identification, values, b"".join(raw)

    def identity(self) -> str:
        """The device's address where the read-out has it, else its identification."""
        identification, values, _ = self._read()
        return self._name(identification, values)

    def _name(self, identification: Identification, values: dict[str, tuple[str, str | None]]) -> str:
        for code in ("1-0:0.0.0.255", "C.1.0", "0-0:96.1.0.255", "0-0:42.0.0.255"):
            if code in values and values[code][0].strip():
                return values[code][0].strip()
        return identification.manufacturer + identification.identification

    def clock_deviation(self) -> int | None:
        """Not known: a row's time is the gateway's."""
        return None

    def power(self) -> int | None:
        """Not read: a read-out takes seconds."""
        return None

    def rows(self, since: int, until: int) -> list[IntervalRow]:
        """The boundary that has just passed, if it lies in (since, until], with the registers as they are now."""
        period = self.map.capture_period
        boundary = int(self._now()) // period * period
        if not since < boundary <= until:
            return []
        identification, values, raw = self._read()
        name = self._name(identification, values)
        if name != self.map.logical_device_name:
            raise MapMismatchError(f"the meter says that it is {name!r}, the map {self.map.logical_device_name!r}")
        if int(self._now()) // period * period != boundary:
            return []  # the next boundary passed while the meter was read out
        registers = {register: self._energy(register, values) for register in self.map.registers}
        evidence = hashlib.sha256(raw).digest()[:16]
        return [IntervalRow(interval_end=boundary, flags=FLAG_SAMPLED, evidence=evidence, **registers)]

    def _energy(self, register: str, values: dict[str, tuple[str, str | None]]) -> int:
        source = self.map.registers[register]
        if source.obis not in values:
            raise MapMismatchError(f"the read-out has no {source.obis}, which the map names")
        return watt_hours(*values[source.obis], source.sign, self.map.ratio, source.obis)


def watt_hours(value: str | None, unit: str | None, sign: int, ratio: tuple[int, int], what: str) -> int:
    """Wh = floor(value x unit x ratio); a value without a unit counts Wh, and the map's ratio scales it."""
    if unit is not None and unit not in SCALERS_OF_WH:
        raise MapMismatchError(f"{what} does not count energy (its unit is {unit})")
    try:
        energy = Fraction((value or "").strip()) * sign * 10 ** SCALERS_OF_WH[unit or "Wh"] * Fraction(*ratio)
    except (ValueError, ZeroDivisionError) as error:
        raise MapMismatchError(f"{what} is {value!r}, which is no number") from error
    if energy < 0:
        raise MapMismatchError(f"{what} is negative on the meter: the map's sign may be wrong")
    return int(energy // 1)
