"""The authority's heads: a meter signs nothing before its own is known, and continues from the later of head and
journal."""

from __future__ import annotations

from collections.abc import Callable

from edge_agent import log
from edge_agent.agent.gateway import Gateway, RunningMeter
from edge_agent.state.keys import verify
from edge_agent.uplinks import HeadArrived, HeadFailed
from edge_agent.wire.reading import (
    FRAME_SIZE,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    BadSignatureError,
    Frame,
    ReadingError,
    Receipt,
    WrongNetworkError,
    record_hash,
)


class Heads:
    """Asks for heads, checks what comes, and sets journal and meters to go on from there.

    receipt_fault says why a receipt is not to be believed (None: it is).
    """

    def __init__(self, gateway: Gateway, receipt_fault: Callable[..., str | None]) -> None:
        self._gateway = gateway
        self._receipt_fault = receipt_fault

    def ask(self) -> None:
        """Ask for the heads that are wanted and due."""
        now = self._gateway.clock.monotonic()
        for meter in self._gateway.meters.values():
            wanted = not meter.head_known or meter.head_forced or meter.head_wanted
            if wanted and not meter.head_asked and now >= meter.head_due:
                meter.head_asked = True
                self._gateway.carrier.request_head(meter.name)

    def take_failure(self, event: HeadFailed) -> None:
        """A head could not be fetched: ask again later."""
        meter = self._gateway.meters[event.meter]
        self._later(meter, event.error.code, str(event.error), event.error.retry_after)

    def _later(self, meter: RunningMeter, code: str, reason: str, retry_after: float | None = None) -> None:
        meter.head_asked = False
        meter.head_due = self._gateway.clock.monotonic() + self._gateway.backoff(meter.head_tries, retry_after)
        meter.head_tries += 1
        if not meter.head_known or meter.head_forced:
            message = f"cannot fetch the authority's head: {reason}; nothing is signed before it has come"
            if self._gateway.board.error("head", code, message, meter=meter.name):
                log.warning("no head from the authority", meter=meter.name, code=code, reason=reason)

    def take(self, event: HeadArrived) -> None:
        """A head has come, or word that there is none."""
        meter = self._gateway.meters[event.meter]
        head: Frame | None = None
        receipt: Receipt | None = None
        if event.data is not None:
            try:
                head, receipt = self._check(meter, event.data)
            except ReadingError as error:
                self._gateway.ignore("head")
                self._later(meter, "head_invalid", f"what it sent as head is not ours: {error}")
                return
        meter.head_asked, meter.head_wanted, meter.head_tries = False, False, 0
        self._continue_from(meter, head, receipt)
        if not meter.head_known:
            self._gateway.next_read = min(self._gateway.next_read, self._gateway.clock.monotonic())
        meter.head_known = True
        self._gateway.board.clear("head", meter=meter.name)
        self._gateway.show_chain(meter)
        self._gateway.pump_due = 0.0

    def _check(self, meter: RunningMeter, data: bytes) -> tuple[Frame, Receipt]:
        """A head is a frame of our own key with the authority's receipt for it; or, before our key's first, of the key
        that this meter had before, whose registers ours continues."""
        frame, receipt = Frame.from_bytes(data[:FRAME_SIZE]), Receipt.from_bytes(data[FRAME_SIZE:])
        record = frame.record
        former = frame.public_key != meter.key
        if former and record.sequence + 1 != meter.enrolled.first_sequence:
            raise BadSignatureError("it has another meter's key")
        if record.network_id != self._gateway.credentials.network_id:
            raise WrongNetworkError("it belongs to another network")
        if not verify(frame.public_key, frame.signature, frame.record_bytes):
            raise BadSignatureError("its signature is not this meter's")
        reason = self._receipt_fault(receipt, frame, former=former)
        if reason is None and receipt.sequence != record.sequence:
            reason = "for another record"
        if reason is None and receipt.verdict not in (VERDICT_ACCEPTED, VERDICT_HELD):
            reason = "of a verdict that takes nothing"
        if reason is not None:
            raise BadSignatureError(f"its receipt is {reason}")
        return frame, receipt

    def _continue_from(self, meter: RunningMeter, head: Frame | None, receipt: Receipt | None) -> None:
        """Continue from the later of journal and head; from the head alone where the two disagree."""
        state = self._gateway.journal.meter(meter.key)
        ours = state.record
        forced, meter.head_forced = meter.head_forced, False
        if receipt is not None:
            self._gateway.journal.apply([receipt], now=int(self._gateway.clock.time()))
        theirs = None if head is None else head.record
        head_bytes = None if head is None else head.record_bytes
        if theirs is None and ours is None:
            return
        if theirs is None or (ours is not None and theirs.sequence < ours.sequence):
            # The authority is behind: everything from its next record on must come from the journal.
            following = meter.enrolled.first_sequence if theirs is None else theirs.sequence + 1
            agrees = theirs is None or self._gateway.journal.agrees(
                meter.key, theirs.sequence, record_hash(head_bytes or b"")
            )
            if agrees and not forced:
                if self._gateway.journal.holds_sequence(meter.key, following):
                    self._gateway.journal.requeue(meter.key, following)
                    self._gateway.board.clear("behind", meter=meter.name)
                else:
                    self._behind(meter, following)
                return
        elif ours is not None and theirs.sequence == ours.sequence and head_bytes == state.record_bytes and not forced:
            return
        if forced and ours is not None and head_bytes == state.record_bytes:
            return  # the refused frames were superseded before: we stand at the head already
        self._gateway.journal.resume_from(meter.key, head_bytes, now=int(self._gateway.clock.time()))
        meter.due.clear()
        meter.tries.clear()
        meter.read_boundary = None
        log.warning(
            "continuing from the authority's head",
            meter=meter.name,
            head=None if theirs is None else theirs.sequence,
            journal=None if ours is None else ours.sequence,
        )

    def _behind(self, meter: RunningMeter, sequence: int) -> None:
        new = self._gateway.board.error(
            "behind",
            "authority_behind",
            f"the authority expects record {sequence}, for which it gave a receipt, and this gateway no longer has it; "
            "was the authority restored from an old backup? Restore a newer one, or enrol the meter with a new key",
            meter=meter.name,
        )
        if new:
            log.error("the authority has lost records for which it gave receipts", meter=meter.name, expects=sequence)
