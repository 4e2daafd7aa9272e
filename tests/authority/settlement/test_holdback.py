"""Held-back readings: every boundary that can be settled is settled, whatever order readings come in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from authority.settlement.holdback import MeterQueue, may_go, ready_boundary


def test_a_meter_at_rest_goes_on():
    assert may_go([MeterQueue(10, (20,)), MeterQueue(10)], settled=10) == [True, False]


def test_a_newer_boundary_waits_for_a_late_meter():
    assert may_go([MeterQueue(20, (30,)), MeterQueue(10)], settled=10) == [False, False]
    assert may_go([MeterQueue(20, (30,)), MeterQueue(10, (20,))], settled=10) == [False, True]


def test_a_skipped_boundary_releases_the_others():
    assert may_go([MeterQueue(20, (30,)), MeterQueue(10, (30,))], settled=10) == [True, True]


def test_a_complete_boundary_is_settled_before_anything_goes_on():
    meters = [MeterQueue(20, (30,)), MeterQueue(20, (30,))]
    assert may_go(meters, settled=10) == [False, False]
    assert ready_boundary(meters, settled=10) == 20
    assert may_go(meters, settled=20) == [True, True]
    assert ready_boundary(meters, settled=20) is None


def test_the_baseline_waits_for_every_meter():
    assert may_go([MeterQueue(20, (30,)), MeterQueue(None)], settled=None) == [False, False]
    assert ready_boundary([MeterQueue(20), MeterQueue(None)], settled=None) is None
    assert ready_boundary([MeterQueue(20), MeterQueue(20)], settled=None) == 20
    assert ready_boundary([], settled=None) is None


@given(st.data())
def test_every_common_boundary_settles_in_any_order_of_arrival(data):
    count = data.draw(st.integers(1, 4))
    sent = [sorted(data.draw(st.sets(st.integers(1, 8)))) for _ in range(count)]
    common = sorted(set.intersection(*(set(ends) for ends in sent)))
    unsent = [list(ends) for ends in sent]
    waiting: list[list[int]] = [[] for _ in sent]
    standing: list[int | None] = [None] * count
    settled: int | None = None
    done: list[int] = []

    def work():
        nonlocal settled
        moved = True
        while moved:
            moved = False
            meters = [MeterQueue(s, tuple(w)) for s, w in zip(standing, waiting, strict=True)]
            boundary = ready_boundary(meters, settled)
            if boundary is not None:
                settled, moved = boundary, True
                done.append(boundary)
                continue
            for index, goes in enumerate(may_go(meters, settled)):
                if goes:  # all at once, as the worker does with several transactions in flight
                    standing[index], moved = waiting[index].pop(0), True

    while any(unsent):
        index = data.draw(st.sampled_from([k for k, rest in enumerate(unsent) if rest]))
        waiting[index].append(unsent[index].pop(0))
        work()
    assert done == common
