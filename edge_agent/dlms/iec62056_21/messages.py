"""The messages of IEC 62056-21, modes A to E: sign-on, identification, option select, and the data read-out."""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError

SOH, STX, ETX, ACK, NAK = 0x01, 0x02, 0x03, 0x06, 0x15

BAUD_RATES = {"0": 300, "1": 600, "2": 1200, "3": 2400, "4": 4800, "5": 9600, "6": 19200}
BAUD_RATES_OF_B = {"A": 600, "B": 1200, "C": 2400, "D": 4800, "E": 9600, "F": 19200}
"""Mode B: the meter goes on at this speed by itself."""
INITIAL_BAUD_RATE = 300

OPTION_READOUT = "0"
OPTION_HDLC = "2"

MAX_READOUT = 1 << 16


def request(address: str = "") -> bytes:
    """`/?ADDRESS!`: who is there."""
    return f"/?{address}!\r\n".encode("ascii")


class Identification:
    """`/XXXZ\\2IDENT`: three letters of the manufacturer, the baud rate's character, and the meter's own words.

    `enhanced` holds the characters after the backslashes; `2` among them offers mode E.
    """

    __slots__ = ("baud_character", "enhanced", "identification", "manufacturer")

    def __init__(self, manufacturer: str, baud_character: str, identification: str, enhanced: str = "") -> None:
        self.manufacturer = manufacturer
        self.baud_character = baud_character
        self.identification = identification
        self.enhanced = enhanced

    @property
    def baud_rate(self) -> int:
        """What the meter offers to go on with, or in mode B goes on with; 300 for a character that names none."""
        rate = BAUD_RATES.get(self.baud_character) or BAUD_RATES_OF_B.get(self.baud_character)
        return INITIAL_BAUD_RATE if rate is None else rate

    @property
    def mode(self) -> str:
        """`C` (or E) where the reader chooses how to go on, `B` where the meter changes the speed by itself, `A`
        where it goes on as it began."""
        if self.baud_character in BAUD_RATES_OF_B:
            return "B"
        return "C" if self.baud_character.isdigit() else "A"

    @property
    def text(self) -> str:
        """The line without its slash."""
        return self.to_bytes()[1:-2].decode("ascii")

    @property
    def offers_hdlc(self) -> bool:
        """Whether mode E's hand-over to HDLC is offered."""
        return "2" in self.enhanced

    def to_bytes(self) -> bytes:
        """With CR LF."""
        marks = "".join(["\\" + mark for mark in self.enhanced])
        return f"/{self.manufacturer}{self.baud_character}{marks}{self.identification}\r\n".encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> Identification:
        """Read a line that starts with `/`; DecodeError `bad_identification`."""
        line = strip_parity(data).strip(b"\r\n")
        if len(line) < 5 or line[:1] != b"/" or len(line) > 64 or any(byte < 0x20 or byte > 0x7E for byte in line):
            raise DecodeError("bad_identification", f"expected an identification like /KFM5..., not {line[:20]!r}", 0)
        text = line.decode("ascii")
        rest = text[5:]
        enhanced = ""
        while rest[:1] == "\\" and len(rest) > 1:
            enhanced += rest[1]
            rest = rest[2:]
        return cls(text[1:4], text[4], rest, enhanced)


def option_select(baud_character: str, option: str, protocol: str = "0") -> bytes:
    """ACK, protocol (0 normal, 2 HDLC), baud rate, option (0 read-out, 1 programming, 2 HDLC)."""
    return bytes((ACK,)) + f"{protocol}{baud_character}{option}\r\n".encode("ascii")


def strip_parity(data: bytes) -> bytes:
    """Bytes of 7E1 that were read as 8N1, without their parity bit."""
    return bytes([byte & 0x7F for byte in data])


def with_parity(data: bytes) -> bytes:
    """Characters of seven bits with the even parity bit that 7E1 adds."""
    return bytes([byte | 0x80 if bin(byte & 0x7F).count("1") & 1 else byte & 0x7F for byte in data])


def block_check(data: bytes) -> int:
    """BCC: exclusive or of everything after the first STX or SOH, through ETX."""
    check = 0
    for byte in data:
        check ^= byte
    return check


def readout(lines: list[str]) -> bytes:
    """The data message: STX, lines, `!`, ETX, BCC."""
    body = "".join([line + "\r\n" for line in lines]).encode("ascii") + b"!\r\n\x03"
    return bytes((STX,)) + body + bytes((block_check(body),))


def read_readout(data: bytes) -> tuple[list[str] | None, int]:
    """The lines of the data message that starts at the first STX, and the position after its BCC.

    (None, 0) where more bytes are needed; DecodeError `bad_bcc`, `bad_readout`, `too_long`.
    """
    data = strip_parity(data)
    start = data.find(b"\x02")
    if start < 0:
        if len(data) > 256:
            raise DecodeError("bad_readout", "the meter sends something other than a data read-out", 0)
        return None, 0
    end = data.find(b"\x03", start)
    if end < 0 or end + 1 >= len(data):
        if len(data) - start > MAX_READOUT:
            raise DecodeError("too_long", f"a read-out of more than {MAX_READOUT} bytes is refused", start)
        return None, 0
    if block_check(data[start + 1 : end + 1]) != data[end + 1]:
        raise DecodeError("bad_bcc", "the read-out's block check (BCC) is wrong", end + 1)
    body = data[start + 1 : end]
    stop = body.find(b"!")
    if stop < 0:
        raise DecodeError("bad_readout", "the read-out does not end with `!`", end)
    lines = [line.strip().decode("ascii") for line in body[:stop].split(b"\n")]
    return [line for line in lines if line], end + 2
