"""Telegrams of many makers that people posted, each from the file to its values (`dlms/reported/README.md`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.commands.decode import telegram_bytes
from edge_agent.dlms.iec62056_21.messages import readout, with_parity
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
