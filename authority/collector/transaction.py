"""One transaction of the intake: what a group of frames is about is read, decided in memory, and written as sets.

A frame is authentic or refused, in order or parked, within policy or held (authority.collector.policy). The transaction
locks the log, so a second process cannot ingest between its reading and its writing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from authority.app import App
from authority.collector import policy, standing
from authority.collector.frames import Answer, Batch, Before, Checked, Gap, Ingested, Key, Logged, Sent
from authority.collector.policy import MeterFacts
from authority.collector.receipts import Decided, Receipts
from authority.collector.standing import Standing
from authority.log import log
from authority.log.log import SignedCheckpoint
from authority.log.tree import Growth
from authority.refusals import RefusalError
from authority.store import metering
from authority.store.base import table_of
from authority.store.metering import Frame as LoggedFrame
from authority.store.metering import Incident, Meter, MeterKey, ParkedFrame
from authority.store.people import Installation
from authority.store.rows import Asked, Writes, insert_rows, rows_of_all
from edge_agent.wire.reading import (
    CODE_NUMBERS,
    LAST_SEQUENCE,
    NO_LOG_INDEX,
    SOURCES,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    VERDICT_PARKED,
    VERDICT_REFUSED,
    VERDICTS,
    Frame,
    Receipt,
    Record,
    reading_leaf,
    record_hash,
)

MAX_PARKED = 256
"""Frames parked for one key, and how far ahead of the expected sequence one may be."""


MAX_INCIDENTS = 64
"""Refused forks kept of one key: enough to prove it, too few to fill a disk."""


class Ingestion:
    """One transaction's work: read what the group is about, decide in memory, write as sets, make the receipts.

    A frame's answer is bytes where it is final (refused, parked, or a receipt of an earlier release), and what was
    logged, now or before, where the receipt is a path to a checkpoint.
    """

    def __init__(self, app: App, session: Session, group: Sequence[Batch]) -> None:
        self._settings = app.home.settings
        self._network_id = app.home.network_id
        self._signer = app.home.receipt_key
        self._session = session
        self._connection = session.connection()
        self._group = group
        self._now = app.clock()
        self._log_state = log.State(0, b"")
        self._first = 0
        self._new: list[Logged] = []
        self._logged: dict[tuple[bytes, int], Logged] = {}
        self._before: dict[tuple[bytes, int], Before] = {}
        self._incidents: dict[bytes, set[bytes]] = {}
        self._kept: set[bytes] = set()
        self._incident_rows: list[dict[str, object]] = []
        self._keys: dict[bytes, Key] = {}
        self._standings: Mapping[str, Standing] = {}

    def run(self) -> list[Ingested | RefusalError]:
        """Decide and write everything; nobody may see the results before they are durable."""
        self._read()
        decided = [self._take(batch) for batch in self._group]
        growth, checkpoint = self._write()
        receipts = Receipts(self._session, self._network_id, growth, checkpoint, self._now)
        return [one if isinstance(one, RefusalError) else one.ingested(receipts) for one in decided]

    # Reading

    def _read(self) -> None:
        """Lock the log and then, in the same exchange with the database, read what the group is about."""
        genuine = {
            checked.frame.public_key for batch in self._group for checked in batch.frames if checked.record is not None
        }
        state, gateways, renewals, keys, parked = rows_of_all(
            self._session,
            [
                Asked(log.LOCKED_STATE),
                *standing.asked({batch.sent.gateway for batch in self._group}),
                Asked(_KEYS, _key.public_key, genuine),
                Asked(_PARKED, _parked.public_key, genuine),
            ],
        )
        self._log_state = log.state_of(state)
        self._first = self._log_state.size
        self._standings = standing.standings_of(gateways, renewals)
        self._keys = {row[0]: _key_of(row) for row in keys}
        for public_key, sequence, frame in parked:
            self._keys[public_key].parked[sequence] = frame
        for key in self._keys.values():
            key.parked_before = dict(key.parked)
        self._read_repeated()

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
                self._before[public_key, sequence] = Before(
                    public_key, sequence, index, hash_, VERDICTS.index(verdict), code, received_at, receipt
                )

    # Deciding

    def _take(self, batch: Batch) -> Decided | RefusalError:
        """Decide a batch's frames, lowest sequence first."""
        refused = standing.refusal(batch.sent.gateway, self._standings.get(batch.sent.gateway), batch.sent.shown)
        if refused is not None:
            return self._refusal(batch.sent, refused)
        answers: list[Answer] = [b""] * len(batch.frames)
        parked: list[int] = []
        later: list[Logged] = []
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
        return Decided(answers, later, [Gap(name, sequence) for name, sequence in gaps.items()])

    def _refusal(self, sent: Sent, refused: RefusalError) -> RefusalError:
        """The same, or that the certificate is another gateway's."""
        if sent.shown is not None:
            try:
                standing.require(self._session, sent.gateway, sent.shown)
            except RefusalError as error:
                return error
        return refused

    def _decide(self, checked: Checked, sent: Sent, later: list[Logged]) -> Answer:
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

    def _log(self, checked: Checked, record: Record, key: Key, over: str) -> Logged:
        code = policy.check(record, self._last(key), key.facts, self._settings, self._now)
        index = self._first + len(self._new)
        passes = code == "ok"
        logged = Logged(checked, record, key, VERDICT_ACCEPTED if passes else VERDICT_HELD, code, index, over)
        self._new.append(logged)
        self._logged[key.public_key, record.sequence] = logged
        key.next_sequence, key.head_hash, key.head_log_index = record.sequence + 1, checked.hash, index
        key.moved = True
        if passes:
            key.last, key.passed_log_index, key.passed_record = record, index, checked.frame.record_bytes
        return logged

    def _last(self, key: Key) -> Record | None:
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

    def _unpark(self, key: Key, over: str, later: list[Logged]) -> None:
        """Log the parked frames that now follow; one that follows another history is refused as a fork."""
        while (parked := key.parked.pop(key.next_sequence, None)) is not None:
            frame = Frame.from_bytes(parked)
            record = frame.record
            checked = Checked(frame, record, record_hash(frame.record_bytes), True)
            if record.previous_hash != key.previous:
                self._fork(checked, key, record.sequence)
                return
            later.append(self._log(checked, record, key, over))

    def _fork(self, checked: Checked, key: Key, sequence: int) -> bytes:
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

    def _refuse(self, checked: Checked, code: str, next_expected: int) -> bytes:
        return self._receipt(checked, VERDICT_REFUSED, code, next_expected)

    def _receipt(self, checked: Checked, verdict: int, code: str, next_expected: int) -> bytes:
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
        writes = Writes(self._session)
        growth = log.append_readings(self._session, leaves, self._log_state, writes)
        assert growth.first == self._first  # noqa: S101
        insert_rows(self._session, table_of(LoggedFrame), _FRAME_COLUMNS, rows)
        moved = [
            (
                key.public_key,
                key.next_sequence,
                key.head_hash,
                key.head_log_index,
                key.passed_log_index,
                key.passed_record,
            )
            for key in self._keys.values()
            if key.moved
        ]
        writes.update(table_of(MeterKey), "public_key", _KEY_COLUMNS, moved)
        checkpoint = log.sign(self._session, self._network_id, self._signer, growth.size, growth.root, writes)
        writes.send()
        return growth, checkpoint

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


def _key_of(row: Sequence[Any]) -> Key:
    """A key, of a row of _KEYS."""
    public_key, meter_pk, next_sequence, head_hash, head_log_index, retired_at, passed_log_index, passed_record = row[
        :8
    ]
    name, gateway, state, role, source = row[8:13]
    nameplate_w, storage_wh, staged_nameplate_w, staged_storage_wh, staged_from = row[13:]
    facts = MeterFacts(
        active=state == metering.METER_ACTIVE,
        role=role,
        source=SOURCES.index(source),
        nameplate_w=nameplate_w,
        storage_wh=storage_wh,
        on_chain=state != metering.METER_APPROVED,
        staged_nameplate_w=staged_nameplate_w or 0,
        staged_storage_wh=staged_storage_wh or 0,
        staged_from=staged_from or 0,
    )
    return Key(
        public_key=public_key,
        meter_pk=meter_pk,
        meter=name,
        gateway=gateway,
        facts=facts,
        next_sequence=next_sequence,
        head_hash=head_hash,
        head_log_index=head_log_index,
        retired=retired_at is not None,
        passed_log_index=passed_log_index,
        passed_record=passed_record,
    )


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
)


_PARKED = select(_parked.public_key, _parked.sequence, _parked.frame)


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


_KEY_COLUMNS = ("next_sequence", "head_hash", "head_log_index", "passed_log_index", "passed_record")


_UNPARK = delete(table_of(ParkedFrame)).where(
    _parked.public_key == bindparam("key"), _parked.sequence == bindparam("at")
)
