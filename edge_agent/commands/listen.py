"""What `edge-agent read --push` and `--mode-c` do: one look at a meter that pushes, or that is read out by its
sign-on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from edge_agent.dlms.errors import LinkError
from edge_agent.dlms.iec62056_21.client import read_out
from edge_agent.dlms.iec62056_21.p1 import read_lines
from edge_agent.dlms.push.diagnosis import likely_cause
from edge_agent.dlms.push.stream import LONG_SILENCE, SHORT_SILENCE, Capture, TelegramStream
from edge_agent.dlms.push.telegram import Keys, Telegram
from edge_agent.meters.errors import BadAnswerError, MeterError, MeterTimeoutError
from edge_agent.meters.faults import Faults
from edge_agent.meters.iec21 import ANSWER, conversation_error, run_conversation
from edge_agent.meters.transport import SerialLineOptions, SerialServerTransport, Transport, open_line, open_listener

SAMPLE = 512


def heard(transport: Transport, keys: Keys, seconds: float) -> Iterator[Capture | bytes]:
    """What a line brings within so many seconds: captures as they are complete, and the last bytes that came at the
    end."""
    stream, sample = TelegramStream(keys), b""
    until = time.monotonic() + seconds
    last = time.monotonic()
    while (left := until - time.monotonic()) > 0:
        data = transport.read(min(left, SHORT_SILENCE))
        if data:
            last, sample = time.monotonic(), (sample + data)[-SAMPLE:]
            yield from stream.receive(data)
        elif time.monotonic() - last >= LONG_SILENCE:
            yield from stream.end()
        else:
            yield from stream.quiet()
    yield from stream.end()
    yield sample


def read_push(line: SerialLineOptions, keys: Keys, seconds: float) -> dict[str, Any]:
    """The first telegram that tells whose it is, with what shorter ones before it told; MeterError.

    seconds: how long to listen at most.
    """
    transport = open_listener(line)
    best: Telegram | None = None
    values: dict[str, dict[str, str | None]] = {}
    unread: list[str] = []
    failure: MeterError | None = None
    sample = b""
    try:
        for item in heard(transport, keys, seconds):
            if isinstance(item, bytes):
                sample = item
                continue
            for telegram in item.telegrams:
                if not telegram.usable:
                    failure = BadAnswerError(str(telegram.errors[0]), telegram.errors[0].code)
                elif telegram.values:
                    best = telegram
                    unread = [error.message for error in telegram.errors]
                    values.update({code: {"value": r.value, "unit": r.unit} for code, r in telegram.values.items()})
            if best is not None and best.name is not None:
                break
    finally:
        transport.close()
    if best is not None:
        return {"meter": best.name, "clock": best.time, "registers": values, "profile": [], "unread": unread}
    if failure is not None and failure.code != "unknown_apdu":
        raise failure
    if not sample:
        raise MeterTimeoutError(
            f"nothing was pushed in {seconds:g} s: check the cable, and that the port is switched on"
        )
    raise MeterTimeoutError(
        f"no telegram in {seconds:g} s: {likely_cause(sample, line.baudrate, line.bytesize, line.parity)}"
    )


def read_mode_c(line: SerialLineOptions, address: str, change_speed: bool, faults: Faults) -> dict[str, Any]:
    """The read-out of a meter in mode A, B or C; MeterError. line.baudrate is that of the sign-on."""
    transport = open_line(line)
    try:
        transport.discard()
        change_speed = change_speed and not isinstance(transport, SerialServerTransport)
        conversation = read_out(address, line.baudrate, change_speed, faults)
        identification, lines = run_conversation(conversation, transport, max(line.timeout, ANSWER))
    except LinkError as error:
        raise conversation_error(error) from error
    finally:
        transport.close()
    found = read_lines(identification.text, lines)
    values = {code: {"value": value, "unit": unit} for code, (value, unit) in found.values.items()}
    return {
        "meter": found.meter or identification.text,
        "identification": identification.text,
        "clock": found.time,
        "registers": values,
        "profile": [],
        "unread": [error.message for error in found.errors],
    }
