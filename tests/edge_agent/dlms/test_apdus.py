# ruff: noqa: PT017 - MicroPython has no pytest
"""Every APDU: bytes of real conversations or of the Green Book, both ways, and what is wrong named with its place."""

from core_checks import fails

from edge_agent.dlms.apdu import parse_apdu
from edge_agent.dlms.apdu.aare import AssociationResponse
from edge_agent.dlms.apdu.aarq import AssociationRequest
from edge_agent.dlms.apdu.action_request import ActionRequestBlock, ActionRequestNormal
from edge_agent.dlms.apdu.base import CosemAttribute, Selection
from edge_agent.dlms.apdu.confirmed_service_error import ConfirmedServiceError
from edge_agent.dlms.apdu.conformance import DEFAULT, GET, SELECTIVE_ACCESS
from edge_agent.dlms.apdu.exception_response import ExceptionResponse
from edge_agent.dlms.apdu.get_request import GetRequestNext, GetRequestNormal, GetRequestWithList
from edge_agent.dlms.apdu.get_response import GetResponseBlock, GetResponseNormal, GetResponseWithList
from edge_agent.dlms.apdu.initiate import InitiateRequest, InitiateResponse
from edge_agent.dlms.apdu.release import ReleaseRequest, ReleaseResponse
from edge_agent.dlms.obis import CLOCK

VECTORS = (
    # Green Book, AARQ without authentication and its AARE
    "601da109060760857405080101be10040e01000000065f1f0400007e1f04b0",
    "6129a109060760857405080101a203020100a305a103020100be10040e0800065f1f040000501f01f40007",
    # with LLS, password 12345678
    "6036a1090607608574050801018a0207808b0760857405080201ac0a80083132333435363738be10040e01000000065f1f0400007e1f04b0",
    # with HLS-5 and a system title
    "6040a109060760857405080103a60a0408 4d4d4d0000000001 8a0207808b0760857405080205"
    "ac12801000112233445566778899aabbccddeeff"
    "be0604042102beef",
    # refused: authentication failure, with a confirmedServiceError
    "611fa109060760857405080101a203020101a305a10302010dbe0604040e010604",
    "6200",
    "6203800100",
    "6303800100",
    "6315800100be10040e0800065f1f040000501f01f40007",
    "0100000006 5f1f0400007e1f04b0",
    "01010411223344000101065f1f0400007e1fffff",
    "0800065f1f040000501f01f40007",
    "0e010604",
    "d80102",
    "d8020600000100",
    "c001c100080000010000ff0200",
    "c001810007 0100630100ff02 01 02 0204 0600000001 0600000005 120001 120000",
    "c0028100000001",
    "c003c102 00010000600100ff0200 00030100010800ff0200",
    "c401c1000906010001 0800ff",
    "c401c10104",
    "c402c1000000000100 03010203",
    "c402c101000000020110",
    "c403c102001105 0103",
    "c101c100080000010000ff0200 090c07ea0601010c000000000000",
    "c102c100080000010000ff0200 00 00000001 03 090c07",
    "c103c1 01 00000002 0101",
    "c104c101 00080000010000ff0200 01 1105",
    "c501c100",
    "c502c100000001",
    "c503c10000000002",
    "c505c1020003",
    "c301c1000f0000280000ff0101 0902aabb",
    "c301c100460000600300ff0100",
    "c302c100000001",
    "c303c101 00460000600300ff01 01 0f00",
    "c304c1 000f0000280000ff02 00 00 00000001 020902",
    "c306c1 01 00000002 02aabb",
    "c701c10000",
    "c701c1000100 0902aabb",
    "c701c1030101fa",
    "c702c10000000001020001",
    "c703c1020000 0b00",
    "c704c100000001",
)


def test_known_apdus_decode_and_encode():
    for text in VECTORS:
        data = bytes.fromhex(text.replace(" ", ""))
        apdu = parse_apdu(data)
        assert apdu.to_bytes().hex() == data.hex(), repr(apdu)
        assert parse_apdu(apdu.to_bytes()) == apdu
        assert repr(apdu)


def test_every_apdu_cut_short_is_refused_with_a_typed_error():
    from edge_agent.dlms.errors import DecodeError

    for text in VECTORS:
        data = bytes.fromhex(text.replace(" ", ""))
        for size in range(len(data)):
            try:
                parse_apdu(data[:size])
            except DecodeError as error:
                assert error.offset is not None, (text, size, error.code)
            else:
                # An exception response may leave its counter out; an InitiateResponse its last field.
                assert data[0] in (0xD8, 0x08), (text, size)


def test_bytes_after_an_apdu_are_refused():
    for text in ("c001c100080000010000ff0200", "c401c10104", "c501c100", "c701c10000", "d80102", "0e010604"):
        fails("trailing_bytes", parse_apdu, bytes.fromhex(text) + b"\x00\x00\x00\x00\x00")


def test_choices_that_do_not_exist():
    for text, code in (
        ("c004c1", "bad_choice"),
        ("c404c1", "bad_choice"),
        ("c401c102", "bad_choice"),
        ("c106c1", "bad_choice"),
        ("c504c1", "bad_choice"),
        ("c309c1", "bad_choice"),
        ("c709c1", "bad_choice"),
        ("c001c100080000010000ff0202", "bad_choice"),
        ("99", "unknown_apdu"),
        ("", "cut_short"),
        ("c003c184ffffffff", "cut_short"),
        ("c403c184ffffffff", "cut_short"),
        ("c104c184ffffffff", "cut_short"),
        ("c303c184ffffffff", "cut_short"),
        ("c703c184ffffffff", "cut_short"),
        ("610aa10806066085740501", "cut_short"),
        ("6100", "missing_field"),
    ):
        fails(code, parse_apdu, bytes.fromhex(text))


def test_get_request_fields():
    request = parse_apdu(bytes.fromhex("c001c100080000010000ff0200"))
    assert isinstance(request, GetRequestNormal)
    assert request.attribute == CosemAttribute(8, CLOCK, 2)
    assert request.selection is None
    assert request.invoke == 0xC1
    assert isinstance(parse_apdu(bytes.fromhex("c0028100000001")), GetRequestNext)


def test_selections():
    entry = Selection.by_entry(1, 5)
    assert entry.to_bytes().hex() == "020204" + "0600000001" + "0600000005" + "120001" + "120000"
    ranged = Selection.by_range((8, CLOCK, 2, 0), (9, bytes(12)), (9, bytes(12)))
    request = GetRequestNormal(CosemAttribute(7, CLOCK, 2), ranged)
    assert parse_apdu(request.to_bytes()).selection == ranged
    both = GetRequestWithList([(CosemAttribute(7, CLOCK, 2), ranged), (CosemAttribute(7, CLOCK, 3), None)])
    assert parse_apdu(both.to_bytes()).items == both.items


def test_get_response_fields():
    normal = parse_apdu(bytes.fromhex("c401c1000906010001 0800ff".replace(" ", "")))
    assert isinstance(normal, GetResponseNormal)
    assert normal.result.data == (9, b"\x01\x00\x01\x08\x00\xff")
    assert parse_apdu(bytes.fromhex("c401c10104")).result.error == 4
    block = parse_apdu(bytes.fromhex("c402c100000000010003010203"))
    assert isinstance(block, GetResponseBlock)
    assert (block.last, block.block_number, block.raw) == (False, 1, b"\x01\x02\x03")
    listed = parse_apdu(bytes.fromhex("c403c1020011050103"))
    assert isinstance(listed, GetResponseWithList)
    assert [result.error for result in listed.results] == [0, 3]


def test_association_fields():
    request = parse_apdu(bytes.fromhex(VECTORS[2]))
    assert isinstance(request, AssociationRequest)
    assert (request.mechanism, request.authentication) == (1, b"12345678")
    initiate = InitiateRequest.from_bytes(request.user_information)
    assert (initiate.conformance, initiate.max_pdu) == (0x007E1F, 0x04B0)
    response = parse_apdu(bytes.fromhex(VECTORS[1]))
    assert isinstance(response, AssociationResponse)
    assert (response.result, response.diagnostic) == (0, 0)
    granted = InitiateResponse.from_bytes(response.user_information)
    assert granted.conformance & GET
    assert granted.conformance & SELECTIVE_ACCESS
    assert granted.max_pdu == 500
    hls = parse_apdu(bytes.fromhex(VECTORS[3].replace(" ", "")))
    assert (hls.system_title.hex(), hls.mechanism, hls.context) == ("4d4d4d0000000001", 5, 3)


def test_a_providers_refusal_is_told_apart():
    data = bytes.fromhex("611fa109060760857405080101a203020102a305a203020102be0604040e010600")
    response = parse_apdu(data)
    assert (response.result, response.diagnostic, response.diagnostic_source) == (2, 2, 2)
    assert response.to_bytes() == data


def test_old_meters_conformance_tag_is_one_byte():
    response = InitiateResponse.from_bytes(bytes.fromhex("0800065f0400007e1f01f40007"))
    assert response.conformance == 0x7E1F


def test_releases_may_say_nothing():
    assert ReleaseRequest.from_bytes(b"\x62\x00").reason is None
    assert ReleaseResponse.from_bytes(b"\x63\x00").reason is None
    fails("unexpected_tag", ReleaseResponse.from_bytes, b"\x62\x00")


def test_refusals_become_typed_errors():
    assert ExceptionResponse(1, 5).error().code == "exception_deciphering_error"
    with_counter = ExceptionResponse.from_bytes(bytes.fromhex("d8020600000100"))
    assert with_counter.error().code == "exception_invocation_counter_error"
    assert "256" in str(with_counter.error())
    assert ExceptionResponse(9, 99).error().code == "exception_service_error_99"
    assert ConfirmedServiceError(1, 6, 4).error().code == "service_error_initiate_refused"
    assert ConfirmedServiceError(1, 77, 4).error().code == "service_error_kind_77_value_4"


def test_actions_with_blocks():
    first = parse_apdu(bytes.fromhex("c304c1000f0000280000ff02000000000001020902"))
    assert isinstance(first, ActionRequestBlock)
    assert first.method == CosemAttribute(15, b"\x00\x00\x28\x00\x00\xff", 2)
    further = parse_apdu(bytes.fromhex("c306c1010000000202aabb"))
    assert further.method is None
    plain = parse_apdu(bytes.fromhex("c301c100460000600300ff0100"))
    assert isinstance(plain, ActionRequestNormal)
    assert plain.parameters is None


def test_our_own_conformance_is_what_the_client_can_do():
    assert DEFAULT == 0x001E1D
