import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from made_frames import KEY, OTHER, frame, receipt
from old_journals import write_old_journal

from edge_agent.state.journal import SCHEMA_VERSION, Journal, JournalError, ResetError
from edge_agent.wire.reading import (
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    VERDICT_PARKED,
    VERDICT_REFUSED,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path):
    made = Journal.open(path, quota=10, archive=5)
    made.add_meter(KEY.public_key, "solar")
    made.add_meter(OTHER.public_key, "load")
    yield made
    made.close()


def sequences(journal, key=KEY):
    return [held.sequence for held in journal.waiting(key.public_key, 100)]


def test_it_is_private_and_fully_synced(journal, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_frames_of_several_meters_go_in_together_or_not_at_all(journal):
    journal.append([frame(1), frame(1, OTHER)], now=0)
    with pytest.raises(ValueError, match="does not follow"):
        journal.append([frame(2), frame(3, OTHER)], now=0)
    assert sequences(journal) == [1]
    assert journal.meter(KEY.public_key).record.sequence == 1


def test_what_was_appended_is_there_after_opening_again(journal, path):
    journal.append([frame(1), frame(2)], now=0)
    again = Journal.open(path, quota=10)
    assert sequences(again) == [1, 2]
    assert again.meter(KEY.public_key).record == frame(2).record
    again.close()


@pytest.mark.parametrize("verdict", [VERDICT_ACCEPTED, VERDICT_HELD])
def test_accepted_and_held_free_a_frame_once(journal, verdict):
    journal.append([frame(1), frame(2)], now=0)
    assert len(journal.apply([receipt(frame(1), verdict)], now=5)) == 1
    assert journal.apply([receipt(frame(1), verdict)], now=6) == []
    assert sequences(journal) == [2]
    assert journal.has_receipt(KEY.public_key)


def test_refused_and_parked_stay_with_their_reason(journal):
    journal.append([frame(1), frame(2), frame(3)], now=0)
    journal.apply([receipt(frame(1), VERDICT_REFUSED, "bad_signature")], now=0)
    journal.apply([receipt(frame(2), VERDICT_PARKED, "sequence_gap")], now=0)
    assert journal.refused(KEY.public_key) == [(1, "bad_signature")]
    assert sequences(journal) == [2, 3]
    counts = journal.counts()
    assert (counts.refused, counts.parked, counts.waiting, counts.depth) == (1, 1, 1, 3)
    journal.apply([receipt(frame(1))], now=0)  # the operator repaired it, and the authority has it after all
    assert journal.counts().refused == 0


def test_unknown_meter_keeps_waiting(journal):
    journal.append([frame(1)], now=0)
    journal.apply([receipt(frame(1), VERDICT_REFUSED, "unknown_meter")], now=0)
    assert sequences(journal) == [1]


@pytest.mark.parametrize("change", [{"record_hash": bytes(32)}, {"sequence": 2}, {"meter_key": bytes(32)}])
def test_a_receipt_for_something_else_changes_nothing(journal, change):
    journal.append([frame(1)], now=0)
    assert journal.apply([receipt(frame(1), **change)], now=0) == []
    assert sequences(journal) == [1]


def test_the_quota_refuses_and_drops_nothing(journal):
    journal.append([frame(n) for n in range(1, 9)], now=0)
    assert journal.room() == 2
    with pytest.raises(JournalError) as caught:
        journal.append([frame(9), frame(10), frame(11)], now=0)
    assert caught.value.code == "journal_full"
    assert sequences(journal) == list(range(1, 9))
    journal.apply([receipt(frame(1))], now=0)
    journal.append([frame(9), frame(10), frame(11)], now=0)
    assert journal.room() == 0


def test_the_archive_is_bounded_and_sends_again(journal):
    for sequence in range(1, 21):
        journal.append([frame(sequence)], now=0)
        journal.apply([receipt(frame(sequence))], now=0)
    assert journal.counts().archived == 5
    assert journal.holds_sequence(KEY.public_key, 16)
    assert not journal.holds_sequence(KEY.public_key, 15)
    assert journal.requeue(KEY.public_key, 18) == 3
    assert sequences(journal) == [18, 19, 20]


def test_resuming_supersedes_what_hangs_off_another_history(journal):
    journal.append([frame(1), frame(2), frame(3), frame(1, OTHER)], now=0)
    head = frame(2, generation=77)
    journal.resume_from(KEY.public_key, head.record_bytes, now=0)
    state = journal.meter(KEY.public_key)
    assert state.record == head.record
    assert state.resume
    assert sequences(journal) == []
    assert sequences(journal, OTHER) == [1]
    journal.append([frame(3, generation=99)], now=0)
    assert not journal.meter(KEY.public_key).resume
    assert journal.counts().superseded == 3


def test_the_same_record_again_after_resuming_is_the_same_frame(journal):
    journal.append([frame(1), frame(2)], now=0)
    journal.resume_from(KEY.public_key, frame(1).record_bytes, now=0)
    journal.append([frame(2)], now=0)
    assert sequences(journal) == [2]


def test_a_stopped_meter_stays_stopped_until_it_signs(journal):
    journal.stop_meter(KEY.public_key, "needs_rebase", "a register fell")
    assert journal.meter(KEY.public_key).stop_code == "needs_rebase"
    journal.append([frame(1)], now=0)
    assert journal.meter(KEY.public_key).stop_code is None


def test_a_rebase_is_allowed_to_a_meter_whose_register_fell_alone(journal):
    for code in (None, "row_invalid"):
        if code is not None:
            journal.stop_meter(KEY.public_key, code, "a row")
        with pytest.raises(ResetError) as caught:
            journal.allow_reset(KEY.public_key)
        assert caught.value.code == "not_stopped"
    journal.stop_meter(KEY.public_key, "needs_rebase", "a register fell")
    assert journal.allow_reset(KEY.public_key).stop_reason == "a register fell"
    assert journal.meter(KEY.public_key).rebase
    journal.append([frame(1)], now=0)
    assert not journal.meter(KEY.public_key).rebase
    with pytest.raises(KeyError):
        journal.allow_reset(bytes(32))


def test_a_journal_beside_its_agent_is_never_made_or_set_aside(path):
    with pytest.raises(JournalError) as caught:
        Journal.open_beside(path, quota=10)
    assert caught.value.code == "no_journal"
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(JournalError) as caught:
        Journal.open_beside(path, quota=10)
    assert caught.value.code == "journal_damaged"
    assert list(path.parent.glob(path.name + "*")) == [path]


@pytest.mark.parametrize("schema", [1, 2])
def test_a_journal_of_an_earlier_release_keeps_what_it_holds(path, schema):
    states = ["receipted", "superseded", "refused", "parked", "waiting"]
    frames = [(frame(n), state) for n, state in enumerate(states, 1)]
    write_old_journal(path, schema, {"solar": frames, "load": [(frame(1, OTHER), "waiting")]})
    migrated = Journal.open(path, quota=10)
    assert migrated.set_aside is None
    assert sequences(migrated) == [4, 5]
    assert migrated.frames_of(migrated.waiting(OTHER.public_key, 9)) == [frame(1, OTHER)]
    assert migrated.has_receipt(KEY.public_key)
    assert not migrated.has_receipt(OTHER.public_key)
    counts = migrated.counts()
    assert (counts.waiting, counts.parked, counts.refused, counts.superseded, counts.archived) == (2, 1, 1, 1, 1)
    state = migrated.meter(KEY.public_key)
    assert (state.record, state.rebase) == (frame(5).record, False)
    assert len(migrated.apply([receipt(frame(n)) for n in range(1, 6)], now=1)) == 4
    migrated.append([frame(6)], now=1)
    assert sequences(migrated) == [6]
    migrated.close()


def test_a_journal_of_a_later_agent_is_left_alone(journal, path):
    journal._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(JournalError) as caught:
        Journal.open(path, quota=10)
    assert caught.value.code == "journal_too_new"
    assert list(path.parent.glob("*.damaged-*")) == []


def test_an_empty_database_is_migrated_from_nothing(path):
    sqlite3.connect(path).close()
    made = Journal.open(path, quota=10)
    assert made._connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert made.set_aside is None
    made.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"SQLite format 3\0" + b"\xff" * 4096])
def test_what_is_no_database_is_set_aside_not_deleted(path, content):
    path.write_bytes(content)
    made = Journal.open(path, quota=10)
    assert made.set_aside is not None
    assert made.set_aside.read_bytes() == content
    made.close()
    path.write_bytes(content)
    again = Journal.open(path, quota=10)
    assert again.set_aside.name == "journal.db.damaged-2"
    again.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(JournalError) as caught:
        Journal.open(tmp_path / "missing" / "journal.db", quota=10)
    assert caught.value.code == "journal_unusable"


def test_a_full_disk_is_an_error_and_keeps_the_old(journal):
    journal.append([frame(1)], now=0)
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    journal.quota = 10_000
    with pytest.raises(JournalError) as caught:
        journal.append([frame(n) for n in range(2, 500)], now=0)
    assert caught.value.code == "journal_unusable"
    assert sequences(journal) == [1]
    assert journal.meter(KEY.public_key).record.sequence == 1


CRASH = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from edge_agent.state.journal import Journal
from edge_agent.state.keys import MeterKey
from edge_agent.wire.reading import Frame, Record
key = MeterKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
journal = Journal.open(Path(sys.argv[1]), quota=100)
journal.add_meter(key.public_key, "solar")
for sequence in range(1, 50):
    record = Record(sequence=sequence, network_id=b"campus-1", interval_end=900 * sequence, generation=1, consumption=0,
                    charge=0, discharge=0, interval_seconds=900, source=1).to_bytes()
    journal.append([Frame(record, key.public_key, key.sign(record))], now=0)
    print(sequence, flush=True)
    if sequence == 20:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_append_returned_from_survives_a_kill(path):
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(path), root],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    told = int(done.stdout.split()[-1])
    made = Journal.open(path, quota=100)
    assert sequences(made) == list(range(1, told + 1))
    assert made.set_aside is None
    made.close()
