"""The APDUs of DLMS/COSEM (Green Book 9), one file each; `parse_apdu` reads any of them by its tag."""

from __future__ import annotations

from edge_agent.dlms.apdu.aare import AssociationResponse
from edge_agent.dlms.apdu.aarq import AssociationRequest
from edge_agent.dlms.apdu.action_request import ActionRequest
from edge_agent.dlms.apdu.action_response import ActionResponse
from edge_agent.dlms.apdu.base import Apdu
from edge_agent.dlms.apdu.confirmed_service_error import ConfirmedServiceError
from edge_agent.dlms.apdu.exception_response import ExceptionResponse
from edge_agent.dlms.apdu.get_request import GetRequest
from edge_agent.dlms.apdu.get_response import GetResponse
from edge_agent.dlms.apdu.initiate import InitiateRequest, InitiateResponse
from edge_agent.dlms.apdu.release import ReleaseRequest, ReleaseResponse
from edge_agent.dlms.apdu.set_request import SetRequest
from edge_agent.dlms.apdu.set_response import SetResponse
from edge_agent.dlms.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PARSERS: dict[int, Callable[[bytes], Apdu]] = {
    InitiateRequest.TAG: InitiateRequest.from_bytes,
    InitiateResponse.TAG: InitiateResponse.from_bytes,
    ConfirmedServiceError.TAG: ConfirmedServiceError.from_bytes,
    AssociationRequest.TAG: AssociationRequest.from_bytes,
    AssociationResponse.TAG: AssociationResponse.from_bytes,
    ReleaseRequest.TAG: ReleaseRequest.from_bytes,
    ReleaseResponse.TAG: ReleaseResponse.from_bytes,
    GetRequest.TAG: GetRequest.from_bytes,
    GetResponse.TAG: GetResponse.from_bytes,
    SetRequest.TAG: SetRequest.from_bytes,
    SetResponse.TAG: SetResponse.from_bytes,
    ActionRequest.TAG: ActionRequest.from_bytes,
    ActionResponse.TAG: ActionResponse.from_bytes,
    ExceptionResponse.TAG: ExceptionResponse.from_bytes,
}


def parse_apdu(data: bytes) -> Apdu:
    """Any APDU by its tag; DecodeError `cut_short` where there is none, `unknown_apdu` for another tag."""
    if not data:
        raise DecodeError("cut_short", "an APDU has at least one byte", 0)
    parser = PARSERS.get(data[0])
    if parser is None:
        raise DecodeError("unknown_apdu", f"0x{data[0]:02x} is not the tag of an APDU that this version knows", 0)
    return parser(data)
