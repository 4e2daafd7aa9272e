"""Files of SML as this package writes and reads them, with every damage. These tests run on MicroPython too."""

from edge_agent.dlms import sml
from edge_agent.dlms.hdlc.checksum import checksum_bytes
from edge_agent.dlms.obis import obis_bytes

WH = 30
ACTIVE_IN, ACTIVE_OUT = "1-0:1.8.0.255", "1-0:2.8.0.255"
VALUES = ((ACTIVE_IN, 12345678, -1, WH), (ACTIVE_OUT, 89, 0, WH))


def own(values=VALUES, meter="1KFM0000000001", time=1780315200):
    return sml.write_file(
        meter, [(obis_bytes(code), value, scaler, unit) for code, value, scaler, unit in values], time
    )


def test_a_file_of_our_own_comes_back():
    (file,) = sml.read_files(own())
    assert (file.meter, file.time, file.errors) == ("1KFM0000000001", "2026-06-01T12:00:00+00:00", [])
    assert file.values == {ACTIVE_IN: ("1234567.8", "Wh"), ACTIVE_OUT: ("89", "Wh")}


def test_a_register_without_a_unit_states_none():
    (file,) = sml.read_files(own([(ACTIVE_IN, 4711, None, None)]))
    assert file.values == {ACTIVE_IN: ("4711", None)}


def test_a_meter_without_a_clock_tells_no_time():
    (file,) = sml.read_files(own(time=None))
    assert file.time is None
    assert file.values


def test_four_escape_bytes_among_the_data_come_back():
    name = b"\x1b" * 9 + b"x"
    data = own([("1-0:96.1.0.255", name, None, None), (ACTIVE_IN, 0x1B1B1B1B, 0, WH)])
    (file,) = sml.read_files(data)
    assert file.errors == []
    assert file.values["1-0:96.1.0.255"][0] == name.hex()
    assert file.values[ACTIVE_IN] == (str(0x1B1B1B1B), "Wh")


def test_every_flipped_bit_is_seen():
    data = own()
    (whole,) = sml.read_files(data)
    for at in range(len(data)):
        for bit in range(8):
            damaged = data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]
            for file in sml.read_files(damaged):
                assert file.errors, (at, bit)
                assert file.values == {}
    assert whole.values


def test_every_shorter_file_is_cut_short():
    data = own()
    for size in range(len(sml.START), len(data)):
        (file,) = sml.read_files(data[:size])
        assert file.open
        assert not file.values


def test_a_file_that_breaks_off_keeps_the_next_from_nothing():
    data = own()
    for size in (8, 9, 60, len(data) - 9, len(data) - 4, len(data) - 1):
        files = sml.read_files(data[:size] + data)
        assert [bool(file.values) for file in files][-1:] == [True] or size > len(data) - 9, size
        assert sum(bool(file.values) for file in files) <= 1


def test_names_come_back():
    for meter in ("KFM1000000000001", "1KFM0000000001", "9ABCFF99999999", "1ABCxy12345678", "1ABC1"):
        (file,) = sml.read_files(own(meter=meter))
        assert file.meter == meter


def _framed(content: bytes) -> bytes:
    fill = -len(content) % 4
    data = sml.START + content + bytes(fill) + sml.ESCAPE + bytes((0x1A, fill))
    return data + checksum_bytes(data)


NO_SML = (
    (b"", "no_values"),
    (b"\x71\x01", "bad_item"),
    (b"\x76" * 40, "too_deep"),
    (b"\x76\x05\x01", "bad_item"),
    (b"\x76\x8f\x8f\x8f\x8f\x8f\x0f", "bad_item"),
    (b"\x76\x85\x71\x01", "bad_item"),
    (b"\x76\x01\x01\x01\xff\x8f\x8f\x0f", "bad_item"),
    (b"\x76\x01\x01\x01\x72\x63\x07\x01\x01\x63\x12\x34\x00", "bad_item"),
    (b"\x76\x01\x01\x01\x72\x63\x07\x01\x77\x01\x01\x01\x01\x71\x01\x01\x01\x63\x12\x34\x00", "bad_item"),
    (b"\x76\x01\x01\x01\x72\x63\x01\x01\x01\x63\x12\x34\x01", "bad_item"),
    (b"\x76\x01\x01\x01\x72\x63\x01\x01\x01\x63\x12\x34\x00", "no_values"),
    (b"\x76\x01\x01\x01\x41\x41", "bad_item"),
)


def test_what_is_no_sml_in_a_whole_frame_is_told():
    for content, code in NO_SML:
        (file,) = sml.read_files(_framed(content))
        assert (file.values, [error.code for error in file.errors]) == ({}, [code]), content
