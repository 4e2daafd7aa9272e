"""From captured bytes to APDUs: HDLC, wired M-Bus, the TCP wrapper, or bare. No segment is passed over.

P1 in the clear and SML carry no APDUs: which link it is and whether there is noise is told of them too, no more.

One long file: which link bytes belong to is found by trying each, and what one of them makes of damage decides what
the others are asked.
"""

from __future__ import annotations

from edge_agent.dlms import axdr, llc, mbus, sml, wrapper
from edge_agent.dlms.apdu.data_notification import DataNotification
from edge_agent.dlms.apdu.event_notification import EventNotification
from edge_agent.dlms.apdu.general_block_transfer import BlockAssembly, GeneralBlockTransfer
from edge_agent.dlms.axdr import Reader
from edge_agent.dlms.errors import DecodeError, DlmsError
from edge_agent.dlms.hdlc.frame import FLAG, HdlcFrame
from edge_agent.dlms.hdlc.reader import FrameReader
from edge_agent.dlms.iec62056_21.p1 import find_telegram, without_parity
from edge_agent.dlms.security import (
    DED_TAGS,
    GENERAL_CIPHERING,
    GENERAL_DED,
    GENERAL_GLO,
    GENERAL_SIGNING,
    GLO_TAGS,
    CipheredUnit,
    read_header,
)

HDLC = "hdlc"
MBUS = "mbus"
WRAPPER = "wrapper"
RAW = "raw"
P1 = "p1"
SML = "sml"
LINKS = (HDLC, MBUS, WRAPPER, RAW, P1, SML)

MAX_APDU = 1 << 20
MAX_TITLE = 64

MAX_NOISE = 1 << 16
"""Bytes among which a P1 telegram must start to be found in noise."""

_TITLED = (GENERAL_GLO, GENERAL_DED)
_GENERAL = (GENERAL_GLO, GENERAL_DED, GENERAL_CIPHERING, GENERAL_SIGNING)
_CIPHERED = (GENERAL_GLO, GENERAL_DED, GENERAL_CIPHERING) + GLO_TAGS + DED_TAGS
_APDU_TAGS = (0x0F, 0xC2, 0xC4, 0xE0) + _GENERAL + GLO_TAGS + DED_TAGS
_BODY_TAGS = (axdr.ARRAY, axdr.STRUCTURE)
_LLC = (llc.COMMAND, llc.RESPONSE)


class Unit:
    """One APDU (None where it could not be put together) and the errors met on the way to it.

    unsure: the bytes behind it start no other one, so that it may have lost some and reach too far. Its tag tells.
    open: the bytes ended before it did, so that more of it may come. identification: what stood before it in the clear.
    notification: what the APDU says, where it was decoded already to see whether it is whole.
    """

    __slots__ = ("apdu", "errors", "identification", "notification", "open", "segments", "unsure")

    def __init__(self, apdu: bytes | None, errors: list[DlmsError], segments: int = 1) -> None:
        self.apdu = apdu
        self.errors = errors
        self.segments = segments
        self.unsure = False
        self.open = False
        self.identification: str | None = None
        self.notification: DataNotification | None = None


def detect_link(data: bytes) -> str:
    """The link of captured bytes: by what they start with where that is sure; where a telegram's rest or noise comes
    first, by the first frame in them whose checks are right; else by what is likely."""
    if sml.START in data:
        return SML
    head = data[:64].lstrip()
    if _starts_p1(head) or is_ciphered_p1(data):
        return P1
    if head[:1] == b"\xaf" and find_telegram(data[:MAX_NOISE]) == data.find(head[:1]):
        return P1  # the slash with its parity bit
    if len(data) > 1 and data[0] == FLAG and data[1] & 0xF0 in (0xA0, 0x70):
        return HDLC
    if len(data) > 3 and data[0] == data[3] == mbus.START and data[1] == data[2]:
        return MBUS
    if _is_whole(data):
        return WRAPPER if data[0] == 0 else RAW
    if _lacks_flags(data) or any(isinstance(item, HdlcFrame) for item in FrameReader().receive(data)):
        return HDLC
    likely = ""
    at = data.find(b"\x68")
    while at >= 0:
        if len(data) > at + 3 and data[at + 1] == data[at + 2] and data[at + 3] == mbus.START:
            likely = MBUS
            try:
                if mbus.read_frame(data, at)[0] is not None:
                    return MBUS
            except DecodeError:
                pass
        at = data.find(b"\x68", at + 1)
    if find_telegram(data) >= 0:
        return P1
    if data[:2] == b"\x00\x01" and len(data) >= wrapper.HEADER_SIZE:
        return WRAPPER
    if data[:1] and (data[0] in _APDU_TAGS or data[0] in _BODY_TAGS or data[:3] in _LLC):
        return RAW
    return likely or (HDLC if b"\x7e\xa0" in data else RAW)


def _starts_p1(head: bytes) -> bool:
    """Whether bytes start with a P1 telegram's identification: a slash, three characters, and nothing but text."""
    if head[:1] != b"/" or len(head) < 4:
        return False
    return all(0x20 <= byte < 0x7F or byte in b"\r\n\t\x02" for byte in head[:24])


_SHORTEST_CIPHERED = 16


def _identified(data: bytes, start: int = 0) -> tuple[int, int] | None:
    """Where an identification in the clear starts, and where the ciphered unit behind it does; None for nowhere."""
    slash = data.find(b"/", start)
    while slash >= 0:
        line = data.find(b"\r\n", slash, slash + _LONGEST_IDENTIFICATION)
        if line > slash + 3 and all(0x20 < byte < 0x7F for byte in data[slash + 1 : slash + 4]):
            body = line + 2
            while data[body : body + 2] == b"\r\n":
                body += 2
            first = data[body : body + _SHORTEST_CIPHERED]
            is_text = all(0x20 <= byte < 0x7F or byte in b"\r\n" for byte in first)
            if body + _SHORTEST_CIPHERED < len(data) and not is_text and _ciphered_end(data, body) > 0:
                return slash, body
        slash = data.find(b"/", slash + 1)
    return None


_LONGEST_IDENTIFICATION = 64
_TITLE_SIZES = (0, 8)


def _ciphered_end(data: bytes, start: int) -> int:
    """Where the ciphered unit at `start` says that it ends, its tag left out or not; 0 where there is none."""
    reader = Reader(data, start)
    try:
        if data[start] in _TITLED or data[start] == GENERAL_CIPHERING:
            reader.position = start + 1
        if data[start] == GENERAL_CIPHERING:
            return start + CipheredUnit.read(data[start:])[1]
        if data[reader.position] in _TITLE_SIZES:
            reader.octets()
        elif reader.position != start:
            return 0
        length = reader.length()  # without tag and title the length comes first
        control = reader.u8()
    except DlmsError:
        return 0
    # 0x20 to 0x32: encrypted, perhaps authenticated, with a suite that exists
    return reader.position - 1 + length if 0x20 <= control <= 0x32 and control & 0x0F < 3 and length > 5 else 0


def is_ciphered_p1(data: bytes) -> bool:
    """Whether bytes hold a P1 identification in the clear and then a ciphered unit, as meters in Poland send them."""
    return b"/" in data[:MAX_NOISE] and _identified(data) is not None


def _from_ciphered_p1(data: bytes) -> list[Unit]:
    units: list[Unit] = []
    position = 0
    while True:
        found = _identified(data, position)
        if found is None:
            return units
        start, body = found
        end = _ciphered_end(data, body)
        apdu = data[body:end]
        if data[body] not in _GENERAL:
            apdu = bytes((GENERAL_GLO,)) + (b"" if data[body] in _TITLE_SIZES else b"\x00") + apdu
        unit = Unit(apdu, [])
        if end > len(data):
            unit = Unit(None, [DecodeError("cut_short", "the ciphered telegram is cut short", len(data))])
            unit.open = True
        line = data[start + 1 : body].strip()
        unit.identification = "".join([chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in line])
        units.append(unit)
        position = end


def _is_whole(data: bytes) -> bool:
    """Whether bytes are wrapper units one after another, or bare APDUs, from the first byte to the last."""
    position = 0
    try:
        if data[:1] in (b"\x01", b"\x02"):
            return axdr.decode(data)[1] == len(data)
        while position < len(data):
            if data[:2] == b"\x00\x01":
                unit, position = wrapper.read_unit(data, position)
                if unit is None:
                    return False
            else:
                position = _read_apdu(data, position + 3 if data[position : position + 3] in _LLC else position)
    except DecodeError:
        return False
    return position > 0


def _lacks_flags(data: bytes) -> bool:
    """Whether bytes are one HDLC frame whose flags the capture left out."""
    return len(data) > 8 and data[0] & 0xF0 == 0xA0 and (data[0] & 7) << 8 | data[1] == len(data)


def unframe(data: bytes, link: str) -> list[Unit]:
    """The APDUs in captured bytes, in order; general-block-transfer already undone."""
    if link == HDLC:
        units = _from_hdlc(b"\x7e" + data + b"\x7e" if _lacks_flags(data) else data)
    elif link == MBUS:
        units = _from_mbus(data)
    elif link == WRAPPER:
        units = _from_wrapper(data)
    elif link == P1:
        units = _from_ciphered_p1(data)
    else:
        units = _from_raw(data)
    return _join_blocks(units)


def has_noise(data: bytes, link: str) -> bool:
    """Whether bytes lie outside of every frame: noise, or a frame whose very start is damaged. Bare APDUs have none."""
    if link == HDLC:
        items = FrameReader().receive(data)
        return any(isinstance(item, DecodeError) and item.code == "noise" for item in items)
    if link == MBUS:
        position = 0
        while position < len(data):
            try:
                frame, position = mbus.read_frame(data, position)
            except DecodeError:
                return True
            if frame is None:
                return True
    if link == SML:
        return sml.has_noise(data)
    if link != P1:
        return False
    data, _ = without_parity(data)
    position = 0
    while position < len(data):
        start = data.find(b"/", position)
        if data[position : start if start >= 0 else len(data)].strip():
            return True
        end = data.find(b"!", start) if start >= 0 else -1
        line = data.find(b"\n", end) if end >= 0 else -1
        if line < 0:
            return False
        following = data.find(b"/", end, line)
        position = line + 1 if following < 0 else following
        if data[position : position + 1] == b"\x03":
            position += 2  # a read-out's end and its block check
    return False


def _missing(what: str) -> DecodeError:
    return DecodeError("missing_segment", what, 0)


_MOST_UNMARKED = 32
"""Frames of one APDU that are put together although none says that another follows."""


class _Assembly:
    """Segments of one APDU as they come."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.parts: list[bytes] = []
        self.errors: list[DlmsError] = []
        self.size = 0
        self._stated = 0
        self._unmarked = 0

    def add(self, part: bytes) -> None:
        self.parts.append(part)
        self.size += len(part)
        if self.size > MAX_APDU:
            self.errors.append(DecodeError("too_long", f"an APDU of more than {MAX_APDU} bytes is refused", 0))
            self.finish(False)

    def finish(self, whole: bool) -> None:
        """The APDU is complete, or (not whole) is given up."""
        if self.parts or self.errors:
            apdu = b"".join(self.parts) if whole and self.parts else None
            self.units.append(Unit(apdu, self.errors, len(self.parts) + max(0, self._unmarked - 1)))
        self.parts = []
        self.errors = []
        self.size = 0
        self._stated = 0
        self._unmarked = 0

    def wants_more(self) -> bool:
        """Whether a ciphered APDU or a block states a length beyond what has come."""
        if self._stated == 0:
            self._stated = _stated_size(b"".join(self.parts))
        return self._stated == 0 or self.size < self._stated

    def goes_on(self, information: bytes) -> bool:
        """Whether the APDU that came last, in frames none of which said that more would come, is cut short all the
        same. What comes next is then its next segment, unless it is a telegram of its own."""
        if self.parts or self.errors or not self.units or _is_notification(information):
            return False
        last = self.units[-1]
        if last.apdu is None or last.errors or last.apdu[:1] != b"\x0f" or last.segments >= _MOST_UNMARKED:
            return False
        try:
            _read_apdu(last.apdu, 0)
        except DecodeError as error:
            if error.code != "cut_short":
                return False
        else:
            return False
        self.units.pop()
        self.parts = [last.apdu]
        self.size = len(last.apdu)
        self._unmarked = last.segments
        return True

    def give_up(self, what: str) -> None:
        """Segments are missing: what has come is not an APDU."""
        self.errors.append(_missing(what))
        self.finish(False)


def _is_notification(data: bytes) -> bool:
    """Whether bytes are a whole DataNotification. Its first ones alone could be values, as they stand in a segment."""
    try:
        return data[:1] == b"\x0f" and _read_apdu(data, 0) == len(data)
    except DecodeError:
        return False


def _stated_size(apdu: bytes) -> int:
    """How long a ciphered APDU or a block says that it is; 0 while that has not come yet, -1 where it does not."""
    if not apdu or (apdu[0] not in _GENERAL and apdu[0] != 0xE0):
        return -1
    reader = Reader(apdu)
    try:
        if apdu[0] == 0xE0:
            reader.take(6)
            length = reader.length()
        elif apdu[0] in _TITLED:
            reader.take(1)
            title = reader.length()
            if title > MAX_TITLE:
                return -1
            reader.take(title)
            length = reader.length()
        else:
            return _read_apdu(apdu, 0)
    except DecodeError as error:
        return 0 if error.code == "cut_short" else -1
    return reader.position + length


def _from_hdlc(data: bytes) -> list[Unit]:
    reader = FrameReader()
    items = reader.receive(data)
    items += reader.flush()
    assembly = _Assembly()
    open_ = False  # whether a segment that is not the last has come
    for item in items:
        if isinstance(item, DecodeError):
            if item.code != "noise":
                assembly.errors.append(item)
                if assembly.parts:
                    assembly.give_up("a segment of the telegram was damaged")
                    open_ = False
            continue
        information = item.information
        if not information or item.kind not in ("I", "UI"):
            continue
        headed = information[:3] in _LLC
        if headed:
            if assembly.parts:
                assembly.give_up("a telegram's last segments did not come")
            information = information[3:]
        elif assembly.goes_on(information):
            pass
        elif not assembly.parts and information[0] not in _APDU_TAGS:
            assembly.add(information)
            assembly.give_up("a telegram's first segments did not come")
            continue
        elif assembly.parts and not open_ and not assembly.wants_more():
            assembly.finish(True)
        if assembly.errors and not assembly.parts:
            assembly.finish(False)  # what went wrong before this telegram is not its fault
        assembly.add(information)
        open_ = item.segmented
        if not open_ and not assembly.wants_more():
            assembly.finish(True)
    cut = bool(items) and isinstance(items[-1], DecodeError) and items[-1].code == "truncated_frame"
    if assembly.parts:
        assembly.give_up("the telegram's last segments did not come")
        cut = True
    elif assembly.errors:
        assembly.finish(False)
    if assembly.units:
        last = assembly.units[-1]
        last.open = cut or (last.apdu is not None and last.apdu[:1] == b"\x0f" and _is_cut(last, last.apdu))
    return assembly.units


def _is_cut(unit: Unit, apdu: bytes) -> bool:
    """Whether the unit's APDU lacks its end; what had to be decoded to see that is kept."""
    reader = Reader(apdu)
    try:
        if apdu[:1] != b"\x0f":
            _read_apdu(apdu, 0)
            return False
        notification = DataNotification.read(reader)
    except DecodeError as error:
        return error.code == "cut_short"
    if reader.position == len(apdu):
        unit.notification = notification
    return False


def _foreign(ci: int) -> str:
    message = f"CI 0x{ci:02x} carries no DLMS"
    if ci in _MBUS_OF_ITS_OWN:
        message += ": this meter sends M-Bus records (EN 13757-3), as heat and water meters do, which are not read"
    return message


_MBUS_OF_ITS_OWN = (0x72, 0x76, 0x78, 0x7A)
"""CI of variable data with a long header, its older form, none, and a short one."""


def _from_mbus(data: bytes) -> list[Unit]:
    assembly = _Assembly()
    position = 0
    due = 0
    cut = False
    damaged = 0  # where the frame ends whose damage has been reported; what else seems to start in it is no news
    while position < len(data):
        try:
            frame, end = mbus.read_frame(data, position)
        except DecodeError as error:
            if error.code != "no_frame" and position >= damaged:
                assembly.errors.append(error)
                assembly.finish(False)
                damaged = error.offset or 0
            position += 1
            continue
        if frame is None:
            # What follows may hold a whole frame: this one is cut short, or was noise like a start.
            cut = True
            if assembly.parts or len(data) - position > 3:
                assembly.errors.append(DecodeError("truncated_frame", "an M-Bus frame is cut short", position))
                assembly.give_up("the telegram's last segments did not come")
            position += 1
            continue
        position = end
        cut = False
        if not frame.carries_dlms:
            assembly.errors.append(DecodeError("not_dlms", _foreign(frame.ci), end))
            assembly.finish(False)
            continue
        if assembly.parts and frame.sequence != due:
            assembly.give_up(f"segment {due} of the telegram did not come")
        if not assembly.parts and frame.sequence != 0 and not (frame.final and frame.segment[:1] in _FIRST_BYTES):
            assembly.add(frame.segment)
            if frame.final:
                assembly.give_up("the telegram's first segments did not come")
            else:
                due = (frame.sequence + 1) & mbus.SEQUENCE
                assembly.errors.append(_missing("the telegram's first segments did not come"))
            continue
        assembly.add(frame.segment)
        due = (frame.sequence + 1) & mbus.SEQUENCE
        if frame.final:
            assembly.finish(not assembly.errors)
    if assembly.parts:
        assembly.give_up("the telegram's last segments did not come")
        cut = True
    if assembly.units:
        assembly.units[-1].open = cut
    return assembly.units


_FIRST_BYTES = tuple([bytes((tag,)) for tag in _APDU_TAGS])


def _from_wrapper(data: bytes) -> list[Unit]:
    units: list[Unit] = []
    position = 0
    while position < len(data):
        try:
            unit, end = wrapper.read_unit(data, position)
        except DecodeError as error:
            units.append(Unit(None, [error]))
            return units
        if unit is None:
            units.append(Unit(None, [DecodeError("cut_short", "the wrapper's unit is cut short", len(data))]))
            units[-1].open = True
            return units
        units.append(Unit(unit.apdu, []))
        position = end
    return units


def _read_apdu(data: bytes, start: int) -> int:
    """Where the bare APDU at `start` ends; DecodeError where it cannot be told."""
    reader = Reader(data, start)
    tag = reader.u8()
    if tag == DataNotification.TAG:
        reader.position = start
        DataNotification.read(reader)
    elif tag == EventNotification.TAG:
        reader.position = start
        EventNotification.read(reader)
    elif tag == GeneralBlockTransfer.TAG:
        reader.take(5)
        reader.octets()
    elif tag in _TITLED:
        reader.octets()
        reader.octets()
    elif tag == GENERAL_CIPHERING:
        reader.position = start + CipheredUnit.read(data[start:])[1]
    elif tag == GENERAL_SIGNING:
        read_header(reader)
        reader.octets()
        reader.octets()
    elif tag in GLO_TAGS or tag in DED_TAGS:
        reader.octets()
    else:
        raise DecodeError("unknown_apdu", f"0x{tag:02x} is not the tag of something that meters push", start)
    return reader.position


def _end_of(data: bytes, start: int) -> int:
    """Where the bare APDU at `start` ends; the end of the data where it cannot be told."""
    try:
        end = _read_apdu(data, start)
    except DecodeError:
        return len(data)
    return end if data[end : end + 1] in _FIRST_BYTES or data[end : end + 3] in _LLC else len(data)


def _from_raw(data: bytes) -> list[Unit]:
    """Bare APDUs one after another, with or without the LLC header that HDLC puts before them.

    A ciphered one states its length, and with the system title its start can be told from noise: what stands before,
    between and after such is a unit of its own, which nothing can be made of.
    """
    units: list[Unit] = []
    position = 0
    while position < len(data):
        if units and not data[position:].strip(b"\r\n"):
            break  # the end of a line, which the capture put there
        if data[position : position + 3] in _LLC and len(data) > position + 3:
            position += 3
        end = _end_of(data, position)
        following = _titled_start(data, position, end)
        stated = end
        if data[position] in _CIPHERED:
            try:
                stated = _read_apdu(data, position)
            except DecodeError:
                stated = end
        unit = Unit(data[position : min(end, following, stated)], [])
        unit.unsure = stated < end and stated != following and len(data[stated:].strip(b"\r\n")) > 0
        units.append(unit)
        position = min(end, following, stated)
    if units:
        apdu = units[-1].apdu or b""
        units[-1].open = apdu[:1] in _FIRST_BYTES and _is_cut(units[-1], apdu)
    return units


def _titled_start(data: bytes, position: int, end: int) -> int:
    """Where in what is held for one APDU another one starts, ciphered and with its system title; else `end`.

    Inside of a ciphered one that can only be the next of the same meter, after bytes were lost.
    """
    tag = data[position]
    if tag in _TITLED:
        start = data.find(data[position : position + 10], position + 10, end)
        return start if start >= 0 and data[position + 1] == _TITLE_SIZE else end
    if tag in _APDU_TAGS or tag in _BODY_TAGS:
        return end
    start = position
    while True:
        found = [at for at in (data.find(head, start + 1, end) for head in _TITLED_HEADS) if at >= 0]
        if not found:
            return end
        start = min(found)
        # Behind an LLC header or the head of an M-Bus frame it belongs to a frame that was not found to be right.
        framed = data[max(0, start - 3) : start] in _LLC or (start > 8 and data[start - 6] == mbus.START)
        if not framed and all(0x41 <= byte <= 0x5A for byte in data[start + 2 : start + 5]):
            try:
                _read_apdu(data, start)
            except DecodeError:
                continue
            return start


_TITLE_SIZE = 8
_TITLED_HEADS = tuple([bytes((tag, _TITLE_SIZE)) for tag in _TITLED])


def _join_blocks(units: list[Unit]) -> list[Unit]:
    """Undo general-block-transfer."""
    joined: list[Unit] = []
    assembly: BlockAssembly | None = None
    errors: list[DlmsError] = []
    segments = 0
    for unit in units:
        if unit.apdu is None or unit.apdu[:1] != b"\xe0":
            if assembly is not None:
                joined.append(Unit(None, errors + unit.errors + [_missing("the last blocks did not come")], segments))
                assembly = None
                errors = []
                if unit.apdu is None:
                    continue
            joined.append(unit)
            continue
        errors = errors + unit.errors
        assembly = assembly or BlockAssembly()
        segments += 1
        try:
            block = GeneralBlockTransfer.from_bytes(unit.apdu)
            if block.block_number == 1 and assembly.due != 1:
                joined.append(Unit(None, errors + [_missing("the last blocks did not come")], segments))
                assembly, errors, segments = BlockAssembly(), [], 1
            apdu = assembly.add(block)
        except DlmsError as error:
            # After a lost block the rest of this transfer is skipped up to its last block, as one telegram.
            if assembly.due != _SKIPPING:
                joined.append(Unit(None, errors + [error], segments))
            errors = []
            assembly.due = _SKIPPING
            if len(unit.apdu) > 1 and unit.apdu[1] & 0x80:
                assembly = None
            continue
        if apdu is not None:
            joined.append(Unit(apdu, errors, segments))
            assembly, errors, segments = None, [], 0
    if assembly is not None and assembly.due != _SKIPPING:
        joined.append(Unit(None, errors + [_missing("the last blocks did not come")], segments))
        joined[-1].open = True
    return joined


_SKIPPING = -1
