"""A probe's journal: what a power cut leaves of its file, at every byte, opens and goes on."""

import pytest
from made_frames import frame

from edge_agent.probe.journal import ENTRY_SIZE, FEWEST, ProbeJournal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def test_every_beginning_of_the_file_is_a_journal(path):
    journal = ProbeJournal(str(path))
    for n in (1, 2, 3):
        journal.append(frame(n))
    journal.free(frame(1))
    journal.append(frame(4))
    whole = path.read_bytes()
    assert len(whole) == 5 * ENTRY_SIZE
    after = [  # last and waiting after so many entries
        (None, []),
        (1, [1]),
        (2, [1, 2]),
        (3, [1, 2, 3]),
        (3, [2, 3]),
        (4, [2, 3, 4]),
    ]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        cut = ProbeJournal(str(path))
        last, waiting = after[size // ENTRY_SIZE]
        assert (cut.last.record.sequence if cut.last else None, [each.record.sequence for each in cut.waiting]) == (
            last,
            waiting,
        )
        if size % 37 == 0:  # what is half there is written over
            following = (last or 0) + 1
            cut.append(frame(following))
            again = ProbeJournal(str(path))
            assert again.last == frame(following)
            assert [each.record.sequence for each in again.waiting] == [*waiting, following]


def test_an_entry_that_was_written_in_part_is_none(path):
    journal = ProbeJournal(str(path))
    journal.append(frame(1))
    journal.append(frame(2))
    whole = path.read_bytes()
    for at in range(ENTRY_SIZE, 2 * ENTRY_SIZE):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        assert ProbeJournal(str(path)).last == frame(1)


def test_a_sequence_is_never_signed_twice(path):
    journal = ProbeJournal(str(path))
    journal.append(frame(1))
    for wrong in (frame(1), frame(1, generation=9), frame(3)):
        with pytest.raises(ValueError, match="does not follow"):
            journal.append(wrong)


def test_it_does_not_grow_for_ever_and_remembers_the_last_frame(path):
    journal = ProbeJournal(str(path))
    for n in range(1, FEWEST + 40):
        journal.append(frame(n))
        journal.free(frame(n))
    assert path.stat().st_size <= (FEWEST + 2) * ENTRY_SIZE
    again = ProbeJournal(str(path))
    assert (again.last, again.waiting) == (frame(FEWEST + 39), [])
