"""The server's side of a DLMS association: APDU in, APDUs out, over a set of COSEM objects.

It is what the emulator answers with. One `ServerSession` serves one client on one link; it keeps the association's
state and the block transfers in progress.
"""

from __future__ import annotations

from edge_agent.dlms.apdu import parse_apdu
from edge_agent.dlms.apdu.aare import AssociationResponse
from edge_agent.dlms.apdu.aarq import AssociationRequest
from edge_agent.dlms.apdu.acse import (
    CONTEXT_LN,
    CONTEXT_LN_CIPHERED,
    DIAGNOSTIC_AUTHENTICATION_FAILURE,
    DIAGNOSTIC_AUTHENTICATION_REQUIRED,
    DIAGNOSTIC_CONTEXT_NOT_SUPPORTED,
    DIAGNOSTIC_MECHANISM_NOT_RECOGNISED,
    DIAGNOSTIC_MECHANISM_REQUIRED,
    DIAGNOSTIC_NULL,
    MECHANISM_LLS,
    MECHANISM_NONE,
    RESULT_ACCEPTED,
    RESULT_REJECTED_PERMANENT,
)
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
from edge_agent.dlms.apdu.base import Apdu, CosemAttribute, Selection
from edge_agent.dlms.apdu.confirmed_service_error import (
    KIND_INITIATE,
    SERVICE_INITIATE,
    ConfirmedServiceError,
)
from edge_agent.dlms.apdu.conformance import BLOCK_ACTION, BLOCK_GET, DEFAULT, GENERAL_BLOCK_TRANSFER
from edge_agent.dlms.apdu.exception_response import (
    SERVICE_DECIPHERING_ERROR,
    SERVICE_INVOCATION_COUNTER_ERROR,
    SERVICE_NOT_POSSIBLE,
    SERVICE_NOT_SUPPORTED,
    SERVICE_PDU_TOO_LONG,
    STATE_NOT_ALLOWED,
    STATE_UNKNOWN,
    ExceptionResponse,
)
from edge_agent.dlms.apdu.general_block_transfer import HEADER, BlockReceiver, BlockSender, GeneralBlockTransfer
from edge_agent.dlms.apdu.get_request import GetRequestNext, GetRequestNormal, GetRequestWithList
from edge_agent.dlms.apdu.get_response import (
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
    GetResult,
)
from edge_agent.dlms.apdu.initiate import DLMS_VERSION, InitiateRequest, InitiateResponse
from edge_agent.dlms.apdu.release import ReleaseRequest, ReleaseResponse
from edge_agent.dlms.apdu.results import (
    DATA_BLOCK_NUMBER_INVALID,
    DATA_BLOCK_UNAVAILABLE,
    NO_LONG_GET_IN_PROGRESS,
    NO_LONG_SET_IN_PROGRESS,
    OBJECT_CLASS_INCONSISTENT,
    OBJECT_UNDEFINED,
    OTHER_REASON,
    READ_WRITE_DENIED,
    TYPE_UNMATCHED,
    access_error,
)
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
from edge_agent.dlms.axdr import Reader, decode_all, write_length
from edge_agent.dlms.errors import DataAccessError, DecodeError, DlmsError, ProtocolError, SecurityError
from edge_agent.dlms.obis import CURRENT_ASSOCIATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_agent.dlms.axdr import Data
    from edge_agent.dlms.cosem.base import CosemObject
    from edge_agent.dlms.security import Security

CLOSED = "closed"
AUTHENTICATING = "authenticating"
ASSOCIATED = "associated"

TRANSITIONS = {
    (CLOSED, "accept"): ASSOCIATED,
    (CLOSED, "challenge"): AUTHENTICATING,
    (ASSOCIATED, "accept"): ASSOCIATED,
    (ASSOCIATED, "challenge"): AUTHENTICATING,
    (AUTHENTICATING, "accept"): ASSOCIATED,
    (AUTHENTICATING, "challenge"): AUTHENTICATING,
    (AUTHENTICATING, "proved"): ASSOCIATED,
    (AUTHENTICATING, "reject"): CLOSED,
    (ASSOCIATED, "reject"): CLOSED,
    (CLOSED, "reject"): CLOSED,
    (ASSOCIATED, "release"): CLOSED,
    (AUTHENTICATING, "release"): CLOSED,
    (CLOSED, "release"): CLOSED,
}
"""(state, event) -> next state; a link that goes down closes in any state."""

MAX_WRITE = 1 << 20


class ServerSession:
    """One client's association with `objects`.

    password: the LLS secret that is asked for, None for none. security: what this client must cipher with and prove,
    None for neither. max_pdu bounds the APDUs of both directions, in bytes. window: how many blocks of a
    general-block-transfer this side takes, and at most sends, in a row.
    """

    def __init__(
        self,
        objects: Iterable[CosemObject],
        password: bytes | None = None,
        security: Security | None = None,
        conformance: int = DEFAULT,
        max_pdu: int = 1024,
        window: int = 1,
    ) -> None:
        self.objects = {item.name: item for item in objects}
        self.password = password
        self.security = security
        self.offered = conformance
        self.max_pdu = max_pdu
        self.window = window
        self.state = CLOSED
        self.conformance = 0
        self._client_max_pdu = 0xFFFF
        self._outgoing_raw = b""
        self._outgoing_number = 0
        self._outgoing_kind = ""
        self._incoming_raw = b""
        self._incoming_number = 0
        self._incoming_target: tuple[CosemAttribute, Selection | None] | None = None
        self._forget_blocks()

    def reset(self) -> None:
        """The link went down or was set up again."""
        self.state = CLOSED
        self._outgoing_raw = b""
        self._outgoing_kind = ""
        self._incoming_target = None
        self._forget_blocks()

    def _forget_blocks(self) -> None:
        """No general-block-transfer is under way."""
        self._sender: BlockSender | None = None
        self._receiver: BlockReceiver | None = None
        self._first_block: bytes | None = None  # of the request, to know it again
        self._answered: list[bytes] | None = None  # what the request got, once it had come whole
        self._acknowledgements = 0  # blocks of ours that carried nothing

    def _move(self, event: str) -> None:
        self.state = TRANSITIONS[(self.state, event)]

    def handle(self, data: bytes) -> list[bytes]:
        """What to send in answer to one APDU, in a row: several where blocks stream, none where no answer is due.

        Bad APDUs get an ExceptionResponse, never an exception.
        """
        if data[:1] == b"\xe0":
            return self._take_block(data)
        self._forget_blocks()
        if data[:1] in (b"\x60", b"\x62"):
            answer = self._handle_acse(data)
            return [] if answer is None else [answer]
        answer = self._serve(data)
        if self.conformance & GENERAL_BLOCK_TRANSFER and len(answer) > self._pdu():
            # How many blocks the client takes in a row it says when it acknowledges the first.
            try:
                return self._in_blocks(answer, 1, 0)
            except DlmsError:
                return [ExceptionResponse(STATE_NOT_ALLOWED, SERVICE_PDU_TOO_LONG).to_bytes()]
        return [answer]

    def _pdu(self) -> int:
        """The longest APDU that may go to the client."""
        return min(self._client_max_pdu, self.max_pdu)

    def _serve(self, data: bytes) -> bytes:
        """The answer to one request that came whole."""
        security = self.security
        if security is not None:
            tag = data[:1]
            try:
                data = security.unprotect(data)
            except DlmsError as error:
                return self._insecure(error).to_bytes()
            if security.is_ciphered(tag):
                security.follow(tag[0])
        if self.state == CLOSED:
            return ExceptionResponse(STATE_NOT_ALLOWED, SERVICE_NOT_POSSIBLE).to_bytes()
        try:
            request = parse_apdu(data)
        except DecodeError as error:
            unknown = error.code == "unknown_apdu"
            refusal = ExceptionResponse(STATE_UNKNOWN, SERVICE_NOT_SUPPORTED if unknown else SERVICE_NOT_POSSIBLE)
            return refusal.to_bytes()
        try:
            answer = self._answer(request)
        except SecurityError as error:
            answer = self._insecure(error)
        raw = answer.to_bytes()
        if security is not None and not isinstance(answer, ExceptionResponse):
            raw = security.protect(raw)
        return raw

    def _insecure(self, error: DlmsError) -> ExceptionResponse:
        """What a client is told whose request is not protected as it must be."""
        if error.code == "replayed_counter" and self.security is not None:
            least = min(self.security.peer_counter + 1, 0xFFFFFFFF)
            return ExceptionResponse(STATE_UNKNOWN, SERVICE_INVOCATION_COUNTER_ERROR, least)
        state = STATE_NOT_ALLOWED if error.code == "not_ciphered" else STATE_UNKNOWN
        return ExceptionResponse(state, SERVICE_DECIPHERING_ERROR)

    # General-block-transfer

    def _in_blocks(self, answer: bytes, window: int, received: int) -> list[bytes]:
        """The first stream of an answer."""
        size = max(self._pdu() - HEADER, 16)
        first = self._acknowledgements + 1
        self._sender = BlockSender(answer, size, self.window, first)
        return self._sender.stream(first - 1, min(window, self.window), received)

    def _take_block(self, data: bytes) -> list[bytes]:
        """One block of a request, or the acknowledgement of some of ours."""
        if self.state != CLOSED and not self.conformance & GENERAL_BLOCK_TRANSFER:
            return [ExceptionResponse(STATE_UNKNOWN, SERVICE_NOT_SUPPORTED).to_bytes()]
        try:
            block = GeneralBlockTransfer.from_bytes(data)
            if self.state == CLOSED or (not block.raw and self._sender is None):
                raise ProtocolError("unexpected_block", "no block transfer is under way")
            if not block.raw and self._sender is not None:
                window = min(block.window, self.window)
                return self._sender.stream(block.acknowledged, window, block.block_number)
            return self._receive(block)
        except DlmsError as error:
            service = SERVICE_NOT_POSSIBLE
            if error.code == "too_long":
                self._forget_blocks()
                service = SERVICE_PDU_TOO_LONG
            return [ExceptionResponse(STATE_NOT_ALLOWED, service).to_bytes()]

    def _receive(self, block: GeneralBlockTransfer) -> list[bytes]:
        """A block of a request: an acknowledgement where the client's stream ends, the answer once it is whole."""
        number, receiver = block.block_number, self._receiver
        if receiver is not None:
            if self._answered is not None:
                anew = number == 1 or number >= receiver.due
            else:
                anew = number == 1 and receiver.due > 1 and block.raw != self._first_block
            if anew:
                receiver = None
        if receiver is None:
            self._forget_blocks()
            receiver = self._receiver = BlockReceiver(self.window)
        if number == 1:
            self._first_block = block.raw
        whole = None if self._answered is not None else receiver.add(block)
        if whole is not None:
            if whole[:1] in (b"\xe0", b"\x60", b"\x62"):
                self._forget_blocks()
                raise ProtocolError("unexpected_apdu", "what came in blocks is not a request")
            self._answered = self._in_blocks(self._serve(whole), block.window, receiver.due - 1)
        if block.streaming and whole is None:
            return []
        if self._answered is not None:
            return self._answered  # again, where the client repeats itself because the answer was lost
        self._acknowledgements += 1
        wanted = receiver.wanted()
        acknowledgement = GeneralBlockTransfer(False, self._acknowledgements, receiver.due - 1, b"", False, wanted)
        return [acknowledgement.to_bytes()]

    def _answer(self, request: Apdu) -> Apdu:
        if self.state == AUTHENTICATING and not isinstance(request, ActionRequestNormal):
            return ExceptionResponse(STATE_NOT_ALLOWED, SERVICE_NOT_POSSIBLE)
        if isinstance(request, GetRequestNormal):
            return self._get(request)
        if isinstance(request, GetRequestNext):
            return self._next_block(request.block_number, request.invoke, "get")
        if isinstance(request, GetRequestWithList):
            results = [self._read(attribute, selection) for attribute, selection in request.items]
            whole = GetResponseWithList(results, request.invoke)
            raw = write_length(len(results)) + b"".join([result.to_bytes() for result in results])
            return self._long("get", whole, raw, request.invoke)
        if isinstance(request, SetRequestNormal):
            return SetResponseNormal(self._write(request.attribute, request.value), request.invoke)
        if isinstance(request, SetRequestWithList):
            return SetResponseWithList([self._write(a, value) for a, _, value in request.items], request.invoke)
        if isinstance(request, SetRequestFirstBlock):
            self._incoming_target = (request.attribute, request.selection)
            self._incoming_raw = b""
            self._incoming_number = 0
            return self._take_set_block(request.last, request.block_number, request.raw, request.invoke)
        if isinstance(request, SetRequestBlock):
            return self._take_set_block(request.last, request.block_number, request.raw, request.invoke)
        if isinstance(request, ActionRequestNormal):
            return self._action(request.method, request.parameters, request.invoke)
        if isinstance(request, ActionRequestNext):
            return self._next_block(request.block_number, request.invoke, "action")
        if isinstance(request, ActionRequestWithList):
            return ActionResponseWithList([self._call(m, p) for m, p in request.items], request.invoke)
        if isinstance(request, ActionRequestBlock):
            return self._take_action_block(request)
        return ExceptionResponse(STATE_UNKNOWN, SERVICE_NOT_SUPPORTED)

    # Association

    def _handle_acse(self, data: bytes) -> bytes | None:
        try:
            request = parse_apdu(data)
        except DecodeError:
            return AssociationResponse(RESULT_REJECTED_PERMANENT, 1).to_bytes() if data[0] == 0x60 else None
        if isinstance(request, ReleaseRequest):
            information = request.user_information
            if self.security is not None and self.security.is_ciphered(information):
                try:
                    self.security.unprotect(information)
                except DlmsError as error:
                    return self._insecure(error).to_bytes()
            self._move("release")
            information = b""
            if self.security is not None and self.security.ciphered:
                granted = InitiateResponse(self.conformance, self.max_pdu)
                information = self.security.protect(granted.to_bytes())
            return ReleaseResponse(request.reason or 0, information).to_bytes()
        if isinstance(request, AssociationRequest):
            return self._associate(request).to_bytes()
        return None

    def _reject(self, request: AssociationRequest, diagnostic: int, information: bytes = b"") -> AssociationResponse:
        self._move("reject")
        return AssociationResponse(RESULT_REJECTED_PERMANENT, diagnostic, information, request.context)

    def _associate(self, request: AssociationRequest) -> Apdu:
        security = self.security
        self.reset()
        ciphered = security is not None and security.ciphered
        barred = security is not None and security.demanding and not ciphered
        if barred or request.context != (CONTEXT_LN_CIPHERED if ciphered else CONTEXT_LN):
            return self._reject(request, DIAGNOSTIC_CONTEXT_NOT_SUPPORTED)
        wanted = MECHANISM_NONE if self.password is None else MECHANISM_LLS
        if security is not None:
            wanted = security.mechanism
        if request.mechanism != wanted:
            if request.mechanism == MECHANISM_NONE:
                return self._reject(request, DIAGNOSTIC_MECHANISM_REQUIRED)
            return self._reject(request, DIAGNOSTIC_MECHANISM_NOT_RECOGNISED)
        if wanted == MECHANISM_LLS and request.authentication != self.password:
            return self._reject(request, DIAGNOSTIC_AUTHENTICATION_FAILURE)
        information = request.user_information
        try:
            if security is not None:
                security.begin(request.system_title, request.authentication)
                if ciphered:
                    information = security.unprotect(information)
            initiate = InitiateRequest.from_bytes(information)
        except SecurityError as error:
            if error.code == "replayed_counter":
                self._move("reject")
                return self._insecure(error)
            return self._reject(request, DIAGNOSTIC_AUTHENTICATION_FAILURE)
        except DecodeError:
            refused = ConfirmedServiceError(SERVICE_INITIATE, KIND_INITIATE, 0)
            return self._reject(request, 1, refused.to_bytes())
        if initiate.version < DLMS_VERSION:
            refused = ConfirmedServiceError(SERVICE_INITIATE, KIND_INITIATE, 1)
            return self._reject(request, 1, refused.to_bytes())
        if security is not None:
            security.learn_dedicated_key(initiate.dedicated_key)
        self.conformance = self.offered & initiate.conformance
        self._client_max_pdu = initiate.max_pdu or 0xFFFF
        granted = InitiateResponse(self.conformance, self.max_pdu).to_bytes()
        if ciphered and security is not None:
            granted = security.protect(granted)
        response = AssociationResponse(RESULT_ACCEPTED, DIAGNOSTIC_NULL, granted, request.context)
        if security is not None:
            response.system_title = security.system_title
            response.mechanism = security.mechanism
            if security.challenges:
                security.expect_proof()
                response.authentication = security.server_challenge
                response.diagnostic = DIAGNOSTIC_AUTHENTICATION_REQUIRED
                self._move("challenge")
                return response
        elif self.password is not None:
            response.mechanism = MECHANISM_LLS
        self._move("accept")
        return response

    def _prove(self, parameters: Data | None) -> ActionResult:
        """HLS pass 3: check the client's token, give the server's; SecurityError `replayed_counter`."""
        security = self.security
        if security is None or parameters is None or parameters[0] != 9:
            return ActionResult(OTHER_REASON)
        try:
            token = security.check_client_reply(parameters[1])
        except SecurityError as error:
            self._move("reject")
            if error.code == "replayed_counter":
                raise
            return ActionResult(READ_WRITE_DENIED)
        self._move("proved")
        return ActionResult(0, GetResult((9, token)))

    # GET

    def find(self, attribute: CosemAttribute) -> CosemObject:
        """The object that an attribute or method belongs to; DataAccessError."""
        found = self.objects.get(attribute.instance)
        if found is None:
            raise access_error(OBJECT_UNDEFINED, repr(attribute))
        if attribute.class_id != found.CLASS_ID:
            raise access_error(OBJECT_CLASS_INCONSISTENT, repr(attribute))
        return found

    def _read(self, attribute: CosemAttribute, selection: Selection | None) -> GetResult:
        try:
            return GetResult(self.find(attribute).get(attribute.index, selection))
        except DataAccessError as error:
            return GetResult(None, error.result)

    def _get(self, request: GetRequestNormal) -> Apdu:
        result = self._read(request.attribute, request.selection)
        whole = GetResponseNormal(result, request.invoke)
        return self._long("get", whole, b"" if result.data is None else result.to_bytes()[1:], request.invoke)

    def _room(self) -> int:
        """How many bytes of a block fit the client's APDU, headers and ciphering included."""
        overhead = 48 if self.security is not None else 16
        return max(min(self._client_max_pdu, self.max_pdu) - overhead, 16)

    def _long(self, kind: str, whole: Apdu, raw: bytes, invoke: int) -> Apdu:
        """The answer itself where it fits or goes by general-block-transfer, else the first block of `raw`."""
        if len(raw) <= self._room() or self.conformance & GENERAL_BLOCK_TRANSFER:
            return whole
        if not self.conformance & (BLOCK_GET if kind == "get" else BLOCK_ACTION):
            refused = GetResult(None, DATA_BLOCK_UNAVAILABLE)
            if isinstance(whole, GetResponseWithList):
                return GetResponseWithList([refused] * len(whole.results), invoke)
            if kind == "get":
                return GetResponseNormal(refused, invoke)
            return ActionResponseNormal(ActionResult(DATA_BLOCK_UNAVAILABLE), invoke)
        self._outgoing_raw = raw
        self._outgoing_number = 0
        self._outgoing_kind = kind
        return self._next_block(0, invoke, kind)

    def _next_block(self, acknowledged: int, invoke: int, kind: str) -> Apdu:
        if self._outgoing_kind != kind:
            return self._no_block(kind, NO_LONG_GET_IN_PROGRESS, acknowledged, invoke)
        if acknowledged != self._outgoing_number:
            self._outgoing_kind = ""
            return self._no_block(kind, DATA_BLOCK_NUMBER_INVALID, acknowledged, invoke)
        room = self._room()
        part, self._outgoing_raw = self._outgoing_raw[:room], self._outgoing_raw[room:]
        self._outgoing_number += 1
        last = not self._outgoing_raw
        if last:
            self._outgoing_kind = ""
        if kind == "get":
            return GetResponseBlock(last, self._outgoing_number, part, 0, invoke)
        return ActionResponseBlock(last, self._outgoing_number, part, invoke)

    def _no_block(self, kind: str, result: int, number: int, invoke: int) -> Apdu:
        if kind == "get":
            return GetResponseBlock(True, number, None, result, invoke)
        return ActionResponseNormal(ActionResult(result), invoke)

    # SET

    def _write(self, attribute: CosemAttribute, value: Data) -> int:
        try:
            self.find(attribute).set(attribute.index, value)
        except DataAccessError as error:
            return error.result
        except DlmsError:
            return TYPE_UNMATCHED
        return 0

    def _take_set_block(self, last: bool, number: int, raw: bytes, invoke: int) -> Apdu:
        target = self._incoming_target
        if target is None:
            return SetResponseLastBlock(NO_LONG_SET_IN_PROGRESS, number, invoke)
        if number != self._incoming_number + 1 or len(self._incoming_raw) + len(raw) > MAX_WRITE:
            self._incoming_target = None
            return SetResponseLastBlock(DATA_BLOCK_NUMBER_INVALID, number, invoke)
        self._incoming_number = number
        self._incoming_raw += raw
        if not last:
            return SetResponseBlock(number, invoke)
        self._incoming_target = None
        try:
            result = self._write(target[0], decode_all(self._incoming_raw))
        except DecodeError:
            result = TYPE_UNMATCHED
        return SetResponseLastBlock(result, number, invoke)

    # ACTION

    def _call(self, method: CosemAttribute, parameters: Data | None) -> ActionResult:
        if method.class_id == 15 and method.instance == CURRENT_ASSOCIATION and method.index == 1:
            return self._prove(parameters)
        if self.state != ASSOCIATED:
            return ActionResult(READ_WRITE_DENIED)
        try:
            returned = self.find(method).act(method.index, parameters)
        except DataAccessError as error:
            return ActionResult(error.result)
        except DlmsError:
            return ActionResult(TYPE_UNMATCHED)
        return ActionResult(0, None if returned is None else GetResult(returned))

    def _action(self, method: CosemAttribute, parameters: Data | None, invoke: int) -> Apdu:
        result = self._call(method, parameters)
        return self._long("action", ActionResponseNormal(result, invoke), result.to_bytes(), invoke)

    def _take_action_block(self, request: ActionRequestBlock) -> Apdu:
        if request.method is not None:
            self._incoming_target = (request.method, None)
            self._incoming_raw = b""
            self._incoming_number = 0
        target = self._incoming_target
        if target is None or request.block_number != self._incoming_number + 1:
            self._incoming_target = None
            return ActionResponseNormal(ActionResult(DATA_BLOCK_NUMBER_INVALID), request.invoke)
        self._incoming_number = request.block_number
        self._incoming_raw += request.raw
        if len(self._incoming_raw) > MAX_WRITE:
            self._incoming_target = None
            return ActionResponseNormal(ActionResult(OTHER_REASON), request.invoke)
        if not request.last:
            return ActionResponseNext(request.block_number, request.invoke)
        self._incoming_target = None
        reader = Reader(self._incoming_raw)
        try:
            parameters = reader.value() if self._incoming_raw else None
            reader.end()
        except DecodeError:
            return ActionResponseNormal(ActionResult(TYPE_UNMATCHED), request.invoke)
        return self._action(target[0], parameters, request.invoke)
