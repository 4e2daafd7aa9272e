"""Telegrams of many makers that people posted, each from the file to its values (`dlms/reported/README.md`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.commands.decode import telegram_bytes
from edge_agent.dlms.hdlc.checksum import checksum, checksum_bytes
from edge_agent.dlms.iec62056_21.messages import block_check, readout, with_parity
from edge_agent.dlms.iec62056_21.p1 import crc16, write_telegram
from edge_agent.dlms.push.stream import TelegramStream
from edge_agent.dlms.push.telegram import Keys, Telegram, decode_telegrams

POSTED = Path(__file__).parents[1] / "dlms" / "reported"
BURGENLAND = Keys(bytes.fromhex("34743677397A24432646294A404E6352"), bytes.fromhex("C0C1C2C3C4C5C6C7C8C9CACBCCCDCECF"))


def telegrams(data: bytes, keys: Keys | None = None) -> list[Telegram]:
    """What a file holds, none of it damaged."""
    found = decode_telegrams(telegram_bytes(data), "auto", keys)
    assert [error for telegram in found for error in telegram.errors] == []
    return found


def said(telegram: Telegram, *codes: str) -> list[str]:
    """Values with their units."""
    readings = [telegram.values[code] for code in codes]
    return [f"{reading.value} {reading.unit or ''}".rstrip() for reading in readings]


ENERGIES = ("1-0:1.8.0.255", "1-0:2.8.0.255")
TARIFFS = ("1-0:1.8.1.255", "1-0:1.8.2.255", "1-0:2.8.1.255", "1-0:2.8.2.255")


@pytest.mark.parametrize(
    ("file", "link", "meter", "codes", "values"),
    [
        (
            "landis_gyr_e450_burgenland_ciphered.hex",
            "raw",
            "30137181",
            (*ENERGIES, "1-0:1.7.0.255", "1-0:51.7.0.255"),
            ["27881149 Wh", "7619 Wh", "125 W", "0.46 A"],
        ),
        (
            "iskra_am550.hex",
            "raw",
            "1121378381199",
            (*ENERGIES, "1-0:4.8.0.255", "1-0:1.7.0.255"),
            ["14370048 Wh", "420837 Wh", "2293936 varh", "9 W"],
        ),
        (
            "iskra_mt691_feeding_in.hex",
            "sml",
            "1ISK0000000000",
            (*ENERGIES, "1-0:16.7.0.255"),
            ["1572676.5 Wh", "570779.3 Wh", "-417 W"],
        ),
        (
            "landis_gyr_zmf100.hex",
            "hdlc",
            "40799390",
            ("0-0:1.8.0.255", "0-0:2.8.0.255", "1-0:1.7.0.255", "1-0:31.7.0.255", "1-0:32.7.0.255"),
            ["34479 Wh", "95334 Wh", "560 W", "2.44 A", "233.0 V"],
        ),
        ("dzg_ws7412.hex", "sml", "1DZG0050071463", ("1-0:1.8.0.255",), ["10022367.2 Wh"]),
        (
            "aidon_6540.hex",
            "hdlc",
            "7359992902081206",
            ("1-0:1.7.0.255", "1-0:4.7.0.255", "1-0:32.7.0.255"),
            ["17 W", "15 var", "237.2 V"],
        ),
        (
            "sagemcom_belgium.txt",
            "p1",
            "1SAG1100076616",
            (*TARIFFS, "0-1:24.2.3.255"),
            ["1311.025 kWh", "1655.211 kWh", "1885.818 kWh", "751.167 kWh", "2563.458 m3"],
        ),
        (
            "wasion_hungary.txt",
            "p1",
            "WSE1012403352978",
            (*ENERGIES, "0-0:96.14.0.255", "0-0:17.0.0.255"),
            ["138.583 kWh", "240.689 kWh", "TARIFF 1", "24000 W"],
        ),
        (
            "iskra_mt382_dsmr_2.txt",
            "p1",
            "ZBEV005106844912",
            (*TARIFFS, "0-2:24.2.1.255"),
            ["16722.627 kWh", "19412.712 kWh", "859.681 kWh", "1817.110 kWh", "13376.292 m3"],
        ),
    ],
)
def test_what_people_posted(file, link, meter, codes, values):
    (telegram,) = telegrams((POSTED / file).read_bytes(), BURGENLAND)
    assert (telegram.link, telegram.name) == (link, meter)
    assert said(telegram, *codes) == values


def test_the_tag_of_a_posted_telegram_is_right():
    (telegram,) = telegrams((POSTED / "landis_gyr_e450_burgenland_ciphered.hex").read_bytes(), BURGENLAND)
    assert telegram.authenticated
    assert telegram.time == "2022-12-12T12:35:45"


def test_kaifas_long_list_and_the_short_one_behind_it():
    long, short = telegrams((POSTED / "kaifa_ma304h3e_lists_2_and_1.hex").read_bytes())
    assert (long.name, long.time) == ("6970631405808469", "2020-02-03T15:27:10")
    assert said(long, "1-0:1.7.0.255", "1-0:71.7.0.255", "1-0:32.7.0.255") == ["55 W", "0.900 A", "234.5 V"]
    assert said(short, "1-0:1.7.0.255") == ["55 W"]


def test_a_value_that_a_meters_usual_unit_does_not_fit_is_shown_without_one():
    (telegram,) = telegrams((POSTED / "kamstrup_bornholm.hex").read_bytes())
    assert said(telegram, "1-1:1.7.0.255", "1-1:31.7.0.255", "1-1:32.7.0.255") == ["593 W", "2.52 A", "22199"]


ME162 = ["0-0:C.1.0*255(28342193)", "1-0:0.2.0*255(1.03)", "1-0:1.8.0*255(0001846.2*kWh)", "0-0:F.F.0*255(0000000)"]
"""Iskraemeco ME162 (wdoekes/pe32me162ir_pub): whole codes in which a letter stands for their C."""


def test_a_letter_in_a_whole_code():
    (telegram,) = telegrams(b"/ISk5ME162-0033\r\n" + readout(ME162))
    assert telegram.name == "28342193"
    assert said(telegram, "1-0:1.8.0.255", "0-0:97.97.0.255") == ["1846.2 kWh", "0000000"]


def test_of_two_values_the_one_with_a_unit():
    (telegram,) = telegrams(b"/PAF5EC6dd\r\n" + readout(["0.0.0(00123456)", "1.8.0(012345.67*kWh)(12345)"]))
    assert said(telegram, "1-0:1.8.0.255") == ["12345.67 kWh"]


ZMD = b"/LGZ4ZMD3104407.B32\r\n" + readout(["0.0.0(12345678)", "1.8.0(000123.45*kWh)"])
"""As a ZMD's (pwitab/iec62056-21 #16)."""


def test_a_read_out_of_7e1_that_was_read_as_8n1():
    seen = with_parity(ZMD)
    for data in (seen, "\n".join(repr(bytes([byte])) for byte in seen).encode()):
        (telegram,) = telegrams(data)
        assert (telegram.name, *said(telegram, "1-0:1.8.0.255")) == ("12345678", "123.45 kWh")
    head, _, tail = seen.rpartition(b"\xb1")
    (damaged,) = decode_telegrams(head + b"\xb2" + tail)  # another digit, of the right parity
    assert damaged.values == {}
    assert [error.code for error in damaged.errors] == ["bad_bcc"]


P1 = "/KAM5\r\n\r\n1-0:1.8.0(001234.567*kWh)\r\n1-0:2.8.0(000000.100*kWh)\r\n!\r\n"


def test_texts_in_the_log_of_esphome():
    log = "".join(
        f'[10:00:0{at}][D][uart_debug:158]: <<< "{line}\\r\\n"\n' for at, line in enumerate(P1.split("\r\n")[:-1])
    )
    (telegram,) = telegrams(b'[09:59:59][D][uart_debug:158]: >>> "/?!\\r\\n"\n' + log.encode())
    assert said(telegram, *ENERGIES) == ["1234.567 kWh", "0.100 kWh"]


def test_line_feeds_that_a_serial_server_gave_carriage_returns():
    """turbokongen/hass-AMS #112: 13, 10 in the place of each 10, of the pushed text's length and in its values."""
    data = bytes.fromhex((POSTED / "aidon_6540.hex").read_text())
    turned = data.replace(b"\n", b"\r\n")
    assert turned.count(b"\r\n") > 2
    for (telegram,) in (telegrams(turned), telegrams(turned.hex(" ").encode())):
        assert (telegram.name, *said(telegram, "1-0:1.7.0.255")) == ("7359992902081206", "17 W")
    power = bytes.fromhex("7ea02a410883130413e6e7000f40000000000101020309060100010700ff060000013f02020f00161b")
    power += checksum_bytes(power[1:]) + b"\x7e"
    stream = TelegramStream()
    captures = [*stream.receive(power + turned), *stream.receive(power + turned + power), *stream.quiet()]
    found = [telegram for capture in captures for telegram in capture.telegrams]
    assert [len(telegram.values) for telegram in found if not telegram.errors] == [1, 12, 1, 12, 1]


def test_bytes_that_flow_control_took_out_are_named():
    data = bytes.fromhex((POSTED / "aidon_6540.hex").read_text())
    (telegram, *_) = decode_telegrams(data.replace(b"\x13", b"").replace(b"\x11", b""))
    assert "XON/XOFF" in telegram.errors[0].message
    (damaged, *_) = decode_telegrams(data[:30] + data[31:])
    assert "XON/XOFF" not in damaged.errors[0].message


def test_a_number_in_each_line():
    data = bytes.fromhex((POSTED / "aidon_6540.hex").read_text())
    (telegram,) = telegrams("\n".join(map(str, data)).encode())
    assert said(telegram, "1-0:1.7.0.255") == ["17 W"]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\x02\nADSC\t041662343035\t2\r\nEAST\t000000002\tQ\r\x03", "tele-information"),
        (b"\x02\nADCO 041662343035 2\r\nOPTARIF BASE 0\r\nBASE 002815235 '\r\nPAPP 00230 ,\r\x03", "tele-information"),
        (
            # the example of EN 13757-3: a water meter
            bytes.fromhex(
                "681F1F68080272785634122440010755000000031315310 0DA023B13018B60043718021816".replace(" ", "")
            ),
            "EN 13757-3",
        ),
    ],
)
def test_what_is_not_read_is_named(data, named):
    (telegram,) = decode_telegrams(data)
    assert named in telegram.errors[0].message
    assert telegram.values == {}


# What lines of text say


HOLLEY = "/HLY5/D545-METER"
"""A Holley DTSD545 in Hungary (ndokter/dsmr_parser #91, esphome/issues #3042): a slash in its identification, the
CRC-16/X-25, blanks behind units, the last month's values between parentheses on lines of their own."""
HOLLEY_LINES = [
    "1-3:0.2.8(50)",
    "0-0:1.0.0(220213175045W)",
    "1-0:1.8.0(00003816.208*kWh)",
    "1-0:2.8.0(00003604.595*kWh)",
    "1-0:15.8.0(00007137.694*kWh )",
    "0-0:98.1.0",
    "(",
    "0-0:1.0.0(220201000000T)",
    "1-0:1.8.0(00003659.000*kWh)",
    "1-0:2.8.0(00003460.100*kWh)",
    ")",
    "0-0:96.1.0(12345678)",
]


def holley() -> bytes:
    body = (HOLLEY + "\r\n\r\n" + "".join(line + "\r\n" for line in HOLLEY_LINES) + "!").encode()
    return body + f"{checksum(body):04X}\r\n".encode()


def test_the_other_crc_and_last_months_values():
    (telegram,) = telegrams(holley())
    assert (telegram.name, telegram.time) == ("12345678", "2022-02-13T17:50:45+01:00")
    assert said(telegram, *ENERGIES, "1-0:15.8.0.255") == ["3816.208 kWh", "3604.595 kWh", "7137.694 kWh"]
    assert "3659.000" in telegram.values["0-0:98.1.0.255"].value
    damaged = holley().replace(b"3816.208", b"3816.209")
    assert [error.code for error in decode_telegrams(damaged)[0].errors] == ["bad_crc"]


def test_a_telegram_that_begins_again_in_the_middle_of_a_line():
    for again in (holley(), write_telegram("ISK5\\2M550T", ["0-0:96.1.1(17)", "1-0:1.8.0(1*kWh)"])):
        broken = (HOLLEY + "\r\n\r\n1-3:0.2.8(50)\r\n0-0:96.13.0(FFFFFFFF").encode()
        first, second = decode_telegrams(broken + again)
        assert [error.code for error in first.errors] == ["cut_short"]
        assert (second.errors, "1-0:1.8.0.255" in second.values) == ([], True)


def test_a_message_that_was_never_written_is_no_parity():
    """Sanxing SX6x1 in Hungary (esphome/issues #2393, #2891): its message is 1,024 bytes FF."""
    lines = ["0-0:42.0.0(AUX1030303218166)", "1-0:1.8.0(003563.017*kWh)", "1-0:2.8.0(000000.000*kWh)"]
    lines += [f"1-0:{code}.8.0(000000.000*kvarh)" for code in (3, 4, 5, 6, 7, 8)]
    text = write_telegram("AUX59902759482", [*lines, "0-0:96.13.0(~)"], checked=False)[:-2]
    body = text.replace(b"~", b"\xff" * 1024)
    (telegram,) = telegrams(body + f"{crc16(body):04X}\r\n".encode())
    assert (telegram.name, *said(telegram, *ENERGIES)) == ("AUX1030303218166", "3563.017 kWh", "0.000 kWh")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("07E8061C050A2B2B00FF8880", "2024-06-28T10:43:43+02:00"),  # ESR5 (ndokter/dsmr_parser #160)
        ("2021-07-12 22:20:17", "2021-07-12T22:20:17"),  # Apator Norax 3 (u9n/dlms-cosem #37)
        ("210712240000S", "2021-07-13T00:00:00+02:00"),
        ("000000000000000000000000", None),
        ("never", None),
    ],
)
def test_clocks_as_lines_write_them(text, time):
    (telegram,) = telegrams(write_telegram("ESR51030712047847", [f"0-0:1.0.0({text})", "1-0:1.8.1(557.193*kWh)"]))
    assert (telegram.time, *said(telegram, "1-0:1.8.1.255")) == (time, "557.193 kWh")


AIDON = """/ADN9 6534

0-0:1.0.0(230302093810W)
1-0:1.8.0(00031157.405*kWh)
1-0:2.8.0(00000000.000*kWh)
1-0:3.8.0(00000857.557*kVArh)
1-0:4.8.0(00000918.106*kVArh)
1-0:1.7.0(0004.344*kW)
1-0:2.7.0(0000.000*kW)
1-0:3.7.0(0000.314*kVAr)
1-0:4.7.0(0000.000*kVAr)
1-0:21.7.0(0001.083*kW)
1-0:22.7.0(0000.000*kW)
1-0:41.7.0(0001.855*kW)
1-0:42.7.0(0000.000*kW)
1-0:61.7.0(0001.408*kW)
1-0:62.7.0(0000.000*kW)
1-0:23.7.0(0000.351*kVAr)
1-0:24.7.0(0000.000*kVAr)
1-0:43.7.0(0000.000*kVAr)
1-0:44.7.0(0000.545*kVAr)
1-0:63.7.0(0000.507*kVAr)
1-0:64.7.0(0000.000*kVAr)
1-0:32.7.0(231.9*V)
1-0:52.7.0(232.6*V)
1-0:72.7.0(232.7*V)
1-0:31.7.0(004.9*A)
1-0:51.7.0(008.3*A)
1-0:71.7.0(006.4*A)
!7D79
"""
"""Aidon 6534, Sweden, with its CRC (matthijskooijman/arduino-dsmr #47): no speed in its identification, no number."""


def test_an_identification_with_a_blank_and_the_units_of_sweden():
    (telegram,) = telegrams(AIDON.encode())
    assert (telegram.name, telegram.time) == ("ADN9 6534", "2023-03-02T09:38:10+01:00")
    assert said(telegram, *ENERGIES, "1-0:3.8.0.255") == ["31157.405 kWh", "0.000 kWh", "857.557 kvarh"]


def test_two_limits_in_one_value():
    """ndokter/dsmr_parser #108."""
    (telegram,) = telegrams(write_telegram("FLU5\\2", ["1-1:31.4.0(100.0*A,-100.0*A)", "1-0:1.8.1(1*kWh)"]))
    assert said(telegram, "1-1:31.4.0.255") == ["100.0*A,-100.0*A"]


def test_several_data_sets_in_a_line():
    """Landis+Gyr UH50 (volkszaehler/vzlogger #537); IEC 62056-21 allows it to every meter."""
    lines = [
        "6.8(0006047*kWh)6.26(02388.00*m3)9.21(66099999)",
        "6.26*01(02145.94*m3)6.8*01(0005407*kWh)",
        "9.6(000&66099999&0)0.2.0((ER11))1.8.0(12.5*kWh)",
    ]
    (telegram,) = telegrams(b"/LUGCUH50\r\n" + readout(lines))
    assert said(telegram, "1-0:6.8.0.255", "1-0:6.26.0.255", "1-0:9.21.0.255", "1-0:6.8.0.1") == [
        "6047 kWh",
        "2388.00 m3",
        "66099999",
        "5407 kWh",
    ]
    assert said(telegram, "1-0:9.6.0.255", "1-0:0.2.0.255", "1-0:1.8.0.255") == [
        "000&66099999&0",
        "(ER11)",
        "12.5 kWh",
    ]


AS1440 = [
    "F.F(00000000)",
    "C.1.0(12345678)",
    "1-1:1.8.0(001234.56*kWh)",
    "1-1:30D(00012.3*kWh)",
    "1-1:1.8.0*04(001034.56*kWh)",
]
"""Elster AS1440 (Apollon77/ioBroker.smartmeter #51, #152): whole codes and shortened ones, and some that are none."""


def test_whole_and_shortened_codes_in_a_read_out_and_one_that_is_none():
    (telegram,) = decode_telegrams(b"/ELS5\\@V10.04\r\n" + readout(AS1440))
    assert [error.code for error in telegram.errors] == ["bad_obis"]
    assert "1-1:30D" in telegram.errors[0].message
    assert (telegram.name, telegram.usable) == ("12345678", True)
    assert said(telegram, "1-1:1.8.0.255", "1-1:1.8.0.4", "0-0:97.97.0.255") == [
        "1234.56 kWh",
        "1034.56 kWh",
        "00000000",
    ]


def test_a_line_that_means_nothing_is_damage_where_no_check_says_otherwise():
    lines = ["0-0:96.1.1(17)", "1-0:1.8.0(1*kWh)", "1-1:30D(00012.3*kWh)"]
    for checked in (True, False):
        (telegram,) = decode_telegrams(write_telegram("ISK5\\2M550T", lines, checked))
        assert ([error.code for error in telegram.errors], telegram.usable) == (["bad_obis"], checked)


def test_all_rows_of_a_profile_in_a_read_out():
    lines = [
        "0.0.0(12345678)",
        "P.01(1210104001500)(00000080)(15)(2)(1.5)(kW)(2.5)(kW)",
        *["(0.1230)(0.0000)"] * 200,
        "P.01(1210104010000)(00400000)(15)(2)(1.5)(kW)(2.5)(kW)",
        "(0.4560)(0.0000)",
    ]
    (telegram,) = telegrams(b"/LGZ4\\2ZMD4104107.B32\r\n" + readout(lines))
    value = telegram.values["0-0:99.1.0.255"].value
    assert (value.count("(0.1230)"), value.count("(0.4560)"), value.count("(15)")) == (200, 1, 2)


def test_bytes_behind_the_last_value_of_a_read_out():
    """Actaris ACE3000 (volkszaehler/vzlogger tests/MeterD0.cpp); its number there is made up, so the BCC is too."""
    echo = b"\x7f" * 5 + b"/?!\r\n/ACE0\\3k260V01.19\r\n"
    body = b"F.F(00)\r\nC.1(1126120053322353)\r\nC.5.0(00)\r\n1.8.0(013925.5*)Y\x02\x02\x01\x00!\r\n\x03"
    (telegram,) = telegrams(echo + b"\x02" + body + bytes([block_check(body)]))
    assert (telegram.name, *said(telegram, "1-0:1.8.0.255")) == ("1126120053322353", "13925.5")


def test_energies_that_stand_twice():
    lines = ["0-0:96.1.1(17)", "1-0:1.8.1(000001.000*kWh)", "1-0:1.8.1(000002.000*kWh)"]
    for checked in (True, False):
        (telegram,) = decode_telegrams(write_telegram("ISK5\\2M550T", lines, checked))
        assert ([error.code for error in telegram.errors], telegram.usable) == (["doubled_line"], False)
    telegrams(write_telegram("ISK5\\2M550T", [*lines[:2], lines[1]]))  # the same once more


@pytest.mark.parametrize("ending", [b"\n", b"\n\n", b"\r\r\n", b"\r"])
def test_captures_whose_ends_of_lines_were_changed(ending):
    sent = write_telegram("ISK5\\2M550T", ["0-0:96.1.1(17)", "1-0:1.8.1(000001.000*kWh)"])
    (telegram,) = telegrams(sent.replace(b"\r\n", ending))
    assert said(telegram, "1-0:1.8.1.255") == ["1.000 kWh"]


def test_telegrams_that_run_together_without_an_end_of_line():
    sent = write_telegram("ISK5\\2M550T", ["0-0:96.1.1(17)", "1-0:1.8.1(000001.000*kWh)"]).rstrip()
    stream = TelegramStream()
    captures = [capture for at in range(0, 4 * len(sent), 7) for capture in stream.receive((sent * 4)[at : at + 7])]
    found = [telegram for capture in [*captures, *stream.end()] for telegram in capture.telegrams]
    assert [telegram.errors for telegram in found] == [[]] * 4
    assert not any(capture.noise for capture in captures)


def test_text_behind_an_identification_is_never_taken_for_ciphered():
    sent = write_telegram("KAM5", ["0-0:96.1.0(17)", "1-0:1.8.0(1*kWh)"], checked=False)
    for ending in (b"\n\r", b"\r\n\n"):
        (telegram,) = decode_telegrams(sent.replace(b"\r\n", ending))
        assert (telegram.ciphered, *said(telegram, "1-0:1.8.0.255")) == (False, "1 kWh")


def test_a_log_that_shows_frames_in_bold():
    """arendst/Tasmota #8790, as it was posted."""
    frame = "A02A410883130413E6E7000F40000000000101020309060100010700FF06000024F402020F00161BA77F"
    (telegram,) = telegrams(f'> {{"SerialReceived":"**7E**{frame}**7E**"}}'.encode())
    assert said(telegram, "1-0:1.7.0.255") == ["9460 W"]


def test_lines_that_are_quoted_and_pieces_in_a_log():
    """ndokter/dsmr_parser #120, dsmrreader/dsmr-reader #692, as they were posted."""
    sent = write_telegram("Ene5\\T211 ESMR 5.0", ["0-0:96.1.1(17)", "1-0:32.7.0(230.0*V)", "1-0:1.8.1(1*kWh)"]).decode()
    quoted = "".join(f"> {line}\n" for line in sent.splitlines())
    pieces = [sent[:40], sent[40:55], sent[55:]]
    stamp = "2023-01-27 09:41:31.{:03} DEBUG (MainThread) [dsmr_parser.clients.protocol] received data: {}\n"
    for text in (quoted, "".join(stamp.format(at, piece) for at, piece in enumerate(pieces)).replace("\r", "")):
        (telegram,) = telegrams(text.encode())
        assert (telegram.name, *said(telegram, "1-0:1.8.1.255", "1-0:32.7.0.255")) == ("17", "1 kWh", "230.0 V")


EASYMETER = (
    b"/ESY5Q3DB1024 V3.04\r\n\r\n1-0:0.0.0*255(0272031312565)\r\n1-0:1.8.0*255(00052185.7825309*kWh)\r\n"
    b"0-0:96.1.255*255(1ESY1313002565)\r\n!\r\n  25803103\r\n" + b"\xff" * 33 + b"\r\n"
)
"""An EasyMeter behind a COM-1 gateway, which adds two lines to each telegram (ndokter/dsmr_parser)."""


def test_what_an_adapter_adds_to_a_telegram_is_no_telegram_that_was_lost():
    stream = TelegramStream()
    for _ in range(3):
        captures = [*stream.receive(EASYMETER), *stream.quiet()]
        (telegram,) = [telegram for capture in captures for telegram in capture.telegrams]
        assert (telegram.errors, telegram.name) == ([], "1ESY1313002565")
        assert captures[-1].noise
    (cut,) = [*stream.receive(EASYMETER[60:130]), *stream.end()]
    assert [error.code for error in cut.telegrams[0].errors] == ["no_telegram"]


def test_the_block_check_behind_a_read_out_is_no_noise():
    stream = TelegramStream()
    (capture,) = stream.receive(ZMD)
    assert not capture.noise
