"""What frames become on their way through the collector: sent, checked, logged now or before, answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.collector.policy import MeterFacts
from authority.collector.standing import Shown
from authority.refusals import RefusalError
from edge_agent.wire.reading import TRUNCATED_HASH_SIZE, ZERO_HASH, Frame, ReadingError, Record, record_hash


@dataclass(frozen=True)
class Gap:
    """Records are missing: the gateway should send again from this sequence of this meter (its name)."""

    meter: str
    sequence: int


@dataclass(frozen=True)
class Ingested:
    """receipts: one a frame, in order. later: receipts of parked frames that these let in. gaps: what to ask for."""

    receipts: list[bytes]
    later: list[bytes]
    gaps: list[Gap]


@dataclass(frozen=True)
class Sent:
    """What a gateway sent at once: frames one after another.

    gateway is the certificate's name, meter the topic's (None: of any of the gateway's meters); shown is the
    certificate where the transport has it (authority.collector.standing). over is "https" or "mqtt".
    """

    data: bytes
    gateway: str
    meter: str | None
    over: str
    shown: Shown | None = None


@dataclass(slots=True)
class Checked:
    """A frame with what can be said of it without the store."""

    frame: Frame
    record: Record | None
    hash: bytes
    genuine: bool


@dataclass(slots=True)
class Key:
    """A meter's key as the transaction found it and leaves it."""

    public_key: bytes
    meter_pk: int
    meter: str
    gateway: str
    facts: MeterFacts
    first_sequence: int
    approved_at: int
    next_sequence: int
    head_hash: bytes | None
    head_log_index: int | None
    retired: bool
    passed_log_index: int | None
    passed_record: bytes | None
    last: Record | None = None
    """The meter's last reading that policy or an operator let pass, under whichever key; read when it is needed."""
    last_known: bool = False
    moved: bool = False
    parked: dict[int, bytes] = field(default_factory=dict)
    parked_before: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def previous(self) -> bytes:
        """What the next record must name as the hash before it."""
        return self.head_hash[:TRUNCATED_HASH_SIZE] if self.head_hash is not None else ZERO_HASH


@dataclass(slots=True)
class Logged:
    """A frame that this transaction logs."""

    checked: Checked
    record: Record
    key: Key
    verdict: int
    code: str
    index: int
    over: str


@dataclass(frozen=True, slots=True)
class Before:
    """A frame that an earlier transaction logged; receipt is set where an earlier release signed one."""

    public_key: bytes
    sequence: int
    index: int
    record_hash: bytes
    verdict: int
    code: str
    time: int
    receipt: bytes | None


Answer = bytes | Logged | Before


@dataclass
class Batch:
    """What one caller sent, and what came of it once `done`: a result, or an error. settled is called then."""

    frames: list[Checked]
    sent: Sent
    settled: Callable[[], None] | None = None
    done: bool = False
    result: Ingested | None = None
    error: RefusalError | None = None

    @property
    def outcome(self) -> Ingested | RefusalError:
        """What came of it."""
        answer = self.error or self.result
        assert answer is not None  # noqa: S101
        return answer


def signature_is_valid(frame: Frame) -> bool:
    """Whether the validator's Ed25519 precompile would take this signature.

    solders verifies as the validator does (ed25519-dalek's verify_strict): keys and signatures of small order, and
    encodings that are not canonical, are refused, which RFC 8032 leaves open and `cryptography` accepts.
    """
    return Signature(frame.signature).verify(Pubkey(frame.public_key), frame.record_bytes)


def check_frame(frame: Frame) -> Checked:
    """A frame with its record, hash and whether its signature verifies."""
    try:
        record = frame.record
    except ReadingError:
        return Checked(frame, None, record_hash(frame.record_bytes), False)
    return Checked(frame, record, record_hash(frame.record_bytes), signature_is_valid(frame))
