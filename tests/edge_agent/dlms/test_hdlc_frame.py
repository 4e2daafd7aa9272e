"""HDLC frames, addresses, link parameters: known bytes both ways; and a reader that finds its place in noise."""

from core_checks import fails

from edge_agent.dlms import llc
from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.hdlc.address import decode_address, encode_address, server_address
from edge_agent.dlms.hdlc.checksum import checksum, checksum_by_table
from edge_agent.dlms.hdlc.frame import FINAL, SNRM, UI, HdlcFrame, read_frame
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.hdlc.reader import FrameReader

SNRM_BYTES = bytes.fromhex("7ea00703219 30f017e".replace(" ", ""))
I_FRAME = bytes.fromhex("7ea0190321326fd8e6e600c00141000100002a0000ff020009127e")


def test_the_check_value_of_the_standard():
    assert checksum_by_table(b"123456789") == 0x906E
    assert checksum(b"123456789") == 0x906E
    assert checksum(b"") == checksum_by_table(b"") == 0
    everything = bytes(range(256)) * 3
    assert checksum(everything) == checksum_by_table(everything)


def test_a_frame_without_information():
    frame = HdlcFrame.from_bytes(SNRM_BYTES)
    assert (frame.kind, frame.final, frame.information) == ("SNRM", True, b"")
    assert (decode_address(frame.destination), decode_address(frame.source)) == ((1, None), (16, None))
    assert frame.to_bytes() == SNRM_BYTES
    assert HdlcFrame(encode_address(1), encode_address(16), SNRM | FINAL).to_bytes() == SNRM_BYTES


def test_a_frame_with_information():
    frame = HdlcFrame.from_bytes(I_FRAME)
    assert (frame.kind, frame.send_number, frame.receive_number, frame.final) == ("I", 1, 1, True)
    assert llc.unwrap(frame.information).hex() == "c00141000100002a0000ff0200"
    assert frame.to_bytes() == I_FRAME


def test_every_flipped_bit_is_found():
    for index in range(len(I_FRAME)):
        for bit in range(8):
            damaged = bytearray(I_FRAME)
            damaged[index] ^= 1 << bit
            try:
                frame, _ = read_frame(bytes(damaged), 0)
            except DecodeError:
                continue
            # A longer length asks for more bytes; no damaged frame is ever taken for a frame.
            assert frame is None, (index, bit)


def test_every_cut_frame_asks_for_more():
    for size in range(len(I_FRAME)):
        assert read_frame(I_FRAME[:size], 0) == (None, 0)
    fails("truncated_frame", HdlcFrame.from_bytes, I_FRAME[:-1])
    fails("trailing_bytes", HdlcFrame.from_bytes, I_FRAME + b"\x00")
    fails("no_flag", HdlcFrame.from_bytes, b"\x00" + I_FRAME)


def test_lengths_that_no_frame_has():
    fails("bad_format", read_frame, bytes.fromhex("7ea0060321930f7e"), 0)
    fails("bad_format", read_frame, bytes.fromhex("7e300703219 30f017e".replace(" ", "")), 0)
    fails("too_long", HdlcFrame(b"\x03", b"\x21", UI, bytes(2040)).to_bytes)
    assert len(HdlcFrame(b"\x03", b"\x21", UI, bytes(2030)).to_bytes()) == 2041


def test_addresses_of_every_size():
    assert encode_address(16) == b"\x21"
    assert encode_address(1, 17) == b"\x02\x23"
    assert encode_address(1, 5000) == bytes.fromhex("00024e11")
    assert encode_address(200) == bytes.fromhex("0290feff")
    assert encode_address(1, None, 2) == b"\x02\xff"
    assert encode_address(1, None, 4) == bytes.fromhex("0002feff")
    assert encode_address(1, 17, 4) == bytes.fromhex("00020023")
    for logical, physical, size in ((16, None, 1), (1, 17, 2), (1, 17, 4), (16383, 16383, 4), (300, 5, 4)):
        assert decode_address(encode_address(logical, physical, size)) == (logical, physical)


def test_a_servers_address_as_other_tools_print_it():
    assert server_address(1) == b"\x03"
    assert server_address(145) == encode_address(1, 17, 2)
    assert server_address((1 << 14) + 17) == encode_address(1, 17, 4)
    assert server_address(200, 17) == encode_address(200, 17, 4)


def test_addresses_that_cannot_be():
    fails("bad_address", encode_address, 128, None, 1)
    fails("bad_address", encode_address, 1, 128, 2)
    fails("bad_address", encode_address, 20000)
    fails("bad_address", encode_address, 1, 1, 3)
    for data in (b"", b"\x02", b"\x02\x02", b"\x03\x03", b"\x02\x02\x03", b"\x02\x02\x02\x02\x03"):
        fails("bad_address", decode_address, data)
    fails("bad_address", read_frame, bytes.fromhex("7ea00b0202020203219300000 07e".replace(" ", "")), 0)


def test_link_parameters_both_ways():
    default = LinkParameters()
    assert default.to_bytes().hex() == "818012050180060180070400000001080400000001"
    assert LinkParameters.from_bytes(default.to_bytes()) == default
    large = LinkParameters(1024, 2030, 7, 3)
    assert LinkParameters.from_bytes(large.to_bytes()) == large
    assert LinkParameters.from_bytes(b"") == default
    # a meter that gives lengths in two bytes, windows in one
    mixed = LinkParameters.from_bytes(bytes.fromhex("81800e05020080060200f0070101080103"))
    assert (mixed.max_transmit, mixed.max_receive, mixed.window_receive) == (128, 240, 3)


def test_link_parameters_that_cannot_be():
    for text in ("80", "8180", "818003050180ff", "818003050200", "818003050100", "818003070108", "818003070100"):
        fails("bad_parameters", LinkParameters.from_bytes, bytes.fromhex(text))


def test_llc():
    assert llc.wrap(b"\xc0", True) == b"\xe6\xe6\x00\xc0"
    assert llc.wrap(b"\xc4", False) == b"\xe6\xe7\x00\xc4"
    fails("bad_llc", llc.unwrap, b"\xe6\xe8\x00\xc4")
    fails("bad_llc", llc.unwrap, b"")


def _frames(items):
    return [item for item in items if isinstance(item, HdlcFrame)]


def _codes(items):
    return [item.code for item in items if isinstance(item, DecodeError)]


def test_frames_come_out_however_the_bytes_come_in():
    stream = SNRM_BYTES + I_FRAME + I_FRAME[:-1] + I_FRAME
    whole = FrameReader().receive(stream)
    assert len(_frames(whole)) == 4
    assert _codes(whole) == []
    reader = FrameReader()
    single = []
    for index in range(len(stream)):
        single.extend(reader.receive(stream[index : index + 1]))
    assert single == whole


def test_one_flag_between_two_frames():
    items = FrameReader().receive(SNRM_BYTES + I_FRAME[1:])
    assert [frame.kind for frame in _frames(items)] == ["SNRM", "I"]


def test_noise_is_told_and_passed_over():
    reader = FrameReader()
    items = reader.receive(b"\x00\xff\x7e\x7e\x31" + I_FRAME + b"\x00")
    assert [frame.kind for frame in _frames(items)] == ["I"]
    assert _codes(items) == ["noise"]
    assert reader.flush() == []


def test_a_flag_inside_noise_does_not_hide_the_frame_behind_it():
    # What follows the flag looks like a frame of 2047 bytes, but its header's check is wrong.
    items = FrameReader().receive(bytes.fromhex("7ea7ff032193aaaa") + I_FRAME)
    assert [frame.kind for frame in _frames(items)] == ["I"]
    assert "bad_hcs" in _codes(items)


def test_a_frame_cut_short_gives_way_to_the_next():
    reader = FrameReader()
    items = reader.receive(I_FRAME[:-6] + I_FRAME)
    items += reader.flush()
    assert [frame.kind for frame in _frames(items)] == ["I"]
    assert _codes(items)


def test_silence_inside_a_frame_is_an_error():
    reader = FrameReader()
    assert reader.receive(I_FRAME[:12]) == []
    assert reader.pending
    assert _codes(reader.flush()) == ["truncated_frame"]
    assert not reader.pending
    assert _frames(reader.receive(I_FRAME)) != []


def test_a_flag_among_the_information_is_no_end():
    frame = HdlcFrame(b"\x03", b"\x21", 0x10, b"\x7e\x7e\xa0\x07\x7e" * 20)
    items = FrameReader().receive(frame.to_bytes() * 2)
    assert items == [frame, frame]


def test_the_reader_holds_no_more_than_a_frame():
    reader = FrameReader()
    for _ in range(50):
        reader.receive(b"\x7e\xa7\xff" * 1000)
    assert len(reader._buffer) <= 2049
