"""submit_readings believes only what the Ed25519 precompile verified, just before, in one layout: every way around it.

A count of zero succeeds in the precompile, and offsets can point anywhere: each was exploited elsewhere (the Relay
bridge, Pyth Lazer).
"""

from __future__ import annotations

import struct

import pytest
from campus import Campus, SimulatedMeter, key, relayed
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from authority.chain import programs
from edge_agent.wire.reading import Frame

SECP256K1 = Pubkey.from_string("KeccakSecp256k11111111111111111111111111111")
COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
HEADER, ROW = 2, 14
SIGNATURE_OFFSET, SIGNATURE_INDEX, KEY_OFFSET, KEY_INDEX, MESSAGE_OFFSET, MESSAGE_SIZE, MESSAGE_INDEX = range(7)


class Line:
    """A meter with an accepted reading and the next one signed, and another meter to mix it up with."""

    def __init__(self, campus: Campus) -> None:
        self.campus = campus
        alice = campus.register_user("alice")
        self.meter = campus.add_meter(alice, "pv", "generation", "solar")
        self.other = campus.add_meter(alice, "load", "load")
        campus.set_time(campus.boundary(1))
        campus.submit(
            (self.meter, self.meter.read(campus.boundary(1))), (self.other, self.other.read(campus.boundary(1)))
        )
        campus.set_time(campus.boundary(2))
        self.frame = self.meter.read(campus.boundary(2), 100)
        self.other_frame = self.other.read(campus.boundary(2), 0, 100)

    def instruction(self, *meters: SimulatedMeter) -> Instruction:
        return self.campus.submit_instruction(meters or [self.meter])

    def data(self, *frames: Frame) -> bytearray:
        return bytearray(programs.ed25519_frames(frames or [self.frame]).data)

    def send(self, data: bytes | bytearray, *meters: SimulatedMeter, before: tuple[Instruction, ...] = ()) -> None:
        precompile = Instruction(programs.ED25519_PROGRAM, bytes(data), [])
        self.campus.send(*before, precompile, self.instruction(*meters))


def put(data: bytearray, row: int, field: int, value: int) -> bytearray:
    struct.pack_into("<H", data, HEADER + ROW * row + 2 * field, value)
    return data


def get(data: bytearray, row: int, field: int) -> int:
    return struct.unpack_from("<H", data, HEADER + ROW * row + 2 * field)[0]


@pytest.fixture
def line(campus: Campus) -> Line:
    return Line(campus)


def test_the_honest_transaction_passes(line: Line) -> None:
    line.send(line.data(line.frame, line.other_frame), line.meter, line.other)


def test_no_instruction_before(line: Line, refused) -> None:
    with refused("SignaturesMissing"):
        line.campus.send(line.instruction())


def test_the_precompile_after_instead_of_before(line: Line, refused) -> None:
    with refused("SignaturesMissing"):
        line.campus.send(line.instruction(), Instruction(programs.ED25519_PROGRAM, bytes(line.data()), []))


def test_another_program_before(line: Line, refused) -> None:
    with refused("NotEd25519Program"):
        line.campus.send(Instruction(COMPUTE_BUDGET, b"\x02\0\0\x10\0", []), line.instruction())


def test_another_precompile_before(line: Line, refused) -> None:
    """secp256k1 with a count of zero succeeds too."""
    with refused("NotEd25519Program"):
        line.campus.send(Instruction(SECP256K1, b"\0", []), line.instruction())


def test_not_immediately_before(line: Line, refused) -> None:
    between = Instruction(COMPUTE_BUDGET, b"\x02\0\0\x10\0", [])
    with refused("NotEd25519Program"):
        line.campus.send(Instruction(programs.ED25519_PROGRAM, bytes(line.data()), []), between, line.instruction())


def test_the_same_signatures_for_two_submissions(line: Line, refused) -> None:
    precompile = Instruction(programs.ED25519_PROGRAM, bytes(line.data()), [])
    with refused("NotEd25519Program"):
        line.campus.send(precompile, line.instruction(), line.instruction())


def test_a_count_of_zero(line: Line, refused) -> None:
    with refused("NoSignatures"):
        line.send(b"\0\0")


def test_a_count_of_zero_with_forged_frames(line: Line, refused) -> None:
    data = line.data()
    data[0] = 0
    with refused("NoSignatures"):
        line.send(data[:HEADER])


def test_more_readings_than_signatures(line: Line, refused) -> None:
    with refused("SignatureCount"):
        line.send(line.data(), line.meter, line.other)


def test_more_signatures_than_readings(line: Line, refused) -> None:
    with refused("SignatureCount"):
        line.send(line.data(line.frame, line.other_frame), line.meter)


def test_no_readings_at_all(line: Line, refused) -> None:
    instruction = line.campus.submit_instruction([])
    with refused("SignatureCount"):
        line.campus.send(Instruction(programs.ED25519_PROGRAM, bytes(line.data()), []), instruction)


def test_bytes_after_the_frames(line: Line, refused) -> None:
    with refused("SignatureTable"):
        line.send(line.data() + b"\0")


def test_a_table_longer_than_the_count_says(line: Line, refused) -> None:
    """Two tables: the precompile verifies the first row, a second lies ready for a careless reader."""
    data = line.data(line.frame, line.other_frame)
    data[0] = 1
    with refused("SignatureTable"):
        line.send(data)


def test_frames_elsewhere_in_the_data(line: Line, refused) -> None:
    """A gap between table and frame, offsets right: verified, but not the one layout."""
    data = line.data()
    moved = data[: HEADER + ROW] + b"\0\0" + data[HEADER + ROW :]
    for field in (SIGNATURE_OFFSET, KEY_OFFSET, MESSAGE_OFFSET):
        put(moved, 0, field, get(moved, 0, field) + 2)
    with refused("SignatureTable"):
        line.send(moved)


@pytest.mark.parametrize(
    ("field", "error"),
    [
        (SIGNATURE_INDEX, "SignatureInstructionIndex"),
        (KEY_INDEX, "KeyInstructionIndex"),
        (MESSAGE_INDEX, "MessageInstructionIndex"),
    ],
)
@pytest.mark.parametrize("row", [0, 1])
def test_an_index_that_names_an_instruction(line: Line, refused, field, error, row) -> None:
    """Index 0 is the precompile's own place here, so it verifies: and could name any other instruction just as well."""
    data = put(line.data(line.frame, line.other_frame), row, field, 0)
    with refused(error):
        line.send(data, line.meter, line.other)


def test_a_signature_from_another_instruction(line: Line, refused) -> None:
    """The attack for which the index is checked: a true signature elsewhere, a forged frame here."""
    truth = Instruction(programs.ED25519_PROGRAM, bytes(line.data()), [])
    forged = line.data()
    struct.pack_into("<Q", forged, HEADER + ROW + 24, 10**9)  # generation
    for field in (SIGNATURE_INDEX, KEY_INDEX, MESSAGE_INDEX):
        put(forged, 0, field, 0)
    with refused("SignatureInstructionIndex"):
        line.send(forged, before=(truth,))


@pytest.mark.parametrize(
    ("field", "error"),
    [
        (MESSAGE_OFFSET, "MessageOffset"),
        (KEY_OFFSET, "KeyOffset"),
        (SIGNATURE_OFFSET, "SignatureOffset"),
    ],
)
def test_an_offset_into_another_frame(line: Line, refused, field, error) -> None:
    """Two equal frames: an offset into the other one verifies just as well, and is refused."""
    data = line.data(line.frame, line.frame)
    put(data, 0, field, get(data, 1, field))
    with refused(error):
        line.send(data, line.meter, line.meter)


def test_both_rows_at_one_frame(line: Line, refused) -> None:
    """Both signatures verify the second frame, while a forged first one lies there unverified."""
    data = line.data(line.frame, line.other_frame)
    second = data[HEADER + ROW : HEADER + 2 * ROW]
    data[HEADER : HEADER + ROW] = second
    struct.pack_into("<Q", data, HEADER + 2 * ROW + 24, 10**9)  # generation, unsigned
    with refused("MessageOffset"):
        line.send(data, line.meter, line.other)


def test_swapped_rows(line: Line, refused) -> None:
    data = line.data(line.frame, line.other_frame)
    first, second = data[HEADER : HEADER + ROW], data[HEADER + ROW : HEADER + 2 * ROW]
    data[HEADER : HEADER + 2 * ROW] = second + first
    with refused("MessageOffset"):
        line.send(data, line.meter, line.other)


def test_a_message_of_another_size(line: Line, refused) -> None:
    """97 bytes signed in place of 96, the frame as long as ever: the key overlaps."""
    key_byte = bytes(line.meter.key.pubkey())[:1]
    signature = bytes(line.meter.key.sign_message(line.frame.record_bytes + key_byte))
    data = line.data(Frame(line.frame.record_bytes, line.frame.public_key, signature))
    put(data, 0, MESSAGE_SIZE, 97)
    with refused("MessageSize"):
        line.send(data)


def test_swapped_order_of_readings(line: Line, refused) -> None:
    with refused("WrongKey"):
        line.send(line.data(line.other_frame, line.frame), line.meter, line.other)


def test_another_key(line: Line, refused) -> None:
    thief = key("thief")
    record = line.frame.record_bytes
    with refused("WrongKey"):
        line.send(line.data(Frame(record, bytes(thief.pubkey()), bytes(thief.sign_message(record)))))


def test_a_false_signature_does_not_reach_the_program(line: Line, refused) -> None:
    frame = line.frame
    forged = Frame(b"AMR1" + frame.record_bytes[4:95] + b"!", frame.public_key, frame.signature)
    with refused("InstructionErrorCustom(2)"):
        line.send(line.data(forged))


def test_a_signature_over_another_message(line: Line, refused) -> None:
    frame = line.frame
    with refused("InstructionErrorCustom(2)"):
        line.send(line.data(Frame(frame.record_bytes, frame.public_key, line.other_frame.signature)))


def test_through_a_program(line: Line, refused) -> None:
    """Called by a program, the instruction before in the transaction says nothing: the caller chose what comes."""
    campus = line.campus
    outer = relayed(campus.add_relay(), line.instruction())
    with refused("ThroughCpi"):
        campus.send(Instruction(programs.ED25519_PROGRAM, bytes(line.data()), []), outer)
