# ruff: noqa: PT017 - what is caught is then looked at
"""IEC 62056-21: known messages, and both sides against each other with what goes wrong between them."""

from edge_agent.dlms.errors import DecodeError, DlmsError
from edge_agent.dlms.iec62056_21.client import hand_over, read_out, sign_on
from edge_agent.dlms.iec62056_21.messages import (
    Identification,
    block_check,
    option_select,
    read_readout,
    readout,
    request,
)
from edge_agent.dlms.iec62056_21.p1 import read_line
from edge_agent.dlms.iec62056_21.server import Iec21Server


def fails(code, function, *arguments):
    """The typed error that a call raises; it must have this code."""
    try:
        found = function(*arguments)
    except DlmsError as error:
        assert error.code == code, f"{error.code}: {error}"
        return
    raise AssertionError(f"{code} was due, {found!r} came")


LINES = ["0.0.0(12345678)", "1.8.0(0001234.567*kWh)", "2.8.0(0000007.000*kWh)", "C.1.0(7)", "1.6.1(1.2*kW)(0101010000)"]
IDENTIFICATION = Identification("LGZ", "5", "ZMF120ABd", "2")


def _with_parity(data):
    return bytes(byte | (0x80 if bin(byte).count("1") % 2 else 0) for byte in data)


class Line:
    """A server, and what its n-th answer meets on the way. `speeds` gathers what the line was set to."""

    def __init__(self, identification=IDENTIFICATION, on_way=lambda data, number: data, echo=False):
        self.server = Iec21Server(identification, lambda: LINES, "12345678")
        self.on_way = on_way
        self.echo = echo
        self.number = 0
        self.speeds = []

    def run(self, conversation):
        waiting = b""
        answer = b""
        try:
            step = next(conversation)
            while True:
                answer = b""
                if step[0] == "write":
                    waiting += step[1] if self.echo else b""
                    back = self.server.receive(step[1])
                    if back:
                        self.number += 1
                        waiting += self.on_way(back, self.number)
                elif step[0] == "line":
                    self.speeds.append(step[1:])
                else:
                    answer, waiting = waiting[:7], waiting[7:]
                step = conversation.send(answer)
        except StopIteration as end:
            return end.value


def test_known_messages():
    assert request() == b"/?!\r\n"
    assert request("42") == b"/?42!\r\n"
    assert option_select("5", "2", "2") == b"\x06252\r\n"
    found = Identification.from_bytes(b"/LGZ5\\2ZMF120ABd\r\n")
    assert (found.manufacturer, found.baud_rate, found.identification) == ("LGZ", 9600, "ZMF120ABd")
    assert found.offers_hdlc
    assert found.to_bytes() == b"/LGZ5\\2ZMF120ABd\r\n"
    assert Identification.from_bytes(_with_parity(b"/ABC4XY\r\n")).baud_rate == 4800
    assert Identification.from_bytes(b"/ABC9XY\r\n").baud_rate == 300
    assert block_check(b"1.8.0(1)\r\n!\r\n\x03") == block_check(b"\x03\n\r!\n\r)1(0.8.1")


def test_what_is_no_identification():
    for data in (b"", b"/", b"/AB\r\n", b"ABC5XY\r\n", b"/A\x01C5XY\r\n", b"/" + b"A" * 80):
        fails("bad_identification", Identification.from_bytes, data)


def test_lines():
    assert read_line("1.8.0(0001234.567*kWh)", True) == ("1-0:1.8.0.255", "1234.567", "kWh")
    assert read_line("1-1:1.8.1*04(12)", False) == ("1-1:1.8.1.4", "12", None)
    assert read_line("C.1.0(7)", True) == ("0-0:96.1.0.255", "7", None)
    assert read_line("1.6.1(1.2*kW)(0101010000)", True)[1:] == ("1.2", "kW")
    assert read_line("1.6.1(0101010000)(1,2*kW)", True)[1:] == ("1.2", "kW")
    assert read_line("1.7(1)", True)[0] == "1-0:1.7.0.255"
    for text in ("", "1.8.0", "(1)", "1.8.0(1"):
        fails("bad_line", read_line, text, True)


def test_a_read_out_both_ways():
    data = readout(LINES)
    assert read_readout(data) == (LINES, len(data))
    assert read_readout(b"\xff\x00" + _with_parity(data)) == (LINES, len(data) + 2)
    for size in range(len(data)):
        assert read_readout(data[:size]) == (None, 0)
    for at in range(1, len(data)):
        damaged = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        try:
            lines, _ = read_readout(damaged)
        except DecodeError as error:
            assert error.code in ("bad_bcc", "bad_readout")
        else:
            assert lines is None or damaged[at] == 3 or data[at] == 3


def test_mode_c():
    line = Line()
    identification, lines = line.run(read_out())
    assert lines == LINES
    assert identification.identification == "ZMF120ABd"
    assert line.speeds == [(300, 7, "E"), (9600, 7, "E")]
    assert Line().run(read_out("12345678"))[1] == LINES
    assert Line(echo=True).run(read_out())[1] == LINES
    assert Line(on_way=lambda data, number: _with_parity(data)).run(read_out())[1] == LINES


def test_mode_e():
    line = Line()
    assert line.run(hand_over()).offers_hdlc
    assert line.speeds == [(300, 7, "E"), (9600, 8, "N")]
    assert line.server.state == "hdlc"
    assert Line(echo=True).run(hand_over()).baud_rate == 9600
    fails("no_hdlc", Line(Identification("ABC", "5", "X")).run, hand_over())


def test_one_fault_is_mended():
    for conversation in (read_out, hand_over):
        for place in (1, 2):
            for damage in (
                lambda data: b"",
                lambda data: data[: len(data) // 2],
                lambda data: data[:2] + b"\x00" + data[3:],
            ):
                line = Line(
                    on_way=lambda data, number, damage=damage, place=place: damage(data) if number == place else data
                )
                assert line.run(conversation()) is not None


def test_what_cannot_be_mended_is_named():
    for conversation, on_way, code in (
        (sign_on, lambda data, number: b"", "no_answer"),
        (sign_on, lambda data, number: b"login: \r\n", "bad_identification"),
        (read_out, lambda data, number: data if data[:1] == b"/" else data[:-1] + b"\x00", "bad_bcc"),
        (read_out, lambda data, number: data if data[:1] == b"/" else data[:-5], "cut_short"),
        (hand_over, lambda data, number: data if data[:1] == b"/" else b"\x15", "no_hand_over"),
    ):
        fails(code, Line(on_way=on_way).run, conversation())
    fails("no_answer", Line().run, sign_on("99"))
