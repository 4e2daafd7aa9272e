# ruff: noqa: PT017 - what is caught is then looked at
"""Properties of every codec: what goes in comes out, and whatever comes in, only typed errors come of it."""

from __future__ import annotations

import random
import struct

from core_checks import drive
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.dlms import axdr
from edge_agent.dlms.apdu import PARSERS, parse_apdu
from edge_agent.dlms.apdu.aare import AssociationResponse
from edge_agent.dlms.apdu.aarq import AssociationRequest
from edge_agent.dlms.apdu.action_request import (
    ActionRequestBlock,
    ActionRequestNext,
    ActionRequestNormal,
    ActionRequestWithList,
)
from edge_agent.dlms.apdu.action_response import (
    ActionResponseBlock,
    ActionResponseNext,
    ActionResponseNormal,
    ActionResponseWithList,
    ActionResult,
)
from edge_agent.dlms.apdu.base import CosemAttribute, Selection
from edge_agent.dlms.apdu.confirmed_service_error import ConfirmedServiceError
from edge_agent.dlms.apdu.conformance import DEFAULT, GENERAL_BLOCK_TRANSFER
from edge_agent.dlms.apdu.exception_response import ExceptionResponse
from edge_agent.dlms.apdu.general_block_transfer import BlockReceiver, BlockSender, GeneralBlockTransfer
from edge_agent.dlms.apdu.get_request import GetRequestNext, GetRequestNormal, GetRequestWithList
from edge_agent.dlms.apdu.get_response import GetResponseBlock, GetResponseNormal, GetResponseWithList, GetResult
from edge_agent.dlms.apdu.initiate import InitiateRequest, InitiateResponse
from edge_agent.dlms.apdu.release import ReleaseRequest, ReleaseResponse
from edge_agent.dlms.apdu.set_request import (
    SetRequestBlock,
    SetRequestFirstBlock,
    SetRequestNormal,
    SetRequestWithList,
)
from edge_agent.dlms.apdu.set_response import (
    SetResponseBlock,
    SetResponseLastBlock,
    SetResponseNormal,
    SetResponseWithList,
)
from edge_agent.dlms.client import Client
from edge_agent.dlms.clock_time import ClockTime, date_from_days, days_from_epoch
from edge_agent.dlms.cosem.base import Attribute
from edge_agent.dlms.cosem.data import DataObject
from edge_agent.dlms.errors import DlmsError, ProtocolError
from edge_agent.dlms.hdlc.address import decode_address, encode_address
from edge_agent.dlms.hdlc.checksum import checksum, checksum_by_table
from edge_agent.dlms.hdlc.frame import HdlcFrame
from edge_agent.dlms.hdlc.parameters import LinkParameters
from edge_agent.dlms.hdlc.reader import FrameReader
from edge_agent.dlms.security import CipheredUnit, seal
from edge_agent.dlms.server import ServerSession
from edge_agent.dlms.units import scaled_text
from edge_agent.dlms.wrapper import WrapperUnit

u8 = st.integers(0, 255)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
octets = st.binary(max_size=300)


def _ranged(tag: int, low: int, high: int) -> st.SearchStrategy:
    return st.tuples(st.just(tag), st.integers(low, high))


def _sized(tag: int, size: int) -> st.SearchStrategy:
    return st.tuples(st.just(tag), st.binary(min_size=size, max_size=size))


leaves = st.one_of(
    st.just((axdr.NULL, None)),
    st.tuples(st.just(axdr.BOOLEAN), st.booleans()),
    st.tuples(st.just(axdr.BIT_STRING), st.text("01", max_size=40)),
    *[
        _ranged(tag, -(1 << 8 * n - 1), (1 << 8 * n - 1) - 1)
        for tag, n in ((15, 1), (16, 2), (5, 4), (20, 8), (28, 1), (29, 2), (30, 4))
    ],
    *[
        _ranged(tag, 0, (1 << 8 * n) - 1)
        for tag, n in ((17, 1), (18, 2), (6, 4), (21, 8), (22, 1), (13, 1), (31, 1), (32, 2), (33, 4))
    ],
    st.tuples(st.just(axdr.FLOAT32), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just(axdr.FLOAT64), st.floats(allow_nan=False)),
    *[st.tuples(st.just(tag), octets) for tag in (9, 10, 12)],
    _sized(25, 12),
    _sized(26, 5),
    _sized(27, 4),
)
data = st.recursive(
    leaves, lambda inner: st.tuples(st.sampled_from((1, 2)), st.lists(inner, max_size=5)), max_leaves=12
)
attributes = st.builds(CosemAttribute, u16, st.binary(min_size=6, max_size=6), st.integers(-128, 127))
selections = st.none() | st.builds(Selection, u8, data)
results = st.builds(GetResult, data) | st.builds(lambda error: GetResult(None, error), u8)
action_results = st.builds(ActionResult, u8, st.none() | results)
short = st.binary(max_size=20)
title = st.none() | st.binary(min_size=8, max_size=8)


def listed(*parts: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(st.tuples(*parts), max_size=4)


apdus = st.one_of(
    st.builds(GetRequestNormal, attributes, selections, u8),
    st.builds(GetRequestNext, u32, u8),
    st.builds(GetRequestWithList, listed(attributes, selections), u8),
    st.builds(GetResponseNormal, results, u8),
    st.builds(GetResponseBlock, st.booleans(), u32, st.none() | octets, u8, u8),
    st.builds(GetResponseWithList, st.lists(results, max_size=4), u8),
    st.builds(SetRequestNormal, attributes, data, selections, u8),
    st.builds(SetRequestFirstBlock, attributes, selections, st.booleans(), u32, octets, u8),
    st.builds(SetRequestBlock, st.booleans(), u32, octets, u8),
    st.builds(SetRequestWithList, listed(attributes, selections, data), u8),
    st.builds(SetResponseNormal, u8, u8),
    st.builds(SetResponseBlock, u32, u8),
    st.builds(SetResponseLastBlock, u8, u32, u8),
    st.builds(SetResponseWithList, st.lists(u8, max_size=5), u8),
    st.builds(ActionRequestNormal, attributes, st.none() | data, u8),
    st.builds(ActionRequestNext, u32, u8),
    st.builds(ActionRequestWithList, listed(attributes, data), u8),
    st.builds(ActionRequestBlock, st.none() | attributes, st.booleans(), u32, octets, u8),
    st.builds(ActionResponseNormal, action_results, u8),
    st.builds(ActionResponseBlock, st.booleans(), u32, octets, u8),
    st.builds(ActionResponseWithList, st.lists(action_results, max_size=4), u8),
    st.builds(ActionResponseNext, u32, u8),
    st.builds(AssociationRequest, octets, u8, st.integers(1, 7), short, title),
    st.builds(
        AssociationResponse, u8, u8, octets, u8, st.integers(0, 7), st.none() | short, title, st.sampled_from((1, 2))
    ),
    st.builds(InitiateRequest, st.integers(0, 0xFFFFFF), u16, st.none() | short, st.none() | u8, st.booleans(), u8),
    st.builds(InitiateResponse, st.integers(0, 0xFFFFFF), u16, st.none() | u8, u8, u16),
    st.builds(ReleaseRequest, st.none() | u8, octets),
    st.builds(ReleaseResponse, st.none() | u8, octets),
    st.builds(ExceptionResponse, u8, u8, st.none() | u32),
    st.builds(ConfirmedServiceError, u8, u8, u8),
)


@given(data)
def test_values(value):
    encoded = axdr.encode(value)
    assert axdr.decode_all(encoded) == value
    axdr.plain(value)


@given(apdus)
def test_apdus(apdu):
    encoded = apdu.to_bytes()
    again = parse_apdu(encoded)
    assert type(again) is type(apdu)
    assert again.to_bytes() == encoded
    assert again == apdu
    assert hash(again) == hash(apdu)


@given(apdus, st.data())
def test_damaged_apdus(apdu, draws):
    encoded = bytearray(apdu.to_bytes())
    for _ in range(draws.draw(st.integers(1, 4))):
        encoded[draws.draw(st.integers(0, len(encoded) - 1))] = draws.draw(u8)
    cut = draws.draw(st.integers(0, len(encoded)))
    try:
        parse_apdu(bytes(encoded[:cut]))
    except DlmsError as error:
        assert error.code
        assert error.offset is not None


@given(st.sampled_from(sorted(PARSERS)), st.binary(max_size=200))
def test_bytes_of_any_kind_as_apdus(tag, rest):
    try:
        parse_apdu(bytes((tag,)) + rest)
    except DlmsError as error:
        assert error.offset is not None


@given(st.binary(max_size=400))
def test_bytes_of_any_kind_as_values(raw):
    try:
        value, end = axdr.decode(raw)
    except DlmsError as error:
        assert 0 <= error.offset <= len(raw)
    else:
        assert 0 < end <= len(raw)
        if value[0] != axdr.BOOLEAN:
            axdr.encode(value)


@given(st.binary(min_size=1, max_size=60))
def test_bytes_of_any_kind_as_compact_arrays(raw):
    try:
        axdr.decode(b"\x13" + raw)
    except DlmsError as error:
        assert error.offset is not None


addresses = st.one_of(
    st.tuples(st.integers(0, 127), st.none(), st.just(1)),
    st.tuples(st.integers(0, 127), st.integers(0, 127), st.just(2)),
    st.tuples(st.integers(0, 0x3FFF), st.integers(0, 0x3FFF), st.just(4)),
)


@given(addresses, addresses, u8, st.binary(max_size=2000), st.booleans())
def test_frames(destination, source, control, information, segmented):
    frame = HdlcFrame(encode_address(*destination), encode_address(*source), control, information, segmented)
    encoded = frame.to_bytes()
    again = HdlcFrame.from_bytes(encoded)
    assert again == frame
    assert decode_address(again.destination) == destination[:2]
    assert decode_address(again.source) == source[:2]


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40), st.builds(HdlcFrame, st.just(b"\x03"), st.just(b"\x21"), u8, st.binary(max_size=60))
        ),
        max_size=6,
    ),
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
)
def test_frames_in_noise_in_pieces(parts, sizes):
    stream = b"".join([part.to_bytes() if isinstance(part, HdlcFrame) else part for part in parts])
    reader = FrameReader()
    found = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += reader.receive(stream[at : at + size])
        at += size
        turn += 1
    found += reader.flush()
    assert not reader.pending
    frames = [item for item in found if isinstance(item, HdlcFrame)]
    for part in parts:
        if isinstance(part, HdlcFrame):
            assert part in frames


@given(octets)
def test_check_values(raw):
    assert checksum(raw) == checksum_by_table(raw)


@given(st.integers(8, 2030), st.integers(8, 2030), st.integers(1, 7), st.integers(1, 7))
def test_link_parameters(transmit, receive, window_transmit, window_receive):
    parameters = LinkParameters(transmit, receive, window_transmit, window_receive)
    assert LinkParameters.from_bytes(parameters.to_bytes()) == parameters


@given(st.binary(max_size=40))
def test_bytes_of_any_kind_as_link_parameters(raw):
    try:
        LinkParameters.from_bytes(b"\x81\x80" + raw)
    except DlmsError as error:
        assert error.code == "bad_parameters"


@given(st.integers(0, 4_000_000_000), st.none() | st.integers(-840, 840), st.sampled_from((0, 1, 0x80, 0xFF)))
def test_times(unix, deviation, status):
    time = ClockTime.from_unix(unix, deviation, status)
    again = ClockTime.from_bytes(time.to_bytes())
    assert again == time
    assert again.unix() == (None if deviation is None else unix)
    if deviation is not None:
        from datetime import datetime

        assert datetime.fromisoformat(again.iso()).timestamp() == unix


@given(st.binary(min_size=12, max_size=12))
def test_bytes_of_any_kind_as_times(raw):
    try:
        time = ClockTime.from_bytes(raw)
    except DlmsError as error:
        assert error.code == "bad_time"
    else:
        time.iso()
        time.unix()


@given(st.integers(-700_000, 3_000_000))
def test_days(days):
    if days >= 0:
        assert days_from_epoch(*date_from_days(days)) == days


@given(st.integers(-(2**64), 2**64), st.integers(-20, 20))
def test_scaling(value, scaler):
    from decimal import Decimal, localcontext

    with localcontext() as context:
        context.prec = 80
        text = scaled_text(value, scaler)
        assert Decimal(text) == Decimal(value).scaleb(scaler)
        assert "e" not in text.lower()


@given(u16, u16, octets)
def test_wrapper_units(source, destination, apdu):
    unit = WrapperUnit(source, destination, apdu)
    assert WrapperUnit.from_bytes(unit.to_bytes()) == unit


@given(st.sampled_from((0xC8, 0xDB, 0xD4)), st.sampled_from((0x10, 0x20, 0x30)), u32, octets)
def test_ciphered_units(tag, control, counter, apdu):
    unit = seal(tag, b"12345678", control, counter, apdu, bytes(16), bytes(range(16)))
    again = CipheredUnit.from_bytes(unit.to_bytes())
    assert again.open(b"12345678", bytes(16), bytes(range(16))) == apdu


@given(st.binary(max_size=120))
def test_bytes_of_any_kind_as_ciphered_units(raw):
    for tag in (0xC8, 0xDB):
        try:
            CipheredUnit.from_bytes(bytes((tag,)) + raw).open(b"12345678", bytes(16), bytes(16))
        except DlmsError as error:
            assert error.code


@given(st.lists(st.one_of(apdus.map(lambda apdu: apdu.to_bytes()), st.binary(max_size=60)), max_size=6))
@settings(max_examples=60)
def test_a_server_answers_whatever_comes(requests):
    server = ServerSession([])
    drive(Client().associate(), server.handle)
    for request in requests:
        for answer in server.handle(request):
            parse_apdu(answer)


@given(st.lists(st.one_of(apdus.map(lambda apdu: apdu.to_bytes()), st.binary(max_size=60)), max_size=8))
@settings(max_examples=60)
def test_a_client_survives_whatever_answers(answers):
    attribute = CosemAttribute(7, bytes(6), 2)
    for associated in (False, True):
        client = Client()
        if associated:
            drive(client.associate(), ServerSession([]).handle)
        conversation = client.get(attribute) if associated else client.associate()
        try:
            next(conversation)
            for answer in answers:
                conversation.send(answer)
        except (DlmsError, StopIteration):
            pass
        finally:
            conversation.close()


@given(
    st.binary(min_size=1, max_size=400),
    st.integers(1, 60),
    st.integers(1, 63),
    st.integers(1, 9),
    st.integers(0, 1 << 32),
)
def test_an_apdu_comes_whole_over_any_way_that_loses_doubles_and_disorders_its_blocks(apdu, size, window, first, seed):
    chance = random.Random(seed)  # noqa: S311 - a test
    sender, receiver = BlockSender(apdu, size, window, first), BlockReceiver(window, first)
    for turn in range(10_000):
        arrived = [block for block in sender.stream(receiver.due - 1, receiver.wanted(), 0) if chance.random() > 0.3]
        arrived += [block for block in arrived if chance.random() < 0.2]
        if turn % 2:
            chance.shuffle(arrived)
        for block in arrived:
            whole = receiver.add(GeneralBlockTransfer.from_bytes(block))
            if whole is not None:
                assert whole == apdu
                return
        assert 1 <= receiver.wanted() <= window
    raise AssertionError("the APDU never came")


@given(
    st.lists(
        st.builds(
            GeneralBlockTransfer,
            st.booleans(),
            st.integers(0, 90),
            st.integers(0, 90),
            st.binary(max_size=20),
            st.booleans(),
            st.integers(0, 63),
        ),
        max_size=40,
    )
)
def test_whatever_blocks_come_only_those_in_order_are_put_together(blocks):
    """Against the plainest model: of each number the first that came within the window, joined up to the last."""
    receiver, due, held = BlockReceiver(63), 1, {}
    expected = b""
    for block in blocks:
        try:
            whole = receiver.add(block)
        except ProtocolError as error:
            assert error.code == "transfer_aborted"
            return
        if block.block_number == due or (due < block.block_number <= due + 63 and block.block_number not in held):
            held[block.block_number] = block
        ended = False
        while due in held and not ended:
            found = held.pop(due)
            expected += found.raw
            due += 1
            ended = found.last and found.raw != b""
        assert (whole is not None) == ended
        if ended:
            assert whole == expected
            return
        assert receiver.due == due


class _Writable(DataObject):
    """A value that a client may write, and a method that gives back what it got."""

    ATTRIBUTES = (Attribute(2, "value", DataObject.ATTRIBUTES[0].codec, True),)
    METHODS = ((1, "echo"),)


@given(
    st.binary(max_size=600),
    st.integers(64, 300),
    st.integers(1, 63),
    st.integers(1, 63),
    st.booleans(),
)
@settings(max_examples=60)
def test_long_requests_and_answers_go_both_ways_in_any_window(text, size, ours, theirs, acting):
    note = _Writable("0-0:96.13.0.255", value=(9, b""))
    note.methods["echo"] = lambda parameters: parameters
    offered = DEFAULT | GENERAL_BLOCK_TRANSFER
    client, server = (
        Client(conformance=offered, window=ours),
        ServerSession([note], conformance=offered, max_pdu=size, window=theirs),
    )
    drive(client.associate(), server.handle)
    if acting:
        assert drive(client.action(note.method("echo"), (9, text)), server.handle) == (9, text)
    else:
        drive(client.set(note.attribute("value"), (9, text)), server.handle)
        assert drive(client.get(note.attribute("value")), server.handle) == (9, text)


def test_structs_agree_with_the_table_of_types():
    for tag, (code, size) in axdr._FIXED.items():
        assert struct.calcsize(code) == size, tag


scaled_items = st.builds(
    lambda code, number, scaler, unit: (
        axdr.STRUCTURE,
        [(axdr.OCTET_STRING, code), number, (axdr.STRUCTURE, [(axdr.INT8, scaler), (axdr.ENUM, unit)])],
    ),
    st.binary(min_size=6, max_size=6),
    st.sampled_from([axdr.INT16, axdr.UINT16, axdr.INT32, axdr.UINT32, axdr.INT64, axdr.UINT64, axdr.INT8]).flatmap(
        lambda tag: st.tuples(st.just(tag), st.integers(0, 100))
    ),
    st.integers(-128, 127),
    u8,
)


def _decoded(data: bytes) -> str:
    try:
        return repr(axdr.decode(data))
    except DlmsError as error:
        return repr(error)


@given(st.lists(scaled_items | leaves, min_size=1, max_size=8), st.data())
def test_what_telegrams_hold_most_is_decoded_like_anything_else(items: list[axdr.Data], data: st.DataObject) -> None:
    """{code, number, {scaler, unit}} has a shortcut: with it and without the same comes out, also of damaged bytes."""
    encoded = bytearray(axdr.encode((axdr.STRUCTURE, items)))
    if data.draw(st.booleans()):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(u8)
    whole = bytes(encoded[: data.draw(st.integers(len(encoded) // 2, len(encoded)))])
    quick = _decoded(whole)
    shortcuts, axdr._SCALED = axdr._SCALED, {}
    try:
        assert _decoded(whole) == quick
    finally:
        axdr._SCALED = shortcuts
