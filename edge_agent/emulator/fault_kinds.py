"""The faults there are, and when they strike."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.emulator.errors import EmulatorError

ON_THE_LINE = (
    "flip",  # one bit in the middle of the answer
    "truncate",  # the last third is missing
    "double",  # the answer comes twice
    "garbage_before",
    "garbage_after",
    "gap",  # a pause of `seconds` in the middle; one that the client waits for anyway is not a fault that it can see
    "drop",  # no answer
    "late",  # `seconds` later; within the client's timeout no fault that it can see
    "wrong_fcs",  # a frame check sequence, check sum or CRC that is not the telegram's
    "echo",  # the request comes back before the answer, as on a two-wire line
)
BLOCK_FAULTS = (  # what meets the next stream of a general-block-transfer after its first block
    "lost_block",  # the one in its midst is missing
    "doubled_block",
    "swapped_blocks",
    "refused_block",  # an exception comes in its place
    "aborted_blocks",  # the transfer is broken off
    "endless_blocks",  # none is ever the last
)
IN_THE_METER = (
    "busy",  # RNR in place of the answer, once
    # links and associations are forgotten, also in the middle of blocks; a sign-on or the request for a link is not
    # answered; a pushed telegram breaks off
    "reboot",
    "wrong_counter",  # the meter's next invocation counter is one that it has used
    "counter_reset",  # every energy register falls to zero
    "wrong_baud",  # after mode E's hand-over nothing can be read, until the next sign-on; without one, one answer
    "clock_jump",  # the clock is `seconds` further on from now on
    *BLOCK_FAULTS,
)
KINDS = ON_THE_LINE + IN_THE_METER

_NO_HDLC = ("echo", "busy", "wrong_baud")
_PUSHES_ONLY = (*_NO_HDLC, *BLOCK_FAULTS)
NOT_ON = {
    "hdlc": (),
    "c": BLOCK_FAULTS,
    "e": (),
    "mbus": _PUSHES_ONLY,
    "p1": _PUSHES_ONLY,
    "p1 without CRC": (*_PUSHES_ONLY, "wrong_fcs"),
    "sml": _PUSHES_ONLY,
    "raw": (*_PUSHES_ONLY, "wrong_fcs"),
    "tcp": (*_NO_HDLC, "wrong_fcs", "flip"),
    "udp": (*_NO_HDLC, "wrong_fcs", "flip"),
}
"""By kind of line, the faults that have no meaning there: nobody asks, nothing is summed, or IP's own sums see it."""

MAX_SECONDS = 3600
MAX_JUMP = 100_000_000

GARBAGE = bytes.fromhex("7e00a5ff7ea10355aa")


class FaultError(EmulatorError):
    """A fault that does not exist, or a schedule that makes no sense."""

    code = "bad_fault"


@dataclass(frozen=True)
class Fault:
    """One fault: at answer `answer` (from 1), and again every `every` answers (0: once). seconds: for gap, late,
    clock_jump."""

    kind: str
    answer: int = 1
    every: int = 0
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultError(f"{self.kind!r} is not a fault; choose one of {', '.join(KINDS)}")
        least, most = (-MAX_JUMP, MAX_JUMP) if self.kind == "clock_jump" else (0, MAX_SECONDS)
        if not least <= self.seconds <= most:
            raise FaultError(f"{self.seconds:g} s of {self.kind}: should be from {least} to {most}")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """A command: `KIND` or `KIND SECONDS`, for the next answer."""
        words = text.split()
        if not 1 <= len(words) <= 2:
            raise FaultError(f"{text!r} is not a fault with its seconds")
        try:
            return cls(words[0], seconds=float(words[1]) if len(words) == 2 else 1.0)
        except ValueError as error:
            raise FaultError(f"{text!r} is not a fault with its seconds: {error}") from error

    def check(self, kind_of_line: str) -> None:
        """FaultError where it has no meaning on such a line, one of NOT_ON."""
        if self.kind in NOT_ON[kind_of_line]:
            raise FaultError(f"{self.kind!r} has no meaning on a line of kind {kind_of_line}")

    def strikes(self, answer: int) -> bool:
        """Whether this answer is met."""
        if answer < self.answer:
            return False
        return answer == self.answer or (self.every > 0 and (answer - self.answer) % self.every == 0)
