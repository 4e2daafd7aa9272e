"""A-XDR: known bytes, both ways, and everything that is wrong named with its place."""

from core_checks import fails

from edge_agent.dlms import axdr
from edge_agent.dlms.axdr import Reader, decode, decode_all, encode, plain, read_length, write_length

VECTORS = (
    ("00", (axdr.NULL, None)),
    ("0301", (axdr.BOOLEAN, True)),
    ("0300", (axdr.BOOLEAN, False)),
    ("0403a0", (axdr.BIT_STRING, "101")),
    ("0410c0ff", (axdr.BIT_STRING, "1100000011111111")),
    ("05fffffffe", (axdr.INT32, -2)),
    ("0600000552", (axdr.UINT32, 1362)),
    ("0906010001 0800ff", (axdr.OCTET_STRING, b"\x01\x00\x01\x08\x00\xff")),
    ("0a0b4149444f4e5f5630303031", (axdr.VISIBLE_STRING, b"AIDON_V0001")),
    ("0c02c3a9", (axdr.UTF8_STRING, b"\xc3\xa9")),
    ("0d42", (axdr.BCD, 0x42)),
    ("0fff", (axdr.INT8, -1)),
    ("10005d", (axdr.INT16, 93)),
    ("1105", (axdr.UINT8, 5)),
    ("1209c4", (axdr.UINT16, 2500)),
    ("14ffffffffffffffff", (axdr.INT64, -1)),
    ("15ffffffffffffffff", (axdr.UINT64, 0xFFFFFFFFFFFFFFFF)),
    ("161e", (axdr.ENUM, 30)),
    ("173fc00000", (axdr.FLOAT32, 1.5)),
    ("183ff8000000000000", (axdr.FLOAT64, 1.5)),
    ("1907e60b0c0610360000ffc400", (axdr.DATE_TIME, b"\x07\xe6\x0b\x0c\x06\x10\x36\x00\x00\xff\xc4\x00")),
    ("1a07e60b0cff", (axdr.DATE, b"\x07\xe6\x0b\x0c\xff")),
    ("1b10360000", (axdr.TIME, b"\x10\x36\x00\x00")),
    ("1cff", (axdr.DELTA_INT8, -1)),
    ("21000000ff", (axdr.DELTA_UINT32, 255)),
    ("ff", (axdr.DONT_CARE, None)),
    ("02020fff1621", (axdr.STRUCTURE, [(axdr.INT8, -1), (axdr.ENUM, 33)])),
    ("0100", (axdr.ARRAY, [])),
    ("010211011102", (axdr.ARRAY, [(axdr.UINT8, 1), (axdr.UINT8, 2)])),
)


def test_known_values_decode_and_encode():
    for text, value in VECTORS:
        data = bytes.fromhex(text.replace(" ", ""))
        assert decode_all(data) == value, text
        assert encode(value) == data, text


def test_every_value_cut_short_is_named_as_such():
    for text, _ in VECTORS:
        data = bytes.fromhex(text.replace(" ", ""))
        for size in range(len(data)):
            fails("cut_short", decode_all, data[:size])


def test_a_compact_array_of_numbers():
    # array of long-unsigned, three values in six bytes
    data = bytes.fromhex("13120600010002ffff")
    value = decode_all(data)
    assert value == (axdr.COMPACT_ARRAY, (b"\x12", [(18, 1), (18, 2), (18, 0xFFFF)]))
    assert encode(value) == data
    assert plain(value) == [1, 2, 0xFFFF]


def test_a_compact_array_of_structures_with_arrays_and_strings():
    # structure {octet-string, array[2] of unsigned, boolean}
    data = bytes.fromhex("13 0203 09 01000211 03 0b 02aabb 0102 01 01cc 0304 00".replace(" ", ""))
    value = decode_all(data)
    rows = value[1][1]
    assert plain(value) == [[b"\xaa\xbb", [1, 2], True], [b"\xcc", [3, 4], False]]
    assert rows[0][0] == axdr.STRUCTURE
    assert encode(value) == data


def test_compact_arrays_that_could_grow_without_bytes_are_refused():
    fails("empty_elements", decode_all, bytes.fromhex("13000100"))
    fails("empty_elements", decode_all, bytes.fromhex("130202 01ffff00 11 0101".replace(" ", "")))
    fails("unknown_tag", decode_all, bytes.fromhex("13130100"))
    fails("cut_short", decode_all, bytes.fromhex("1301ff"))
    fails("cut_short", decode_all, bytes.fromhex("13120300010 2".replace(" ", "")))
    fails("cut_short", decode_all, bytes.fromhex("1312020001")[:-1])


def test_the_place_of_a_fault_is_told():
    fails("unknown_tag", decode_all, b"\x02\x02\x11\x01\x63\x00", offset=4)
    fails("trailing_bytes", decode_all, b"\x11\x01\x00", offset=2)
    fails("cut_short", decode_all, b"\x09\x05abc", offset=2)
    fails("bad_length", decode_all, b"\x09\x85\x00\x00\x00\x00\x01\x00", offset=1)
    fails("bad_length", decode_all, b"\x09\x80", offset=1)


def test_hostile_counts_and_depths_cost_nothing():
    fails("cut_short", decode_all, b"\x01\x84\xff\xff\xff\xff")
    fails("cut_short", decode_all, b"\x09\x84\xff\xff\xff\xff")
    fails("too_deep", decode_all, b"\x01\x01" * 200 + b"\x00")
    fails("too_deep", decode_all, b"\x13" + b"\x02\x01" * 200)


def test_lengths_take_their_shortest_form():
    for length, text in ((0, "00"), (127, "7f"), (128, "8180"), (255, "81ff"), (256, "820100"), (65536, "8400010000")):
        data = bytes.fromhex(text)
        assert write_length(length) == data
        assert read_length(data, 0) == (length, len(data))
    assert read_length(b"\x82\x00\x05", 0) == (5, 3)


def test_values_out_of_their_types_range_do_not_encode():
    for value in ((axdr.UINT8, 256), (axdr.INT8, -129), (axdr.UINT64, -1), (axdr.UINT16, None), (axdr.DATE, b"1")):
        fails("out_of_range", encode, value)
    fails("unknown_tag", encode, (99, 1))


def test_a_reader_tells_where_bytes_end():
    reader = Reader(b"\x01\x02\x03")
    assert (reader.u8(), reader.left()) == (1, 2)
    assert reader.u16() == 0x203
    fails("cut_short", reader.u8, offset=3)
    reader.end()
    fails("trailing_bytes", Reader(b"\x00").end, offset=0)
    fails("unexpected_tag", Reader(b"\x05").expect, 6, "a thing", offset=0)


def test_decoding_starts_anywhere():
    assert decode(b"\xff\xff\x11\x07\xff", 2) == ((axdr.UINT8, 7), 4)
