"""General-block-transfer: streams in windows, both ways, and blocks that are lost, doubled, late, or never the last."""

from core_checks import drive, fails, sole

from edge_agent.dlms import axdr
from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.apdu.conformance import DEFAULT, GENERAL_BLOCK_TRANSFER
from edge_agent.dlms.apdu.exception_response import ExceptionResponse
from edge_agent.dlms.apdu.general_block_transfer import (
    MAX_APDU,
    BlockReceiver,
    BlockSender,
    GeneralBlockTransfer,
)
from edge_agent.dlms.client import ASSOCIATED, Client
from edge_agent.dlms.cosem.data import DataObject
from edge_agent.dlms.security import AUTHENTICATED, ENCRYPTED, Security
from edge_agent.dlms.server import ServerSession

OFFERED = DEFAULT | GENERAL_BLOCK_TRANSFER
TEXT = bytes([at % 251 for at in range(3000)])


class _Note(DataObject):
    """A data object that a client may write, and a method that gives back what it got."""

    ATTRIBUTES = (type(DataObject.ATTRIBUTES[0])(2, "value", DataObject.ATTRIBUTES[0].codec, True),)
    METHODS = ((1, "echo"),)


def _note():
    note = _Note("0-0:96.13.0.255", value=(axdr.OCTET_STRING, TEXT))
    note.methods["echo"] = lambda parameters: parameters
    return note


NOTE = _note()
VALUE = NOTE.attribute("value")
ECHO = NOTE.method("echo")


def _counter(start):
    state = [start]

    def following():
        state[0] += 1
        return state[0]

    return following


def _security(title, start, challenge, **options):
    return Security(
        system_title=title,
        key=bytes(range(16)),
        authentication_key=bytes(range(16, 32)),
        next_counter=_counter(start),
        challenge=challenge,
        control=AUTHENTICATED | ENCRYPTED,
        **options,
    )


def _opened(window=1, size=200, offered=3, security=None, received=None, proposed=OFFERED):
    """An associated client and its server; size: of an APDU both ways."""
    ours = theirs = None
    if security is not None:
        ours = _security(b"CLIENT01", 100, b"c" * 16, **security)
        theirs = _security(b"METER001", 500, b"s" * 16)
    server = ServerSession([_note()], security=theirs, conformance=OFFERED, max_pdu=size, window=offered)
    client = Client(security=ours, conformance=proposed, window=window, received=received)
    drive(client.associate(), server.handle)
    assert client.state == ASSOCIATED
    return client, server


def _blocks(apdus):
    return [GeneralBlockTransfer.from_bytes(apdu) for apdu in apdus]


def test_answers_in_streams_of_every_window():
    for window in (1, 2, 3, 63):
        for offered in (1, 3, 63):
            for size in (64, 200, 1024):
                client, server = _opened(window, size, offered)
                streams = []

                def answer(apdu, server=server, streams=streams):
                    streams.append(server.handle(apdu))
                    return streams[-1]

                assert drive(client.get(VALUE), answer) == (axdr.OCTET_STRING, TEXT)
                # The client's window is known from its first acknowledgement on.
                lengths = [len(stream) for stream in streams]
                assert lengths[0] == 1
                assert set(lengths[1:-1]) <= {min(window, offered)}
                blocks = [block for stream in streams for block in _blocks(stream)]
                assert [block.block_number for block in blocks] == list(range(1, len(blocks) + 1))
                assert [block.last for block in blocks] == [False] * (len(blocks) - 1) + [True]
                assert all(len(apdu) <= size for stream in streams for apdu in stream)
                for number, stream in enumerate(streams):
                    row = _blocks(stream)
                    assert [block.streaming for block in row] == [True] * (len(row) - 1) + [False]
                    assert {block.acknowledged for block in row} == {number}


def test_requests_in_streams_of_every_window():
    for offered in (1, 2, 3, 63):
        for size in (64, 200, 1024):
            client, server = _opened(2, size, offered)
            streams = []

            def answer(apdu, server=server, streams=streams):
                streams.append(GeneralBlockTransfer.from_bytes(apdu))
                return server.handle(apdu)

            text = bytes(reversed(TEXT))
            drive(client.set(VALUE, (axdr.OCTET_STRING, text)), answer)
            assert server.objects[NOTE.name].values["value"] == (axdr.OCTET_STRING, text)
            turns = [block for block in streams if not block.streaming]
            sent = [block for block in streams if block.raw]
            assert [block.block_number for block in sent] == list(range(1, len(sent) + 1))
            # One alone, then as many in a row as the meter takes.
            assert len(turns) == 1 + -(-(len(sent) - 1) // offered)
            assert drive(client.action(ECHO, (axdr.OCTET_STRING, TEXT)), server.handle) == (axdr.OCTET_STRING, TEXT)
            assert drive(client.get(VALUE), server.handle) == (axdr.OCTET_STRING, text)


def test_ciphered_apdus_go_in_blocks_whole():
    for options in ({}, {"general": True}, {"dedicated_key": bytes(range(32, 48))}):
        seen = []
        client, server = _opened(3, 200, 3, options, seen.append)
        assert drive(client.get(VALUE), server.handle) == (axdr.OCTET_STRING, TEXT)
        assert drive(client.action(ECHO, (axdr.OCTET_STRING, TEXT)), server.handle) == (axdr.OCTET_STRING, TEXT)
        blocks = [apdu for apdu in seen if apdu[0] == 0xE0]
        assert len(blocks) > 30
        # Within the blocks is one ciphered APDU: its tag stands in the first block alone.
        first = GeneralBlockTransfer.from_bytes(blocks[0]).raw
        assert first[0] in (0xCC, 0xDB, 0xD4)
        # A damaged block fails the whole APDU's tag of authentication.
        conversation = client.get(VALUE)

        def damage(apdu, server=server):
            out = []
            for item in server.handle(apdu):
                out.append(item[:-1] + bytes((item[-1] ^ 1,)))
            return out

        fails("wrong_key", drive, conversation, damage)


def test_the_meter_takes_the_way_that_was_agreed():
    for proposed, tag in ((OFFERED, 0xE0), (DEFAULT, 0xC4)):
        seen = []
        client, server = _opened(3, 200, 3, None, seen.append, proposed)
        assert drive(client.get(VALUE), server.handle) == (axdr.OCTET_STRING, TEXT)
        assert seen[1][0] == tag
        drive(client.set(VALUE, (axdr.OCTET_STRING, b"short")), server.handle)
        drive(client.set(VALUE, (axdr.OCTET_STRING, TEXT)), server.handle)
        # The last answer is handed on twice where it came in blocks: as it came, and put together.
        assert [apdu[0] for apdu in seen[-2:]] == ([0xE0, 0xC5] if proposed == OFFERED else [0xC5, 0xC5])
    # Where blocks were not agreed they are refused.
    assert sole(server.handle(GeneralBlockTransfer(True, 1, 0, b"\xc0").to_bytes())).hex() == "d80202"


class _Way:
    """What the meter sends on its way: `meet` gets each block's number, counted over all that were sent, and the
    block, and gives those that arrive."""

    def __init__(self, server, meet):
        self.server = server
        self.meet = meet
        self.sent = 0
        self.asked = []

    def __call__(self, apdu):
        if apdu[:1] == b"\xe0":
            self.asked.append(GeneralBlockTransfer.from_bytes(apdu))
        out = []
        for item in self.server.handle(apdu) if apdu else []:
            if item[0] == 0xE0:
                self.sent += 1
                out += self.meet(self.sent, item)
            else:
                out.append(item)
        return out


def test_every_lost_block_is_asked_for_and_comes_again():
    for window in (1, 3, 63):
        for lost in range(2, 19):
            client, server = _opened(window, 200, 63)
            way = _Way(server, lambda number, item, lost=lost: [] if number == lost else [item])
            conversation = client.get(VALUE)
            if window == 1 or lost % window == 1 or lost == 18:
                # With the end of the stream the turn is lost too: whoever drives has waited, and the line is told so.
                found = _with_silence(conversation, way)
            else:
                found = drive(conversation, way)
            assert found == (axdr.OCTET_STRING, TEXT), (window, lost)
            if window == 63 and lost < 16:
                again = way.asked[1]
                assert (again.acknowledged, again.window) == (lost - 1, 1)


def _with_silence(conversation, way):
    """As `drive`; where nothing comes to an acknowledgement it is sent again, as a line does that repeats itself."""
    waiting = []
    try:
        step = next(conversation)
        while True:
            if step:
                waiting = way(step)
                while not waiting:
                    waiting = way(step)
            step = conversation.send(waiting.pop(0) if waiting else b"")
    except StopIteration as end:
        return end.value


def test_doubled_late_and_disordered_blocks():
    held = []

    def doubled(_number, item):
        return [item, item]

    def swapped(number, item):
        if number % 5 == 3:
            held.append(item)
            return []
        return [item] + [held.pop() for _ in range(len(held))]

    def backwards(number, item):
        block = GeneralBlockTransfer.from_bytes(item)
        if block.streaming:
            held.append(item)
            return []
        return [held.pop() for _ in range(len(held))] + [item]

    disorder = {"block_out_of_order", "missing_block", "doubled_block"}  # one held beyond its stream is missing
    for meet, names in ((doubled, {"doubled_block"}), (swapped, disorder), (backwards, {"block_out_of_order"})):
        for window in (3, 8, 63):
            client, server = _opened(window, 200, 63)
            noted = set()
            client.noted = noted.add
            assert _with_silence(client.get(VALUE), _Way(server, meet)) == (axdr.OCTET_STRING, TEXT), (meet, window)
            assert not held
            assert noted <= names
            assert noted & {"block_out_of_order", "doubled_block"}
            noted.clear()
            assert _with_silence(client.get(VALUE), _Way(server, lambda _number, item: [item]))[1] == TEXT
            assert not noted


def test_a_lost_block_is_named_and_nothing_else():
    for window in (2, 4, 63):
        for lost in range(2, 9):

            def once(number, item, gone=[]):  # noqa: B006
                if number == lost and number not in gone:  # noqa: B023
                    gone.append(number)
                    return []
                return [item]

            client, server = _opened(window, 200, 63)
            noted = []
            client.noted = noted.append
            assert _with_silence(client.get(VALUE), _Way(server, once))[1] == TEXT
            assert noted[:1] == ["missing_block"], (window, lost, noted)
            assert "block_out_of_order" not in noted


def test_lost_and_doubled_blocks_of_a_request():
    for lost in range(1, 19):
        for times in (0, 2):
            client, server = _opened(1, 200, 4)
            sent = []

            def answer(apdu, server=server, sent=sent, lost=lost, times=times):
                sent.append(apdu)
                out = []
                for _ in range(times if len(sent) == lost else 1):
                    out = server.handle(apdu) or out
                return out

            text = bytes(reversed(TEXT))
            _repeating(client.set(VALUE, (axdr.OCTET_STRING, text)), answer)
            assert server.objects[NOTE.name].values["value"] == (axdr.OCTET_STRING, text), (lost, times)


def _repeating(conversation, answer):
    """As `drive`; a row of blocks to which nothing comes goes out again, as over UDP."""
    waiting = []
    try:
        step = next(conversation)
        while True:
            while not waiting:
                for apdu in [step] if isinstance(step, bytes) else step:
                    waiting += answer(apdu)
            step = conversation.send(waiting.pop(0))
            waiting = []
    except StopIteration as end:
        return end.value


def test_a_repeated_request_is_carried_out_once():
    client, server = _opened(1, 200, 63, {})
    calls = []
    server.objects[NOTE.name].methods["echo"] = lambda parameters: calls.append(1)
    conversation = client.action(ECHO, (axdr.OCTET_STRING, TEXT))
    first = next(conversation)
    rest = conversation.send(sole(server.handle(first)))
    answers = [answer for apdu in rest for answer in server.handle(apdu)]
    again = [answer for apdu in rest for answer in server.handle(apdu)]
    assert calls == [1]
    assert answers
    assert set(again) == set(answers)
    conversation.close()
    # The next request begins with block 1 again, and is a new one.
    assert drive(client.action(ECHO, (axdr.OCTET_STRING, TEXT)), server.handle) is None
    assert calls == [1, 1]


def test_the_same_request_twice_is_two_requests():
    _, server = _opened(1, 200, 63)
    calls = []
    server.objects[NOTE.name].methods["echo"] = lambda parameters: calls.append(1)
    raw = b"\xc3\x01\xc1" + ECHO.to_bytes() + b"\x01" + axdr.encode((axdr.OCTET_STRING, bytes(150)))
    blocks = BlockSender(raw, 100, 1).stream(0, 63, 0)
    for turn in (1, 2, 3):
        answers = [answer for block in blocks for answer in server.handle(block)]
        assert [block.raw.hex() for block in _blocks(answers)] == ["c701c10000"]
        assert len(calls) == turn
    # A first block that comes twice before the rest is one.
    for block in blocks[:1] + blocks:
        server.handle(block)
    assert len(calls) == 4


def test_a_meter_that_does_not_count_what_only_acknowledges():
    client, server = _opened(1, 200, 63)

    def answer(apdu):
        out = []
        for block in _blocks(server.handle(apdu)):
            block.block_number = 1
            out.append(block.to_bytes())
        return out

    drive(client.set(VALUE, (axdr.OCTET_STRING, TEXT)), answer)


def test_a_transfer_that_the_meter_breaks_off():
    aborted = GeneralBlockTransfer(True, 3, 1, b"").to_bytes()
    refused = ExceptionResponse(1, 3).to_bytes()
    other = bytes.fromhex("c401410011")
    for given, code in (
        (aborted, "transfer_aborted"),
        (refused, "exception_other_reason"),
        (other, "unexpected_apdu"),
        (b"\xe0\x01\x00", "cut_short"),
    ):
        client, server = _opened(3, 200, 3)
        state = [0]

        def answer(apdu, server=server, state=state, given=given):
            state[0] += 1
            out = server.handle(apdu) if apdu else []
            return ([out[0], given] if out else [given]) if state[0] == 2 else out

        fails(code, drive, client.get(VALUE), answer)
        # The next request is answered as if nothing had been.
        assert drive(client.get(VALUE), server.handle) == (axdr.OCTET_STRING, TEXT)


def test_a_stream_that_never_ends_is_bounded():
    for raw, code in ((bytes(1000), "too_long"), (b"x", "missing_segment")):
        client, _ = _opened(63)
        state = [0]

        def endless(apdu, state=state, raw=raw):
            state[0] = state[0] % 0xFFFF + 1
            return GeneralBlockTransfer(False, state[0], 0, raw, True, 63).to_bytes()

        fails(code, drive, client.get(VALUE), endless)
        # Small ones come round to number 1 again, and are none that are due.
        assert state[0] == (MAX_APDU // 1000 + 1 if code == "too_long" else 1 + 128)
    # Blocks that bring nothing on, and silence.
    for stuck in (GeneralBlockTransfer(False, 9, 0, b"x", True).to_bytes(), GeneralBlockTransfer(False, 1, 0, b"x")):
        client, _ = _opened(3)
        item = stuck if isinstance(stuck, bytes) else stuck.to_bytes()
        fails("missing_segment", drive, client.get(VALUE), lambda apdu, item=item: item)
    client, _ = _opened(3)
    streaming = GeneralBlockTransfer(False, 1, 0, b"x", True).to_bytes()
    fails("missing_segment", drive, client.get(VALUE), lambda apdu: [streaming] if apdu else [])


def test_a_server_bounds_what_it_is_sent():
    client, server = _opened(1, 200, 63)
    assert client.state == ASSOCIATED
    for disorder in (False, True):
        # In order, and from the far end of the widest window backwards.
        answers = []
        for number in range(63, 1, -1) if disorder else range(1, 64):
            answers += server.handle(GeneralBlockTransfer(False, number, 0, bytes(20000), True).to_bytes())
            if answers:
                break
        assert [answer.hex() for answer in answers] == ["d80104"], disorder
        assert number == (63 - MAX_APDU // 20000 if disorder else MAX_APDU // 20000 + 1)
    assert drive(client.get(VALUE), server.handle) == (axdr.OCTET_STRING, TEXT)
    # Blocks within blocks, and an association in blocks, are no request.
    for inner in (b"\xe0\x80", b"\x60\x00", b"\x62\x00"):
        assert sole(server.handle(GeneralBlockTransfer(True, 1, 0, inner).to_bytes())).hex() == "d80101"
    assert sole(server.handle(b"\xe0\x80\x00")).hex() == "d80101"


def test_acknowledgements_of_what_was_never_sent():
    client, server = _opened(3, 200, 3)
    # Nothing is under way.
    assert sole(server.handle(bytes.fromhex("e0830001000000"))).hex() == "d80101"
    first = GeneralBlockTransfer.from_bytes(sole(server.handle(next(client.get(VALUE)))))
    assert (first.block_number, first.acknowledged, first.streaming, first.window) == (1, 0, False, 3)
    assert sole(server.handle(bytes.fromhex("e0830001ffff00"))).hex() == "d80101"
    # The transfer goes on all the same; and from an earlier block too.
    stream = server.handle(bytes.fromhex("e0830001000100"))
    assert [block.block_number for block in _blocks(stream)] == [2, 3, 4]
    assert server.handle(bytes.fromhex("e0830002000100"))[0][4:] == b"\x00\x02" + stream[0][6:]
    assert [block.block_number for block in _blocks(server.handle(bytes.fromhex("e0810003000000")))] == [1]
    # Window 0 counts as 1; all that there is, acknowledged, needs no answer.
    assert len(server.handle(bytes.fromhex("e0800004000100"))) == 1
    final = 1
    for number in range(5, 40):
        stream = _blocks(server.handle(GeneralBlockTransfer(True, number, final, b"", window=3).to_bytes()))
        if not stream:
            break
        final = stream[-1].block_number
    assert final == 16
    # Outside an association blocks are refused.
    server.reset()
    assert sole(server.handle(GeneralBlockTransfer(True, 1, 0, b"\xc0").to_bytes())).hex() == "d80101"


def test_a_request_whose_first_block_is_lost():
    client, server = _opened(1, 200, 4)
    raw = b"\xc0\x01\x41" + VALUE.to_bytes() + b"\x00"
    acknowledged = _blocks(server.handle(GeneralBlockTransfer(True, 2, 0, raw[5:]).to_bytes()))
    assert [(block.raw, block.acknowledged, block.window) for block in acknowledged] == [(b"", 0, 1)]
    assert server.handle(GeneralBlockTransfer(False, 1, 0, raw[:5], True).to_bytes())
    assert client.state == ASSOCIATED


def test_a_meter_that_never_takes_a_block_of_the_request():
    client, _ = _opened(1, 200, 4)
    never = GeneralBlockTransfer(False, 1, 0, b"").to_bytes()
    fails("missing_block", drive, client.set(VALUE, (axdr.OCTET_STRING, TEXT)), lambda apdu: never)
    client, _ = _opened(1, 200, 4)
    beyond = GeneralBlockTransfer(False, 1, 99, b"").to_bytes()
    fails("missing_block", drive, client.set(VALUE, (axdr.OCTET_STRING, TEXT)), lambda apdu: beyond)


def test_blocks_put_together_in_any_order():
    sender = BlockSender(TEXT, 100, 8, 4)
    assert (sender.first, sender.final, sender.count) == (4, 33, 30)
    blocks = _blocks(sender.stream(3, 63, 7))
    receiver = BlockReceiver(8, 4)
    for block in reversed(blocks[1:]):
        assert receiver.add(block) is None
        assert receiver.due == 4
    assert receiver.wanted() == 1
    assert receiver.add(blocks[0]) == TEXT
    fails("missing_block", sender.stream, 2, 1, 0)
    fails("missing_block", sender.stream, 34, 1, 0)
    fails("too_long", BlockSender, bytes(1 << 17), 1)
    assert repr(CosemAttribute(1, NOTE.name, 2)) == repr(VALUE)
