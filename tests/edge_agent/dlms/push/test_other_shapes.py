"""Shapes of pushed telegrams beside those that meters are known to send: general-ciphering, general-signing, compact
arrays, descriptors before each value, frames that do not say that more follow, noise between ciphered APDUs."""

from __future__ import annotations

import pytest
from pushed import code, only, said

from edge_agent.dlms import aes_gcm, mbus
from edge_agent.dlms.apdu.data_notification import DataNotification
from edge_agent.dlms.axdr import write_length
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.hdlc.frame import UI, HdlcFrame
from edge_agent.dlms.llc import wrap
from edge_agent.dlms.obis import obis_bytes
from edge_agent.dlms.push.telegram import Keys, Telegram, decode_telegrams
from edge_agent.dlms.security import CipheredUnit, seal

NOON = ClockTime.from_unix(1780315200, -120).to_bytes()
NOON_TEXT = "2026-06-01T14:00:00+02:00"
KEY, AUTHENTICATION_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))
TITLE, RECIPIENT = b"KAM\x01\x02\x03\x04\x05", b"HES\x00\x00\x00\x00\x01"
KEYS = Keys(KEY, AUTHENTICATION_KEY)
WH = 30


def scale(scaler: int, number: int = WH) -> tuple[int, list[tuple[int, int]]]:
    return (2, [(15, scaler), (22, number)])


ITEMS = (1, [(2, [code("1.8.0"), (6, 12345), scale(1)]), (2, [code("2.8.0"), (6, 6), scale(-1)])])
APDU = DataNotification(ITEMS, NOON).to_bytes()
SAID = {"1.8.0": "123450 Wh", "2.8.0": "0.6 Wh"}


def codes(telegram: Telegram) -> list[str]:
    assert telegram.values == {}
    return [error.code for error in telegram.errors]


def octets(*parts: bytes) -> bytes:
    return b"".join([write_length(len(part)) + part for part in parts])


def general_ciphering(key_info: bytes = b"\x00", header_counts: bool = True, control: int = 0x30) -> bytes:
    """General-ciphering as the Green Book has it; without `header_counts` its header is not authenticated."""
    header = octets(b"\x00\x00\x00\x00\x00\x00\x00\x2a", TITLE, RECIPIENT, NOON, b"")
    aad = bytes((control,)) + AUTHENTICATION_KEY + (header if header_counts else b"")
    iv = TITLE + (7).to_bytes(4, "big")
    if control & 0x20:
        ciphertext, tag = aes_gcm.encrypt(KEY, iv, APDU, aad)
    else:
        ciphertext, tag = APDU, aes_gcm.encrypt(KEY, iv, b"", aad + APDU)[1]
    return b"\xdd" + header + key_info + octets(bytes((control,)) + (7).to_bytes(4, "big") + ciphertext + tag)


def unmarked(apdu: bytes, size: int) -> list[bytes]:
    """HDLC frames none of which has the segmentation bit."""
    whole = wrap(apdu, False)
    return [HdlcFrame(b"\x41", b"\x08\x83", UI, whole[at : at + size]).to_bytes() for at in range(0, len(whole), size)]


IDENTIFIED, WRAPPED, AGREED = b"\x01\x00\x00", b"\x01\x01\x00\x18" + bytes(24), b"\x01\x02\x01\x02\x00"


@pytest.mark.parametrize("key_info", [b"\x00", IDENTIFIED, WRAPPED, AGREED])
@pytest.mark.parametrize("control", [0x30, 0x10])
def test_general_ciphering(key_info, control):
    data = general_ciphering(key_info, control=control)
    assert CipheredUnit.from_bytes(data).to_bytes() == data
    for line in (data, b"".join(unmarked(data, 40)), b"".join([f.to_bytes() for f in mbus.split_apdu(data, size=50)])):
        telegram = only(line, KEYS)
        assert said(telegram) == SAID
        assert (telegram.ciphered, telegram.authenticated, telegram.time) == (True, True, NOON_TEXT)
        assert (telegram.system_title, telegram.invocation_counter) == (TITLE, 7)
    assert said(only(general_ciphering(key_info, False, control), KEYS)) == SAID
    for size in range(1, len(data), 5):
        assert only(data[:size], KEYS).errors


def test_general_ciphering_that_cannot_be_opened():
    assert codes(only(general_ciphering())) == ["missing_key"]
    assert codes(only(general_ciphering().replace(RECIPIENT, TITLE), KEYS)) == ["wrong_key"]
    for keys in (Keys(AUTHENTICATION_KEY), Keys(AUTHENTICATION_KEY, KEY)):
        assert codes(only(general_ciphering(IDENTIFIED), keys)) == ["wrong_key"]
        assert codes(only(general_ciphering(WRAPPED), keys)) == ["unsupported_security"]
        assert codes(only(general_ciphering(AGREED), keys)) == ["unsupported_security"]
    assert codes(only(general_ciphering(b"\x01\x03"), KEYS)) == ["unknown_tag"]


def test_general_signing():
    for content in (APDU, seal(0xDB, TITLE, 0x30, 1, APDU, KEY, AUTHENTICATION_KEY).to_bytes()):
        data = b"\xdf" + octets(b"\x01", TITLE, b"", b"", b"", content, bytes(64))
        for line in (data, data * 2, b"".join(unmarked(data, 60))):
            for telegram in decode_telegrams(line, keys=KEYS):
                assert said(telegram) == SAID
                assert telegram.ciphered == (content is not APDU)
        assert codes(only(data[:-1], KEYS)) == ["cut_short"]


def test_what_is_authenticated_alone_is_read_without_a_key():
    for control in (0x10, 0x11):
        telegram = only(seal(0xDB, TITLE, control, 1, APDU, KEY, AUTHENTICATION_KEY).to_bytes())
        assert said(telegram) == SAID
        assert (telegram.ciphered, telegram.authenticated) == (True, False)
    assert codes(only(CipheredUnit(0xDB, TITLE, 0x10, 1, b"short").to_bytes())) == ["cut_short"]
    assert codes(only(CipheredUnit(0xDB, TITLE, 0x90, 1, bytes(40)).to_bytes())) == ["missing_key"]


def test_frames_that_do_not_say_that_another_follows():
    frames = unmarked(APDU, 20)
    assert len(frames) > 3
    assert [said(telegram) for telegram in decode_telegrams(b"".join(frames) * 2)] == [SAID, SAID]
    for missing in range(len(frames)):
        found = decode_telegrams(b"".join(frames[:missing] + frames[missing + 1 :]))
        assert all(codes(telegram) for telegram in found)
    damaged = frames[1][:-4] + b"\x00" + frames[1][-3:]
    found = decode_telegrams(b"".join([frames[0], damaged, *frames[2:], *frames]))
    assert said(found[-1]) == SAID
    assert all(codes(telegram) for telegram in found[:-1])


def test_noise_between_bare_ciphered_apdus():
    p1 = b"/Lux5\\253663629_D\r\n\r\n0-0:1.0.0(260601140000S)\r\n1-0:1.8.0(001234.567*kWh)\r\n!\r\n"
    one, other = (seal(0xDB, TITLE, 0x30, n, p1, KEY, AUTHENTICATION_KEY).to_bytes() for n in (1, 2))
    wanted = {"0-0:1.0.0": f"{NOON_TEXT} -", "1.8.0": "1234.567 kWh"}
    assert [said(telegram) for telegram in decode_telegrams(one + other + b"\r\n", keys=KEYS)] == [wanted, wanted]
    for line, good in (
        (one[50:] + other, 1),
        (b"noise" + one + b"noise" + other + b"\x00", 2),
        (one[:60] + one[70:] + other, 1),  # bytes lost inside: the length reaches into the next
        (one + other[:80], 1),
    ):
        found = decode_telegrams(line, keys=KEYS)
        assert [said(telegram) for telegram in found if not telegram.errors] == [wanted] * good
        assert all(codes(telegram) for telegram in found if telegram.errors)
        assert len(found) > good
    for line in (one, one + other, one + b"\r\n", one + other + b"\n"):
        assert all(said(telegram) == wanted for telegram in decode_telegrams(line, keys=Keys(KEY)))
    framed = unmarked(one, 2000)[0]
    assert codes(only(b"\x6e" + framed[1:], KEYS))  # the frame is damaged: what is in it is not looked for


def test_a_bare_ciphered_apdu_that_lost_bytes_is_not_believed_without_its_tag_being_checked():
    one, other = (seal(tag, TITLE, 0x30, 1, APDU, KEY, AUTHENTICATION_KEY).to_bytes() for tag in (0xDB, 0xDC))
    for line in (one[:-30] + one[-26:] + other, one + b"noise", one + b"noise" + other):
        for keys in (Keys(KEY), KEYS):
            found = decode_telegrams(line, keys=keys)
            whole = line.startswith(one) and keys is KEYS
            assert found[0].errors if not whole else said(found[0]) == SAID
            assert not found[0].values or whole
    assert codes(decode_telegrams(one + b"noise", keys=Keys(KEY))[0]) == ["trailing_bytes"]


def test_the_time_of_a_notification_with_the_tag_of_a_date_time():
    telegram = only(b"\x0f\x00\x00\x00\x01\x19" + APDU[6:])
    assert (said(telegram), telegram.time) == (SAID, NOON_TEXT)


def descriptor(text: str, attribute: int = 2, index: int = 0) -> tuple[int, list[tuple[int, object]]]:
    return (2, [(18, 3), code(text), (15, attribute), (18, index)])


FLAT = [(18, 3), code("1.8.0"), (15, 2)], [(18, 3), code("2.8.0"), (15, 2)]
COMPACT = (19, (b"\x02\x02\x09\x06", [(2, [code("1.8.0"), (6, 5)]), (2, [code("2.8.0"), (6, 6)])]))
SHAPES = {
    "a compact array among the values": (2, [(9, NOON), COMPACT]),
    "a compact array alone": COMPACT,
    "class, code, attribute and index before each": (2, [*FLAT[0], (18, 0), (6, 5), *FLAT[1], (18, 0), (6, 6)]),
    "the same with values that look like an index": (2, [*FLAT[0], (18, 0), (18, 5), *FLAT[1], (18, 0), (18, 6)]),
    "class, code and attribute before each": (2, [*FLAT[0], (18, 5), *FLAT[1], (18, 6)]),
    "code and attribute before each": (2, [code("1.8.0"), (15, 2), (6, 5), code("2.8.0"), (15, 2), (6, 6)]),
    "a descriptor in each item": (1, [(2, [descriptor("1.8.0"), (6, 5)]), (2, [descriptor("2.8.0"), (6, 6)])]),
    "a descriptor before each value": (2, [descriptor("1.8.0"), (6, 5), descriptor("2.8.0"), (6, 6)]),
    "codes shortened, as text": (1, [(2, [(10, b"1.8.0"), (6, 5)]), (2, [(10, b"2.8.0"), (6, 6)])]),
}


@pytest.mark.parametrize("shape", list(SHAPES))
def test_shapes_without_units(shape):
    assert said(only(DataNotification(SHAPES[shape]).to_bytes())) == {"1.8.0": "5 -", "2.8.0": "6 -"}


UNITS = {
    "scaler and unit before the value, without braces": [code("1.8.0"), (15, -1), (22, WH), (6, 5)],
    "the time of the capture before the value": [code("1.8.0"), (9, NOON), (6, 5), scale(-1)],
    "the time of the capture behind it": [code("1.8.0"), (6, 5), scale(-1), (9, NOON)],
    "a name before the value": [code("1.8.0"), (10, b"Active energy"), (6, 5), scale(-1)],
    "a status before the value": [code("1.8.0"), (17, 1), (6, 5), scale(-1)],
    "a descriptor": [descriptor("1.8.0"), (6, 5), scale(-1)],
    "a scaler of two bytes": [code("1.8.0"), (6, 5), (2, [(16, -1), (22, WH)])],
    "a unit of two bytes": [code("1.8.0"), (6, 5), (2, [(15, -1), (18, WH)])],
    "a value in binary coded decimals": [code("1.8.0"), (13, 0x05), scale(-1)],
}


@pytest.mark.parametrize("shape", list(UNITS))
def test_shapes_with_units(shape):
    again = [(9, obis_bytes("1-0:2.8.0")) if item == code("1.8.0") else item for item in UNITS[shape]]
    again = [descriptor("2.8.0") if item == descriptor("1.8.0") else item for item in again]
    wanted = {"1.8.0": "0.5 Wh", "2.8.0": "0.5 Wh"}
    assert said(only(DataNotification((1, [(2, UNITS[shape]), (2, again)])).to_bytes())) == wanted
    if "scaler and unit" in shape:
        assert said(only(DataNotification((2, UNITS[shape] + again)).to_bytes())) == wanted


def test_a_unit_without_a_scaler():
    items = [(2, [code("1.8.0"), (6, 5), (22, WH)]), (2, [code("2.8.0"), (6, 6), (22, 99)])]
    assert said(only(DataNotification((1, items)).to_bytes()))["1.8.0"] == "5 Wh"


def test_the_meter_and_the_time_where_other_objects_tell_them():
    def told(*values):
        telegram = only(DataNotification((1, [(2, list(pair)) for pair in values])).to_bytes())
        assert telegram.errors == []
        return telegram.meter, telegram.time

    assert told((code("96.1.0"), (9, b"12345")))[0] == "12345"
    assert told((code("96.1.0"), (9, b"12345")), (code("1-1:0.0.5.255"), (10, b"57065")))[0] == "57065"
    assert told((code("0-0:96.1.255.255"), (9, b"12345")))[0] == "12345"
    assert told((code("0-1:96.1.0.255"), (9, b"gas")))[0] is None
    assert told((code("0-0:96.1.0.255"), (9, b"12345678\x00\x00")))[0] == "12345678"
    assert told((code("0.9.1"), (9, NOON[5:9])), (code("0.9.2"), (9, NOON[:5])))[1] == "2026-06-01T14:00:00"
    assert told((code("0.9.1"), (27, NOON[5:9])), (code("0.9.2"), (26, NOON[:5])))[1] == "2026-06-01T14:00:00"
    for unset in ((9, b"\xff" * 12), (9, bytes(12)), (0, None), (10, b"yesterday")):
        assert told((code("0-0:1.0.0.255"), unset))[1] is None


STATUS, NUMBER = (17, 0), (9, b"98765432")
STATE = (18, 70), code("0-0:96.3.10.255"), (15, 3)
ALONE = {
    "a number of the meter behind the value": ([code("1.8.0"), (6, 5), NUMBER], "5 -"),
    "a number of the meter behind value and unit": ([code("1.8.0"), (6, 5), scale(-1), NUMBER], "0.5 Wh"),
    "a short value before its unit and the meter": ([code("1.8.0"), (15, 2), scale(-1), NUMBER], "0.2 Wh"),
    "class, attribute, and a short value": ([(18, 3), code("1.8.0"), (15, 2), (18, 5), NUMBER], "5 -"),
    "a time before": ([(9, NOON), code("1.8.0"), (6, 5)], "5 -"),
    "a time before, and a unit": ([(9, NOON), code("1.8.0"), (6, 5), scale(-1)], "0.5 Wh"),
    "a short value, its unit and a status": ([code("1.8.0"), (17, 2), scale(-1), STATUS], "0.2 Wh"),
    "a signed one": ([code("1.8.0"), (15, -3), scale(-1), (17, 2)], "-0.3 Wh"),
    "a short value and its status": ([code("1.8.0"), (17, 30), STATUS], "30 -"),
    "a value and a status that is not a unit": ([code("1.8.0"), (6, 5), (22, 1)], "5 -"),
    "a short value and a number of the meter": ([code("1.8.0"), (17, 0), NUMBER], "0 -"),
    "attribute, and a value with its unit before it": ([code("1.8.0"), (15, 2), scale(-1), (6, 5)], "0.5 Wh"),
    "a short value, its status and a time": ([code("1.8.0"), (15, 2), STATUS, (9, NOON[:5])], "2 -"),
    "a status, and a value": ([code("1.8.0"), STATUS, (6, 5)], "5 -"),
    "an enumeration and another": ([code("1.8.0"), (22, 2), (22, WH)], "2 -"),
}


@pytest.mark.parametrize("shape", list(ALONE))
def test_one_value_with_something_beside_it(shape):
    items, wanted = ALONE[shape]
    telegram = only(DataNotification((2, items)).to_bytes())
    assert said(telegram) == {"1.8.0": wanted}
    assert telegram.meter == ("98765432" if NUMBER in items else None)
    assert telegram.time == (NOON_TEXT if (9, NOON) in items else None)


def test_a_state_behind_its_class_and_attribute_is_neither_scaler_nor_unit():
    for state in (0, 1, 2):
        wanted = {"0-0:96.3.10.255:3": str(state) + " -"}
        assert said(only(DataNotification((1, [(2, [*STATE, (22, state)])])).to_bytes())) == wanted
        items = [*FLAT[0], (18, 5), *STATE, (22, state), *FLAT[1], (18, 6)]
        assert said(only(DataNotification((2, items)).to_bytes())) == {"1.8.0": "5 -", **wanted, "2.8.0": "6 -"}


VALUES_LIKE_LEADS = {
    "a number of the meter at the end": [*FLAT[0], (18, 5), *FLAT[1], (18, 6), NUMBER],
    "a status behind each": [*FLAT[0], (18, 5), STATUS, *FLAT[1], (18, 6), STATUS],
    "one value that looks like an index": [*FLAT[0], (18, 5), (17, 9), *FLAT[1], (18, 6)],
    "without class and attribute": [code("1.8.0"), (18, 5), STATUS, code("2.8.0"), (18, 6), NUMBER],
}


@pytest.mark.parametrize("shape", list(VALUES_LIKE_LEADS))
def test_what_stands_behind_a_value_does_not_take_its_place(shape):
    assert said(only(DataNotification((2, VALUES_LIKE_LEADS[shape])).to_bytes())) == {"1.8.0": "5 -", "2.8.0": "6 -"}


@pytest.mark.parametrize("behind", [STATUS, NUMBER, (22, 1), (4, "0" * 8)])
def test_a_value_that_looks_like_an_attribute(behind):
    items = [code("1.8.0"), (15, 2), code("2.8.0"), (6, 6), behind]
    assert said(only(DataNotification((2, items)).to_bytes())) == {"1.8.0": "2 -", "2.8.0": "6 -"}
    items = [code("2.8.0"), (6, 6), code("1.8.0"), (15, 2), behind]
    assert said(only(DataNotification((2, items)).to_bytes())) == {"1.8.0": "2 -", "2.8.0": "6 -"}


def test_a_telegram_is_not_put_behind_one_that_is_cut_short():
    short = DataNotification((2, [code("1.8.0"), (6, 5), code("2.8.0"), (6, 6)])).to_bytes()
    line = b"".join([HdlcFrame(b"\x41", b"\x08\x83", UI, apdu).to_bytes() for apdu in (short[:-5], short, APDU)])
    first, second, third = decode_telegrams(line)
    assert codes(first) == ["cut_short"]
    assert said(second) == {"1.8.0": "5 -", "2.8.0": "6 -"}
    assert said(third) == SAID


@pytest.mark.parametrize("items", [[code("0-0:96.1.0.255"), NUMBER, STATUS], [(17, 1), code("0-0:96.1.0.255"), NUMBER]])
def test_a_text_with_a_status_or_behind_a_count_is_the_value(items):
    telegram = only(DataNotification((2, items)).to_bytes())
    assert (said(telegram), telegram.meter) == ({"0-0:96.1.0": "98765432 -"}, "98765432")


def test_values_no_wider_than_a_status_keep_their_place():
    for behind in (STATUS, (4, "0" * 8), (9, NOON)):
        items = [*FLAT[0], (18, 0), behind, *FLAT[1], (18, 0), behind]
        assert said(only(DataNotification((2, items)).to_bytes())) == {"1.8.0": "0 -", "2.8.0": "0 -"}
        items = [code("1.8.0"), (15, 2), behind, code("2.8.0"), (15, 2), behind]
        assert said(only(DataNotification((2, items)).to_bytes())) == {"1.8.0": "2 -", "2.8.0": "2 -"}


def test_an_item_with_class_and_attribute_whose_value_is_0_describes_nothing():
    items = [(2, [*FLAT[0], (18, 0)]), (2, [*FLAT[1], (6, 6), scale(-1)])]
    for body in (items, [*items, (2, [(18, 3), code("3.8.0"), (15, 2), (18, 0)])]):
        values = said(only(DataNotification((1, body)).to_bytes()))
        assert (values["1.8.0"], values["2.8.0"]) == ("0 -", "0.6 Wh")


def test_a_segment_that_starts_as_a_telegram_does():
    short = DataNotification((2, [code("2.8.0"), (15, 32), code("1.8.0"), (6, 5)]), NOON).to_bytes()
    at = short.index(b"\x0f\x20")
    assert short[at + 5 : at + 7] == b"\x00\x01"  # no time, and an array, if this were a telegram
    frames = [wrap(short[:at], False), short[at:]]
    line = b"".join([HdlcFrame(b"\x41", b"\x08\x83", UI, part).to_bytes() for part in frames])
    assert said(only(line)) == {"2.8.0": "32 -", "1.8.0": "5 -"}
