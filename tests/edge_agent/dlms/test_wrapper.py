"""The TCP wrapper."""

from core_checks import fails

from edge_agent.dlms.wrapper import WrapperUnit, read_unit


def test_a_unit_both_ways():
    data = bytes.fromhex("0001001000010003c40102")
    unit = WrapperUnit.from_bytes(data)
    assert (unit.source, unit.destination, unit.apdu.hex()) == (16, 1, "c40102")
    assert unit.to_bytes() == data
    assert unit == WrapperUnit(16, 1, b"\xc4\x01\x02")


def test_units_in_a_stream():
    data = WrapperUnit(16, 1, b"ab").to_bytes() + WrapperUnit(16, 1, b"").to_bytes()
    first, end = read_unit(data, 0)
    second, end = read_unit(data, end)
    assert (first.apdu, second.apdu, end) == (b"ab", b"", len(data))
    for size in range(len(data) - 8):
        assert read_unit(data[:size], 0)[0] is None or size >= 10


def test_what_is_no_unit():
    fails("bad_wrapper", read_unit, b"\x00\x02\x00\x10\x00\x01\x00\x00", 0, offset=0)
    fails("bad_wrapper", read_unit, b"\x7e", 0)
    fails("cut_short", WrapperUnit.from_bytes, b"\x00\x01\x00\x10")
    fails("trailing_bytes", WrapperUnit.from_bytes, b"\x00\x01\x00\x10\x00\x01\x00\x00\xff")
    fails("out_of_range", WrapperUnit(1 << 16, 1, b"").to_bytes)
    fails("out_of_range", WrapperUnit(1, 1, bytes(1 << 16)).to_bytes)
