"""Epochs in which emulated meters stand still: which epoch holds which quarter, and the file that says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.wire.standstill import Span, Standstill, StandstillError


def test_quarters_wait_for_a_standstill_and_go_on_where_they_stood():
    rest = Standstill()
    rest.stand(103)
    assert [rest.holds(epoch) for epoch in (102, 103, 1_000)] == [False, True, True]
    assert [rest.lived(100, epoch) for epoch in (99, 100, 102, 103, 1_000)] == [0, 0, 2, 3, 3]
    assert [rest.epoch_of(100, number) for number in (0, 2, 3)] == [100, 102, None]
    rest.go_on(110)
    assert [rest.holds(epoch) for epoch in (103, 109, 110)] == [True, True, False]
    assert [rest.lived(100, epoch) for epoch in (103, 110, 111)] == [3, 3, 4]
    assert [rest.epoch_of(100, number) for number in (2, 3, 4)] == [102, 110, 111]


def test_going_on_where_it_would_stand_is_no_standstill_and_standing_where_it_would_go_on_is_the_same_one():
    rest = Standstill()
    rest.stand(5)
    rest.go_on(5)
    assert rest.spans == ()
    rest.stand(5)
    rest.go_on(8)
    rest.stand(8)
    assert rest.spans == (Span(5, None),)


@given(st.lists(st.integers(1, 5), max_size=8), st.integers(0, 20), st.integers(0, 30))
def test_the_epoch_of_a_quarter_is_the_one_before_which_so_many_are_lived(lengths, start, number):
    rest, epoch = Standstill(), 0
    for at, length in enumerate(lengths):
        epoch += length
        rest.go_on(epoch) if at % 2 else rest.stand(epoch)
    found = rest.epoch_of(start, number)
    if found is None:
        assert rest.spans[-1].end is None
        assert rest.lived(start, 10_000) <= number
    else:
        assert not rest.holds(found)
        assert rest.lived(start, found) == number


def test_whoever_reads_the_file_sees_what_another_wrote(tmp_path):
    file = tmp_path / "standstill"
    writer, reader = Standstill(file), Standstill(file)
    assert reader.spans == ()
    writer.stand(7)
    assert reader.holds(8)
    writer.go_on(9)
    assert [reader.holds(epoch) for epoch in (7, 8, 9)] == [True, True, False]
    assert file.read_text() == "7 9\n"
    file.unlink()
    assert reader.spans == ()


@pytest.mark.parametrize("text", ["x\n", "1 2 3\n", "3 2\n", "3 3\n", "1 5\n4 6\n", "1\n4 6\n", "-1 4\n", "\n"])
def test_what_is_not_spans_in_order_is_refused(tmp_path, text):
    file = tmp_path / "standstill"
    file.write_text(text)
    with pytest.raises(StandstillError):
        _ = Standstill(file).spans
