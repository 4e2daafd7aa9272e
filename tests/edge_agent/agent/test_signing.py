import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.agent.signing import NeedsRebaseError, RowError, Signer
from edge_agent.meters import IntervalRow
from edge_agent.state.keys import MeterKey, verify
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import (
    CLOCK_DEVIATION_UNKNOWN,
    FLAG_BACK_FILLED,
    FLAG_POWER_FAILURE,
    FLAG_REGISTER_RESET,
    FLAG_RESYNCHRONISED,
    ZERO_HASH,
    previous_hash,
)

KEY = MeterKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
T = 1_750_000_500


def signer(**changes):
    rollover = changes.pop("rollover_wh", None)
    meter_map = MeterMap.from_dict(
        {
            "logical_device_name": "KFM1",
            "capture_period": 900,
            "registers": {"generation": ["1-0:2.8.0.255", 1]},
            "rollover_wh": rollover,
        }
    )
    settings = {
        "key": KEY,
        "map": meter_map,
        "network_id": b"campus-1",
        "epoch_seconds": 900,
        "source": 1,
        "first_sequence": 1,
        "max_power_w": 100_000,
    }
    return Signer(**{**settings, **changes})


def row(end, generation, **changes):
    return IntervalRow(interval_end=end, generation=generation, **changes)


def sign(made, rows, *, last=None, resume=False, rebase=False, boundary=T, clock_deviation=0):
    return made.sign(rows, last=last, resume=resume, rebase=rebase, boundary=boundary, clock_deviation=clock_deviation)


def first(made, generation, end=T):
    frames, fault = sign(made, [row(end, generation)], boundary=end)
    assert fault is None
    return frames[0].record_bytes


def test_a_signed_frame_verifies_and_hangs_off_the_last():
    made = signer()
    last = first(made, 100)
    frames, fault = sign(made, [row(T + 900, 150)], last=last, boundary=T + 900)
    assert fault is None
    (frame,) = frames
    assert verify(frame.public_key, frame.signature, frame.record_bytes)
    assert frame.record.previous_hash == previous_hash(last)
    assert frame.record.sequence == 2


def test_a_new_key_continues_registers_but_hangs_off_none():
    last = first(signer(), 100)
    frames, _ = sign(signer(first_sequence=2), [row(T + 900, 150)], last=last, resume=True, boundary=T + 900)
    record = frames[0].record
    assert (record.sequence, record.previous_hash) == (2, ZERO_HASH)
    assert record.flags & FLAG_RESYNCHRONISED


def test_older_rows_are_back_filled_and_only_the_first_resynchronised():
    made = signer()
    last = first(made, 100)
    rows = [row(T + 900 * n, 100 + n, flags=FLAG_POWER_FAILURE) for n in (1, 2, 3)]
    frames, _ = sign(made, rows, last=last, resume=True, boundary=T + 2700)
    assert [frame.record.flags for frame in frames] == [
        FLAG_POWER_FAILURE | FLAG_BACK_FILLED | FLAG_RESYNCHRONISED,
        FLAG_POWER_FAILURE | FLAG_BACK_FILLED,
        FLAG_POWER_FAILURE,
    ]


def test_flags_that_this_version_does_not_know_are_not_signed():
    frames, _ = sign(signer(), [row(T, 1, flags=0xFFFF)])
    assert frames[0].record.flags == 0x1FF


@pytest.mark.parametrize(
    ("told", "signed"), [(None, CLOCK_DEVIATION_UNKNOWN), (-5, -5), (10**9, 32767), (-(10**9), -32767)]
)
def test_the_clock_deviation_fits(told, signed):
    frames, _ = sign(signer(), [row(T, 1)], clock_deviation=told)
    assert frames[0].record.clock_deviation == signed


def test_a_rollover_goes_on_above_the_last():
    made = signer(rollover_wh=100_000)
    last = first(made, 99_990)
    frames, fault = sign(made, [row(T + 900, 15), row(T + 1800, 40)], last=last, boundary=T + 1800)
    assert fault is None
    assert [frame.record.generation for frame in frames] == [100_015, 100_040]
    assert [frame.record.register_epoch for frame in frames] == [1, 1]


def test_later_rollovers_add_up():
    made = signer(rollover_wh=1000)
    last = first(made, 900)
    frames, fault = sign(
        made,
        [row(T + 900 * n, value) for n, value in ((1, 100), (2, 800), (3, 0), (4, 999))],
        last=last,
        boundary=T + 3600,
    )
    assert fault is None
    assert [frame.record.generation for frame in frames] == [1100, 1800, 2000, 2999]
    assert [frame.record.register_epoch for frame in frames] == [1, 1, 2, 2]


def test_a_reset_is_not_taken_for_a_rollover():
    """From 60 MWh to nothing in a quarter of an hour: the modulus would explain it, the meter's power does not."""
    made = signer(rollover_wh=100_000_000)
    last = first(made, 60_000_000)
    frames, fault = sign(made, [row(T + 900, 5)], last=last, boundary=T + 900)
    assert frames == []
    assert isinstance(fault, NeedsRebaseError)
    assert "reset-meter" in str(fault)


def test_rows_before_the_fall_are_signed():
    made = signer()
    last = first(made, 100)
    rows = [row(T + 900, 150), row(T + 1800, 120), row(T + 2700, 200)]
    frames, fault = sign(made, rows, last=last, boundary=T + 2700)
    assert [frame.record.generation for frame in frames] == [150]
    assert isinstance(fault, NeedsRebaseError)


def test_a_rebased_meter_goes_on_from_its_registers_as_they_are():
    made = signer(rollover_wh=100_000_000)
    last = first(made, 60_000_000)
    rows = [row(T + 900, 5), row(T + 1800, 7)]
    frames, fault = sign(made, rows, last=last, rebase=True, boundary=T + 1800)
    assert fault is None
    assert [frame.record.generation for frame in frames] == [5, 7]
    assert [frame.record.register_epoch for frame in frames] == [1, 1]
    assert [frame.record.flags & FLAG_REGISTER_RESET for frame in frames] == [FLAG_REGISTER_RESET, 0]
    assert frames[0].record.previous_hash == previous_hash(last)


def test_a_rebase_is_for_one_fall_and_for_none_where_nothing_fell():
    made = signer()
    last = first(made, 100)
    frames, fault = sign(made, [row(T + 900, 50), row(T + 1800, 20)], last=last, rebase=True, boundary=T + 1800)
    assert [frame.record.generation for frame in frames] == [50]
    assert isinstance(fault, NeedsRebaseError)
    frames, fault = sign(made, [row(T + 900, 150), row(T + 1800, 20)], last=last, rebase=True, boundary=T + 1800)
    assert [(frame.record.register_epoch, frame.record.flags & FLAG_REGISTER_RESET) for frame in frames] == [(0, 0)]
    assert isinstance(fault, NeedsRebaseError)


@pytest.mark.parametrize(
    "bad",
    [
        row(T, -1),
        row(T, 2**64),
        row(T, 1.5),
        row(T, True),
        row(T, 1, evidence=b"short"),
        row(T, 1, evidence=bytes(17)),
    ],
)
def test_a_row_that_cannot_be_a_reading(bad):
    frames, fault = sign(signer(), [bad])
    assert frames == []
    assert isinstance(fault, RowError)


def test_the_last_sequence_is_the_last():
    made = signer(first_sequence=0xFFFF_FFFF)
    last = first(made, 1)
    frames, fault = sign(made, [row(T + 900, 2)], last=last, boundary=T + 900)
    assert frames == []
    assert "new key" in str(fault)


def test_nothing_is_signed_before_the_baseline_or_twice():
    made = signer()
    assert sign(made, [row(T - 900, 1), row(T + 900, 3)]) == ([], None)
    last = first(made, 100)
    assert sign(made, [row(T - 900, 90), row(T, 100), row(T, 101)], last=last) == ([], None)
    assert sign(made, [row(T + 900, 110), row(T + 90_000, 2**40)], last=last) == ([], None)
    (frame,), fault = sign(made, [row(T + 900, 110), row(T + 1800, 2**40)], last=last, boundary=T + 900)
    assert (frame.record.interval_end, fault) == (T + 900, None)
