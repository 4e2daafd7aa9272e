"""Receipts for frames that were logged now or before, and the head from which a gateway resumes (docs/PROTOCOL.md)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.collector.frames import Answer, Before, Gap, Ingested, Logged
from authority.log import log, merkle, tree
from authority.log.log import SignedCheckpoint
from authority.log.tree import Growth
from authority.store.metering import Frame as LoggedFrame
from authority.store.metering import Meter, MeterKey
from edge_agent.wire.reading import CODE_NUMBERS, VERDICTS, proof_receipt


@dataclass(frozen=True, slots=True)
class Decided:
    """A batch's answers, one a frame, and what else it moved."""

    answers: list[Answer]
    later: list[Logged]
    gaps: list[Gap]

    def ingested(self, receipts: Receipts) -> Ingested:
        """The same with receipts."""
        return Ingested(
            [receipts.of(answer) for answer in self.answers], [receipts.of(logged) for logged in self.later], self.gaps
        )


class Receipts:
    """Receipts `AMC2`: of this transaction's leaves by the growth's paths, of earlier ones by the store's tiles."""

    def __init__(
        self,
        session: Session,
        network_id: bytes,
        growth: Growth | None,
        checkpoint: SignedCheckpoint | None,
        now: int,
    ) -> None:
        self._session = session
        self._network_id = network_id
        self._growth = growth
        self._checkpoint = checkpoint
        self._now = now
        self._made: dict[int, bytes] = {}
        self._checkpoints: list[tuple[int, SignedCheckpoint]] = []
        """With the lowest index for which each is known to be the first."""
        self._reader = tree.TileReader(session)

    def of(self, answer: Answer) -> bytes:
        """A frame's receipt."""
        if isinstance(answer, bytes):
            return answer
        if isinstance(answer, Before):
            return answer.receipt or self._before(answer)
        receipt = self._made.get(answer.index)
        if receipt is None:
            assert self._growth is not None  # noqa: S101
            assert self._checkpoint is not None  # noqa: S101
            checkpoint = self._checkpoint
            receipt = self._made[answer.index] = proof_receipt(
                verdict=answer.verdict,
                code=CODE_NUMBERS[answer.code],
                network_id=self._network_id,
                meter_key=answer.key.public_key,
                record_hash=answer.checked.hash,
                sequence=answer.record.sequence,
                log_index=answer.index,
                time=self._now,
                size=checkpoint.size,
                signature=checkpoint.signature,
                path=self._growth.path(answer.index),
            )
        return receipt

    def _before(self, answer: Before) -> bytes:
        checkpoint = self._covering(answer.index)
        return proof_receipt(
            verdict=answer.verdict,
            code=CODE_NUMBERS[answer.code],
            network_id=self._network_id,
            meter_key=answer.public_key,
            record_hash=answer.record_hash,
            sequence=answer.sequence,
            log_index=answer.index,
            time=answer.time,
            size=checkpoint.size,
            signature=checkpoint.signature,
            path=b"".join(merkle.inclusion_proof(answer.index, checkpoint.size, self._reader.node)),
        )

    def _covering(self, index: int) -> SignedCheckpoint:
        """The checkpoint that was signed with the leaf: the first whose tree has it."""
        for lowest, known in self._checkpoints:
            if lowest <= index < known.size:
                return known
        found = log.checkpoint_after(self._session, index, self._network_id)
        assert found is not None  # noqa: S101 - each commit of readings signs one
        self._checkpoints.append((index, found))
        return found


def head(session: Session, meter: Meter) -> bytes | None:
    """A meter's last logged frame (192) and its receipt, from which a gateway resumes; None before the first."""
    heads = session.scalars(select(MeterKey.head_log_index).where(MeterKey.meter_pk == meter.id))
    newest = max((index for index in heads if index is not None), default=None)
    logged = None if newest is None else session.get(LoggedFrame, newest)
    if logged is None:
        return None
    before = Before(
        logged.public_key,
        logged.sequence,
        logged.log_index,
        logged.record_hash,
        VERDICTS.index(logged.verdict),
        logged.code,
        logged.received_at,
        logged.receipt,
    )
    return logged.frame + Receipts(session, log.network_id(session), None, None, 0).of(before)
