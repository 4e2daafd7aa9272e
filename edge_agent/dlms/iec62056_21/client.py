"""The reader's side of IEC 62056-21: sign-on, then a read-out (modes A to C) or mode E's hand-over to HDLC. No I/O, no
clock.

A conversation is a generator. It yields what to do: ("write", bytes), ("line", baud rate, bytesize, parity), ("read",)
and is sent the bytes that a read gave, none for silence. It returns its result. What went wrong in a try that was
repeated is added to `faults`, by code.
"""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError, LinkError
from edge_agent.dlms.iec62056_21.messages import (
    ACK,
    BAUD_RATES,
    INITIAL_BAUD_RATE,
    OPTION_HDLC,
    OPTION_READOUT,
    Identification,
    option_select,
    read_readout,
    request,
    strip_parity,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    Conversation = Generator[tuple[Any, ...], bytes, Any]

RETRIES = 3
MAX_NOISE = 4096


def sign_on(
    address: str = "", initial_baud_rate: int = INITIAL_BAUD_RATE, faults: list[str] | None = None
) -> Conversation:
    """The meter's Identification; LinkError `no_answer` or `bad_identification` after three tries."""
    identification, _ = yield from _sign_on(address, initial_baud_rate, faults)
    return identification


def _sign_on(address: str, initial_baud_rate: int, faults: list[str] | None) -> Conversation:
    """The Identification, and what came behind it."""
    seen = buffer = b""
    for number in range(RETRIES):
        if number and faults is not None:
            faults.append("bad_identification" if buffer else "no_answer")
        yield ("line", initial_baud_rate, 7, "E")
        yield ("write", request(address))
        buffer = b""
        while True:
            data = yield ("read",)
            if not data:
                break
            buffer = (buffer + strip_parity(data))[-MAX_NOISE:]
            seen = buffer
            # An optical head echoes what it sends: that line starts with `/?`.
            start = buffer.find(b"/")
            while start >= 0 and buffer[start : start + 2] == b"/?":
                start = buffer.find(b"/", start + 1)
            if start >= 0 and b"\n" in buffer[start:]:
                end = buffer.find(b"\n", start) + 1
                try:
                    return Identification.from_bytes(buffer[start:end]), buffer[end:]
                except DecodeError:
                    break
    if seen:
        raise LinkError(
            "bad_identification",
            f"something answers, but not with an identification: {seen[:24]!r} (another speed than {initial_baud_rate} "
            "7E1, or a head that swaps light and dark)",
        )
    raise LinkError(
        "no_answer",
        f"no answer to the sign-on (/?{address}!) at {initial_baud_rate} baud: check the optical head and its position"
        + (
            ", and the device address"
            if address
            else ", or give the device address where several meters share the line"
        ),
    )


def read_out(
    address: str = "",
    initial_baud_rate: int = INITIAL_BAUD_RATE,
    change_speed: bool = True,
    faults: list[str] | None = None,
) -> Conversation:
    """Modes A, B and C: (Identification, lines of the read-out). LinkError `bad_bcc` and the like after three tries.

    Some meters offer another speed and keep the first: after a try that failed the read-out is asked for at that, and
    without change_speed always.
    """
    error: DecodeError | None = None
    steady = not change_speed
    for _ in range(RETRIES):
        identification, buffer = yield from _sign_on(address, initial_baud_rate, faults)
        mode = identification.mode
        if mode == "C":
            same = [character for character, rate in BAUD_RATES.items() if rate == initial_baud_rate]
            baud = (same or [identification.baud_character])[0] if steady else identification.baud_character
            yield ("write", option_select(baud, OPTION_READOUT))
        if mode != "A" and not steady:
            yield ("line", identification.baud_rate, 7, "E")
        if mode == "B":
            buffer = b""  # what came while the speed changed
        while True:
            data = yield ("read",)
            if not data:
                error = DecodeError("cut_short", "the read-out breaks off", len(buffer))
                break
            buffer += data
            try:
                lines, _ = read_readout(buffer)
            except DecodeError as found:
                error = found
                break
            if lines is not None:
                return identification, lines
        steady = not (change_speed and steady)
        if faults is not None:
            faults.append(error.code)
    message = (
        f"the read-out stays damaged after {RETRIES} tries: {error}; it was asked for at the speed that the meter "
        f"offers and at {initial_baud_rate} baud: check the optical head's position, and the speed"
    )
    raise LinkError("bad_readout" if error is None else error.code, message)


def hand_over(
    address: str = "", initial_baud_rate: int = INITIAL_BAUD_RATE, faults: list[str] | None = None
) -> Conversation:
    """Mode E: the Identification, with the line switched to the agreed speed, 8N1, ready for HDLC's SNRM.

    LinkError `no_hdlc` where the meter does not offer it, `no_hand_over` where it does not acknowledge.
    """
    for _ in range(RETRIES):
        identification = yield from sign_on(address, initial_baud_rate, faults)
        if not identification.offers_hdlc:
            raise LinkError("no_hdlc", f"{identification.identification!r} offers no hand-over to HDLC (mode E)")
        message = option_select(identification.baud_character, OPTION_HDLC, "2")
        yield ("write", message)
        buffer = b""
        while True:
            data = yield ("read",)
            if not data:
                break
            buffer += strip_parity(data)
            # One acknowledgement is an echo of ours, where the head echoes; either will do.
            if buffer.find(bytes((ACK,))) >= 0 and b"\n" in buffer[buffer.find(bytes((ACK,))) :]:
                yield ("line", identification.baud_rate, 8, "N")
                return identification
        if faults is not None:
            faults.append("no_hand_over")
    raise LinkError("no_hand_over", "the meter does not acknowledge the hand-over to HDLC (mode E)")
