"""COSEM's date-time: its twelve bytes, Unix seconds and ISO 8601, whose offset has the opposite sign."""

from core_checks import fails

from edge_agent.dlms.clock_time import ClockTime, date_from_days, days_from_epoch


def _time(text):
    return ClockTime.from_bytes(bytes.fromhex(text))


def test_a_real_meters_time():
    time = _time("07e60b0c0610360000ffc400")
    assert time.iso() == "2022-11-12T16:54:00+01:00"
    assert time.unix() == 1668268440
    assert time.to_bytes().hex() == "07e60b0c0610360000ffc400"


def test_the_offset_has_the_deviations_opposite_sign():
    assert _time("07ea0601010c00000000f000").iso() == "2026-06-01T12:00:00-04:00"
    assert _time("07ea0601010c000000ff8800").iso() == "2026-06-01T12:00:00+02:00"
    assert _time("07ea0601010c000000000000").iso() == "2026-06-01T12:00:00+00:00"
    assert _time("07ea0601010c000000feb600").iso() == "2026-06-01T12:00:00+05:30"


def test_without_a_deviation_there_is_no_offset_and_no_utc():
    time = _time("07ea0601010c0000ff8000ff")
    assert time.iso() == "2026-06-01T12:00:00"
    assert time.unix() is None
    assert time.local_seconds() == 1780315200
    assert time.to_bytes().hex() == "07ea0601010c0000ff8000ff"


def test_unspecified_fields_are_kept():
    time = _time("ffffffffffffffffff8000ff")
    assert time.iso() is None
    assert time.unix() is None
    assert time.to_bytes().hex() == "ffffffffffffffffff8000ff"
    assert _time("07ea0601ff0c05ffff800000").iso() == "2026-06-01T12:05:00"
    assert _time("07ea06feff0c05ffff800000").iso() is None


def test_hundredths_show_where_they_are_not_zero():
    assert _time("07ea0601010c000a32000000").iso() == "2026-06-01T12:00:10.50+00:00"


def test_from_unix_is_what_the_clock_shows():
    time = ClockTime.from_unix(1780315207, -120, 0x80)
    assert time.iso() == "2026-06-01T14:00:07+02:00"
    assert time.unix() == 1780315207
    assert time.weekday == 1
    assert time.status == 0x80


def test_days_count_both_ways():
    for days in (0, 59, 60, 365, 789, 11016, 20454, 20605, 47540, 100000):
        year, month, day = date_from_days(days)
        assert days_from_epoch(year, month, day) == days
    assert date_from_days(11016) == (2000, 2, 29)
    assert date_from_days(20605) == (2026, 6, 1)


def test_a_meter_that_is_not_careful():
    for text, iso in (
        ("07e50b1904180000ff800000", "2021-11-26T00:00:00"),  # hour 24 of the 25th
        ("07e50c1f0518ffffff800000", "2022-01-01T00:00:00"),
        ("07e50b1904170037ffffffff", "2021-11-25T23:00:55"),  # all that is not set is FF
        ("07e50b19041700377f7fff00", None),
        ("07e50b1904170037007fff00", "2021-11-25T23:00:55"),
        ("07e50b1904170037ffffc400", "2021-11-25T23:00:55+01:00"),
        ("07e50b1904180001ff800000", None),
        ("000000000000000000000000", None),
    ):
        if iso is None:
            fails("bad_time", ClockTime.from_meter, bytes.fromhex(text))
        else:
            assert ClockTime.from_meter(bytes.fromhex(text)).iso() == iso
    assert ClockTime.from_meter(bytes.fromhex("07e50b1904180000ff800000")).weekday == 5
    fails("bad_time", ClockTime.from_meter, b"")


def test_fields_out_of_range_are_named():
    fails("bad_time", ClockTime.from_bytes, b"\x07\xea\x06\x01")
    for text, offset in (
        ("07ea0d01010c000000000000", 2),
        ("07ea0001010c000000000000", 2),
        ("07ea0620010c000000000000", 3),
        ("07ea021e010c000000000000", 3),
        ("07ea06010118000000000000", 5),
        ("07ea0601010c3c0000000000", 6),
        ("07ea0601010c003c00000000", 7),
        ("07ea0601010c000064000000", 8),
        ("07ea0601010c000000400000", 9),
    ):
        fails("bad_time", ClockTime.from_bytes, bytes.fromhex(text), offset=offset)
