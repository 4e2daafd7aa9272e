"""The two sides of an HDLC link against each other: segments, windows, losses on the way."""

from core_checks import fails

from edge_agent.dlms import llc
from edge_agent.dlms.hdlc.client_link import (
    AWAITING,
    CONNECTING,
    DELIVERING,
    DISCONNECTED,
    IDLE,
    Connected,
    Damaged,
    Disconnected,
    HdlcClientLink,
    Pushed,
    Received,
    Write,
)
from edge_agent.dlms.hdlc.frame import DM, FINAL, FRMR, RNR, UA, UI, HdlcFrame
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.hdlc.server_link import HdlcServerLink

CLIENT, SERVER = b"\x21", b"\x03"


def mirrored(data):
    return bytes(list(reversed(data)))


def answer_mirrored(data):
    return [mirrored(data)]


class Line:
    """A client's and a server's link, and what each frame from the server meets on the way: a function from frame
    bytes and number to bytes."""

    def __init__(self, proposed=None, limits=None, answer=None, on_way=None):
        self.client = HdlcClientLink(CLIENT, SERVER, proposed)
        self.server = HdlcServerLink(SERVER, CLIENT, answer or answer_mirrored, limits)
        self.on_way = on_way or (lambda frame, number: frame)
        self.sent = 0
        self.frames = []

    def exchange(self, data):
        """Write, and let both sides talk until nothing moves; the client's events."""
        events = []
        silences = 0
        while True:
            back = b""
            for item in _split(data):
                self.frames.append(item)
                for answer in _split(self.server.take(item)):
                    self.sent += 1
                    back += self.on_way(answer.to_bytes(), self.sent)
            found = self.client.receive(back) + self.client.flush()
            data = b"".join([event.data for event in found if isinstance(event, Write)])
            events += [event for event in found if not isinstance(event, Write)]
            if not data:
                waiting = self.client.state not in (IDLE, DISCONNECTED)
                if not waiting or silences == 3:
                    return events
                silences += 1
                data = self.client.on_silence()


def _split(data):
    from edge_agent.dlms.hdlc.reader import FrameReader

    items = FrameReader().receive(data)
    assert all(isinstance(item, HdlcFrame) for item in items)
    return items


def _apdus(events):
    return [event.apdu for event in events if isinstance(event, Received)]


def test_connect_exchange_disconnect():
    line = Line()
    events = line.exchange(line.client.connect())
    assert isinstance(events[0], Connected)
    assert line.client.state == IDLE
    assert _apdus(line.exchange(line.client.send(b"abc"))) == [b"cba"]
    assert isinstance(line.exchange(line.client.disconnect())[-1], Disconnected)
    assert line.client.state == DISCONNECTED


def test_segments_both_ways_in_every_window():
    apdu = bytes(range(256)) * 6
    for window in (1, 3, 7):
        for size in (8, 60, 128, 2030):
            parameters = LinkParameters(size, size, window, window)
            line = Line(parameters, parameters)
            line.exchange(line.client.connect())
            for _ in range(3):
                assert _apdus(line.exchange(line.client.send(apdu))) == [mirrored(apdu)], (window, size)


def test_what_is_agreed_is_the_smaller_of_both():
    line = Line(LinkParameters(500, 500, 4, 4), LinkParameters(64, 100, 2, 1))
    connected = line.exchange(line.client.connect())[0]
    assert connected.parameters == LinkParameters(64, 100, 2, 1)
    line.exchange(line.client.send(bytes(300)))
    sizes = [len(frame.information) for frame in line.frames if frame.kind == "I"]
    assert max(sizes) == 100


def test_no_information_field_in_snrm_means_the_defaults():
    line = Line(None, LinkParameters(500, 500, 4, 4))
    line.exchange(line.client.connect())
    assert line.frames[0].information == b""
    line.exchange(line.client.send(bytes(300)))
    assert max(len(frame.information) for frame in line.frames) == 128


def test_every_single_loss_or_damage_is_mended():
    apdu = bytes(range(200)) * 3
    parameters = LinkParameters(64, 64, 3, 3)

    def cut(frame):
        return frame[:-4]

    def flip(frame):
        return frame[:5] + bytes((frame[5] ^ 0x40,)) + frame[6:]

    def double(frame):
        return frame + frame

    def noise(frame):
        return b"\x00\x7e\x55" + frame + b"\xaa"

    for damage in (lambda frame: b"", cut, flip, double, noise):
        for place in range(1, 14):
            line = Line(parameters, parameters)
            line.on_way = lambda frame, number, place=place, damage=damage: damage(frame) if number == place else frame
            events = line.exchange(line.client.connect())
            assert line.client.state == IDLE
            events = line.exchange(line.client.send(apdu))
            assert _apdus(events) == [mirrored(apdu)], place
            assert _apdus(line.exchange(line.client.send(b"next"))) == [b"txen"], place


def test_a_segment_that_stays_away_is_never_passed_over():
    parameters = LinkParameters(64, 64, 1, 1)
    line = Line(parameters, parameters)
    line.exchange(line.client.connect())
    line.on_way = lambda frame, number: b"" if number >= 24 else frame
    events = line.exchange(line.client.send(bytes(range(256)) * 4))
    assert _apdus(events) == []
    assert line.client.state == AWAITING


def test_a_meter_that_refuses_the_link():
    client = HdlcClientLink(CLIENT, SERVER)
    client.connect()
    fails("refused", client.receive, HdlcFrame(CLIENT, SERVER, DM | FINAL).to_bytes())
    assert client.state == DISCONNECTED


def test_a_meter_that_drops_the_link():
    for control in (DM | FINAL, FRMR | FINAL):
        line = Line()
        line.exchange(line.client.connect())
        line.client.send(b"abc")
        fails("disconnected", line.client.receive, HdlcFrame(CLIENT, SERVER, control).to_bytes())
        assert line.client.state == DISCONNECTED


def test_a_server_without_a_connection_says_so():
    server = HdlcServerLink(SERVER, CLIENT, lambda apdu: apdu)
    assert _split(server.take(HdlcFrame(SERVER, CLIENT, 0x10, llc.wrap(b"x", True))))[0].kind == "DM"
    assert _split(server.take(HdlcFrame(SERVER, CLIENT, 0x53)))[0].kind == "DM"
    unknown = HdlcServerLink(SERVER, CLIENT, None)
    assert _split(unknown.take(HdlcFrame(SERVER, CLIENT, 0x93)))[0].kind == "DM"


def test_a_server_rejects_what_it_does_not_know():
    line = Line()
    line.exchange(line.client.connect())
    frame = _split(line.server.take(HdlcFrame(SERVER, CLIENT, UA | FINAL)))[0]
    assert frame.kind == "FRMR"


def test_a_busy_server_is_asked_again_within_bounds():
    line = Line()
    line.exchange(line.client.connect())
    line.client.send(b"abc")
    busy = HdlcFrame(CLIENT, SERVER, 1 << 5 | FINAL | RNR).to_bytes()
    for _ in range(60):
        again, told = line.client.receive(busy)
        assert isinstance(again, Write)
        assert told.error.code == "busy"

    def for_ever():
        for _ in range(100):
            line.client.receive(busy)

    fails("no_progress", for_ever)


def test_frames_for_others_are_told_and_do_nothing():
    client = HdlcClientLink(CLIENT, SERVER)
    sent = client.connect()
    (echo,) = client.receive(sent)
    assert echo.error.code == "echo"
    assert client.receive(sent) == []  # it is told once
    other = client.receive(HdlcFrame(CLIENT, b"\x05", UA | FINAL).to_bytes())
    assert [event.error.code for event in other if isinstance(event, Damaged)] == ["wrong_address"]
    assert client.state == CONNECTING


def test_a_doubled_burst_of_segments_is_named_and_asks_for_nothing():
    for window in (1, 3, 7):
        for doubled in range(2, 9):
            parameters = LinkParameters(64, 64, window, window)
            line = Line(parameters, parameters, lambda _: [bytes([at % 251 for at in range(900)])])
            line.exchange(line.client.connect())
            data, bursts, events = line.client.send(b"ask"), 0, []
            while data:
                back = b"".join(line.server.take(item) for item in _split(data))
                bursts += 1
                found = line.client.receive(back * 2 if bursts == doubled else back)
                events += found
                writes = [event.data for event in found if isinstance(event, Write)]
                assert len(writes) < 2
                data = b"".join(writes)
            assert _apdus(events) == [bytes([at % 251 for at in range(900)])], (window, doubled)
            told = [event.error.code for event in events if isinstance(event, Damaged)]
            assert set(told) == ({"doubled_frame"} if doubled <= bursts else set()), (window, doubled)


def test_a_segment_ahead_is_missing_and_not_doubled():
    for same in (False, True):
        text = bytes(2000) if same else bytes([at % 251 for at in range(2000)])
        line = Line(LinkParameters(64, 64, 1, 7), LinkParameters(64, 64, 7, 7), lambda _, text=text: [text])
        line.on_way = lambda frame, number: b"" if number == 12 else frame
        line.exchange(line.client.connect())
        events = line.exchange(line.client.send(b"ask"))
        assert _apdus(events) == [text]
        if not same:
            assert {event.error.code for event in events if isinstance(event, Damaged)} == {"missing_segment"}


def test_an_echo_where_client_and_meter_have_the_same_address():
    server = HdlcServerLink(SERVER, SERVER, answer_mirrored)
    client = HdlcClientLink(SERVER, SERVER)
    told = []
    data, apdus = client.connect(), []
    for text in (b"", b"one", b"two", bytes(range(200)), b"three"):
        data = client.send(text) if text else data
        while data:
            back = data + b"".join(server.take(item) for item in _split(data))
            events = client.receive(back)
            told += [event.error.code for event in events if isinstance(event, Damaged)]
            apdus += _apdus(events)
            data = b"".join([event.data for event in events if isinstance(event, Write)][-1:])
    assert apdus == [mirrored(text) for text in (b"one", b"two", bytes(range(200)), b"three")]
    assert told[:1] == ["echo"]
    assert told.count("echo") == 1


def test_a_pushed_telegram_is_told_apart():
    client = HdlcClientLink(CLIENT, SERVER)
    events = client.receive(HdlcFrame(CLIENT, SERVER, UI, llc.wrap(b"\x0fpush", False)).to_bytes())
    assert isinstance(events[0], Pushed)
    assert events[0].apdu == b"\x0fpush"


def test_steps_out_of_place_are_refused():
    client = HdlcClientLink(CLIENT, SERVER)
    fails("unexpected_event", client.send, b"x")
    fails("unexpected_event", client.disconnect)


def test_a_meter_that_writes_its_address_in_another_size():
    for server in (b"\x02\x23", bytes.fromhex("00020023")):
        client = HdlcClientLink(CLIENT, SERVER)
        client.connect()
        assert isinstance(client.receive(HdlcFrame(CLIENT, server, UA | FINAL).to_bytes())[0], Connected)
    for other in (b"\x04\x23", b"\x05", CLIENT):
        client = HdlcClientLink(CLIENT, SERVER)
        client.connect()
        client.receive(HdlcFrame(CLIENT, other, UA | FINAL).to_bytes())
        assert client.state == CONNECTING


def _three(data):
    """A server that answers with three APDUs in a row."""
    return [mirrored(data), data, b"last"]


def test_several_apdus_in_a_row_from_the_server():
    apdu = bytes(range(200))
    for window in (1, 2, 7):
        for size in (16, 64, 2030):
            parameters = LinkParameters(size, size, window, window)
            line = Line(parameters, parameters, _three)
            line.exchange(line.client.connect())
            for _ in range(3):
                found = _apdus(line.exchange(line.client.send(apdu)))
                while len(found) < 3:
                    assert line.client.state == IDLE
                    found += _apdus(line.exchange(line.client.listen()))
                assert found == _three(apdu), (window, size)


def test_every_loss_among_several_apdus_is_mended():
    apdu = bytes(range(100))
    parameters = LinkParameters(64, 64, 3, 3)
    for lost in range(1, 9):
        line = Line(parameters, parameters, _three, lambda frame, number, lost=lost: b"" if number == lost else frame)
        line.exchange(line.client.connect())
        found = _apdus(line.exchange(line.client.send(apdu)))
        while len(found) < 3:
            found += _apdus(line.exchange(line.client.listen()))
        assert found == _three(apdu), lost


def test_several_apdus_in_a_row_from_the_client():
    for window in (1, 3, 7):
        got = []

        def take(data, got=got):
            got.append(data)
            return [b"thanks"] if data == b"end" else []

        parameters = LinkParameters(32, 32, window, window)
        line = Line(parameters, parameters, take)
        line.exchange(line.client.connect())
        apdus = [bytes([at] * 70) for at in range(9)] + [b"end"]
        assert _apdus(line.exchange(line.client.send(*apdus))) == [b"thanks"]
        assert got == apdus


def test_an_apdu_that_comes_while_the_server_keeps_the_line():
    link = HdlcClientLink(CLIENT, SERVER)
    link.connect()
    link.receive(HdlcFrame(CLIENT, SERVER, UA | FINAL).to_bytes())
    link.send(b"request")
    one = HdlcFrame(CLIENT, SERVER, 1 << 5 | 0 << 1, llc.wrap(b"one", False)).to_bytes()
    two = HdlcFrame(CLIENT, SERVER, 1 << 5 | 1 << 1 | FINAL, llc.wrap(b"two", False)).to_bytes()
    assert _apdus(link.receive(one)) == [b"one"]
    assert link.state == DELIVERING
    # It has the line already: there is nothing to write, and after a silence it is polled.
    assert link.listen() == b""
    assert link.listen() == b""
    assert _split(link.on_silence())[0].kind == "RR"
    assert _apdus(link.receive(two)) == [b"two"]
    assert link.state == IDLE
    # Before the second has come, a request may go out all the same, and RR gives the line back.
    for ending, state in ((b"", DELIVERING), (HdlcFrame(CLIENT, SERVER, 1 << 5 | FINAL | 1).to_bytes(), IDLE)):
        link.connect()
        link.receive(HdlcFrame(CLIENT, SERVER, UA | FINAL).to_bytes())
        link.send(b"request")
        link.receive(one + ending)
        assert link.state == state
        assert link.send(b"another")


def test_a_server_that_has_nothing_more_is_not_asked_for_ever():
    line = Line()
    line.exchange(line.client.connect())
    line.client.listen()
    ready = HdlcFrame(CLIENT, SERVER, 0 << 5 | FINAL | 1).to_bytes()
    for _ in range(63):
        line.client.receive(ready)
    fails("no_progress", line.client.receive, ready)
    assert line.client.state == IDLE
    assert line.client.send(b"another")
