"""What meters of many makes push, rebuilt from what their operators and owners publish, with values of our own.

Sources: the HAN lists of NVE and of Energiföretagen (Aidon, Kaifa, Kamstrup, Landis+Gyr on the Norwegian and Swedish
HAN port), the customer interface of Netz NÖ (Kaifa MA309M, Sagemcom T210-D) and of Salzburg, TINETZ and Vorarlberg
(Kaifa MA110M, MA309M), the consumer information interface of IDIS package 2 (Landis+Gyr E450, Iskraemeco AM550), and
the telegrams in the issues of UtilitechAS/amsreader-firmware, scs/smartmeter-datacollector, tirolerstefan/kaifa and
toreamun/amshan.
"""

from __future__ import annotations

import random

import pytest
from pushed import code, only, said

from edge_agent.dlms import mbus
from edge_agent.dlms.apdu.data_notification import DataNotification
from edge_agent.dlms.apdu.general_block_transfer import GeneralBlockTransfer
from edge_agent.dlms.axdr import encode
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.hdlc.frame import UI, HdlcFrame
from edge_agent.dlms.llc import wrap
from edge_agent.dlms.push.interpret import interpret, text_of
from edge_agent.dlms.push.telegram import Keys, decode_telegrams
from edge_agent.dlms.security import seal

NOON = 1780315200  # 2026-06-01 12:00 UTC
SUMMER = ClockTime.from_unix(NOON, -120).to_bytes()
SUMMER_TEXT = "2026-06-01T14:00:00+02:00"
NO_ZONE = ClockTime.from_unix(NOON + 7200, None).to_bytes()
NO_ZONE_TEXT = "2026-06-01T14:00:00"
KEY, AUTHENTICATION_KEY, TITLE = bytes(range(16)), bytes(range(0xD0, 0xE0)), b"LGZ\x01\x02\x03\x04\x05"

W, VAR, WH, VARH, A, V, HZ = 27, 29, 30, 32, 33, 35, 44


def unit(scaler: int, number: int) -> tuple[int, list[tuple[int, int]]]:
    return (2, [(15, scaler), (22, number)])


def definition(kind: int, text: str, attribute: int = 2) -> tuple[int, list[tuple[int, object]]]:
    return (2, [(18, kind), code(text), (15, attribute), (18, 0)])


def u32(value: int) -> tuple[int, int]:
    return (6, value)


def u16(value: int) -> tuple[int, int]:
    return (18, value)


def text(value: str) -> tuple[int, bytes]:
    return (9, value.encode())


def visible(value: str) -> tuple[int, bytes]:
    return (10, value.encode())


def hdlc(apdu: bytes, size: int = 2000) -> bytes:
    whole = wrap(apdu, False)
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    last = len(parts) - 1
    return b"".join([HdlcFrame(b"\xcf", b"\x02\x23", UI, part, at < last).to_bytes() for at, part in enumerate(parts)])


def blocks_in_frames(apdu: bytes, size: int) -> bytes:
    """General-block-transfer as Landis+Gyr sends it: one block in a frame, only the first with an LLC header."""
    parts = [apdu[at : at + size] for at in range(0, len(apdu), size)]
    line = b""
    for at, part in enumerate(parts):
        block = GeneralBlockTransfer(at == len(parts) - 1, at + 1, 0, part, True, 0).to_bytes()
        line += HdlcFrame(b"\xce\xff", b"\x03", UI | 0x10, wrap(block, False) if at == 0 else block).to_bytes()
    return line


# Items that name themselves


def test_aidon_and_embriq_on_the_han_port():
    items = [
        (2, [code("1-1:0.2.129.255"), visible("EMBRIQ_V1_1")]),
        (2, [code("0-0:96.1.0.255"), (10, b"13943597" + bytes(8))]),
        (2, [code("0-0:96.1.7.255"), (10, bytes(4))]),
        (2, [code("1.7.0"), u32(9460), unit(0, W)]),
        (2, [code("31.7.0"), (16, 3180), unit(-2, A)]),
        (2, [code("71.7.0"), (16, -5), unit(-2, A)]),
        (2, [code("32.7.0"), u16(2350), unit(-1, V)]),
        (2, [code("14.7.0"), u16(4998), unit(-2, HZ)]),
    ]
    telegram = only(hdlc(DataNotification((1, items), b"", 0x40000000).to_bytes()))
    assert said(telegram) == {
        "1-1:0.2.129": "EMBRIQ_V1_1 -",
        "0-0:96.1.0": "13943597 -",
        "0-0:96.1.7": "00000000 -",
        "1.7.0": "9460 W",
        "31.7.0": "31.80 A",
        "71.7.0": "-0.05 A",
        "32.7.0": "235.0 V",
        "14.7.0": "49.98 Hz",
    }
    assert (telegram.link, telegram.ciphered, telegram.meter, telegram.time) == ("hdlc", False, "13943597", None)


def test_a_clock_among_the_values_gives_the_time():
    items = [(2, [code("0-0:1.0.0.255"), (9, NO_ZONE)]), (2, [code("1.8.0"), u32(63068772), unit(0, WH)])]
    telegram = only(hdlc(DataNotification((1, items)).to_bytes()))
    assert telegram.time == NO_ZONE_TEXT
    assert said(telegram) == {"0-0:1.0.0": f"{NO_ZONE_TEXT} -", "1.8.0": "63068772 Wh"}


def test_one_value_alone_is_not_taken_for_a_list_of_them():
    body = (2, [code("1-1:1.8.0.255"), u16(4386)])
    assert said(only(bytes.fromhex("e6e7000f4000000000") + encode(body))) == {"1-1:1.8.0": "4386 -"}


def test_kaifa_in_salzburg_and_vorarlberg_with_a_bare_code_and_clock_before_the_items():
    body = (
        2,
        [
            code("0-0:1.0.0.255"),
            (9, SUMMER),
            (2, [code("0-0:96.1.0.255"), text("1KFM0200000001")]),
            (2, [code("0-0:42.0.0.255"), text("KFM1200200000001")]),
            (2, [code("32.7.0"), u16(2330), unit(-1, V)]),
            (2, [code("1.8.0"), u32(1402012), unit(0, WH)]),
            (2, [code("3.8.0"), u32(132305), unit(0, VARH)]),
        ],
    )
    apdu = seal(
        0xDB, b"KFM\x10\x20\x00\x00\x01", 0x21, 7, DataNotification(body, SUMMER, 7).to_bytes(), KEY, AUTHENTICATION_KEY
    )
    frames = mbus.split_apdu(apdu.to_bytes(), size=100)
    assert len(frames) > 1
    telegram = only(b"".join([frame.to_bytes() for frame in frames]), Keys(KEY))
    assert (telegram.link, telegram.ciphered) == ("mbus", True)
    assert (telegram.meter, telegram.time) == ("KFM1200200000001", SUMMER_TEXT)
    assert said(telegram)["32.7.0"] == "233.0 V"
    assert said(telegram)["3.8.0"] == "132305 varh"
    assert len(telegram.values) == 6


# One list, codes and values in turn


def lower_austria() -> bytes:
    values: list[tuple[int, object]] = [(9, SUMMER)]
    for name, value, scale in (
        ("1.8.0", u32(4752026), unit(0, WH)),
        ("2.7.0", u32(9), unit(0, W)),
        ("72.7.0", u16(2321), unit(-1, V)),
        ("31.7.0", u16(2), unit(-2, A)),
        ("13.7.0", u16(94), unit(-3, 255)),
    ):
        values += [code(name), value, scale]
    return DataNotification((2, [*values, text("181220000009")]), SUMMER, 0x8070DD27).to_bytes()


def test_netz_noe_with_a_time_before_and_the_meter_number_after_the_values():
    telegram = only(lower_austria())
    assert said(telegram) == {
        "1.8.0": "4752026 Wh",
        "2.7.0": "9 W",
        "72.7.0": "232.1 V",
        "31.7.0": "0.02 A",
        "13.7.0": "0.094 -",
    }
    assert (telegram.meter, telegram.time) == ("181220000009", SUMMER_TEXT)


def test_sagemcom_t210_d_sends_m_bus_frames_longer_than_their_length_can_say():
    apdu = DataNotification((2, [code("1-0:96.13.0.255"), text("x" * 300)]), SUMMER).to_bytes()
    body = bytes((0x53, 0xFF, 0x00, 0x01, 0x67)) + apdu[:252]
    assert len(body) == 257
    first = b"\x68\x01\x01\x68" + body + bytes((sum(body) & 0xFF, 0x16))
    last = mbus.MbusFrame(0x53, 0xFF, 0x11, b"\x01\x67" + apdu[252:]).to_bytes()
    for telegram in decode_telegrams((first + last) * 2):
        assert telegram.link == "mbus"
        assert said(telegram) == {"96.13.0": "x" * 300 + " -"}
    damaged = decode_telegrams(first[:100] + b"\x00" + first[101:] + last)
    assert "bad_checksum" in [error.code for telegram in damaged for error in telegram.errors]
    assert all(not telegram.values for telegram in damaged)


def test_kamstrup_on_one_phase_leaves_null_in_the_place_of_the_others():
    null = (0, None)
    body = (
        2,
        [
            visible("Kamstrup_V0001"),
            *(code("1-1:0.0.5.255"), visible("5706567000000001")),
            *(code("1-1:96.1.1.255"), visible("6861111BN242101040")),
            *(code("1-1:1.7.0.255"), u32(616)),
            *(code("1-1:31.7.0.255"), u32(290), null, null, null, null),
            *(code("1-1:32.7.0.255"), u16(226), null, null, null, null),
            *(code("0-1:1.0.0.255"), (9, NO_ZONE)),
            *(code("1-1:1.8.0.255"), u32(1232787)),
        ],
    )
    telegram = only(hdlc(DataNotification(body, NO_ZONE).to_bytes()))
    assert said(telegram) == {
        "1-1:0.0.5": "5706567000000001 -",
        "1-1:96.1.1": "6861111BN242101040 -",
        "1-1:1.7.0": "616 W",
        "1-1:31.7.0": "2.90 A",
        "1-1:32.7.0": "226 V",
        "0-1:1.0.0": f"{NO_ZONE_TEXT} -",
        "1-1:1.8.0": "1232787 -",
    }
    assert (telegram.meter, telegram.time) == ("5706567000000001", NO_ZONE_TEXT)


def test_scalers_before_behind_and_without_braces_in_one_list():
    body = (
        2,
        [
            code("1.8.0"),
            unit(-1, WH),
            u32(5),
            code("2.8.0"),
            u32(6),
            unit(1, WH),
            code("1.7.0"),
            u32(7),
            (15, 2),
            (22, W),
        ],
    )
    assert said(only(DataNotification(body).to_bytes())) == {"1.8.0": "0.5 Wh", "2.8.0": "60 Wh", "1.7.0": "700 W"}


def test_a_number_of_the_meter_is_told_from_other_texts():
    def meter(last):
        return only(DataNotification((2, [code("1.8.0"), u32(1), code("2.8.0"), u32(2), last])).to_bytes()).meter

    assert meter(text("181220000009")) == "181220000009"
    assert meter(visible("1KFM02")) == "1KFM02"
    assert meter(text("no digits")) is None
    assert meter((9, b"\x00\x01\x02")) is None
    assert meter((9, SUMMER)) is None
    assert meter((9, b"")) is None


# Capture objects, then values

IDIS = (
    2,
    [
        (
            1,
            [
                definition(40, "0-8:25.9.0.255"),
                definition(40, "0-8:25.9.0.255", 1),
                definition(1, "0-0:96.1.0.255"),
                definition(8, "0-0:1.0.0.255"),
                definition(3, "1.7.0"),
                definition(3, "1-1:5.8.0.255"),
                definition(3, "31.7.0"),
            ],
        ),
        code("0-8:25.9.0.255"),
        text("63326413"),
        (9, NO_ZONE),
        u32(362),
        u32(34671),
        u16(51),
    ],
)


@pytest.mark.parametrize("size", [30, 112, 5000])
def test_landis_gyr_e450_by_blocks_with_its_own_name_among_the_values(size):
    telegram = only(blocks_in_frames(DataNotification(IDIS, NO_ZONE, 0x0021A433).to_bytes(), size))
    assert said(telegram) == {
        "0-0:96.1.0": "63326413 -",
        "0-0:1.0.0": f"{NO_ZONE_TEXT} -",
        "1.7.0": "362 -",
        "1-1:5.8.0": "34671 -",
        "31.7.0": "51 -",
    }
    assert (telegram.meter, telegram.time) == ("63326413", NO_ZONE_TEXT)


def test_landis_gyr_e450_ciphered_with_the_blocks_around_it():
    apdu = seal(0xDB, TITLE, 0x30, 3, DataNotification(IDIS, NO_ZONE).to_bytes(), KEY, AUTHENTICATION_KEY).to_bytes()
    line = blocks_in_frames(apdu, 70)
    whole = said(only(line, Keys(KEY, AUTHENTICATION_KEY)))
    assert whole["1.7.0"] == "362 -"
    assert said(only(line, Keys(KEY))) == whole
    for keys in (Keys(KEY, KEY), Keys(AUTHENTICATION_KEY), Keys(AUTHENTICATION_KEY, AUTHENTICATION_KEY)):
        assert [error.code for error in only(line, keys).errors] == ["wrong_key"]


def test_a_name_among_values_that_do_not_fit_their_header_is_never_taken_for_a_code():
    header, *values = IDIS[1]
    for shorter in (values[:-1], [*values, u32(1)]):
        telegram = only(DataNotification((2, [header, *shorter])).to_bytes())
        assert telegram.values == {}
        assert [error.code for error in telegram.errors] == ["unknown_layout"]


def test_scalers_that_come_as_values_of_their_own():
    header = (1, [definition(3, "1.8.0"), definition(3, "1.8.0", 3), definition(5, "1.6.0"), definition(5, "1.6.0", 4)])
    telegram = only(DataNotification((2, [header, u32(12345), unit(1, WH), u32(7), unit(-1, W)])).to_bytes())
    assert said(telegram) == {"1.8.0": "123450 Wh", "1.6.0": "0.7 W"}
    items = [
        (2, [u16(3), code("1.8.0"), (15, 3), unit(-2, WH)]),
        (2, [u16(3), code("1.8.0"), (15, 2), u32(12345)]),
        (2, [u16(4), code("2.8.0"), (15, 2), (23, 1.5)]),
        (2, [u16(4), code("2.8.0"), (15, 3), unit(3, WH)]),
        (2, [u16(4), code("2.8.0"), (15, 5), (9, SUMMER)]),
    ]
    telegram = only(DataNotification((1, items)).to_bytes())
    assert said(telegram) == {"1.8.0": "123.45 Wh", "2.8.0": "1500 Wh", "2.8.0.255:5": f"{SUMMER_TEXT} -"}


# Other shapes

SHAPES = {
    "value and unit in braces of their own": (2, [code("1.8.0"), (2, [u32(12345), unit(-1, WH)])]),
    "value, scaler and unit in one pair of braces": (2, [code("1.8.0"), (2, [u32(12345), (15, -1), (22, WH)])]),
    "scaler and unit before the value": (2, [code("1.8.0"), unit(-1, WH), u32(12345)]),
    "scaler and unit before the value, without braces": (2, [code("1.8.0"), (15, -1), (22, WH), u32(12345)]),
    "the unit as a number": (2, [code("1.8.0"), u32(12345), (2, [(15, -1), (17, WH)])]),
    "a class before the code": (2, [u16(3), code("1.8.0"), u32(12345), unit(-1, WH)]),
    "a value of 64 bits": (2, [code("1.8.0"), (21, 12345), unit(-1, WH)]),
    "a value of the nearest float": (2, [code("1.8.0"), (23, 1234.5), unit(0, WH)]),
    "a code of five bytes": (2, [(9, bytes((1, 0, 1, 8, 0))), u32(12345), unit(-1, WH)]),
    "a code as text": (2, [visible("1-0:1.8.0"), u32(12345), unit(-1, WH)]),
    "a code as text with its group F": (2, [text("1-0:1.8.0*255"), u32(12345), unit(-1, WH)]),
    "a code as text with points": (2, [(12, b"1.0.1.8.0.255"), u32(12345), unit(-1, WH)]),
}


@pytest.mark.parametrize("shape", list(SHAPES))
def test_shapes_of_one_item(shape):
    found = interpret((1, [SHAPES[shape], (2, [code("0-0:42.0.0.255"), text("KFM1")])])).values
    if "a code " in shape:
        found = interpret((1, [SHAPES[shape]])).values
    reading = found["1-0:1.8.0.255"]
    assert (reading.value, reading.unit) == ("1234.5", "Wh")


def test_texts_that_are_no_codes():
    for value in (b"1.2.3.4.5", b"300.0.1.8.0.255", b"2026-06-01", b"12:00:00.5", b"1-0:1.8", b"0000000000"):
        assert interpret((2, [(10, value), u32(1)])).values == {}


def test_dates_and_times_and_other_types_as_text():
    assert text_of((26, SUMMER[:5])) == "2026-06-01"
    assert text_of((27, SUMMER[5:9])) == "14:00:00"
    assert text_of((26, b"\xff" * 5)) == "ffffffffff"
    assert text_of((27, b"\x63\x00\x00\x00")) == "63000000"
    assert text_of((22, 1)) == "1"
    assert text_of((4, "101")) == "101"
    assert text_of((9, b"\xc2\x9b2J")) == "c29b324a"  # would command a terminal
    assert text_of((9, "Zähler 1".encode())) == "Zähler 1"
    assert text_of((10, b"AB\x00\x00")) == "AB"
    assert text_of((9, b"AB\x00\x00")) == "41420000"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (b"", SUMMER_TEXT),
        (b"\xff" * 12, SUMMER_TEXT),
        (NO_ZONE, NO_ZONE_TEXT),
        (b"\x09\x0c" + SUMMER, SUMMER_TEXT),
    ],
)
def test_the_time_of_the_notification_where_it_has_one_else_the_clock(time, expected):
    body = (1, [(2, [code("0-0:1.0.0.255"), (9, SUMMER)]), (2, [code("1.8.0"), u32(1), unit(0, WH)])])
    head = b"\x0f\x40\x00\x00\x00" + (time if time[:1] == b"\x09" else bytes((len(time),)) + time)
    assert only(head + encode(body)).time == expected


# By position


def test_kaifa_on_the_han_port_with_energies_of_64_bits():
    values = [text("KFM_001"), text("7340157000000001"), text("MA304T4")]
    values += [u32(0), u32(11), u32(0), u32(4), u32(97), u32(428), u32(1476), u32(2435), u32(0), u32(2310)]
    values += [(9, NO_ZONE), (21, 478133000), (21, 0), (21, 25660), (21, 159478)]
    head = bytes.fromhex("0f40000000090c") + NO_ZONE
    telegram = only(hdlc(head + encode((2, values))))
    found = said(telegram)
    assert (found["2.7.0"], found["31.7.0"], found["32.7.0"]) == ("11 W", "0.097 A", "243.5 V")
    assert (found["1.8.0"], found["4.8.0"]) == ("478133000 Wh", "159478 varh")
    assert (telegram.meter, telegram.time, len(found)) == ("7340157000000001", NO_ZONE_TEXT, 18)


POWERS = [u32(625), u32(1), u32(2), u32(3)]
PHASES = [u32(value) for value in (221, 82, 322, 0, 0, 1)]
BY_POSITION = {
    "Iskraemeco AM550, Elektro Ljubljana, three phases": (
        [text("ISK1030000000001"), text("16820005"), *POWERS, *map(u16, (2379, 2380, 2296, 103, 125, 597)), *PHASES],
        "ISK1030000000001",
        {"1.7.0": "625 W", "32.7.0": "237.9 V", "71.7.0": "5.97 A", "61.7.0": "322 W", "62.7.0": "1 W"},
        18,
    ),
    "Iskraemeco AM550, Elektro Ljubljana, one phase": (
        [text("ISK1020000000001"), text("ISK85766649"), *POWERS, u16(2336), u16(278), u32(540), u32(0)],
        "ISK1020000000001",
        {"4.7.0": "3 var", "32.7.0": "233.6 V", "31.7.0": "2.78 A", "21.7.0": "540 W"},
        10,
    ),
    "Iskraemeco AM550, Elektro Ljubljana, each quarter of an hour": (
        [
            *(text("ISK1030000000001"), text("16820006"), (22, 1), (9, b"\x00\x01")),
            *map(u32, (52837, 13593, 39244, 177927, 78615, 99312, 107882, 43253)),
        ],
        "ISK1030000000001",
        {"0-0:96.3.10": "1 -", "1.8.0": "52837 Wh", "2.8.2": "99312 Wh", "4.8.0": "43253 varh"},
        12,
    ),
    "Iskraemeco AM550, Elektro Celje": (
        [text("ISK1030000000001"), text("UP_3f"), *map(u16, (2314, 2303, 2348, 451, 525, 88)), *POWERS],
        "ISK1030000000001",
        {"72.7.0": "234.8 V", "51.7.0": "5.25 A", "1.7.0": "625 W"},
        11,
    ),
    "Iskraemeco AM550, Kärnten Netz": (
        [
            *(code("0-6:25.9.0.255"), text("1121378000001"), (9, SUMMER[5:9]), (9, SUMMER[:5])),
            *map(u32, (14370048, 420837, 1455864, 2293936, 0, 9)),
            *((9, b""), (9, b"")),
        ],
        "1121378000001",
        {"0.9.1": "14:00:00 -", "0.9.2": "2026-06-01 -", "1.8.0": "14370048 Wh", "1.7.0": "0 W", "2.7.0": "9 W"},
        9,
    ),
    "Siemens IM350, Wels": (
        [
            *(code("0-6:25.9.0.255"), text("18030000"), (9, SUMMER[5:9]), (9, SUMMER[:5])),
            *map(u32, (3532000, 0, 392000, 282000, 146, 0)),
        ],
        "18030000",
        {"1.8.0": "3532000 Wh", "3.8.0": "392000 varh", "1.7.0": "146 W"},
        9,
    ),
    "Landis+Gyr E450 and others, Wiener Netze": (
        [(9, SUMMER), *map(u32, (5107912, 0, 1126903, 566784, 230, 0, 88, 21))],
        None,
        {"0-0:1.0.0": f"{SUMMER_TEXT} -", "1.8.0": "5107912 Wh", "1.7.0": "230 W", "4.7.0": "21 var"},
        9,
    ),
    "Iskraemeco IE.5, Croatia": (
        [
            *(text("92029691"), (9, SUMMER[5:9]), (9, SUMMER[:5])),
            *map(u32, (7088218, 4945434, 2142784, 5793962, 5742946, 51016, 1, 2, 3, 4, 382, 0)),
            *(u16(889), *PHASES, *map(u16, (2388, 2357, 2377, 55, 89, 77)), u32(17250)),
            *((1, [u16(9400)]), (1, [u16(9400)]), (1, [u16(9400)]), (3, True)),
        ],
        "92029691",
        {"1.8.2": "2142784 Wh", "2.8.0": "5793962 Wh", "13.7.0": "0.889 -", "52.7.0": "235.7 V", "71.7.0": "0.77 A"},
        24,
    ),
    "Landis+Gyr E450, Netz Burgenland": (
        [
            *map(u16, (236, 237, 236, 0, 4, 26)),
            *map(u32, (29, 0, 31358606, 7619)),
            *map(u16, (400, 3, 288)),
            text("30137181"),
        ],
        "30137181",
        {"32.7.0": "236 V", "71.7.0": "0.26 A", "1.7.0": "29 W", "1.8.0": "31358606 Wh"},
        11,
    ),
    "Landis+Gyr E450, Slovenia, sums": (
        [text("999999999999"), *POWERS, *map(u32, (5000, 6000, 7000, 8000))],
        "999999999999",
        {"1.7.0": "625 W", "3.7.0": "2 var", "1.8.0": "5000 Wh", "4.8.0": "8000 varh"},
        9,
    ),
    "Landis+Gyr E450, Slovenia, phases": (
        [text("999999999999"), *map(u16, (50, 105, 37, 120, 237, 236, 236)), *PHASES],
        "999999999999",
        {"14.7.0": "50 Hz", "31.7.0": "1.05 A", "32.7.0": "237 V", "41.7.0": "82 W"},
        14,
    ),
}


@pytest.mark.parametrize("meter", list(BY_POSITION))
def test_values_by_position(meter):
    values, name, expected, count = BY_POSITION[meter]
    telegram = only(hdlc(DataNotification((2, values), SUMMER).to_bytes(), 100))
    found = said(telegram)
    assert {key: found[key] for key in expected} == expected
    assert (telegram.meter, telegram.time, len(found)) == (name, SUMMER_TEXT, count)


def test_a_list_of_another_shape_is_not_read_by_the_nearest_layout():
    values, *_ = BY_POSITION["Landis+Gyr E450, Slovenia, sums"]
    for other in (
        [text("ISK1030000000001"), *values[1:]],  # Iskraemeco sends nine values of these types that mean something else
        [text("99999999999a"), *values[1:]],
        [(9, b""), *values[1:]],
        [(9, b"\xff" * 12), *values[1:]],
        [code("0-6:25.9.0.255"), *values[1:]],
        [values[0], u16(1), *values[2:]],
        values[:-1],
    ):
        telegram = only(DataNotification((2, other)).to_bytes())
        assert telegram.values == {}
        assert [error.code for error in telegram.errors] == ["unknown_layout"]


# What carries them


def test_an_apdu_with_its_llc_header_but_no_frame():
    apdu = lower_austria()
    for data in (b"\xe6\xe7\x00" + apdu, (b"\xe6\xe7\x00" + apdu) * 2, apdu + b"\xe6\xe7\x00" + apdu):
        for telegram in decode_telegrams(data):
            assert telegram.link == "raw"
            assert len(said(telegram)) == 5
    assert only(b"\xe6\xe7\x00").errors


def test_a_frame_whose_flags_the_capture_left_out():
    frame = hdlc(lower_austria())
    telegram = only(frame[1:-1])
    assert telegram.link == "hdlc"
    assert len(said(telegram)) == 5
    assert [error.code for error in only(frame[1:-3] + b"\x00\x00").errors] == ["bad_fcs"]


def test_luxembourg_ciphers_a_p1_telegram_as_a_whole():
    p1 = b"/Lux5\\253663629_D\r\n\r\n0-0:1.0.0(260601140000S)\r\n1-0:1.8.0(001234.567*kWh)\r\n!\r\n"
    title = b"SAG\x67\x00\x00\x00\x01"
    keys = Keys(KEY, bytes.fromhex("00112233445566778899aabbccddeeff"))
    data = seal(0xDB, title, 0x30, 4, p1, KEY, keys.authentication_key or b"").to_bytes()
    telegram = only(data, keys)
    assert telegram.ciphered
    assert said(telegram)["1.8.0"] == "1234.567 kWh"
    assert telegram.time == SUMMER_TEXT
    assert [error.code for error in only(data, Keys(AUTHENTICATION_KEY, keys.authentication_key)).errors] == [
        "wrong_key"
    ]


def descriptor(text: str, attribute: int = 2) -> bytes:
    return b"\x00\x03" + code(text)[1] + bytes((attribute,))


UNTAGGED = {
    "in one list": b"\x02\x02" + descriptor("1.7.0") + encode(u32(500)) + descriptor("1.8.0") + encode(u32(12345)),
    "each in a list": b"\x01\x02\x02\x01"
    + (descriptor("1.7.0") + encode(u32(500)) + b"\x02\x01" + descriptor("1.8.0") + encode(u32(12345))),
    "after a time": b"\x02\x03"
    + encode((9, SUMMER))
    + b"\x02\x01"
    + descriptor("1.7.0")
    + encode(u32(500))
    + (b"\x02\x01" + descriptor("1.8.0") + encode(u32(12345))),
}


@pytest.mark.parametrize("shape", list(UNTAGGED))
def test_class_code_and_attribute_without_tags(shape):
    raw = b"\x0f\x00\x00\x00\x01\x0c" + SUMMER + UNTAGGED[shape]
    telegram = only(hdlc(raw, 40))
    assert said(telegram) == {"1.7.0": "500 -", "1.8.0": "12345 -"}
    for size in range(20, len(raw)):
        assert only(raw[:size]).values == {}
        assert only(raw[:size]).errors


def test_scalers_behind_values_whose_codes_have_no_tags():
    raw = b"\x02\x02\x02\x02" + descriptor("1.7.0") + encode(u32(500)) + encode(unit(-1, W))
    raw += b"\x02\x02" + descriptor("1.8.0") + encode(u32(12345)) + encode((2, [(15, 1), (6, 2)]))
    assert said(only(raw)) == {"1.7.0": "50.0 W", "1.8.0": "12345 -"}
    separate = b"\x02\x02" + descriptor("1.8.0") + encode(u32(12345)) + descriptor("1.8.0", 3) + encode(unit(1, WH))
    assert said(only(separate)) == {"1.8.0": "123450 Wh"}
    deep = b"\x02\x01" * 30 + descriptor("1.8.0") + encode(u32(1))
    assert only(deep).values == {}


def test_untagged_items_inside_of_ciphering():
    raw = b"\x0f\x00\x00\x00\x01\x00\x02\x02"
    for name, value in (("1.7.0", u32(500)), ("1.8.0", u32(12345))):
        raw += b"\x00\x03" + code(name)[1] + b"\x02" + encode(value)
    data = seal(0xDB, TITLE, 0x20, 4, raw, KEY, AUTHENTICATION_KEY).to_bytes()
    assert said(only(data, Keys(KEY))) == {"1.7.0": "500 -", "1.8.0": "12345 -"}
    assert [error.code for error in only(data, Keys(AUTHENTICATION_KEY)).errors] == ["wrong_key"]


def test_system_titles_of_other_lengths():
    apdu = lower_austria()
    for title in (b"", b"LGZ1", b"LGZ123456"):
        data = seal(0xDB, TITLE, 0x20, 4, apdu, KEY, AUTHENTICATION_KEY)
        data.system_title = title
        assert [error.code for error in only(data.to_bytes(), Keys(KEY)).errors] == ["wrong_system_title"]
    data.system_title = b""
    assert len(said(only(data.to_bytes(), Keys(KEY, None, TITLE)))) == 5


LINES = {
    "hdlc": hdlc(lower_austria()),
    "hdlc in segments": hdlc(lower_austria(), 60),
    "hdlc with blocks": blocks_in_frames(lower_austria(), 50),
    "mbus": b"".join([frame.to_bytes() for frame in mbus.split_apdu(lower_austria(), size=100)]),
}


@pytest.mark.parametrize("link", list(LINES))
def test_a_capture_that_starts_in_a_telegram_and_has_noise_between(link):
    whole = LINES[link]
    expected = said(only(whole))
    rng = random.Random(5)  # noqa: S311 - to be repeated, not to be secret
    for start in range(1, len(whole), 3):
        noise = [rng.randbytes(rng.choice((0, 1, 3, 20))) for _ in range(2)]
        telegrams = decode_telegrams(whole[start:] + noise[0] + whole + noise[1] + whole)
        good = [telegram for telegram in telegrams if not telegram.errors]
        assert [said(telegram) for telegram in good] == [expected, expected]
        assert {telegram.link for telegram in telegrams} == {link.split()[0]}
        assert not any(telegram.values for telegram in telegrams if telegram.errors)


def test_bare_apdus_are_not_taken_for_frames_that_they_hold():
    inner = hdlc(b"\x0f\x00\x00\x00\x01\x00" + encode((2, [code("1.8.0"), u32(1)])))
    for held in (inner, mbus.split_apdu(inner)[0].to_bytes(), b"/KFM5KAIFA-METER\r\n\r\n1-0:1.8.0(1*kWh)\r\n!\r\n"):
        apdu = DataNotification((2, [code("1-0:96.13.0.255"), (9, held), code("2.8.0"), u32(7)])).to_bytes()
        for data in (apdu, apdu * 2, b"\xe6\xe7\x00" + apdu):
            for telegram in decode_telegrams(data):
                assert telegram.link == "raw"
                assert said(telegram)["2.8.0"] == "7 -"
