"""P1 telegrams of other countries than DSMR's own, and the read-outs that older meters push in the same form."""

from edge_agent.dlms.iec62056_21.messages import readout
from edge_agent.dlms.iec62056_21.p1 import read_telegrams, write_telegram
from edge_agent.dlms.push.telegram import decode_telegrams


def only(lines):
    (telegram,) = read_telegrams(write_telegram("ISK5\\2M550T-1012", lines))
    return telegram


def test_the_number_of_the_meter():
    for lines, meter in (
        (["0-0:96.1.1(3153414731313030303030323331)"], "1SAG1100000231"),
        (["0-0:96.1.1(4B464D31)"], "KFM1"),
        (["0-0:96.1.4(50217)"], None),  # Belgium: the version of the telegram
        (["0-0:96.1.4(50217)", "0-0:96.1.1(3153414731313030303030323331)"], "1SAG1100000231"),
        (["0-0:42.0.0(AUX1030303218166)", "0-0:96.1.0(34567241)"], "AUX1030303218166"),  # Hungary
        (["0-0:96.1.0(34567241)"], "34567241"),  # digits, and not the hex of four letters
        (["0-0:96.1.0(181220000009)"], "181220000009"),
        (["0-0:96.1.1()", "0-0:96.1.0(12345678)"], "12345678"),
        (["1-0:0.0.0*255(0272031312565)", "1-0:1.8.0*255(00026107.7034231*kWh)"], "0272031312565"),
        (["0-0:96.1.255*255(1ESY1234567890)"], "1ESY1234567890"),
        (["0-0:0.0.0(353738303337)", "0-0:96.1.2(20202020)", "0-0:96.1.4(50220)"], "578037"),  # Switzerland
    ):
        telegram = only(lines)
        assert (telegram.meter, telegram.errors) == (meter, [])


def test_the_time():
    for text, time in (
        ("260601140000S", "2026-06-01T14:00:00+02:00"),
        ("260101140000W", "2026-01-01T14:00:00+01:00"),
        ("260601140000", "2026-06-01T14:00:00"),
        ("soon", None),
    ):
        telegram = only([f"0-0:1.0.0({text})"])
        assert (telegram.time, telegram.errors) == (time, [])


def test_a_clock_that_was_never_set():
    telegram = only(["0-0:1.0.0(632525252525S)", "0-1:24.2.1(632525252525S)", "1-0:1.8.0(1*kWh)"])
    assert (telegram.errors, telegram.time) == ([], None)
    assert telegram.values["0-0:1.0.0.255"] == telegram.values["0-1:24.2.1.255"] == ("632525252525S", None)
    assert telegram.values["1-0:1.8.0.255"] == ("1", "kWh")


LINES = ["F.F(00)", "C.1.0(12345678)", "0.0.0(12345678)", "1.8.0(004711.123*kWh)", "1.8.0*01(4000*kWh)", "32.7(231*V)"]


def test_a_read_out_with_shortened_codes_and_its_block_check():
    data = b"/LGZ4ZMD310AT.L48\r\n" + readout(LINES)
    (telegram,) = decode_telegrams(data)
    assert (telegram.link, telegram.meter, telegram.errors) == ("p1", "12345678", [])
    assert {name: (reading.value, reading.unit) for name, reading in telegram.values.items()} == {
        "0-0:97.97.0.255": ("00", None),
        "0-0:96.1.0.255": ("12345678", None),
        "1-0:0.0.0.255": ("12345678", None),
        "1-0:1.8.0.255": ("4711.123", "kWh"),
        "1-0:1.8.0.1": ("4000", "kWh"),
        "1-0:32.7.0.255": ("231", "V"),
    }
    for at in range(data.find(b"1.8.0"), len(data) - 8, 3):
        (telegram,) = decode_telegrams(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
        assert telegram.errors
    (telegram,) = decode_telegrams(data[:-1] + b"\x00")
    assert ([error.code for error in telegram.errors], telegram.values) == (["bad_bcc"], {})


def test_codes_that_are_none():
    for code in ("1.8.x", "G.1", "", "1.8.0.0", "1-0:300.8.0", "1.8.0*x"):
        assert only([f"{code}(1*kWh)"]).errors


def test_a_code_that_lost_its_start_is_not_taken_for_a_shortened_one():
    telegram = only(["1-0:1.8.1(000001.000*kWh)", "1.7.0(00.100*kW)", "0-0:96.14.0(0002)"])
    assert [error.code for error in telegram.errors] == ["bad_obis"]
    assert sorted(telegram.values) == ["0-0:96.14.0.255", "1-0:1.8.1.255"]
