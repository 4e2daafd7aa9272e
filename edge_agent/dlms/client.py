"""The client's side of a DLMS association, as conversations that pass APDUs and touch no line.

Every operation is a generator: it yields the APDU to send, is sent the APDU that came back, and returns its result.
It yields a list where several APDUs go out in a row before an answer is due, and b"" where it waits for one more APDU
without asking; b"" sent back to that says that none came. A LinkError thrown into it says why no answer came; some fix
that, the others let it through. Whoever drives it (`edge_agent.meters.connection` with a serial port; a test with a
list) decides how the bytes travel:

    conversation = client.get(attribute)
    apdu = next(conversation)
    while True:
        try:
            apdu = conversation.send(exchange(apdu))
        except StopIteration as end:
            return end.value
"""

from __future__ import annotations

from edge_agent.dlms.apdu import parse_apdu
from edge_agent.dlms.apdu import results as _results
from edge_agent.dlms.apdu.aare import AssociationResponse, is_accepted
from edge_agent.dlms.apdu.aarq import AssociationRequest
from edge_agent.dlms.apdu.acse import (
    CONTEXT_LN,
    CONTEXT_LN_CIPHERED,
    CONTEXT_SN,
    CONTEXT_SN_CIPHERED,
    DIAGNOSTIC_AUTHENTICATION_FAILURE,
    DIAGNOSTIC_AUTHENTICATION_REQUIRED,
    DIAGNOSTIC_CONTEXT_NOT_SUPPORTED,
    DIAGNOSTIC_MECHANISM_NOT_RECOGNISED,
    DIAGNOSTIC_MECHANISM_REQUIRED,
    DIAGNOSTICS,
    MECHANISM_LLS,
    MECHANISM_NONE,
    RESULT_REJECTED_TRANSIENT,
    SOURCE_USER,
)
from edge_agent.dlms.apdu.action_request import ActionRequestBlock, ActionRequestNext, ActionRequestNormal
from edge_agent.dlms.apdu.action_response import (
    ActionResponseBlock,
    ActionResponseNext,
    ActionResponseNormal,
    ActionResult,
)
from edge_agent.dlms.apdu.base import CosemAttribute, Selection
from edge_agent.dlms.apdu.confirmed_service_error import ConfirmedServiceError
from edge_agent.dlms.apdu.conformance import (
    BLOCK_ACTION,
    BLOCK_SET,
    DEFAULT,
    GENERAL_BLOCK_TRANSFER,
    MULTIPLE_REFERENCES,
)
from edge_agent.dlms.apdu.exception_response import ExceptionResponse
from edge_agent.dlms.apdu.general_block_transfer import HEADER, BlockReceiver, BlockSender, GeneralBlockTransfer
from edge_agent.dlms.apdu.get_request import GetRequestNext, GetRequestNormal, GetRequestWithList
from edge_agent.dlms.apdu.get_response import (
    GetResponseBlock,
    GetResponseNormal,
    GetResponseWithList,
    GetResult,
)
from edge_agent.dlms.apdu.initiate import VAA_NAME_LN, VAA_NAME_SN, InitiateRequest, InitiateResponse
from edge_agent.dlms.apdu.release import ReleaseRequest, ReleaseResponse
from edge_agent.dlms.apdu.set_request import SetRequestBlock, SetRequestFirstBlock, SetRequestNormal
from edge_agent.dlms.apdu.set_response import SetResponseBlock, SetResponseLastBlock, SetResponseNormal
from edge_agent.dlms.axdr import Reader, decode_all, encode
from edge_agent.dlms.errors import AssociationRejectedError, DecodeError, DlmsError, LinkError, ProtocolError
from edge_agent.dlms.pieces import Pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from edge_agent.dlms.apdu.base import Apdu
    from edge_agent.dlms.axdr import Data
    from edge_agent.dlms.security import Security

    Conversation = Generator["bytes | list[bytes]", bytes, Any]

CLOSED = "closed"
ASSOCIATING = "associating"
AUTHENTICATING = "authenticating"
ASSOCIATED = "associated"
WAITING = "waiting"
RELEASING = "releasing"

TRANSITIONS = {
    (CLOSED, "AARQ"): ASSOCIATING,
    (ASSOCIATING, "accepted"): ASSOCIATED,
    (ASSOCIATING, "challenged"): AUTHENTICATING,
    (ASSOCIATING, "rejected"): CLOSED,
    (AUTHENTICATING, "authenticated"): ASSOCIATED,
    (AUTHENTICATING, "rejected"): CLOSED,
    (ASSOCIATED, "request"): WAITING,
    (WAITING, "request"): WAITING,
    (WAITING, "response"): ASSOCIATED,
    (ASSOCIATED, "RLRQ"): RELEASING,
    (WAITING, "RLRQ"): RELEASING,
    (RELEASING, "released"): CLOSED,
}
"""(state, event) -> next state. `lost` leads from any state to closed; an event without a row is a ProtocolError."""

MAX_TRANSFER = 16 << 20
"""A block transfer longer than this is refused (`too_long`)."""

LEAST_BLOCK = 256
"""What a shorter block counts for in that, or empty ones could come forever."""

MIN_PDU = 12

MAX_FRUITLESS = 128
"""Blocks in a row that bring a general-block-transfer no further, twice the largest window, until it is given up."""

SILENCE = 32
"""How many such blocks a block counts for that never came."""


class Client:
    """One association with one logical device by logical names.

    password: the LLS secret, None for no authentication. security: ciphering and HLS-5, None for neither. received
    is called with every APDU as it came from the line, for the evidence of a reading. window: how many blocks of a
    general-block-transfer, 1 to 63, the meter may send in a row, where `conformance` proposes it. `noted`, where it is
    set, is called with the code of what went wrong with blocks and was repaired.
    """

    def __init__(
        self,
        password: bytes | None = None,
        security: Security | None = None,
        conformance: int = DEFAULT,
        max_pdu: int = 0xFFFF,
        received: Callable[[bytes], None] | None = None,
        window: int = 1,
    ) -> None:
        self.state = CLOSED
        self.password = password
        self.security = security
        self.proposed = conformance
        self.max_pdu = max_pdu
        self.conformance = conformance
        self.server_max_pdu = 0xFFFF
        self._vaa_name = VAA_NAME_LN
        self.window = window
        self.noted: Callable[[str], None] | None = None
        self._received = received
        self._invoke = 0
        self._echoes: bool | None = None  # whether the peer repeats the invoke-id; some always answer the same

    def _move(self, event: str) -> None:
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise ProtocolError("unexpected_event", f"{event} is not possible while the association is {self.state}")
        self.state = following

    def lost(self) -> None:
        """The link is gone, and the association with it."""
        self.state = CLOSED

    def _exchange(self, request: Apdu) -> Conversation:
        """Send one APDU and give the parsed answer; errors of the peer's are raised."""
        data = self._outgoing(request.to_bytes())
        if self._in_blocks(data):
            return self._incoming((yield from self._send_blocks(data)))
        answer = yield data
        return self._incoming((yield from self._whole(answer)))

    def _in_blocks(self, data: bytes) -> bool:
        """Whether a request goes by general-block-transfer: it is too long for the meter, which takes blocks."""
        return len(data) > self.server_max_pdu and self.conformance & GENERAL_BLOCK_TRANSFER != 0

    def _send_blocks(self, data: bytes) -> Conversation:
        """A request in blocks, as many in a row as the meter says; the answer to it."""
        sender = BlockSender(data, max(self.server_max_pdu - HEADER, 1), self.window)
        acknowledged = received = fruitless = 0
        window = 1  # the meter's own is known from its first block on
        while True:
            if fruitless > MAX_FRUITLESS:
                raise ProtocolError("missing_block", f"the meter never gets block {acknowledged + 1} of the request")
            blocks = sender.stream(acknowledged, window, received)
            try:
                answer = yield (blocks if len(blocks) > 1 else b"".join(blocks))
            except LinkError as error:
                if error.code != "no_progress":
                    raise
                answer = b""
            if not answer:
                # All is acknowledged and the answer stays away: the last block asks for it again.
                acknowledged = min(acknowledged, sender.final - 1)
                fruitless += SILENCE
                self._note("missing_block")
                continue
            if answer[:1] != b"\xe0":
                return answer
            block = GeneralBlockTransfer.from_bytes(answer)
            if block.raw:
                return (yield from self._whole(answer, sender.final, received))
            if self._received is not None:
                self._received(answer)
            fruitless = 0 if block.acknowledged > acknowledged else fruitless + 1
            if block.acknowledged < min(acknowledged + len(blocks), sender.final):
                self._note("missing_block")
            acknowledged, window, received = block.acknowledged, block.window, block.block_number

    def _whole(self, answer: bytes, sent: int = 0, received: int = 0) -> Conversation:
        """An answer that comes by general-block-transfer, stream by stream; any other as it is.

        sent: the last block number of the request. received: the last of the meter's that only acknowledged.
        """
        if answer[:1] != b"\xe0":
            return answer
        block = GeneralBlockTransfer.from_bytes(answer)
        # Some meters do not count what only acknowledges.
        first = received + 1 if block.block_number > received else 1
        receiver = BlockReceiver(self.window, first, self.noted)
        fruitless = 0
        while True:
            due, streaming = receiver.due, False
            if answer:
                if answer[:1] != b"\xe0":
                    return self._broken_off(answer)
                if self._received is not None:
                    self._received(answer)
                block = GeneralBlockTransfer.from_bytes(answer)
                whole = receiver.add(block)
                if whole is not None:
                    return whole
                streaming = block.streaming
            fruitless = 0 if receiver.due > due else fruitless + (1 if answer else SILENCE)
            if fruitless > MAX_FRUITLESS:
                raise ProtocolError("missing_segment", f"block {receiver.due} is due and never came")
            request = b""
            if not streaming:
                receiver.ask_again(not answer)
                sent += 1
                request = GeneralBlockTransfer(True, sent, receiver.due - 1, b"", False, receiver.wanted()).to_bytes()
            try:
                answer = yield request
            except LinkError as error:
                if error.code != "no_progress":
                    raise
                answer = b""

    def _broken_off(self, answer: bytes) -> bytes:
        """What came in the middle of a block transfer: the meter's reason to end it."""
        if answer[:1] in (b"\xd8", b"\x0e"):
            return answer
        raise ProtocolError("unexpected_apdu", "expected a block of a general-block-transfer")

    def _note(self, code: str) -> None:
        if self.noted is not None:
            self.noted(code)

    def _outgoing(self, apdu: bytes) -> bytes:
        return apdu if self.security is None else self.security.protect(apdu)

    def _incoming(self, data: bytes) -> Apdu:
        if self._received is not None:
            self._received(data)
        if self.security is not None:
            data = self.security.unprotect(data)
        apdu = parse_apdu(data)
        if isinstance(apdu, (ExceptionResponse, ConfirmedServiceError)):
            raise apdu.error()
        return apdu

    def associate(self) -> Conversation:
        """AARQ and AARE, and under HLS the two passes that follow; AssociationRejectedError says why not."""
        self._move("AARQ")
        try:
            yield from self._associate()
        except (DlmsError, GeneratorExit):
            self.state = CLOSED
            raise

    def _associate(self) -> Conversation:
        initiate = InitiateRequest(self.proposed, self.max_pdu)
        security = self.security
        if security is None:
            mechanism = MECHANISM_NONE if self.password is None else MECHANISM_LLS
            request = AssociationRequest(initiate.to_bytes(), CONTEXT_LN, mechanism, self.password)
        else:
            initiate.dedicated_key = security.dedicated_key
            request = AssociationRequest(
                security.protect(initiate.to_bytes()) if security.ciphered else initiate.to_bytes(),
                CONTEXT_LN_CIPHERED if security.ciphered else CONTEXT_LN,
                security.mechanism,
                security.client_challenge if self.password is None else self.password,
                security.system_title,
            )
        answer = yield request.to_bytes()
        if self._received is not None:
            self._received(answer)
        try:
            response = parse_apdu(answer)
        except DecodeError as error:
            message = f"cannot read the meter's answer to the association ({error}); check --auth and the client"
            raise ProtocolError("bad_association_answer", message) from error
        if isinstance(response, (ExceptionResponse, ConfirmedServiceError)):
            raise response.error()
        if not isinstance(response, AssociationResponse):
            raise ProtocolError("unexpected_apdu", f"expected an AARE, the meter sent tag 0x{answer[0]:02x}")
        if security is not None and response.system_title is not None:
            security.learn_server_title(response.system_title)
        information = response.user_information
        if response.context in (CONTEXT_SN, CONTEXT_SN_CIPHERED):
            self._move("rejected")
            raise _short_names(response)
        if is_accepted(response) or response.diagnostic == DIAGNOSTIC_AUTHENTICATION_REQUIRED:
            self._take_initiate_response(information)
            if self._vaa_name == VAA_NAME_SN:
                self._move("rejected")
                raise _short_names(response)
        if not is_accepted(response):
            self._move("rejected")
            raise _rejection(response, self.password is not None, security is not None)
        if security is not None and security.challenges:
            self._move("challenged")
            yield from self._authenticate(response)
        else:
            self._move("accepted")

    def _take_initiate_response(self, information: bytes) -> None:
        if not information:
            return
        if self.security is not None and self.security.is_ciphered(information):
            information = self.security.unprotect(information)
        if information[0] == ConfirmedServiceError.TAG:
            raise ConfirmedServiceError.from_bytes(information).error()
        granted = InitiateResponse.from_bytes(information)
        self._vaa_name = granted.vaa_name
        self.conformance = granted.conformance
        if granted.max_pdu >= MIN_PDU:
            self.server_max_pdu = granted.max_pdu

    def _authenticate(self, response: AssociationResponse) -> Conversation:
        """HLS pass 3 and 4: reply_to_HLS_authentication of the current association."""
        security = self.security
        if security is None or response.authentication is None:
            raise ProtocolError("missing_challenge", "the meter accepted HLS but sent no challenge")
        from edge_agent.dlms.obis import CURRENT_ASSOCIATION  # noqa: PLC0415

        method = CosemAttribute(15, CURRENT_ASSOCIATION, 1)
        token = security.reply_to_challenge(response.authentication)
        answer = yield from self._exchange(ActionRequestNormal(method, (9, token), self._next_invoke()))
        if not isinstance(answer, ActionResponseNormal):
            raise ProtocolError("unexpected_apdu", "expected an ACTION-Response in the authentication")
        returned = answer.result.returned
        if answer.result.result != 0 or returned is None or returned.data is None:
            self._move("rejected")
            message = (
                "the meter refused the proof of the keys (HLS): check the key, authentication key and system title"
            )
            raise AssociationRejectedError(
                "wrong_key", message, answer.result.result, DIAGNOSTIC_AUTHENTICATION_FAILURE
            )
        security.check_server_reply(returned.data[1])
        self._move("authenticated")

    def release(self) -> Conversation:
        """RLRQ; whatever the answer, the association is over."""
        self._move("RLRQ")
        request = ReleaseRequest()
        security = self.security
        if security is not None and security.ciphered:
            request.user_information = security.protect(InitiateRequest(self.proposed, self.max_pdu).to_bytes())
        try:
            answer = yield request.to_bytes()
            if answer and answer[0] == ReleaseResponse.TAG:
                ReleaseResponse.from_bytes(answer)
        except DecodeError:
            pass  # an RLRE is optional, and some meters malform it: the link goes down next in any case
        finally:
            self.state = CLOSED

    def _next_invoke(self) -> int:
        self._invoke = self._invoke % 15 + 1
        return 0x40 | self._invoke

    def _check_invoke(self, sent: int, found: int) -> bool:
        """Whether an answer belongs to the request; a peer that never repeats the invoke-id is taken at its word."""
        same = sent & 0x0F == found & 0x0F
        if self._echoes is None:
            self._echoes = same
        return same or not self._echoes

    def _ask(self, request: Any) -> Conversation:
        """Send a request of GET, SET or ACTION; answers to earlier requests are passed over."""
        self._move("request")
        answer = yield from self._exchange(request)
        for _ in range(4):
            if self._check_invoke(request.invoke, answer.invoke if hasattr(answer, "invoke") else request.invoke):
                return answer
            more = yield b""
            if not more:
                break
            answer = self._incoming((yield from self._whole(more)))
        raise ProtocolError("wrong_invoke_id", "the meter answers earlier requests, and not this one")

    def get(self, attribute: CosemAttribute, selection: Selection | None = None) -> Conversation:
        """The Data of one attribute, block by block where the meter says so; DataAccessError where it refuses."""
        what = repr(attribute)
        request = GetRequestNormal(attribute, selection, self._next_invoke())
        answer = yield from self._ask(request)
        if isinstance(answer, GetResponseBlock):
            return decode_all((yield from self._blocks(answer, request.invoke, what)))
        if not isinstance(answer, GetResponseNormal):
            raise ProtocolError("unexpected_apdu", f"expected a GET-Response, the meter sent {type(answer).__name__}")
        self._move("response")
        if answer.result.data is None:
            raise _results.access_error(answer.result.error, what)
        return answer.result.data

    def get_list(self, items: list[tuple[CosemAttribute, Selection | None]]) -> Conversation:
        """A GetResult for each attribute: in one request where the meter grants it, else one by one."""
        if not self.conformance & MULTIPLE_REFERENCES:
            found = []
            for attribute, selection in items:
                try:
                    found.append(GetResult((yield from self.get(attribute, selection))))
                except DlmsError as error:
                    number = getattr(error, "result", None)
                    if number is None:
                        raise
                    found.append(GetResult(None, number))
            return found
        request = GetRequestWithList(items, self._next_invoke())
        answer = yield from self._ask(request)
        if isinstance(answer, GetResponseBlock):
            reader = Reader((yield from self._blocks(answer, request.invoke, "the list")))
            results = [GetResult.read(reader) for _ in range(min(reader.length(), reader.left()))]
            reader.end()
        elif isinstance(answer, GetResponseWithList):
            self._move("response")
            results = answer.results
        else:
            raise ProtocolError("unexpected_apdu", f"expected a GET-Response, the meter sent {type(answer).__name__}")
        if len(results) != len(items):
            raise ProtocolError("wrong_count", f"{len(items)} attributes were asked for, {len(results)} came")
        return results

    def _blocks(self, block: GetResponseBlock, invoke: int, what: str) -> Conversation:
        """The bytes of a block transfer whose first block has come; a missing or doubled block is an error."""
        pieces = Pieces(MAX_TRANSFER, LEAST_BLOCK)
        number = block.block_number
        if number > 1:
            raise ProtocolError("missing_block", f"the first block has number {number}")
        while True:
            if block.raw is None:
                self._move("response")
                raise _results.access_error(block.error, what)
            if block.block_number != number:
                raise ProtocolError("missing_block", f"block {number} is due, {block.block_number} came")
            pieces.add(block.raw)
            if block.last:
                self._move("response")
                return pieces.whole()
            answer = yield from self._ask(GetRequestNext(number, invoke))
            if isinstance(answer, GetResponseNormal) and answer.result.data is None:
                self._move("response")
                raise _results.access_error(answer.result.error, what)
            if not isinstance(answer, GetResponseBlock):
                raise ProtocolError("unexpected_apdu", f"expected a data block, the meter sent {type(answer).__name__}")
            block = answer
            number += 1

    def _fits(self, request: Apdu, service: int) -> bool:
        """Whether a request goes out as one APDU: it is short enough, the transport takes any length by blocks of its
        own, or there is no other way."""
        if self.conformance & GENERAL_BLOCK_TRANSFER or not self.conformance & service:
            return True
        return len(request.to_bytes()) <= self.server_max_pdu - 24

    def set(self, attribute: CosemAttribute, value: Data, selection: Selection | None = None) -> Conversation:
        """Write one attribute, in blocks where it does not fit the meter's APDU; DataAccessError where it refuses."""
        what = repr(attribute)
        invoke = self._next_invoke()
        request: Apdu = SetRequestNormal(attribute, value, selection, invoke)
        room = self.server_max_pdu - 64
        if self._fits(request, BLOCK_SET):
            answer = yield from self._ask(request)
        else:
            raw = encode(value)
            room = max(room, 8)
            number = 1
            request = SetRequestFirstBlock(attribute, selection, len(raw) <= room, number, raw[:room], invoke)
            while True:
                answer = yield from self._ask(request)
                raw = raw[room:]
                if not raw or not isinstance(answer, SetResponseBlock):
                    break
                if answer.block_number != number:
                    raise ProtocolError("missing_block", f"block {number} was sent, {answer.block_number} acknowledged")
                number += 1
                request = SetRequestBlock(len(raw) <= room, number, raw[:room], invoke)
        self._move("response")
        if not isinstance(answer, (SetResponseNormal, SetResponseLastBlock)):
            raise ProtocolError("unexpected_apdu", f"expected a SET-Response, the meter sent {type(answer).__name__}")
        if answer.result != 0:
            raise _results.access_error(answer.result, what)

    def action(self, method: CosemAttribute, parameters: Data | None = None) -> Conversation:
        """Call one method; what it returns as Data, or None. DataAccessError where the meter refuses."""
        what = repr(method)
        invoke = self._next_invoke()
        request: Apdu = ActionRequestNormal(method, parameters, invoke)
        room = self.server_max_pdu - 64
        if parameters is None or self._fits(request, BLOCK_ACTION):
            answer = yield from self._ask(request)
        else:
            raw = encode(parameters)
            room = max(room, 8)
            number = 1
            request = ActionRequestBlock(method, len(raw) <= room, number, raw[:room], invoke)
            while True:
                answer = yield from self._ask(request)
                raw = raw[room:]
                if not raw or not isinstance(answer, ActionResponseNext):
                    break
                number += 1
                request = ActionRequestBlock(None, len(raw) <= room, number, raw[:room], invoke)
        result: ActionResult
        if isinstance(answer, ActionResponseBlock):
            result = yield from self._action_blocks(answer, invoke)
        elif isinstance(answer, ActionResponseNormal):
            result = answer.result
        else:
            message = f"an ACTION-Response is due, the meter sent {type(answer).__name__}"
            raise ProtocolError("unexpected_apdu", message)
        self._move("response")
        if result.result != 0:
            raise _results.access_error(result.result, what)
        if result.returned is None:
            return None
        if result.returned.data is None:
            raise _results.access_error(result.returned.error, what)
        return result.returned.data

    def _action_blocks(self, block: ActionResponseBlock, invoke: int) -> Conversation:
        pieces = Pieces(MAX_TRANSFER, LEAST_BLOCK)
        number = block.block_number
        if number > 1:
            raise ProtocolError("missing_block", f"the first block has number {number}")
        while True:
            if block.block_number != number:
                raise ProtocolError("missing_block", f"block {number} is due, {block.block_number} came")
            pieces.add(block.raw)
            if block.last:
                reader = Reader(pieces.whole())
                result = ActionResult.read(reader)
                reader.end()
                return result
            answer = yield from self._ask(ActionRequestNext(number, invoke))
            if not isinstance(answer, ActionResponseBlock):
                raise ProtocolError("unexpected_apdu", f"expected a data block, the meter sent {type(answer).__name__}")
            block = answer
            number += 1


def _short_names(response: AssociationResponse) -> AssociationRejectedError:
    message = (
        "the meter is read by short names, an older form of DLMS that is not spoken here: read it out by its sign-on "
        "(--mode-c), or ask its supplier for a client address with logical names"
    )
    return AssociationRejectedError("context_not_supported", message, response.result, response.diagnostic)


def _rejection(response: AssociationResponse, password: bool, keys: bool) -> AssociationRejectedError:
    """A refusal as a typed error whose message says what to change."""
    diagnostic = response.diagnostic
    reason = DIAGNOSTICS.get(diagnostic, f"diagnostic {diagnostic}")
    if response.diagnostic_source != SOURCE_USER:
        code, reason = "association_rejected", f"the provider gave diagnostic {diagnostic}"
        advice = "check the DLMS version and the client address"
    elif diagnostic == DIAGNOSTIC_AUTHENTICATION_FAILURE and keys:
        code, advice = "wrong_key", "check the key, the authentication key and the system title"
    elif diagnostic == DIAGNOSTIC_AUTHENTICATION_FAILURE:
        code, advice = "wrong_password", "check the password" if password else "this client needs a password or key"
    elif diagnostic in (DIAGNOSTIC_AUTHENTICATION_REQUIRED, DIAGNOSTIC_MECHANISM_REQUIRED):
        code, advice = "authentication_required", "this client address needs authentication: use --auth"
    elif diagnostic == DIAGNOSTIC_MECHANISM_NOT_RECOGNISED:
        code, advice = "mechanism_not_supported", "this client address uses another authentication: change --auth"
    elif diagnostic == DIAGNOSTIC_CONTEXT_NOT_SUPPORTED:
        code, advice = "context_not_supported", "the meter wants another application context (ciphered or not)"
    else:
        code, advice = "association_rejected", "check the client address, the authentication and the password"
    how = "for now" if response.result == RESULT_REJECTED_TRANSIENT else "for good"
    message = f"the meter rejected the association {how}: {reason}; {advice}"
    return AssociationRejectedError(code, message, response.result, diagnostic)
