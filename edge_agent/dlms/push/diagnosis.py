"""Why bytes on a line are not a telegram: what a person should look at first, by what the bytes look like."""

from __future__ import annotations

from edge_agent.dlms import sml
from edge_agent.dlms.iec62056_21.p1 import find_telegram, without_parity

_TIC = (b"\nADCO ", b"\nADSC\t", b"\nEAST\t", b"\nBASE ", b"\nPAPP ", b"\nSINSTS\t")
"""How lines of tele-information begin, in its two modes."""


def speaks_unasked(data: bytes) -> str | None:
    """What a meter sends that was not asked for it, where that is sure; telegrams of DLMS may come beside answers."""
    if sml.START in data:
        return "SML"
    start = find_telegram(data)
    return "P1" if start >= 0 and b"(" in data[start:] and b"\n" in data[start:] else None


def likely_cause(data: bytes, baudrate: int = 0, bytesize: int = 8, parity: str = "N") -> str:
    """A sentence for a person: speed, parity, an inverted cable, another protocol. The line's settings are for it."""
    line = f"{baudrate} {bytesize}{parity}1" if baudrate else "this speed and format"
    size = len(data)
    if sml.ESCAPE in data:
        return (
            f"the meter speaks SML, and no file of it arrives whole at {line}: most of these meters send with 9600 "
            "8N1; turn the optical head until it sits straight, and keep bright light from it"
        )
    if size < 8:
        return f"only {size} bytes came: check the cable and its contacts"
    texts = sum(byte in b"\r\n\t" or 0x20 <= byte < 0x7F for byte in data)
    if _is_inverted(data):
        return (
            f"the last {size} bytes look like those of an inverted line: P1 needs a cable that inverts the data "
            "line (or one that does not, where the adapter inverts it already)"
        )
    stripped, had_parity = without_parity(data)
    if texts > 0.95 * size or (had_parity and sum(0x20 <= byte < 0x7F for byte in stripped) > 0.8 * size):
        if any(group in stripped for group in _TIC):
            return "the meter speaks French tele-information (TIC), which is not read: it cannot be metered here"
        shown = bytes(byte for byte in stripped[:40] if 0x20 <= byte < 0x7F).decode("ascii")
        return (
            f"what comes is text, but no telegram ({shown!r} ...): is this a login console of the gateway itself "
            "(`systemctl stop serial-getty@...`), or ModemManager asking (AT...)?"
            if b"login" in stripped or b"AT" in stripped
            else f"what comes is text, but no whole telegram ({shown!r} ...): is the line at its right speed, and the "
            "first line of the telegram among what comes?"
        )
    if data.count(b"\x00") + data.count(b"\xff") > size // 2:
        return f"most bytes are 00 or FF: the speed is another than {line}, or the line is inverted or not connected"
    framed = data.count(b"\x7e") + data.count(b"\x68") + data.count(b"\xdb")
    if framed >= 2 and parity == "N":
        return (
            f"there are marks of frames in it, and none is whole at {line}: wired M-Bus has 2400 baud and parity "
            "E, and with a wrong parity every other byte is lost"
        )
    return (
        f"bytes come, and nothing in them starts a telegram: try another speed and parity than {line} "
        "(`edge-agent scan --listen`)"
    )


def _is_inverted(data: bytes) -> bool:
    """Whether the bits of a line of text arrive upside down: few bytes have a low top bit, and turned they are text."""
    turned = bytes(byte ^ 0xFF for byte in data)
    if sum(0x20 <= byte < 0x7F or byte in b"\r\n" for byte in turned) > 0.9 * len(data):
        return True
    # Start and stop bits are exchanged too: what is read is one bit late, and its top bit is mostly set.
    late = sum(byte & 0x80 != 0 for byte in data)
    return late > 0.85 * len(data) and data.count(b"\xff") < len(data) // 2
