"""Properties of the signed reading: what goes in comes out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.wire import reading
from edge_agent.wire.reading import Record

U64 = st.integers(0, 2**64 - 1)
records = st.builds(
    Record,
    sequence=st.integers(0, 2**32 - 1),
    network_id=st.binary(min_size=8, max_size=8),
    interval_end=st.integers(-(2**63), 2**63 - 1),
    generation=U64,
    consumption=U64,
    charge=U64,
    discharge=U64,
    interval_seconds=st.integers(0, 2**16 - 1),
    source=st.integers(0, 4),
    register_epoch=st.integers(0, 255),
    clock_deviation=st.integers(-(2**15), 2**15 - 1),
    flags=st.integers(0, reading.KNOWN_FLAGS),
    previous_hash=st.binary(min_size=16, max_size=16),
    evidence=st.binary(min_size=16, max_size=16),
)


@given(records)
def test_record_round_trip(record: Record) -> None:
    again = Record.from_bytes(record.to_bytes())
    assert again == record
    assert again.to_bytes() == record.to_bytes()
