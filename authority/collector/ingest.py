"""The one path by which frames enter: authenticity, policy, log, receipt (docs/PROTOCOL.md).

Frames of any number of callers are taken together: whoever holds the commit lock takes all that wait, appends them to
the log in one transaction, and only when that is durable does anybody get a receipt. The transaction locks the log, so
a second process cannot ingest between its reading and its writing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from authority.app import App
from authority.collector import policy
from authority.collector.policy import MeterFacts
from authority.errors import AuthorityError
from authority.log import log
from authority.log.log import ReadingLeaf
from authority.store import metering
from authority.store.metering import Frame as LoggedFrame
from authority.store.metering import Incident, Meter, MeterKey, ParkedFrame
from edge_agent.wire.reading import (
    CODE_NUMBERS,
    MAX_FRAMES,
    NO_LOG_INDEX,
    TRUNCATED_HASH_SIZE,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    VERDICT_PARKED,
    VERDICT_REFUSED,
    VERDICTS,
    ZERO_HASH,
    Frame,
    ReadingError,
    Receipt,
    Record,
    record_hash,
    split_frames,
)

logger = logging.getLogger(__name__)

MAX_PARKED = 256
"""Frames parked for one key, and how far ahead of the expected sequence one may be."""
MAX_INCIDENTS = 64
"""Refused forks kept of one key: enough to prove it, too few to fill a disk."""
MAX_WAITING = 8_192
"""Frames that may wait for the commit lock."""
MAX_GROUP = 2_048
"""Frames in one transaction."""
LAST_SEQUENCE = 0xFFFF_FFFF


class CollectorError(AuthorityError):
    """malformed (these are no frames), too_many, busy (try again soon) or unavailable (the store does not answer)."""


@dataclass(frozen=True)
class Gap:
    """Records are missing: the gateway should send again from this sequence of this meter (its name)."""

    meter: str
    sequence: int


@dataclass(frozen=True)
class Ingested:
    """receipts: one a frame, in order. later: receipts of parked frames that these let in. gaps: what to ask for."""

    receipts: list[bytes]
    later: list[bytes]
    gaps: list[Gap]


@dataclass
class _Checked:
    """A frame with what can be said of it without the store."""

    frame: Frame
    record: Record | None
    hash: bytes
    genuine: bool


@dataclass
class _Batch:
    frames: list[_Checked]
    gateway: str
    meter: str | None
    over: str
    done: threading.Event = field(default_factory=threading.Event)
    result: Ingested | None = None
    error: CollectorError | None = None


def signature_is_valid(frame: Frame) -> bool:
    """Whether the validator's Ed25519 precompile would take this signature.

    solders verifies as the validator does (ed25519-dalek's verify_strict): keys and signatures of small order, and
    encodings that are not canonical, are refused, which RFC 8032 leaves open and `cryptography` accepts.
    """
    return Signature(frame.signature).verify(Pubkey(frame.public_key), frame.record_bytes)


def _check_frame(frame: Frame) -> _Checked:
    try:
        record = frame.record
    except ReadingError:
        return _Checked(frame, None, record_hash(frame.record_bytes), False)
    return _Checked(frame, record, record_hash(frame.record_bytes), signature_is_valid(frame))


class Collector:
    """Takes frames from any thread. One is enough for a process, and one process for a deployment."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._waiting: list[_Batch] = []
        self._waiting_lock = threading.Lock()
        self._commit_lock = threading.Lock()

    def ingest(self, data: bytes, *, gateway: str, meter: str | None, over: str) -> Ingested:
        """Take concatenated frames that a gateway sent; returns when every one of them is decided and durable.

        gateway is the certificate's name, meter the topic's (None over HTTPS): a frame whose key is not theirs is
        refused as unknown. over is "https" or "mqtt". CollectorError `malformed` and `too_many` are the sender's,
        `busy` and `unavailable` pass: send the same again.
        """
        try:
            frames = split_frames(data)
        except ReadingError as error:
            raise CollectorError("malformed", str(error)) from error
        if len(frames) > MAX_FRAMES:
            raise CollectorError("too_many", f"send at most {MAX_FRAMES} frames at a time, these are {len(frames)}")
        batch = _Batch([_check_frame(frame) for frame in frames], gateway, meter, over)
        with self._waiting_lock:
            if sum(len(waiting.frames) for waiting in self._waiting) + len(frames) > MAX_WAITING:
                raise CollectorError(
                    "busy", "more frames are waiting than the store takes; send again in a few seconds"
                )
            self._waiting.append(batch)
        while not batch.done.is_set():
            with self._commit_lock:
                if not batch.done.is_set():
                    self._commit(self._take())
        if batch.error is not None:
            raise batch.error
        assert batch.result is not None  # noqa: S101
        return batch.result

    def _take(self) -> list[_Batch]:
        with self._waiting_lock:
            taken, frames = 0, 0
            while taken < len(self._waiting) and (not taken or frames + len(self._waiting[taken].frames) <= MAX_GROUP):
                frames += len(self._waiting[taken].frames)
                taken += 1
            group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return group

    def _commit(self, group: Sequence[_Batch]) -> None:
        """Decide a group in one transaction; where that fails, each batch alone, so that none spoils another's."""
        try:
            with self._app.store.write() as session:
                ingestion = _Ingestion(self._app, session)
                results = [ingestion.take(batch) for batch in group]
                ingestion.finish()
        except Exception as error:
            if len(group) > 1:
                for batch in group:
                    self._commit([batch])
                return
            logger.exception("frames of gateway %s could not be stored", group[0].gateway)
            group[0].error = CollectorError("unavailable", "the store does not answer; send the same again")
            group[0].error.__cause__ = error
        else:
            for batch, result in zip(group, results, strict=True):
                batch.result = result
        finally:
            for batch in group:
                if batch.result is None and batch.error is None:  # the process is being ended
                    batch.error = CollectorError("unavailable", "the collector is stopping; send the same again")
                batch.done.set()


class _Ingestion:
    """One transaction's work. Log indexes are given out as frames are decided, and the leaves appended at the end."""

    def __init__(self, app: App, session: Session) -> None:
        self._home = app.home
        self._settings = app.home.settings
        self._signer: Keypair = app.home.receipt_key
        self._session = session
        self._now = app.clock()
        self._first = log.lock(session)
        self._leaves: list[bytes] = []
        self._logged: dict[tuple[bytes, int], LoggedFrame] = {}
        self._last: dict[int, Record | None] = {}
        self._keys: dict[bytes, MeterKey | None] = {}
        self._parked: dict[bytes, set[int]] = {}

    def take(self, batch: _Batch) -> Ingested:
        """Decide a batch's frames, lowest sequence first; nobody may see the result before it is durable."""
        receipts: dict[int, bytes] = {}
        parked: dict[int, tuple[bytes, int]] = {}
        later: list[LoggedFrame] = []
        gaps: dict[str, int] = {}
        order = sorted(
            range(len(batch.frames)),
            key=lambda n: record.sequence if (record := batch.frames[n].record) is not None else 0,
        )
        for n in order:
            checked = batch.frames[n]
            receipt, let_in = self._decide(checked, batch)
            receipts[n] = receipt
            later += let_in
            if receipt[4] == VERDICT_PARKED and checked.record is not None:
                parked[n] = (checked.frame.public_key, checked.record.sequence)
        for n, where in parked.items():
            logged = self._logged.get(where)
            if logged is not None and logged.record_hash == batch.frames[n].hash:
                receipts[n] = logged.receipt
                later = [frame for frame in later if frame is not logged]
                continue
            key = self._keys[where[0]]
            assert key is not None  # noqa: S101
            gaps[key.meter.name] = key.next_sequence
        return Ingested(
            [receipts[n] for n in range(len(batch.frames))],
            [frame.receipt for frame in later],
            [Gap(name, sequence) for name, sequence in gaps.items()],
        )

    def finish(self) -> None:
        """Append the leaves to the log, at the indexes that the receipts already name."""
        if self._leaves:
            first = log.append_all(self._session, self._leaves)
            assert first == self._first  # noqa: S101

    def _key(self, public_key: bytes) -> MeterKey | None:
        if public_key not in self._keys:
            self._keys[public_key] = self._session.scalar(
                select(MeterKey)
                .where(MeterKey.public_key == public_key)
                .options(joinedload(MeterKey.meter).joinedload(Meter.installation))
            )
        return self._keys[public_key]

    def _decide(self, checked: _Checked, batch: _Batch) -> tuple[bytes, list[LoggedFrame]]:
        """A frame's receipt, and the parked frames that it let in."""
        frame, record = checked.frame, checked.record
        if record is None:
            return self._refuse(checked, "malformed", 0), []
        key = self._key(frame.public_key)
        if (
            key is None
            or key.meter.gateway_name != batch.gateway
            or (batch.meter is not None and key.meter.name != batch.meter)
        ):
            return self._refuse(checked, "unknown_meter", 0), []
        if not checked.genuine:
            return self._refuse(checked, "bad_signature", key.next_sequence), []
        if record.network_id != self._home.network_id:
            return self._refuse(checked, "wrong_network", key.next_sequence), []
        if record.sequence < key.next_sequence:
            kept = self._at(frame.public_key, record.sequence)
            if kept is not None and kept.record_hash == checked.hash:
                return kept.receipt, []
            return self._fork(checked, key), []
        if key.retired_at is not None:
            return self._refuse(checked, "unknown_meter", key.next_sequence), []
        if record.sequence > key.next_sequence:
            self._park(frame, record, key)
            return self._receipt(checked, VERDICT_PARKED, "sequence_gap", key.next_sequence, NO_LOG_INDEX), []
        if record.previous_hash != _expected_previous(key):
            return self._fork(checked, key), []
        logged = self._log(checked, record, key, batch.over)
        return logged.receipt, self._unpark(key, batch.over)

    def _at(self, public_key: bytes, sequence: int) -> LoggedFrame | None:
        known = self._logged.get((public_key, sequence))
        if known is not None:
            return known
        with self._session.no_autoflush:
            return self._session.scalar(
                select(LoggedFrame).where(LoggedFrame.public_key == public_key, LoggedFrame.sequence == sequence)
            )

    def _log(self, checked: _Checked, record: Record, key: MeterKey, over: str) -> LoggedFrame:
        meter = key.meter
        code = policy.check(record, self._last_of(meter), _facts(meter), self._settings, self._now)
        verdict = VERDICT_ACCEPTED if code == "ok" else VERDICT_HELD
        index = self._first + len(self._leaves)
        key.next_sequence = record.sequence + 1
        key.head_hash = checked.hash
        logged = LoggedFrame(
            log_index=index,
            meter_pk=meter.id,
            public_key=checked.frame.public_key,
            sequence=record.sequence,
            interval_end=record.interval_end,
            record_hash=checked.hash,
            frame=checked.frame.to_bytes(),
            verdict=VERDICTS[verdict],
            code=code,
            receipt=self._receipt(checked, verdict, code, key.next_sequence, index),
            received_at=self._now,
            over=over,
            disposition=metering.DISPOSITION_ACCEPTED if code == "ok" else metering.DISPOSITION_HELD,
            chain_status=metering.CHAIN_PENDING,
        )
        self._session.add(logged)
        self._leaves.append(ReadingLeaf(verdict, CODE_NUMBERS[code], self._now, checked.frame).to_bytes())
        self._logged[checked.frame.public_key, record.sequence] = logged
        if code == "ok":
            self._last[meter.id] = record
        return logged

    def _last_of(self, meter: Meter) -> Record | None:
        """The meter's last reading that an operator or the policy let pass, under whichever key."""
        if meter.id not in self._last:
            self._last[meter.id] = last_passed(self._session, meter.id)
        return self._last[meter.id]

    def _park(self, frame: Frame, record: Record, key: MeterKey) -> None:
        if record.sequence - key.next_sequence > MAX_PARKED:
            return
        parked = self._parked_of(key)
        if record.sequence in parked:
            kept = self._session.get_one(ParkedFrame, (frame.public_key, record.sequence))
            kept.frame, kept.received_at = frame.to_bytes(), self._now
            return
        parked.add(record.sequence)
        self._session.add(
            ParkedFrame(
                public_key=frame.public_key, sequence=record.sequence, frame=frame.to_bytes(), received_at=self._now
            )
        )
        self._session.flush()

    def _parked_of(self, key: MeterKey) -> set[int]:
        """The sequences that are parked of a key."""
        if key.public_key not in self._parked:
            query = select(ParkedFrame.sequence).where(ParkedFrame.public_key == key.public_key)
            self._parked[key.public_key] = set(self._session.scalars(query))
        return self._parked[key.public_key]

    def _unpark(self, key: MeterKey, over: str) -> list[LoggedFrame]:
        """Log the parked frames that now follow; one that follows another history is refused as a fork."""
        let_in: list[LoggedFrame] = []
        sequences = self._parked_of(key)
        while True:
            if key.next_sequence not in sequences:
                return let_in
            sequences.remove(key.next_sequence)
            parked = self._session.get_one(ParkedFrame, (key.public_key, key.next_sequence))
            self._session.delete(parked)
            self._session.flush()
            frame = Frame.from_bytes(parked.frame)
            record = frame.record
            checked = _Checked(frame, record, record_hash(frame.record_bytes), True)
            if record.previous_hash != _expected_previous(key):
                self._fork(checked, key)
                return let_in
            let_in.append(self._log(checked, record, key, over))

    def _fork(self, checked: _Checked, key: MeterKey) -> bytes:
        """Refuse another history, and keep the frame: two signatures at one sequence prove what the key did."""
        assert checked.record is not None  # noqa: S101
        count = self._session.scalar(
            select(func.count()).select_from(Incident).where(Incident.public_key == key.public_key)
        )
        if (count or 0) < MAX_INCIDENTS and self._session.get(Incident, checked.hash) is None:
            self._session.add(
                Incident(
                    record_hash=checked.hash,
                    public_key=key.public_key,
                    sequence=checked.record.sequence,
                    code="forked",
                    frame=checked.frame.to_bytes(),
                    received_at=self._now,
                )
            )
            self._session.flush()
        return self._refuse(checked, "forked", key.next_sequence)

    def _refuse(self, checked: _Checked, code: str, next_expected: int) -> bytes:
        return self._receipt(checked, VERDICT_REFUSED, code, next_expected, NO_LOG_INDEX)

    def _receipt(self, checked: _Checked, verdict: int, code: str, next_expected: int, index: int) -> bytes:
        receipt = Receipt(
            verdict=verdict,
            code=CODE_NUMBERS[code],
            network_id=self._home.network_id,
            meter_key=checked.frame.public_key,
            record_hash=checked.hash,
            sequence=int.from_bytes(checked.frame.record_bytes[4:8], "little"),
            next_expected=min(next_expected, LAST_SEQUENCE),
            log_index=index,
            time=self._now,
        )
        receipt.signature = bytes(self._signer.sign_message(receipt.body()))
        return receipt.to_bytes()


def _expected_previous(key: MeterKey) -> bytes:
    return key.head_hash[:TRUNCATED_HASH_SIZE] if key.head_hash is not None else ZERO_HASH


def _facts(meter: Meter) -> MeterFacts:
    return MeterFacts(
        active=meter.state == metering.METER_ACTIVE,
        role=meter.role,
        source=meter.source_code,
        nameplate_w=meter.installation.nameplate_w,
        storage_wh=meter.installation.storage_wh,
    )


def last_passed(session: Session, meter_pk: int) -> Record | None:
    """A meter's last accepted or released reading; what the next one's step is measured from."""
    frame = session.scalar(
        select(LoggedFrame.frame)
        .where(
            LoggedFrame.meter_pk == meter_pk,
            LoggedFrame.disposition.in_((metering.DISPOSITION_ACCEPTED, metering.DISPOSITION_RELEASED)),
        )
        .order_by(LoggedFrame.sequence.desc())
        .limit(1)
    )
    return None if frame is None else Frame.from_bytes(frame).record


def head(session: Session, meter: Meter) -> bytes | None:
    """A meter's last logged frame (192) and its receipt (168), from which a gateway resumes; None before the first."""
    logged = session.scalar(
        select(LoggedFrame).where(LoggedFrame.meter_pk == meter.id).order_by(LoggedFrame.sequence.desc()).limit(1)
    )
    return None if logged is None else logged.frame + logged.receipt
