"""Runs IEC 62056-21's conversations over a line: mode E's hand-over before HDLC, and the driver for mode C."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from edge_agent.dlms.errors import DlmsError, LinkError
from edge_agent.dlms.iec62056_21.client import hand_over, read_out
from edge_agent.dlms.iec62056_21.messages import INITIAL_BAUD_RATE, Identification
from edge_agent.dlms.iec62056_21.p1 import P1Telegram, read_lines
from edge_agent.meters.driver import IntervalRow, Observer
from edge_agent.meters.errors import (
    BadAnswerError,
    MeterError,
    MeterTimeoutError,
    NotDlmsError,
    WrongMeterError,
)
from edge_agent.meters.faults import Faults
from edge_agent.meters.registers import own_name, register_wh
from edge_agent.meters.transport import SerialServerTransport, Transport, open_line
from edge_agent.wire.reading import FLAG_SAMPLED

if TYPE_CHECKING:
    from edge_agent.config import MeterSettings
    from edge_agent.dlms.iec62056_21.client import Conversation
    from edge_agent.wire.meter_map import MeterMap


class AdjustableLine(Transport, Protocol):
    """A line whose speed and format can be changed."""

    def set_line(self, baudrate: int, bytesize: int, parity: str) -> None:
        """Change them."""


ANSWER = 2.5
"""Seconds within which a meter must answer (the standard's reaction time is 1.5 s)."""


def run_conversation(
    conversation: Conversation,
    line: AdjustableLine,
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


def conversation_error(error: DlmsError) -> MeterError:
    """What went wrong in a conversation, in the driver's terms."""
    if error.code == "no_answer":
        return MeterTimeoutError(str(error))
    if error.code in ("bad_identification", "no_hdlc"):
        return NotDlmsError(str(error), error.code)
    return BadAnswerError(str(error), error.code)


def switch_to_hdlc(
    line: AdjustableLine,
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
        raise conversation_error(error) from error
    return found


class ModeCDriver:
    """A meter that only reads out its registers (modes A to C): one row a boundary, read after it and marked sampled.

    The identity is the device's address or number in the read-out, its identification, or what the map says.
    """

    names_every_row = True

    def __init__(
        self,
        settings: MeterSettings,
        meter_map: MeterMap,
        *,
        open_transport: Callable[[], AdjustableLine] | None = None,
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
        """What went wrong on the line and was repaired, by code, since the driver was opened."""
        self._line: AdjustableLine = (open_transport or self._open_line)()

    def _open_line(self) -> AdjustableLine:
        return open_line(self.settings, baudrate=self._initial)

    def close(self) -> None:
        """Free the line."""
        self._line.close()

    def read_out(self) -> tuple[Identification, P1Telegram, bytes]:
        """Identification, values by code, and the read-out as received; MeterError."""
        raw: list[bytes] = []
        self._line.discard()
        settings = self.settings
        # A serial server's line has the speed that it is set to.
        change_speed = settings.change_speed and not isinstance(self._line, SerialServerTransport)
        try:
            identification, lines = run_conversation(
                read_out(settings.address, self._initial, change_speed, self.faults),
                self._line,
                max(settings.timeout, ANSWER),
                raw.append,
            )
            self._observe("bytes", sum(len(part) for part in raw))
            self._observe("framed", 1)
        except LinkError as error:
            raise conversation_error(error) from error
        return identification, read_lines(identification.text, lines), b"".join(raw)

    def identity(self) -> str:
        """The device's number where the read-out has it, else its identification or what the map says."""
        identification, found, _ = self.read_out()
        return self._name(identification, found)

    def _name(self, identification: Identification, found: P1Telegram) -> str:
        identified = (identification.manufacturer + identification.identification, identification.text)
        return own_name(found.meter, identified, None, self.map.logical_device_name)

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
        identification, found, raw = self.read_out()
        name = self._name(identification, found)
        if name != self.map.logical_device_name:
            raise WrongMeterError(f"the meter says that it is {name!r}, the map {self.map.logical_device_name!r}")
        if int(self._now()) // period * period != boundary:
            return []  # the next boundary passed while the meter was read out
        mapped = {term.obis for source in self.map.registers.values() for term in source.terms}
        for code, error in found.doubled.items():
            if code in mapped:
                raise BadAnswerError(str(error), error.code)
        registers = {
            register: register_wh(register, source, self.map.ratio, found.values)
            for register, source in self.map.registers.items()
        }
        evidence = hashlib.sha256(raw).digest()[:16]
        return [IntervalRow(interval_end=boundary, flags=FLAG_SAMPLED, evidence=evidence, **registers)]
