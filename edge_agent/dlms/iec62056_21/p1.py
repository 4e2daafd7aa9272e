"""Telegrams of the Dutch P1 port (DSMR 2 to 5, also Belgium's eMUCS and others): lines of OBIS code and values, CRC-16.

/ISK5\\2M550T-1012
(blank line)
1-0:1.8.1(001234.567*kWh)
!D3B0

A read-out of IEC 62056-21 that a meter pushes (mode D), or that was captured, has the same lines, with codes that may
be shortened to `1.8.0`, and a block check where it is framed by STX and ETX.

DSMR 2 and 3 have no CRC and come in 7E1: where a capture still holds the parity bits they are checked, and say of each
line whether it can be trusted. Holley's meters in Hungary end with the CRC-16/X-25 of HDLC in place of DSMR's.

A line may hold several data sets, one after another (`6.8(0006047*kWh)6.26(02388.00*m3)`), and the rows of a profile
are lines of parentheses alone. Between a `(` and a `)` that stand alone on their lines are the values of another time.
"""

from __future__ import annotations

from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.errors import DecodeError, DlmsError
from edge_agent.dlms.hdlc.checksum import checksum
from edge_agent.dlms.iec62056_21.messages import block_check
from edge_agent.dlms.obis import obis_bytes, obis_text

_METER_NAMES = (
    "0-0:96.1.1.255",
    "0-0:42.0.0.255",
    "0-0:96.1.0.255",
    "0-0:96.1.255.255",
    "1-0:0.0.0.255",
    "1-0:96.1.0.255",
    "0-0:0.0.0.255",
)
_METER_NAMES_OF_A_READ_OUT = (
    "1-0:0.0.0.255",
    "0-0:96.1.0.255",
    "0-0:42.0.0.255",
    "0-0:96.1.1.255",
    "0-0:96.1.255.255",
    "1-0:96.1.0.255",
)
"""Where codes are shortened: the device's address 0.0.0, then its number C.1.0."""

MAX_LINE = 2048
MAX_SET = 1 << 16
"""Characters of one data set, such as a profile with all its rows."""
MAX_CHECK = 32
_START_TEXT = 24
_SHORTEST_START = 12


class P1Telegram:
    """`values` are (text, unit) by OBIS code; `identification` is the line after the slash.

    checked: its CRC or block check has shown that every line is as the meter sent it. doubled: why an energy that
    stands in it with two values is not to be taken, by its OBIS code.
    """

    def __init__(self, identification: str) -> None:
        self.identification = identification
        self.checked = False
        self.values: dict[str, tuple[str | None, str | None]] = {}
        self.meter: str | None = None
        self.time: str | None = None
        self.errors: list[DlmsError] = []
        self.doubled: dict[str, DecodeError] = {}

    def take_lines(self, lines: list[str], is_readout: bool = False) -> None:
        """The values of whole lines; a line of which nothing can be made is among the errors.

        is_readout: it is a read-out whose block check is right. There shortened codes may stand among whole ones.
        """
        sets = [part for line in _joined(lines) for part in _data_sets(line)]
        whole = [":" in part[: part.find("(")] for part in sets]
        shortened = is_readout or not any(whole)
        for part in sets:
            try:
                # What stands behind the last value of a read-out is none (ACE3000: bytes before the end's mark).
                text = part[: part.rfind(")") + 1] or part if is_readout else part
                code, value, unit = read_line(text, shortened)
                self._keep(code, value, unit)
            except DecodeError as error:
                self.errors.append(error)
        for name in _METER_NAMES_OF_A_READ_OUT if shortened and not all(whole) else _METER_NAMES:
            if name in self.values and not self.meter:
                self.meter = self.values[name][0] or None
        self.time = self._time()

    def _keep(self, code: str, value: str, unit: str | None) -> None:
        """A value; the rows of a profile one after another. DecodeError `doubled_line` for an energy with two values,
        as where the lines of two telegrams ran together."""
        known, _ = self.values.get(code, (None, None))
        if known is not None and known != value:
            if code[3:].startswith(":99."):
                value = known + " " + value if len(known) < MAX_SET else known
            elif _is_quantity(code) and ".8." in code and code.endswith(".255"):
                message = (
                    f"{code} stands twice in the telegram, as {known} and as {value}: parts of two telegrams ran "
                    "together, or an older value has the same code; neither is taken"
                )
                self.doubled[code] = DecodeError("doubled_line", message, 0)
                raise self.doubled[code]
        self.values[code] = (value, unit)

    def _time(self) -> str | None:
        """The clock's time, or that of a date and an hour in lines of their own."""
        text, _ = self.values.get("0-0:1.0.0.255", (None, None))
        if text is not None and text[10:11] == "T":
            return text
        day, _ = self.values.get("1-0:0.9.2.255", (None, None))
        hour, _ = self.values.get("1-0:0.9.1.255", (None, None))
        return None if day is None or hour is None else local_time(day, hour)


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return table


_CRC_TABLE = _crc_table()


def crc16(data: bytes) -> int:
    """CRC-16 (polynomial x16+x15+x2+1, reflected, initial value 0), as P1 uses it over `/` to `!`."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def write_telegram(identification: str, lines: list[str], checked: bool = True) -> bytes:
    """A telegram of these lines after `/identification`; `checked`: with the CRC that DSMR has from version 4 on."""
    data = ("/" + identification + "\r\n\r\n" + "".join([line + "\r\n" for line in lines]) + "!").encode("ascii")
    return data + (f"{crc16(data):04X}\r\n" if checked else "\r\n").encode("ascii")


def without_parity(data: bytes) -> tuple[bytes, bool]:
    """A 7E1 line's bytes that were read as 8N1, without their parity bits: 00 stands where one is wrong.

    Of bytes that hold no parity bits nothing is changed, and the second value is False.
    """
    high = even = 0
    for byte in data:
        high += byte >> 7
        even += not _ODD[byte]
    filled = data.count(b"\xff")  # no character has it: meters fill messages with it that were never written
    high, even, size = high - filled, even - filled, len(data) - filled
    # Of noise half has even parity, and of text without parity bits too.
    if high * 8 < size or high <= 0 or even * 10 < 7 * size:
        return data, False
    return bytes([0 if _ODD[byte] else byte & 0x7F for byte in data]), True


_ODD = bytes([bin(byte).count("1") & 1 for byte in range(256)])


def find_telegram(data: bytes) -> int:
    """Where in bytes that may start with noise a telegram seems to start; -1 for nowhere."""
    data, _ = without_parity(data)
    position = _slash(data, 0)
    while position >= 0:
        start = data[position + 1 : position + _START_TEXT]
        if (
            len(start) >= _SHORTEST_START
            and start[:3].isalpha()
            and all(0x20 <= byte < 0x7F or byte in b"\r\n\x02" for byte in start)
        ):
            return position
        position = _slash(data, position + 1)
    return -1


def _slash(data: bytes, start: int) -> int:
    """The next slash that may start a telegram: `/?` is the echo of a sign-on."""
    position = data.find(b"/", start)
    while position >= 0 and data[position + 1 : position + 2] == b"?":
        position = data.find(b"/", position + 1)
    return position


def read_telegrams(data: bytes) -> list[P1Telegram]:
    """All telegrams in captured bytes; what goes wrong with one is among its errors."""
    data, _ = without_parity(data)
    found: list[P1Telegram] = []
    position = _slash(data, 0)
    following = 0  # where the next telegram starts at the latest: no byte is looked at twice
    while position >= 0:
        if 0 <= following <= position:
            following = _next_start(data, position)
        limit = following if following >= 0 else len(data)
        end = data.find(b"!", position, limit)
        if end < 0:
            stop = data.find(b"\n", position, limit)
            telegram = P1Telegram(_line(data[position + 1 : min(stop if stop >= 0 else limit, position + MAX_LINE)]))
            telegram.errors.append(DecodeError("cut_short", "the telegram does not end with `!`", limit))
            found.append(telegram)
            position = following
            continue
        covered = data[position : end + 1]
        stop = data.find(b"\n", end, min(limit, end + MAX_CHECK))
        check = data[end + 1 : stop if stop >= 0 else min(limit, end + MAX_CHECK)].strip()
        wrong = _what_is_wrong(covered, check) if check else None
        start = covered.find(b"\x02")
        tail = data[end + 1 : end + 5]
        # A read-out of mode C or D, whose block check stands in the place of a CRC.
        is_readout = start >= 0 and len(tail) == 4 and tail[:3] == b"\r\n\x03"
        damaged = is_readout and block_check(covered[start + 1 :] + tail) != 0
        is_readout = is_readout and not damaged
        telegram = _read(covered, position, is_readout or (bool(check) and wrong is None), is_readout)
        if damaged:
            telegram.values = {}
            telegram.errors = [DecodeError("bad_bcc", "the read-out's block check (BCC) is wrong", end + 4)]
        if not check and _is_always_checked(telegram):
            wrong = "a telegram of this version of DSMR ends with a CRC, this one has none"
        if wrong is not None:
            telegram.values = {}
            telegram.errors.insert(0, DecodeError("bad_crc", wrong, end + 1))
        found.append(telegram)
        position = _slash(data, end)
    if not found:
        telegram = P1Telegram("")
        telegram.errors.append(DecodeError("no_telegram", "found no telegram in these bytes", 0))
        found.append(telegram)
    return found


def _next_start(data: bytes, position: int) -> int:
    """Where the next telegram after the one at `position` starts, -1 for nowhere.

    A line that starts with a slash starts one. So does, after a telegram that breaks off in the middle of a line, a
    slash whose line is an identification with a blank line after it.
    """
    line_end = data.find(b"\n", position)
    while line_end >= 0:
        if data[line_end + 1 : line_end + 2] == b"/":
            return line_end + 1
        start = line_end + 1
        line_end = data.find(b"\n", start)
        if line_end < 0:
            return -1
        if data[line_end + 1 : line_end + 2] in (b"\r", b"\n"):
            slash = data.find(b"/", start, line_end)
            while slash >= 0:
                if _identifies(data[slash + 1 : line_end].strip()):
                    return slash
                slash = data.find(b"/", slash + 1, line_end)
    return -1


def _identifies(line: bytes) -> bool:
    """Whether this can be an identification: three characters of a maker, a speed, and no values."""
    if not 4 <= len(line) <= MAX_LINE:
        return False
    return line[:3].isalpha() and all(0x20 <= byte < 0x7F and byte not in b"()!" for byte in line)


def _is_always_checked(telegram: P1Telegram) -> bool:
    """Whether the telegram says itself that it is of a version (DSMR 4 on) whose telegrams have a CRC."""
    version, _ = telegram.values.get("1-3:0.2.8.255", (None, None))
    return version is not None and len(version) == 2 and version.isdigit() and int(version) >= 40


def _what_is_wrong(covered: bytes, check: bytes) -> str | None:
    """Of the CRC, as a message; None where it is right."""
    try:
        stated = int(check[:4].decode(), 16)
    except (ValueError, UnicodeError):
        return f"{check[:8]!r} is not a CRC"
    if crc16(covered) == stated or checksum(covered) == stated:
        return None
    # A capture whose ends of lines a terminal changed still tells what the meter sent.
    unreturned = b"\r" not in covered
    for ending, is_so in (
        (b"\n", unreturned),
        (b"\n\n", unreturned),
        (b"\r\r\n", b"\r\r\n" in covered),
        (b"\r", b"\n" not in covered),
    ):
        if is_so and stated in (crc16(covered.replace(ending, b"\r\n")), checksum(covered.replace(ending, b"\r\n"))):
            return None
    return "the telegram's CRC is wrong"


def _line(data: bytes) -> str:
    return "".join([chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in data.strip()])


def _read(data: bytes, offset: int, checked: bool, is_readout: bool) -> P1Telegram:
    """The telegram without its CRC; where that has not shown it to be right, no line with a strange byte is trusted."""
    lines = data.replace(b"\r", b"\n").split(b"\n")
    telegram = P1Telegram(_line(lines[0][1:]))
    telegram.checked = checked
    kept: list[str] = []
    for number, raw in enumerate(lines):
        at = offset
        offset += len(raw) + 1
        raw = raw[1:] if raw[:1] == b"\x02" else raw  # noqa: PLW2901 - the STX of a read-out
        if number and raw[:1] == b"\x06" and len(raw) == 4 and raw[1:2].isdigit() and raw[3:].isdigit():
            continue  # the echo of the option select
        if not checked and any((byte < 0x20 and byte != 0x09) or byte > 0x7E for byte in raw):
            message = "the telegram has a line with a byte that is not a character, or whose parity is wrong"
            telegram.errors.append(DecodeError("bad_character", message, at))
            continue
        if number == 0:
            continue
        line = _line(raw)
        if line and line[0] not in "!":
            kept.append(line)
    telegram.take_lines(kept, is_readout)
    return telegram


def read_lines(identification: str, lines: list[str]) -> P1Telegram:
    """The values of the lines of a read-out whose block check was right."""
    telegram = P1Telegram(identification)
    telegram.checked = True
    telegram.take_lines(lines, True)
    return telegram


def _joined(lines: list[str]) -> list[str]:
    """Lines with those that go on from the one before, which start with a parenthesis, joined to it."""
    joined: list[list[str]] = []
    inside = False  # a `(` alone has come, and no `)` yet
    for line in lines:
        if joined and (inside or line.startswith("(")):
            inside = (inside or line == "(") and line != ")"
            joined[-1].append(line)
        else:
            joined.append([line])
    return ["".join(parts) for parts in joined]


def _data_sets(line: str) -> list[str]:
    """The data sets of a line, each with its code: `6.8(1*kWh)6.26(2*m3)` are two."""
    if ")" not in line[:-1]:
        return [line]
    sets: list[str] = []
    start = depth = 0
    for at, character in enumerate(line):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            end = line.find("(", at + 1) if depth == 0 else 0
            if end > at + 1 and all(each in _CODE_CHARACTERS for each in line[at + 1 : end]):
                sets.append(line[start : at + 1])
                start = at + 1
    return sets + [line[start:]]


_CODE_CHARACTERS = "0123456789CFLP.:-*&"


_LETTERS = {"C": "0-0:96", "F": "0-0:97", "L": "0-0:98", "P": "0-0:99"}


def _shortened(text: str) -> bytes:
    """A code that a read-out shortens to C.D.E (IEC 62056-61, annex A; F after `*` or `&`), in which a letter may stand
    for C; DecodeError `bad_obis`. A whole one may have such a letter too: `0-0:C.1.0*255`."""
    if ":" in text:
        head, _, rest = text.partition(":")
        parts = rest.split(".")
        value = _LETTERS.get(parts[0], "").partition(":")[2]
        parts = [value or parts[0]] + ["97" if part == "F" else part for part in parts[1:]]
        return obis_bytes(head + ":" + ".".join(parts))
    short, _, last = text.replace("&", "*").partition("*")
    parts = short.split(".")
    if len(parts) > 3:
        return obis_bytes(text)
    if short == "F.F":
        parts = ["F", "97"]
    head = _LETTERS.get(parts[0], "1-0:" + parts[0])
    return obis_bytes(".".join([head] + parts[1:] + ["0"] * (3 - len(parts)) + [last or "255"]))


def _groups(text: str) -> list[str]:
    if not text.startswith("(") or not text.endswith(")"):
        raise DecodeError("bad_line", f"{text[:40]!r} is not a row of values in parentheses", 0)
    return text[1:-1].split(")(")


def read_line(line: str, shortened: bool) -> tuple[str, str, str | None]:
    """A line as OBIS code, value and unit (None where the line states none); DecodeError `bad_line`, `bad_obis`.

    `shortened`: all codes of the telegram are; among whole ones that would be damage.
    """
    start = line.find("(")
    if start <= 0 or len(line) > MAX_SET:
        raise DecodeError("bad_line", f"{line[:40]!r} is not a code with values in parentheses", 0)
    text = line[:start]
    code = obis_text(_shortened(text) if shortened or ":" in text else obis_bytes(text))
    groups = _groups(line[start:])
    if code[3:].startswith(":24.3.0") and len(groups) >= 7 and groups[4].count(".") >= 2:
        # DSMR 2 and 3: the gas meter's row names its own code and unit.
        return obis_text(obis_bytes(groups[4])), _number(groups[-1]) or groups[-1], groups[5]
    if code[3:] == ":99.97.0.255" and groups != [""]:
        return code, line[start:], None
    if len(groups) > 1:
        # The value is the one with a unit, whether its time stands before or behind it.
        united = [group for group in groups if _value_and_unit(group)[1] is not None]
        # Of two groups it is the one with a unit whatever the other is (Pafal: a count of pulses).
        if len(united) == 1 and (len(groups) == 2 or all(each in united or _digits_of_time(each) for each in groups)):
            groups = united
        elif len(groups) > 2:
            return code, line[start:], None
        elif _digits_of_time(groups[1]) and not _digits_of_time(groups[0]):
            groups = groups[:1]
    text, unit = _value_and_unit(groups[-1])
    return code, _value(code, text, unit is not None or groups[-1].endswith("*")), unit


def _value_and_unit(group: str) -> tuple[str, str | None]:
    """What stands in parentheses as value and unit: `1.5*kWh`, or, as some meters have it, `1.5kWh`."""
    value, star, unit = group.partition("*")
    if star and "*" not in unit and "(" not in value:
        return value, _UNITS.get(unit.strip().lower(), unit.strip()) or None
    if _is_time(group):
        return group, None
    at = len(group.rstrip(_UNIT_CHARACTERS))
    unit = group[at:].strip()
    if 0 < at < len(group) and unit.lower() in _UNITS and _number(group[:at]) is not None:
        return group[:at], _UNITS[unit.lower()]
    return group, None


def _value(code: str, text: str, is_number: bool) -> str:
    """The value of a code as text: a decimal without leading zeros, a time, the text that is meant."""
    number = _number(text)
    if number is not None and (is_number or (_is_quantity(code) and ("." in number or "," in text))):
        return number
    if _is_time(text):
        return _time(text) or text
    if code == "0-0:1.0.0.255":
        return _clock(text) or text
    if ":96.1." in code or code[3:].startswith(":42.") or code == "0-0:0.0.0.255":
        return _text(text.strip(), True).strip()
    if ":96.13." in code:
        return _text(text)
    return text.strip() if _is_quantity(code) or code.endswith(":0.0.0.255") else text


def _is_quantity(code: str) -> bool:
    """Whether a code names something measured: a medium, and a quantity below the abstract ones."""
    quantity = code.partition(":")[2].partition(".")[0]
    return code[0] != "0" and 0 < int(quantity) < 96


_KILOS = ("W", "VA", "var", "Wh", "VAh", "varh")
_UNITS = {
    unit.lower(): unit
    for unit in (
        [prefix + unit for unit in _KILOS for prefix in ("", "k", "M", "G")]
        + ["V", "kV", "A", "kA", "mA", "mV", "Hz", "m3", "GJ", "MJ", "°", "°C", "%", "l"]
    )
    if unit not in ("mW", "MV")
}
"""The units that lines state, by their small letters: meters are not careful with capitals."""

_UNIT_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ3 %"
_STAMP_SIZES = (10, 12, 13)


def _digits_of_time(group: str) -> bool:
    """Whether this can be a time: `YYMMDDhhmm`, with seconds or not, and S or W behind it."""
    return _is_time(group) or (len(group) in _STAMP_SIZES and group.isdigit()) or not group.strip()


def _number(text: str) -> str | None:
    """A decimal without its leading zeros, the comma as a point, or None."""
    text = text.strip().replace(",", ".")
    sign = "-" if text[:1] == "-" else ""
    digits = text[1:] if text[:1] in ("-", "+") else text
    whole, point, fraction = digits.partition(".")
    if not (whole.isdigit() or (not whole and fraction)) or (point and fraction and not fraction.isdigit()):
        return None
    return sign + (whole.lstrip("0") or "0") + (point + fraction if fraction else "")


def local_time(day: str, hour: str) -> str | None:
    """A date (`220130`, `22-01-30`, `20220130`) and an hour (`094127`, `09:41:27`, `0941`) as local time in ISO 8601;
    None for anything else. A digit before either says which season the clock has."""
    date = "".join([c for c in day if c.isdigit()])
    time = "".join([c for c in hour if c.isdigit()])
    date = date[1:] if len(date) == 7 else date
    time = time[1:] if len(time) in (5, 7) else time
    date = "20" + date if len(date) == 6 else date
    time = time + "00" if len(time) == 4 else time
    if len(date) != 8 or len(time) != 6:
        return None
    return _iso([int(date[:4]), int(date[4:6]), int(date[6:])], time, None)


def _is_time(text: str) -> bool:
    return len(text) == 13 and text[12] in "SW" and text[:12].isdigit()


def _time(text: str) -> str | None:
    """`YYMMDDhhmmss` and S (summer, UTC+2) or W (winter, UTC+1) as ISO 8601, without either as local time; None for
    what is not a time, as it is sent of a device whose clock was never set."""
    return _iso(
        [2000 + int(text[:2]), int(text[2:4]), int(text[4:6])], text[6:12], {"S": -120, "W": -60}.get(text[12:])
    )


def _clock(text: str) -> str | None:
    """What a clock's line says in other forms: digits alone, `2021-07-12 22:20:17`, or the hex of COSEM's date-time."""
    if len(text) == 12 and text.isdigit():
        return _time(text)
    if len(text) == 24:
        try:
            return ClockTime.from_meter(bytes([int(text[at : at + 2], 16) for at in range(0, 24, 2)])).iso()
        except (ValueError, DecodeError):
            return None
    day, _, hour = text.strip().replace("T", " ").partition(" ")
    return local_time(day, hour)


def _iso(date: list[int], time: str, deviation: int | None) -> str | None:
    hour, minute, second = int(time[:2]), int(time[2:4]), int(time[4:6])
    made = ClockTime(date[0], date[1], date[2], hour, minute, second, 0, deviation)
    try:
        return ClockTime.from_meter(made.to_bytes()).iso()
    except DecodeError:
        return None


def _text(text: str, number: bool = False) -> str:
    """Text that P1 sends as hex; `number`: that of a device, which some send as it is, so that its digits may look like
    hex. They are that where they spell letters and digits, and enough of them."""
    try:
        decoded = bytes([int(text[at : at + 2], 16) for at in range(0, len(text), 2)])
    except ValueError:
        return text
    if len(text) % 2 or any(not 0x20 <= byte < 0x7F for byte in decoded):
        return text
    if number and not decoded.strip():
        return ""
    decimal = number and text.isdigit()
    if decimal and not (len(decoded) > 5 and all(0x30 <= byte < 0x3A or 0x41 <= byte < 0x5B for byte in decoded)):
        return text
    return _line(decoded) or text
