"""The signed record, on both interpreters: its bytes both ways, and what it refuses."""

from edge_agent.reading import Frame, ReadingError, Record, possession_message, previous_hash, split_frames


def _record(**changes):
    fields = {
        "sequence": 7,
        "network_id": b"network1",
        "interval_end": 1780315200,
        "generation": 1,
        "consumption": 2**63,
        "charge": 3,
        "discharge": 2**64 - 1,
        "interval_seconds": 900,
        "source": 1,
        "clock_deviation": -5,
        "flags": 2,
        "previous_hash": bytes(range(16)),
        "evidence": bytes(range(16, 32)),
    }
    fields.update(changes)
    return Record(**fields)


def _refused(function, *arguments):
    try:
        function(*arguments)
    except ReadingError as error:
        return error.code
    return None


def test_a_record_both_ways():
    data = _record().to_bytes()
    assert len(data) == 96
    assert data[:8] == b"AMR1\x07\x00\x00\x00"
    assert data[32:40] == b"\x00\x00\x00\x00\x00\x00\x00\x80"
    again = Record.from_bytes(data)
    assert again == _record()
    assert (again.clock_deviation, again.registers) == (-5, (1, 2**63, 3, 2**64 - 1))


def test_what_is_no_record():
    data = _record().to_bytes()
    assert _refused(Record.from_bytes, data[:-1]) == "malformed"
    assert _refused(Record.from_bytes, b"XXXX" + data[4:]) == "malformed"
    assert _refused(Record.from_bytes, data[:58] + b"\x09" + data[59:]) == "malformed"
    assert _refused(Record.from_bytes, data[:62] + b"\xff\xff" + data[64:]) == "malformed"
    assert _refused(_record(network_id=b"short").to_bytes) == "malformed"


def test_frames():
    record = _record().to_bytes()
    frame = Frame(record, bytes(32), bytes(64))
    assert [found.to_bytes() for found in split_frames(frame.to_bytes() * 2)] == [frame.to_bytes()] * 2
    assert _refused(split_frames, frame.to_bytes()[:-1]) == "malformed"
    assert len(previous_hash(record)) == 16


def test_the_proof_of_possession():
    message = possession_message(first_sequence=1, network_id=b"network1", meter_id=bytes(32), map_hash=bytes(32))
    assert (len(message), message[:4]) == (80, b"AMK1")
