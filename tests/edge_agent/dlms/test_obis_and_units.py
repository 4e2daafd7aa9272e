"""OBIS codes as text, units as symbols, and scaling that loses nothing."""

from core_checks import fails

from edge_agent.dlms.obis import obis_bytes, obis_text
from edge_agent.dlms.units import exact_text, float_text, scaled_text, unit_text


def test_obis_codes_both_ways():
    assert obis_text(b"\x01\x00\x01\x08\x00\xff") == "1-0:1.8.0.255"
    for text in ("1-0:1.8.0.255", "1.0.1.8.0.255", "1-0:1.8.0*255", "1-0:1.8.0", " 1-0:1.8.0.255 "):
        assert obis_bytes(text) == b"\x01\x00\x01\x08\x00\xff", text


def test_what_is_no_obis_code_is_refused():
    for text in ("", "1.8.0", "1-0:1.8.256.255", "a.b.c.d.e.f", "1-0:1.8.0.255.1", "1-0:-1.8.0.255"):
        fails("bad_obis", obis_bytes, text)
    fails("bad_obis", obis_text, b"\x01\x00")


def test_units():
    assert unit_text(30) == "Wh"
    assert unit_text(27) == "W"
    assert unit_text(255) is None
    assert unit_text(254) is None
    assert unit_text(99) == "unit 99"


def test_scaling_is_exact():
    assert scaled_text(1234567, -3) == "1234.567"
    assert scaled_text(5, -3) == "0.005"
    assert scaled_text(-5, -3) == "-0.005"
    assert scaled_text(0, -2) == "0.00"
    assert scaled_text(12, 3) == "12000"
    assert scaled_text(0, 3) == "0"
    assert scaled_text(-12, 0) == "-12"
    assert scaled_text(2**64 - 1, -9) == "18446744073.709551615"


def test_floats_without_exponents():
    assert exact_text("1.5e-07") == "0.00000015"
    assert exact_text("-2e+21") == "-2" + "0" * 21
    assert float_text(1.5) == "1.5"
    assert float_text(100.0) == "100"
