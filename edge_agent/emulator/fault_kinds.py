"""The faults there are, and when they strike."""

from __future__ import annotations

from dataclasses import dataclass

ON_THE_LINE = (
    "flip",  # one bit in the midst of the answer
    "truncate",  # the last third is missing
    "double",  # the answer comes twice
    "garbage_before",
    "garbage_after",
    "gap",  # a pause of `seconds` in the midst
    "drop",  # no answer
    "late",  # `seconds` later
    "wrong_fcs",
    "echo",  # the request comes back before the answer, as on a two-wire line
)
IN_THE_METER = (
    "busy",  # RNR in place of the answer, once
    "reboot",  # links and associations are forgotten, also in the midst of a block transfer
    "wrong_counter",  # the meter's next invocation counter is one that it has used
    "counter_reset",  # every energy register falls to zero
    "wrong_baud",  # after mode E's hand-over nothing can be read, until the next sign-on
    "clock_jump",  # the clock is `seconds` further on from now on
)
KINDS = ON_THE_LINE + IN_THE_METER

GARBAGE = bytes.fromhex("7e00a5ff7ea10355aa")


class FaultError(ValueError):
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
            raise FaultError(f"{self.kind!r} is no fault; there are {', '.join(KINDS)}")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """A command: `KIND` or `KIND SECONDS`, for the next answer."""
        words = text.split()
        if not 1 <= len(words) <= 2:
            raise FaultError(f"{text!r} is no fault with its seconds")
        try:
            return cls(words[0], seconds=float(words[1]) if len(words) == 2 else 1.0)
        except ValueError as error:
            raise FaultError(f"{text!r} is no fault with its seconds: {error}") from error

    def strikes(self, answer: int) -> bool:
        """Whether this answer is met."""
        if answer < self.answer:
            return False
        return answer == self.answer or (self.every > 0 and (answer - self.answer) % self.every == 0)
