"""The client's conversations against the server's session: association, GET, SET, ACTION, with and without blocks."""

from core_checks import drive, fails, sole

from edge_agent.dlms import axdr
from edge_agent.dlms.apdu import parse_apdu
from edge_agent.dlms.apdu.aare import AssociationResponse
from edge_agent.dlms.apdu.base import CosemAttribute, Selection
from edge_agent.dlms.apdu.conformance import BLOCK_GET, DEFAULT, MULTIPLE_REFERENCES
from edge_agent.dlms.apdu.get_response import GetResponseBlock, GetResponseNormal, GetResult
from edge_agent.dlms.apdu.initiate import InitiateResponse
from edge_agent.dlms.client import ASSOCIATED, CLOSED, Client
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.cosem.association_ln import AssociationLn
from edge_agent.dlms.cosem.clock import Clock
from edge_agent.dlms.cosem.data import DataObject
from edge_agent.dlms.cosem.profile_generic import ProfileGeneric
from edge_agent.dlms.cosem.register import Register
from edge_agent.dlms.cosem.types import CaptureObject
from edge_agent.dlms.server import CLOSED as SERVER_CLOSED
from edge_agent.dlms.server import ServerSession

NOON = 1780315200  # 2026-06-01 12:00 UTC
COLUMNS = [CaptureObject(8, "0-0:1.0.0.255", 2), CaptureObject(3, "1-0:1.8.0.255", 2)]


class _Note(DataObject):
    """A data object that a client may write, and a method that gives back what it got."""

    ATTRIBUTES = (type(DataObject.ATTRIBUTES[0])(2, "value", DataObject.ATTRIBUTES[0].codec, True),)
    METHODS = ((1, "echo"),)


def _objects():
    rows = [
        [(axdr.OCTET_STRING, ClockTime.from_unix(NOON + 900 * at, -120).to_bytes()), (axdr.UINT32, 1000 + at)]
        for at in range(96)
    ]
    note = _Note("0-0:96.13.0.255", value=(axdr.OCTET_STRING, b""))
    note.methods["echo"] = lambda parameters: parameters
    objects = [
        DataObject("0-0:42.0.0.255", value=(axdr.OCTET_STRING, b"ABC0000000000001")),
        Clock("0-0:1.0.0.255", time=ClockTime.from_unix(NOON, -120), time_zone=-120),
        Register("1-0:1.8.0.255", value=(axdr.UINT32, 12345), scaler_unit=(-1, 30)),
        ProfileGeneric("1-0:99.1.0.255", buffer=rows, capture_objects=COLUMNS, capture_period=900),
        note,
    ]
    association = AssociationLn("0-0:40.0.0.255", object_list=lambda: [item.listed() for item in objects[:5]])
    objects.append(association)
    return objects


def _pair(**options):
    client_options = {
        name: options.pop(name) for name in ("password", "conformance", "client_max_pdu") if name in options
    }
    client_options["max_pdu"] = client_options.pop("client_max_pdu", 0xFFFF)
    server = ServerSession(_objects(), **options)
    return Client(**client_options), server


def _opened(**options):
    client, server = _pair(**options)
    drive(client.associate(), server.handle)
    return client, server


def _get(client, server, item, name, selection=None):
    return item.decode(name, drive(client.get(item.attribute(name), selection), server.handle))


def test_without_authentication():
    client, server = _opened()
    assert client.state == ASSOCIATED
    assert client.conformance == DEFAULT
    assert client.server_max_pdu == 1024
    assert _get(client, server, Clock("0-0:1.0.0.255"), "time").iso() == "2026-06-01T14:00:00+02:00"
    drive(client.release(), server.handle)
    assert (client.state, server.state) == (CLOSED, SERVER_CLOSED)


def test_a_password():
    client, server = _pair(password=b"secret")
    server.password = b"secret"
    drive(client.associate(), server.handle)
    assert client.state == ASSOCIATED


def test_every_refusal_of_an_association_has_its_own_code():
    for given, wanted, code in (
        (b"wrong", b"secret", "wrong_password"),
        (None, b"secret", "authentication_required"),
        (b"secret", None, "mechanism_not_supported"),
    ):
        client, server = _pair(password=given)
        server.password = wanted
        error = fails(code, drive, client.associate(), server.handle)
        assert error.result == 1
        assert client.state == CLOSED
        assert server.state == SERVER_CLOSED


def test_other_answers_to_an_association_request():
    for answer, code in (
        ("d80101", "exception_operation_not_possible"),
        ("0e010600", "service_error_initiate_other"),
        ("c401c10104", "unexpected_apdu"),
        ("00", "bad_association_answer"),
        (AssociationResponse(1, 2).to_bytes().hex(), "context_not_supported"),
        (AssociationResponse(2, 1).to_bytes().hex(), "association_rejected"),
        (AssociationResponse(1, 2, diagnostic_source=2).to_bytes().hex(), "association_rejected"),
        (
            AssociationResponse(0, 0, b"\x0e\x01\x06\x01").to_bytes().hex(),
            "service_error_initiate_dlms_version_too_low",
        ),
    ):
        client = Client()
        fails(code, drive, client.associate(), lambda apdu, answer=answer: bytes.fromhex(answer))
        assert client.state == CLOSED


def test_a_meter_that_is_read_by_short_names_is_named():
    """PAFAL 16EC3 (u9n/dlms-cosem #50)."""
    granted = InitiateResponse(DEFAULT, 0xFFFF, vaa_name=0xFA00).to_bytes()
    for answer in (AssociationResponse(0, 0, granted), AssociationResponse(1, 2, b"", 2)):
        client = Client()
        error = fails("context_not_supported", drive, client.associate(), lambda apdu, answer=answer: answer.to_bytes())
        assert "short names" in error.message
        assert client.state == CLOSED


def test_object_list():
    client, server = _opened()
    objects = _get(client, server, AssociationLn("0-0:40.0.0.255"), "object_list")
    assert [(item.class_id, item.obis) for item in objects][:3] == [
        (1, "0-0:42.0.0.255"),
        (8, "0-0:1.0.0.255"),
        (3, "1-0:1.8.0.255"),
    ]
    assert objects[1].access[2] == 3
    assert objects[2].access == {1: 1, 2: 1, 3: 1}


def test_a_profile_in_blocks_of_every_size():
    profile = ProfileGeneric("1-0:99.1.0.255")
    whole = None
    for size in (64, 100, 333, 1024, 65535):
        client, server = _opened(max_pdu=size)
        rows = _get(client, server, profile, "buffer")
        whole = whole or rows
        assert rows == whole
        assert len(rows[1]) == 96
        client, server = _opened(client_max_pdu=size, max_pdu=65535)
        assert _get(client, server, profile, "buffer") == whole


def test_a_profile_by_range_and_by_entry():
    client, server = _opened()
    profile = ProfileGeneric("1-0:99.1.0.255")
    restricting = (8, Clock("0-0:1.0.0.255").name, 2, 0)

    def values(selection):
        return [row[1][-1][1] for row in _get(client, server, profile, "buffer", selection)[1]]

    def time(at, deviation):
        shown = ClockTime.from_unix(NOON + 900 * at, deviation or 0)
        if deviation is None:
            shown = ClockTime.from_unix(NOON + 900 * at, -120)
            shown.deviation = None
        return (axdr.OCTET_STRING, shown.to_bytes())

    assert values(Selection.by_range(restricting, time(3, -120), time(5, -120))) == [1003, 1004, 1005]
    assert values(Selection.by_range(restricting, time(3, 0), time(5, 0))) == [1003, 1004, 1005]
    assert values(Selection.by_range(restricting, time(3, None), time(5, None))) == [1003, 1004, 1005]
    column = [item.to_data() for item in COLUMNS[1:]]
    assert values(Selection.by_range(restricting, time(94, 0), time(200, 0), column)) == [1094, 1095]
    assert values(Selection.by_range(restricting, time(200, 0), time(300, 0))) == []
    assert values(Selection.by_entry(2, 4)) == [1001, 1002, 1003]
    assert values(Selection.by_entry(95)) == [1094, 1095]
    assert values(Selection.by_entry(1, 1, 2, 2)) == [1000]


def test_selections_that_make_no_sense_are_refused():
    client, server = _opened()
    buffer = ProfileGeneric("1-0:99.1.0.255").attribute("buffer")
    unknown = Selection.by_range((3, bytes(6), 2, 0), (axdr.NULL, None), (axdr.NULL, None))
    for selection, code in (
        (unknown, "scope_of_access_violated"),
        (Selection(9, (axdr.STRUCTURE, [(axdr.NULL, None)] * 4)), "scope_of_access_violated"),
        (Selection(1, (axdr.UINT8, 1)), "type_unmatched"),
        (Selection(1, (axdr.STRUCTURE, [(axdr.UINT8, 1)] * 4)), "type_unmatched"),
        (Selection.by_entry(0, 4), "other_reason"),
    ):
        fails(code, drive, client.get(buffer, selection), server.handle)


def test_several_attributes_in_one_request_and_one_by_one():
    register = Register("1-0:1.8.0.255")
    items = [
        (register.attribute("value"), None),
        (register.attribute("scaler_unit"), None),
        (CosemAttribute(3, bytes(6), 2), None),
        (ProfileGeneric("1-0:99.1.0.255").attribute("buffer"), Selection.by_entry(1, 2)),
    ]
    for conformance in (DEFAULT, DEFAULT & ~MULTIPLE_REFERENCES):
        for size in (64, 1024):
            client, server = _opened(conformance=conformance, max_pdu=size)
            results = drive(client.get_list(items), server.handle)
            assert results[0].data == (axdr.UINT32, 12345)
            assert [result.error for result in results] == [0, 0, 4, 0]
            assert len(results[3].data[1]) == 2


def test_refused_reads_are_typed():
    client, server = _opened()
    for attribute, code in (
        (CosemAttribute(3, bytes(6), 2), "object_undefined"),
        (CosemAttribute(4, Register("1-0:1.8.0.255").name, 2), "object_class_inconsistent"),
        (CosemAttribute(3, Register("1-0:1.8.0.255").name, 9), "read_write_denied"),
        (CosemAttribute(15, AssociationLn("0-0:40.0.0.255").name, 4), "object_unavailable"),
    ):
        fails(code, drive, client.get(attribute), server.handle)
    assert client.state == ASSOCIATED


def test_writing():
    client, server = _opened()
    clock = Clock("0-0:1.0.0.255")
    time = ClockTime.from_unix(NOON + 5, 0)
    drive(client.set(clock.attribute("time"), clock.encode("time", time)), server.handle)
    assert _get(client, server, clock, "time") == time
    wrong = client.set(clock.attribute("time"), (axdr.UINT8, 1))
    fails("type_unmatched", drive, wrong, server.handle)
    denied = client.set(Register("1-0:1.8.0.255").attribute("value"), (axdr.UINT32, 0))
    fails("read_write_denied", drive, denied, server.handle)


def test_writing_and_calling_in_blocks():
    note = _Note("0-0:96.13.0.255")
    text = bytes(range(256)) * 3
    for size in (64, 120, 65535):
        client, server = _opened(max_pdu=size)
        drive(client.set(note.attribute("value"), (axdr.OCTET_STRING, text)), server.handle)
        assert _get(client, server, note, "value") == (axdr.OCTET_STRING, text)
        assert drive(client.action(note.method("echo"), (axdr.OCTET_STRING, text)), server.handle) == (9, text)
    assert drive(client.action(note.method("echo")), server.handle) is None
    fails("read_write_denied", drive, client.action(CosemAttribute(1, note.name, 7)), server.handle)
    fails("object_undefined", drive, client.action(CosemAttribute(1, bytes(6), 1)), server.handle)


def test_a_missing_or_doubled_block_is_never_passed_over():
    attribute = ProfileGeneric("1-0:99.1.0.255").attribute("buffer")
    for numbers in ((1, 3), (1, 1), (1, 2, 2), (2,)):
        client, _ = _opened()
        answers = iter(numbers)

        def answer(apdu, answers=answers):
            return GetResponseBlock(False, next(answers), b"\x01", 0, apdu[2]).to_bytes()

        fails("missing_block", drive, client.get(attribute), answer)


def test_a_meter_says_when_an_answer_fits_no_way_that_the_client_knows():
    profile = ProfileGeneric("1-0:99.1.0.255").attribute("buffer")
    client, server = _opened(conformance=DEFAULT & ~BLOCK_GET, max_pdu=200)
    fails("data_block_unavailable", drive, client.get(profile), server.handle)
    results = drive(client.get_list([(profile, None), (profile, None)]), server.handle)
    assert [result.error for result in results] == [14, 14]
    assert _get(client, server, Register("1-0:1.8.0.255"), "value") == (axdr.UINT32, 12345)


def test_a_transfer_that_breaks_off():
    client, _ = _opened()
    attribute = ProfileGeneric("1-0:99.1.0.255").attribute("buffer")
    answers = iter(
        (
            lambda invoke: GetResponseBlock(False, 1, b"\x01", 0, invoke),
            lambda invoke: GetResponseBlock(True, 2, None, 15, invoke),
        )
    )
    fails("long_get_aborted", drive, client.get(attribute), lambda apdu: next(answers)(apdu[2]).to_bytes())


def test_a_late_answer_is_passed_over():
    client, server = _opened()
    clock = Clock("0-0:1.0.0.255")
    _get(client, server, clock, "time")
    late = GetResponseNormal(GetResult((axdr.UINT8, 99)), 0x41).to_bytes()
    held = []

    def answer(apdu):
        if apdu:
            held.append(sole(server.handle(apdu)))
            return late
        return held.pop()

    assert clock.decode("time", drive(client.get(clock.attribute("time")), answer)).unix() == NOON
    fails("wrong_invoke_id", drive, client.get(clock.attribute("time")), lambda apdu: late)


def test_a_meter_that_always_answers_with_one_invoke_id():
    client, _ = _opened()
    for _ in range(3):
        answer = drive(
            client.get(CosemAttribute(1, bytes(6), 2)),
            lambda apdu: GetResponseNormal(GetResult((axdr.UINT8, 7)), 0xCF).to_bytes(),
        )
        assert answer == (axdr.UINT8, 7)


def test_a_malformed_release_is_the_end_all_the_same():
    client, _ = _opened()
    drive(client.release(), lambda apdu: b"\x63\x15")
    assert client.state == CLOSED


def test_steps_out_of_place():
    client = Client()
    fails("unexpected_event", drive, client.get(CosemAttribute(1, bytes(6), 2)), lambda apdu: b"")
    fails("unexpected_event", drive, client.release(), lambda apdu: b"")
    server = ServerSession(_objects())
    assert sole(server.handle(bytes.fromhex("c001c100080000010000ff0200"))).hex() == "d80101"


def test_a_server_answers_anything_with_something_typed():
    _, server = _opened()
    assert sole(server.handle(b"\x99\x00")).hex() == "d80202"
    assert sole(server.handle(b"\xc0\x01")).hex() == "d80201"
    assert sole(server.handle(b"")).hex() == "d80201"
    assert sole(server.handle(bytes.fromhex("c001c1"))).hex() == "d80201"
    # blocks that nobody asked for
    assert parse_apdu(sole(server.handle(bytes.fromhex("c002c100000001")))).error == 16
    assert parse_apdu(sole(server.handle(bytes.fromhex("c103c101000000020101")))).result == 18
    assert parse_apdu(sole(server.handle(b"\x60\x02\xa1\x09"))).result == 1
    assert server.handle(b"\x62\x05") == []


def test_the_evidence_is_every_apdu_as_it_came():
    seen = []
    server = ServerSession(_objects(), max_pdu=100)
    client = Client(received=seen.append)
    drive(client.associate(), server.handle)
    drive(client.get(ProfileGeneric("1-0:99.1.0.255").attribute("buffer")), server.handle)
    assert [apdu[0] for apdu in seen] == [0x61] + [0xC4] * (len(seen) - 1)
    assert len(seen) > 20
