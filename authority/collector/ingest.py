"""The one path by which frames enter: authenticity, standing, policy, log, receipt (docs/PROTOCOL.md).

One long file: a group of frames is decided, logged and answered in one transaction, and its steps share what they read.

Frames of any number of callers are taken together: whoever holds the commit lock takes all that wait, decides them on
what a handful of statements read, appends them to the log, writes them as sets in one transaction, and signs one
checkpoint for all. Only when that is durable does anybody get a receipt, which is the record's path to the
checkpoint. The transaction locks the log, so a second process cannot ingest between its reading and its writing.
Nothing is kept in memory from one transaction to the next: what an operator released, a new key, a revoked gateway
hold at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from authority.app import App
from authority.collector import policy, standing
from authority.collector.faults import Faults
from authority.collector.policy import MeterFacts
from authority.collector.standing import Shown, Standing, StandingError
from authority.errors import AuthorityError
from authority.log import log, merkle, tree
from authority.log.log import SignedCheckpoint
from authority.log.tree import Growth
from authority.store import metering
from authority.store.base import table_of
from authority.store.metering import Frame as LoggedFrame
from authority.store.metering import Incident, Meter, MeterKey, ParkedFrame
from authority.store.people import Installation
from authority.store.rows import insert_rows
from edge_agent.wire.reading import (
    CODE_NUMBERS,
    LAST_SEQUENCE,
    MAX_FRAMES,
    NO_LOG_INDEX,
    SOURCES,
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
    proof_receipt,
    reading_leaf,
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
LINGER_SECONDS = 0.01
"""How long a commit waits for callers on their way (or to come, where many come), so that they share it."""


class CollectorError(AuthorityError):
    """What came is not taken.

    malformed (these are no frames), too_many, not_authenticated or wrong_gateway (this gateway may not speak); or for a
    while only: busy (try again soon), unavailable (the store does not answer).
    """


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


@dataclass(frozen=True)
class Sent:
    """What a gateway sent at once: frames one after another.

    gateway is the certificate's name, meter the topic's (None: of any of the gateway's meters); shown is the
    certificate where the transport has it (authority.collector.standing). over is "https" or "mqtt".
    """

    data: bytes
    gateway: str
    meter: str | None
    over: str
    shown: Shown | None = None


@dataclass(slots=True)
class _Checked:
    """A frame with what can be said of it without the store."""

    frame: Frame
    record: Record | None
    hash: bytes
    genuine: bool


@dataclass(slots=True)
class _Logged:
    """A frame that this transaction logs."""

    checked: _Checked
    record: Record
    key: _Key
    verdict: int
    code: str
    index: int
    over: str


@dataclass
class _Batch:
    frames: list[_Checked]
    sent: Sent
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


def _checked(sent: Sent) -> _Batch:
    if sent.shown == standing.NO_CERTIFICATE:  # no signature is verified for a stranger
        raise CollectorError("not_authenticated", standing.NEEDS_CERTIFICATE)
    try:
        frames = split_frames(sent.data)
    except ReadingError as error:
        raise CollectorError("malformed", str(error)) from error
    if len(frames) > MAX_FRAMES:
        raise CollectorError("too_many", f"send at most {MAX_FRAMES} frames at a time, these are {len(frames)}")
    return _Batch([_check_frame(frame) for frame in frames], sent)


class Collector:
    """Takes frames from any thread. One is enough for a process, and one process for a deployment."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._waiting: list[_Batch] = []
        self._arriving = 0
        self._arrived = threading.Condition()
        """Guards the two above; notified when nobody is arriving any more."""
        self._shared = False
        """Whether the last group was of several callers."""
        self._commit_lock = threading.Lock()
        self._faults = Faults(logger)

    def ingest(
        self, data: bytes, *, gateway: str, meter: str | None, over: str, shown: Shown | None = None
    ) -> Ingested:
        """Take concatenated frames that a gateway sent (as in Sent); returns when every one is decided and durable.

        A frame whose key is not the gateway's, or not the meter's, is refused as unknown. CollectorError `busy` and
        `unavailable` pass: send the same again; the other codes are the sender's.
        """
        (outcome,) = self.ingest_all([Sent(data, gateway, meter, over, shown)])
        if isinstance(outcome, CollectorError):
            raise outcome
        return outcome

    def ingest_all(self, sent: Sequence[Sent]) -> list[Ingested | CollectorError]:
        """Take what several gateways sent, in one commit where it fits; one answer each, in order."""
        with self._arrived:
            self._arriving += 1
        batches: list[_Batch | CollectorError] = []
        try:
            for one in sent:
                try:
                    batches.append(_checked(one))
                except CollectorError as error:
                    batches.append(self._stranger(one) or error)
        finally:
            with self._arrived:
                self._arriving -= 1
                waiting = sum(len(batch.frames) for batch in self._waiting)
                for n, batch in enumerate(batches):
                    if isinstance(batch, CollectorError):
                        continue
                    waiting += len(batch.frames)
                    if waiting > MAX_WAITING:
                        waiting -= len(batch.frames)
                        batches[n] = CollectorError(
                            "busy", "more frames are waiting than the store takes; send again in a few seconds"
                        )
                    else:
                        self._waiting.append(batch)
                if not self._arriving:
                    self._arrived.notify_all()
        answers: list[Ingested | CollectorError] = []
        for batch in batches:
            if isinstance(batch, CollectorError):
                answers.append(batch)
                continue
            while not batch.done.is_set():
                with self._commit_lock:
                    if not batch.done.is_set():
                        self._commit(self._take())
            answer = batch.error or batch.result
            assert answer is not None  # noqa: S101
            answers.append(answer)
        return answers

    def _stranger(self, sent: Sent) -> CollectorError | None:
        """Who may not speak hears that, and nothing of what is wrong with the frames."""
        if sent.shown is None:
            return None
        try:
            with self._app.store.read() as session:
                standing.require(session, sent.gateway, sent.shown)
        except StandingError as error:
            return CollectorError(error.code, str(error))
        except DBAPIError:
            return CollectorError("unavailable", "the store does not answer; send the same again")
        return None

    def _take(self) -> list[_Batch]:
        """What waits, after those who are on their way have had a moment to join, or who will be where many come."""
        end = time.monotonic() + LINGER_SECONDS
        with self._arrived:
            while (self._arriving or self._shared) and (left := end - time.monotonic()) > 0:
                self._arrived.wait(left)
            taken, frames = 0, 0
            while taken < len(self._waiting) and (not taken or frames + len(self._waiting[taken].frames) <= MAX_GROUP):
                frames += len(self._waiting[taken].frames)
                taken += 1
            group, self._waiting = self._waiting[:taken], self._waiting[taken:]
            self._shared = len(group) > 1
        return group

    def _commit(self, group: Sequence[_Batch]) -> None:
        """Decide a group in one transaction; where that fails, each batch alone, so that none spoils another's."""
        try:
            with self._app.store.write() as session:
                results = _Ingestion(self._app, session, group).run()
        except Exception as error:  # noqa: BLE001 - whatever it was is said, and answered
            if len(group) > 1 and not _store_is_away(error):
                for batch in group:
                    self._commit([batch])
                return
            self._failed(group, error)
        else:
            self._faults.over("store", "the store takes readings again")
            for batch, result in zip(group, results, strict=True):
                if isinstance(result, StandingError):
                    batch.error = CollectorError(result.code, str(result))
                else:
                    batch.result = result
        finally:
            for batch in group:
                if batch.result is None and batch.error is None:  # the process is being ended
                    batch.error = CollectorError("unavailable", "the collector is stopping; send the same again")
                batch.done.set()

    def _failed(self, group: Sequence[_Batch], error: Exception) -> None:
        if _store_is_away(error):
            message = f"the store does not take readings, gateways are told to send again: {error}"
            self._faults.met("store", type(error).__name__, message)
        else:
            logger.exception("frames of gateway %s could not be taken", group[0].sent.gateway)
        for batch in group:
            batch.error = CollectorError("unavailable", "the store does not answer; send the same again")
            batch.error.__cause__ = error


def _store_is_away(error: Exception) -> bool:
    """Whether the database failed, rather than something in the frames or in this code."""
    return isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError | ProgrammingError)


@dataclass(slots=True)
class _Key:
    """A meter's key as the transaction found it and leaves it."""

    public_key: bytes
    meter_pk: int
    meter: str
    gateway: str
    facts: MeterFacts
    next_sequence: int
    head_hash: bytes | None
    head_log_index: int | None
    retired: bool
    passed_log_index: int | None
    passed_record: bytes | None
    last: Record | None = None
    """The meter's last reading that policy or an operator let pass, under whichever key; read when it is needed."""
    last_known: bool = False
    moved: bool = False
    parked: dict[int, bytes] = field(default_factory=dict)
    parked_before: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def previous(self) -> bytes:
        return self.head_hash[:TRUNCATED_HASH_SIZE] if self.head_hash is not None else ZERO_HASH


class _Ingestion:
    """One transaction's work: read what the group is about, decide in memory, write as sets, make the receipts.

    A frame's answer is bytes where it is final (refused, parked, or a receipt of an earlier release), and what was
    logged, now or before, where the receipt is a path to a checkpoint.
    """

    def __init__(self, app: App, session: Session, group: Sequence[_Batch]) -> None:
        self._settings = app.home.settings
        self._network_id = app.home.network_id
        self._signer = app.home.receipt_key
        self._session = session
        self._connection = session.connection()
        self._group = group
        self._now = app.clock()
        self._first = log.lock(session)
        self._new: list[_Logged] = []
        self._logged: dict[tuple[bytes, int], _Logged] = {}
        self._before: dict[tuple[bytes, int], _Before] = {}
        self._incidents: dict[bytes, set[bytes]] = {}
        self._kept: set[bytes] = set()
        self._incident_rows: list[dict[str, object]] = []
        self._keys: dict[bytes, _Key] = {}
        self._standings: Mapping[str, Standing] = {}

    def run(self) -> list[Ingested | StandingError]:
        """Decide and write everything; nobody may see the results before they are durable."""
        self._read()
        decided = [self._take(batch) for batch in self._group]
        growth, checkpoint = self._write()
        receipts = _Receipts(self._session, self._network_id, growth, checkpoint, self._now)
        return [one if isinstance(one, StandingError) else one.ingested(receipts) for one in decided]

    # Reading

    def _read(self) -> None:
        self._standings = standing.standings(self._session, {batch.sent.gateway for batch in self._group})
        genuine = {
            checked.frame.public_key for batch in self._group for checked in batch.frames if checked.record is not None
        }
        rows = self._connection.execute(_KEYS, {"keys": list(genuine)})
        for row in rows:
            facts = MeterFacts(
                active=row.state == metering.METER_ACTIVE,
                role=row.role,
                source=SOURCES.index(row.source),
                nameplate_w=row.nameplate_w,
                storage_wh=row.storage_wh,
                on_chain=row.state != metering.METER_APPROVED,
                staged_nameplate_w=row.staged_nameplate_w or 0,
                staged_storage_wh=row.staged_storage_wh or 0,
                staged_from=row.staged_from or 0,
            )
            self._keys[row.public_key] = _Key(
                public_key=row.public_key,
                meter_pk=row.meter_pk,
                meter=row.name,
                gateway=row.gateway_name,
                facts=facts,
                next_sequence=row.next_sequence,
                head_hash=row.head_hash,
                head_log_index=row.head_log_index,
                retired=row.retired_at is not None,
                passed_log_index=row.passed_log_index,
                passed_record=row.passed_record,
            )
        self._read_parked()
        self._read_repeated()

    def _read_parked(self) -> None:
        parked = self._connection.execute(_PARKED, {"keys": list(self._keys)}) if self._keys else ()
        for public_key, sequence, frame in parked:
            self._keys[public_key].parked[sequence] = frame
        for key in self._keys.values():
            key.parked_before = dict(key.parked)

    def _read_repeated(self) -> None:
        """What stands at sequences that are taken already: the same frames sent again, or forks."""
        taken: dict[bytes, set[int]] = {}
        for batch in self._group:
            for checked in batch.frames:
                key = self._keys.get(checked.frame.public_key)
                if key is not None and checked.record is not None and checked.record.sequence < key.next_sequence:
                    taken.setdefault(key.public_key, set()).add(checked.record.sequence)
        for public_key, sequences in taken.items():
            rows = self._connection.execute(_REPEATED, {"key": public_key, "sequences": list(sequences)})
            for sequence, index, hash_, verdict, code, received_at, receipt in rows:
                self._before[public_key, sequence] = _Before(
                    public_key, sequence, index, hash_, VERDICTS.index(verdict), code, received_at, receipt
                )

    # Deciding

    def _take(self, batch: _Batch) -> _Decided | StandingError:
        """Decide a batch's frames, lowest sequence first."""
        refused = standing.refusal(batch.sent.gateway, self._standings.get(batch.sent.gateway), batch.sent.shown)
        if refused is not None:
            return self._refusal(batch.sent, refused)
        answers: list[_Answer] = [b""] * len(batch.frames)
        parked: list[int] = []
        later: list[_Logged] = []
        sequences = [0 if checked.record is None else checked.record.sequence for checked in batch.frames]
        for n in sorted(range(len(sequences)), key=sequences.__getitem__):
            answer = self._decide(batch.frames[n], batch.sent, later)
            answers[n] = answer
            if isinstance(answer, bytes) and answer[4] == VERDICT_PARKED:
                parked.append(n)
        gaps: dict[str, int] = {}
        for n in parked:
            checked = batch.frames[n]
            logged = self._logged.get((checked.frame.public_key, sequences[n]))
            if logged is not None and logged.checked.hash == checked.hash:
                answers[n] = logged
                later = [frame for frame in later if frame is not logged]
                continue
            key = self._keys[checked.frame.public_key]
            gaps[key.meter] = key.next_sequence
        return _Decided(answers, later, [Gap(name, sequence) for name, sequence in gaps.items()])

    def _refusal(self, sent: Sent, refused: StandingError) -> StandingError:
        """The same, or that the certificate is another gateway's."""
        if sent.shown is not None:
            try:
                standing.require(self._session, sent.gateway, sent.shown)
            except StandingError as error:
                return error
        return refused

    def _decide(self, checked: _Checked, sent: Sent, later: list[_Logged]) -> _Answer:
        """A frame's answer; the parked frames that it lets in are added to `later`."""
        record = checked.record
        if record is None:
            return self._refuse(checked, "malformed", 0)
        key = self._keys.get(checked.frame.public_key)
        if key is None or key.gateway != sent.gateway or (sent.meter is not None and key.meter != sent.meter):
            return self._refuse(checked, "unknown_meter", 0)
        if not checked.genuine:
            return self._refuse(checked, "bad_signature", key.next_sequence)
        if record.network_id != self._network_id:
            return self._refuse(checked, "wrong_network", key.next_sequence)
        if record.sequence < key.next_sequence:
            where = (key.public_key, record.sequence)
            logged = self._logged.get(where)
            if logged is not None and logged.checked.hash == checked.hash:
                return logged
            before = self._before.get(where)
            if before is not None and before.record_hash == checked.hash:
                return before
            return self._fork(checked, key, record.sequence)
        if key.retired:
            return self._refuse(checked, "unknown_meter", key.next_sequence)
        if record.sequence > key.next_sequence:
            if record.sequence - key.next_sequence <= MAX_PARKED:
                key.parked[record.sequence] = checked.frame.to_bytes()
            return self._receipt(checked, VERDICT_PARKED, "sequence_gap", key.next_sequence)
        if record.previous_hash != key.previous:
            return self._fork(checked, key, record.sequence)
        logged = self._log(checked, record, key, sent.over)
        if key.parked:
            self._unpark(key, sent.over, later)
        return logged

    def _log(self, checked: _Checked, record: Record, key: _Key, over: str) -> _Logged:
        code = policy.check(record, self._last(key), key.facts, self._settings, self._now)
        index = self._first + len(self._new)
        passes = code == "ok"
        logged = _Logged(checked, record, key, VERDICT_ACCEPTED if passes else VERDICT_HELD, code, index, over)
        self._new.append(logged)
        self._logged[key.public_key, record.sequence] = logged
        key.next_sequence, key.head_hash, key.head_log_index = record.sequence + 1, checked.hash, index
        key.moved = True
        if passes:
            key.last, key.passed_log_index, key.passed_record = record, index, checked.frame.record_bytes
        return logged

    def _last(self, key: _Key) -> Record | None:
        """What the next step is measured from: the key's own last passed record, or that of the keys before it."""
        if not key.last_known:
            passed = key.passed_record
            if passed is None:
                others = self._session.execute(
                    select(MeterKey.passed_log_index, MeterKey.passed_record).where(MeterKey.meter_pk == key.meter_pk)
                )
                _, passed = max(((index, record) for index, record in others if index is not None), default=(0, None))
            key.last = None if passed is None else Record.from_bytes(passed)
            key.last_known = True
        return key.last

    def _unpark(self, key: _Key, over: str, later: list[_Logged]) -> None:
        """Log the parked frames that now follow; one that follows another history is refused as a fork."""
        while (parked := key.parked.pop(key.next_sequence, None)) is not None:
            frame = Frame.from_bytes(parked)
            record = frame.record
            checked = _Checked(frame, record, record_hash(frame.record_bytes), True)
            if record.previous_hash != key.previous:
                self._fork(checked, key, record.sequence)
                return
            later.append(self._log(checked, record, key, over))

    def _fork(self, checked: _Checked, key: _Key, sequence: int) -> bytes:
        """Refuse another history, and keep the frame: two signatures at one sequence prove what the key did."""
        known = self._incidents.get(key.public_key)
        if known is None:
            query = select(Incident.record_hash).where(Incident.public_key == key.public_key)
            known = self._incidents[key.public_key] = set(self._session.scalars(query))
        if len(known) < MAX_INCIDENTS and not self._is_kept(checked.hash):
            known.add(checked.hash)
            self._kept.add(checked.hash)
            self._incident_rows.append(
                {
                    "record_hash": checked.hash,
                    "public_key": key.public_key,
                    "sequence": sequence,
                    "code": "forked",
                    "frame": checked.frame.to_bytes(),
                    "received_at": self._now,
                }
            )
        return self._refuse(checked, "forked", key.next_sequence)

    def _is_kept(self, hash_: bytes) -> bool:
        """Whether a refused record is kept already; two keys can sign the same bytes, and one is enough."""
        if hash_ in self._kept:
            return True
        query = select(Incident.record_hash).where(Incident.record_hash == hash_)
        return self._session.scalar(query) is not None

    def _refuse(self, checked: _Checked, code: str, next_expected: int) -> bytes:
        return self._receipt(checked, VERDICT_REFUSED, code, next_expected)

    def _receipt(self, checked: _Checked, verdict: int, code: str, next_expected: int) -> bytes:
        """The signed receipt of a frame that does not enter the log."""
        receipt = Receipt(
            verdict=verdict,
            code=CODE_NUMBERS[code],
            network_id=self._network_id,
            meter_key=checked.frame.public_key,
            record_hash=checked.hash,
            sequence=int.from_bytes(checked.frame.record_bytes[4:8], "little"),
            next_expected=min(next_expected, LAST_SEQUENCE),
            log_index=NO_LOG_INDEX,
            time=self._now,
        )
        receipt.signature = bytes(self._signer.sign_message(receipt.body()))
        return receipt.to_bytes()

    # Writing

    def _write(self) -> tuple[Growth | None, SignedCheckpoint | None]:
        """Write the group; the tree with its leaves and the checkpoint signed over it, where it logged any."""
        execute = self._connection.execute
        if self._incident_rows:
            execute(insert(table_of(Incident)), self._incident_rows)
        self._write_parked()
        if not self._new:
            return None, None
        leaves, rows = [], []
        for logged in self._new:
            checked, record = logged.checked, logged.record
            frame = checked.frame.to_bytes()
            leaves.append(reading_leaf(logged.verdict, CODE_NUMBERS[logged.code], self._now, frame))
            passed = logged.verdict == VERDICT_ACCEPTED
            rows.append(
                (
                    logged.index,
                    logged.key.meter_pk,
                    logged.key.public_key,
                    record.sequence,
                    record.interval_end,
                    checked.hash,
                    frame,
                    VERDICTS[logged.verdict],
                    logged.code,
                    self._now,
                    logged.over,
                    metering.DISPOSITION_ACCEPTED if passed else metering.DISPOSITION_HELD,
                    metering.CHAIN_PENDING,
                )
            )
        growth = log.append_readings(self._session, leaves)
        assert growth.first == self._first  # noqa: S101
        insert_rows(self._session, table_of(LoggedFrame), _FRAME_COLUMNS, rows)
        execute(
            _MOVE_KEY,
            [
                {
                    "key": key.public_key,
                    "sequence": key.next_sequence,
                    "head": key.head_hash,
                    "head_index": key.head_log_index,
                    "passed_index": key.passed_log_index,
                    "passed": key.passed_record,
                }
                for key in self._keys.values()
                if key.moved
            ],
        )
        return growth, log.sign(self._session, self._network_id, self._signer, growth.size, growth.root)

    def _write_parked(self) -> None:
        gone, come = [], []
        for key in self._keys.values():
            if key.parked == key.parked_before:
                continue
            gone += [
                {"key": key.public_key, "at": sequence}
                for sequence, frame in key.parked_before.items()
                if key.parked.get(sequence) != frame
            ]
            come += [
                {"public_key": key.public_key, "sequence": sequence, "frame": frame, "received_at": self._now}
                for sequence, frame in key.parked.items()
                if key.parked_before.get(sequence) != frame
            ]
        if gone:
            self._connection.execute(_UNPARK, gone)
        if come:
            self._connection.execute(insert(table_of(ParkedFrame)), come)


# Statements are made once: what SQLAlchemy knows of them then costs nothing, however small a group is.
_key, _meter, _frame = table_of(MeterKey).c, table_of(Meter).c, table_of(LoggedFrame).c
_installation, _parked = table_of(Installation).c, table_of(ParkedFrame).c
_KEYS = (
    select(
        _key.public_key,
        _key.meter_pk,
        _key.next_sequence,
        _key.head_hash,
        _key.head_log_index,
        _key.retired_at,
        _key.passed_log_index,
        _key.passed_record,
        _meter.name,
        _meter.gateway_name,
        _meter.state,
        _meter.role,
        _meter.source,
        _installation.nameplate_w,
        _installation.storage_wh,
        _installation.staged_nameplate_w,
        _installation.staged_storage_wh,
        _installation.staged_from,
    )
    .join_from(table_of(MeterKey), table_of(Meter), _meter.id == _key.meter_pk)
    .join(table_of(Installation), _installation.n == _meter.installation_n)
    .where(_key.public_key.in_(bindparam("keys", expanding=True)))
)
_PARKED = select(_parked.public_key, _parked.sequence, _parked.frame).where(
    _parked.public_key.in_(bindparam("keys", expanding=True))
)
_REPEATED = select(
    _frame.sequence,
    _frame.log_index,
    _frame.record_hash,
    _frame.verdict,
    _frame.code,
    _frame.received_at,
    _frame.receipt,
).where(_frame.public_key == bindparam("key"), _frame.sequence.in_(bindparam("sequences", expanding=True)))
_FRAME_COLUMNS = (
    "log_index",
    "meter_pk",
    "public_key",
    "sequence",
    "interval_end",
    "record_hash",
    "frame",
    "verdict",
    "code",
    "received_at",
    "over",
    "disposition",
    "chain_status",
)
_MOVE_KEY = (
    update(table_of(MeterKey))
    .where(_key.public_key == bindparam("key"))
    .values(
        next_sequence=bindparam("sequence"),
        head_hash=bindparam("head"),
        head_log_index=bindparam("head_index"),
        passed_log_index=bindparam("passed_index"),
        passed_record=bindparam("passed"),
    )
)
_UNPARK = delete(table_of(ParkedFrame)).where(
    _parked.public_key == bindparam("key"), _parked.sequence == bindparam("at")
)


@dataclass(frozen=True, slots=True)
class _Before:
    """A frame that an earlier transaction logged; receipt is set where an earlier release signed one."""

    public_key: bytes
    sequence: int
    index: int
    record_hash: bytes
    verdict: int
    code: str
    time: int
    receipt: bytes | None


_Answer = bytes | _Logged | _Before


@dataclass(frozen=True, slots=True)
class _Decided:
    """A batch's answers, one a frame, and what else it moved."""

    answers: list[_Answer]
    later: list[_Logged]
    gaps: list[Gap]

    def ingested(self, receipts: _Receipts) -> Ingested:
        """The same with receipts."""
        return Ingested(
            [receipts.of(answer) for answer in self.answers], [receipts.of(logged) for logged in self.later], self.gaps
        )


class _Receipts:
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

    def of(self, answer: _Answer) -> bytes:
        """A frame's receipt."""
        if isinstance(answer, bytes):
            return answer
        if isinstance(answer, _Before):
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

    def _before(self, answer: _Before) -> bytes:
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
    before = _Before(
        logged.public_key,
        logged.sequence,
        logged.log_index,
        logged.record_hash,
        VERDICTS.index(logged.verdict),
        logged.code,
        logged.received_at,
        logged.receipt,
    )
    return logged.frame + _Receipts(session, log.network_id(session), None, None, 0).of(before)
