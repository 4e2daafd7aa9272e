"""The power goes at every write of the journal, and the disk keeps any part of what was not synced.

Each call of the journal is all there or not at all afterwards, and what had returned is there: nothing that was
receipted is lost, and no sequence can be signed a second time. POWER_CUTS=4096 tries so many disks a cut.
"""

import os
import random
import tempfile
from pathlib import Path

import pytest
from made_frames import KEY, OTHER, frame, receipt
from old_journals import write_old_journal
from recorded_disk import NotRecordableError, Recorder, images, write_image

from edge_agent.state.journal import Journal
from edge_agent.wire.reading import VERDICT_HELD, VERDICT_PARKED, VERDICT_REFUSED, Frame, Record

DISKS = int(os.environ.get("POWER_CUTS", "128"))
"""Disks that are tried at each cut: all, where there are no more; else singles, all but one, and random ones."""

EMPTY = ([], [])


def opened(path):
    return Journal.open(path, quota=100, archive=6)


def facts(journal):
    """What the journal knows, as far as anything depends on it."""
    connection = journal._connection
    meters = connection.execute(
        "SELECT number, public_key, name, record, resume, stop_code, rebase FROM meter ORDER BY number"
    ).fetchall()
    frames = connection.execute("SELECT meter, sequence, frame, state, code FROM frame ORDER BY id").fetchall()
    return meters, frames


def life(journal):
    """What a gateway does with its journal: each step is one call."""
    yield lambda: journal.add_meter(KEY.public_key, "solar")
    yield lambda: journal.add_meter(OTHER.public_key, "load")
    for first in (1, 4, 7):
        both = [frame(n, key) for key in (KEY, OTHER) for n in range(first, first + 3)]
        yield lambda both=both: journal.append(both, now=1)
        verdicts = {first: (VERDICT_PARKED, "sequence_gap"), first + 1: (VERDICT_HELD, "exceeds_nameplate")}
        receipts = [receipt(each, *verdicts.get(each.record.sequence, ())) for each in both]
        yield lambda receipts=receipts: journal.apply(receipts, now=1)
        yield lambda both=both: journal.apply([receipt(each) for each in both], now=1)
    yield lambda: journal.requeue(KEY.public_key, 8)
    yield lambda: journal.apply([receipt(frame(9), VERDICT_REFUSED, "forked")], now=9)
    yield lambda: journal.resume_from(KEY.public_key, frame(8).record_bytes, now=9)
    yield lambda: journal.append([frame(9, generation=90)], now=10)
    yield lambda: journal.stop_meter(KEY.public_key, "needs_rebase", "it fell")
    yield lambda: journal.allow_reset(KEY.public_key)
    yield lambda: journal.append([frame(10)], now=11)


def short_life(journal):
    """The first that a new release does."""
    yield lambda: journal.append([frame(4)], now=1)
    yield lambda: journal.apply([receipt(frame(3)), receipt(frame(1, OTHER))], now=1)


@pytest.fixture
def recorder(tmp_path):
    """A recorder of a directory of its own."""
    directory = tmp_path / "state"
    directory.mkdir()
    try:
        return Recorder(directory)
    except NotRecordableError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def after():
    """A directory for the disks that a cut leaves, in memory where there is such a place: they are many."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as directory:
        yield Path(directory)


def recorded_life(recorder, before, life=life):
    """Live through a life; the facts after each call, with the number of operations at which it had returned."""
    path = recorder.directory / "journal.db"
    moments = [(0, before)]
    with recorder:
        if not path.exists():
            recorder.note_made(path.name)
        journal = opened(path)
        journal._connection.execute("PRAGMA wal_autocheckpoint = 12")  # so that several checkpoints are met
        moments.append((len(recorder.operations), facts(journal)))
        for call in life(journal):
            call()
            moments.append((len(recorder.operations), facts(journal)))
        journal.close()
    return moments


def check_every_disk(recorder, moments, directory):
    """Every disk opens as the facts before the call that was under way, or after it."""
    seen = 0
    for number, image in images(recorder.before, recorder.operations, most=DISKS, random=random.Random(13)):  # noqa: S311
        write_image(image, directory)
        journal = opened(directory / "journal.db")
        found = facts(journal)
        done = max(at for at, (when, _) in enumerate(moments) if when <= number)
        allowed = [known for _, known in moments[done : done + 2]]
        assert journal.set_aside is None, (number, recorder.operations[max(0, number - 3) : number + 1])
        assert found in allowed, (number, done)
        journal.close()
        seen += 1
    return seen


def test_a_new_journal_keeps_every_promise_whatever_the_disk_kept(recorder, after):
    moments = recorded_life(recorder, EMPTY)
    kinds = {operation.kind for operation in recorder.operations}
    assert {"make", "write", "sync", "sync_directory", "delete"} <= kinds
    assert any(each.name == "journal.db" and each.kind == "write" for each in recorder.operations[40:])  # checkpoints
    assert check_every_disk(recorder, moments, after) > 500


@pytest.mark.parametrize("schema", [1, 2])
def test_a_journal_of_an_earlier_release_is_brought_up_to_date_or_left(recorder, after, schema):
    old = {
        "solar": [(frame(1), "receipted"), (frame(2), "superseded"), (frame(3), "waiting")],
        "load": [(frame(1, OTHER), "waiting")],
    }
    write_old_journal(recorder.directory / "journal.db", schema, old)
    write_image(recorder.look(), after)
    brought = opened(after / "journal.db")
    moments = recorded_life(recorder, facts(brought), short_life)
    brought.close()
    assert check_every_disk(recorder, moments, after)


@pytest.mark.parametrize("synced", ["OFF", "NORMAL"])
def test_a_journal_that_is_not_synced_at_every_commit_is_found_out(recorder, after, synced):
    def careless(journal):
        journal._connection.execute(f"PRAGMA synchronous = {synced}")
        yield from life(journal)

    moments = recorded_life(recorder, EMPTY, careless)
    with pytest.raises(AssertionError):
        check_every_disk(recorder, moments, after)


def test_after_a_cut_the_next_record_follows_the_last(recorder, after):
    """What is signed next has a sequence that no frame that left has, and is kept in its turn."""
    moments = recorded_life(recorder, EMPTY)
    for number, image in images({}, recorder.operations, most=2, random=random.Random(7)):  # noqa: S311
        write_image(image, after)
        journal = opened(after / "journal.db")
        journal.add_meter(KEY.public_key, "solar")
        known = max((at for at in moments if at[0] <= number), key=lambda at: at[0])[1]
        left = max((row[1] for row in known[1] if Frame.from_bytes(row[2]).public_key == KEY.public_key), default=0)
        last = journal.meter(KEY.public_key).record
        following = 1 if last is None else last.sequence + 1
        assert following > left or journal.meter(KEY.public_key).resume
        journal.append([frame(following, generation=1000)], now=20)
        journal.close()
        again = opened(after / "journal.db")
        assert Record.from_bytes(again.meter(KEY.public_key).record_bytes).sequence == following
        again.close()
