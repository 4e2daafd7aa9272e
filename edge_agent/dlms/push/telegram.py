"""The whole way from captured bytes to what the meter said: link, deciphering, APDU, values."""

from __future__ import annotations

from edge_agent.dlms import axdr, sml
from edge_agent.dlms.apdu.data_notification import DataNotification, read_head
from edge_agent.dlms.apdu.event_notification import EventNotification
from edge_agent.dlms.apdu.get_response import GetResponse, GetResponseNormal, GetResponseWithList
from edge_agent.dlms.axdr import ARRAY, STRUCTURE, Reader
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.errors import DecodeError, DlmsError, SecurityError
from edge_agent.dlms.iec62056_21.p1 import read_telegrams
from edge_agent.dlms.obis import obis_text
from edge_agent.dlms.push.diagnosis import likely_cause
from edge_agent.dlms.push.interpret import Interpretation, Reading, interpret, raw_values, text_of, untagged_items
from edge_agent.dlms.push.unframe import HDLC, MBUS, P1, RAW, SML, Unit, detect_link, is_ciphered_p1, unframe
from edge_agent.dlms.security import (
    AUTHENTICATED,
    DED_TAGS,
    GENERAL_CIPHERING,
    GENERAL_DED,
    GENERAL_GLO,
    GENERAL_SIGNING,
    GLO_TAGS,
    CipheredUnit,
    read_header,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data

_METER_NAMES = ("0-0:42.0.0.255", "0-0:96.1.0.255", "0-0:96.1.1.255", "0-0:96.1.255.255")
_OWN_NUMBERS = ("96.1.0.255", "96.1.1.255", "96.1.255.255")


_ODD_LINES = ("bad_line", "bad_obis")


class Telegram:
    """One telegram. `meter` (its number) and `time` are None where it does not tell; `values` are Readings by OBIS
    code.

    authenticated: its tag was there and was checked. identification is that of P1, in the clear or inside. raw holds
    the values of a telegram that names none of them, by their place, with their type: what a layout is written from.
    checked: of lines of text, whether their CRC or block check was right.
    """

    def __init__(self, link: str) -> None:
        self.link = link
        self.ciphered = False
        self.authenticated = False
        self.checked = False
        self.system_title: bytes | None = None
        self.invocation_counter: int | None = None
        self.identification: str | None = None
        self.meter: str | None = None
        self.time: str | None = None
        self.values: dict[str, Reading] = {}
        self.raw: list[tuple[str, str | None]] = []
        self.errors: list[DlmsError] = []

    @property
    def usable(self) -> bool:
        """Whether its values can be trusted: nothing is wrong, or the meter itself sends lines that mean nothing here,
        as a check over all of them shows."""
        proven = self.checked or self.authenticated
        return not self.errors or (proven and all(error.code in _ODD_LINES for error in self.errors))

    @property
    def name(self) -> str | None:
        """What the meter is called: its number; where it tells none, its system title or its identification."""
        if self.meter or not self.values:
            return self.meter
        return self.system_title.hex() if self.system_title else self.identification


class Keys:
    """The encryption key, the authentication key (None: tags are not checked), and the system title for APDUs that
    do not carry it."""

    def __init__(
        self, key: bytes | None = None, authentication_key: bytes | None = None, system_title: bytes | None = None
    ) -> None:
        self.key = key
        self.authentication_key = authentication_key
        self.system_title = system_title


def decode_telegrams(data: bytes, link: str = "auto", keys: Keys | None = None) -> list[Telegram]:
    """All telegrams in captured bytes. What goes wrong with one is among its errors; nothing is raised."""
    keys = keys or Keys()
    if link == "auto":
        link = detect_link(data)
    if link == P1 and not is_ciphered_p1(data):
        return _from_p1(data)
    telegrams = _from_sml(data) if link == SML else [decode_unit(unit, link, keys) for unit in unframe(data, link)]
    if link in (HDLC, MBUS) and any(telegram.errors for telegram in telegrams):
        telegrams = _as_the_meter_sent(data, link, keys, telegrams)
    first = telegrams[0].errors[:1] if len(telegrams) == 1 and link == RAW else []
    if first and isinstance(first[0], DecodeError) and _is_foreign(first[0], data) and not telegrams[0].ciphered:
        message = f"{first[0].message}: {likely_cause(data)}"
        telegrams[0].errors[0] = DecodeError("unknown_apdu", message, first[0].offset)
    if not telegrams:
        empty = Telegram(link)
        message = f"there is no telegram in these bytes: {likely_cause(data)}"
        empty.errors.append(DecodeError("no_telegram", message, 0))
        return [empty]
    return telegrams


def _as_the_meter_sent(data: bytes, link: str, keys: Keys, telegrams: list[Telegram]) -> list[Telegram]:
    """The telegrams of frames in which a terminal or a serial server put a carriage return before each line feed, as
    their checks prove; else those that were found, which say so where it takes bytes out for flow control."""
    if b"\r\n" in data:
        mended = [decode_unit(unit, link, keys) for unit in unframe(data.replace(b"\r\n", b"\n"), link)]
        if _good(mended) > _good(telegrams):
            return mended
    if link == HDLC and _good(telegrams) == 0 and b"\x13" not in data and b"\x11" not in data:
        for part in data.split(b"\x7e"):
            if len(part) > _SHORTEST_PART and part[0] & 0xF0 == 0xA0 and (part[0] & 7) << 8 | part[1] > len(part):
                error = telegrams[0].errors[0]
                message = (
                    f"{error.message}; no byte 11 or 13 is among them, and frames lack some: something on the line "
                    "takes them for flow control (XON/XOFF): switch that off, in the serial server or with `stty -ixon`"
                )
                telegrams[0].errors[0] = DecodeError(error.code, message, 0)
                break
    return telegrams


_SHORTEST_PART = 16


def _good(telegrams: list[Telegram]) -> int:
    return sum([not telegram.errors or telegram.ciphered for telegram in telegrams])


def _is_foreign(error: DecodeError, data: bytes) -> bool:
    """Whether what came is no APDU at all; the STX before a text looks like a structure's tag."""
    texts = sum([0x20 <= byte < 0x7F or byte in b"\r\n\t" for byte in data])
    return error.code == "unknown_apdu" or (error.code == "unknown_tag" and texts > 0.9 * len(data))


def decode_unit(unit: Unit, link: str, keys: Keys) -> Telegram:
    """One APDU as it came from the link."""
    telegram = Telegram(link)
    telegram.errors = unit.errors
    telegram.identification = unit.identification
    if unit.apdu is None:
        return telegram
    try:
        apdu = _decipher(unit.apdu, telegram, keys)
        if unit.unsure and not telegram.authenticated:
            message = "what follows the ciphered unit starts no other: without the authentication key it may be damaged"
            raise DecodeError("trailing_bytes", message, len(unit.apdu))
        if _is_p1_body(apdu):
            apdu = b"/" + (unit.identification or "").encode() + b"\r\n\r\n" + apdu.lstrip(b"\r\n")
        if apdu[:1] == b"/":
            inner = _from_p1(apdu)[0]
            telegram.values, telegram.meter, telegram.time = inner.values, inner.meter, inner.time
            telegram.identification, telegram.checked = inner.identification, inner.checked
            telegram.errors = telegram.errors + inner.errors
        else:
            _read(apdu, telegram, unit.notification if apdu is unit.apdu else None)
    except DlmsError as error:
        # Unnumbered frames do not tell that one between them is missing: what they make up does.
        if isinstance(error, DecodeError) and unit.segments > 1:
            message = f"the telegram's {unit.segments} segments make no whole ({error.message})"
            error = DecodeError("missing_segment", message, error.offset)
        telegram.errors.append(error)
    return telegram


_CIPHERED = (GENERAL_GLO, GENERAL_DED, GENERAL_CIPHERING) + GLO_TAGS + DED_TAGS


def _decipher(apdu: bytes, telegram: Telegram, keys: Keys) -> bytes:
    if not apdu:
        raise DecodeError("cut_short", "the telegram is empty", 0)
    if apdu[0] == GENERAL_SIGNING:
        apdu = _signed(apdu)
    if apdu[:1] not in _CIPHERED_BYTES:
        return apdu
    telegram.ciphered = True
    unit = CipheredUnit.from_bytes(apdu)
    title = unit.system_title or keys.system_title or b""
    telegram.system_title = title
    telegram.invocation_counter = unit.counter
    if keys.key is None:
        plain = unit.clear()
        if plain is None:
            raise SecurityError("missing_key", "the telegram is ciphered: give the meter's encryption key")
        return plain
    if not title:
        raise SecurityError("wrong_system_title", "the telegram does not carry the meter's system title: give it")
    try:
        plain = unit.open(title, keys.key, keys.authentication_key)
        telegram.authenticated = bool(unit.control & AUTHENTICATED) and keys.authentication_key is not None
        if not telegram.authenticated and not _plausible(plain):
            raise SecurityError(
                "wrong_key", "the telegram makes no sense once it is deciphered: check the encryption key"
            )
    except SecurityError as error:
        if error.code == "wrong_key" and unit.key_kind:
            message = "the telegram is ciphered with a key of its own, which comes with it: give that key in the clear"
            raise SecurityError("unsupported_security", message) from error
        if error.code == "wrong_key":
            raise SecurityError("wrong_key", _why_wrong(unit, title, keys, str(error))) from error
        raise
    return plain


def _why_wrong(unit: CipheredUnit, title: bytes, keys: Keys, message: str) -> str:
    """What may be wrong with the keys, as far as the telegram itself shows it."""
    key, other = keys.key or b"", keys.authentication_key
    if unit.control & 0x0F == 2 and len(key) != 32:
        return f"{message}: this meter's keys have 32 bytes (security suite 2)"
    if other is not None and _opens(unit, title, other, key):
        return "the two keys are exchanged: what was given as authentication key is the encryption key"
    if _opens(unit, title, key, None):
        return "the encryption key is right, and the authentication key is not: ask for this meter's, or leave it out"
    kind = "dedicated" if unit.tag in DED_TAGS or unit.tag == GENERAL_DED else "global unicast or broadcast"
    return (
        f"{message}; give this meter's {kind} encryption key (is it another meter's, its authentication or master key?)"
    )


def _opens(unit: CipheredUnit, title: bytes, key: bytes, authentication_key: bytes | None) -> bool:
    try:
        plain = unit.open(title, key, authentication_key)
    except DlmsError:
        return False
    return _plausible(plain)


def _is_p1_body(apdu: bytes) -> bool:
    """Whether these are the lines of a P1 telegram whose identification stood before them, in the clear."""
    start = apdu[:24].lstrip(b"\r\n")
    if not start[:1].isdigit() or b":" not in start or b"(" not in start or b"!" not in apdu:
        return False
    return all(byte in b"\r\n" or 0x20 <= byte < 0x7F for byte in start)


_CIPHERED_BYTES = frozenset([bytes((tag,)) for tag in _CIPHERED])


def _signed(apdu: bytes) -> bytes:
    """The APDU inside of general-signing; its signature is not checked, as no telegram brings the public key."""
    reader = Reader(apdu, 1)
    read_header(reader)
    content = reader.octets()
    reader.octets()
    reader.end()
    return content


def _plausible(apdu: bytes) -> bool:
    """Whether bytes can be what a meter ciphers; random bytes are so with a chance of about one in a million."""
    if apdu[:1] == b"/":
        return b"!" in apdu
    if _is_p1_body(apdu):
        return True
    try:
        _body(apdu)
    except DecodeError as error:
        if apdu and _untagged(apdu) is not None:
            return True
        return error.code == "cut_short" and apdu[:1] == b"\x0f" and apdu[5:6] in (b"\x00", b"\x0c")
    return True


def _body(apdu: bytes) -> tuple[bytes, list[tuple[str | None, Data]]]:
    """Time (twelve bytes or none) and the pushed values: (OBIS code or None, Data). DecodeError."""
    tag = apdu[0] if apdu else -1
    if tag == DataNotification.TAG:
        try:
            notification = DataNotification.from_bytes(apdu)
        except DecodeError as error:
            mended = _with_tags_of_codes(apdu)
            if error.code != "unknown_tag" or mended == apdu:
                raise
            notification = DataNotification.from_bytes(mended)
        return notification.date_time, [(None, notification.body)]
    if tag == EventNotification.TAG:
        event = EventNotification.from_bytes(apdu)
        return event.date_time or b"", [(obis_text(event.attribute.instance), event.value)]
    if tag == GetResponse.TAG:
        response = GetResponse.from_bytes(apdu)
        if isinstance(response, GetResponseNormal) and response.result.data is not None:
            return b"", [(None, response.result.data)]
        if isinstance(response, GetResponseWithList):
            return b"", [(None, (STRUCTURE, [r.data for r in response.results if r.data is not None]))]
        raise DecodeError("unknown_apdu", "this GET-Response carries no values itself", 0)
    if tag in (ARRAY, STRUCTURE):
        return b"", [(None, axdr.decode_all(apdu))]
    if tag < 0:
        raise DecodeError("cut_short", "the telegram is empty", 0)
    raise DecodeError("unknown_apdu", f"0x{tag:02x} is not the tag of something that meters push", 0)


def _with_tags_of_codes(apdu: bytes) -> bytes:
    """An APDU in which `06 09` stands for `09 06` before some codes at the start of a structure (Landis+Gyr ZMF100)."""
    at = apdu.find(_EXCHANGED, 2, len(apdu) - 6)
    while at > 1:
        if apdu[at - 2] == STRUCTURE and apdu[at - 1] in (2, 3) and apdu[at + 2] < 2 and apdu[at + 7] == 0xFF:
            apdu = apdu[:at] + _EXCHANGED[::-1] + apdu[at + 2 :]
        at = apdu.find(_EXCHANGED, at + 1, len(apdu) - 6)
    return apdu


_EXCHANGED = b"\x06\x09"


def _read(apdu: bytes, telegram: Telegram, decoded: DataNotification | None) -> None:
    """Take in what an APDU says; `decoded` is the same, where that was decoded already."""
    date_time: bytes
    bodies: list[tuple[str | None, Data]]
    try:
        if decoded is not None:
            date_time, bodies = decoded.date_time, [(None, decoded.body)]
        else:
            date_time, bodies = _body(apdu)
    except DecodeError as error:
        found = _untagged(apdu) if apdu else None
        if found is None:
            raise error
        _take(found, b"", telegram)
        return
    for code, body in bodies:
        if code is not None:
            found = Interpretation()
            found.values[code] = Reading(text_of(body), None)
        else:
            found = interpret(body)
        _take(found, date_time, telegram)
        if code is None and not telegram.values:
            telegram.raw += raw_values(body)
    if not telegram.values:
        message = "the telegram names none of its values by OBIS code, and no layout fits: write one for its raw values"
        telegram.errors.append(DecodeError("unknown_layout", message, 0))


def _untagged(apdu: bytes) -> Interpretation | None:
    position = 0
    try:
        if apdu[0] == DataNotification.TAG:
            reader = Reader(apdu)
            read_head(reader)
            position = reader.position
        if apdu[position : position + 1] in (b"\x01", b"\x02"):
            return untagged_items(apdu, position)
    except DecodeError:
        pass
    return None


def _take(found: Interpretation, date_time: bytes, telegram: Telegram) -> None:
    """Values, the meter's name, and its time: the notification's own, else a clock's among the values."""
    telegram.values.update(found.values)
    telegram.meter = _meter(telegram) or found.meter
    if date_time:
        try:
            telegram.time = ClockTime.from_meter(date_time).iso()
        except DecodeError:
            telegram.time = None
    if telegram.time is None and found.time is not None:
        telegram.time = found.time.iso()
    if telegram.time is None:
        for name, reading in telegram.values.items():
            if name.startswith("0-") and name.endswith(":1.0.0.255"):
                if reading.value and reading.value[10:11] == "T":
                    telegram.time = reading.value
                break
    if telegram.time is None:
        day, hour = telegram.values.get("1-0:0.9.2.255"), telegram.values.get("1-0:0.9.1.255")
        if day is not None and hour is not None and (day.value or "")[4:5] == "-" and (hour.value or "")[2:3] == ":":
            telegram.time = f"{day.value}T{hour.value}"


def _meter(telegram: Telegram) -> str | None:
    """The logical device name, a device number, one of the electricity numbers 1-b:0.0.0 to 1-b:0.0.9, or a device
    number that stands under electricity."""
    for name in _METER_NAMES:
        reading = telegram.values.get(name)
        if reading is not None and reading.value:
            return reading.value
    own = None
    for name, reading in telegram.values.items():
        if name[0] != "1" or not reading.value:
            continue
        if ":0.0." in name:
            code = name.split(":")[1]
            if code[:4] == "0.0." and code[5:] == ".255":
                return reading.value
        elif own is None and ":96.1." in name and name.split(":")[1] in _OWN_NUMBERS:
            own = reading.value
    return own


def _from_p1(data: bytes) -> list[Telegram]:
    telegrams = []
    for found in read_telegrams(data):
        telegram = Telegram(P1)
        telegram.values = {name: Reading(value, unit) for name, (value, unit) in found.values.items()}
        telegram.identification = found.identification or None
        telegram.meter = found.meter
        telegram.time = found.time
        telegram.checked = found.checked
        telegram.errors = found.errors
        if not telegram.values and not telegram.errors:
            telegram.errors.append(DecodeError("no_values", "the telegram has no line with a value", 0))
        telegrams.append(telegram)
    return telegrams


def _from_sml(data: bytes) -> list[Telegram]:
    telegrams = []
    for file in sml.read_files(data):
        telegram = Telegram(SML)
        telegram.values = {name: Reading(value, unit) for name, (value, unit) in file.values.items()}
        telegram.meter = file.meter
        telegram.time = file.time
        telegram.errors += file.errors
        telegrams.append(telegram)
    return telegrams
