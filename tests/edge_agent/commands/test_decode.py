"""Real telegrams decode to what their reference decodings say; damaged ones are named, never shortened in silence.

Adding a meter is adding files to dlms/telegrams: NAME.log, NAME_decoded.xml, and where it ciphers NAME.key, NAME.gak.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edge_agent.commands.decode import as_json, telegram_bytes
from edge_agent.dlms import mbus
from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.apdu.data_notification import DataNotification
from edge_agent.dlms.apdu.event_notification import EventNotification
from edge_agent.dlms.apdu.general_block_transfer import GeneralBlockTransfer
from edge_agent.dlms.axdr import encode
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.hdlc.frame import UI, HdlcFrame
from edge_agent.dlms.iec62056_21.p1 import crc16
from edge_agent.dlms.llc import wrap
from edge_agent.dlms.obis import obis_bytes, obis_text
from edge_agent.dlms.push.telegram import Keys, decode_telegrams
from edge_agent.dlms.security import seal
from edge_agent.dlms.wrapper import WrapperUnit

ROOT = Path(__file__).parents[3]
TELEGRAMS = ROOT / "tests" / "edge_agent" / "dlms" / "telegrams"
NAMES = sorted(path.stem for path in TELEGRAMS.glob("*.log"))
NUMBERS = {"UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"}


def _keys(name: str) -> Keys:
    found = [TELEGRAMS / f"{name}.{suffix}" for suffix in ("key", "gak")]
    return Keys(*[bytes.fromhex(path.read_text().strip()) if path.exists() else None for path in found])


def _options(name: str) -> list[str]:
    keys = _keys(name)
    options = [] if keys.key is None else ["--key", keys.key.hex()]
    return options if keys.authentication_key is None else [*options, "--auth-key", keys.authentication_key.hex()]


def _decode(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "edge_agent", "decode", *arguments]
    return subprocess.run(command, input=data, env=environment, capture_output=True, timeout=60, check=False)


def _expected(name: str) -> dict[str, Decimal | str]:
    """Values by OBIS code as the reference decoding has them, scaled by the scaler that stands beside them."""
    tree = ElementTree.parse(TELEGRAMS / f"{name}_decoded.xml")  # noqa: S314 - our own file
    found: dict[str, Decimal | str] = {}
    for parent in tree.iter():
        items = list(parent)
        for at, item in enumerate(items[:-1]):
            text = item.get("Value", "")
            if item.tag == "OCTETSTRING" and text.count(".") == 5:
                code, value = obis_text(obis_bytes(text)), items[at + 1]
                scaler = 0
                if len(items) > at + 2 and [part.tag for part in items[at + 2]] == ["INT8", "ENUM"]:
                    scaler = int(items[at + 2][0].get("Value"))
                number = value.tag in NUMBERS
                found[code] = Decimal(value.get("Value")).scaleb(scaler) if number else value.get("Value")
    return found


def test_there_are_telegrams():
    assert len(NAMES) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_a_real_telegram_says_what_its_reference_decoding_says(name):
    done = _decode(*_options(name), "--json", str(TELEGRAMS / f"{name}.log"))
    assert done.returncode == 0, done.stderr
    (telegram,) = json.loads(done.stdout)["telegrams"]
    assert telegram["errors"] == []
    assert telegram["link"] == name.partition("_")[0]
    expected = _expected(name)
    assert list(telegram["values"]) == list(expected)
    for code, value in expected.items():
        found = telegram["values"][code]["value"]
        if isinstance(value, Decimal):
            assert Decimal(found) == value
        elif value[:2] == "20" and value[4:5] == "-":
            assert found[:19] == value[:19].replace(" ", "T")  # a time: ours has its offset
        else:
            assert found == value


@pytest.mark.parametrize("name", NAMES)
def test_every_flipped_byte_of_a_real_telegram_is_noticed_or_harmless(name):
    data = telegram_bytes((TELEGRAMS / f"{name}.log").read_bytes())
    keys = _keys(name)
    whole = as_json(decode_telegrams(data, keys=keys)[0])
    for at in range(0, len(data), 5 if len(data) < 300 else 23):
        damaged = data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :]
        found = decode_telegrams(damaged, keys=keys)
        assert found
        if whole["link"] == "hdlc":
            good = [as_json(telegram) for telegram in found if not telegram.errors]
            assert good in ([], [whole])


@pytest.mark.parametrize("name", NAMES)
def test_a_real_telegram_cut_short_is_never_half_read(name):
    data = telegram_bytes((TELEGRAMS / f"{name}.log").read_bytes())
    for size in range(0, len(data) - 1, 7):
        (telegram, *_) = decode_telegrams(data[:size], keys=_keys(name))
        assert telegram.errors, size
        assert telegram.values == {}


def test_a_wrong_key_is_named_as_such():
    name = "hdlc_kamstrup_omnipower"
    keys = _keys(name)
    data = telegram_bytes((TELEGRAMS / f"{name}.log").read_bytes())

    def codes(key, authentication_key):
        return [error.code for error in decode_telegrams(data, keys=Keys(key, authentication_key))[0].errors]

    assert codes(keys.key, keys.authentication_key) == []
    assert codes(keys.key, None) == []
    assert codes(bytes(16), keys.authentication_key) == ["wrong_key"]
    assert codes(bytes(16), None) == ["wrong_key"]
    assert codes(keys.key, bytes(16)) == ["wrong_key"]
    assert codes(None, None) == ["missing_key"]
    done = _decode("--key", "00" * 16, "--json", str(TELEGRAMS / f"{name}.log"))
    assert done.returncode == 1
    (telegram,) = json.loads(done.stdout)["telegrams"]
    assert telegram["values"] == {}
    assert telegram["ciphered"] is True
    assert telegram["errors"][0]["code"] == "wrong_key"
    assert set(telegram["errors"][0]) == {"code", "message", "offset"}


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_segment_of_a_real_telegram(missing):
    name = "hdlc_landis_gyr_e450"
    frames = (TELEGRAMS / f"{name}.log").read_text().split()
    assert len(frames) == 3
    data = bytes.fromhex("".join(frame for at, frame in enumerate(frames) if at != missing))
    telegrams = decode_telegrams(data, keys=_keys(name))
    assert "missing_segment" in [error.code for telegram in telegrams for error in telegram.errors]
    assert all(not telegram.values for telegram in telegrams)


def test_one_bad_telegram_does_not_hide_the_next():
    data = telegram_bytes((TELEGRAMS / "hdlc_norway_han_1phase.log").read_bytes())
    damaged = data[:60] + b"\xff" + data[61:]
    telegrams = decode_telegrams(damaged + data)
    assert [[error.code for error in telegram.errors] for telegram in telegrams][-1] in ([], ["bad_fcs"])
    assert any(telegram.values for telegram in telegrams)
    assert any(error.code == "bad_fcs" for telegram in telegrams for error in telegram.errors)


# Layouts and links of our own making

POWER, ENERGY, CLOCK = obis_bytes("1-0:1.7.0.255"), obis_bytes("1-0:1.8.0.255"), obis_bytes("0-0:1.0.0.255")
WH = (2, [(15, -1), (22, 30)])
TIME = ClockTime.from_unix(1780315200, -120).to_bytes()


def _definition(kind, code, attribute):
    return (2, [(18, kind), (9, code), (15, attribute), (18, 0)])


LAYOUTS = {
    "items of their own": (1, [(2, [(9, POWER), (6, 500)]), (2, [(9, ENERGY), (6, 12345), WH])]),
    "value first": (
        1,
        [(2, [(6, 500), (18, 3), (2, [(15, 0), (22, 27)]), (9, POWER)]), (2, [(6, 12345), (18, 3), WH, (9, ENERGY)])],
    ),
    "class and attribute": (
        1,
        [(2, [(18, 3), (9, POWER), (15, 2), (6, 500)]), (2, [(18, 3), (9, ENERGY), (15, 2), (6, 12345), WH])],
    ),
    "scaler and unit without braces": (
        1,
        [(2, [(9, POWER), (6, 500)]), (2, [(9, ENERGY), (6, 12345), (15, -1), (22, 30)])],
    ),
    "one list": (2, [(10, b"Meter_V1"), (9, POWER), (6, 500), (9, ENERGY), (6, 12345), WH]),
    "one list with classes": (
        2,
        [(18, 3), (9, POWER), (15, 2), (6, 500), (18, 3), (9, ENERGY), (15, 2), (6, 12345), WH],
    ),
    "one list, the code last": (2, [(6, 500), (9, POWER), (6, 12345), WH, (9, ENERGY)]),
    "one list after a time": (2, [(9, TIME), (9, POWER), (6, 500), (9, ENERGY), (6, 12345), WH]),
    "a list of lists": (2, [(10, b"id"), (1, [(2, [(9, POWER), (6, 500)])]), (2, [(9, ENERGY), (6, 12345), WH])]),
    "definitions, then values": (
        2,
        [
            (1, [_definition(3, POWER, 2), _definition(3, ENERGY, 2), _definition(3, ENERGY, 3)]),
            (6, 500),
            (6, 12345),
            WH,
        ],
    ),
    "definitions that count themselves": (
        2,
        [
            (
                1,
                [
                    _definition(40, obis_bytes("0-0:25.9.0.255"), 2),
                    _definition(3, POWER, 2),
                    _definition(3, ENERGY, 2),
                    _definition(3, ENERGY, 3),
                ],
            ),
            (6, 500),
            (6, 12345),
            WH,
        ],
    ),
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_layouts(layout):
    (telegram,) = decode_telegrams(DataNotification(LAYOUTS[layout], TIME, 7).to_bytes())
    assert telegram.errors == []
    assert telegram.link == "raw"
    assert telegram.time == "2026-06-01T14:00:00+02:00"
    assert telegram.values["1-0:1.7.0.255"].value == "500"
    assert (telegram.values["1-0:1.8.0.255"].value, telegram.values["1-0:1.8.0.255"].unit) == ("1234.5", "Wh")
    assert len(telegram.values) == 2


def test_values_of_every_type():
    items = [
        ("0-0:42.0.0.255", (9, b"KFM1000000000001"), "KFM1000000000001"),
        ("0-0:1.0.0.255", (9, TIME), "2026-06-01T14:00:00+02:00"),
        ("0-0:96.1.4.255", (9, b"\x00\xff"), "00ff"),
        ("0-0:96.1.5.255", (9, b"\x01\x00\x02\x03\x04\xff"), "0100020304ff"),
        ("1-0:32.7.0.255", (23, 230.1), "230.1"),
        ("1-0:52.7.0.255", (24, 1e-7), "0.0000001"),
        ("0-0:96.3.10.255", (3, True), "true"),
        ("0-0:96.5.0.255", (4, "10100000"), "10100000"),
        ("0-0:96.5.1.255", (0, None), None),
        ("1-0:9.8.0.255", (20, -5), "-5"),
        ("1-0:99.1.0.255", (1, [(17, 1), (17, 2)]), "[1, 2]"),
    ]
    body = (1, [(2, [(9, obis_bytes(code)), value]) for code, value, _ in items])
    (telegram,) = decode_telegrams(DataNotification(body).to_bytes())
    assert {code: reading.value for code, reading in telegram.values.items()} == {code: text for code, _, text in items}
    assert telegram.meter == "KFM1000000000001"
    assert telegram.time == "2026-06-01T14:00:00+02:00"


def test_codes_without_tags():
    raw = b"\x0f\x00\x00\x00\x01\x00\x02\x02"
    for code, value in ((POWER, (6, 500)), (ENERGY, (6, 12345))):
        raw += b"\x00\x03" + code + b"\x02" + encode(value)
    (telegram,) = decode_telegrams(raw)
    assert telegram.errors == []
    assert {code: reading.value for code, reading in telegram.values.items()} == {
        "1-0:1.7.0.255": "500",
        "1-0:1.8.0.255": "12345",
    }


def test_values_by_position_come_from_layout_files():
    values = [(9, b"KFM_001"), (9, b"6970631401234567"), (9, b"MA304H3E"), (6, 1327), (6, 0), (6, 5), (6, 0)]
    values += [(6, 3210), (6, 410), (6, 0), (6, 2291), (6, 0), (6, 2305)]
    (telegram,) = decode_telegrams(DataNotification((2, values)).to_bytes())
    assert telegram.meter == "6970631401234567"
    assert (telegram.values["1-0:31.7.0.255"].value, telegram.values["1-0:31.7.0.255"].unit) == ("3.210", "A")
    assert (telegram.values["1-0:32.7.0.255"].value, telegram.values["1-0:32.7.0.255"].unit) == ("229.1", "V")
    (alone,) = decode_telegrams(DataNotification((2, [(6, 1327)])).to_bytes())
    assert alone.values["1-0:1.7.0.255"].unit == "W"


def test_definitions_whose_values_do_not_fit_are_no_values():
    definitions = (1, [_definition(3, POWER, 2), _definition(3, ENERGY, 2)])
    for values in ([], [(6, 1)] * 5):
        (telegram,) = decode_telegrams(DataNotification((2, [definitions, *values])).to_bytes())
        assert telegram.values == {}
        assert [error.code for error in telegram.errors] == ["unknown_layout"]


def test_a_telegram_that_names_nothing_is_an_error():
    for body in ((2, [(6, 1), (6, 2), (6, 3)]), (6, 1), (1, [])):
        (telegram,) = decode_telegrams(DataNotification(body).to_bytes())
        assert [error.code for error in telegram.errors] == ["unknown_layout"]


APDU = DataNotification(LAYOUTS["items of their own"], TIME, 7).to_bytes()


def _values(telegrams):
    return [[reading.value for reading in telegram.values.values()] for telegram in telegrams]


def _hdlc(apdu, size, last=False):
    data = wrap(apdu, False)
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return [
        HdlcFrame(b"\x41", b"\x03", UI | 0x10, part, at < len(parts) - 1).to_bytes() for at, part in enumerate(parts)
    ]


def test_hdlc_segments():
    frames = _hdlc(APDU, 16)
    assert len(frames) > 3
    assert _values(decode_telegrams(b"".join(frames) * 2)) == [["500", "1234.5"]] * 2
    for missing in range(len(frames)):
        data = b"".join(frame for at, frame in enumerate(frames) if at != missing)
        telegrams = decode_telegrams(data + b"".join(frames))
        assert "missing_segment" in [error.code for telegram in telegrams for error in telegram.errors], missing
        assert _values(telegrams)[-1] == ["500", "1234.5"]
        assert all(not telegram.values for telegram in telegrams[:-1])
    for damaged in range(len(frames)):
        parts = [
            frame[:-5] + bytes((frame[-5] ^ 1,)) + frame[-4:] if at == damaged else frame
            for at, frame in enumerate(frames)
        ]
        telegrams = decode_telegrams(b"".join(parts))
        assert "bad_fcs" in [error.code for telegram in telegrams for error in telegram.errors]
        assert all(not telegram.values for telegram in telegrams)


def test_mbus_segments():
    frames = [frame.to_bytes() for frame in mbus.split_apdu(APDU, size=20)]
    assert _values(decode_telegrams(b"".join(frames) * 2)) == [["500", "1234.5"]] * 2
    assert decode_telegrams(b"".join(frames))[0].link == "mbus"
    assert _values(decode_telegrams(b"\x00\x68" + b"".join(frames) + b"\x16")) == [["500", "1234.5"]]
    for missing in range(len(frames)):
        data = b"".join(frame for at, frame in enumerate(frames) if at != missing)
        telegrams = decode_telegrams(data)
        assert "missing_segment" in [error.code for telegram in telegrams for error in telegram.errors], missing
        assert all(not telegram.values for telegram in telegrams)
    damaged = frames[0][:10] + b"\xff" + frames[0][11:] + b"".join(frames[1:])
    assert "bad_checksum" in [error.code for telegram in decode_telegrams(damaged) for error in telegram.errors]
    foreign = mbus.MbusFrame(8, 1, 0x72, bytes(12)).to_bytes()
    assert [error.code for error in decode_telegrams(foreign)[0].errors] == ["not_dlms"]


def test_general_block_transfer():
    parts = [APDU[at : at + 16] for at in range(0, len(APDU), 16)]
    blocks = [GeneralBlockTransfer(at == len(parts) - 1, at + 1, 0, part).to_bytes() for at, part in enumerate(parts)]
    assert _values(decode_telegrams(b"".join(blocks) * 2)) == [["500", "1234.5"]] * 2
    for missing in range(len(blocks)):
        data = b"".join(block for at, block in enumerate(blocks) if at != missing)
        telegrams = decode_telegrams(data)
        assert "missing_segment" in [error.code for telegram in telegrams for error in telegram.errors], missing
        assert all(not telegram.values for telegram in telegrams)


def test_the_wrapper():
    data = WrapperUnit(1, 16, APDU).to_bytes()
    telegrams = decode_telegrams(data * 2)
    assert [telegram.link for telegram in telegrams] == ["wrapper"] * 2
    assert _values(telegrams) == [["500", "1234.5"]] * 2
    assert [error.code for error in decode_telegrams(data[:-1])[0].errors] == ["cut_short"]


def test_bare_apdus_one_after_another():
    telegrams = decode_telegrams(APDU * 3)
    assert _values(telegrams) == [["500", "1234.5"]] * 3
    (telegram,) = decode_telegrams(APDU + b"\x99")
    assert [error.code for error in telegram.errors] == ["trailing_bytes"]


def test_units_without_an_apdu():
    for data in (WrapperUnit(1, 16, b"").to_bytes(), b"".join(_hdlc(b"", 16)), mbus.split_apdu(b"")[0].to_bytes()):
        for telegram in decode_telegrams(data):
            assert [error.code for error in telegram.errors] in (["cut_short"], ["no_telegram"])


def test_ciphering_of_every_kind():
    key, authentication_key, title = bytes(range(16)), bytes(range(16, 32)), b"KFM\x00\x00\x00\x00\x01"
    for tag, control in ((0xDB, 0x30), (0xDB, 0x20), (0xDB, 0x21), (0xDB, 0x10), (0xDC, 0x30), (0xC8, 0x30)):
        data = seal(tag, title, control, 77, APDU, key, authentication_key).to_bytes()
        (telegram,) = decode_telegrams(data, keys=Keys(key, authentication_key, title))
        assert telegram.errors == []
        assert telegram.ciphered
        assert telegram.invocation_counter == 77
        assert _values([telegram]) == [["500", "1234.5"]]
    data = seal(0xC8, title, 0x30, 77, APDU, key, authentication_key).to_bytes()
    assert decode_telegrams(data, keys=Keys(key, authentication_key))[0].errors[0].code == "wrong_system_title"
    data = seal(0xDB, title, 0xB0, 77, APDU, key, authentication_key).to_bytes()
    assert decode_telegrams(data, keys=Keys(key, authentication_key))[0].errors[0].code == "unsupported_security"


def test_event_notifications():
    event = EventNotification(CosemAttribute(3, POWER, 2), (6, 77), TIME)
    assert EventNotification.from_bytes(event.to_bytes()) == event
    (telegram,) = decode_telegrams(event.to_bytes())
    assert (telegram.values["1-0:1.7.0.255"].value, telegram.time) == ("77", "2026-06-01T14:00:00+02:00")


P1_V5 = (
    "/ISK5\\2M550T-1012\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(210204163628W)\r\n"
    "0-0:96.1.1(4530303434303037313331363530363138)\r\n1-0:1.8.1(001234.567*kWh)\r\n1-0:1.7.0(00.293*kW)\r\n"
    "1-0:99.97.0(1)(0-0:96.7.19)(200101120000W)(0000000240*s)\r\n0-0:96.13.0()\r\n"
    "0-1:24.2.1(210204163500W)(00345.678*m3)\r\n!"
)
P1_V2 = (
    "/ISk5\\2MT382-1000\r\n\r\n0-0:96.1.1(00000000000000)\r\n1-0:1.8.1(00001.001*kWh)\r\n"
    "0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00001.001)\r\n0-1:24.4.0(1)\r\n!\r\n"
)


def test_p1_telegrams():
    good = P1_V5 + f"{crc16(P1_V5.encode()):04X}\r\n"
    done = _decode("--json", "-", data=(good * 2).encode())
    assert done.returncode == 0
    first, second = json.loads(done.stdout)["telegrams"]
    assert first == second
    assert first["link"] == "p1"
    assert first["meter"] == "E0044007131650618"
    assert first["time"] == "2021-02-04T16:36:28+01:00"
    assert first["values"]["1-0:1.8.1.255"] == {"value": "1234.567", "unit": "kWh"}
    assert first["values"]["1-0:1.7.0.255"] == {"value": "0.293", "unit": "kW"}
    assert first["values"]["0-1:24.2.1.255"] == {"value": "345.678", "unit": "m3"}
    (old,) = decode_telegrams(P1_V2.encode())
    assert (old.values["0-1:24.2.1.255"].value, old.values["0-1:24.2.1.255"].unit) == ("1.001", "m3")
    assert old.errors == []
    (unix,) = decode_telegrams(good.replace("\r\n", "\n").encode())
    assert unix.errors == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (P1_V5 + "0000\r\n", "bad_crc"),
        (P1_V5 + "xyz!\r\n", "bad_crc"),
        (P1_V5[:-1], "cut_short"),
        ("/ISK5\r\n\r\nnonsense\r\n!\r\n", "bad_line"),
        ("/ISK5\r\n\r\n1-0:1.8.1(1\r\n!\r\n", "bad_line"),
        ("/ISK5\r\n\r\n1-0:1.8.999(1*kWh)\r\n!\r\n", "bad_obis"),
        ("nothing", "no_telegram"),
    ],
)
def test_p1_telegrams_that_are_wrong(text, code):
    telegrams = decode_telegrams(text.encode(), link="p1")
    assert code in [error.code for telegram in telegrams for error in telegram.errors]


def test_what_the_command_takes_and_refuses(tmp_path):
    name = "hdlc_norway_han_1phase"
    text = (TELEGRAMS / f"{name}.log").read_bytes()
    binary = telegram_bytes(text)
    spaced = b"# a capture\n0x" + b", 0x".join(f"{byte:02x}".encode() for byte in binary)
    outputs = {_decode("--json", "-", data=data).stdout for data in (text, binary, spaced, text.upper())}
    assert len(outputs) == 1
    table = _decode("-", data=text)
    assert b"1-0:1.7.0.255" in table.stdout
    missing = _decode(str(tmp_path / "none"))
    assert missing.returncode == 1
    assert b"no_file" in missing.stderr
    assert _decode("--key", "00", "-").returncode == 2
    for data in (b"", b"\x00", b"zz", b"\xff" * 100):
        done = _decode("--json", "-", data=data)
        assert done.returncode == 1
        assert json.loads(done.stdout)["telegrams"][0]["errors"]


FRAME = b"".join(_hdlc(APDU, 2000))
ROWS = [FRAME[at : at + 16] for at in range(0, len(FRAME), 16)]
ZEROS = FRAME + bytes(100) + FRAME


def _offsets(data: bytes, form: str, gutter: bool = False, squeezed: bool = False, last: bool = True) -> str:
    """A dump as `xxd`, `hexdump -C` and `od -t x1` print it."""
    lines: list[str] = []
    before = None
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        if squeezed and row == before and at + 16 < len(data):
            if lines[-1] != "*":
                lines.append("*")
            continue
        before = row
        seen = "".join(chr(byte) if 0x20 < byte < 0x7F else "." for byte in row)
        lines.append(form.format(at) + f"{row[:8].hex(' ')}  {row[8:].hex(' ')}" + (f"  |{seen}|" if gutter else ""))
    if last:
        lines.append(form.format(len(data)).strip(": "))
    return "\n".join(lines) + "\n"


def _xxd(data: bytes) -> str:
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        seen = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{at:08x}: {row.hex(' ', 2):<39}  {seen}")
    return "\n".join(lines)


def _words(data: bytes, form: str) -> str:
    """A dump as `hexdump` without `-C` and `od -x` print it: in words, the second byte first."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16] + bytes(len(data[at : at + 16]) % 2)
        lines.append(form.format(at) + " ".join(row[word : word + 2][::-1].hex() for word in range(0, len(row), 2)))
    return "\n".join([*lines, form.format(len(data)).strip()]) + "\n"


CAPTURES = {
    "bare": FRAME.hex(),
    "spaced": FRAME.hex(" ").upper(),
    "colons": FRAME.hex(":"),
    "dashes": FRAME.hex("-"),
    "broken within a byte": "\n".join(FRAME.hex()[at : at + 31] for at in range(0, 2 * len(FRAME), 31)),
    "with 0x": ", ".join(f"0x{byte:02X}" for byte in FRAME),
    "with 0x and no zeros": ", ".join(f"0x{byte:X}" for byte in FRAME),
    "no zeros": " ".join(f"{byte:X}" for byte in FRAME),
    "an array in C": "uint8_t frame[] = {\n"
    + ",\n".join("0x" + row.hex(" ").replace(" ", ", 0x") for row in ROWS)
    + "\n};",
    "escapes": 'frame = b"' + "".join(f"\\x{byte:02x}" for byte in FRAME) + '"',
    "xxd": _xxd(FRAME),
    "hexdump -C": _offsets(FRAME, "{:08x}  ", gutter=True),
    "od -A x": _offsets(FRAME, "{:06x} "),
    "od": _offsets(FRAME, "{:07o} "),
    "od -A d": _offsets(FRAME, "{:07d} "),
    "hexdump": _words(FRAME, "{:07x} "),
    "od -x": _words(FRAME, "{:07o} "),
    "offsets and no end": _offsets(FRAME, "{:04x}: ", last=False),
    "comments": "# taken at noon\n// by hand\n" + "\n".join(row.hex(" ") + " # 12 bytes" for row in ROWS),
    "a log with levels": "(V) HDLC frame:\n"
    + "\n".join(f"(V) {row.hex(' ')}" for row in ROWS)
    + "\n(D) Received at 18 +267",
    "a log with times": "\n".join(f"[21:14:1{at}][D][uart:114]: <<< {row.hex(':')}" for at, row in enumerate(ROWS)),
    "a log with lengths": "\n".join(
        f"[21:14:1{at}][D][dlms:9]: {row.hex('.')} ({len(row)})" for at, row in enumerate(ROWS)
    ),
    "a log with an arrow": "\n".join(f"13:06:54.26{at} :>{row.hex(' ')} " for at, row in enumerate(ROWS)),
    "times alone": "\n".join(f"2026-06-01 13:06:5{at} {row.hex(' ')}" for at, row in enumerate(ROWS)),
    "labels": "\n".join(f"RX #1: {row.hex(' ')}" for row in ROWS),
    "JSON": json.dumps({"data": FRAME.hex()}),
    "a byte order mark": "\ufeff" + FRAME.hex(),
}


@pytest.mark.parametrize("form", list(CAPTURES))
def test_a_capture_in_every_form_that_people_keep(form):
    assert telegram_bytes(CAPTURES[form].encode()) == FRAME
    assert telegram_bytes(CAPTURES[form].replace("\n", "\r\n").encode()) == FRAME


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 33])
def test_words_of_every_length(size):
    assert telegram_bytes(_words(FRAME[:size], "{:07x} ").encode()) == FRAME[:size]


def test_a_telegram_of_lines_in_the_forms_that_people_keep():
    sent = P1_V5 + f"{crc16(P1_V5.encode()):04X}\r\n"
    pieces = "".join(f"    {line!r}\n" for line in sent.splitlines(keepends=True))
    for text in (
        sent.replace("\r", "^M"),
        json.dumps({"time": 1, "telegram": sent}),
        f"TELEGRAM = (\n{pieces})\n",
        f"2026-06-01 12:00:00 INFO got {sent!r}\n",
    ):
        (telegram,) = json.loads(_decode("--json", "-", data=text.encode()).stdout)["telegrams"]
        assert (telegram["errors"], telegram["values"]["1-0:1.8.1.255"]["unit"]) == ([], "kWh")


def test_a_capture_that_a_windows_shell_wrote():
    assert telegram_bytes(FRAME.hex(" ").encode("utf-16")) == FRAME


def test_dumps_that_leave_out_what_repeats():
    for form in ("{:08x}  ", "{:07o} ", "{:07d} "):
        dump = _offsets(ZEROS, form, squeezed=True)
        assert "*" in dump
        assert telegram_bytes(dump.encode()) == ZEROS


@pytest.mark.parametrize(
    "form", [_xxd, *[lambda data, form=form: _offsets(data, form) for form in ("{:06x} ", "{:07o} ")]]
)
def test_a_dump_whose_offsets_do_not_fit_is_refused(form):
    lines = form(FRAME).splitlines()
    for wrong in (
        lines[:1] + lines[2:],
        [*lines[:2], lines[1], *lines[2:]],
        [lines[0], lines[1][:30], *lines[2:]],
        [*lines[:2], lines[2].replace(FRAME[33:34].hex(), "", 1), *lines[3:]],
    ):
        with pytest.raises(DecodeError) as caught:
            telegram_bytes("\n".join(wrong).encode())
        assert caught.value.code == "bad_dump"


def test_a_dump_that_repeats_for_ever_is_no_dump():
    for row in ("7e", "7e " * 16):
        with contextlib.suppress(DecodeError):
            assert len(telegram_bytes(f"00000000 {row}\n*\nffffffffffffffff\n".encode())) < 100


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"7ea0a", "odd_hex"),
        (b"7ea0 0ab 7e", "odd_hex"),
        (b"some text", "not_hex"),
        (b"the word cafe", "not_hex"),
        ("Zähler".encode("latin-1"), "unknown_apdu"),
    ],
)
def test_what_is_no_capture_is_named(data, code):
    done = _decode("--json", "-", data=data)
    assert done.returncode == 1
    (telegram,) = json.loads(done.stdout)["telegrams"]
    assert (telegram["link"], telegram["values"]) == ("raw", {})
    assert [error["code"] for error in telegram["errors"]] == [code]


def test_text_is_never_taken_for_a_telegram_and_binary_never_for_text():
    p1 = P1_V5.encode() + b"0000\r\n"
    assert telegram_bytes(p1) == p1
    assert telegram_bytes(b"\r\n" + p1) == b"\r\n" + p1
    assert telegram_bytes(p1.hex().encode()) == p1
    assert telegram_bytes(FRAME) == FRAME
    assert telegram_bytes(b"~\xa0") == b"~\xa0"


def test_files_that_cannot_be_read(tmp_path):
    folder = _decode(str(tmp_path))
    assert (folder.returncode, folder.stdout) == (1, b"")
    assert b"no_file" in folder.stderr
    endless = _decode("/dev/zero")
    assert (endless.returncode, endless.stdout) == (1, b"")
    assert b"too_long" in endless.stderr
    if os.geteuid():
        secret = tmp_path / "secret"
        secret.write_bytes(b"7e")
        secret.chmod(0)
        assert b"no_file" in _decode(str(secret)).stderr
    command = f"exec {sys.executable} -m edge_agent decode - <&-"
    closed = subprocess.run(
        ["/bin/sh", "-c", command], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert closed.returncode == 1
    assert b"no_file" in closed.stderr


@pytest.mark.parametrize(
    ("key", "message"),
    [("00", b"16 or 32 bytes"), ("0" * 31, b"not hex"), ("xx" * 16, b"not hex"), ("00" * 24, b"16 or 32 bytes")],
)
def test_keys_that_are_none(key, message):
    for option in ("--key", "--auth-key"):
        done = _decode(option, key, "-")
        assert done.returncode == 2
        assert message in done.stderr
        assert key.encode() not in done.stderr.split(b"\n")[-2]


def test_keys_in_every_form():
    name = "hdlc_kamstrup_omnipower"
    key = _keys(name).key.hex(" ")
    for form in (key, key.upper(), key.replace(" ", ":"), "0x" + key.replace(" ", "")):
        done = _decode("--key", form, "--json", str(TELEGRAMS / f"{name}.log"))
        assert done.returncode == 0, done.stderr


def test_an_output_without_such_characters_gets_escapes(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    body = (1, [(2, [(9, obis_bytes("0-0:42.0.0.255")), (9, "Zähler".encode())])])
    data = DataNotification(body).to_bytes()
    done = _decode("--json", "-", data=data)
    assert json.loads(done.stdout)["telegrams"][0]["meter"] == "Zähler"
    assert b"Z\\xe4hler" in _decode("-", data=data).stdout


def test_a_reader_that_goes_away(tmp_path):
    file = tmp_path / "many"
    file.write_bytes(FRAME * 500)
    command = f"{sys.executable} -m edge_agent decode {file} | head -1"
    done = subprocess.run(
        ["/bin/sh", "-c", command], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert b"Traceback" not in done.stderr
    assert done.stdout.startswith(b"hdlc")
