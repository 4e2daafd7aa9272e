"""The signed reading and the other signed things that cross the line between a gateway and the authority.

Byte layouts are those of docs/PROTOCOL.md; all integers are little-endian. The module keeps to what MicroPython
has (no dataclasses, no enum), because a probe on the meter's optical port signs with the same code.
"""

from __future__ import annotations

import hashlib
import struct

from edge_agent.wire.checkpoint import note_text, origin
from edge_agent.wire.errors import WireError
from edge_agent.wire.merkle import HASH_SIZE, MAX_PATH, ProofError, leaf_hash, root_of_path

RECORD_SIZE = 96
PUBLIC_KEY_SIZE = 32
SIGNATURE_SIZE = 64
FRAME_SIZE = RECORD_SIZE + PUBLIC_KEY_SIZE + SIGNATURE_SIZE
POSSESSION_SIZE = 80
RECEIPT_BODY_SIZE = 104
RECEIPT_SIZE = RECEIPT_BODY_SIZE + SIGNATURE_SIZE
"""A receipt `AMC1`."""
PROOF_RECEIPT_SIZE = RECEIPT_BODY_SIZE + 8 + SIGNATURE_SIZE
"""A receipt `AMC2` before its inclusion path, whose length its sixth byte says."""
NETWORK_ID_SIZE = 8
METER_ID_SIZE = 32
TRUNCATED_HASH_SIZE = 16
MAX_FRAMES = 256
"""Frames that the authority takes in one request or message."""

READING_MAGIC = b"AMR1"
POSSESSION_MAGIC = b"AMK1"
RECEIPT_MAGIC = b"AMC1"
PROOF_RECEIPT_MAGIC = b"AMC2"

LEAF_READING = 1
"""The type byte of a reading's leaf in the log."""
LAST_SEQUENCE = 0xFFFF_FFFF

SOURCE_NONE, SOURCE_SOLAR, SOURCE_WIND, SOURCE_HYDRO, SOURCE_OTHER = range(5)
SOURCES = ("none", "solar", "wind", "hydro", "other")

ROLES = ("building", "generation", "storage", "load", "grid", "submeter")
"""A meter's role, in the order of its code on the chain (docs/ARCHITECTURE.md)."""

FLAG_ESTIMATED = 1 << 0
FLAG_BACK_FILLED = 1 << 1
FLAG_SAMPLED = 1 << 2
FLAG_POWER_FAILURE = 1 << 3
FLAG_TAMPER = 1 << 4
FLAG_CLOCK_ADJUSTED = 1 << 5
FLAG_REGISTER_RESET = 1 << 6
FLAG_RESYNCHRONISED = 1 << 7
FLAG_DATA_DOUBTFUL = 1 << 8
FLAG_NAMES = (
    "estimated",
    "back-filled",
    "sampled",
    "power failure",
    "tamper",
    "clock adjusted",
    "register reset",
    "resynchronised",
    "data doubtful",
)
KNOWN_FLAGS = (1 << len(FLAG_NAMES)) - 1

CLOCK_DEVIATION_UNKNOWN = -32768
ZERO_HASH = bytes(TRUNCATED_HASH_SIZE)

VERDICT_REFUSED, VERDICT_ACCEPTED, VERDICT_HELD, VERDICT_PARKED = range(4)
VERDICTS = ("refused", "accepted", "held", "parked")
NO_LOG_INDEX = 0xFFFF_FFFF_FFFF_FFFF

CODES = {
    0: "ok",
    # inauthentic: refused, or parked where earlier records are missing
    1: "malformed",
    2: "unknown_meter",
    3: "bad_signature",
    4: "wrong_network",
    5: "forked",
    6: "sequence_gap",
    # authentic but against policy: held
    16: "meter_inactive",
    17: "interval_not_aligned",
    18: "interval_in_future",
    19: "register_decreased",
    20: "register_not_permitted",
    21: "source_mismatch",
    22: "exceeds_nameplate",
    23: "exceeds_storage",
    24: "implausible_for_sun_or_wind",
    25: "clock_unsynchronised",
}
CODE_NUMBERS = {name: number for number, name in CODES.items()}

_RECORD = "<4sI8sq4QHBBhH16s16s"
_POSSESSION = "<4sI8s32s32s"
_RECEIPT = "<4sBBH8s32s32sIIQq"
_PROOF_RECEIPT = _RECEIPT + "Q64s"
_LEAF = "<BBHq"
_STRUCT_ERROR: type[Exception] = getattr(struct, "error", ValueError)  # MicroPython has none of its own


class ReadingError(WireError):
    """Bytes that are not what they claim to be; the message says what was found."""


class BadSignatureError(ReadingError):
    """A signature that is not by the key that it should be."""

    code = "bad_signature"


class MalformedReadingError(ReadingError):
    """Bytes that are not the record, frame, receipt or proof that they claim to be."""

    code = "malformed"


class WrongNetworkError(ReadingError):
    """A record of another network."""

    code = "wrong_network"


def _pack(layout: str, *fields: int | bytes) -> bytes:
    """ReadingError `malformed` where a field does not fit; MicroPython's struct would cut it down without a word."""
    try:
        data = struct.pack(layout, *fields)
    except (_STRUCT_ERROR, OverflowError, TypeError, ValueError) as error:
        raise MalformedReadingError(f"a field does not fit its width: {error}") from error
    if struct.unpack(layout, data) != fields:
        raise MalformedReadingError("a field does not fit its width")
    return data


class Record:
    """One interval reading, as it is signed: 96 bytes.

    Registers (generation, consumption, charge, discharge) are cumulative watt-hours, 0 to 2^64-1; interval_end is
    Unix seconds UTC; clock_deviation is gateway minus meter in seconds, CLOCK_DEVIATION_UNKNOWN where not known.
    """

    __slots__ = (
        "charge",
        "clock_deviation",
        "consumption",
        "discharge",
        "evidence",
        "flags",
        "generation",
        "interval_end",
        "interval_seconds",
        "network_id",
        "previous_hash",
        "register_epoch",
        "sequence",
        "source",
    )

    def __init__(
        self,
        *,
        sequence: int,
        network_id: bytes,
        interval_end: int,
        generation: int,
        consumption: int,
        charge: int,
        discharge: int,
        interval_seconds: int,
        source: int,
        register_epoch: int = 0,
        clock_deviation: int = CLOCK_DEVIATION_UNKNOWN,
        flags: int = 0,
        previous_hash: bytes = ZERO_HASH,
        evidence: bytes = ZERO_HASH,
    ) -> None:
        self.sequence = sequence
        self.network_id = network_id
        self.interval_end = interval_end
        self.generation = generation
        self.consumption = consumption
        self.charge = charge
        self.discharge = discharge
        self.interval_seconds = interval_seconds
        self.source = source
        self.register_epoch = register_epoch
        self.clock_deviation = clock_deviation
        self.flags = flags
        self.previous_hash = previous_hash
        self.evidence = evidence

    @property
    def registers(self) -> tuple[int, int, int, int]:
        """The four cumulative registers in Wh: generation, consumption, charge, discharge."""
        return (self.generation, self.consumption, self.charge, self.discharge)

    def to_bytes(self) -> bytes:
        """The 96 bytes that are signed; ReadingError `malformed` where a field does not fit its width."""
        for name, value, size in (
            ("network_id", self.network_id, NETWORK_ID_SIZE),
            ("previous_hash", self.previous_hash, TRUNCATED_HASH_SIZE),
            ("evidence", self.evidence, TRUNCATED_HASH_SIZE),
        ):
            if len(value) != size:
                raise MalformedReadingError(f"{name} has {len(value)} bytes, not {size}")
        return _pack(
            _RECORD,
            READING_MAGIC,
            self.sequence,
            self.network_id,
            self.interval_end,
            self.generation,
            self.consumption,
            self.charge,
            self.discharge,
            self.interval_seconds,
            self.source,
            self.register_epoch,
            self.clock_deviation,
            self.flags,
            self.previous_hash,
            self.evidence,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Record:
        """Read a record; ReadingError `malformed` for a wrong length, magic, source or an unknown flag."""
        if len(data) != RECORD_SIZE:
            raise MalformedReadingError(f"a record has {RECORD_SIZE} bytes, these are {len(data)}")
        fields = struct.unpack(_RECORD, data)
        if fields[0] != READING_MAGIC:
            raise MalformedReadingError(f"a record starts with {READING_MAGIC!r}, this one with {fields[0]!r}")
        record = cls(
            sequence=fields[1],
            network_id=fields[2],
            interval_end=fields[3],
            generation=fields[4],
            consumption=fields[5],
            charge=fields[6],
            discharge=fields[7],
            interval_seconds=fields[8],
            source=fields[9],
            register_epoch=fields[10],
            clock_deviation=fields[11],
            flags=fields[12],
            previous_hash=fields[13],
            evidence=fields[14],
        )
        if record.source >= len(SOURCES):
            raise MalformedReadingError(f"source {record.source} is not one of 0 to {len(SOURCES) - 1}")
        if record.flags & ~KNOWN_FLAGS:
            raise MalformedReadingError(f"flags 0x{record.flags:04x} has bits that this version does not know")
        return record

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return (
            f"Record(sequence={self.sequence}, interval_end={self.interval_end}, registers={self.registers}, "
            f"source={self.source}, flags=0x{self.flags:04x})"
        )


class Frame:
    """A record with its meter's public key and Ed25519 signature over the record's 96 bytes: 192 bytes."""

    __slots__ = ("public_key", "record_bytes", "signature")

    def __init__(self, record_bytes: bytes, public_key: bytes, signature: bytes) -> None:
        if (len(record_bytes), len(public_key), len(signature)) != (RECORD_SIZE, PUBLIC_KEY_SIZE, SIGNATURE_SIZE):
            raise MalformedReadingError(
                f"a frame is {RECORD_SIZE} + {PUBLIC_KEY_SIZE} + {SIGNATURE_SIZE} bytes, "
                f"these are {len(record_bytes)} + {len(public_key)} + {len(signature)}",
            )
        self.record_bytes = record_bytes
        self.public_key = public_key
        self.signature = signature

    @property
    def record(self) -> Record:
        """The record, read again from its bytes; ReadingError `malformed` where they are not a record."""
        return Record.from_bytes(self.record_bytes)

    def to_bytes(self) -> bytes:
        """Record (96), public key (32), signature (64)."""
        return self.record_bytes + self.public_key + self.signature

    @classmethod
    def from_bytes(cls, data: bytes) -> Frame:
        """Split 192 bytes; the record in it is not read yet. ReadingError `malformed` for another length."""
        if len(data) != FRAME_SIZE:
            raise MalformedReadingError(f"a frame has {FRAME_SIZE} bytes, these are {len(data)}")
        return cls(data[:RECORD_SIZE], data[RECORD_SIZE : RECORD_SIZE + PUBLIC_KEY_SIZE], data[-SIGNATURE_SIZE:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


class Receipt:
    """The authority's answer to one frame.

    `AMC1`: 104 bytes, then the receipt key's Ed25519 signature over them; says refused or parked (and, of authorities
    before `AMC2`, accepted or held). `AMC2`, for accepted and held: the record's leaf is in the log of `size` leaves by
    the inclusion path, and the signature is the checkpoint's, over the note of that tree (docs/PROTOCOL.md).

    A gateway deletes a record only on a receipt whose verdict is accepted or held and whose signature it has checked
    against the pinned receipt key, over `signed_message`. next_expected is the sequence that the authority takes next
    for this key; log_index is NO_LOG_INDEX where the record did not enter the log; time is Unix seconds. size is None
    in an `AMC1`.
    """

    __slots__ = (
        "code",
        "log_index",
        "meter_key",
        "network_id",
        "next_expected",
        "path",
        "record_hash",
        "sequence",
        "signature",
        "size",
        "time",
        "verdict",
    )

    def __init__(
        self,
        *,
        verdict: int,
        code: int,
        network_id: bytes,
        meter_key: bytes,
        record_hash: bytes,
        sequence: int,
        next_expected: int,
        log_index: int,
        time: int,
        signature: bytes = bytes(SIGNATURE_SIZE),
        size: int | None = None,
        path: bytes = b"",
    ) -> None:
        self.verdict = verdict
        self.code = code
        self.network_id = network_id
        self.meter_key = meter_key
        self.record_hash = record_hash
        self.sequence = sequence
        self.next_expected = next_expected
        self.log_index = log_index
        self.time = time
        self.signature = signature
        self.size = size
        self.path = path

    def body(self) -> bytes:
        """The first 104 bytes, which an `AMC1` signs; ReadingError `malformed` where a field does not fit its width."""
        return _pack(
            _RECEIPT,
            RECEIPT_MAGIC if self.size is None else PROOF_RECEIPT_MAGIC,
            self.verdict,
            len(self.path) // HASH_SIZE,
            self.code,
            self.network_id,
            self.meter_key,
            self.record_hash,
            self.sequence,
            self.next_expected,
            self.log_index,
            self.time,
        )

    def signed_message(self, frame: Frame) -> bytes:
        """What the receipt key has signed, if this receipt is for that frame.

        Of an `AMC2` the note of the tree that its path leads to from the frame's leaf. ReadingError `malformed` where
        the receipt speaks of another record, or its path is not a path in a tree of its size.
        """
        if (self.meter_key, self.record_hash) != (frame.public_key, record_hash(frame.record_bytes)):
            raise MalformedReadingError("the receipt is for another record")
        if self.size is None:
            return self.body()
        if struct.pack("<I", self.sequence) != frame.record_bytes[4:8]:
            raise MalformedReadingError(f"the record does not have sequence {self.sequence}")
        if self.next_expected != min(self.sequence + 1, LAST_SEQUENCE):
            raise MalformedReadingError(f"after record {self.sequence} comes another than {self.next_expected}")
        leaf = leaf_hash(reading_leaf(self.verdict, self.code, self.time, frame.to_bytes()))
        path = [self.path[at : at + HASH_SIZE] for at in range(0, len(self.path), HASH_SIZE)]
        try:
            root = root_of_path(leaf, self.log_index, self.size, path)
        except ProofError as error:
            raise MalformedReadingError(f"the receipt's proof does not hold: {error}") from error
        return note_text(origin(self.network_id), self.size, root)

    def to_bytes(self) -> bytes:
        """`AMC1`: body (104) and signature (64). `AMC2`: body (104), size u64 (8), signature (64), path (32 each)."""
        if self.size is None:
            return self.body() + self.signature
        return self.body() + _pack("<Q", self.size) + self.signature + self.path

    @classmethod
    def from_bytes(cls, data: bytes) -> Receipt:
        """Read a receipt, not yet verified; ReadingError `malformed` for a wrong length, magic or verdict."""
        if len(data) < RECEIPT_SIZE:
            raise MalformedReadingError(f"a receipt has {RECEIPT_SIZE} bytes or more, these are {len(data)}")
        fields = struct.unpack(_RECEIPT, data[:RECEIPT_BODY_SIZE])
        if fields[0] not in (RECEIPT_MAGIC, PROOF_RECEIPT_MAGIC):
            raise MalformedReadingError(f"a receipt starts with {RECEIPT_MAGIC!r}, this one with {fields[0]!r}")
        proves = fields[0] == PROOF_RECEIPT_MAGIC
        if len(data) != _receipt_size(proves, fields[2]):
            raise MalformedReadingError(f"the receipt has another length than its {len(data)} bytes")
        if fields[1] >= len(VERDICTS) or (fields[2] != 0 and not proves):
            raise MalformedReadingError(f"verdict {fields[1]} is not one that this version knows")
        if proves and (fields[1] not in (VERDICT_ACCEPTED, VERDICT_HELD) or fields[2] > MAX_PATH):
            raise MalformedReadingError(f"what is {VERDICTS[fields[1]]} is not proved by a path of {fields[2]}")
        at = RECEIPT_BODY_SIZE + 8 if proves else RECEIPT_BODY_SIZE
        return cls(
            verdict=fields[1],
            code=fields[3],
            network_id=fields[4],
            meter_key=fields[5],
            record_hash=fields[6],
            sequence=fields[7],
            next_expected=fields[8],
            log_index=fields[9],
            time=fields[10],
            signature=data[at : at + SIGNATURE_SIZE],
            size=struct.unpack("<Q", data[RECEIPT_BODY_SIZE:at])[0] if proves else None,
            path=data[at + SIGNATURE_SIZE :],
        )


def proof_receipt(
    *,
    verdict: int,
    code: int,
    network_id: bytes,
    meter_key: bytes,
    record_hash: bytes,
    sequence: int,
    log_index: int,
    time: int,
    size: int,
    signature: bytes,
    path: bytes,
) -> bytes:
    """The bytes of an `AMC2`, for who makes many: `Receipt(...).to_bytes()` of fields that are known to fit."""
    after = min(sequence + 1, LAST_SEQUENCE)
    fields = (PROOF_RECEIPT_MAGIC, verdict, len(path) // HASH_SIZE, code, network_id, meter_key, record_hash)
    return struct.pack(_PROOF_RECEIPT, *fields, sequence, after, log_index, time, size, signature) + path


def _receipt_size(proves: bool, path: int) -> int:
    return PROOF_RECEIPT_SIZE + path * HASH_SIZE if proves else RECEIPT_SIZE


def reading_leaf(verdict: int, code: int, time: int, frame: bytes) -> bytes:
    """A reading's leaf in the log, 204 bytes: type 1, verdict u8, code u16, time i64, frame (192)."""
    return struct.pack(_LEAF, LEAF_READING, verdict, code, time) + frame


def record_hash(record_bytes: bytes) -> bytes:
    """SHA-256 of a record's 96 bytes; its first 16 are the next record's previous_hash."""
    return hashlib.sha256(record_bytes).digest()


def previous_hash(record_bytes: bytes) -> bytes:
    """What the record after this one carries as its previous_hash."""
    return record_hash(record_bytes)[:TRUNCATED_HASH_SIZE]


def split_frames(data: bytes) -> list[Frame]:
    """Split concatenated frames; ReadingError `malformed` where the length is not a multiple of 192 or is zero."""
    if not data or len(data) % FRAME_SIZE:
        raise MalformedReadingError(f"frames come in multiples of {FRAME_SIZE} bytes, these are {len(data)}")
    return [Frame.from_bytes(data[start : start + FRAME_SIZE]) for start in range(0, len(data), FRAME_SIZE)]


def split_receipts(data: bytes) -> list[Receipt]:
    """Split concatenated receipts of either kind; ReadingError `malformed` for bytes that are not."""
    receipts: list[Receipt] = []
    at = 0
    while at < len(data) or not receipts:
        end = at + _receipt_size(data[at : at + 4] == PROOF_RECEIPT_MAGIC, data[at + 5] if at + 5 < len(data) else 0)
        receipts.append(Receipt.from_bytes(data[at:end]))
        at = end
    return receipts


def possession_message(*, first_sequence: int, network_id: bytes, meter_id: bytes, map_hash: bytes) -> bytes:
    """`AMK1`: what a meter's new key signs to prove that its gateway holds it. 80 bytes.

    Magic (4), first sequence u32 (4), network id (8), meter id (32), meter map's SHA-256 (32). The registry program
    checks the signature through the Ed25519 precompile before it takes the key.
    """
    return _pack(_POSSESSION, POSSESSION_MAGIC, first_sequence, network_id, meter_id, map_hash)


def meter_id(salt: bytes, serial: str) -> bytes:
    """SHA-256(16-byte secret salt, serial in UTF-8): the meter's name on the chain, which does not tell its serial."""
    if len(salt) != 16:
        raise MalformedReadingError(f"a salt has 16 bytes, this one {len(salt)}")
    return hashlib.sha256(salt + serial.encode()).digest()
