"""IEC 62056-21 and P1 in plain tests, which MicroPython runs too: messages, a read-out, a hand-over, telegrams."""

from edge_agent.dlms.errors import DlmsError
from edge_agent.dlms.iec62056_21.client import hand_over, read_out
from edge_agent.dlms.iec62056_21.messages import (
    Identification,
    read_readout,
    readout,
    strip_parity,
    with_parity,
)
from edge_agent.dlms.iec62056_21.p1 import (
    crc16,
    find_telegram,
    read_line,
    read_telegrams,
    without_parity,
    write_telegram,
)
from edge_agent.dlms.iec62056_21.server import Iec21Server

LINES = ["0.0.0(12345678)", "1.8.0(0001234.567*kWh)", "C.1.0(7)", "1.6.1(1.2*kW)(0101010000)"]
IDENTIFICATION = Identification("LGZ", "5", "ZMF120ABd", "2")


def _error(function, *arguments):
    try:
        function(*arguments)
    except DlmsError as error:
        return error.code
    return None


def _converse(conversation, on_way=lambda answer: answer):
    """Run a conversation against a meter; its result."""
    meter = Iec21Server(IDENTIFICATION, lambda: LINES, "12345678")
    waiting = b""
    try:
        step = next(conversation)
        while True:
            answer = b""
            if step[0] == "write":
                waiting += on_way(meter.receive(step[1]))
            elif step[0] == "read":
                answer, waiting = waiting[:16], waiting[16:]
            step = conversation.send(answer)
    except StopIteration as end:
        return end.value


def test_identification():
    found = Identification.from_bytes(b"/LGZ5\\2ZMF120ABd\r\n")
    assert (found.manufacturer, found.baud_rate, found.identification) == ("LGZ", 9600, "ZMF120ABd")
    assert found.offers_hdlc
    assert found.to_bytes() == b"/LGZ5\\2ZMF120ABd\r\n"
    assert _error(Identification.from_bytes, b"/L") == "bad_identification"


def test_read_out_message():
    data = readout(LINES)
    assert read_readout(data) == (LINES, len(data))
    assert read_readout(data[:-1])[0] is None
    assert _error(read_readout, data[:-1] + bytes((data[-1] ^ 1,))) == "bad_bcc"
    assert read_line(LINES[1], True) == ("1-0:1.8.0.255", "1234.567", "kWh")
    assert read_line(LINES[2], True) == ("0-0:96.1.0.255", "7", None)
    assert _error(read_line, "no value", True) == "bad_line"


def test_mode_c_and_mode_e():
    identification, lines = _converse(read_out())
    assert identification.identification == "ZMF120ABd"
    assert lines == LINES
    assert _converse(hand_over()).offers_hdlc


def test_a_meter_that_says_nothing():
    assert _error(_converse, read_out(), lambda answer: b"") == "no_answer"


def test_p1():
    body = b"/ISK5\\2M550T\r\n\r\n1-0:1.8.1(001234.567*kWh)\r\n0-0:1.0.0(260601120000S)\r\n!"
    good = body + b"%04X\r\n" % crc16(body)
    (telegram,) = read_telegrams(good)
    assert not telegram.errors
    assert telegram.values["1-0:1.8.1.255"] == ("1234.567", "kWh")
    assert telegram.time == "2026-06-01T12:00:00+02:00"
    first, second = read_telegrams(good[:30] + b"\r\n" + good)
    assert [error.code for error in first.errors] == ["cut_short"]
    assert second.values == telegram.values
    (damaged,) = read_telegrams(good.replace(b"1234", b"1235"))
    assert [error.code for error in damaged.errors] == ["bad_crc"]
    assert damaged.values == {}


def test_p1_that_breaks_off_in_a_line_costs_the_next_one_nothing():
    good = write_telegram("ISK5\\2M550T", ["1-0:1.8.1(001234.567*kWh)", "1-0:2.8.1(000000.001*kWh)"])
    (whole,) = read_telegrams(good)
    plain = write_telegram("ISK5\\2M550T", ["1-0:1.8.1(001234.567*kWh)", "1-0:2.8.1(000000.001*kWh)"], False)
    for following in (good, plain, good.replace(b"\r\n", b"\n")):
        for cut in range(20, len(plain) - 3):
            first, second = read_telegrams(good[:cut] + following)
            assert [error.code for error in first.errors][:1] == ["cut_short"]
            assert not second.errors
            assert second.values == whole.values
    # A slash in an identification, or in a value, starts nothing.
    for identification in ("ISK5/2M550T", "ISK5\\a/ABC5b"):
        (one,) = read_telegrams(write_telegram(identification, ["0-0:96.13.0(a/b)", "1-0:1.8.1(1*kWh)"]))
        assert not one.errors
        assert one.identification == identification


def test_p1_of_a_version_that_has_a_crc_is_not_believed_without_one():
    lines = ["1-3:0.2.8({})", "1-0:1.8.1(001234.567*kWh)"]
    for version, codes in (("50", ["bad_crc"]), ("42", ["bad_crc"]), ("30", []), ("x", [])):
        data = write_telegram("ISK5\\2M550T", [line.format(version) for line in lines], False)
        for end in (len(data), len(data) - 2):
            (telegram,) = read_telegrams(data[:end])
            assert [error.code for error in telegram.errors] == codes
            assert bool(telegram.values) == (not codes)
        (telegram,) = read_telegrams(write_telegram("ISK5\\2M550T", [line.format(version) for line in lines]))
        assert not telegram.errors


def test_p1_texts_and_an_empty_log():
    lines = ["0-0:96.13.0(57687920736F3F)", "0-0:96.13.1(0141)", "1-0:99.97.0()", "1-0:99.97.0(1)(0-0:96.7.19)(a)"]
    values = [read_telegrams(write_telegram("ISK5", [line]))[0].values for line in lines]
    assert [next(iter(value.values()))[0] for value in values] == ["Why so?", "0141", "", "(1)(0-0:96.7.19)(a)"]


def test_p1_is_written_as_it_is_read():
    lines = ["1-0:1.8.0(001234.567*kWh)", "1-0:2.7.0(00.250*kW)"]
    for checked in (True, False):
        data = write_telegram("KFM5\\2M550T", lines, checked)
        (telegram,) = read_telegrams(data)
        assert not telegram.errors
        assert telegram.identification == "KFM5\\2M550T"
        assert telegram.values == {"1-0:1.8.0.255": ("1234.567", "kWh"), "1-0:2.7.0.255": ("0.250", "kW")}


def test_p1_of_7e1_that_was_read_as_8n1():
    plain = write_telegram("KFM5\\2M550T", ["1-0:1.8.0(01234.567*kWh)", "1-0:2.8.0(00000.089*kWh)"], False)
    data = with_parity(plain)
    assert data != plain
    assert strip_parity(data) == plain
    assert without_parity(data) == (plain, True)
    assert without_parity(plain) == (plain, False)
    (telegram,) = read_telegrams(data)
    assert not telegram.errors
    assert telegram.values["1-0:1.8.0.255"] == ("1234.567", "kWh")
    at = plain.index(b"1234")
    for bit in range(8):
        (damaged,) = read_telegrams(data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :])
        assert [error.code for error in damaged.errors] == ["bad_character"]
        assert list(damaged.values) == ["1-0:2.8.0.255"]
    # Two flipped bits in a byte are beyond what a parity bit tells.
    (unseen,) = read_telegrams(data[:at] + bytes((data[at] ^ 3,)) + data[at + 1 :])
    assert not unseen.errors


def test_where_p1_starts_in_noise():
    data = write_telegram("KFM5\\2M550T", ["1-0:1.8.0(01234.567*kWh)"])
    assert find_telegram(data) == 0
    assert find_telegram(b"\x7e/\xff\x00" + data) == 4
    assert find_telegram(b"\x00\x05" + with_parity(data)) == 2
    assert find_telegram(data[:20]) == 0
    for nothing in (b"", b"/", b"/KFM5", bytes(range(256)) * 3, b"\xaf" * 9):
        assert find_telegram(nothing) == -1


def test_a_strange_byte_is_taken_where_the_crc_is_right():
    body = b"/KFM5\r\n\r\n0-0:96.13.0(a\x01b)\r\n1-0:1.8.0(7*kWh)\r\n!"
    (good,) = read_telegrams(body + f"{crc16(body):04X}\r\n".encode())
    assert not good.errors
    assert good.values["0-0:96.13.0.255"] == ("a?b", None)
    (unchecked,) = read_telegrams(body + b"\r\n")
    assert [(error.code, error.offset) for error in unchecked.errors] == [("bad_character", 9)]
    assert unchecked.values == {"1-0:1.8.0.255": ("7", "kWh")}
    for check in (b"0000", b"zzzz", b"\x00\x01"):
        (wrong,) = read_telegrams(body + check + b"\r\n")
        assert wrong.errors[0].code == "bad_crc"
        assert wrong.values == {}
