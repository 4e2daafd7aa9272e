# ruff: noqa: PT017 - errors inside of what is read are looked at where they are caught
"""What is fuzzed: every decoder, with valid inputs to start from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from fuzzing import Target

from edge_agent.commands.decode import telegram_bytes
from edge_agent.config import MeterSettings
from edge_agent.dlms import axdr, mbus, sml
from edge_agent.dlms.apdu import parse_apdu
from edge_agent.dlms.apdu.base import CosemAttribute, Selection
from edge_agent.dlms.apdu.ber import element, read_elements, unwrap
from edge_agent.dlms.apdu.conformance import DEFAULT, GENERAL_BLOCK_TRANSFER
from edge_agent.dlms.apdu.data_notification import DataNotification
from edge_agent.dlms.apdu.event_notification import EventNotification
from edge_agent.dlms.apdu.exception_response import ExceptionResponse
from edge_agent.dlms.apdu.general_block_transfer import BlockAssembly, GeneralBlockTransfer
from edge_agent.dlms.axdr import Reader
from edge_agent.dlms.client import ASSOCIATED, Client
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.cosem import types
from edge_agent.dlms.cosem.association_ln import AssociationLn
from edge_agent.dlms.cosem.clock import Clock
from edge_agent.dlms.cosem.data import DataObject
from edge_agent.dlms.cosem.profile_generic import ProfileGeneric
from edge_agent.dlms.cosem.register import Register
from edge_agent.dlms.errors import DlmsError
from edge_agent.dlms.hdlc.address import decode_address, encode_address
from edge_agent.dlms.hdlc.checksum import checksum_bytes
from edge_agent.dlms.hdlc.client_link import HdlcClientLink
from edge_agent.dlms.hdlc.frame import FINAL, UI, HdlcFrame
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.hdlc.reader import FrameReader
from edge_agent.dlms.hdlc.server_link import HdlcServerLink
from edge_agent.dlms.iec62056_21.client import hand_over, read_out
from edge_agent.dlms.iec62056_21.messages import (
    Identification,
    read_readout,
    readout,
    with_parity,
)
from edge_agent.dlms.iec62056_21.p1 import crc16, read_line, read_lines, read_telegrams
from edge_agent.dlms.iec62056_21.server import Iec21Server
from edge_agent.dlms.llc import wrap
from edge_agent.dlms.push.interpret import interpret
from edge_agent.dlms.push.telegram import Keys, decode_telegrams
from edge_agent.dlms.push.unframe import LINKS, detect_link, has_noise, unframe
from edge_agent.dlms.security import CipheredUnit, Security, seal
from edge_agent.dlms.server import ServerSession
from edge_agent.dlms.wrapper import WrapperUnit, read_unit
from edge_agent.emulator.config import EmulatorConfig
from edge_agent.emulator.line import EmulatedLine, WrapperConnection
from edge_agent.meters.connection import Connection
from edge_agent.meters.datagrams import DatagramClient, DatagramLine
from edge_agent.meters.errors import MeterError, PortUnavailableError
from edge_agent.meters.faults import MOST_FAULTS
from edge_agent.meters.push_listener import PushDriver
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import Frame as SignedFrame
from edge_agent.wire.reading import ReadingError, Receipt, Record, split_frames, split_receipts

TELEGRAMS = Path(__file__).parents[1] / "dlms" / "telegrams"
KEY, AUTH_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))
METER, READER = b"METER001", b"READER01"
NOON = 1780315200  # 2026-06-01 12:00 UTC
TIME = ClockTime.from_unix(NOON, -120).to_bytes()
ENERGY = bytes((1, 0, 1, 8, 0, 255))

CODECS = [value for value in vars(types).values() if isinstance(value, types.Codec)]


# --- valid inputs -----------------------------------------------------------------------------------------------------

VALUES = [
    (axdr.NULL, None),
    (axdr.UINT32, 123456),
    (axdr.OCTET_STRING, TIME),
    (axdr.BIT_STRING, "1011001"),
    (axdr.FLOAT32, 1.5),
    (axdr.ARRAY, [(axdr.STRUCTURE, [(axdr.OCTET_STRING, TIME), (axdr.UINT32, at)]) for at in range(20)]),
    (axdr.COMPACT_ARRAY, (b"\x02\x02\x12\x09", [(2, [(18, 7), (9, b"ab")])] * 3)),
    (axdr.COMPACT_ARRAY, (b"\x01\x00\x03\x02\x02\x06\x00", [(1, [(2, [(6, 7), (0, None)])] * 3)] * 2)),
    (axdr.STRUCTURE, [(tag, 1) for tag in (3, 5, 6, 13, 15, 16, 17, 18, 20, 21, 22, 28, 29, 30, 31, 32, 33)]),
    (axdr.STRUCTURE, [(25, TIME), (26, TIME[:5]), (27, TIME[5:9]), (12, "µ".encode()), (10, b"KFM"), (255, None)]),
    (axdr.STRUCTURE, [(axdr.INT8, -1), (axdr.ENUM, 30)]),
]

BODIES = [
    (2, [(2, [(9, ENERGY), (6, 12345), (2, [(15, -1), (22, 30)])]), (2, [(9, ENERGY), (9, TIME)])]),
    (2, [(9, TIME), (9, ENERGY), (6, 1), (9, bytes((1, 0, 2, 8, 0, 255))), (6, 2)]),
    (2, [(10, b"KFM_001"), *[(6, at) for at in range(8)]]),
    (2, [(6, 1500)]),
    (
        1,
        [
            (2, [(18, 3), (9, ENERGY), (15, 2), (18, 0)]),
            (2, [(18, 8), (9, bytes((0, 0, 1, 0, 0, 255))), (15, 2), (18, 0)]),
        ],
    ),
    (
        2,
        [
            (1, [(2, [(18, 3), (9, ENERGY), (15, 2), (18, 0)]), (2, [(18, 3), (9, ENERGY), (15, 3), (18, 0)])]),
            (6, 77),
            (2, [(15, 3), (22, 30)]),
        ],
    ),
    (
        2,
        [
            (2, [(18, 3), (9, ENERGY), (17, 2), (24, 1.25)]),
            (2, [(23, 0.1), (18, 3), (2, [(15, 0), (22, 27)]), (9, ENERGY)]),
        ],
    ),
    (
        2,
        [
            (1, [(2, [(18, 40), (9, bytes((0, 8, 25, 9, 0, 255))), (15, at), (18, 0)]) for at in (2, 1)]),
            (9, bytes((0, 8, 25, 9, 0, 255))),
        ],
    ),
    (2, [(9, b"ISK1030000000001"), (9, b"UP_3f"), *[(18, at) for at in range(6)], *[(6, at) for at in range(4)]]),
    (2, [(9, bytes((0, 6, 25, 9, 0, 255))), (9, b"1"), (9, TIME[5:9]), (9, TIME[:5]), *[(6, 1)] * 6, *[(9, b"")] * 2]),
    (
        1,
        [(2, [(18, 3), (9, ENERGY), (15, 3), (2, [(15, -1), (22, 30)])]), (2, [(18, 3), (9, ENERGY), (15, 2), (6, 5)])],
    ),
    (2, [(10, b"1-0:1.8.0"), (6, 1), (9, ENERGY[:5]), (6, 2), (26, TIME[:5]), (27, TIME[5:9])]),
    (2, [(9, ENERGY), (2, [(6, 1), (15, -2), (22, 30)]), (9, ENERGY), (0, None), (9, b"181220000009")]),
]

NOTIFICATIONS = [DataNotification(body, TIME, 7).to_bytes() for body in BODIES]
NOTIFICATIONS += [EventNotification(CosemAttribute(3, ENERGY, 2), (axdr.UINT32, 7), TIME).to_bytes()]


def _real(name: str) -> tuple[bytes, Keys]:
    keys = [TELEGRAMS / f"{name}.{kind}" for kind in ("key", "gak")]
    return telegram_bytes((TELEGRAMS / f"{name}.log").read_bytes()), Keys(
        *[bytes.fromhex(path.read_text().strip()) if path.exists() else None for path in keys]
    )


REAL = {path.stem: _real(path.stem) for path in sorted(TELEGRAMS.glob("*.log"))}


def _counter() -> Callable[[], int]:
    count = iter(range(1, 1 << 32))
    return lambda: next(count)


def _security(title: bytes, challenge: bytes) -> Security:
    return Security(
        system_title=title, key=KEY, authentication_key=AUTH_KEY, next_counter=_counter(), challenge=challenge
    )


def _objects() -> list[object]:
    columns = [types.CaptureObject(8, "0-0:1.0.0.255", 2), types.CaptureObject(3, "1-0:1.8.0.255", 2)]
    rows = [[(9, ClockTime.from_unix(NOON + 900 * at, -120).to_bytes()), (6, 1000 + at)] for at in range(24)]
    objects: list[object] = [
        DataObject("0-0:42.0.0.255", value=(9, b"KFM1000000000001")),
        Clock("0-0:1.0.0.255", time=ClockTime.from_unix(NOON, -120), time_zone=-120),
        Register("1-0:1.8.0.255", value=(6, 12345), scaler_unit=(-1, 30)),
        ProfileGeneric("1-0:99.1.0.255", buffer=rows, capture_objects=columns, capture_period=900),
    ]
    listed = [item.listed() for item in objects]  # type: ignore[attr-defined]
    return [*objects, AssociationLn("0-0:40.0.0.255", object_list=listed)]


PROFILE = ProfileGeneric("1-0:99.1.0.255")
CLOCK = Clock("0-0:1.0.0.255")
RANGE = Selection.by_range((8, bytes((0, 0, 1, 0, 0, 255)), 2, 0), (9, TIME), (9, TIME))


def _conversations(client: Client) -> Iterator[object]:
    yield client.associate()
    yield client.get(CLOCK.attribute("time"))
    yield client.get(PROFILE.attribute("buffer"))
    yield client.get(PROFILE.attribute("buffer"), RANGE)
    yield client.get(PROFILE.attribute("buffer"), Selection.by_entry(1, 3))
    yield client.get_list([(CLOCK.attribute("time"), None), (PROFILE.attribute("capture_objects"), None)])
    yield client.get(AssociationLn("0-0:40.0.0.255").attribute("object_list"))
    yield client.set(CLOCK.attribute("time"), (9, TIME))
    yield client.action(CosemAttribute(8, bytes((0, 0, 1, 0, 0, 255)), 1), (16, 0))
    yield client.release()


def _pair(secured: bool) -> tuple[Client, ServerSession]:
    if secured:
        client = Client(security=_security(READER, b"12345678"))
        return client, ServerSession(_objects(), security=_security(METER, b"abcdefgh"), max_pdu=200)  # type: ignore[arg-type]
    return Client(password=b"secret"), ServerSession(_objects(), b"secret", max_pdu=200)  # type: ignore[arg-type]


def _recorded(secured: bool) -> tuple[list[bytes], list[bytes]]:
    """The requests and the answers of a whole session."""
    client, server = _pair(secured)
    requests, answers = [], []
    for conversation in _conversations(client):
        try:
            request = next(conversation)  # type: ignore[call-overload]
            while True:
                (answer,) = server.handle(request)
                requests.append(request)
                answers.append(answer)
                request = conversation.send(answer)  # type: ignore[attr-defined]
        except (StopIteration, DlmsError):
            pass
    return requests, answers


REQUESTS, ANSWERS = _recorded(False)
SECURED_REQUESTS, SECURED_ANSWERS = _recorded(True)
APDUS = [*REQUESTS, *ANSWERS, ExceptionResponse(1, 2, 5).to_bytes(), b"\x0e\x01\x06\x01"]
BLOCKS = [GeneralBlockTransfer(at == 2, at, 0, bytes(20)).to_bytes() for at in (1, 2)]

CLIENT, SERVER = encode_address(16), encode_address(1, 17)


def _framed(apdus: list[bytes], command: bool) -> list[bytes]:
    way = (SERVER, CLIENT) if command else (CLIENT, SERVER)
    return [HdlcFrame(*way, 0x10, wrap(apdu, command)).to_bytes() for apdu in apdus if apdu]


FRAMES = [
    *_framed(REQUESTS, True),
    *_framed(ANSWERS, False),
    *[HdlcFrame(CLIENT, SERVER, UI | FINAL, wrap(apdu, False)).to_bytes() for apdu in NOTIFICATIONS],
    HdlcFrame(SERVER, CLIENT, 0x93, LinkParameters(512, 512, 3, 3).to_bytes()).to_bytes(),
    HdlcFrame(CLIENT, SERVER, 0x73, LinkParameters(512, 512, 3, 3).to_bytes()).to_bytes(),
    HdlcFrame(CLIENT, SERVER, 0x31).to_bytes(),
    HdlcFrame(CLIENT, SERVER, 0x1F).to_bytes(),
]
WRAPPED = [WrapperUnit(1, 16, apdu).to_bytes() for apdu in [*APDUS, *NOTIFICATIONS] if apdu]
MBUS = [b"".join([frame.to_bytes() for frame in mbus.split_apdu(apdu, size=60)]) for apdu in NOTIFICATIONS]
SEALED = [seal(0xDB, METER, 0x30, 5 + at, apdu, KEY, AUTH_KEY).to_bytes() for at, apdu in enumerate(NOTIFICATIONS)]


def _p1(lines: str) -> bytes:
    body = b"/KFM5\\2CAMPUS\r\n\r\n" + lines.replace("\n", "\r\n").encode() + b"!"
    return body + f"{crc16(body):04X}\r\n".encode()


P1 = [
    _p1("0-0:1.0.0(260601120000S)\n0-0:96.1.1(4B464D31)\n1-0:1.8.1(001234.567*kWh)\n1-0:21.7.0(00.378*kW)\n"),
    _p1("1-0:99.97.0(2)(0-0:96.7.19)(101208152415W)(0000000240*s)(101208151004W)(0000000301*s)\n0-0:96.13.0()\n"),
    _p1("0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.1)(m3)\n(00001.001)\n0-1:24.2.1(101209112500W)(12785.123*m3)\n"),
]
P1.append(with_parity(P1[0]))
SML_FILES = [
    sml.write_file("1KFM0000000001", [(b"\x01\x00\x01\x08\x00\xff", 1234567, -1, 30)], 1780315200),
    sml.write_file("KFM1", [(b"\x01\x00\x60\x01\x00\xff", b"KFM1", None, None)], None),
]
SML_FILES += [file[8:-8] for file in SML_FILES]
LINES = ["0.0.0(12345678)", "1.8.0(0001234.567*kWh)", "1-0:2.8.0*255(7*kWh)", "C.1.0(7)", "1.6.1(1.2*kW)(0101010000)"]
RECORD = Record(
    sequence=7,
    network_id=b"network1",
    interval_end=NOON,
    generation=1,
    consumption=2,
    charge=3,
    discharge=4,
    interval_seconds=900,
    source=1,
).to_bytes()
SIGNED = SignedFrame(RECORD, bytes(32), bytes(64)).to_bytes()
RECEIPT = Receipt(
    verdict=1,
    code=0,
    network_id=b"network1",
    meter_key=bytes(32),
    record_hash=bytes(32),
    sequence=7,
    next_expected=8,
    log_index=3,
    time=NOON,
).to_bytes()


# --- what reads them --------------------------------------------------------------------------------------------------


def _value(data: bytes) -> None:
    value, end = axdr.decode(data)
    assert 0 < end <= len(data)
    axdr.plain(value)
    again, _ = axdr.decode(axdr.encode(value))
    assert repr(again) == repr(value)  # repr: a NaN is not itself


def _cosem_types(data: bytes) -> None:
    value = axdr.decode_all(data)
    for codec in CODECS:
        try:
            codec.decode(value)
        except DlmsError as error:
            assert error.code
    for item in (PROFILE, CLOCK, Register("1-0:1.8.0.255")):
        for attribute in item.ATTRIBUTES:
            try:
                item.decode(attribute.name, value)
            except DlmsError as error:
                assert error.code


def _elements(data: bytes) -> None:
    for tag, contents in read_elements(data).items():
        try:
            unwrap(contents, tag, "an element")
        except DlmsError as error:
            assert error.code


def _apdu(data: bytes) -> None:
    apdu = parse_apdu(data)
    hash(apdu)
    assert parse_apdu(apdu.to_bytes()) == apdu or "nan" in repr(apdu)


def _notification(data: bytes) -> None:
    kind = EventNotification if data[:1] == b"\xc2" else DataNotification
    interpret(getattr(kind.from_bytes(data), "body", (0, None)))


def _blocks(data: bytes) -> None:
    reader, assembly = Reader(data), BlockAssembly()
    while reader.left():
        assembly.add(GeneralBlockTransfer.read(reader))


def _frames(data: bytes) -> None:
    size = 1 + len(data) % 37
    for step in (len(data) or 1, size):
        reader = FrameReader()
        found = []
        for at in range(0, len(data), step):
            found += reader.receive(data[at : at + step])
        found += reader.flush()
        assert not reader.pending
        for item in found:
            if isinstance(item, HdlcFrame):
                assert item.to_bytes() in data
                decode_address(item.source)


def _addresses(data: bytes) -> None:
    assert encode_address(*decode_address(data), len(data)) == data


def _wrapper(data: bytes) -> None:
    position = 0
    while position < len(data):
        unit, end = read_unit(data, position)
        if unit is None:
            return
        assert unit.to_bytes() == data[position:end]
        position = end


def _mbus(data: bytes) -> None:
    position = 0
    while position < len(data):
        frame, end = mbus.read_frame(data, position)
        if frame is None:
            return
        assert frame.to_bytes() == data[position:end]
        position = end


def _time(data: bytes) -> None:
    time = ClockTime.from_bytes(data)
    time.iso()
    time.unix()
    assert ClockTime.from_bytes(time.to_bytes()) == time


def _ciphered(data: bytes) -> None:
    unit = CipheredUnit.from_bytes(data)
    for key in (AUTH_KEY, None):
        try:
            unit.open(unit.system_title or METER, KEY, key)
        except DlmsError as error:
            assert error.code


def _push(data: bytes) -> None:
    keys = Keys(KEY, AUTH_KEY, METER)
    for link in ("auto", *LINKS):
        has_noise(data, link)
        for telegram in decode_telegrams(data, link, keys):
            assert telegram.values or telegram.errors
            for name, reading in telegram.values.items():
                assert isinstance(name, str)
                assert reading.value is None or isinstance(reading.value, str)
            for error in telegram.errors:
                assert error.code
                assert str(error)


def _push_driver() -> Callable[[bytes], None]:
    """What comes on the line of a meter that pushes, as its driver takes it."""
    name = "KFM1000000000001"
    meter_map = MeterMap.from_dict(
        {"capture_period": 900, "logical_device_name": name, "registers": {"consumption": ["1-0:1.8.0.255", 1]}}
    )
    settings = MeterSettings("m", "1", "none", meter_map, timeout=0.0, protocol="push", key=KEY, auth_key=AUTH_KEY)

    def read(data: bytes) -> None:
        driver = PushDriver(settings, meter_map, open_transport=_SilentLine)
        try:
            driver.take(data, NOON)
            driver.take(data, NOON + 900)
            assert len(driver.faults) <= MOST_FAULTS
            assert all(driver.faults)
            for ask in (driver.identity, driver.power, lambda: driver.rows(0, NOON + 900)):
                with contextlib.suppress(MeterError):
                    ask()
        finally:
            driver.close()

    return read


class _SilentLine:
    """A line that is gone at once, so that the driver listens no longer."""

    def write(self, data: bytes) -> None:
        raise AssertionError(data)

    def read(self, timeout: float) -> bytes:
        raise PortUnavailableError("gone")

    def discard(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Datagrams:
    """A UDP port on which the same datagram comes after each that is sent, and again a second later."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.now = 0.0
        self.coming = 0

    def clock(self) -> float:
        return self.now

    def renew(self) -> None:
        self.coming = 0

    def write(self, data: bytes) -> None:
        assert WrapperUnit.from_bytes(data).source == 16
        self.coming = 2

    def read(self, timeout: float) -> bytes:
        self.coming -= 1
        self.now += 1.0 if self.coming >= 0 else timeout
        return self.data if self.coming >= 0 else b""

    def discard(self) -> None:
        pass

    def close(self) -> None:
        pass


def _datagram_client(secured: bool) -> Callable[[bytes], None]:
    """The client over UDP gets the mutated datagram for whatever it asks, with the right ports and without."""

    def read(data: bytes) -> None:
        for datagram in (data, WrapperUnit(1, 16, data[: 1 << 15]).to_bytes()):
            port = _Datagrams(datagram)
            security = _pair(True)[0].security if secured else None
            line = DatagramLine(port, 16, 1, 3.0, port.clock)  # type: ignore[arg-type]
            client = DatagramClient(None, security, clock=port.clock)
            connection = Connection(line, client)
            with contextlib.suppress(DlmsError, MeterError):
                connection.open()
            client.state = ASSOCIATED
            attribute = CosemAttribute(7, bytes((1, 0, 99, 1, 0, 255)), 2)
            for conversation in (client.get(attribute), client.get_list([(attribute, None)] * 2), client.release()):
                with contextlib.suppress(DlmsError, MeterError):
                    connection.run(conversation)

    return read


def _real_telegrams(data: bytes) -> None:
    """What is mutated goes through with every real key, and with none."""
    link = detect_link(data)
    unframe(data, link)
    for _, keys in REAL.values():
        decode_telegrams(data, link, keys)


def _sealed(data: bytes) -> None:
    """The mutated APDU, ciphered: what comes out of the deciphering may be anything."""
    unit = seal(0xDB, METER, 0x20 if len(data) & 1 else 0x30, 9, data, KEY, AUTH_KEY).to_bytes()
    for telegram in decode_telegrams(unit, "raw", Keys(KEY, AUTH_KEY)):
        assert telegram.values or telegram.errors


def _framed_push(data: bytes) -> None:
    """The mutated APDU in sound HDLC segments."""
    whole = wrap(data, False)
    pieces = [whole[at : at + 120] for at in range(0, len(whole), 120)]
    last = len(pieces) - 1
    line = b"".join([HdlcFrame(CLIENT, SERVER, UI, piece, at < last).to_bytes() for at, piece in enumerate(pieces)])
    for telegram in decode_telegrams(line, "hdlc"):
        assert telegram.values or telegram.errors


def _p1_telegrams(data: bytes) -> None:
    for telegram in read_telegrams(data):
        for error in telegram.errors:
            assert error.code


def _sml_files(data: bytes) -> None:
    """Bytes as they are, and as the content of a file whose frame is right: only so anything behind the CRC is met."""
    fill = -len(data) % 4
    framed = sml.START + (data + bytes(fill)).replace(sml.ESCAPE, 2 * sml.ESCAPE) + sml.ESCAPE + bytes((0x1A, fill))
    for file in sml.read_files(data) + sml.read_files(framed + checksum_bytes(framed)):
        assert file.errors or file.values
        for error in file.errors:
            assert error.code


def _identification(data: bytes) -> None:
    found = Identification.from_bytes(data)
    assert found.baud_rate
    found.to_bytes()


def _readout(data: bytes) -> None:
    lines, _ = read_readout(data)
    for line in lines or []:
        try:
            read_line(line, True)
        except DlmsError as error:
            assert error.code
    read_lines("", [data.decode("latin-1")])


def _mode_c(data: bytes) -> None:
    """A meter that answers anything; and a reader that asks anything."""
    Iec21Server(Identification("KFM", "5", "CAMPUS", "2"), lambda: LINES, "12345678").receive(data)
    for conversation in (read_out(), hand_over()):
        answers = iter([data[:7], data[7:], b"", data, b"", b"", b""])
        try:
            step = next(conversation)
            while True:
                step = conversation.send(next(answers, b"") if step[0] == "read" else b"")
        except StopIteration:
            pass
        except DlmsError as error:
            assert error.code


def _client(secured: bool) -> Callable[[bytes], None]:
    """An associated client gets the mutated answer to each of its requests."""

    def read(data: bytes) -> None:
        client, server = _pair(secured)
        for number, conversation in enumerate(_conversations(client)):
            try:
                request = next(conversation)  # type: ignore[call-overload]
                if number == 0 and len(data) & 1:
                    while True:
                        request = conversation.send(server.handle(request)[0])  # type: ignore[attr-defined]
                while True:
                    request = conversation.send(data)  # type: ignore[attr-defined]
            except StopIteration:
                pass
            except DlmsError as error:
                assert error.code

    return read


def _server(secured: bool) -> Callable[[bytes], None]:
    """A server gets the mutated request before the association, in the middle of it, and after it."""

    def read(data: bytes) -> None:
        client, server = _pair(secured)
        server.handle(data)
        conversation = client.associate()
        try:
            request = next(conversation)
            request = conversation.send(server.handle(request)[0])
            server.handle(data)
            while True:
                request = conversation.send(server.handle(request)[0])
        except (StopIteration, DlmsError):
            pass
        server.handle(data)
        server.handle(data)

    return read


def _with_blocks(window: int) -> tuple[Client, ServerSession]:
    """An association in which both sides take general-block-transfer."""
    offered = DEFAULT | GENERAL_BLOCK_TRANSFER
    client = Client(conformance=offered, window=window)
    server = ServerSession(_objects(), conformance=offered, max_pdu=200, window=window)  # type: ignore[arg-type]
    conversation = client.associate()
    with contextlib.suppress(StopIteration):
        conversation.send(server.handle(next(conversation))[0])  # type: ignore[arg-type]
    return client, server


def _recorded_blocks() -> list[bytes]:
    """Streams of an answer, and of a request."""
    client, server = _with_blocks(7)
    streams = []
    for conversation in (client.get(PROFILE.attribute("buffer")), client.set(CLOCK.attribute("time"), (9, bytes(900)))):
        try:
            step = next(conversation)
            while True:
                apdus = [step] if isinstance(step, bytes) else step
                answers = [answer for apdu in apdus for answer in server.handle(apdu)]
                streams += [b"".join(apdus), b"".join(answers)]
                for answer in answers:
                    step = conversation.send(answer)
        except (StopIteration, DlmsError):
            pass
    return [stream for stream in streams if stream[:1] == b"\xe0"]


def _block_transfers(data: bytes) -> None:
    """The mutated stream goes to a server, and to a client in the middle of a long answer and of a long request."""
    reader, blocks = Reader(data), []
    try:
        while reader.left():
            start = reader.position
            GeneralBlockTransfer.read(reader)
            blocks.append(data[start : reader.position])
    except DlmsError:
        blocks.append(data[start:])
    client, server = _with_blocks(1 + len(data) % 63)
    for block in blocks:
        for answer in server.handle(block):
            assert answer
    long = (9, bytes(900))
    for conversation in (client.get(PROFILE.attribute("buffer")), client.set(CLOCK.attribute("time"), long)):
        try:
            next(conversation)
            for block in blocks:
                conversation.send(block)
            for _ in range(400):  # whatever is repeated or stays away, the transfer ends
                conversation.send(blocks[-1] if len(data) & 1 and blocks else b"")
        except (StopIteration, DlmsError):
            continue
        raise AssertionError("a block transfer that brings nothing goes on and on")


def _client_link(data: bytes) -> None:
    link = HdlcClientLink(CLIENT, SERVER)
    for state in ("connect", "send"):
        try:
            if state == "connect":
                link.connect()
            else:
                link.state = "idle"
                link.send(bytes(300))
            link.receive(data)
            link.on_silence()
            link.flush()
        except DlmsError as error:
            assert error.code


def _server_link(data: bytes) -> None:
    links = [HdlcServerLink(SERVER, CLIENT, lambda apdu: [apdu]), HdlcServerLink(SERVER, CLIENT, lambda apdu: [apdu])]
    links[1].take(HdlcFrame(SERVER, CLIENT, 0x93))
    for frame in FrameReader().receive(data):
        if isinstance(frame, HdlcFrame):
            for link in links:
                link.take(frame)


def _emulator() -> Callable[[bytes], None]:
    """The emulated meters on a serial line and behind TCP and UDP, as anybody may reach them."""
    meter = {"logical_device_name": "KFM1", "register": [{"obis": "1-0:1.8.0.255", "power": "1"}]}
    config = EmulatorConfig.from_dict({"meter": [meter]}, Path())

    def read(data: bytes) -> None:
        line = EmulatedLine.build(config, lambda: float(NOON))
        line.receive(data)
        line.quiet()
        WrapperConnection(line.meters).receive_datagram(data)
        try:
            WrapperConnection(line.meters).receive(data)
        except DlmsError as error:
            assert error.code

    return read


def _signed(data: bytes) -> None:
    for frame in split_frames(data):
        assert frame.record.to_bytes() == frame.record_bytes


def _receipts(data: bytes) -> None:
    assert b"".join([receipt.to_bytes() for receipt in split_receipts(data)]) == data


def _record(data: bytes) -> None:
    assert Record.from_bytes(data).to_bytes() == data


DLMS = (DlmsError,)
READING = (ReadingError,)
_ALL = [
    Target("axdr", [axdr.encode(value) for value in [*VALUES, *BODIES]], _value, DLMS),
    Target(
        "cosem_types",
        [axdr.encode(value) for value in [*VALUES, *BODIES]] + [a[4:] for a in ANSWERS if a],
        _cosem_types,
        DLMS,
    ),
    Target("ber", [element(0xA1, element(6, b"1234567")) + element(0xBE, bytes(200)), *REQUESTS[:1]], _elements, DLMS),
    Target("apdu", APDUS, _apdu, DLMS),
    Target("notification", NOTIFICATIONS, _notification, DLMS),
    Target("blocks", [b"".join(BLOCKS), *BLOCKS], _blocks, DLMS),
    Target("block_transfers", [*_recorded_blocks(), b"".join(BLOCKS)], _block_transfers, DLMS),
    Target("hdlc", FRAMES, _frames, DLMS),
    Target("hdlc_frame", FRAMES, HdlcFrame.from_bytes, DLMS),
    Target("hdlc_address", [CLIENT, SERVER, encode_address(1, 17, 4)], _addresses, DLMS),
    Target("hdlc_parameters", [LinkParameters(512, 512, 3, 3).to_bytes()], LinkParameters.from_bytes, DLMS),
    Target("hdlc_client", FRAMES, _client_link, DLMS),
    Target("hdlc_server", FRAMES, _server_link, DLMS),
    Target("wrapper", WRAPPED, _wrapper, DLMS),
    Target("mbus", MBUS, _mbus, DLMS),
    Target("time", [TIME, bytes((0xFF,)) * 12], _time, DLMS),
    Target("ciphered", [*SEALED, *SECURED_REQUESTS, *SECURED_ANSWERS], _ciphered, DLMS),
    Target(
        "push",
        [*NOTIFICATIONS, *FRAMES[-20:], *MBUS, *SEALED, *P1, *SML_FILES, *WRAPPED[-9:], b"".join(BLOCKS)],
        _push,
        (),
    ),
    Target("push_driver", [*NOTIFICATIONS[:9], *MBUS, *SEALED, *P1, *SML_FILES], _push_driver(), ()),
    Target("push_real", [data for data, _ in REAL.values()], _real_telegrams, ()),
    Target("push_sealed", NOTIFICATIONS, _sealed, ()),
    Target("push_framed", NOTIFICATIONS, _framed_push, ()),
    Target("p1", P1, _p1_telegrams, ()),
    Target("sml", SML_FILES, _sml_files, ()),
    Target("identification", [b"/KFM5\\2CAMPUS\r\n", b"/LGZ4ZMF120\r\n"], _identification, DLMS),
    Target("readout", [readout(LINES)], _readout, DLMS),
    Target("mode_c", [readout(LINES), b"/?!\r\n", b"\x06050\r\n", b"\x06252\r\n", b"/KFM5\\2CAMPUS\r\n"], _mode_c, ()),
    Target("client", ANSWERS, _client(False), ()),
    Target("client_secured", SECURED_ANSWERS, _client(True), ()),
    Target("client_datagrams", [*ANSWERS, *WRAPPED], _datagram_client(False), ()),
    Target("client_datagrams_secured", SECURED_ANSWERS, _datagram_client(True), ()),
    Target("server", REQUESTS, _server(False), ()),
    Target("server_secured", SECURED_REQUESTS, _server(True), ()),
    Target("emulator", [*FRAMES, *WRAPPED], _emulator(), ()),
    Target(
        "capture_file",
        [
            b"7e a0 0a\n# note\n0x7e",
            b"00000000  7e a0 0a 41 08 83 13 04  13 e6 e7 00 0f 40 00 00  |~..A.........@..|\n*\n00000030  00\n31\n",
            b"00000000: 7ea0 0a41 0883 1304 13e6 e700 0f40 0000  ~..A.........@..\n00000010: 0001  ..\n",
            b"[21:14:11][D][uart:114]: <<< 7E:A0:0A:41:08\n(V) 83 13 04 13 e6\n2026-06-01 12:00:00 e7 00 0f 40\n",
            *[data.hex(" ").encode() for data in FRAMES[:3]],
        ],
        telegram_bytes,
        DLMS,
    ),
    Target("signed_frames", [SIGNED, SIGNED * 3], _signed, READING),
    Target("receipts", [RECEIPT, RECEIPT * 2], _receipts, READING),
    Target("record", [RECORD], _record, READING),
]
TARGETS = {target.name: target for target in _ALL}
