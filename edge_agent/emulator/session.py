"""A client's session with an emulated meter: its keys outlive the session, and its block transfers may go wrong."""

from __future__ import annotations

import hashlib

from edge_agent.dlms.apdu.action_response import ActionResult
from edge_agent.dlms.apdu.conformance import DEFAULT, GENERAL_BLOCK_TRANSFER
from edge_agent.dlms.apdu.exception_response import SERVICE_OTHER_REASON, STATE_NOT_ALLOWED, ExceptionResponse
from edge_agent.dlms.apdu.general_block_transfer import GeneralBlockTransfer
from edge_agent.dlms.apdu.results import READ_WRITE_DENIED
from edge_agent.dlms.cosem.security_setup import SecuritySetup
from edge_agent.dlms.security import Security
from edge_agent.dlms.server import ServerSession
from edge_agent.emulator.config import ClientConfig
from edge_agent.emulator.meter import EmulatedMeter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.apdu.base import CosemAttribute
    from edge_agent.dlms.axdr import Data


class EmulatedSession(ServerSession):
    """A session whose meter may lose, double, disorder or break off the blocks that it sends."""

    def __init__(self, meter: EmulatedMeter, client: ClientConfig, security: Security | None) -> None:
        window = meter.config.block_window
        super().__init__(
            meter.objects,
            None if client.password is None else client.password.encode("utf-8"),
            security,
            DEFAULT | GENERAL_BLOCK_TRANSFER if window else DEFAULT,
            meter.config.max_pdu,
            window or 1,
        )
        self._meter = meter

    def handle(self, data: bytes) -> list[bytes]:
        """As any server, with what the meter's fault makes of a stream of blocks."""
        answers = super().handle(data)
        if self._meter.block_fault is not None and answers and answers[0][:1] == b"\xe0":
            block = GeneralBlockTransfer.from_bytes(answers[0])
            if block.block_number > 1 and block.raw:
                fault, self._meter.block_fault = self._meter.block_fault, None
                return spoilt(fault, answers)
        return answers

    def _call(self, method: CosemAttribute, parameters: Data | None) -> ActionResult:
        # The security setup belongs to the associations with keys.
        if self.security is None and method.class_id == SecuritySetup.CLASS_ID:
            return ActionResult(READ_WRITE_DENIED)
        return super()._call(method, parameters)


def spoilt(fault: str, stream: list[bytes]) -> list[bytes]:
    """What becomes of a stream of blocks; the fault meets the one in its midst."""
    middle = (len(stream) - 1) // 2
    if fault == "lost_block":
        return stream[:middle] + stream[middle + 1 :]
    if fault == "doubled_block":
        return stream[: middle + 1] + stream[middle:]
    if fault == "swapped_blocks":
        return stream[:middle] + stream[middle : middle + 2][::-1] + stream[middle + 2 :]
    if fault == "refused_block":
        return [*stream[:middle], ExceptionResponse(STATE_NOT_ALLOWED, SERVICE_OTHER_REASON).to_bytes()]
    block = GeneralBlockTransfer.from_bytes(stream[middle])
    if fault == "aborted_blocks":
        aborted = GeneralBlockTransfer(True, block.block_number, block.acknowledged, b"", window=block.window)
        return [*stream[:middle], aborted.to_bytes()]
    # endless_blocks: the same again and again, and none is the last
    out = stream[:middle]
    for number in range(block.block_number, block.block_number + 400):
        more = GeneralBlockTransfer(False, number, block.acknowledged, bytes(4000), True, block.window)
        out.append(more.to_bytes())
    return out


def new_session(meter: EmulatedMeter, client: ClientConfig) -> ServerSession:
    """A session of one client with one meter; under gmac the keys' counters outlive it."""
    if client.key is None or client.auth_key is None:
        return EmulatedSession(meter, client, None)
    security = meter.security.get(client.address)
    if security is None:
        security = Security(
            system_title=meter.config.system_title,
            key=client.key,
            authentication_key=client.auth_key,
            next_counter=meter.next_counter,
            challenge=hashlib.sha256(meter.config.system_title + client.key).digest()[:16],
            ciphered=client.ciphering != "none",
            general=client.ciphering == "general",
            policy=meter.security_policy,
        )
        meter.security[client.address] = security
    return EmulatedSession(meter, client, security)
