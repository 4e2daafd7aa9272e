"""Publishing: frames go up oldest first and go again until the authority's signed receipt says that it has them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from edge_agent import log
from edge_agent.agent.gateway import Gateway, RunningMeter
from edge_agent.state.journal import JournalEntry
from edge_agent.state.keys import verify
from edge_agent.uplinks import Batch, BatchFailed, BatchSent, CommandArrived, LinkChanged, ReceiptsArrived
from edge_agent.wire.reading import (
    CODES,
    MAX_FRAMES,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    VERDICT_PARKED,
    VERDICT_REFUSED,
    Frame,
    ReadingError,
    Receipt,
    split_receipts,
)

MAX_RECEIPTS = 4096
"""Receipts taken from one message; each costs a signature check."""


class Publishing:
    """Hands frames to the uplink, and takes what comes back: receipts, commands, links that come and go."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._links: dict[str, bool] = {}
        self._checkpoint: tuple[bytes, bytes] | None = None
        """The signature that was last found good and what it signs: the receipts of one message prove one tree."""

    def pump(self) -> None:
        """Hand frames that are due to the uplink: oldest first, in batches, a bounded number without a receipt.

        What goes for the first time goes together, all meters' frames of a boundary in one message; what goes again
        goes meter by meter, so that one meter's trouble is its own.
        """
        now = self._gateway.clock.monotonic()
        if now < self._gateway.pump_due:
            return
        window = max(1, self._gateway.config.uplink.in_flight // len(self._gateway.meters))
        next_due = now + self._gateway.resend
        size = min(self._gateway.config.uplink.batch, MAX_FRAMES)
        fresh: list[tuple[RunningMeter, JournalEntry]] = []
        for meter in self._gateway.meters.values():
            if now < meter.hold_until:
                next_due = min(next_due, meter.hold_until)
                continue
            held = self._gateway.journal.waiting(meter.key, window)
            if held and held[0].code is not None and CODES.get(held[0].code) == "unknown_meter":
                held = held[:1]  # one is enough to learn when the operator has enrolled the meter
            ids = {entry.id for entry in held}
            meter.due = {number: at for number, at in meter.due.items() if number in ids}
            meter.tries = {number: tries for number, tries in meter.tries.items() if number in ids}
            ready = [entry for entry in held if meter.due.get(entry.id, now) <= now]
            fresh += [(meter, entry) for entry in ready if entry.id not in meter.tries]
            again = [(meter, entry) for entry in ready if entry.id in meter.tries]
            for start in range(0, len(again), size):
                self._send(again[start : start + size], now)
            next_due = min([next_due, *meter.due.values()])
        for start in range(0, len(fresh), size):
            self._send(fresh[start : start + size], now)
        next_due = min([next_due, *(meter.due[entry.id] for meter, entry in fresh)])
        self._gateway.pump_due = max(next_due, now + 0.05)

    def _send(self, entries: Sequence[tuple[RunningMeter, JournalEntry]], now: float) -> None:
        tries = max(meter.tries.get(entry.id, 0) for meter, entry in entries)
        for meter, entry in entries:
            meter.due[entry.id] = now + self._gateway.resend * self._gateway.random.uniform(1.0, 1.25)
            meter.tries[entry.id] = meter.tries.get(entry.id, 0) + 1
        batch = Batch(
            tuple(meter.name for meter, _ in entries),
            tuple(entry.id for _, entry in entries),
            tuple(self._gateway.journal.frames_of([entry for _, entry in entries])),
        )
        self._gateway.carrier.send(batch, tries)

    def take_sent(self, event: BatchSent) -> None:
        """A batch is with the authority or its broker, which proves nothing but that the link works."""
        for name, ids in event.batch.ids_by_meter.items():
            self._gateway.meters[name].failures = 0
            self._gateway.board.stage(name, "published", count=len(ids))
            self._gateway.board.clear("publish", meter=name)

    def take_failed(self, event: BatchFailed) -> None:
        """A batch did not leave: its frames go again, later each time."""
        now, error = self._gateway.clock.monotonic(), event.error
        for name, ids in event.batch.ids_by_meter.items():
            meter = self._gateway.meters[name]
            for number in ids:
                meter.due.pop(number, None)
            meter.hold_until = now + self._gateway.backoff(meter.failures, error.retry_after)
            meter.failures += 1
            self._gateway.pump_due = min(self._gateway.pump_due, meter.hold_until)
            if self._gateway.board.error("publish", error.code, str(error), meter=name):
                log.warning(
                    "readings do not leave the gateway", meter=name, via=event.via, code=error.code, reason=str(error)
                )

    def take_link(self, event: LinkChanged) -> None:
        """A link came or went. After one that came back, heads are compared and frames go at once."""
        before = self._links.get(event.via)
        self._links[event.via] = event.connected
        if not event.connected:
            assert event.error is not None  # noqa: S101 - LinkChanged says so
            if self._gateway.board.error(f"link_{event.via}", event.error.code, str(event.error)):
                log.warning("link down", via=event.via, code=event.error.code, reason=str(event.error))
            return
        if self._gateway.board.clear(f"link_{event.via}") or before is None:
            log.info("link up", via=event.via)
        now = self._gateway.clock.monotonic()
        for meter in self._gateway.meters.values():
            meter.failures = 0
            meter.hold_until = min(
                meter.hold_until, now + self._gateway.random.uniform(0.0, min(2.0, self._gateway.epoch / 20))
            )
            meter.head_wanted = meter.head_wanted or before is False
            if meter.head_wanted or not meter.head_known:
                meter.head_due = min(meter.head_due, now)
        self._gateway.pump_due = 0.0
        self._gateway.status_due = 0.0

    def receipt_fault(self, receipt: Receipt, frame: Frame | None, *, former: bool = False) -> str | None:
        """Why a receipt is not to be believed; None where it is our authority's, for our network and this frame.

        frame is what the receipt should be for, None where we hold no such record; former: it is of the key that the
        meter had before.
        """
        if receipt.network_id != self._gateway.credentials.network_id:
            return "of another network"
        if receipt.meter_key not in self._gateway.by_key and not former:
            return "for another meter"
        if frame is None:
            return "for a record that is not ours"
        try:
            signed = receipt.signed_message(frame)
        except ReadingError as error:
            return str(error)
        if (receipt.signature, signed) != self._checkpoint:
            if not verify(self._gateway.credentials.receipt_key, receipt.signature, signed):
                return "not signed by the authority's receipt key"
            self._checkpoint = receipt.signature, signed
        return None

    def take_receipts(self, event: ReceiptsArrived) -> None:
        """Receipts in one message; those that are not ours or not signed are ignored."""
        try:
            receipts = split_receipts(event.data)[:MAX_RECEIPTS]
        except ReadingError as error:
            self._gateway.ignore("malformed receipts")
            log.warning("ignored what should be receipts", via=event.via, reason=str(error))
            return
        believed, held = [], []
        for receipt in receipts:
            found = self._gateway.journal.held(receipt)
            fault = self.receipt_fault(receipt, None if found is None else found.frame)
            if fault is None:
                believed.append(receipt)
                held.append(found)
            else:
                self._gateway.ignore(f"receipts {fault}")
                log.warning("ignored a receipt", via=event.via, reason=f"it is {fault}")
        if not believed:
            return
        taken = self._gateway.journal.apply(believed, now=int(self._gateway.clock.time()), held=held)
        for (key, verdict), run in itertools.groupby(taken, lambda receipt: (receipt.meter_key, receipt.verdict)):
            meter = self._gateway.by_key[key]
            if verdict == VERDICT_ACCEPTED:
                self._take_accepted(meter, list(run))
                continue
            for receipt in run:
                self._take_receipt(meter, receipt)
        self._gateway.pump_due = 0.0

    def _take_accepted(self, meter: RunningMeter, receipts: Sequence[Receipt]) -> None:
        """Receipts of one meter that say accepted: one line in the log for all of them, as after an outage a thousand
        come in a second."""
        self._gateway.board.stage(meter.name, "receipted", count=len(receipts))
        for part in ("authority", "behind", "held"):
            self._gateway.board.clear(part, meter=meter.name)
        last = receipts[-1]
        several = {"first_sequence": receipts[0].sequence, "frames": len(receipts)} if len(receipts) > 1 else {}
        log.info("receipted", meter=meter.name, sequence=last.sequence, log_index=last.log_index, **several)

    def _take_receipt(self, meter: RunningMeter, receipt: Receipt) -> None:
        """What a receipt that does not say accepted means beyond its frame; the journal has it already."""
        name = CODES.get(receipt.code, f"code {receipt.code}")
        if receipt.verdict == VERDICT_HELD:
            self._gateway.board.stage(meter.name, "receipted")
            for part in ("authority", "behind"):
                self._gateway.board.clear(part, meter=meter.name)
            message = f"the authority holds record {receipt.sequence} back ({name}) until an operator has looked at it"
            self._gateway.board.error("held", name, message, meter=meter.name)
            log.warning("held", meter=meter.name, sequence=receipt.sequence, code=name)
            return
        now = self._gateway.clock.monotonic()
        if receipt.verdict == VERDICT_PARKED:
            log.warning("parked", meter=meter.name, sequence=receipt.sequence, expects=receipt.next_expected)
            self._fill_gap(meter, receipt.next_expected)
        elif receipt.verdict == VERDICT_REFUSED:
            message = f"the authority refuses record {receipt.sequence}: {name}"
            if name == "unknown_meter":
                message += "; it waits here until the operator has enrolled the meter's key"
                meter.hold_until = now + self._gateway.epoch * self._gateway.random.uniform(0.5, 1.0)
            else:
                message += "; the meter continues from the authority's head"
                meter.head_forced = True
                meter.head_due = now + (self._gateway.resend if meter.head_known and meter.gap_until > now else 0.0)
                meter.gap_until = now + self._gateway.resend
            if self._gateway.board.error("authority", name, message, meter=meter.name):
                log.error("refused", meter=meter.name, sequence=receipt.sequence, code=name)

    def _fill_gap(self, meter: RunningMeter, expected: int) -> None:
        """The authority lacks records from `expected` on: send them again, at most once in a resend time."""
        now = self._gateway.clock.monotonic()
        if now < meter.gap_until:
            return
        meter.gap_until = now + self._gateway.resend
        if self._gateway.journal.holds_sequence(meter.key, expected):
            self._gateway.journal.requeue(meter.key, expected)
            meter.due.clear()
            self._gateway.pump_due = 0.0
        elif not meter.head_asked:
            meter.head_asked = True
            self._gateway.carrier.request_head(meter.name)

    def take_command(self, event: CommandArrived) -> None:
        """The authority asks for records again."""
        try:
            command = json.loads(event.data)
        except (ValueError, RecursionError):
            command = None
        meter = None
        sequence = None
        if isinstance(command, dict) and command.get("command") == "resend" and isinstance(command.get("meter"), str):
            meter = self._gateway.meters.get(command["meter"])
            sequence = command.get("from")
        if meter is None or type(sequence) is not int or not 0 <= sequence <= 0xFFFF_FFFF:
            self._gateway.ignore("commands")
            log.warning("ignored a command", command=repr(event.data[:200]))
            return
        log.info("asked to send again", meter=meter.name, sequence=sequence)
        self._fill_gap(meter, sequence)
